//! Scans the values of a transaction that were not scanned yet.

use std::cell::Cell;
use std::time::Duration;

use hop3_transformations::ByteSet;

use super::bits::Bits;
use super::literals::{Literals, WatchId};
use super::machine::Hits;
use super::plan::{Plan, Step, only_folds};
use super::prospect;
use super::seen::Seen;
use super::source::{List, SINGLES, Side, Source};
use super::tree::{NodeId, Nodes};
use super::{Place, Scan};
use crate::operators::{Captures, Operator};
use crate::regex::LimitExceeded;
use crate::ruleset::Ruleset;
use crate::state::State;
use crate::text::TextId;

/// Which values were scanned, and which rules may match.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Fields scanned of each list.
    lists: [usize; List::ALL.len()],
    singles: [Option<TextId>; SINGLES.len()],
    /// The rules, by phase and place in it, of which a test matched.
    pub(crate) candidates: [Bits; 5],
    /// Rules whose turn came and that capture, but were left out because their chain cannot match.
    pub(crate) left_out: Vec<Place>,
    forms: Forms,
    seen: Seen,
    hits: Hits,
    /// For each test the number of the last text it was run on.
    tried: Vec<u32>,
    /// Number of texts scanned.
    texts: u32,
    buffer: Vec<u8>,
}

/// The forms that transformations give one value.
#[derive(Debug, Default)]
struct Forms {
    /// Texts that are scanned.
    texts: Vec<Scanned>,
    /// For each node on the way to a changed text the number of its scanned text; by node.
    scanned: Vec<u8>,
    /// For each node its own text, which may differ from the scanned one by case, and the number of the value
    /// it was made of; by node.
    own: Vec<(u32, TextId)>,
    /// Number of the value.
    value: u32,
    /// The transformations that are known to leave the value itself as it is, one bit each.
    unchanged: u64,
}

/// A form of a value.
#[derive(Clone, Copy, Debug)]
struct Scanned {
    text: TextId,
    length: usize,
    /// The nodes that have it.
    nodes: Nodes,
    /// Its classes of bytes.
    classes: u128,
    /// Its bytes, if it is long: else all are taken for possible.
    bytes: ByteSet,
}

impl Progress {
    /// For a ruleset with so many rules in its phases.
    pub(crate) fn new(rules: [usize; 5]) -> Self {
        // Numbers of texts and values count on, so that what is left of earlier ones means nothing.
        let mut progress = SPARE.take().filter(Self::has_numbers).unwrap_or_default();
        for (candidates, rules) in progress.candidates.iter_mut().zip(rules) {
            candidates.reset(rules);
        }
        progress
    }

    fn has_numbers(&self) -> bool {
        self.texts.max(self.forms.value) < u32::MAX / 2
    }

    /// Leaves the memory to the next transaction of this thread, without what tells of values.
    pub(crate) fn leave(self) {
        let Self { candidates, forms, hits, tried, texts, buffer, .. } = self;
        let spare = Self { candidates, forms, hits, tried, texts, buffer, ..Self::default() };
        // A thread that ends has no use for it.
        let _ = SPARE.try_with(|place| place.set(Some(spare)));
    }
}

thread_local! {
    /// The memory of the transaction that ended last on this thread: scanning needs much of it for a short time.
    static SPARE: Cell<Option<Progress>> = const { Cell::new(None) };
}

impl State {
    /// Scans what arrived since the last time.
    pub(crate) fn scan(&mut self, ruleset: &Ruleset) {
        let scan = &ruleset.scan;
        let mut progress = std::mem::take(&mut self.progress);
        let mut forms = std::mem::take(&mut progress.forms);
        for list in List::ALL {
            let done = progress.lists[list as usize];
            let count = list.fields(&self.collections).len();
            progress.lists[list as usize] = count;
            if done == count {
                continue;
            }
            for side in Side::ALL {
                let source = Source::List(list, side);
                let Some(plans) = scan.plans(source) else { continue };
                let repeats = side == Side::Values && count - done >= Seen::WORTH_IT;
                for index in done..count {
                    let field = list.fields(&self.collections)[index];
                    let value = if side == Side::Values { field.value } else { field.name };
                    let Some((plan, silent)) = plans.of(self.texts.bytes(field.name)) else { continue };
                    if silent.contains(self.texts.bytes(value)) {
                        continue;
                    }
                    if repeats && progress.seen.is_repeated(&self.texts, plan, value) {
                        continue;
                    }
                    self.scan_value(ruleset, (source, plan), value, &mut forms, &mut progress);
                }
            }
        }
        for (index, variable) in SINGLES.into_iter().enumerate() {
            let text = self.scalars.get(variable);
            if text == progress.singles[index] {
                continue;
            }
            progress.singles[index] = text;
            let source = Source::Single(variable);
            let Some((plan, silent)) = scan.plans(source).and_then(|plans| plans.of(b"")) else { continue };
            if let Some(text) = text.filter(|text| !silent.contains(self.texts.bytes(*text))) {
                self.scan_value(ruleset, (source, plan), text, &mut forms, &mut progress);
            }
        }
        progress.forms = forms;
        self.progress = progress;
    }

