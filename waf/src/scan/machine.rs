//! The automaton of Aho and Corasick as one table: the next state for each
//! state and class of bytes.
//!
//! A state is the number of its row, which fits into two bytes where that is possible: the table is
//! then half as large, in memory and in the processor's caches. Rows of states in which a text ends come
//! last, so that one comparison tells them. Before them rows stand in the order
//! of their distance from the start: what is visited most lies together.

use super::bits::Bits;
use super::trie::Trie;
use crate::rarity;

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
    next: Table,
    /// The first state in which a text ends.
    first_end: u32,
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
    /// In two bytes, with room for so many classes: a cache line, or some.
    Short32(Box<[Row<32>]>),
    Short64(Box<[Row<64>]>),
    Short74(Box<[[u16; 74]]>),
    Short76(Box<[[u16; 76]]>),
    Short84(Box<[[u16; 84]]>),
    Short92(Box<[[u16; 92]]>),
    Short96(Box<[Row<96>]>),
    Short128(Box<[Row<128>]>),
    Short256(Box<[Row<256>]>),
    /// In four, row by row.
    Long {
        next: Box<[u32]>,
        row: usize,
    },
}

/// A row that begins where the processor's caches have a line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Row<const N: usize>([u16; N]);

/// What rows of any length have.
trait Entries: Copy {
    const EMPTY: Self;
    fn entries(&self) -> &[u16];
    fn entries_mut(&mut self) -> &mut [u16];
}

impl<const N: usize> Entries for Row<N> {
    const EMPTY: Self = Self([0; N]);

    #[inline(always)]
    fn entries(&self) -> &[u16] {
        &self.0
    }

    fn entries_mut(&mut self) -> &mut [u16] {
        &mut self.0
    }
}

/// A row that would take much more memory if it began with a cache line.
impl<const N: usize> Entries for [u16; N] {
    const EMPTY: Self = [0; N];

    #[inline(always)]
    fn entries(&self) -> &[u16] {
        self
    }

