//! Names as parts of keys of a key-value bucket.

/// A name as one part of a key. NATS takes letters, digits, `-`, `_`, `/`, `.` and `=` in keys; any
/// other byte, and `/`, `.` and `=` themselves, are written `=` and two hexadecimal digits.
pub(crate) fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            _ => out.push_str(&format!("={byte:02X}")),
        }
    }
    out
}

/// The name that a part of a key stands for: any `=` with two hexadecimal digits is that byte. `None`
/// where that makes no text, or an `=` stands for nothing.
pub(crate) fn unescape(part: &str) -> Option<String> {
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'=' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    macro_rules! parts {
        ($($test:ident: $name:expr => $part:expr;)+) => {
            $(#[test]
            fn $test() {
                assert_eq!(escape($name), $part);
                assert_eq!(unescape($part).as_deref(), Some($name));
            })+
        };
    }

    parts! {
        plain_name_stays: "web-1_a" => "web-1_a";
        dots_are_escaped: "a.b" => "a=2Eb";
        blanks_are_escaped: "my app" => "my=20app";
        slashes_are_escaped: "a/b" => "a=2Fb";
        the_sign_itself_is_escaped: "a=b" => "a=3Db";
        providers_are_escaped: "pg@file" => "pg=40file";
        addresses_are_escaped: "[::1]:80" => "=5B=3A=3A1=5D=3A80";
        letters_beyond_ascii: "ü" => "=C3=BC";
    }

    macro_rules! unescapes {
        ($($test:ident: $part:expr => $name:expr;)+) => {
            $(#[test]
            fn $test() {
                let name: Option<&str> = $name;
                assert_eq!(unescape($part).as_deref(), name);
            })+
        };
    }

    unescapes! {
        dots_may_stand_as_they_are: "a.b" => Some("a.b");
        digits_in_lower_case: "a=2eb" => Some("a.b");
        sign_at_the_end: "a=" => None;
        sign_with_one_digit: "a=4" => None;
        sign_without_digits: "a=xyz" => None;
        bytes_that_are_no_text: "=FF" => None;
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "\\PC*") {
            let part = escape(&name);
            prop_assert_eq!(unescape(&part), Some(name));
            prop_assert!(part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b)));
        }
    }
}
