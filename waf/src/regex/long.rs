//! Whether a pattern matches anywhere in a long value.
//!
//! An automaton that reads a value byte by byte waits for each of its steps. What matches begin
//! with is looked for faster, and the automaton then reads on from there only. Where that would take longer than to read
//! everything, everything is read: the time stays linear.

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input};

use super::starts::{DEPTH, Misfits};

/// Shortest value that counts as long. Measured.
pub(super) const LONG: usize = 512;
/// Places asked together.
const BLOCK: usize = 32;
/// The bytes that they depend on.
const READ: usize = BLOCK + DEPTH - 1;
/// What turning to one place costs, in bytes that could be read instead.
const TURN: usize = 12;
/// Bytes read in vain that do not matter.
const SPARE: usize = 512;
/// Parts of a value that are read at the same time, and the bytes of the shortest that are worth it.
const STREAMS: usize = 4;
const PART: usize = 256;
/// Bytes behind a part within which nearly every search comes to the state of one that began there.
const OVERLAP: usize = 64;
/// At least one of these bits of a block's state is clear when a match may begin in it.
const LAST: u64 = u64::MAX << (64 - 64 / DEPTH);

/// An automaton for long values.
#[derive(Debug)]
pub(super) struct LongSearch {
    dfa: DFA,
    /// States built so far, of each thread.
    caches: Pool<Option<Cache>>,
    misfits: Option<Box<Misfits>>,
}

/// It would take more memory than it may.
struct GaveUp;

/// What is read from one place on.
enum Reading {
    Matches,
    Fails,
    /// Too much was read by now.
    TakesTooLong,
}

impl LongSearch {
    /// Of an automaton, and what its matches begin with.
    pub(super) fn new(dfa: DFA, misfits: Option<Box<Misfits>>) -> Self {
        Self { dfa, caches: Pool::new(|| None), misfits }
    }

    /// Whether there is a match in a value of at least [`LONG`] bytes; `None` when that has to be found out otherwise.
    pub(super) fn is_match(&self, value: &[u8]) -> Option<bool> {
        let mut cache = self.caches.get();
        let cache = cache.get_or_insert_with(|| self.dfa.create_cache());
        let mut search = Search { dfa: &self.dfa, cache, value, work: 0 };
        match &self.misfits {
            Some(misfits) => search.at_beginnings(misfits),
            None => search.everywhere(0),
        }
        .ok()
    }
}

/// The search in one value.
struct Search<'s> {
    dfa: &'s DFA,
    cache: &'s mut Cache,
    value: &'s [u8],
    /// Bytes that were read, with what turning to them cost.
    work: usize,
}

impl Search<'_> {
    fn at_beginnings(&mut self, misfits: &Misfits) -> Result<bool, GaveUp> {
        let value = self.value;
        let end = value.len();
        if end < READ {
            return self.everywhere(0);
        }
        // Where nothing is known of beginnings, and the last block, which overlaps the one before.
        let last = end - READ;
        let special = [0, end - 3, end - 2, end - 1, end];
        for at in special {
            match self.read_from(at, SPARE)? {
                Reading::Matches => return Ok(true),
                Reading::Fails => {}
                Reading::TakesTooLong => return self.everywhere(0),
            }
        }
        for start in (0..last).step_by(BLOCK).chain([last]) {
            let Some(block) = value[start..].first_chunk::<READ>() else { continue };
            if may_begin(misfits, block) {
                let mut places = beginnings(misfits, block);
                while places != 0 {
                    let at = places.trailing_zeros() as usize;
                    places &= places - 1;
                    match self.read_from(start + at, SPARE + start)? {
                        Reading::Matches => return Ok(true),
                        Reading::Fails => {}
                        Reading::TakesTooLong => return self.everywhere(start),
                    }
                }
            }
        }
        Ok(false)
    }

    /// Whether a match begins at one place.
    fn read_from(&mut self, at: usize, limit: usize) -> Result<Reading, GaveUp> {
        self.work += TURN;
        let input = Input::new(self.value).range(at..).anchored(Anchored::Yes);
        let mut state = self.dfa.start_state_forward(self.cache, &input).map_err(|_| GaveUp)?;
        if state.is_tagged() {
            return decided(state);
        }
        let allowed = limit.saturating_sub(self.work);
        let rest = &self.value[at..];
        for (read, &byte) in rest.iter().take(allowed).enumerate() {
            let mut next = self.dfa.next_state_untagged(self.cache, state, byte);
            if next.is_tagged() {
                if next.is_unknown() {
                    next = self.dfa.next_state(self.cache, state, byte).map_err(|_| GaveUp)?;
                }
                if next.is_tagged() {
                    self.work += read;
                    return decided(next);
                }
            }
            state = next;
        }
        self.work += rest.len().min(allowed);
        if rest.len() > allowed {
            return Ok(Reading::TakesTooLong);
        }
        let state = self.dfa.next_eoi_state(self.cache, state).map_err(|_| GaveUp)?;
        Ok(if state.is_match() { Reading::Matches } else { Reading::Fails })
    }

    /// Whether a match begins at some place or behind it.
    fn everywhere(&mut self, from: usize) -> Result<bool, GaveUp> {
        if self.value.len() - from >= STREAMS * PART {
            return self.side_by_side(from);
        }
        self.one_by_one(from)
    }

    fn one_by_one(&mut self, from: usize) -> Result<bool, GaveUp> {
        let input = Input::new(self.value).range(from..).earliest(true);
        let found = self.dfa.try_search_fwd(self.cache, &input).map_err(|_| GaveUp)?;
        Ok(found.is_some())
    }
}

