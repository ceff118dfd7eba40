//! The automaton of Aho and Corasick as one table: the next state for each
//! state and class of bytes.
//!
//! A state is the place of its row. Rows of states in which a text ends come
//! last, so that one comparison tells them. Before them rows stand in the order
//! of their distance from the start: what is visited most lies together.

use super::bits::Bits;

/// Most entries of the table; more would not stay in a processor's caches.
const ENTRIES_LIMIT: usize = 1 << 24;
/// From this length on a value is read in four places at once: each step
/// waits for the one before, so four rows of steps take hardly longer than one.
const LONG: usize = 128;

/// Finds texts of limited length; ASCII case is ignored.
#[derive(Debug)]
pub(super) struct Machine {
    /// Class of each byte.
    classes: Box<[u8; 256]>,
    next: Box<[u32]>,
    /// The row of the first state in which a text ends.
    first_end: u32,
    /// Length of a row.
    stride: u32,
    /// For each of those states where its texts begin in `texts`, and the end of the last.
    ends: Box<[u32]>,
    texts: Box<[u32]>,
    /// Length of the longest text.
    longest: usize,
}

/// The texts found in one value.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    /// States that were reached, of those in which a text ends.
    states: Bits,
    reached: Vec<u32>,
    seen: Bits,
    found: Vec<u32>,
}

impl Machine {
    /// A machine for different texts in lower case, none of them empty; `None`
    /// when the table would be too large.
    pub(super) fn new(texts: &[Vec<u8>]) -> Option<Self> {
        let (classes, stride) = classes(texts);
        let trie = Trie::new(texts, &classes, stride)?;
        let (order, plain) = trie.order();
        let mut rows = vec![0; order.len()];
        for (row, &node) in order.iter().enumerate() {
            rows[node] = (row * stride) as u32;
        }
        let next = order.iter().flat_map(|node| &trie.next[node * stride..(node + 1) * stride]);
        let mut ends = vec![0];
        let mut ending = Vec::new();
        for &node in &order[plain..] {
            ending.extend_from_slice(&trie.texts[node]);
            ends.push(ending.len() as u32);
        }
        Some(Self {
            classes: Box::new(classes),
            next: next.map(|node| rows[*node as usize]).collect(),
            first_end: (plain * stride) as u32,
            stride: stride as u32,
            ends: ends.into(),
            texts: ending.into(),
            longest: texts.iter().map(Vec::len).max().unwrap_or(0),
        })
    }

    /// Adds the texts that occur in a value.
    pub(super) fn find(&self, value: &[u8], hits: &mut Hits) {
        // A text that lies across a border is found by the reading behind it, which begins as much earlier.
        let overlap = self.longest.saturating_sub(1);
        let quarter = value.len() / 4;
        if value.len() < LONG || quarter <= overlap {
            self.read(0, value, hits);
            return;
        }
        let part = |number: usize| {
            let start = number * quarter - if number == 0 { 0 } else { overlap };
            &value[start..start + quarter + overlap]
        };
        let (first, second, third, fourth) = (part(0), part(1), part(2), part(3));
        let mut states = [0; 4];
        let Self { classes, next, first_end, .. } = self;
        let (classes, next, first_end) = (&**classes, &**next, *first_end);
        for (((first, second), third), fourth) in first.iter().zip(second).zip(third).zip(fourth) {
            states = [
                step(classes, next, states[0], *first),
                step(classes, next, states[1], *second),
                step(classes, next, states[2], *third),
                step(classes, next, states[3], *fourth),
            ];
            let furthest = states[0].max(states[1]).max(states[2].max(states[3]));
            if furthest >= first_end {
                states
                    .into_iter()
                    .filter(|state| *state >= first_end)
                    .for_each(|state| self.note(state, hits));
            }
        }
        self.read(states[3], &value[4 * quarter..], hits);
    }

    fn read(&self, mut state: u32, value: &[u8], hits: &mut Hits) {
        // Out of `self`, so that they stay in registers.
        let Self { classes, next, first_end, .. } = self;
        let (classes, next, first_end) = (&**classes, &**next, *first_end);
        for &byte in value {
            state = step(classes, next, state, byte);
            if state >= first_end {
                self.note(state, hits);
            }
        }
    }

    #[inline(never)]
    fn note(&self, state: u32, hits: &mut Hits) {
        let number = ((state - self.first_end) / self.stride) as usize;
        if hits.states.contains(number) {
            return;
        }
        hits.states.insert(number);
        hits.reached.push(number as u32);
        if let Some(&[start, end]) = self.ends.get(number..number + 2) {
            for &text in self.texts.get(start as usize..end as usize).unwrap_or_default() {
                hits.add(text);
            }
        }
    }

    /// Number of states in which a text ends.
    pub(super) fn endings(&self) -> usize {
        self.ends.len() - 1
    }
}

#[inline(always)]
fn step(classes: &[u8; 256], next: &[u32], state: u32, byte: u8) -> u32 {
    let entry = state as usize + usize::from(classes[usize::from(byte)]);
    next.get(entry).copied().unwrap_or(0)
}

impl Hits {
    /// The texts found.
    pub(super) fn texts(&self) -> &[u32] {
        &self.found
    }

    /// Forgets them; of so many texts, in so many states, new ones are found.
    pub(super) fn clear(&mut self, texts: usize, endings: usize) {
        if self.seen.holds(texts) && self.states.holds(endings) {
            self.found.iter().for_each(|text| self.seen.remove(*text as usize));
            self.reached.iter().for_each(|state| self.states.remove(*state as usize));
        } else {
            self.seen.reset(texts);
            self.states.reset(endings);
        }
        self.found.clear();
        self.reached.clear();
    }

