//! The SQL words, phrases and two-byte operators, and what kind of token each is.

use super::kind::Kind;
use super::packing::{WORD_BUCKETS, letter_bit, word_bucket};
use super::value::Value;

include!(concat!(env!("OUT_DIR"), "/words.rs"));
const _: () = assert!(WORD_STARTS.len() == WORD_BUCKETS + 1);

/// The kind listed for a word, whatever the case of its letters; `None` when it is not listed.
pub(crate) fn kind_of(word: &[u8]) -> Option<Kind> {
    let key = Value::key(word)?;
    let bucket = word_bucket(&key);
    let range = usize::from(WORD_STARTS[bucket])..usize::from(WORD_STARTS[bucket + 1]);
    WORDS[range].iter().find(|(listed, _)| *listed == key).map(|&(_, kind)| kind)
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
    WORDS.iter().map(|(key, _)| Value::from_key(key))
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