/// Reading several parts of a value at the same time: each step waits for the one before, so that several rows of steps take
/// hardly longer than one. Where the memory for states is emptied on the way, what the others were called is forgotten, and the
/// value is read in one row.
impl Search<'_> {
    fn side_by_side(&mut self, from: usize) -> Result<bool, GaveUp> {
        let value = self.value;
        let length = (value.len() - from) / STREAMS;
        let begin = |number: usize| from + number * length;
        let clears = self.cache.clear_count();
        let mut states = [self.begun(from)?; STREAMS];
        for (number, state) in states.iter_mut().enumerate().skip(1) {
            *state = self.begun(begin(number))?;
        }
        if self.cache.clear_count() != clears || states.iter().any(LazyStateID::is_tagged) {
            return self.one_by_one(from);
        }
        let part = |number: usize| &value[begin(number)..begin(number) + length];
        let (first, second, third, fourth) = (part(0), part(1), part(2), part(3));
        for (((first, second), third), fourth) in first.iter().zip(second).zip(third).zip(fourth) {
            let bytes = [*first, *second, *third, *fourth];
            let next: [LazyStateID; STREAMS] = std::array::from_fn(|number| {
                self.dfa.next_state_untagged(self.cache, states[number], bytes[number])
            });
            if next.iter().any(LazyStateID::is_tagged) {
                for (state, byte) in states.iter_mut().zip(bytes) {
                    match self.step(*state, byte, clears)? {
                        Some(next) if next.is_match() => return Ok(true),
                        Some(next) if !next.is_tagged() => *state = next,
                        _ => return self.one_by_one(from),
                    }
                }
            } else {
                states = next;
            }
        }
        // What began in one part may end in the next: it is read on until it makes no difference any longer.
        for (number, state) in states.into_iter().enumerate().take(STREAMS - 1) {
            if let Some(matches) = self.read_on(state, (begin(number), begin(number + 1)), clears)? {
                return Ok(matches);
            }
        }
        self.finish(states[STREAMS - 1], begin(STREAMS))
    }

    /// Reads on behind a part. `None` when a search that began there comes to the same state: nothing more is to be found
    /// than what that finds. Otherwise whether there is a match anywhere from the part on.
    fn read_on(
        &mut self,
        mut state: LazyStateID,
        (begin, at): (usize, usize),
        clears: usize,
    ) -> Result<Option<bool>, GaveUp> {
        let mut other = self.begun(at)?;
        if self.cache.clear_count() != clears {
            return self.one_by_one(begin).map(Some);
        }
        let end = self.value.len().min(at + OVERLAP);
        for &byte in &self.value[at..end] {
            if state == other {
                return Ok(None);
            }
            match (self.step(state, byte, clears)?, self.step(other, byte, clears)?) {
                (Some(next), _) if next.is_match() => return Ok(Some(true)),
                (Some(next), Some(of_other)) if !next.is_tagged() && !of_other.is_tagged() => {
                    (state, other) = (next, of_other);
                }
                _ => return self.one_by_one(begin).map(Some),
            }
        }
        self.finish(state, end).map(Some)
    }

    /// Whether there is a match when everything from a place on is read.
    fn finish(&mut self, mut state: LazyStateID, at: usize) -> Result<bool, GaveUp> {
        for &byte in &self.value[at..] {
            state = self.dfa.next_state(self.cache, state, byte).map_err(|_| GaveUp)?;
            if state.is_tagged() {
                return Ok(matches!(decided(state)?, Reading::Matches));
            }
        }
        let state = self.dfa.next_eoi_state(self.cache, state).map_err(|_| GaveUp)?;
        Ok(state.is_match())
    }

    /// The state before a search.
    fn begun(&mut self, at: usize) -> Result<LazyStateID, GaveUp> {
        let input = Input::new(self.value).range(at..);
        self.dfa.start_state_forward(self.cache, &input).map_err(|_| GaveUp)
    }

    /// The next state; `None` when the memory for states was emptied, now or before.
    fn step(&mut self, state: LazyStateID, byte: u8, clears: usize) -> Result<Option<LazyStateID>, GaveUp> {
        if self.cache.clear_count() != clears {
            return Ok(None);
        }
        let next = self.dfa.next_state(self.cache, state, byte).map_err(|_| GaveUp)?;
        Ok((self.cache.clear_count() == clears).then_some(next))
    }
}

