//! One automaton that finds the texts of all watches in one pass over a value.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::machine::{Hits, Machine};
use crate::operators::PhraseSet;
use crate::parts::Parts;
use crate::rarity;

/// Bytes of a text that are looked for: its rarest part. Longer parts are
/// rarer, shorter ones keep the automaton small enough for the caches.
const WINDOW: usize = 6;

/// So many phrases are looked for one by one; more by all phrases' automaton.
const FEW_PHRASES: usize = 8;

/// So many texts that a dictionary does not know are looked for beside it: an automaton of one's own takes megabytes.
const MOST_MISSING: usize = 64;

/// Number of a watch: one way in which a test may match.
pub(super) type WatchId = u32;

/// The texts of many watches; ASCII case is ignored.
#[derive(Debug, Default)]
pub(super) struct Literals {
    dictionary: Option<Arc<Dictionary>>,
    /// Finds the few texts that the dictionary, which is another ruleset's, does not know; numbered behind its texts.
    extra: Option<Machine>,
    /// Finds the texts of forms that only few are looked for in.
    few: Option<Arc<Few>>,
    /// Number of texts.
    count: usize,
    /// The watches that wait for a text, text by text.
    owners: Box<[WatchId]>,
    /// Where those of a text begin; one more at the end.
    starts: Box<[u32]>,
    /// By number of the test, for tests of phrases: which of its phrases may occur where a text does.
    phrases: Vec<(u32, PhrasesByText)>,
}

/// Numbers of texts in ascending order, each with that of a phrase which holds it.
type PhrasesByText = Arc<[(u32, u32)]>;

/// Texts with their automaton. Rulesets that differ little share one.
#[derive(Debug)]
pub(crate) struct Dictionary {
    machine: Machine,
    /// As [`packed`], in ascending order; the machine numbers them so.
    texts: Box<[u64]>,
    /// Which phrases of a list may occur where a text does, for lists that all rulesets share.
    phrases: Mutex<Vec<(Weak<PhraseSet>, PhrasesByText)>>,
    /// Automata of few of the texts.
    parts: Mutex<Vec<Weak<Few>>>,
}

/// Some of a dictionary's texts: their automaton has few states, so that it stays in the nearest caches, and seldom finds
/// anything.
#[derive(Debug)]
struct Few {
    machine: Machine,
    /// As [`packed`], in ascending order.
    texts: Box<[u64]>,
}

impl Literals {
    /// Prepares the texts; `None` when there are too many of them.
    pub(super) fn new<'t, T: Iterator<Item = &'t [u8]>>(
        tests: impl Iterator<Item = (WatchId, T)>,
        parts: &Parts,
    ) -> Option<Self> {
        let mut waiting: Vec<(u64, WatchId)> = Vec::new();
        for (test, literals) in tests {
            waiting.extend(literals.map(|literal| (packed(window(literal)), test)));
        }
        if waiting.is_empty() {
            return Some(Self::default());
        }
        waiting.sort_unstable();
        waiting.dedup();
        let mut texts: Vec<u64> = waiting.iter().map(|(text, _)| *text).collect();
        texts.dedup();
        let dictionary = parts.dictionary(&texts)?;
        texts.retain(|text| !dictionary.knows(*text));
        let extra = if texts.is_empty() { None } else { Some(dictionary.extra(&texts)?) };
        let (mut owners, mut starts) = (Vec::new(), Vec::new());
        for text in dictionary.texts.iter().chain(&texts) {
            starts.push(owners.len() as u32);
            let from = waiting.partition_point(|(wanted, _)| wanted < text);
            let watches = waiting[from..].iter().take_while(|(wanted, _)| wanted == text);
            owners.extend(watches.map(|(_, watch)| *watch));
        }
        let count = starts.len();
        starts.push(owners.len() as u32);
        let (owners, starts) = (owners.into(), starts.into());
        let (few, phrases) = (None, Vec::new());
        Some(Self { dictionary: Some(dictionary), extra, few, count, owners, starts, phrases })
    }