    fn scan_value(
        &mut self,
        ruleset: &Ruleset,
        (source, plan): (Source, &Plan),
        value: TextId,
        forms: &mut Forms,
        progress: &mut Progress,
    ) {
        let scan = &ruleset.scan;
        self.find_forms(ruleset, plan, value, forms);
        let literals = if source.is_response() { &scan.response } else { &scan.request };
        for index in 0..forms.texts.len() {
            self.scan_text(ruleset, plan, literals, index, forms, progress);
        }
    }

    /// Works out which forms of the value differ.
    fn find_forms(&mut self, ruleset: &Ruleset, plan: &Plan, value: TextId, forms: &mut Forms) {
        let scan = &ruleset.scan;
        let bytes = self.texts.bytes(value);
        let length = bytes.len();
        let (classes, of_bytes) = contents(scan, bytes);
        forms.value += 1;
        forms.texts.clear();
        if let Some(nodes) = nodes_of_one_form(plan, classes, bytes) {
            forms.texts.push(Scanned { text: value, length, nodes, classes, bytes: of_bytes });
            forms.own.resize(scan.tree.len(), (0, TextId::EMPTY));
            return;
        }
        forms.unchanged = 0;
        forms.texts.push(Scanned { text: value, length, nodes: plan.nodes & 1, classes, bytes: of_bytes });
        forms.scanned.resize(scan.tree.len(), 0);
        forms.own.resize(scan.tree.len(), (0, TextId::EMPTY));
        let mut at = 0;
        while let Some(step) = plan.steps.get(at) {
            let scanned = usize::from(forms.scanned[usize::from(step.parent)]);
            let form = &mut forms.texts[scanned];
            if !step.subtree_always && form.classes & step.subtree_triggers == 0 {
                form.nodes |= step.below;
                at = step.after;
            } else if form.length < step.length {
                // Too short for any test from here down.
                at = step.after;
            } else if form.length >= prospect::LONG
                && !plan.may_come_of(at, form.bytes, &scan.classes, &scan.ways)
            {
                at = step.after;
            } else {
                let as_parent = only_folds(step.transformation)
                    || !step.always && form.classes & step.triggers == 0
                    || step.kept.is_some_and(|kept| kept.holds(self.texts.bytes(form.text), form.classes));
                let scanned = match as_parent {
                    true => Some(scanned as u8),
                    false => self.form(ruleset, step, scanned as u8, forms),
                };
                let Some(scanned) = scanned else {
                    at = step.after;
                    continue;
                };
                forms.scanned[usize::from(step.node)] = scanned;
                forms.texts[usize::from(scanned)].nodes |= plan.nodes & 1 << step.node;
                at += 1;
            }
        }
    }

    /// The scanned text at a node whose transformation may change that of its
    /// parent; `None` when it is too short for any test from there down.
    fn form(&mut self, ruleset: &Ruleset, step: &Step, scanned: u8, forms: &mut Forms) -> Option<u8> {
        let before = self.own_text(ruleset, step.parent, forms);
        let of_value = before == forms.texts[0].text;
        let kind = 1u64 << step.transformation as u32;
        if of_value && forms.unchanged & kind != 0 {
            forms.own[usize::from(step.node)] = (forms.value, before);
            return Some(scanned);
        }
        let longest = step.transformation.longest_result(self.texts.bytes(before));
        if longest.is_some_and(|longest| longest < step.result) {
            return None;
        }
        let context = ruleset.settings.transformation_context();
        let after = self.texts.transform(before, step.transformation, &context);
        forms.own[usize::from(step.node)] = (forms.value, after);
        if after == before {
            forms.unchanged |= if of_value { kind } else { 0 };
            Some(scanned)
        } else if self.texts.bytes(after).len() < step.result {
            None
        } else {
            Some(self.scanned_as(ruleset, after, forms))
        }
    }

    /// The scanned text that stands for a new one.
    fn scanned_as(&self, ruleset: &Ruleset, text: TextId, forms: &mut Forms) -> u8 {
        let bytes = self.texts.bytes(text);
        let is_the_same = |known: &Scanned| {
            known.text == text
                || known.length == bytes.len() && is_but_folded(self.texts.bytes(known.text), bytes)
        };
        if let Some(index) = forms.texts.iter().position(is_the_same) {
            return index as u8;
        }
        let (classes, of_bytes) = contents(&ruleset.scan, bytes);
        forms.texts.push(Scanned { text, length: bytes.len(), nodes: 0, classes, bytes: of_bytes });
        (forms.texts.len() - 1) as u8
    }

