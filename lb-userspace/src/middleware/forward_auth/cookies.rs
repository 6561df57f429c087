//! `addAuthCookiesToResponse`.

use crate::proxy::Head;

/// The name of a cookie as `Set-Cookie` has it.
pub(super) fn name(cookie: &[u8]) -> &[u8] {
    let end = cookie.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(cookie.len());
    cookie[..end].trim_ascii()
}

/// Puts cookies of these names in place of those that are there.
pub(super) fn replace(head: &mut Head, names: &[String], added: &[Vec<u8>]) {
    let is_replaced = |cookie: &[u8]| names.iter().any(|one| one.as_bytes() == name(cookie));
    head.retain(|field, value| !field.eq_ignore_ascii_case("Set-Cookie") || !is_replaced(value));
    added.iter().for_each(|cookie| head.add("Set-Cookie", cookie));
}
