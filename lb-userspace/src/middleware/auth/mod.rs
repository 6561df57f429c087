//! What the ways to authenticate share.

pub(super) mod basic;
pub(super) mod digest;
mod hash;
mod nonce;
mod users;

use crate::proxy::Exchange;

/// Lets a request pass as that of a user.
fn admit(exchange: &mut Exchange, user: &str, remove_header: bool, field: Option<&str>) {
    if remove_header {
        exchange.request.remove("Authorization");
    }
    if let Some(field) = field {
        exchange.request.set(field, user);
    }
    exchange.user = Some(user.to_owned());
}

/// A text within quotes (RFC 9110 §5.6.4).
fn quoted_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What follows the scheme in `Authorization`.
fn credentials<'a>(exchange: &'a Exchange, scheme: &str) -> Option<&'a str> {
    let value = exchange.request.text_of("Authorization")?;
    let (found, rest) = value.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// As hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
