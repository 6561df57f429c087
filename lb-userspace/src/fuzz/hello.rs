//! ClientHellos.

use super::fuzz;
use crate::proxy::tls::hello::{MAX_HELLO, Peeked, peek};

#[test]
fn hellos() {
    fuzz("hello", &["\u{0}\u{0}", "\u{16}\u{3}\u{1}", "h2", "a.example", "\u{0}\u{10}"], |input| {
        let whole = peek(input);
        let kind = match &whole {
            Peeked::More => "more",
            Peeked::Other => "other",
            Peeked::Malformed(why) => why,
            Peeked::Hello(hello) => {
                let name = hello.server_name.as_deref().unwrap_or("a");
                assert!(!name.is_empty() && name.len() < MAX_HELLO, "{name:?}");
                assert_eq!(name, name.to_ascii_lowercase());
                "hello"
            }
        };
        // What has come so far may lack something, and is never read as something else.
        for cut in [input.len() / 2, input.len().saturating_sub(1)] {
            let early = peek(&input[..cut]);
            let is_same = early == whole || early == Peeked::More;
            assert!(is_same, "{early:?} after {cut} bytes, {whole:?} in the end");
        }
        kind.to_owned()
    });
}
