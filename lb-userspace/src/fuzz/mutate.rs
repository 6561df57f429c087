//! Inputs made of other inputs.

use fastrand::Rng;

/// No input is longer.
const LONGEST: usize = 8 * 1024;
/// Bytes that often make a difference.
const EDGES: [u8; 14] = [0, 1, 9, 10, 13, 32, b'0', b'9', b':', b'-', 0x7f, 0x80, 0xfe, 0xff];

/// Makes inputs.
pub(super) struct Mutator<'a> {
    rng: Rng,
    words: &'a [&'a str],
}

impl<'a> Mutator<'a> {
    pub(super) fn new(rng: Rng, words: &'a [&'a str]) -> Self {
        Self { rng, words }
    }

    /// One of `inputs`, changed in a few places.
    pub(super) fn make(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = inputs[self.rng.usize(..inputs.len())].clone();
        for _ in 0..1 << self.rng.u32(..5) {
            self.change(&mut input, inputs);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.rng.usize(..=input.len());
        let end = (at + self.rng.usize(..16)).min(input.len());
        match self.rng.u8(..10) {
            0 if at < input.len() => input[at] ^= 1 << self.rng.u8(..8),
            1 if at < input.len() => input[at] = EDGES[self.rng.usize(..EDGES.len())],
            2 => input.insert(at, EDGES[self.rng.usize(..EDGES.len())]),
            3 => drop(input.drain(at..end)),
            4 => input.truncate(at),
            5 => {
                let piece = input[at..end].to_vec();
                let times = self.rng.usize(1..8);
                insert(input, at, &piece.repeat(times));
            }
            6 => {
                let other = &inputs[self.rng.usize(..inputs.len())];
                let from = self.rng.usize(..=other.len());
                let piece = &other[from..(from + self.rng.usize(..64)).min(other.len())];
                insert(input, at, piece);
            }
            7 if at < input.len() => input[at] = self.rng.u8(..),
            8 if at < input.len() => input[at] = input[at].wrapping_add(1),
            _ if !self.words.is_empty() => {
                let word = self.words[self.rng.usize(..self.words.len())];
                insert(input, at, word.as_bytes());
            }
            _ => {}
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if input.len() + piece.len() <= LONGEST {
        input.splice(at..at, piece.iter().copied());
    }
}
