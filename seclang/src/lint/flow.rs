//! Which rules something leads to: jumps, unconditional ends, removals, markers.

use std::collections::HashSet;

use super::{Defaults, Lint, links, phase_of};
use crate::ast::{
    Action, AllowScope, Condition, Ctl, DirectiveKind, Document, IdRange, OperatorName, Phase, Rule, Variable,
};
use crate::diagnostic::Diagnostic;
use crate::source::{Located, Span};

/// Appends the findings.
pub(super) fn lint(document: &Document, found: &mut Vec<Lint>) {
    let program = Program::read(document);
    program.markers(found);
    program.removals(found);
    program.unreachable(found);
}

/// A rule with its place.
struct Entry<'d> {
    rule: &'d Rule,
    /// Number of its directive.
    place: usize,
    phase: Phase,
    /// Whether it matches whatever the request is.
    always: bool,
    end: Option<End>,
}

/// What ends the phase, and more, when a rule matches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Transaction,
    Phase,
    Request,
}

struct Marker<'d> {
    name: &'d str,
    place: usize,
    span: Span,
}

#[derive(Default)]
struct Program<'d> {
    entries: Vec<Entry<'d>>,
    removed: Vec<(&'d Rule, Span)>,
    markers: Vec<Marker<'d>>,
}

impl<'d> Program<'d> {
    fn read(document: &'d Document) -> Self {
        let changes = Changes::read(document);
        let mut program = Program::default();
        let mut defaults = Defaults::default();
        for (place, directive) in document.directives.iter().enumerate() {
            defaults.note(&directive.kind);
            match &directive.kind {
                DirectiveKind::Marker(name) => {
                    program.markers.push(Marker { name, place, span: directive.span });
                }
                DirectiveKind::Rule(rule) => match changes.removal(rule.id) {
                    Some(span) => program.removed.push((rule, span)),
                    None => {
                        let always = is_unconditional(rule) && !changes.may_touch(rule);
                        let phase = phase_of(rule);
                        let end = end(rule, defaults.of(phase));
                        program.entries.push(Entry { rule, place, phase, always, end });
                    }
                },
                _ => {}
            }
        }
        program
    }

    /// Jumps without a landing, landings without a jump.
    fn markers(&self, found: &mut Vec<Lint>) {
        let mut used = HashSet::new();
        for entry in &self.entries {
            for (name, span) in links(entry.rule).flat_map(|(_, actions)| actions).filter_map(marker) {
                used.insert(name);
                if self.landing(entry.place, name).is_none() {
                    found.push(unknown_marker(name, span, &self.markers));
                }
            }
        }
        for marker in self.markers.iter().filter(|marker| !used.contains(marker.name)) {
            let message = format!("no skipAfter names the marker `{}`", marker.name);
            found.push(Lint { name: "unused-marker", diagnostic: Diagnostic::info(marker.span, message) });
        }
    }

    fn removals(&self, found: &mut Vec<Lint>) {
        for (rule, by) in &self.removed {
            let message = format!("rule {} never runs", rule.id);
            let diagnostic = Diagnostic::info(rule.span, message).label(*by, "it is removed here");
            found.push(Lint { name: "removed-rule", diagnostic });
        }
    }

    fn unreachable(&self, found: &mut Vec<Lint>) {
        // Ways into the next phase: ordinary, and after `allow:request`.
        let (mut open, mut allowed) = (true, false);
        let mut closed_by: Option<&Entry<'_>> = None;
        for phase in Phase::ALL {
            let rules: Vec<&Entry<'_>> = self.entries.iter().filter(|entry| entry.phase == phase).collect();
            let enters = open || phase == Phase::Logging || (allowed && phase > Phase::RequestBody);
            let reached = self.walk(&rules, enters);
            report(&rules, &reached.rules, closed_by, found);
            if enters {
                closed_by = rules
                    .iter()
                    .zip(&reached.rules)
                    .rev()
                    .find(|(entry, reached)| **reached && entry.always && entry.end.is_some())
                    .map(|(entry, _)| *entry)
                    .or(closed_by);
                let falls_through = reached.ends.is_empty() && rules.is_empty();
                open =
                    falls_through || reached.ends.contains(&None) || reached.ends.contains(&Some(End::Phase));
                allowed |= reached.ends.contains(&Some(End::Request));
            }
        }
    }

