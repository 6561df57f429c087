//! Host names in one form, and the patterns that name them.

use std::borrow::Cow;

/// Lower case, without the last dot of a fully qualified name and the brackets of an IPv6 address.
pub(super) fn canonical(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// Names that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPattern {
    /// This one.
    Exact(Box<str>),
    /// `*.example.com`: one label in front. Kept with its dot.
    OneLabel(Box<str>),
    /// `**.example.com`: one or more labels in front. Kept with its dot.
    Labels(Box<str>),
}

impl HostPattern {
    /// Reads a name or a wildcard. Names in other scripts are brought to their ASCII form (RFC 5891).
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("{text:?} is not a host name");
        let (kind, name): (fn(Box<str>) -> Self, &str) =
            match (text.strip_prefix("**."), text.strip_prefix("*.")) {
                (Some(rest), _) => (Self::Labels, rest),
                (None, Some(rest)) => (Self::OneLabel, rest),
                (None, None) => (Self::Exact, text),
            };
        let name = if name.is_ascii() {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(idna::domain_to_ascii(name).map_err(|_| invalid())?)
        };
        let name = canonical(&name);
        let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:%".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_sound) {
            return Err(invalid());
        }
        let dot = if matches!(kind("".into()), Self::Exact(_)) { "" } else { "." };
        Ok(kind(format!("{dot}{name}").into()))
    }

    /// Whether a canonical name is one of them.
    pub(super) fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::OneLabel(suffix) => host
                .strip_suffix(&**suffix)
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
            Self::Labels(suffix) => {
                host.strip_suffix(&**suffix).is_some_and(|labels| !labels.is_empty())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, host: &str) -> bool {
        HostPattern::parse(pattern).expect("a pattern").matches(&canonical(host))
    }

    #[test]
    fn a_name_matches_whatever_its_case_and_last_dot() {
        for host in ["example.com", "EXAMPLE.com", "example.com."] {
            for pattern in ["example.com", "Example.COM", "example.com."] {
                assert!(matches(pattern, host), "{pattern} {host}");
            }
            assert!(!matches("xample.com", host));
        }
    }

    #[test]
    fn one_star_stands_for_one_label_and_two_for_any_number() {
        assert!(matches("*.example.com", "a.example.com"));
        assert!(!matches("*.example.com", "a.b.example.com"));
        assert!(!matches("*.example.com", "example.com"));
        assert!(!matches("*.example.com", ".example.com"));
        assert!(matches("**.example.com", "a.example.com"));
        assert!(matches("**.example.com", "a.b.example.com"));
        assert!(!matches("**.example.com", "example.com"));
        assert!(!matches("**.example.com", "anexample.com"));
    }

    #[test]
    fn other_scripts_are_brought_to_ascii() {
        assert!(matches("bücher.example", "xn--bcher-kva.example"));
    }

    #[test]
    fn ipv6_addresses_match_with_and_without_brackets() {
        assert!(matches("[2001:db8::1]", "[2001:DB8::1]"));
        assert!(matches("2001:db8::1", "[2001:db8::1]"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "a b", "a/b", "*", "a.*.b", "*.", "http://a"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
