//! Whether a pattern matches anywhere in a long value.
//!
//! An automaton that reads a value byte by byte waits for each of its steps. What matches begin
//! with is looked for faster, and the automaton then reads on from there only. Where that would take longer than to read
//! everything, everything is read: the time stays linear.

use hop3_transformations::ByteSet;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input};

use super::dead_ends::DeadEnds;
use super::starts::{DEPTH, Misfits, firsts, fits};

/// Shortest value that counts as long. Measured.
pub(super) const LONG: usize = 512;
/// Places asked together.
const BLOCK: usize = 32;
/// The bytes that they depend on.
const READ: usize = BLOCK + DEPTH - 1;
/// What turning to one place costs, in bytes that could be read instead.
const TURN: usize = 48;
/// Bytes read in vain that do not matter.
const SPARE: usize = 2_048;
/// Most bytes that matches may begin with for them to be looked for one by one, and how many of them may occur in a value.
const FEW: usize = 9;
const FEW_PRESENT: usize = 3;
/// One in so many bytes may be among them: else all places are asked.
const SPARSE: usize = 8;
/// Parts of a value that are read at the same time, and the bytes of the shortest that are worth it.
const STREAMS: usize = 4;
const PART: usize = 256;
/// Bytes read first, for a state such as the parts may begin with.
const SAMPLE: usize = 64;
/// Bytes behind a part within which nearly every search comes to the state of one that began there.
const OVERLAP: usize = 64;
/// After so many bytes, and some more times, it is asked whether the state of a reading leads anywhere.
const FIRST_ASKED: usize = 8;
/// Bytes of a value for each step of looking where a state leads that it is worth.
const STEP: usize = 64;
/// At least one of these bits of a block's state is clear when a match may begin in it.
const LAST: u64 = u64::MAX << (64 - 64 / DEPTH);

/// An automaton for long values.
#[derive(Debug)]
pub(super) struct LongSearch {
    dfa: DFA,
    /// States built so far, of each thread.
    caches: Pool<Option<Cache>>,
    misfits: Option<Box<Misfits>>,
    /// What matches begin with, when that is few bytes.
    firsts: Option<Box<[u8]>>,
}

/// It would take more memory than it may.
pub(super) struct GaveUp;

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
        let firsts = misfits.as_deref().map(firsts).filter(|firsts| firsts.len() <= FEW);
        Self { dfa, caches: Pool::new(|| None), misfits, firsts }
    }

    /// Whether there is a match in a value of at least [`LONG`] bytes, in which no others than these occur, if that is known;
    /// `None` when it has to be found out otherwise.
    pub(super) fn is_match(&self, value: &[u8], bytes: Option<ByteSet>) -> Option<bool> {
        let mut cache = self.caches.get();
        let cache = cache.get_or_insert_with(|| self.dfa.create_cache());
        let mut search =
            Search { dfa: &self.dfa, cache, value, bytes, work: 0, dead_ends: DeadEnds::default() };
        let found = match &self.misfits {
            Some(misfits) => search.at_beginnings(misfits, self.firsts.as_deref()),
            None => search.everywhere(0),
        };
        found.or_else(|GaveUp| search.one_by_one(0)).ok()
    }
}

/// The search in one value.
struct Search<'s> {
    dfa: &'s DFA,
    cache: &'s mut Cache,
    value: &'s [u8],
    /// The bytes that may occur in it, where that is known.
    bytes: Option<ByteSet>,
    /// Bytes that were read, with what turning to them cost.
    work: usize,
    dead_ends: DeadEnds,
}

