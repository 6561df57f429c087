//! Passwords as htpasswd keeps them.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA1_FOR_LEGACY_USE_ONLY, digest},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};

/// A hashed password.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Hash {
    /// `$apr1$SALT$…`, and `$1$SALT$…` of crypt.
    Md5 { magic: &'static str, salt: String, sum: String },
    /// `{SHA}…`.
    Sha1(Vec<u8>),
    /// `$2y$COST$…`.
    Bcrypt(String),
}

const MAGICS: [&str; 2] = ["$apr1$", "$1$"];

impl Hash {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(sum) = text.strip_prefix("{SHA}") {
            let sum = STANDARD.decode(sum).ok()?;
            return (sum.len() == 20).then_some(Self::Sha1(sum));
        }
        for magic in MAGICS {
            if let Some(rest) = text.strip_prefix(magic) {
                let (salt, sum) = rest.split_once('$')?;
                let right = sum.len() == 22 && !salt.is_empty() && salt.len() <= 8;
                let (salt, sum) = (salt.to_owned(), sum.to_owned());
                return right.then_some(Self::Md5 { magic, salt, sum });
            }
        }
        let is_bcrypt =
            ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|magic| text.starts_with(magic));
        (is_bcrypt && text.len() == 60).then(|| Self::Bcrypt(text.to_owned()))
    }

    /// Whether checking a password takes so long that others would wait.
    pub(super) fn is_slow(&self) -> bool {
        !matches!(self, Self::Sha1(_))
    }

    /// Whether this is the password.
    pub(super) fn verifies(&self, password: &[u8]) -> bool {
        match self {
            Self::Md5 { magic, salt, sum } => {
                let found = md5_crypt(password, magic, salt.as_bytes());
                verify_slices_are_equal(found.as_bytes(), sum.as_bytes()).is_ok()
            }
            Self::Sha1(sum) => {
                let found = digest(&SHA1_FOR_LEGACY_USE_ONLY, password);
                verify_slices_are_equal(found.as_ref(), sum).is_ok()
            }
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
        }
    }
}

/// Poul-Henning Kamp's MD5 crypt, which Apache has under a name of its own.
fn md5_crypt(password: &[u8], magic: &str, salt: &[u8]) -> String {
    let inner = sum(&[password, salt, password]);
    let mut first = Md5::new();
    first.update(password);
    first.update(magic);
    first.update(salt);
    for chunk in password.chunks(16) {
        first.update(&inner[..chunk.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        first.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut last: [u8; 16] = first.finalize().into();
    for round in 0..1000 {
        let (a, b) = if round & 1 == 1 { (password, &last[..]) } else { (&last[..], password) };
        let salt = if round % 3 == 0 { &[][..] } else { salt };
        let middle = if round % 7 == 0 { &[][..] } else { password };
        last = sum(&[a, salt, middle, b]);
    }
    encoded(&last)
}

fn sum(parts: &[&[u8]]) -> [u8; 16] {
    let mut md5 = Md5::new();
    parts.iter().for_each(|part| md5.update(part));
    md5.finalize().into()
}

/// Six bits a letter, in an order of its own.
fn encoded(sum: &[u8; 16]) -> String {
    const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut text = String::new();
    let mut write = |mut word: usize, letters: usize| {
        for _ in 0..letters {
            text.push(char::from(LETTERS[word & 63]));
            word >>= 6;
        }
    };
    for [a, b, c] in ORDER {
        write(usize::from(sum[a]) << 16 | usize::from(sum[b]) << 8 | usize::from(sum[c]), 4);
    }
    write(usize::from(sum[11]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::Hash;

    /// Made with htpasswd and openssl.
    const HASHES: &[(&str, &str)] = &[
        ("test", "$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/"),
        ("test", "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="),
        APR1_LONG,
        MD5_CRYPT,
        BCRYPT,
    ];
    const APR1_LONG: (&str, &str) =
        ("a password that is longer than sixteen bytes", "$apr1$abcdefgh$AaK/FVm2z4lOI9DSq69901");
    const MD5_CRYPT: (&str, &str) = ("secret", "$1$Xy12$7fqYxRqaZ7tfhgF6M7yDh.");
    const BCRYPT: (&str, &str) =
        ("secret", "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a");

    #[test]
    fn the_right_password_is_known_and_no_other() {
        for (password, hash) in HASHES {
            let parsed = Hash::parse(hash).unwrap_or_else(|| panic!("{hash}"));
            assert!(parsed.verifies(password.as_bytes()), "{hash}");
            for wrong in ["", "tes", "test ", "Secret"] {
                assert!(!parsed.verifies(wrong.as_bytes()), "{hash} takes {wrong:?}");
            }
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in ["", "plain", "{SHA}short", "$apr1$salt$x", "$2y$05$short", "$6$a$b", "$apr1$"]
        {
            assert!(Hash::parse(text).is_none(), "{text}");
        }
    }
}