/// What a state tells that is not like the others.
fn decided(state: LazyStateID) -> Result<Reading, GaveUp> {
    if state.is_match() {
        Ok(Reading::Matches)
    } else if state.is_dead() {
        Ok(Reading::Fails)
    } else {
        Err(GaveUp)
    }
}

/// Whether a match may begin at some place of a block.
///
/// After each byte the state has, for each row and each place in it, whether what was read last does not fit. A block's
/// state depends on nothing before it, so the processor works on several at a time.
#[inline]
fn may_begin(misfits: &Misfits, block: &[u8; READ]) -> bool {
    let mut state = u64::MAX;
    let mut all = u64::MAX;
    for &byte in block {
        state = state << (64 / DEPTH) | misfits[usize::from(byte)];
        all &= state;
    }
    all & LAST != LAST
}

/// The places of a block at which a match may begin, one bit each.
#[inline]
fn beginnings(misfits: &Misfits, block: &[u8; READ]) -> u64 {
    let mut state = u64::MAX;
    let mut places = 0;
    for (at, &byte) in block.iter().enumerate() {
        state = state << (64 / DEPTH) | misfits[usize::from(byte)];
        places |= u64::from(state & LAST != LAST) << at;
    }
    places >> (DEPTH - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::parse::{Flags, parse};
    use crate::regex::{automaton, starts};

    const PATTERNS: &[&str] = &[
        "ab;c",
        "(?i)b;?c+a$",
        "^a;;.*b",
        ";;",
        r";\b[ab]+\B.c;",
        "(?:ab|;)c(?:a|b){3,}",
        "(?m)^;b|;a$",
        ";[abc]*;c;b",
        "(?s);.*;;b;",
        "b;+(?:|a)c{2}",
        "cabbac?;|(?-s);a.?c;;",
        "[ab][bc];c[^;]",
    ];

    /// Against a search of everything, in values of all lengths, full of beginnings and without.
    #[test]
    fn finds_what_a_search_of_everything_finds() {
        let mut random = 11u32;
        let mut next = |end: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % end
        };
        let (mut found, mut missed) = (0, 0);
        for pattern in PATTERNS {
            let root = parse(pattern.as_bytes(), Flags::default()).unwrap().root;
            let regex = automaton::compile(&root).unwrap();
            let misfits = starts::misfits(&root);
            assert!(misfits.is_some(), "{pattern}");
            let search = LongSearch::new(automaton::compile_forward(&root).unwrap(), misfits);
            let everything = LongSearch::new(automaton::compile_forward(&root).unwrap(), None);
            for round in 0..1_500 {
                // Long values in which matches are rare, and short ones in which they are not.
                let length = [1 + next(80), 500 + next(100), 1_024 + next(300)][round % 3];
                let rest = [2, 40, 400][round / 3 % 3];
                let value: Vec<u8> = (0..length)
                    .map(|_| match next(rest) {
                        0 => b"abc"[next(3) as usize],
                        1 => b"aB;\n"[next(4) as usize],
                        _ => b"ab c"[next(4) as usize],
                    })
                    .collect();
                let expected = regex.is_match(&value);
                assert_eq!(search.is_match(&value), Some(expected), "{pattern} in {}", value.escape_ascii());
                let everywhere = everything.is_match(&value);
                assert_eq!(everywhere, Some(expected), "{pattern} in {}", value.escape_ascii());
                *(if expected { &mut found } else { &mut missed }) += 1;
            }
        }
        assert!(found > 1_000 && missed > 1_000, "{found} {missed}");
    }

    #[test]
    fn finds_a_match_wherever_it_is() {
        let root = parse(b"<;>+|<x", Flags::default()).unwrap().root;
        let search = LongSearch::new(automaton::compile_forward(&root).unwrap(), starts::misfits(&root));
        for length in LONG..LONG + 40 {
            let mut value = vec![b'-'; length];
            assert_eq!(search.is_match(&value), Some(false));
            for at in 0..length - 1 {
                for text in [&b"<;>"[..], b"<x"] {
                    let Some(place) = value.get_mut(at..at + text.len()) else { continue };
                    place.copy_from_slice(text);
                    assert_eq!(search.is_match(&value), Some(true), "{length} {at}");
                    value[at..at + text.len()].fill(b'-');
                }
            }
        }
    }
}
