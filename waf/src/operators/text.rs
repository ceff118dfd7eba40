//! Comparisons of text; all of them mind case (ModSecurity reference manual).

use memchr::memmem;

/// Longest text that is looked for without preparation: the time stays linear in the value.
const SHORT: usize = 40;

/// `@contains`; the empty text is part of every other.
pub(crate) fn contains(value: &[u8], part: &[u8]) -> bool {
    match part {
        [_, _, ..] if part.len() <= SHORT => contains_short(value, part),
        _ => memmem::find(value, part).is_some(),
    }
}

/// To prepare a search takes longer than to look at two bytes of a short text
/// in many places at once.
fn contains_short(value: &[u8], part: &[u8]) -> bool {
    const RUN: usize = 16;
    let Some(last) = value.len().checked_sub(part.len()) else { return false };
    // Lists begin and end their words with the same byte, so the second is rarer.
    let offset = part.len().min(3) - 2;
    let [first, second] = [part[offset], part[offset + 1]];
    let firsts = &value[offset..=last + offset];
    let seconds = &value[offset + 1..=last + offset + 1];
    let is_at =
        |at: usize| firsts[at] == first && seconds[at] == second && value[at..at + part.len()] == *part;
    let is_in = |from: usize, firsts: &[u8; RUN], seconds: &[u8; RUN]| {
        let pairs = firsts.iter().zip(seconds);
        pairs.fold(0, |hits, (a, b)| hits | u8::from((*a == first) & (*b == second))) != 0
            && (from..from + RUN).any(is_at)
    };
    match (firsts.last_chunk::<RUN>(), seconds.last_chunk::<RUN>()) {
        // The last run overlaps the one before.
        (Some(last_firsts), Some(last_seconds)) => {
            let runs = firsts.as_chunks::<RUN>().0.iter().zip(seconds.as_chunks::<RUN>().0);
            runs.enumerate().any(|(number, (firsts, seconds))| is_in(number * RUN, firsts, seconds))
                || is_in(firsts.len() - RUN, last_firsts, last_seconds)
        }
        _ => (0..=last).any(is_at),
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
    use super::{contains, contains_word};

    #[test]
    fn parts_wherever_they_are() {
        for part in [&b"ab"[..], b"/a/", b"aab", b"/content-type/"] {
            for length in 0..120 {
                let value = vec![b'a'; length];
                let everywhere = part.iter().all(|byte| *byte == b'a');
                assert_eq!(contains(&value, part), everywhere && part.len() <= length);
                for at in 0..(length + 1).saturating_sub(part.len()) {
                    let mut value = value.clone();
                    value[at..at + part.len()].copy_from_slice(part);
                    assert!(contains(&value, part), "{length} {at}");
                    value[at] = b'#';
                    assert!(!contains(&value, part), "{length} {at}");
                }
            }
        }
    }

    #[test]
    fn words() {
        assert!(contains_word(b"a word!", b"word"));
        assert!(!contains_word(b"swordfish", b"word"));
        assert!(contains_word(b"swordfish word", b"word"));
        assert!(contains_word(b"", b""));
        assert!(!contains_word(b"", b"word"));
    }
}
