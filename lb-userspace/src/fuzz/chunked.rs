//! The chunked coding, whole and bit by bit.

use super::fuzz;
use crate::proxy::chunked::{Decoder, Part};

const WORDS: &[&str] = &[
    "0\r\n\r\n",
    "1\r\na\r\n",
    "5\r\nhello\r\n",
    "\r\n",
    "ffffffffffffffff",
    "0000000000000001",
    ";a=b",
    ";a=\"b\"",
    "X-Sum: 7\r\n",
    "0\r\n",
    "\n",
    "\r",
    " ",
    "-1",
    "0x",
];

#[test]
fn chunked_bodies() {
    fuzz("chunked", WORDS, |input| {
        let (whole, outcome) = decoded(input, input.len().max(1));
        for step in [1, 3] {
            let (part, other) = decoded(input, step);
            assert_eq!(outcome, other, "by {step}");
            if outcome.is_ok() {
                assert_eq!(whole, part, "by {step}");
            }
        }
        outcome
    });
}

/// The data, and how it ended: with so many trailers, for a reason, or not yet.
fn decoded(input: &[u8], step: usize) -> (Vec<u8>, Result<Option<usize>, &'static str>) {
    let (mut decoder, mut data) = (Decoder::default(), Vec::new());
    let (mut at, mut end) = (0, step.min(input.len()));
    loop {
        match decoder.next(&input[at..end]) {
            Err(why) => return (data, Err(why)),
            Ok(Part::Skip(count)) => at += count,
            Ok(Part::Data(count)) => {
                data.extend_from_slice(&input[at..at + count]);
                at += count;
            }
            Ok(Part::End(_, trailers)) => {
                let trailers = trailers.map_or(0, |head| head.iter().count());
                return (data, Ok(Some(trailers)));
            }
            Ok(Part::More) if end == input.len() => return (data, Ok(None)),
            Ok(Part::More) => end = (end + step).min(input.len()),
        }
        assert!(at <= end, "more was taken than was there");
    }
}
