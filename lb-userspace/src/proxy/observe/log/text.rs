//! Times, numbers and texts as lines have them.

use std::{
    net::{IpAddr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::proxy::{clock::civil, upstream::write::decimal};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The latest second, as text.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: u64,
    rfc3339: String,
    common: String,
}

impl Stamp {
    /// `2026-07-04T12:00:00` in UTC, and the nanoseconds behind it.
    pub(super) fn rfc3339(&mut self, time: SystemTime) -> (&str, u32) {
        let nanos = self.follow(time);
        (&self.rfc3339, nanos)
    }

    /// `04/Jul/2026:12:00:00 +0000`.
    pub(super) fn common(&mut self, time: SystemTime) -> &str {
        self.follow(time);
        &self.common
    }

    fn follow(&mut self, time: SystemTime) -> u32 {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs();
        if second != self.second || self.rfc3339.is_empty() {
            let (year, month, day) = civil(second / 86_400);
            let (h, m, s) = (second / 3_600 % 24, second / 60 % 60, second % 60);
            self.second = second;
            self.rfc3339 = format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}");
            let name = MONTHS[month as usize - 1];
            self.common = format!("{day:02}/{name}/{year:04}:{h:02}:{m:02}:{s:02} +0000");
        }
        since.subsec_nanos()
    }
}

/// Appends nine digits.
pub(super) fn nanos(out: &mut Vec<u8>, nanos: u32) {
    let mut rest = nanos;
    let mut digits = [0u8; 9];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Appends an address.
pub(super) fn ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            for (at, octet) in ip.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                decimal(out, u64::from(octet));
            }
        }
        IpAddr::V6(ip) => out.extend_from_slice(ip.to_string().as_bytes()),
    }
}

/// Appends address and port.
pub(super) fn address(out: &mut Vec<u8>, address: SocketAddr) {
    let is_v6 = address.ip().to_canonical().is_ipv6();
    if is_v6 {
        out.push(b'[');
    }
    ip(out, address.ip());
    out.extend_from_slice(if is_v6 { b"]:" } else { b":" });
    decimal(out, u64::from(address.port()));
}

/// Appends what stands between quotes in JSON (RFC 8259 §7); bytes that are no UTF-8 become
/// replacement characters.
pub(super) fn json(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        return out.extend_from_slice(text);
    }
    for letter in String::from_utf8_lossy(text).chars() {
        match letter {
            '"' | '\\' => out.extend_from_slice(&[b'\\', letter as u8]),
            '\0'..='\x1f' | '\x7f' => {
                out.extend_from_slice(format!("\\u{:04x}", letter as u32).as_bytes());
            }
            _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Appends what stands between quotes in the common format: what would end it, or the line, is
/// escaped as Apache does.
pub(super) fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        return out.extend_from_slice(text);
    }
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
}

/// Whether a text stands between quotes as it is. All of it is looked at, without a branch, so that
/// several bytes are at a time.
fn is_plain(text: &[u8]) -> bool {
    text.iter().fold(true, |is_plain, byte| {
        is_plain & matches!(byte, b' '..=b'~') & (*byte != b'"') & (*byte != b'\\')
    })
}
