//! The automaton of Aho and Corasick as one table: the next state for each
//! state and class of bytes.
//!
//! A state is the place of its row, in units of entries that are a power of two, so that
//! it fits into two bytes where that is possible: the table is then half as large, in memory
//! and in the processor's caches. Rows of states in which a text ends come
//! last, so that one comparison tells them. Before them rows stand in the order
//! of their distance from the start: what is visited most lies together.

use super::bits::Bits;
use super::trie::Trie;

/// Most entries of the table; more would not stay in a processor's caches.
const ENTRIES_LIMIT: usize = 1 << 24;
/// Longest unit, as a power of two: rows are filled up to whole units.
const LONGEST_UNIT: u32 = 6;
/// From this length on a value is read in four places at once: each step
/// waits for the one before, so four rows of steps take hardly longer than one.
const LONG: usize = 128;

/// Finds texts of limited length; ASCII case is ignored.
#[derive(Debug)]
pub(super) struct Machine {
    /// Class of each byte.
    classes: Box<[u8; 256]>,
    next: Table,
    /// Entries of a unit, as a power of two.
    unit: u32,
    /// The row of the first state in which a text ends.
    first_end: u32,
    /// Length of a row in units.
    stride: u32,
    /// For each of those states where its texts begin in `texts`, and the end of the last.
    ends: Box<[u32]>,
    texts: Box<[u32]>,
    /// Length of the longest text.
    longest: usize,
    /// Number of the first state in which a text ends.
    first_number: usize,
}

/// By state and class the next state.
#[derive(Debug)]
enum Table {
    Short(Box<[u16]>),
    Long(Box<[u32]>),
}

