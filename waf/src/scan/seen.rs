//! Values that were scanned before in the same transaction: a second scan of
//! the same bytes for the same tests finds nothing new.

use super::plan::Plan;
use crate::text::{TextId, TextStore};

/// Places; a power of two.
const PLACES: usize = 512;
/// Longest value that is remembered: longer ones hardly repeat.
const LONGEST: usize = 256;

/// The last value at each place, which its bytes decide.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Values with the addresses of their plans, which lie still for as long as a ruleset is in use.
    places: Vec<(usize, TextId)>,
}

impl Seen {
    /// Number of values from which on it is worth to remember them.
    pub(super) const WORTH_IT: usize = 24;

    /// Whether a value was scanned before; from now on it was.
    pub(super) fn is_repeated(&mut self, texts: &TextStore, plan: &Plan, value: TextId) -> bool {
        let bytes = texts.bytes(value);
        if bytes.len() > LONGEST {
            return false;
        }
        if self.places.is_empty() {
            self.places.resize(PLACES, (0, TextId::EMPTY));
        }
        let plan = std::ptr::from_ref(plan).addr();
        let Some(place) = self.places.get_mut(place_of(bytes)) else { return false };
        let (known_plan, known) = std::mem::replace(place, (plan, value));
        known_plan == plan && texts.bytes(known) == bytes
    }
}

/// Eight bytes at a time; whoever sends values of one place gains nothing but that they are scanned.
fn place_of(bytes: &[u8]) -> usize {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain(std::iter::once(&last)).map(|word| u64::from_le_bytes(*word));
    let mixed =
        words.fold(bytes.len() as u64, |mixed, word| (mixed ^ word).wrapping_mul(FACTOR).rotate_left(29));
    (mixed.wrapping_mul(FACTOR) >> 55) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_repeated_for_the_same_tests() {
        let (mut texts, mut seen) = (TextStore::new(), Seen::default());
        let (one, other) = (Plan::default(), Plan::default());
        let first = texts.add(b"berlin mitte");
        let same = texts.add(b"berlin mitte");
        let different = texts.add(b"berlin mitts");
        assert!(!seen.is_repeated(&texts, &one, first));
        assert!(seen.is_repeated(&texts, &one, same));
        assert!(!seen.is_repeated(&texts, &other, same));
        assert!(!seen.is_repeated(&texts, &other, different));
        assert!(!seen.is_repeated(&texts, &one, TextId::EMPTY));
        assert!(seen.is_repeated(&texts, &one, TextId::EMPTY));
        assert_eq!(place_of(&[0xff; 300]).min(PLACES), place_of(&[0xff; 300]));
    }
}
