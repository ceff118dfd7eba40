//! Comparisons of text; all of them mind case (ModSecurity reference manual).

use memchr::memmem;

/// Longest text that is looked for without preparation: the time stays linear in the value.
const SHORT: usize = 40;

/// `@contains`; the empty text is part of every other.
pub(crate) fn contains(value: &[u8], part: &[u8]) -> bool {
    match part {
        // To prepare a search takes longer than to look at each beginning of a short text.
        [first, second, ..] if part.len() <= SHORT => value
            .windows(part.len())
            .any(|window| window[0] == *first && window[1] == *second && window == part),
        _ => memmem::find(value, part).is_some(),
    }
}

/// `@containsWord`: the word with no ASCII letter on either side.
pub(super) fn contains_word(value: &[u8], word: &[u8]) -> bool {
    word_at(value, word).is_some()
}

/// Where the word begins.
pub(crate) fn word_at(value: &[u8], word: &[u8]) -> Option<usize> {
    if word.is_empty() {
        return Some(0);
    }
    let is_letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphabetic);
    let finder = memmem::Finder::new(word);
    let mut from = 0;
    while let Some(at) = value.get(from..).and_then(|rest| finder.find(rest)).map(|at| from + at) {
        let before = at.checked_sub(1).and_then(|index| value.get(index));
        if !is_letter(before) && !is_letter(value.get(at + word.len())) {
            return Some(at);
        }
        // Occurrences may overlap.
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::contains_word;

    #[test]
    fn words() {
        assert!(contains_word(b"a word!", b"word"));
        assert!(!contains_word(b"swordfish", b"word"));
        assert!(contains_word(b"swordfish word", b"word"));
        assert!(contains_word(b"", b""));
        assert!(!contains_word(b"", b"word"));
    }
}
