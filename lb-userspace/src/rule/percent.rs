//! Percent-encoding (RFC 3986 §2.1) of paths and queries.

use std::borrow::Cow;

/// Characters whose escape means something else than they do themselves (RFC 3986 §2.2), and `%`.
const RESERVED: &[u8] = b":/?#[]@!$&'()*+,;=%";

/// A path as rules see it: escapes are resolved, those of reserved characters and of what is no
/// UTF-8 stay.
pub(crate) fn routing_path(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match escape(&bytes[at..]).filter(|byte| !RESERVED.contains(byte)) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(path), Cow::Owned)
}

/// Names and values of a query, decoded. Pairs with a `;` or a faulty escape are left out, as
/// servers disagree about them.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((component(name)?, component(value)?))
    })
}

/// A name or a value of a query: `+` is a space.
fn component(text: &str) -> Option<Cow<'_, [u8]>> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(bytes));
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' => {
                out.push(escape(&bytes[at..])?);
                at += 2;
            }
            b'+' => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    Some(Cow::Owned(out))
}

/// What an escape at the beginning stands for.
fn escape(bytes: &[u8]) -> Option<u8> {
    let &[b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_but_for_reserved_characters() {
        for (path, seen) in [
            ("/a", "/a"),
            ("/foo%20bar", "/foo bar"),
            ("/%61%62", "/ab"),
            ("/a%2Fb%2fc", "/a%2Fb%2fc"),
            ("/100%25", "/100%25"),
            ("/%", "/%"),
            ("/%4", "/%4"),
            ("/%zz%41", "/%zzA"),
            ("/caf%C3%A9", "/café"),
            ("/%ff%41", "/%ff%41"),
        ] {
            assert_eq!(routing_path(path), seen);
        }
    }

    #[test]
    fn queries_fall_into_pairs() {
        let text = |bytes: Cow<'_, [u8]>| String::from_utf8(bytes.into_owned()).expect("UTF-8");
        let all = pairs("a=1&b&&c=%20+x=y&d=%zz&e=1;f=2&%67=7");
        let all: Vec<_> =
            all.map(|(name, value)| format!("{}:{}", text(name), text(value))).collect();
        assert_eq!(all, ["a:1", "b:", "c:  x=y", "g:7"]);
    }
}
