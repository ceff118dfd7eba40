//! Conditions that cannot be met, and targets that mean nothing.

use super::{Defaults, Lint, links, phase_of};
use crate::ast::{
    Action, Condition, DirectiveKind, Document, Operator, OperatorName, Phase, Selector, Target,
    Transformation, Variable,
};
use crate::diagnostic::Diagnostic;
use crate::source::Located;

/// Appends the findings.
pub(super) fn lint(document: &Document, found: &mut Vec<Lint>) {
    let mut defaults = Defaults::default();
    for directive in &document.directives {
        defaults.note(&directive.kind);
        let DirectiveKind::Rule(rule) = &directive.kind else { continue };
        let phase = phase_of(rule);
        for (depth, (condition, actions)) in links(rule).enumerate() {
            let Some(condition) = condition else { continue };
            let inherited = if depth == 0 { defaults.of(phase) } else { &[] };
            let mut tell = |name, diagnostic| found.push(Lint { name, diagnostic });
            targets(condition, &mut tell);
            too_early(condition, phase, &mut tell);
            numbers(&condition.operator, &mut tell);
            case_lost(&condition.operator, inherited, actions, &mut tell);
            never(&condition.operator, &mut tell);
            let first_link = (depth == 0).then_some(directive.span);
            if let (Some(span), Some(default)) = (first_link, inherits(inherited, actions)) {
                let message = "the transformations of SecDefaultAction run before the rule's own";
                let diagnostic = Diagnostic::info(span, message)
                    .label(default, "from here")
                    .hint("begin the rule's transformations with `t:none` unless that is meant");
                tell("inherited-transformations", diagnostic);
            }
        }
    }
}