    /// Has [`Literals::find_few`] find these texts, all of which were prepared.
    pub(super) fn set_few<'t>(&mut self, texts: impl Iterator<Item = &'t [u8]>) {
        self.few = self.dictionary.as_ref().and_then(|dictionary| {
            let packed: BTreeSet<u64> = texts.map(|text| packed(window(text))).collect();
            // The others are found beside it.
            dictionary.few(packed.into_iter().filter(|text| dictionary.knows(*text)).collect())
        });
    }

    /// Has [`Literals::finds_phrase`] answer for a test of phrases, all of which were prepared; tests in ascending order.
    pub(super) fn add_phrases(&mut self, test: u32, phrases: &Arc<PhraseSet>) {
        let by_text = self.dictionary.as_ref().and_then(|dictionary| dictionary.phrases_by_text(phrases));
        self.phrases.extend(by_text.map(|by_text| (test, by_text)));
    }

    /// Whether a phrase of a test occurs in the value with these hits; `None` when that has to be searched for.
    pub(super) fn finds_phrase(
        &self,
        test: u32,
        phrases: &PhraseSet,
        value: &[u8],
        hits: &Hits,
    ) -> Option<bool> {
        let index = self.phrases.binary_search_by_key(&test, |(test, _)| *test).ok()?;
        let by_text = &*self.phrases.get(index)?.1;
        let mut candidates = [0; FEW_PHRASES];
        let mut count = 0;
        for &text in hits.texts() {
            let from = by_text.partition_point(|(known, _)| *known < text);
            for (_, phrase) in by_text[from..].iter().take_while(|(known, _)| *known == text) {
                *candidates.get_mut(count)? = *phrase as usize;
                count += 1;
            }
        }
        let whole = |phrase: &usize| phrases.get(*phrase).is_some_and(|text| text.len() <= WINDOW);
        let candidates = &candidates[..count];
        // The value is the text with these hits, but for the case of letters.
        Some(candidates.iter().any(|phrase| whole(phrase) || phrases.occurs(*phrase, value)))
    }

    /// Finds the texts that occur in the value, each once.
    pub(super) fn find(&self, value: &[u8], hits: &mut Hits) {
        self.find_with(self.dictionary.as_ref().map(|dictionary| &dictionary.machine), value, hits);
    }

    /// The same for a form that only few texts are looked for in.
    pub(super) fn find_few(&self, value: &[u8], hits: &mut Hits) {
        match &self.few {
            Some(few) => self.find_with(Some(&few.machine), value, hits),
            None => self.find(value, hits),
        }
    }

    fn find_with(&self, machine: Option<&Machine>, value: &[u8], hits: &mut Hits) {
        // As many states for each automaton, so that what was reached before need not be cleared one and all.
        let of_dictionary = self.dictionary.as_ref().map_or(0, |dictionary| dictionary.machine.endings());
        let further = self.extra.as_ref().map_or(0, Machine::endings);
        hits.clear(self.count, of_dictionary + further);
        for machine in machine.into_iter().chain(&self.extra) {
            machine.find(value, hits);
        }
    }

    /// The watches that wait for a text of [`Hits`].
    pub(super) fn owners(&self, text: u32) -> &[WatchId] {
        let at = |index: u32| self.starts.get(index as usize).map(|start| *start as usize);
        let range = at(text).zip(at(text + 1));
        range.and_then(|(start, end)| self.owners.get(start..end)).unwrap_or_default()
    }
}

impl Dictionary {
    /// Of packed texts in ascending order; `None` when they are too many for an automaton.
    pub(crate) fn new(texts: &[u64]) -> Option<Self> {
        let unpacked: Vec<Vec<u8>> = texts.iter().map(|text| unpacked(*text)).collect();
        let (machine, phrases, parts) = (Machine::new(&unpacked)?, Mutex::default(), Mutex::default());
        Some(Self { machine, texts: texts.into(), phrases, parts })
    }

