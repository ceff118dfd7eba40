//! Fingerprints: the kinds of a value's first tokens in a row, and which of them mean injection.

use std::fmt;

use super::kind::Kind;
use super::packing::{FINGERPRINT_BUCKETS, FINGERPRINT_LENGTH, pack_fingerprint};
use super::token::Token;

include!(concat!(env!("OUT_DIR"), "/fingerprints.rs"));
const _: () = assert!(FINGERPRINT_STARTS.len() == FINGERPRINT_BUCKETS + 1);

/// The letters of up to five folded tokens, such as `s&1c`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    letters: [u8; FINGERPRINT_LENGTH],
    length: u8,
}

impl Fingerprint {
    /// The fingerprint of a value that has a token which databases read in different ways.
    pub(crate) const EVIL: Fingerprint =
        Fingerprint { letters: [Kind::Evil.letter(), 0, 0, 0, 0], length: 1 };

    /// The letters of the first five of `tokens`.
    pub(crate) fn of(tokens: &[Token]) -> Fingerprint {
        Fingerprint::of_kinds(tokens.iter().map(|token| token.kind))
    }

    /// The letters of the first five of `kinds`.
    pub(crate) fn of_kinds(kinds: impl Iterator<Item = Kind>) -> Fingerprint {
        let mut fingerprint = Fingerprint { letters: [0; FINGERPRINT_LENGTH], length: 0 };
        for (letter, kind) in fingerprint.letters.iter_mut().zip(kinds) {
            *letter = kind.letter();
            fingerprint.length += 1;
        }
        fingerprint
    }

    /// The letters, one for each token: see [`Kind`](crate::Kind).
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Letters are ASCII, so the default is never taken.
        str::from_utf8(self.letters()).unwrap_or_default()
    }

    /// The letters as bytes.
    pub(crate) fn letters(&self) -> &[u8] {
        &self.letters[..usize::from(self.length)]
    }

    /// Whether the fingerprint is listed as one of injection.
    pub(crate) fn is_listed(&self) -> bool {
        let Some((bucket, tail)) = pack_fingerprint(self.letters()) else { return false };
        let range = usize::from(FINGERPRINT_STARTS[bucket])..usize::from(FINGERPRINT_STARTS[bucket + 1]);
        FINGERPRINT_TAILS[range].binary_search(&tail).is_ok()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Fingerprint({})", self.as_str())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
