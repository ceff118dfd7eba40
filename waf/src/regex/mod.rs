//! Patterns of `@rx` and of selectors.
//!
//! One dialect, PCRE's on bytes, read by one parser. Patterns become automata
//! that are linear in the value; those with look-around, back-references or
//! atomic groups run on a backtracking machine with a budget.

mod automaton;
mod backtrack;
mod class;
mod dead_ends;
mod deferred;
mod facts;
mod long;
mod parse;
mod required;
mod short_text;
mod starts;
mod syntax;

use hop3_transformations::ByteSet;
use regex_automata::Input;
use regex_automata::util::primitives::NonMaxUsize;

pub(crate) use backtrack::LimitExceeded;
use deferred::Deferred;
pub(crate) use parse::Flags;
pub(crate) use required::Requirement;
pub(crate) use short_text::ShortText;
pub use syntax::{PatternError, PcreConstruct};

/// Groups that rules can see: the whole match and nine groups.
pub(crate) const GROUPS: usize = 10;

/// Longest value whose empty repetitions are told apart as PCRE does: that takes backtracking.
const EXACT_LIMIT: usize = 8192;

/// Offsets of the groups in the value.
pub(crate) type Spans = [Option<(usize, usize)>; GROUPS];

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    engine: Engine,
    groups: u32,
    required: Box<[Requirement]>,
    prefix: Option<Vec<u8>>,
    /// Whether it takes any line whole, and nothing else of a value.
    any_line: bool,
    minds_case: bool,
}

#[derive(Debug)]
enum Engine {
    Automaton(Box<Deferred>),
    Backtracking(backtrack::Program, PcreConstruct),
}

/// Rulesets get the same pattern out of the same parts; others are not compared.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Pattern {
    /// Prepares a pattern; the error is its syntax or its size.
    pub(crate) fn new(pattern: &[u8], flags: Flags) -> Result<Self, PatternError> {
        let syntax = parse::parse(pattern, flags)?;
        let limited = flags.limited.then_some(PcreConstruct::MatchLimit);
        let engine = match syntax.pcre_only.or(limited) {
            None => Engine::Automaton(Box::new(Deferred::new(pattern, flags, &syntax)?)),
            Some(construct) => {
                Engine::Backtracking(backtrack::compile(&syntax.root, syntax.groups)?, construct)
            }
        };
        let required = required::requirements(&syntax.root);
        let prefix = required::anchored_prefix(&syntax.root);
        let any_line = pattern == b"^.*$" && !flags.limited;
        let minds_case = !flags.fold || has_inner_flags(pattern);
        Ok(Self { engine, groups: syntax.groups, required, prefix, any_line, minds_case })
    }

    /// Builds the automaton now instead of at the first value.
    pub(crate) fn prepare(&self) {
        if let Engine::Automaton(deferred) = &self.engine {
            // What cannot be built says so to each value.
            let _ = deferred.regex();
        }
    }

    /// What makes the pattern need the backtracking engine.
    pub(crate) fn pcre_only(&self) -> Option<PcreConstruct> {
        match &self.engine {
            Engine::Automaton(_) => None,
            Engine::Backtracking(_, construct) => Some(*construct),
        }
    }

    /// What a value must hold for the pattern to match in it: one of these.
    pub(crate) fn required(&self) -> &[Requirement] {
        &self.required
    }

    /// What every value in which the pattern matches begins with, in lower case;
    /// `None` when a match may stand anywhere.
    pub(crate) fn prefix(&self) -> Option<&[u8]> {
        self.prefix.as_deref()
    }

    /// Whether it may tell capitals from small letters.
    pub(crate) fn minds_case(&self) -> bool {
        self.minds_case
    }

    /// Capturing groups that rules can see, the whole match included.
    pub(crate) fn visible_groups(&self) -> usize {
        (self.groups as usize + 1).min(GROUPS)
    }

    /// Whether the pattern matches anywhere in the value.
    pub(crate) fn is_match(&self, value: &[u8], budget: u64) -> Result<bool, LimitExceeded> {
        self.is_match_among(value, None, budget)
    }

    /// The same in a value in which no others than these bytes occur, if that is known: it makes long ones faster.
    pub(crate) fn is_match_among(
        &self,
        value: &[u8],
        bytes: Option<ByteSet>,
        budget: u64,
    ) -> Result<bool, LimitExceeded> {
        match &self.engine {
            // Not `is_match` of the automaton: where a literal of the pattern is everywhere in the value, that goes
            // over to simulating the automaton, which costs a hundred times as much.
            Engine::Automaton(deferred) => {
                if value.len() >= long::LONG
                    && let Some(matches) = deferred.long().and_then(|search| search.is_match(value, bytes))
                {
                    return Ok(matches);
                }
                Ok(deferred.regex()?.search_half(&Input::new(value).earliest(true)).is_some())
            }
            Engine::Backtracking(program, _) => program.find(value, 0, budget, &mut []),
        }
    }

    /// Finds the leftmost match at or after `from`. The groups are written only
    /// when there is one: most values match nothing, and should cost nothing.
    pub(crate) fn captures(
        &self,
        value: &[u8],
        from: usize,
        budget: u64,
        spans: &mut Spans,
    ) -> Result<bool, LimitExceeded> {
        if self.any_line && from == 0 && memchr::memchr(b'\n', value).is_none() {
            *spans = Spans::default();
            spans[0] = Some((0, value.len()));
            return Ok(true);
        }
        match &self.engine {
            Engine::Automaton(deferred) => {
                let regex = deferred.regex()?;
                let input = Input::new(value).range(from..);
                if value.len() <= EXACT_LIMIT
                    && let Some(exact) = deferred.exact()
                {
                    let Some(found) = regex.search(&input) else { return Ok(false) };
                    let mut groups = Spans::default();
                    let visible = &mut groups[..self.visible_groups()];
                    if exact.find(value, found.start(), 0, visible) == Ok(true)
                        && groups[0].is_some_and(|(start, _)| start == found.start())
                    {
                        *spans = groups;
                        return Ok(true);
                    }
                }
                if self.groups == 0 {
                    let Some(found) = regex.search(&input) else { return Ok(false) };
                    *spans = Spans::default();
                    spans[0] = Some((found.start(), found.end()));
                    return Ok(true);
                }
                let mut slots = [None::<NonMaxUsize>; 2 * GROUPS];
                let visible = 2 * self.visible_groups();
                if regex.search_slots(&input, &mut slots[..visible]).is_none() {
                    return Ok(false);
                }
                for (span, slot) in spans.iter_mut().zip(slots.chunks_exact(2)) {
                    *span = slot[0].zip(slot[1]).map(|(start, end)| (start.get(), end.get()));
                }
                Ok(true)
            }
            Engine::Backtracking(program, _) => {
                let mut groups = Spans::default();
                let found = program.find(value, from, budget, &mut groups[..self.visible_groups()])?;
                if found {
                    *spans = groups;
                }
                Ok(found)
            }
        }
    }
}

/// Whether flags may be set within a pattern, such as `(?-i)`.
fn has_inner_flags(pattern: &[u8]) -> bool {
    pattern.array_windows().any(|[open, mark, flag]| {
        [*open, *mark] == *b"(?" && (flag.is_ascii_lowercase() || matches!(flag, b'-' | b'^'))
    })
}

#[cfg(test)]
mod tests;
