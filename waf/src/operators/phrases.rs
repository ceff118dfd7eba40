//! `@pm`, `@pmFromFile`, `@pmFromDataset`: many phrases at once, ASCII case ignored.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::rarity;

/// Phrases with their automaton, which is built when a value first asks for it: most values hold none of the phrases,
/// which is known without it.
#[derive(Debug)]
pub(crate) struct PhraseSet {
    automaton: OnceLock<Option<AhoCorasick>>,
    /// All phrases in a row.
    text: Box<[u8]>,
    /// Where each of them ends in it.
    ends: Box<[u32]>,
}

/// Bytes of all phrases together above which the automaton is built at load: that tells whether there are too many,
/// and no request waits for it.
const EAGER: usize = 1 << 20;

impl PartialEq for PhraseSet {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.ends) == (&other.text, &other.ends)
    }
}

impl PhraseSet {
    /// The phrases without empty ones and repetitions.
    pub(crate) fn distinct(phrases: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
        let mut seen = std::collections::HashSet::new();
        let is_new = |phrase: &Vec<u8>| !phrase.is_empty() && seen.insert(phrase.to_ascii_lowercase());
        phrases.into_iter().filter(is_new).collect()
    }

    /// Prepares phrases that are [`distinct`](Self::distinct). The error is the automaton's: too many or too long
    /// phrases.
    pub(crate) fn new(phrases: &[Vec<u8>]) -> Result<Self, String> {
        let mut text = Vec::new();
        let mut ends = Vec::with_capacity(phrases.len());
        for phrase in phrases {
            text.extend_from_slice(phrase);
            ends.push(u32::try_from(text.len()).map_err(|error| error.to_string())?);
        }
        let set = Self { automaton: OnceLock::new(), text: text.into(), ends: ends.into() };
        if set.text.len() > EAGER {
            let _ = set.automaton.set(Some(set.build()?));
        }
        Ok(set)
    }

    /// The phrases as the rule spells them, none of them empty.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// Number of phrases.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether one phrase, by its number, occurs in the value. For very few phrases that is quicker than
    /// [`PhraseSet::find`].
    pub(crate) fn occurs(&self, phrase: usize, value: &[u8]) -> bool {
        let Some(phrase) = self.get(phrase) else { return false };
        let share = |byte: u8| rarity::of_text(&[byte]);
        let rarest =
            (0..phrase.len()).min_by(|left, right| share(phrase[*left]).total_cmp(&share(phrase[*right])));
        let (Some(offset), Some(last)) = (rarest, value.len().checked_sub(phrase.len())) else {
            return false;
        };
        let byte = phrase[offset];
        let places = memchr::memchr2_iter(
            byte.to_ascii_lowercase(),
            byte.to_ascii_uppercase(),
            &value[offset..=last + offset],
        );
        places.into_iter().any(|at| value[at..at + phrase.len()].eq_ignore_ascii_case(phrase))
    }

    /// The phrase that ends first in the value, as the rule spells it.
    pub(crate) fn find(&self, value: &[u8]) -> Option<&[u8]> {
        let found = self.automaton()?.find(value)?;
        self.get(found.pattern().as_usize())
    }

    /// Builds the automaton now instead of at the first value.
    pub(crate) fn prepare(&self) {
        let _ = self.automaton();
    }

    /// A phrase by its number.
    pub(crate) fn get(&self, number: usize) -> Option<&[u8]> {
        let start = number.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start as usize..*self.ends.get(number)? as usize)
    }

    /// `None` for no phrases. That another automaton cannot be built was an error at load. Threads that come at the
    /// same time each build it, and the first one's stays.
    fn automaton(&self) -> Option<&AhoCorasick> {
        if self.automaton.get().is_none() {
            let _ = self.automaton.set((self.len() > 0).then(|| self.build().ok()).flatten());
        }
        self.automaton.get()?.as_ref()
    }

    fn build(&self) -> Result<AhoCorasick, String> {
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(self.iter())
            .map_err(|error| error.to_string())
    }
}

/// The phrases of an argument: separated by white space; `|41 42|` are bytes in
/// hexadecimal; `\` protects `:`, `;`, `"` and itself.
pub(crate) fn parse_phrases(argument: &[u8]) -> Vec<Vec<u8>> {
    let unescaped = unescape(argument).unwrap_or_else(|| argument.to_vec());
    unescaped.split(|byte| byte.is_ascii_whitespace() || *byte == 0x0b).map(<[u8]>::to_vec).collect()
}

/// The phrases of a file: one a line, with blanks inside; comments and blank lines are dropped.
pub(crate) fn phrases_of_file(contents: &[u8]) -> Vec<Vec<u8>> {
    contents
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(<[u8]>::to_vec)
        .collect()
}

/// `None` when the text uses the notation wrongly; it is then taken as it is.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let text = match text.trim_ascii() {
        [b'"', inside @ .., b'"'] if !inside.is_empty() => inside,
        other => other,
    };
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    let mut in_hex = false;
    let mut high: Option<u8> = None;
    while let Some(byte) = bytes.next() {
        match byte {
            b'|' => in_hex = !in_hex,
            _ if in_hex && byte.is_ascii_whitespace() => {}
            _ if in_hex => {
                let digit = (byte as char).to_digit(16)? as u8;
                match high.take() {
                    Some(high) => out.push(high << 4 | digit),
                    None => high = Some(digit),
                }
            }
            b'\\' => match bytes.next()? {
                escaped @ (b':' | b';' | b'\\' | b'"') => out.push(escaped),
                _ => return None,
            },
            _ => out.push(byte),
        }
    }
    (!in_hex).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_files() {
        assert_eq!(parse_phrases(b"a  b\tc"), [b"a".to_vec(), b"".to_vec(), b"b".to_vec(), b"c".to_vec()]);
        assert_eq!(parse_phrases(b"|41 42|c"), [b"ABc".to_vec()]);
        assert_eq!(parse_phrases(br"a\:b"), [b"a:b".to_vec()]);
        assert_eq!(parse_phrases(br"a\xb"), [br"a\xb".to_vec()]);
        assert_eq!(phrases_of_file(b"# comment\r\na b\r\n\n  c \n#x"), [b"a b".to_vec(), b"c".to_vec()]);
    }

    #[test]
    fn the_phrase_keeps_its_spelling() {
        let set = PhraseSet::new(&[b"Select".to_vec(), b"union".to_vec()]).unwrap();
        assert_eq!(set.find(b"a UNION b"), Some(&b"union"[..]));
        assert_eq!(set.find(b"SELECT"), Some(&b"Select"[..]));
        assert_eq!(set.find(b""), None);
        assert_eq!(PhraseSet::new(&[]).unwrap().find(b"x"), None);
    }
}
