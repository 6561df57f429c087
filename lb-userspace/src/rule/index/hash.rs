//! Hashes of hosts and paths, eight bytes at a time (folded multiplication). They need no secret: who
//! sends requests can't file anything, and a request that lands in a place by chance finds that
//! nothing there matches.

/// A host's, or a host's and a path's.
pub(super) type Key = u64;

/// The key of what has no condition on the host.
pub(super) const ANYWHERE: Key = 0x9e37_79b9_7f4a_7c15;

const EXACT: u64 = 0xa076_1d64_78bd_642f;
const UNDER: u64 = 0xe703_7ed1_a0b4_28db;
const PREFIX: u64 = 0x8ebc_6af0_9c88_c6e3;
const WHOLE: u64 = 0x5899_65cc_7537_4cc3;

/// A host's key.
pub(super) fn host(name: &str) -> Key {
    Prefixes { state: EXACT, at: 0 }.next(name.as_bytes())
}

/// The key of what lies under a suffix, which begins with its dot.
pub(super) fn under(suffix: &str) -> Key {
    Prefixes { state: UNDER, at: 0 }.next(suffix.as_bytes())
}

/// Keys of the prefixes of one text, each longer than the one before.
#[derive(Clone, Copy)]
pub(super) struct Prefixes {
    state: u64,
    at: usize,
}

impl Prefixes {
    /// Under a host's key.
    pub(super) fn of(host: Key) -> Self {
        Self { state: fold(host ^ PREFIX, WHOLE), at: 0 }
    }

    /// The key of a whole text, which is not that of the same text as a prefix.
    pub(super) fn whole(mut self, text: &[u8]) -> Key {
        fold(self.next(text) ^ WHOLE, EXACT)
    }

    /// The key of a prefix, which goes on from the one before.
    pub(super) fn next(&mut self, prefix: &[u8]) -> Key {
        while let Some((chunk, _)) = prefix[self.at..].split_first_chunk::<8>() {
            self.state = fold(self.state ^ u64::from_le_bytes(*chunk), PREFIX);
            self.at += 8;
        }
        let mut last = [0; 8];
        let rest = &prefix[self.at..];
        last[..rest.len()].copy_from_slice(rest);
        fold(self.state ^ u64::from_le_bytes(last), UNDER ^ prefix.len() as u64)
    }
}

/// Both halves of a product.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