impl Search<'_> {
    fn at_beginnings(&mut self, misfits: &Misfits, firsts: Option<&[u8]>) -> Result<bool, GaveUp> {
        let end = self.value.len();
        if end < READ {
            return self.everywhere(0);
        }
        // Where nothing is known of beginnings.
        for at in [0, end - 3, end - 2, end - 1, end] {
            if let Some(matches) = self.decided_at(at, 0)? {
                return Ok(matches);
            }
        }
        match firsts.map(|firsts| self.occurring(firsts)).as_deref() {
            Some([]) => Ok(false),
            Some([only]) => self.at_places(misfits, memchr::memchr_iter(*only, self.value)),
            Some([one, other]) => self.at_places(misfits, memchr::memchr2_iter(*one, *other, self.value)),
            Some([one, two, three]) => {
                self.at_places(misfits, memchr::memchr3_iter(*one, *two, *three, self.value))
            }
            _ => self.in_blocks(misfits, 0),
        }
    }

    /// Those of a few bytes that occur, or as many of them as are too many.
    fn occurring(&self, few: &[u8]) -> Vec<u8> {
        let occurs = |byte: &u8| match self.bytes {
            Some(bytes) => bytes.contains(*byte),
            None => memchr::memchr(*byte, self.value).is_some(),
        };
        few.iter().copied().filter(occurs).take(FEW_PRESENT + 1).collect()
    }

    /// Whether the state of a reading leads nowhere.
    #[inline]
    fn is_dead_end(&mut self, state: LazyStateID, matters: bool) -> Result<bool, GaveUp> {
        let bytes = || self.bytes.unwrap_or_else(|| ByteSet::occurring_in(self.value));
        let limit = self.value.len() / STEP;
        self.dead_ends.has((self.dfa, self.cache), (state, matters), limit, bytes)
    }

    /// Whether a match begins at one of these places, which are all that have the first byte of one.
    fn at_places(&mut self, misfits: &Misfits, places: impl Iterator<Item = usize>) -> Result<bool, GaveUp> {
        for (count, at) in places.enumerate() {
            if count * SPARSE > at + SPARE {
                return self.in_blocks(misfits, at);
            }
            // The last places are none of these: there everything was read.
            let fits = self.value[at..].first_chunk().is_some_and(|bytes| fits(misfits, bytes));
            if fits && let Some(matches) = self.decided_at(at, at)? {
                return Ok(matches);
            }
        }
        Ok(false)
    }

    /// Whether a match begins at or behind a place.
    fn in_blocks(&mut self, misfits: &Misfits, from: usize) -> Result<bool, GaveUp> {
        let value = self.value;
        // The last block overlaps the one before.
        let last = value.len() - READ;
        for start in (from..last).step_by(BLOCK).chain([last]) {
            let Some(block) = value[start..].first_chunk::<READ>() else { continue };
            if may_begin(misfits, block) {
                let mut places = beginnings(misfits, block);
                while places != 0 {
                    let at = start + places.trailing_zeros() as usize;
                    places &= places - 1;
                    if let Some(matches) = self.decided_at(at, start)? {
                        return Ok(matches);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Whether there is a match, if that is decided by reading from one place on; no match begins before `done`.
    fn decided_at(&mut self, at: usize, done: usize) -> Result<Option<bool>, GaveUp> {
        match self.read_from(at, SPARE + done)? {
            Reading::Matches => Ok(Some(true)),
            Reading::Fails => Ok(None),
            Reading::TakesTooLong => self.everywhere(done).map(Some),
        }
    }

    /// Whether a match begins at one place.
    #[inline]
    fn read_from(&mut self, at: usize, limit: usize) -> Result<Reading, GaveUp> {
        self.work += TURN;
        if self.work > limit {
            return Ok(Reading::TakesTooLong);
        }
        let input = Input::new(self.value).range(at..).anchored(Anchored::Yes);
        let mut state = self.dfa.start_state_forward(self.cache, &input).map_err(|_| GaveUp)?;
        if state.is_tagged() {
            return decided(state);
        }
        for &byte in self.value[at..].iter().take(FIRST_ASKED) {
            let mut next = self.dfa.next_state_untagged(self.cache, state, byte);
            if next.is_tagged() {
                if next.is_unknown() {
                    next = self.dfa.next_state(self.cache, state, byte).map_err(|_| GaveUp)?;
                }
                if next.is_tagged() {
                    return decided(next);
                }
            }
            state = next;
        }
        self.read_further(state, at, limit)
    }

    /// The same behind the first bytes.
    #[inline(never)]
    fn read_further(&mut self, mut state: LazyStateID, at: usize, limit: usize) -> Result<Reading, GaveUp> {
        let rest = &self.value[at..];
        let allowed = limit.saturating_sub(self.work);
        let mut read = rest.len().min(FIRST_ASKED);
        for asked in [2 * FIRST_ASKED, 4 * FIRST_ASKED, 8 * FIRST_ASKED, usize::MAX] {
            let is_long = asked > 8 * FIRST_ASKED;
            if read < rest.len() && self.is_dead_end(state, is_long)? {
                self.work += read;
                return Ok(Reading::Fails);
            }
            for &byte in &rest[read..rest.len().min(allowed).min(asked).max(read)] {
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
                read += 1;
            }
            if read < asked {
                break;
            }
        }
        self.work += read;
        if read < rest.len() {
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
/// hardly longer than one. In what state the reading before comes to a part is guessed, and found out afterwards. Where the
/// memory for states is emptied on the way, what the others were called is forgotten, and the value is read in one row.
impl Search<'_> {
    fn side_by_side(&mut self, begin: usize) -> Result<bool, GaveUp> {
        let value = self.value;
        let clears = self.cache.clear_count();
        let (mut from, mut state) = (begin, self.begun(begin)?);
        // From here on `state` is that of a reading of everything before `from`.
        while value.len() - from >= STREAMS * PART {
            for &byte in &value[from..from + SAMPLE] {
                match self.step(state, byte, clears)? {
                    Some(next) if next.is_match() => return Ok(true),
                    Some(next) if next.is_dead() => return Ok(false),
                    Some(next) if !next.is_tagged() => state = next,
                    _ => return self.one_by_one(begin),
                }
            }
            from += SAMPLE;
            if self.is_dead_end(state, true)? {
                return Ok(false);
            }
            match self.in_streams((from, state), clears)? {
                Some(reached) => (from, state) = reached,
                None => return self.one_by_one(begin),
            }
        }
        self.finish(state, from)
    }

    /// Reads on in parts that are guessed to begin with the same state. How far that was right, and the state there; `None` when
    /// it comes to something that only one row can tell.
    fn in_streams(
        &mut self,
        (from, guess): (usize, LazyStateID),
        clears: usize,
    ) -> Result<Option<(usize, LazyStateID)>, GaveUp> {
        let value = self.value;
        let length = (value.len() - from) / STREAMS;
        let begin = |number: usize| from + number * length;
        let part = |number: usize| &value[begin(number)..begin(number) + length];
        let parts = std::array::from_fn(part);
        let (mut states, mut read) = ([guess; STREAMS], 0);
        loop {
            (states, read) = steps_together(self.dfa, self.cache, parts, states, read);
            if read == length {
                break;
            }
            for (state, part) in states.iter_mut().zip(parts) {
                match self.step(*state, part[read], clears)? {
                    Some(next) if !next.is_tagged() => *state = next,
                    _ => return Ok(None),
                }
            }
            read += 1;
        }
        // What was read of a part holds if the reading before it comes to the same state as one that began with the guess.
        for (number, state) in states.into_iter().enumerate().take(STREAMS - 1) {
            let (mut state, mut guessed, mut at) = (state, guess, begin(number + 1));
            let end = at + OVERLAP.min(length);
            while state != guessed {
                if at == end {
                    return Ok(Some((at, state)));
                }
                match (self.step(state, value[at], clears)?, self.step(guessed, value[at], clears)?) {
                    (Some(next), Some(of_guess)) if !next.is_tagged() && !of_guess.is_tagged() => {
                        (state, guessed) = (next, of_guess);
                    }
                    _ => return Ok(None),
                }
                at += 1;
            }
        }
        Ok(Some((begin(STREAMS), states[STREAMS - 1])))
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

/// Reads on in all parts, which are of one length, up to a step that is not like the others.
#[inline(never)]
fn steps_together(
    dfa: &DFA,
    cache: &Cache,
    parts: [&[u8]; STREAMS],
    mut states: [LazyStateID; STREAMS],
    from: usize,
) -> ([LazyStateID; STREAMS], usize) {
    let [first, second, third, fourth] = parts.map(|part| &part[from..]);
    let mut read = from;
    for (((first, second), third), fourth) in first.iter().zip(second).zip(third).zip(fourth) {
        let next = [
            dfa.next_state_untagged(cache, states[0], *first),
            dfa.next_state_untagged(cache, states[1], *second),
            dfa.next_state_untagged(cache, states[2], *third),
            dfa.next_state_untagged(cache, states[3], *fourth),
        ];
        if next.iter().any(LazyStateID::is_tagged) {
            break;
        }
        states = next;
        read += 1;
    }
    (states, read)
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
        "a[^;]*;",
        r"[ab]\bc* .*?;",
        ";[ab ]{9,}[^ab]*;;",
        "(?m);[^;]*$",
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
            // Memory for states that is emptied all the time.
            let narrow =
                LongSearch::new(automaton::compile_within(&root, 1).unwrap(), starts::misfits(&root));
            for round in 0..1_600 {
                // Long values in which matches are rare, and short ones in which they are not.
                let length = [1 + next(80), 500 + next(100), 1_024 + next(300), 6_000 + next(99)][round % 4];
                let rest = [2, 40, 400, 6_000][round / 4 % 4];
                let value: Vec<u8> = (0..length)
                    .map(|_| match next(rest) {
                        0 => b"abc"[next(3) as usize],
                        1 => b"aB;\n"[next(4) as usize],
                        _ => b"ab c"[next(4) as usize],
                    })
                    .collect();
                let expected = regex.is_match(&value);
                let known = (next(2) == 0).then(|| ByteSet::of(&value).with(b'x').with(b';'));
                assert_eq!(
                    search.is_match(&value, known),
                    Some(expected),
                    "{pattern} in {}",
                    value.escape_ascii()
                );
                let everywhere = everything.is_match(&value, known);
                assert_eq!(everywhere, Some(expected), "{pattern} in {}", value.escape_ascii());
                let otherwise = narrow.is_match(&value, known).unwrap_or(expected);
                assert_eq!(otherwise, expected, "{pattern} in {}", value.escape_ascii());
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
            assert_eq!(search.is_match(&value, None), Some(false));
            for at in 0..length - 1 {
                for text in [&b"<;>"[..], b"<x"] {
                    let Some(place) = value.get_mut(at..at + text.len()) else { continue };
                    place.copy_from_slice(text);
                    assert_eq!(search.is_match(&value, None), Some(true), "{length} {at}");
                    value[at..at + text.len()].fill(b'-');
                }
            }
        }
    }
}
