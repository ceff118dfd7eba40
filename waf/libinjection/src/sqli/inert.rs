//! A quick look at a value that tells most values of real traffic from those worth tokenizing.

use super::bytes;

/// Whether `input` cannot be injection, decided by its bytes alone.
///
/// Two shapes are known. A single word without dot, backtick or quote is one token, and the only
/// fingerprint of one letter is that of a comment. And digits with `.`, `,`, `:`, single `-` and
/// spaces are numbers, operators and punctuation, of which no fingerprint consists without a
/// parenthesis. The tests hold both against the full reading.
pub(super) fn is_inert(input: &[u8]) -> bool {
    match input {
        [] => true,
        [b'0'..=b'9', ..] => is_figures(input),
        [b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0x9f | 0xa1.., rest @ ..] => {
            rest.iter().all(|&byte| !bytes::WORD_END.has(byte) && byte != b'.' && byte != b'`')
        }
        _ => false,
    }
}

fn is_figures(input: &[u8]) -> bool {
    let mut last = 0;
    for &byte in input {
        let dashes = byte == b'-' && last == b'-';
        if dashes || !matches!(byte, b'0'..=b'9' | b' ' | b'.' | b',' | b':' | b'-') {
            return false;
        }
        last = byte;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::sqli::fingerprint::Fingerprint;
    use crate::sqli::{read_all, words};

    /// The bytes both shapes are made of, and those that would break them, in random rows.
    #[test]
    fn inert_values_are_no_injection_when_read() {
        let mut random = 1_u64;
        let mut inert = 0;
        let alphabet = b"0123456789 .,:--aeEnNbBxXqQuUdDfFsS_$\x80\xa0\xc3\x01\x7f'`&";
        for round in 0..400_000 {
            let mut input = Vec::new();
            // Figures alone in one round, everything in the next.
            let letters = if round % 2 == 0 { &alphabet[..16] } else { &alphabet[..] };
            for _ in 0..1 + round % 12 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                input.push(letters[(random >> 33) as usize % letters.len()]);
            }
            if is_inert(&input) {
                inert += 1;
                assert_eq!(read_all(&input), None, "{}", input.escape_ascii());
            }
        }
        assert!(inert > 50_000, "only {inert} of the inputs are inert");
    }

    /// Each word alone, whatever its kind.
    #[test]
    fn listed_words_alone_are_no_injection() {
        for text in words::all() {
            assert!(!is_inert(text.bytes()) || read_all(text.bytes()).is_none(), "{text:?}");
        }
    }

    /// What the two shapes rest on, asked of the table itself.
    #[test]
    fn no_fingerprint_is_of_one_word_or_of_figures() {
        let of = |kinds: &[Kind]| Fingerprint::of_kinds(kinds.iter().copied());
        for letter in 0..=u8::MAX {
            if let Some(kind) = Kind::from_letter(letter).filter(|&kind| kind != Kind::Evil) {
                assert!(!of(&[kind]).is_listed(), "{kind:?}");
            }
        }
        let figures = [Kind::Number, Kind::Operator, Kind::Dot, Kind::Comma, Kind::Colon];
        let mut rows: Vec<Vec<Kind>> = vec![Vec::new()];
        for _ in 0..5 {
            rows = rows
                .iter()
                .flat_map(|row| figures.map(|kind| row.iter().copied().chain([kind]).collect()))
                .collect();
            for row in &rows {
                assert!(!of(row).is_listed(), "{row:?}");
            }
        }
    }
}
