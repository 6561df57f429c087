//! Names as tokens of NATS subjects, which have no dots, blanks or wildcards.

/// A name as one token: what can't stand in one is percent-encoded, and so is `%`.
pub(crate) fn token(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'.' | b'*' | b'>' | b'%' | 0..=b' ' | 0x7f.. => out.push_str(&format!("%{byte:02X}")),
            _ => out.push(char::from(byte)),
        }
    }
    if out.is_empty() { "%".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! tokens {
        ($($test:ident: $name:expr => $token:expr;)+) => {
            $(#[test]
            fn $test() {
                assert_eq!(token($name), $token);
            })+
        };
    }

    tokens! {
        qualified_name_stays: "http/api@file" => "http/api@file";
        dots_are_no_levels: "a.b" => "a%2Eb";
        wildcards_are_none: "*>" => "%2A%3E";
        blanks_are_encoded: "a b" => "a%20b";
        percent_is_encoded: "a%2E" => "a%252E";
        nothing_is_a_token: "" => "%";
        letters_beyond_ascii: "ü" => "%C3%BC";
    }
}