    /// The text at a node, made when it is wanted.
    #[inline]
    fn own_text(&mut self, ruleset: &Ruleset, node: NodeId, forms: &mut Forms) -> TextId {
        let Scanned { text: value, classes, .. } = forms.texts[0];
        let path = ruleset.scan.paths.get(usize::from(node)).copied().unwrap_or_default();
        if !path.always && classes & path.triggers == 0 {
            return value;
        }
        let known = forms.own[usize::from(node)];
        if known.0 == forms.value { known.1 } else { self.make_own_text(ruleset, node, value, forms) }
    }

    #[inline(never)]
    fn make_own_text(&mut self, ruleset: &Ruleset, node: NodeId, value: TextId, forms: &mut Forms) -> TextId {
        let Some((parent, transformation)) = ruleset.scan.tree.step(node) else { return value };
        let before = self.own_text(ruleset, parent, forms);
        let context = ruleset.settings.transformation_context();
        let text = self.texts.transform(before, transformation, &context);
        forms.own[usize::from(node)] = (forms.value, text);
        text
    }

    /// Runs the tests whose needs a text meets.
    fn scan_text(
        &mut self,
        ruleset: &Ruleset,
        plan: &Plan,
        literals: &Literals,
        index: usize,
        forms: &mut Forms,
        progress: &mut Progress,
    ) {
        let Scanned { text, length, nodes, classes, bytes } = forms.texts[index];
        if nodes == 0 {
            return;
        }
        progress.texts += 1;
        let Progress { candidates, hits, tried, texts, buffer, .. } = progress;
        tried.resize(ruleset.scan.tests.len(), 0);
        let mut attempt = Attempt {
            ruleset,
            nodes,
            classes,
            bytes,
            length,
            text: *texts,
            tried,
            candidates,
            buffer,
            found: None,
        };
        for &watch in &*plan.every {
            attempt.run(self, watch, forms);
        }
        let mut present = classes & plan.by_class.bits;
        while present != 0 {
            for &watch in plan.by_class.watches(present.trailing_zeros()) {
                attempt.run(self, watch, forms);
            }
            present &= present - 1;
        }
        let worth_it = |(wanted, needed): &(Nodes, u128)| wanted & nodes != 0 && classes & needed == *needed;
        let may_find =
            || length < prospect::LONG || plan.may_find(nodes, (classes, bytes), &ruleset.scan.ways);
        if plan.literals.iter().any(worth_it) && may_find() {
            let wanted = plan.literals.iter().fold(0, |wanted, (of_tests, _)| wanted | of_tests & nodes);
            match wanted & !plan.few {
                0 => literals.find_few(self.texts.bytes(text), hits),
                _ => literals.find(self.texts.bytes(text), hits),
            }
            attempt.found = Some((literals, &*hits));
            for &found in hits.texts() {
                for &watch in literals.owners(found) {
                    if plan.members.contains(watch as usize) {
                        attempt.run(self, watch, forms);
                    }
                }
            }
        }
    }
}

/// The classes of a text's bytes, and those bytes if it is long.
#[inline]
fn contents(scan: &Scan, text: &[u8]) -> (u128, ByteSet) {
    if text.len() < prospect::LONG {
        return (scan.classes.present(text), ByteSet::ALL);
    }
    let bytes = ByteSet::occurring_in(text);
    (scan.classes.present_in(bytes), bytes)
}

/// Whether `text` is `known`, of the same length, with some or no capitals made small.
fn is_but_folded(known: &[u8], text: &[u8]) -> bool {
    // Without an exit, for vector instructions.
    let are = |known: &[u8], text: &[u8]| {
        let pairs = known.iter().zip(text);
        pairs.fold(true, |are, (known, byte)| are & ((known == byte) | (known.to_ascii_lowercase() == *byte)))
    };
    let ((known, known_rest), (text, text_rest)) = (known.as_chunks::<32>(), text.as_chunks::<32>());
    known.iter().zip(text).all(|(known, text)| are(known, text)) && are(known_rest, text_rest)
}

/// Whether no test of a plan matches in a value, whoever sends it.
pub(super) fn is_silent(ruleset: &Ruleset, source: Source, value: &[u8], plan: &Plan) -> bool {
    let mut state = State::new(ruleset, Duration::ZERO);
    let mut progress = std::mem::take(&mut state.progress);
    let value = state.texts.add(value);
    state.scan_value(ruleset, (source, plan), value, &mut Forms::default(), &mut progress);
    progress.candidates.iter().all(|rules| rules.iter().next().is_none())
}

