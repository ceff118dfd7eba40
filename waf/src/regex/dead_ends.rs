//! States of a search that lead nowhere in one value: from them no match is reached with the bytes that occur in it.
//!
//! A pattern that goes on with any letters up to a backslash reads them to their end at each place where it may
//! begin; in a value without a backslash that is in vain. Only states with few others behind them are found out, which
//! are those that cost most.

use hop3_transformations::ByteSet;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};

use super::long::GaveUp;

/// States behind one that may be looked at.
const BEHIND: usize = 24;
/// Questions about states before any is answered: fewer are not worth it.
const PATIENCE: u32 = 24;
/// What is known of the states in one value.
#[derive(Debug, Default)]
pub(super) struct DeadEnds {
    asked: u32,
    /// Steps taken.
    steps: usize,
    /// How often the memory for states was emptied: then they are others.
    clears: usize,
    /// One byte of each class that may occur in the value.
    bytes: Vec<u8>,
    dead: Vec<LazyStateID>,
    others: Vec<LazyStateID>,
}

impl DeadEnds {
    /// Whether a state is known to lead nowhere; one that much depends on is looked at in any case. In all so many steps may
    /// be taken. Gives up when the memory for states is emptied on the way.
    #[inline]
    pub(super) fn has(
        &mut self,
        (dfa, cache): (&DFA, &mut Cache),
        (state, matters): (LazyStateID, bool),
        limit: usize,
        bytes: impl FnOnce() -> ByteSet,
    ) -> Result<bool, GaveUp> {
        self.asked += 1;
        if self.asked < PATIENCE && !matters {
            return Ok(false);
        }
        if self.clears == cache.clear_count() {
            if self.dead.contains(&state) {
                return Ok(true);
            }
            if self.steps > limit || self.others.contains(&state) {
                return Ok(false);
            }
        } else {
            self.clears = cache.clear_count();
            self.dead.clear();
            self.others.clear();
        }
        if self.bytes.is_empty() {
            self.bytes = one_of_each_class(dfa, bytes());
        }
        self.find_out(dfa, cache, limit, state)
    }

    #[inline(never)]
    fn find_out(
        &mut self,
        dfa: &DFA,
        cache: &mut Cache,
        limit: usize,
        state: LazyStateID,
    ) -> Result<bool, GaveUp> {
        let behind = self.behind(dfa, cache, limit, state)?;
        if self.clears != cache.clear_count() {
            // The state that was asked about is another now.
            return Err(GaveUp);
        }
        match behind {
            Some(states) => {
                self.dead.extend(states);
                Ok(true)
            }
            None => {
                self.others.push(state);
                Ok(false)
            }
        }
    }

    /// A state with all that are behind it, when none of them ends in a match.
    fn behind(
        &mut self,
        dfa: &DFA,
        cache: &mut Cache,
        limit: usize,
        state: LazyStateID,
    ) -> Result<Option<Vec<LazyStateID>>, GaveUp> {
        let clears = cache.clear_count();
        let mut known = vec![state];
        let mut at = 0;
        while let Some(&state) = known.get(at) {
            at += 1;
            self.steps += self.bytes.len();
            if self.steps > limit || dfa.next_eoi_state(cache, state).map_err(|_| GaveUp)?.is_match() {
                return Ok(None);
            }
            for &byte in &self.bytes {
                if cache.clear_count() != clears {
                    return Ok(None);
                }
                let next = dfa.next_state(cache, state, byte).map_err(|_| GaveUp)?;
                if next.is_dead() || self.dead.contains(&next) || known.contains(&next) {
                    continue;
                }
                if next.is_tagged() || known.len() == BEHIND || self.others.contains(&next) {
                    return Ok(None);
                }
                known.push(next);
            }
        }
        Ok(Some(known))
    }
}

/// One of the bytes for each class of them.
fn one_of_each_class(dfa: &DFA, bytes: ByteSet) -> Vec<u8> {
    let mut known = ByteSet::EMPTY;
    let mut is_first = |byte: &u8| {
        let class = dfa.byte_classes().get(*byte);
        let is_first = !known.contains(class);
        known = known.with(class);
        is_first
    };
    bytes.iter().filter(|byte| is_first(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::automaton;
    use crate::regex::parse::{Flags, parse};
    use regex_automata::{Anchored, Input};

    /// Whether the state after `read` is found to lead nowhere in a value that begins so.
    fn leads_nowhere(pattern: &str, read: &str, rest: &str) -> bool {
        let root = parse(pattern.as_bytes(), Flags::default()).unwrap().root;
        let dfa = automaton::compile_forward(&root).unwrap();
        let mut cache = dfa.create_cache();
        let value = format!("{read}{rest}");
        let input = Input::new(&value).anchored(Anchored::Yes);
        let mut state = dfa.start_state_forward(&mut cache, &input).unwrap();
        for byte in read.bytes() {
            state = dfa.next_state(&mut cache, state, byte).unwrap();
        }
        let mut dead_ends = DeadEnds::default();
        let found = |dead_ends: &mut DeadEnds, cache: &mut Cache, matters| {
            let bytes = || ByteSet::of(value.as_bytes());
            dead_ends.has((&dfa, cache), (state, matters), 600, bytes).ok().unwrap()
        };
        assert!(!found(&mut dead_ends, &mut cache, false), "not worth it yet");
        let first = found(&mut dead_ends, &mut cache, true);
        assert_eq!(found(&mut dead_ends, &mut cache, true), first);
        first
    }

    #[test]
    fn what_a_match_still_needs_does_not_occur() {
        for (pattern, read, rest, expected) in [
            (r"&[a-z ]*\\", "& a", "bc ", true),
            (r"&[a-z ]*\\", "& a", r"bc\ ", false),
            (r"&(?:[a-z ]*\\|[a-z]*,x)", "&a", "b, ", true),
            (r"&(?:[a-z ]*\\|[a-z]*,x)", "&a", "x, ", false),
            ("select.*user[(]", "select", " the user", true),
            ("select.*user", "select", " the user", false),
            ("&[a-z ]*$", "&a", "b ", false),
            ("&.*x", "&", "b", true),
            // Too many states.
            ("&(?:[a-c]{9})*;", "&", "ab", true),
            ("&(?:[a-c]{99})*;", "&", "ab", false),
        ] {
            assert_eq!(leads_nowhere(pattern, read, rest), expected, "{pattern} in {read}{rest}");
        }
    }
}
