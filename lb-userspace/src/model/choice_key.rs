//! The key of choices: who has the same one chooses the same backend for the same flow.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use lb_common::HashKey;

/// Keys of the kernel's choices by hash, made of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChoiceKey(pub HashKey);

impl ChoiceKey {
    /// Fewest characters of the secret: a client that guesses it can aim its flows at one backend.
    pub const SHORTEST: usize = 16;

    /// Made of a secret; white space around it, as a file's last line has it, is no part of it.
    /// `None` where it is shorter than [`Self::SHORTEST`].
    pub fn from_secret(secret: &str) -> Option<Self> {
        let secret = secret.trim();
        if secret.chars().count() < Self::SHORTEST {
            return None;
        }
        let mut key = HashKey::default();
        for (part, words) in key.chunks_exact_mut(4).enumerate() {
            let mut context = Context::new(&SHA256);
            context.update(b"lb: choice of backends");
            context.update(&[part as u8]);
            context.update(secret.as_bytes());
            let digest = context.finish();
            for (word, bytes) in words.iter_mut().zip(digest.as_ref().chunks_exact(8)) {
                *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            }
        }
        Some(Self(key))
    }
}

impl fmt::Debug for ChoiceKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChoiceKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_secret_makes_the_same_key_on_every_host() {
        let key = ChoiceKey::from_secret("correct horse battery").unwrap();
        // Of this version and every later one: nodes are upgraded one by one.
        assert_eq!(key.0[0], FIRST_WORD);
        assert_eq!(ChoiceKey::from_secret(" correct horse battery\n"), Some(key));
        assert_ne!(ChoiceKey::from_secret("correct horse batterz"), Some(key));
    }

    const FIRST_WORD: u64 = 0x5ec0_a284_c6a9_78e9;

    #[test]
    fn all_words_differ() {
        let key = ChoiceKey::from_secret("correct horse battery").unwrap();
        let words: std::collections::BTreeSet<u64> = key.0.into_iter().collect();
        assert_eq!(words.len(), 12);
    }

    #[test]
    fn what_can_be_guessed_is_no_secret() {
        assert_eq!(ChoiceKey::from_secret("123456789012345"), None);
        assert_eq!(ChoiceKey::from_secret("    1234567890123456".trim_end_matches('6')), None);
    }

    #[test]
    fn the_key_is_never_shown() {
        let key = ChoiceKey::from_secret("correct horse battery").unwrap();
        assert_eq!(format!("{key:?}"), "ChoiceKey");
    }
}