    /// An automaton of some of its texts, given packed and in ascending order, and of few others; `None` when that would hardly
    /// be smaller.
    fn few(&self, texts: Vec<u64>) -> Option<Arc<Few>> {
        if texts.len() > self.texts.len() / 2 {
            return None;
        }
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|part| part.strong_count() > 0);
        let serves = |few: &Arc<Few>| {
            few.texts.len() <= texts.len() + texts.len() / 2
                && texts.iter().all(|text| few.texts.binary_search(text).is_ok())
        };
        if let Some(known) = parts.iter().filter_map(Weak::upgrade).find(serves) {
            return Some(known);
        }
        let numbers = texts.iter().map(|text| self.texts.binary_search(text).ok().map(|at| at as u32));
        let numbers = numbers.collect::<Option<Vec<u32>>>()?;
        let unpacked: Vec<Vec<u8>> = texts.iter().map(|text| unpacked(*text)).collect();
        let machine = Machine::new(&unpacked)?.renumbered(&numbers);
        let few = Arc::new(Few { machine, texts: texts.into() });
        parts.push(Arc::downgrade(&few));
        Some(few)
    }

    /// The texts of phrases; `None` when it does not know all of them.
    fn phrases_by_text(&self, phrases: &Arc<PhraseSet>) -> Option<PhrasesByText> {
        let mut known = self.phrases.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(phrases, _)| phrases.strong_count() > 0);
        let same = |known: &Weak<PhraseSet>| std::ptr::eq(known.as_ptr(), Arc::as_ptr(phrases));
        if let Some((_, by_text)) = known.iter().find(|(known, _)| same(known)) {
            return Some(by_text.clone());
        }
        let by_text = phrases.iter().zip(0..).map(|(phrase, number)| {
            let text = packed(window(&phrase.to_ascii_lowercase()));
            Some((self.texts.binary_search(&text).ok()? as u32, number))
        });
        let mut by_text = by_text.collect::<Option<Vec<(u32, u32)>>>()?;
        by_text.sort_unstable();
        let by_text = PhrasesByText::from(by_text);
        known.push((Arc::downgrade(phrases), by_text.clone()));
        Some(by_text)
    }

    /// Whether it finds all but a few of these texts, and not so many others that it would be slower for it.
    pub(crate) fn serves(&self, texts: &[u64]) -> bool {
        let missing = texts.iter().filter(|text| !self.knows(**text)).count();
        self.texts.len() <= texts.len() + texts.len() / 2 && missing <= MOST_MISSING.min(texts.len() / 16)
    }

    fn knows(&self, text: u64) -> bool {
        self.texts.binary_search(&text).is_ok()
    }

    /// Finds texts that it does not know, numbered behind those that it does.
    fn extra(&self, texts: &[u64]) -> Option<Machine> {
        let unpacked: Vec<Vec<u8>> = texts.iter().map(|text| unpacked(*text)).collect();
        Some(Machine::new(&unpacked)?.numbered_from(self.texts.len(), self.machine.endings()))
    }
}

/// A text as a number: its bytes in lower case, then their count. Only its first [`WINDOW`] bytes are kept.
fn packed(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = text.len().min(WINDOW);
    bytes[..length].copy_from_slice(&text[..length]);
    bytes.make_ascii_lowercase();
    bytes[7] = length as u8;
    u64::from_be_bytes(bytes)
}