/// A scanned text, about to be tested.
struct Attempt<'r> {
    ruleset: &'r Ruleset,
    nodes: Nodes,
    classes: u128,
    bytes: ByteSet,
    length: usize,
    /// Its number.
    text: u32,
    tried: &'r mut [u32],
    candidates: &'r mut [Bits; 5],
    buffer: &'r mut Vec<u8>,
    /// What was found in it, once it was searched.
    found: Option<(&'r Literals, &'r Hits)>,
}

impl Attempt<'_> {
    /// Runs the operator of a test if the text has what a watch wants, and marks its rule when it matches.
    #[inline]
    fn run(&mut self, state: &mut State, watch: WatchId, forms: &mut Forms) {
        let scan = &self.ruleset.scan;
        let Some(watch) = scan.watches.get(watch as usize) else { return };
        let nodes = watch.nodes & self.nodes;
        if nodes == 0 || self.classes & watch.classes != watch.classes || self.length < watch.length as usize
        {
            return;
        }
        let tried = &mut self.tried[watch.test as usize];
        if *tried == self.text {
            return;
        }
        *tried = self.text;
        let Some(test) = scan.tests.get(watch.test as usize) else { return };
        let (phase, position) = (usize::from(test.phase), test.position as usize);
        if !self.candidates[phase].contains(position) && self.matches(state, watch.test, nodes, forms) {
            self.candidates[phase].insert(position);
        }
    }

    fn matches(&mut self, state: &mut State, number: u32, mut nodes: Nodes, forms: &mut Forms) -> bool {
        let ruleset = self.ruleset;
        let Some(test) = ruleset.scan.tests.get(number as usize) else { return true };
        if test.presence {
            return true;
        }
        let rule = &ruleset.phases[usize::from(test.phase)][test.position as usize];
        let Some(condition) = &rule.links[test.link as usize].condition else { return true };
        let mut last = None;
        while nodes != 0 {
            let node = nodes.trailing_zeros() as NodeId;
            nodes &= nodes - 1;
            let text = state.own_text(ruleset, node, forms);
            if last == Some(text) {
                continue;
            }
            last = Some(text);
            let value = state.texts.bytes(text);
            let budget = ruleset.settings.pcre_match_limit;
            let matched = match &test.noted {
                None => match self.finds_phrase(number, &condition.operator, value) {
                    Some(found) => Ok(found),
                    None => self.test(&condition.operator, value, &test.argument, budget),
                },
                Some(noted) => {
                    let mut captures = Captures::default();
                    let operator = &condition.operator;
                    let matched = operator.test(value, &test.argument, budget, Some(&mut captures));
                    let second = rule.links.get(1).and_then(|link| link.condition.as_ref());
                    let mut may_pass = || {
                        second.is_none_or(|second| {
                            noted.may_match(second, &ruleset.settings, value, &captures, self.buffer)
                        })
                    };
                    matched.map(|matched| matched && may_pass())
                }
            };
            // No answer is for the evaluation to deal with.
            if matched != Ok(condition.negated) {
                return true;
            }
        }
        false
    }

    /// Runs an operator on the text at a node, which has the bytes of the scanned one but for what folds and joins it.
    #[inline]
    fn test(
        &self,
        operator: &Operator,
        value: &[u8],
        argument: &[u8],
        budget: u64,
    ) -> Result<bool, LimitExceeded> {
        match operator {
            Operator::Rx(pattern) if self.length >= prospect::LONG => {
                pattern.is_match_among(value, Some(prospect::possible(self.bytes)), budget)
            }
            _ => operator.test(value, argument, budget, None),
        }
    }

    /// What the hits say about an operator that looks for phrases, if they do.
    #[inline]
    fn finds_phrase(&self, test: u32, operator: &Operator, value: &[u8]) -> Option<bool> {
        let (Operator::Phrases(phrases), Some((literals, hits))) = (operator, self.found) else {
            return None;
        };
        literals.finds_phrase(test, phrases, value, hits)
    }
}

/// The nodes that have a value itself for a text, if no node has another that
/// a test could match in: none of the transformations does more than fold case.
fn nodes_of_one_form(plan: &Plan, classes: u128, value: &[u8]) -> Option<Nodes> {
    let mut nodes = plan.nodes;
    for kind in &plan.kinds {
        if kind.rest.is_some_and(|rest| classes & rest == 0) {
            break;
        }
        if !kind.always && classes & kind.triggers == 0 {
            continue;
        }
        let longest = kind.transformation.longest_result(value);
        if longest.is_some_and(|longest| longest < kind.result) {
            nodes &= !kind.below;
        } else if !kind.transformation.certainly_folds_at_most(value) {
            return None;
        }
    }
    Some(nodes)
}
