//! The SQL words, phrases and two-byte operators, and what kind of token each is.

use super::kind::{Kind, KindSet};
use super::packing::{WORD_BUCKETS, WORD_FILTER_BITS, letter_bit, word_bucket, word_filter_bit};
use super::value::{Value, integer};

include!(concat!(env!("OUT_DIR"), "/words.rs"));
const _: () = assert!(WORD_STARTS.len() == WORD_BUCKETS + 1);
const _: () = assert!(WORD_FILTER.len() * 64 == WORD_FILTER_BITS);

/// A word that is listed, or that begins a listed phrase.
pub(super) struct Entry {
    key: [u64; 4],
    /// `None` for a word that only begins phrases.
    pub(super) kind: Option<Kind>,
    /// The kinds that folding may make of a token of this word: its own, those of the phrases it
    /// begins, and what the rules turn those into.
    pub(super) effects: KindSet,
    /// Whether it begins a phrase.
    pub(super) begins_phrase: bool,
}

/// The kind listed for a word, whatever the case of its letters; `None` when it is not listed.
pub(crate) fn kind_of(word: &[u8]) -> Option<Kind> {
    entry(word)?.kind
}

/// What is known of the word `input[at..end]`. Without an entry for it, it is a bareword and stays
/// one.
#[inline]
pub(super) fn entry_for(input: &[u8], at: usize, end: usize) -> Option<&'static Entry> {
    let length = end - at;
    if length > Value::CAPACITY {
        return None;
    }
    let head = match input[at..].first_chunk::<8>() {
        Some(head) if length < 8 => u64::from_le_bytes(*head) & !(u64::MAX << (8 * length)),
        Some(head) => u64::from_le_bytes(*head),
        None => integer(&input[at..end]),
    };
    let bit = word_filter_bit(head, length);
    if WORD_FILTER[bit / 64] >> (bit % 64) & 1 == 0 {
        return None;
    }
    entry(&input[at..end])
}

fn entry(word: &[u8]) -> Option<&'static Entry> {
    let key = Value::key(word)?;
    let bucket = word_bucket(&key);
    let range = usize::from(WORD_STARTS[bucket])..usize::from(WORD_STARTS[bucket + 1]);
    WORDS[range].iter().find(|entry| entry.key == key)
}

/// The kind listed for two words with a space between them; `None` when that is not listed.
pub(crate) fn kind_of_phrase(first: &Value, second: &Value) -> Option<(Value, Kind)> {
    let partners = PHRASE_PARTNERS[letter_bit(first.first())];
    if partners & 1 << letter_bit(second.first()) == 0 {
        return None;
    }
    let phrase = first.joined(second)?;
    Some((phrase, kind_of(phrase.bytes())?))
}

/// Every listed word.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = Value> {
    WORDS.iter().filter(|entry| entry.kind.is_some()).map(|entry| Value::from_key(&entry.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_words_in_any_case_and_nothing_else() {
        let cases: [(&[u8], Option<Kind>); 9] = [
            (b"select", Some(Kind::Expression)),
            (b"SeLeCt", Some(Kind::Expression)),
            (b"union all", Some(Kind::Union)),
            (b"||", Some(Kind::LogicOperator)),
            (b"select\0", None),
            (b"selec", None),
            (b"", None),
            (b"\xd3ELECT", None),
            (b"0UE1", None),
        ];
        for (word, kind) in cases {
            assert_eq!(kind_of(word), kind, "{}", word.escape_ascii());
        }
    }
}
