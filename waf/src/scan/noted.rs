//! A rule whose first link notes something of each value under names of its
//! own, and whose second link tests what was noted: both are decided without noting it.

use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use hop3_seclang::ast::{Collection, SetVarOp, Variable};
use hop3_transformations::ByteSet;

use super::needs::answers_only;
use super::privacy::Privacy;
use crate::collections::tx::{Slot, SlotNames};
use crate::operators::{Captures, Operator};
use crate::rule::{Action, Condition, Key, Rule, Selector};
use crate::settings::Settings;
use crate::template::{Piece, Template};

/// What a head notes of a value, and what the second link makes of it.
#[derive(Debug)]
pub(super) struct NotedTest {
    /// What is noted; its only macro is the text that matched.
    value: Template,
    /// The name it is noted under, with the same macro.
    name: Template,
    /// Finds the texts one of which a name must contain for other rules to read it; case is ignored. With the state
    /// after the literal beginning of the name.
    sought: Option<(DFA, StateID)>,
    /// What the second link's operator compares with.
    argument: Box<[u8]>,
    /// Where in the argument the literal beginning of what is noted stands, when only `@within` and the text
    /// that matched, between two literals, decide.
    listed: Option<Listed>,
}

/// What stands in a list between two literals.
#[derive(Debug)]
struct Listed {
    /// Places behind the first literal.
    places: Box<[u32]>,
    /// Lengths of what stands there up to the second literal, one bit each; the last for all from 63 on.
    lengths: u64,
    /// First bytes.
    firsts: ByteSet,
}

impl NotedTest {
    /// Reads the first two links of a rule; `argument` is what the second one's operator compares with.
    pub(super) fn of(rule: &Rule, argument: &[u8], privacy: &Privacy, names: &SlotNames) -> Option<Self> {
        let [head, second, ..] = &*rule.links else { return None };
        let [Action::SetVar { collection: Collection::Tx, key: Key::Name(key), op, value }] = &*head.actions
        else {
            return None;
        };
        let (condition, test) = (head.condition.as_ref()?, second.condition.as_ref()?);
        let [target] = &*test.targets else { return None };
        let Selector::Pattern(pattern) = &target.selector else { return None };
        let fits = head.capture
            && !condition.negated
            && condition.operator.captures()
            && !head.multi_match
            && *op == SetVarOp::Set
            && has_only_the_match(key)
            && has_only_the_match(value)
            && target.variable == Variable::Tx
            && !target.count
            && target.exclusions.is_empty()
            && !second.multi_match
            && answers_only(&test.operator)
            && privacy.is_private(rule.id, &key.literal_prefix(), pattern.prefix()?, names);
        let automaton = || {
            let mut builder = DFA::builder();
            let automaton =
                builder.ascii_case_insensitive(true).prefilter(false).build(&privacy.sought).ok()?;
            let start = automaton.start_state(Anchored::No).ok()?;
            let begun = walk(&automaton, start, &key.literal_prefix())?;
            Some((automaton, begun))
        };
        let sought = if fits && !privacy.sought.is_empty() { Some(automaton()?) } else { None };
        let listed = Listed::of(value, test, argument);
        let (value, name, argument) = (value.clone(), key.clone(), argument.into());
        fits.then_some(Self { value, name, sought, argument, listed })
    }

