//! One automaton that finds the texts of all watches in one pass over a value.

use std::collections::HashMap;

use super::machine::{Hits, Machine};
use crate::rarity;

/// Bytes of a text that are looked for: its rarest part. Longer parts are
/// rarer, shorter ones keep the automaton small enough for the caches.
const WINDOW: usize = 6;

/// Number of a watch: one way in which a test may match.
pub(super) type WatchId = u32;

/// The texts of many watches; ASCII case is ignored.
#[derive(Debug, Default)]
pub(super) struct Literals {
    automaton: Option<Machine>,
    /// For each text of the automaton the watches that wait for it.
    owners: Vec<Box<[WatchId]>>,
}

impl Literals {
    /// Prepares the texts; `None` when there are too many of them.
    pub(super) fn new<'t>(tests: impl Iterator<Item = (WatchId, &'t [Vec<u8>])>) -> Option<Self> {
        let mut numbers: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut texts: Vec<Vec<u8>> = Vec::new();
        let mut owners: Vec<Vec<WatchId>> = Vec::new();
        for (test, literals) in tests {
            for literal in literals {
                let text = window(literal);
                let number = *numbers.entry(text.to_vec()).or_insert_with(|| {
                    texts.push(text.to_vec());
                    owners.push(Vec::new());
                    texts.len() - 1
                });
                if owners[number].last() != Some(&test) {
                    owners[number].push(test);
                }
            }
        }
        let automaton = if texts.is_empty() { None } else { Some(Machine::new(&texts)?) };
        Some(Self { automaton, owners: owners.into_iter().map(Into::into).collect() })
    }

    /// Finds the texts that occur in the value, each once.
    pub(super) fn find(&self, value: &[u8], hits: &mut Hits) {
        hits.clear(self.owners.len(), self.automaton.as_ref().map_or(0, Machine::endings));
        if let Some(machine) = &self.automaton {
            machine.find(value, hits);
        }
    }

    /// The watches that wait for a text of [`Hits`].
    pub(super) fn owners(&self, text: u32) -> &[WatchId] {
        self.owners.get(text as usize).map_or(&[], |owners| owners)
    }
}

/// The part of a text that is looked for.
fn window(text: &[u8]) -> &[u8] {
    let rarest = |left: &&[u8], right: &&[u8]| rarity::of_text(left).total_cmp(&rarity::of_text(right));
    text.windows(WINDOW.min(text.len()).max(1)).min_by(rarest).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_text_once_in_any_case() {
        let first = [b"select".to_vec(), b"or".to_vec()];
        let second = [b"information_schema".to_vec()];
        let literals = Literals::new([(0, &first[..]), (1, &second[..])].into_iter()).unwrap();
        let mut hits = Hits::default();
        let mut tests_of = |value: &[u8]| {
            literals.find(value, &mut hits);
            let mut tests: Vec<_> =
                hits.texts().iter().flat_map(|text| literals.owners(*text)).copied().collect();
            tests.sort_unstable();
            tests
        };
        assert_eq!(tests_of(b"SELECT 1 or 2 OR 3"), [0, 0]);
        assert_eq!(tests_of(b"Information_Schema"), [0, 1]);
        assert_eq!(tests_of(b"nothing"), [] as [WatchId; 0]);
    }
}
