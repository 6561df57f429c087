//! Names in paths.

/// Percent-encodes a path segment or query value (RFC 3986 §2.1).
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_as_path_segments() {
        assert_eq!(encode("tcp/pg@file"), "tcp%2Fpg%40file");
        assert_eq!(encode("[2001:db8::1]:80"), "%5B2001%3Adb8%3A%3A1%5D%3A80");
    }
}