fn unpacked(text: u64) -> Vec<u8> {
    let bytes = text.to_be_bytes();
    bytes[..usize::from(bytes[7]).min(WINDOW)].to_vec()
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
        let first: [&[u8]; 2] = [b"select", b"or"];
        let second: [&[u8]; 1] = [b"information_schema"];
        let tests = [(0, first.iter().copied()), (1, second.iter().copied())];
        let literals = Literals::new(tests.into_iter(), &Parts::default()).unwrap();
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

    #[test]
    fn rulesets_that_differ_little_share_an_automaton() {
        let parts = Parts::default();
        let texts: Vec<Vec<u8>> = (0..40u8).map(|number| format!("text{number}").into_bytes()).collect();
        let literals = |texts: &[Vec<u8>]| {
            Literals::new([(7, texts.iter().map(Vec::as_slice))].into_iter(), &parts).unwrap()
        };
        let (whole, fewer, few) = (literals(&texts), literals(&texts[1..]), literals(&texts[35..]));
        let dictionary = |literals: &Literals| literals.dictionary.clone().unwrap();
        assert!(Arc::ptr_eq(&dictionary(&whole), &dictionary(&fewer)));
        assert!(!Arc::ptr_eq(&dictionary(&whole), &dictionary(&few)));
        let other: Vec<Vec<u8>> =
            texts.iter().cloned().chain([b"other".to_vec(), b"another".to_vec()]).collect();
        let more = literals(&other);
        assert!(Arc::ptr_eq(&dictionary(&whole), &dictionary(&more)));
        let many: Vec<Vec<u8>> =
            other.iter().cloned().chain([b"third".to_vec(), b"fourth".to_vec()]).collect();
        assert!(!Arc::ptr_eq(&dictionary(&whole), &dictionary(&literals(&many))));
        let mut hits = Hits::default();
        let mut owners = |literals: &Literals, value: &[u8]| {
            literals.find(value, &mut hits);
            hits.texts().iter().flat_map(|text| literals.owners(*text)).copied().collect::<Vec<_>>()
        };
        assert_eq!(owners(&whole, b"a TEXT0 b"), [7]);
        assert!(owners(&fewer, b"a text0 b").is_empty(), "what was excluded finds nothing");
        assert_eq!(owners(&fewer, b"text39"), [7, 7], "and the others are found");
        assert_eq!(owners(&few, b"text39 text1"), [7]);
        assert_eq!(owners(&more, b"text39 in ANOTHER text"), [7; 4], "text3, text39, other, another");
        assert!(owners(&whole, b"another").is_empty());
    }

    #[test]
    fn few_texts_are_found_by_an_automaton_of_their_own() {
        let parts = Parts::default();
        let text = |number: u8| format!("text{number:02}").into_bytes();
        let texts: Vec<Vec<u8>> = (0..40).map(text).collect();
        let with_another: Vec<Vec<u8>> = texts.iter().cloned().chain([b"another".to_vec()]).collect();
        let literals = |texts: &[Vec<u8>]| {
            Literals::new([(7, texts.iter().map(Vec::as_slice))].into_iter(), &parts).unwrap()
        };
        let (mut first, mut second) = (literals(&texts), literals(&with_another));
        let few: [&[u8]; 3] = [b"text03", b"TEXT17", b"text29"];
        first.set_few(few.into_iter());
        second.set_few([&b"text17"[..], b"another", b"text29"].into_iter());
        let automaton = |literals: &Literals| literals.few.clone().unwrap();
        assert!(Arc::ptr_eq(&automaton(&first), &automaton(&second)));
        let mut hits = Hits::default();
        let mut found = |literals: &Literals, value: &[u8]| {
            literals.find_few(value, &mut hits);
            let mut found = hits.texts().to_vec();
            found.sort_unstable();
            found
        };
        assert_eq!(found(&first, b"text01 Text03 text17 text30 another"), [3, 17]);
        assert_eq!(found(&second, b"text01 text17 ANOTHER text29"), [17, 29, 40]);
        first.set_few(texts.iter().map(Vec::as_slice));
        assert!(first.few.is_none(), "hardly smaller");
        assert_eq!(found(&first, b"text01 text17"), [1, 17]);
    }
}
