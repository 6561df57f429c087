//! `sticky.cookie`: which cookie holds a session, and what it says.

use std::fmt::Write as _;

use crate::{
    model::{Cookie, SameSite},
    proxy::Head,
};

/// The sticky cookie of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    name: Box<str>,
    /// What follows the value in `Set-Cookie`.
    attributes: Box<str>,
}

impl Sticky {
    /// From its settings. Without a name it is derived from the service's, as in Traefik: `_` and
    /// five hexadecimal digits.
    pub(super) fn new(cookie: &Cookie, service: &str) -> Self {
        let name = match &cookie.name {
            Some(name) => name.as_str().into(),
            None => format!("_{:05x}", fnv(service) >> 44).into(),
        };
        Self { name, attributes: attributes(cookie).into() }
    }

    /// The cookie's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The session that a request belongs to, if it says so.
    pub(super) fn session(&self, head: &Head) -> Option<u64> {
        let value = head.values("cookie").find_map(|line| find(line, self.name.as_bytes()))?;
        u64::from_str_radix(std::str::from_utf8(value).ok()?, 16).ok()
    }

    /// The text of `Set-Cookie` for a value.
    pub(super) fn set(&self, value: u64) -> Box<str> {
        format!("{}={value:x}{}", self.name, self.attributes).into()
    }
}

/// What a cookie says of a server or service: a hash of its name, so that nothing of the network is
/// shown.
pub(super) fn value(name: &str) -> u64 {
    fnv(name)
}

/// A cookie's value in one `Cookie` line (RFC 6265 §4.2.1).
fn find<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    line.split(|&byte| byte == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|&byte| byte == b'=')?;
        (pair[..at] == *name).then(|| {
            let value = &pair[at + 1..];
            value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value)
        })
    })
}

fn attributes(cookie: &Cookie) -> String {
    let mut out = format!("; Path={}", cookie.path.as_deref().unwrap_or("/"));
    let mut add = |text: std::fmt::Arguments<'_>| out.write_fmt(text).unwrap_or_default();
    if let Some(domain) = &cookie.domain {
        add(format_args!("; Domain={domain}"));
    }
    if cookie.max_age != 0 {
        add(format_args!("; Max-Age={}", cookie.max_age.max(0)));
    }
    if cookie.http_only {
        add(format_args!("; HttpOnly"));
    }
    if cookie.secure {
        add(format_args!("; Secure"));
    }
    match cookie.same_site {
        None => {}
        Some(SameSite::None) => add(format_args!("; SameSite=None")),
        Some(SameSite::Lax) => add(format_args!("; SameSite=Lax")),
        Some(SameSite::Strict) => add(format_args!("; SameSite=Strict")),
    }
    out
}

/// FNV-1, 64 bits.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_from_the_settings_or_from_the_service() {
        let named = Cookie { name: Some("server_id".into()), ..Cookie::default() };
        assert_eq!(Sticky::new(&named, "api@docker").name(), "server_id");
        let own = Sticky::new(&Cookie::default(), "api@docker");
        assert!(own.name().len() == 6 && own.name().starts_with('_'), "{}", own.name());
        assert_ne!(own.name(), Sticky::new(&Cookie::default(), "web@docker").name());
    }

    #[test]
    fn attributes_are_those_of_the_settings() {
        let plain = Cookie { name: Some("s".into()), ..Cookie::default() };
        assert_eq!(&*Sticky::new(&plain, "a").set(0xabc), "s=abc; Path=/");
        let all = Cookie {
            secure: true,
            http_only: true,
            same_site: Some(SameSite::Strict),
            max_age: 60,
            path: Some("/app".into()),
            domain: Some("example.com".into()),
            ..plain.clone()
        };
        assert_eq!(
            &*Sticky::new(&all, "a").set(1),
            "s=1; Path=/app; Domain=example.com; Max-Age=60; HttpOnly; Secure; SameSite=Strict"
        );
        let gone = Cookie { max_age: -1, ..plain };
        assert_eq!(&*Sticky::new(&gone, "a").set(1), "s=1; Path=/; Max-Age=0");
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let sticky = Sticky::new(&Cookie { name: Some("s".into()), ..Cookie::default() }, "a");
        for (line, session) in [
            ("s=1f", Some(0x1f)),
            ("a=b; s=1f; c=d", Some(0x1f)),
            ("s=\"1f\"", Some(0x1f)),
            ("xs=1f", None),
            ("s=", None),
            ("s=10.0.0.1", None),
            ("s", None),
            ("", None),
        ] {
            let mut head = Head::request("GET", "/");
            head.add("Accept", "*/*");
            head.add("Cookie", line);
            assert_eq!(sticky.session(&head), session, "{line}");
        }
    }

    #[test]
    fn values_are_fnv_1_as_in_traefik() {
        assert_eq!(fnv(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv("a"), 0xaf63_bd4c_8601_b7be);
    }
}