    fn add(&mut self, text: u32) {
        if !self.seen.contains(text as usize) {
            self.seen.insert(text as usize);
            self.found.push(text);
        }
    }
}

/// Numbers the bytes that occur in texts, both cases of a letter as one; 0 is for all others.
fn classes(texts: &[Vec<u8>]) -> ([u8; 256], usize) {
    let mut classes = [0; 256];
    let mut count = 1;
    for &byte in texts.iter().flatten() {
        if classes[usize::from(byte)] == 0 {
            classes[usize::from(byte)] = count as u8;
            classes[usize::from(byte.to_ascii_uppercase())] = count as u8;
            count += 1;
        }
    }
    (classes, count)
}

/// The texts as a tree, then as an automaton.
struct Trie {
    stride: usize,
    /// By node and class.
    next: Vec<u32>,
    /// By node the texts that end there.
    texts: Vec<Vec<u32>>,
    /// All nodes by their distance from the root.
    by_distance: Vec<usize>,
}

impl Trie {
    fn new(texts: &[Vec<u8>], classes: &[u8; 256], stride: usize) -> Option<Self> {
        let mut trie =
            Self { stride, next: vec![0; stride], texts: vec![Vec::new()], by_distance: Vec::new() };
        for (number, text) in texts.iter().enumerate() {
            let mut node = 0;
            for &byte in text {
                let entry = node * stride + usize::from(classes[usize::from(byte)]);
                node = match trie.next[entry] {
                    0 if trie.next.len() + stride > ENTRIES_LIMIT => return None,
                    0 => {
                        let new = trie.texts.len();
                        trie.next[entry] = new as u32;
                        trie.next.resize(trie.next.len() + stride, 0);
                        trie.texts.push(Vec::new());
                        new
                    }
                    known => known as usize,
                };
            }
            trie.texts[node].push(number as u32);
        }
        trie.complete();
        Some(trie)
    }

    /// Has each missing branch lead to where the longest known end of what was read leads.
    fn complete(&mut self) {
        let mut ends = vec![0; self.texts.len()];
        self.by_distance.push(0);
        let mut at = 0;
        while let Some(&node) = self.by_distance.get(at) {
            at += 1;
            for class in 0..self.stride {
                let entry = node * self.stride + class;
                let of_end = if node == 0 { 0 } else { self.next[ends[node] * self.stride + class] };
                match self.next[entry] {
                    0 => self.next[entry] = of_end,
                    child => {
                        let (child, end) = (child as usize, of_end as usize);
                        ends[child] = end;
                        let inherited = self.texts[end].clone();
                        self.texts[child].extend(inherited);
                        self.by_distance.push(child);
                    }
                }
            }
        }
    }

    /// The nodes in the order of their rows, and how many of them no text ends in.
    fn order(&self) -> (Vec<usize>, usize) {
        let (mut order, ending): (Vec<usize>, Vec<usize>) =
            self.by_distance.iter().partition(|node| self.texts[**node].is_empty());
        let plain = order.len();
        order.extend(ending);
        (order, plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a search for each text, in values short and long.
    #[test]
    fn finds_what_a_search_finds() {
        let mut random = 7u32;
        let mut next = |end: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % end
        };
        let mut found = 0;
        for round in 0..400 {
            let letters: &[u8] = if round % 2 == 0 { b"ab.\xc3" } else { b"abcdefgh <(\0" };
            let mut texts: Vec<Vec<u8>> = (0..1 + next(12))
                .map(|_| (0..1 + next(6)).map(|_| letters[next(letters.len() as u32) as usize]).collect())
                .collect();
            texts.sort();
            texts.dedup();
            let machine = Machine::new(&texts).unwrap();
            let mut hits = Hits::default();
            for length in [0, 1, 5, 127, 128, 129, 130, 131, 300, 1000] {
                let value: Vec<u8> = (0..length)
                    .map(|_| match next(3) {
                        0 => letters[next(letters.len() as u32) as usize].to_ascii_uppercase(),
                        1 => letters[next(letters.len() as u32) as usize],
                        _ => b'#',
                    })
                    .collect();
                hits.clear(texts.len(), machine.endings());
                machine.find(&value, &mut hits);
                let mut actual = hits.texts().to_vec();
                actual.sort_unstable();
                let lower = value.to_ascii_lowercase();
                let occurs = |text: &Vec<u8>| lower.windows(text.len()).any(|window| window == text);
                let expected: Vec<u32> =
                    (0..texts.len() as u32).filter(|number| occurs(&texts[*number as usize])).collect();
                assert_eq!(actual, expected, "{texts:?} in {}", value.escape_ascii());
                found += actual.len();
            }
        }
        assert!(found > 1000, "only {found} texts are found");
    }

    /// A text across each border of the four readings.
    #[test]
    fn finds_texts_wherever_they_are() {
        let machine = Machine::new(&[b"needle".to_vec(), b"le".to_vec()]).unwrap();
        let mut hits = Hits::default();
        for length in 128..140 {
            for at in 0..=length - 6 {
                let mut value = vec![b'-'; length];
                value[at..at + 6].copy_from_slice(b"neEDle");
                hits.clear(2, machine.endings());
                machine.find(&value, &mut hits);
                assert_eq!(hits.texts().len(), 2, "{length} {at}");
            }
        }
    }
}