    fn entries_mut(&mut self) -> &mut [u16] {
        self
    }
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
        let (states, order) = (trie.len(), trie.order());
        let rows = &*order.rows;
        let next = match count {
            _ if states > 1 << 16 && states * count > ENTRIES_LIMIT => return None,
            _ if states > 1 << 16 => Table::Long { next: trie.long_rows(rows, count), row: count },
            ..=32 => Table::Short32(trie.short_rows(rows)),
            33..=64 => Table::Short64(trie.short_rows(rows)),
            65..=74 => Table::Short74(trie.short_rows(rows)),
            75..=76 => Table::Short76(trie.short_rows(rows)),
            77..=84 => Table::Short84(trie.short_rows(rows)),
            85..=92 => Table::Short92(trie.short_rows(rows)),
            93..=96 => Table::Short96(trie.short_rows(rows)),
            97..=128 => Table::Short128(trie.short_rows(rows)),
            _ => Table::Short256(trie.short_rows(rows)),
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
            first_end: order.plain as u32,
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

    /// The same with these numbers of its texts.
    pub(super) fn renumbered(mut self, numbers: &[u32]) -> Self {
        self.texts.iter_mut().for_each(|number| *number = numbers[*number as usize]);
        self
    }

    /// Adds the texts that occur in a value.
    pub(super) fn find(&self, value: &[u8], hits: &mut Hits) {
        let classes = &*self.classes;
        match &self.next {
            Table::Short32(rows) => self.find_in(|state, byte| step(classes, rows, state, byte), value, hits),
            Table::Short64(rows) => self.find_in(|state, byte| step(classes, rows, state, byte), value, hits),
            Table::Short74(rows) => self.find_in(|state, byte| step(classes, rows, state, byte), value, hits),
            Table::Short76(rows) => self.find_in(|state, byte| step(classes, rows, state, byte), value, hits),
            Table::Short84(rows) => self.find_in(|state, byte| step(classes, rows, state, byte), value, hits),
            Table::Short92(rows) => self.find_in(|state, byte| step(classes, rows, state, byte), value, hits),
            Table::Short96(rows) => self.find_in(|state, byte| step(classes, rows, state, byte), value, hits),
            Table::Short128(rows) => {
                self.find_in(|state, byte| step(classes, rows, state, byte), value, hits)
            }
            Table::Short256(rows) => {
                self.find_in(|state, byte| step(classes, rows, state, byte), value, hits)
            }
            Table::Long { next, row } => {
                let step = |state, byte| {
                    let entry = state as usize * row + usize::from(classes[usize::from(byte)]);
                    next.get(entry).copied().unwrap_or_default()
                };
                self.find_in(step, value, hits);
            }
        }
    }

    #[inline(always)]
    fn find_in(&self, step: impl Fn(u32, u8) -> u32 + Copy, value: &[u8], hits: &mut Hits) {
        // A text that lies across a border is found by the reading behind it, which begins as much earlier.
        let overlap = self.longest.saturating_sub(1);
        let quarter = value.len() / 4;
        if value.len() < LONG || quarter <= overlap {
            self.read(step, 0, value, hits);
            return;
        }
        let part = |number: usize| {
            let start = number * quarter - if number == 0 { 0 } else { overlap };
            &value[start..start + quarter + overlap]
        };
        let (first, second, third, fourth) = (part(0), part(1), part(2), part(3));
        let mut states = [0; 4];
        let first_end = self.first_end;
        for (((first, second), third), fourth) in first.iter().zip(second).zip(third).zip(fourth) {
            states = [
                step(states[0], *first),
                step(states[1], *second),
                step(states[2], *third),
                step(states[3], *fourth),
            ];
            for state in states {
                if state >= first_end {
                    self.note(state, hits);
                }
            }
        }
        self.read(step, states[3], &value[4 * quarter..], hits);
    }

    #[inline(always)]
    fn read(&self, step: impl Fn(u32, u8) -> u32, mut state: u32, value: &[u8], hits: &mut Hits) {
        // Out of `self`, so that it stays in a register.
        let first_end = self.first_end;
        for &byte in value {
            state = step(state, byte);
            if state >= first_end {
                self.note(state, hits);
            }
        }
    }

    #[inline(never)]
    fn note(&self, state: u32, hits: &mut Hits) {
        let number = (state - self.first_end) as usize;
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
fn step(classes: &[u8; 256], rows: &[impl Entries], state: u32, byte: u8) -> u32 {
    let row = rows.get(state as usize);
    let next = row.and_then(|row| row.entries().get(usize::from(classes[usize::from(byte)])));
    next.map_or(0, |next| u32::from(*next))
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

/// Numbers the bytes that occur in texts, both cases of a letter as one; 0 is for all others. The most frequent come
/// first, so that what is read of a row lies in few cache lines.
fn classes(texts: &[Vec<u8>]) -> ([u8; 256], usize) {
    let mut occur = [false; 256];
    texts.iter().flatten().for_each(|byte| occur[usize::from(*byte)] = true);
    let mut bytes: Vec<u8> = (0..=255).filter(|byte| occur[usize::from(*byte)]).collect();
    bytes.sort_by(|left, right| rarity::of_text(&[*right]).total_cmp(&rarity::of_text(&[*left])));
    let mut classes = [0; 256];
    for (byte, class) in bytes.iter().zip(1..) {
        classes[usize::from(*byte)] = class;
        classes[usize::from(byte.to_ascii_uppercase())] = class;
    }
    (classes, bytes.len() + 1)
}

impl Trie {
    /// The completed table: a missing branch leads to where the longest known end of what was read leads.
    /// The caller counted states and classes.
    fn short_rows<R: Entries>(&self, rows: &[u32]) -> Box<[R]> {
        let row = |node: u32| rows[node as usize] as usize;
        let mut next = vec![R::EMPTY; self.len()];
        // The end of a text is nearer to the root, so its row is complete before it is copied.
        for node in self.by_distance() {
            if let Some(end) = self.end(node) {
                next[row(node)] = next[row(end)];
            }
            for (class, child) in self.children(node) {
                next[row(node)].entries_mut()[usize::from(class)] = rows[child as usize] as u16;
            }
        }
        next.into()
    }

    /// The same in rows of so many entries.
    fn long_rows(&self, rows: &[u32], row: usize) -> Box<[u32]> {
        let place = |node: u32| rows[node as usize] as usize * row;
        let mut next = vec![0; self.len() * row];
        for node in self.by_distance() {
            if let Some(end) = self.end(node) {
                next.copy_within(place(end)..place(end) + row, place(node));
            }
            for (class, child) in self.children(node) {
                next[place(node) + usize::from(class)] = rows[child as usize];
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
        assert!(matches!(machine.next, Table::Long { .. }));
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
