//! Fingerprints: the kinds of a value's first tokens in a row, and which of them mean injection.

use std::fmt;

use super::kind::Kind;
use super::packing::{FINGERPRINT_BUCKETS, FINGERPRINT_LENGTH, THIRD_LETTER, pack_fingerprint, pack_opening};
use super::token::Token;

#[cfg(test)]
use super::packing::unpack_fingerprint;

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

    /// Whether a listed fingerprint begins with `kinds`, one to three of them.
    pub(crate) fn some_listed_begins_with(kinds: &[Kind]) -> bool {
        let mut letters = [0; 3];
        for (letter, kind) in letters.iter_mut().zip(kinds) {
            *letter = kind.letter();
        }
        let Some((buckets, third)) = pack_opening(&letters[..kinds.len().min(3)]) else { return false };
        let tails = &FINGERPRINT_TAILS
            [usize::from(FINGERPRINT_STARTS[buckets.start])..usize::from(FINGERPRINT_STARTS[buckets.end])];
        match third {
            None => !tails.is_empty(),
            Some(third) => {
                let at = tails.partition_point(|tail| tail & THIRD_LETTER < third);
                tails.get(at).is_some_and(|tail| tail & THIRD_LETTER == third)
            }
        }
    }

    /// Whether the fingerprint is listed as one of injection.
    pub(crate) fn is_listed(&self) -> bool {
        let Some((bucket, tail)) = pack_fingerprint(self.letters()) else { return false };
        let range = usize::from(FINGERPRINT_STARTS[bucket])..usize::from(FINGERPRINT_STARTS[bucket + 1]);
        FINGERPRINT_TAILS[range].binary_search(&tail).is_ok()
    }
}

#[cfg(test)]
impl Fingerprint {
    /// Every listed fingerprint, in upper case.
    pub(crate) fn all_listed() -> impl Iterator<Item = String> {
        (0..FINGERPRINT_BUCKETS).flat_map(|bucket| {
            let range = usize::from(FINGERPRINT_STARTS[bucket])..usize::from(FINGERPRINT_STARTS[bucket + 1]);
            FINGERPRINT_TAILS[range].iter().map(move |&tail| unpack_fingerprint(bucket, tail))
        })
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