/// Targets that are excluded as a whole, and exclusions that exclude nothing.
fn targets(condition: &Condition, tell: &mut impl FnMut(&'static str, Diagnostic)) {
    let read = || condition.targets.iter().filter(|target| !target.exclude);
    let excluded = || condition.targets.iter().filter(|target| target.exclude);
    let is_left = |target: &Target| target.count || !excluded().any(|exclusion| covers(exclusion, target));
    if !read().any(|target| is_left(target)) {
        let message = "every target is excluded again: the rule never matches";
        tell("never-matches", Diagnostic::warning(condition.targets.first().map(|one| one.span), message));
    }
    for exclusion in excluded() {
        if !read().any(|target| target.variable == exclusion.variable) {
            let message = format!("the rule does not read {}", exclusion.variable);
            let diagnostic = Diagnostic::warning(exclusion.span, message)
                .hint("exclude it from the variable that is read, or leave it away");
            tell("useless-exclusion", diagnostic);
        }
    }
}

/// Whether an exclusion takes away everything that a target selects.
fn covers(exclusion: &Target, target: &Target) -> bool {
    exclusion.variable == target.variable
        && match (&exclusion.selector, &target.selector) {
            (None, _) => true,
            (Some(Selector::Key(left)), Some(Selector::Key(right))) => left.eq_ignore_ascii_case(right),
            (left, right) => left == right,
        }
}

fn too_early(condition: &Condition, phase: Phase, tell: &mut impl FnMut(&'static str, Diagnostic)) {
    let mut read = condition.targets.iter().filter(|target| !target.exclude);
    let first =
        |target: &Target| if target.count { Phase::RequestHeaders } else { first_phase(target.variable) };
    let Some(target) = read.clone().find(|target| first(target) > phase) else { return };
    if read.any(|target| first(target) <= phase) {
        return;
    }
    let message = format!("{} has no value in phase {}", target.variable, phase.number());
    let hint = format!("move the rule to phase {}", first(target).number());
    tell("no-value-yet", Diagnostic::warning(target.span, message).hint(hint));
}

/// The first phase in which a variable can have values.
fn first_phase(variable: Variable) -> Phase {
    use Variable as V;
    match variable {
        V::ArgsPost
        | V::ArgsPostNames
        | V::Files
        | V::FilesNames
        | V::FilesSizes
        | V::FilesTmpNames
        | V::FilesTmpContent
        | V::MultipartFilename
        | V::MultipartName
        | V::MultipartPartHeaders
        | V::RequestBody
        | V::RequestXml
        | V::Xml => Phase::RequestBody,
        V::ResponseContentType
        | V::ResponseHeaders
        | V::ResponseHeadersNames
        | V::ResponseProtocol
        | V::ResponseStatus => Phase::ResponseHeaders,
        V::ResponseArgs | V::ResponseBody | V::ResponseXml => Phase::ResponseBody,
        _ => Phase::RequestHeaders,
    }
}

fn numbers(operator: &Located<Operator>, tell: &mut impl FnMut(&'static str, Diagnostic)) {
    use OperatorName as N;
    if !matches!(operator.name, N::Eq | N::Ge | N::Gt | N::Le | N::Lt) {
        return;
    }
    let Some(literal) = operator.argument.as_literal() else { return };
    let text = literal.trim_ascii();
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        let message = format!("`{}` is no number: it counts as 0", operator.argument.raw_str().trim());
        tell(
            "not-a-number",
            Diagnostic::warning(operator.span, message).hint("use `@streq` to compare text"),
        );
    }
}

/// Text with upper-case letters that is looked for in a value made lower-case.
fn case_lost(
    operator: &Located<Operator>,
    inherited: &[Located<Action>],
    actions: &[Located<Action>],
    tell: &mut impl FnMut(&'static str, Diagnostic),
) {
    use OperatorName as N;
    let compares = matches!(
        operator.name,
        N::BeginsWith | N::Contains | N::ContainsWord | N::EndsWith | N::StrEq | N::StrMatch
    );
    let upper = operator.argument.as_literal().is_some_and(|text| text.iter().any(u8::is_ascii_uppercase));
    if compares && upper && ends_in_lower_case(inherited, actions) {
        let outcome = if operator.negated { "always" } else { "never" };
        let message = format!("the value is lower-case and the argument is not: the rule {outcome} matches");
        let diagnostic = Diagnostic::warning(operator.span, message)
            .hint("write the argument in lower case, or remove `t:lowercase`");
        tell("never-matches", diagnostic);
    }
}

/// Whether `t:lowercase` is followed by nothing that could bring upper-case letters back.
fn ends_in_lower_case(inherited: &[Located<Action>], actions: &[Located<Action>]) -> bool {
    use Transformation as T;
    let mut lower = false;
    for action in inherited.iter().chain(actions) {
        match &action.node {
            Action::Transformation(T::Lowercase) => lower = true,
            Action::Transformation(
                T::CompressWhitespace
                | T::NormalizePath
                | T::RemoveComments
                | T::RemoveCommentsChar
                | T::RemoveNulls
                | T::RemoveWhitespace
                | T::ReplaceComments
                | T::ReplaceNulls
                | T::Trim
                | T::TrimLeft
                | T::TrimRight,
            ) => {}
            Action::Transformation(_) | Action::MultiMatch => lower = false,
            _ => {}
        }
    }
    // Every form of the value is tested then, also the ones before.
    lower && !actions.iter().any(|action| action.node == Action::MultiMatch)
}

fn never(operator: &Located<Operator>, tell: &mut impl FnMut(&'static str, Diagnostic)) {
    let never = match operator.name {
        OperatorName::NoMatch => !operator.negated,
        OperatorName::UnconditionalMatch => operator.negated,
        _ => return,
    };
    if never {
        let message = "this operator never matches: the rule does nothing";
        tell("never-matches", Diagnostic::warning(operator.span, message));
    }
}

/// The first inherited transformation of a rule that has its own and no `t:none`.
fn inherits(inherited: &[Located<Action>], actions: &[Located<Action>]) -> Option<crate::source::Span> {
    let is = |action: &Located<Action>, none: bool| match action.node {
        Action::Transformation(what) => (what == Transformation::None) == none,
        _ => false,
    };
    let own =
        actions.iter().any(|action| is(action, false)) && !actions.iter().any(|action| is(action, true));
    inherited.iter().find(|action| own && is(action, false)).map(|action| action.span)
}
