//! Questions to the registry's DNS.

use hickory_proto::op::Message;

use super::fuzz;
use crate::registry::dns::tests::{state, zone};

const WORDS: &[&str] = &[
    "\x03api",
    "\x07service",
    "\x06consul",
    "\x04many",
    "\x08_api",
    "\x04addr",
    "\x080a000105",
    "\x00",
    "\x00\x01\x00\x01",
    "\x00\x21\x00\x01",
    "\x00\x1c\x00\x01",
    "\x00\x01\x00\x00\x00\x00\x00\x01",
    "\x00\x00\x29\x10\x00",
    "\x01\x00",
];

#[test]
fn questions() {
    let (zone, state) = (zone(), state());
    fuzz("dns", WORDS, |input| {
        [true, false].map(|is_udp| {
            let bytes = zone.answer(input, &state, is_udp)?;
            assert_eq!(bytes[..2], input[..2], "another question's answer");
            let answer = Message::from_vec(&bytes).expect("an answer that can be read");
            assert!(is_udp || !answer.metadata.truncation, "cut off over TCP");
            assert!(!is_udp || bytes.len() <= 4096, "{} bytes over UDP", bytes.len());
            Some((answer.metadata.response_code.low(), answer.answers.len().min(3)))
        })
    });
}