    /// Follows every way through a phase.
    fn walk(&self, rules: &[&Entry<'_>], enters: bool) -> Reached {
        let mut reached = Reached { rules: vec![false; rules.len()], ends: Vec::new() };
        if !enters {
            return reached;
        }
        // Every way leads forward, so one pass sees all of them.
        let mut entered = vec![false; rules.len() + 1];
        entered[0] = true;
        for (at, entry) in rules.iter().enumerate() {
            if !entered[at] {
                continue;
            }
            reached.rules[at] = true;
            if !entry.always {
                entered[at + 1] = true;
            }
            match entry.end {
                Some(end) => reached.ends.push(Some(end)),
                None => entered[self.next(rules, at)] = true,
            }
        }
        if entered[rules.len()] {
            reached.ends.push(None);
        }
        reached
    }

    /// Where a phase goes on after a match.
    fn next(&self, rules: &[&Entry<'_>], at: usize) -> usize {
        let entry = rules[at];
        let jump = links(entry.rule).flat_map(|(_, actions)| actions).find_map(|action| match &action.node {
            Action::Skip(count) => Some(at.saturating_add(1).saturating_add(*count as usize)),
            Action::SkipAfter(name) => Some(match self.landing(entry.place, name) {
                Some(place) => rules.iter().position(|rule| rule.place > place).unwrap_or(rules.len()),
                None => rules.len(),
            }),
            _ => None,
        });
        jump.unwrap_or(at + 1).min(rules.len())
    }

    /// The directive that a jump from `from` leads behind: a marker, or a rule's id.
    fn landing(&self, from: usize, name: &str) -> Option<usize> {
        let marker = self.markers.iter().find(|marker| marker.name == name && marker.place > from);
        let rule = || {
            let id: u64 = name.parse().ok()?;
            self.entries.iter().find(|entry| entry.rule.id == id && entry.place > from)
        };
        marker.map(|marker| marker.place).or_else(|| rule().map(|entry| entry.place))
    }
}

/// What a walk through a phase met.
struct Reached {
    rules: Vec<bool>,
    /// How it can end; `None` is the usual end.
    ends: Vec<Option<End>>,
}

/// One finding for each run of rules that nothing leads to.
fn report(rules: &[&Entry<'_>], reached: &[bool], closed_by: Option<&Entry<'_>>, found: &mut Vec<Lint>) {
    let mut at = 0;
    while at < rules.len() {
        let length = reached[at..].iter().take_while(|reached| !**reached).count();
        if length == 0 {
            at += 1;
            continue;
        }
        let first = rules[at];
        let message = match length {
            1 => format!("rule {} is never reached", first.rule.id),
            _ => format!(
                "rule {} and the {} after it in phase {} are never reached",
                first.rule.id,
                length - 1,
                first.phase.number()
            ),
        };
        let mut diagnostic = Diagnostic::warning(first.rule.span, message);
        let cause = at.checked_sub(1).map(|before| rules[before]).or(closed_by);
        if let Some(cause) = cause {
            let text = match cause.end {
                Some(_) => "every transaction ends here, because this always matches",
                None => "every transaction jumps from here, because this always matches",
            };
            diagnostic = diagnostic.label(cause.rule.span, text);
        }
        found.push(Lint { name: "unreachable-rule", diagnostic });
        at += length;
    }
}

fn unknown_marker(name: &str, span: Span, markers: &[Marker<'_>]) -> Lint {
    let diagnostic = match markers.iter().find(|marker| marker.name == name) {
        Some(before) => Diagnostic::warning(
            span,
            format!("the marker `{name}` stands before this rule: the rest of the phase is skipped"),
        )
        .label(before.span, "here")
        .hint("jumps lead forward only; move the marker"),
        None => {
            let diagnostic = Diagnostic::warning(
                span,
                format!("there is no marker `{name}`: the rest of the phase is skipped"),
            );
            match crate::names::nearest(name, markers.iter().map(|marker| marker.name)) {
                Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
                None => diagnostic.hint(format!("add `SecMarker {name}` where the phase should go on")),
            }
        }
    };
    Lint { name: "unknown-marker", diagnostic }
}

fn marker(action: &Located<Action>) -> Option<(&str, Span)> {
    match &action.node {
        Action::SkipAfter(name) => Some((name, action.span)),
        _ => None,
    }
}

/// Whether every link matches whatever the request is.
fn is_unconditional(rule: &Rule) -> bool {
    links(rule).all(|(condition, _)| condition.is_none_or(always_matches))
}

fn always_matches(condition: &Condition) -> bool {
    use Variable as V;
    // Variables that every transaction has.
    let present = |variable| {
        matches!(
            variable,
            V::RemoteAddr
                | V::RequestLine
                | V::RequestMethod
                | V::RequestUri
                | V::RequestUriRaw
                | V::UniqueId
        )
    };
    condition.operator.name == OperatorName::UnconditionalMatch
        && !condition.operator.negated
        && condition
            .targets
            .iter()
            .any(|target| !target.exclude && (target.count || present(target.variable)))
        && !condition.targets.iter().any(|target| target.exclude)
}

/// What a match ends; `None` goes on.
fn end(rule: &Rule, defaults: &[Located<Action>]) -> Option<End> {
    if phase_of(rule) == Phase::Logging {
        return None;
    }
    let decides = |action: &&Action| action.is_disruptive() && **action != Action::Block;
    let default = || defaults.iter().rev().map(|action| &action.node).find(decides);
    let mut said = links(rule).flat_map(|(_, actions)| actions).map(|action| &action.node);
    let action = match said.by_ref().filter(|action| action.is_disruptive()).last() {
        None | Some(Action::Block) => default(),
        said => said,
    };
    match action? {
        Action::Deny | Action::Drop | Action::Redirect(_) | Action::Proxy(_) => Some(End::Transaction),
        Action::Allow(AllowScope::All) => Some(End::Transaction),
        Action::Allow(AllowScope::Phase) => Some(End::Phase),
        Action::Allow(AllowScope::Request) => Some(End::Request),
        _ => None,
    }
}

/// What removes or changes rules, at load or at run time.
#[derive(Default)]
struct Changes<'d> {
    removed: Vec<(&'d [IdRange], Span)>,
    touched: Vec<IdRange>,
    /// Whether rules are chosen by tags or messages, whose patterns are not compiled here.
    by_text: bool,
}

impl<'d> Changes<'d> {
    fn read(document: &'d Document) -> Self {
        let mut changes = Changes::default();
        for directive in &document.directives {
            match &directive.kind {
                DirectiveKind::RuleRemoveById(ids) => changes.removed.push((ids, directive.span)),
                DirectiveKind::RuleUpdateActionById { id, .. } => changes.touched.push((*id).into()),
                DirectiveKind::RuleUpdateTargetById { ids, .. } => changes.touched.extend(ids),
                DirectiveKind::RuleRemoveByTag(_)
                | DirectiveKind::RuleRemoveByMsg(_)
                | DirectiveKind::RuleUpdateTargetByTag { .. }
                | DirectiveKind::RuleUpdateTargetByMsg { .. } => changes.by_text = true,
                DirectiveKind::Rule(rule) => {
                    links(rule)
                        .flat_map(|(_, actions)| actions)
                        .for_each(|action| changes.note(&action.node));
                }
                _ => {}
            }
        }
        changes
    }

    fn note(&mut self, action: &Action) {
        match action {
            Action::Ctl(Ctl::RuleRemoveById(ids)) => self.touched.extend(ids),
            Action::Ctl(Ctl::RuleRemoveByTag(_) | Ctl::RuleRemoveByMsg(_)) => self.by_text = true,
            _ => {}
        }
    }

    fn removal(&self, id: u64) -> Option<Span> {
        let removes = |ids: &[IdRange]| ids.iter().any(|range| range.contains(id));
        self.removed.iter().find(|(ids, _)| removes(ids)).map(|(_, span)| *span)
    }

    /// Whether the rule may be gone or different when it should run.
    fn may_touch(&self, rule: &Rule) -> bool {
        let has_text =
            rule.actions.iter().any(|action| matches!(action.node, Action::Tag(_) | Action::Msg(_)));
        self.touched.iter().any(|range| range.contains(rule.id)) || (self.by_text && has_text)
    }
}
