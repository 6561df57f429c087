//! Heads of requests and answers.

use super::fuzz;
use crate::proxy::head::{
    Head,
    parse::{self, Limits},
};

const WORDS: &[&str] = &[
    "GET ",
    "POST ",
    "OPTIONS * ",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "HTTP/1.1 200 OK\r\n",
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "\r\n",
    "\r\n\r\n",
    "Expect: 100-continue\r\n",
    ": ",
    "http://",
    "[::1]",
    "%2e",
    ", ",
    "\t",
    "\r",
    "\n",
];

#[test]
fn heads() {
    fuzz("head", WORDS, |input| (request(input), response(input)));
}

fn request(input: &[u8]) -> Result<bool, &'static str> {
    let limits = Limits { bytes: 4096, fields: 32 };
    let mut head = Head::default();
    let parsed = parse::request(input, limits, &mut head);
    let Some((length, _)) = parsed.map_err(|refusal| refusal.reason)? else { return Ok(false) };
    assert!(length <= input.len() && length <= limits.bytes);
    assert!(head.iter().count() <= limits.fields);
    assert_eq!(head.values("host").count().min(2), usize::from(head.has("host")), "two hosts");
    assert!(!head.method().is_empty() && !head.target().is_empty());
    assert!(head.target().bytes().all(|byte| byte > 0x20 && byte != 0x7f), "{:?}", head.target());
    sound(&head);
    // What has come so far is never taken for whole, nor for something else.
    for cut in [length / 2, length - 1] {
        let mut part = Head::default();
        let early = parse::request(&input[..cut], limits, &mut part);
        assert!(matches!(early, Ok(None)), "{early:?} after {cut} of {length}");
    }
    Ok(true)
}

fn response(input: &[u8]) -> Result<bool, &'static str> {
    let limits = Limits { bytes: 4096, fields: 256 };
    let mut head = Head::default();
    let parsed = parse::response(input, limits, &mut head);
    let Some(length) = parsed.map_err(|refusal| refusal.reason)? else { return Ok(false) };
    assert!(length <= input.len() && (100..600).contains(&head.status()));
    sound(&head);
    Ok(true)
}

/// Nothing in it can end a line where it is written anew.
fn sound(head: &Head) {
    for (name, value) in head.iter() {
        assert!(
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':'),
            "{name:?}"
        );
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{name}: {value:?}");
        assert_eq!(value, value.trim_ascii(), "{name}");
    }
}