/// A state as it stands in a table.
trait State: Copy + Default {
    fn of(state: u32) -> Self;
    fn number(self) -> u32;
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
        let (classes, count) = classes(texts);
        let trie = Trie::new(texts, &classes);
        let rows = trie.len();
        // The shortest rows with which states fit into two bytes, else into four.
        let units = |unit: u32| count.div_ceil(1 << unit);
        let fitting = (0..=LONGEST_UNIT).filter(|unit| rows * units(*unit) <= 1 << 16);
        let short = fitting.min_by_key(|unit| units(*unit) << unit);
        let unit = short.unwrap_or(0);
        let stride = units(unit);
        if (rows * stride) << unit > ENTRIES_LIMIT {
            return None;
        }
        let order = trie.order();
        let next = match short {
            Some(_) => Table::Short(trie.table(&order.rows, stride, unit)),
            None => Table::Long(trie.table(&order.rows, stride, unit)),
        };
        let mut ends = vec![0];
        let mut ending = Vec::new();
        for &node in &order.ending {
            ending.extend(trie.texts(node));
            ends.push(ending.len() as u32);
        }
        Some(Self {
            classes: Box::new(classes),
            next,
            unit,
            first_end: (order.plain * stride) as u32,
            stride: stride as u32,
            ends: ends.into(),
            texts: ending.into(),
            longest: texts.iter().map(Vec::len).max().unwrap_or(0),
            first_number: 0,
        })
    }

    /// The same with other numbers of its first text, and of the first state in which one ends: to be used beside
    /// another machine with the same hits.
    pub(super) fn numbered_from(mut self, text: usize, ending: usize) -> Self {
        self.texts.iter_mut().for_each(|number| *number += text as u32);
        self.first_number += ending;
        self
    }

    /// Adds the texts that occur in a value.
    pub(super) fn find(&self, value: &[u8], hits: &mut Hits) {
        match &self.next {
            Table::Short(next) => self.find_in(next, value, hits),
            Table::Long(next) => self.find_in(next, value, hits),
        }
    }

    fn find_in<S: State>(&self, next: &[S], value: &[u8], hits: &mut Hits) {
        // A text that lies across a border is found by the reading behind it, which begins as much earlier.
        let overlap = self.longest.saturating_sub(1);
        let quarter = value.len() / 4;
        if value.len() < LONG || quarter <= overlap {
            self.read(next, 0, value, hits);
            return;
        }
        let part = |number: usize| {
            let start = number * quarter - if number == 0 { 0 } else { overlap };
            &value[start..start + quarter + overlap]
        };
        let (first, second, third, fourth) = (part(0), part(1), part(2), part(3));
        let mut states = [0; 4];
        let Self { classes, unit, first_end, .. } = self;
        let (classes, unit, first_end) = (&**classes, *unit, *first_end);
        for (((first, second), third), fourth) in first.iter().zip(second).zip(third).zip(fourth) {
            states = [
                step(classes, next, unit, states[0], *first),
                step(classes, next, unit, states[1], *second),
                step(classes, next, unit, states[2], *third),
                step(classes, next, unit, states[3], *fourth),
            ];
            let furthest = states[0].max(states[1]).max(states[2].max(states[3]));
            if furthest >= first_end {
                states
                    .into_iter()
                    .filter(|state| *state >= first_end)
                    .for_each(|state| self.note(state, hits));
            }
        }
        self.read(next, states[3], &value[4 * quarter..], hits);
    }

    fn read<S: State>(&self, next: &[S], mut state: u32, value: &[u8], hits: &mut Hits) {
        // Out of `self`, so that they stay in registers.
        let Self { classes, unit, first_end, .. } = self;
        let (classes, unit, first_end) = (&**classes, *unit, *first_end);
        for &byte in value {
            state = step(classes, next, unit, state, byte);
            if state >= first_end {
                self.note(state, hits);
            }
        }
    }

    #[inline(never)]
    fn note(&self, state: u32, hits: &mut Hits) {
        let number = ((state - self.first_end) / self.stride) as usize;
        let reached = self.first_number + number;
        if hits.states.contains(reached) {
            return;
        }
        hits.states.insert(reached);
        hits.reached.push(reached as u32);
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
fn step<S: State>(classes: &[u8; 256], next: &[S], unit: u32, state: u32, byte: u8) -> u32 {
    let entry = ((state as usize) << (unit & 31)) + usize::from(classes[usize::from(byte)]);
    next.get(entry).copied().unwrap_or_default().number()
}

impl State for u16 {
    /// The caller chose a unit with which all states fit.
    fn of(state: u32) -> Self {
        state as u16
    }

    #[inline(always)]
    fn number(self) -> u32 {
        self.into()
    }
}

impl State for u32 {
    fn of(state: u32) -> Self {
        state
    }

    #[inline(always)]
    fn number(self) -> u32 {
        self
    }
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

impl Trie {
    /// The completed table: a missing branch leads to where the longest known end of what was read leads.
    fn table<S: State>(&self, rows: &[u32], stride: usize, unit: u32) -> Box<[S]> {
        let state = |node: u32| S::of(rows[node as usize] * stride as u32);
        let length = stride << unit;
        let place = |node: u32| rows[node as usize] as usize * length;
        let mut next = vec![S::default(); self.len() * length];
        // The end of a text is nearer to the root, so its row is complete before it is copied.
        for node in self.by_distance() {
            if let Some(end) = self.end(node) {
                let end = place(end);
                next.copy_within(end..end + length, place(node));
            }
            for (class, child) in self.children(node) {
                next[place(node) + usize::from(class)] = state(child);
            }
        }
        next.into()
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

    /// So many texts that a state takes four bytes.
    #[test]
    fn finds_texts_of_a_large_set() {
        let text = |number: u32| format!("{:06x}", number.wrapping_mul(2_654_435_761) >> 8).into_bytes();
        let mut texts: Vec<Vec<u8>> = (0..40_000).map(text).collect();
        texts.sort();
        texts.dedup();
        let machine = Machine::new(&texts).unwrap();
        assert!(matches!(machine.next, Table::Long(_)));
        let mut hits = Hits::default();
        for number in (0..40_000).step_by(617) {
            hits.clear(texts.len(), machine.endings());
            machine.find(&[b"<", &text(number)[..], b">"].concat(), &mut hits);
            let expected = texts.binary_search(&text(number)).unwrap() as u32;
            assert_eq!(hits.texts(), [expected]);
        }
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
