//! Where a message's body ends: decided once, from its head alone (RFC 9112 §6.3).

use super::head::{
    Class, Head, Version,
    parse::{Refusal, refusal},
};

/// How a body is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    #[default]
    None,
    /// So many bytes.
    Length(u64),
    /// Chunked coding.
    Chunked,
    /// Until the connection ends (responses alone).
    Close,
}

const BOTH: Refusal =
    refusal(400, "length_and_chunked", "a message has either a length or a transfer coding");
const BAD_LENGTH: Refusal = refusal(400, "bad_length", "the Content-Length is malformed");
const BAD_CODING: Refusal = refusal(400, "bad_coding", "the Transfer-Encoding is malformed");
const UNKNOWN_CODING: Refusal =
    refusal(501, "unknown_coding", "chunked is the only transfer coding spoken");
const OLD_CODING: Refusal = refusal(400, "coding_in_1_0", "HTTP/1.0 has no transfer codings");
const EXPECTATION: Refusal =
    refusal(417, "bad_expectation", "100-continue is the only expectation");

/// The framing of a request's body.
///
/// # Errors
/// It is ambiguous or not spoken.
pub(crate) fn of_request(head: &Head) -> Result<Framing, Refusal> {
    let framing = declared(head)?;
    let mut expectations = head.fields.iter().filter(|f| f.class == Class::Expect);
    if expectations.any(|f| !head.slice(f.value).eq_ignore_ascii_case(b"100-continue")) {
        return Err(EXPECTATION);
    }
    Ok(framing.unwrap_or(Framing::None))
}

/// The framing of a response's body to a request of `method`.
///
/// # Errors
/// It is ambiguous or not spoken: 502.
pub(crate) fn of_response(head: &Head, is_head: bool) -> Result<Framing, Refusal> {
    let declared = declared(head).map_err(|refused| Refusal {
        status: 502,
        text: "the server's answer has no sound framing",
        ..refused
    })?;
    if is_head || matches!(head.status, 100..200 | 204 | 304) {
        return Ok(Framing::None);
    }
    Ok(match declared {
        Some(Framing::Length(0)) => Framing::None,
        Some(framing) => framing,
        None => Framing::Close,
    })
}

/// What the fields say; `None` where they say nothing.
fn declared(head: &Head) -> Result<Option<Framing>, Refusal> {
    let (mut length, mut coding) = (None, false);
    for field in &head.fields {
        match field.class {
            Class::ContentLength => {
                let value = number(head.slice(field.value)).ok_or(BAD_LENGTH)?;
                if length.replace(value).is_some() {
                    return Err(BAD_LENGTH); // twice, even if the same
                }
            }
            Class::TransferEncoding => {
                let value = head.slice(field.value);
                if coding {
                    return Err(BAD_CODING);
                }
                coding = true;
                if !value.eq_ignore_ascii_case(b"chunked") {
                    let plain =
                        value.iter().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b));
                    return Err(if plain && !value.is_empty() {
                        UNKNOWN_CODING
                    } else {
                        BAD_CODING
                    });
                }
            }
            _ => {}
        }
    }
    match (length, coding) {
        (Some(_), true) => Err(BOTH),
        (None, true) if head.version == Version::Http10 => Err(OLD_CODING),
        (None, true) => Ok(Some(Framing::Chunked)),
        (Some(0), false) => Ok(Some(Framing::Length(0))),
        (Some(length), false) => Ok(Some(Framing::Length(length))),
        (None, false) => Ok(None),
    }
}

/// Digits and nothing else.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}