    /// Whether the second link may match in what the head, with these captures, notes of a value.
    pub(super) fn may_match(
        &self,
        second: &Condition,
        settings: &Settings,
        value: &[u8],
        captures: &Captures,
        buffer: &mut Vec<u8>,
    ) -> bool {
        let matched = match (&captures.text, captures.spans[0]) {
            (Some(text), _) => text,
            (None, Some((start, end))) => value.get(start..end).unwrap_or_default(),
            (None, None) => &[],
        };
        if self.sought.as_ref().is_some_and(|(automaton, begun)| self.name_has(automaton, *begun, matched)) {
            return true;
        }
        if let (Some(listed), [_, _, Piece::Literal(end)]) = (&self.listed, self.value.pieces()) {
            return listed.has(matched, end, &self.argument);
        }
        expand(&self.value, matched, buffer);
        let mut changed = Vec::new();
        for transformation in &second.transformations {
            changed.clear();
            if transformation.apply(buffer, &mut changed, &settings.transformation_context()) {
                std::mem::swap(buffer, &mut changed);
            }
        }
        second.operator.test(buffer, &self.argument, settings.pcre_match_limit, None) != Ok(second.negated)
    }

    /// Whether one of the automaton's texts occurs in the name, behind its literal beginning or across the end of that.
    fn name_has(&self, automaton: &DFA, begun: StateID, matched: &[u8]) -> bool {
        let mut state = begun;
        let pieces = self.name.pieces().iter().enumerate();
        for (number, piece) in pieces {
            let text = match piece {
                Piece::Literal(_) if number == 0 => continue,
                Piece::Literal(text) => text,
                _ => matched,
            };
            match walk(automaton, state, text) {
                Some(next) => state = next,
                None => return true,
            }
        }
        false
    }
}

fn has_only_the_match(template: &Template) -> bool {
    template.pieces().iter().all(|piece| matches!(piece, Piece::Literal(_) | Piece::Tx(Slot(0))))
}

impl Listed {
    /// For what is noted, and the list that the second link holds it against.
    fn of(value: &Template, test: &Condition, list: &[u8]) -> Option<Self> {
        let [Piece::Literal(start), Piece::Tx(_), Piece::Literal(end)] = value.pieces() else { return None };
        let decides = matches!(test.operator, Operator::Within(_)) && !test.negated;
        if start.is_empty() || end.is_empty() || !decides || !test.transformations.is_empty() {
            return None;
        }
        let ends = |text: &[u8]| {
            let found = list.windows(text.len()).enumerate().filter(|(_, window)| *window == text);
            found.map(|(at, _)| at).collect::<Vec<usize>>()
        };
        let places: Vec<usize> = ends(start).into_iter().map(|at| at + start.len()).collect();
        let stops = ends(end);
        let mut lengths = 0;
        let mut firsts = ByteSet::default();
        for &place in &places {
            let after = stops.iter().filter(|stop| **stop >= place);
            after.for_each(|stop| lengths |= 1 << (stop - place).min(63));
            firsts = list.get(place).map_or(firsts, |first| firsts.with(*first));
        }
        Some(Self { places: places.iter().map(|place| *place as u32).collect(), lengths, firsts })
    }

    /// Whether the list has `matched` there with `end` behind it.
    fn has(&self, matched: &[u8], end: &[u8], list: &[u8]) -> bool {
        let may_be = self.lengths >> matched.len().min(63) & 1 == 1
            && matched.first().is_none_or(|first| self.firsts.contains(*first));
        let is_there = |place: u32| {
            let rest = list.get(place as usize..).and_then(|rest| rest.strip_prefix(matched));
            rest.is_some_and(|rest| rest.starts_with(end))
        };
        may_be && self.places.iter().any(|place| is_there(*place))
    }
}

/// The state after a text; `None` when one of the automaton's texts ends in it.
fn walk(automaton: &DFA, state: StateID, text: &[u8]) -> Option<StateID> {
    text.iter().try_fold(state, |state, byte| {
        let next = automaton.next_state(Anchored::No, state, *byte);
        (!automaton.is_match(next)).then_some(next)
    })
}

/// Expands a template whose only macro is the text that matched.
fn expand(template: &Template, matched: &[u8], out: &mut Vec<u8>) {
    out.clear();
    for piece in template.pieces() {
        match piece {
            Piece::Literal(bytes) => out.extend_from_slice(bytes),
            _ => out.extend_from_slice(matched),
        }
    }
}
