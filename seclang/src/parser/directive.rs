//! A directive: found in the table, its arguments read and counted, then handed on.

use super::arguments::shorten;
use super::chain::Chain;
use super::rule::Test;
use super::{Parser, unknown_name};
use crate::ast::{DirectiveKind, RemoteRulesFailAction};
use crate::diagnostic::Diagnostic;
use crate::directives::{self, Specification, State};
use crate::lexer::Lexer;
use crate::source::Span;
use crate::text::Text;

impl Parser<'_> {
    /// Reads the directive whose name was just read.
    pub(super) fn directive(&mut self, name: &Text, lexer: &mut Lexer<'_>, chain: &mut Chain) {
        let Some(specification) = directives::find(&name.lossy()) else {
            self.unknown_directive(name);
            lexer.skip_line();
            return;
        };
        if let State::Refused(why) = specification.state {
            let message = format!("{} is not supported", specification.name);
            self.report(Diagnostic::error(name.span, message).hint(why));
            lexer.skip_line();
            return;
        }
        let mut arguments = Vec::new();
        while let Some(argument) = lexer.argument(arguments.len() >= specification.arguments.0.max(1)) {
            arguments.push(argument);
        }
        if specification.name == "SecRule" {
            join_bare_operator(&mut arguments);
        }
        if !self.well_formed(specification, name, &arguments) {
            if matches!(specification.name, "SecRule" | "SecRuleScript" | "SecAction") && goes_on(&arguments)
            {
                chain.break_off();
            }
            return;
        }
        let span = arguments.last().map_or(name.span, |last| name.span.to(last.span));
        self.dispatch(specification, span, &arguments, chain);
    }

    fn dispatch(&mut self, specification: &Specification, span: Span, arguments: &[Text], chain: &mut Chain) {
        match (specification.name, arguments) {
            ("SecRule", [targets, operator, rest @ ..]) => {
                return self.rule(chain, span, Test::Operator(targets, operator), rest.first());
            }
            ("SecRuleScript", [script, rest @ ..]) => {
                return self.rule(chain, span, Test::Script(script), rest.first());
            }
            ("SecAction", [actions]) => return self.rule(chain, span, Test::None, Some(actions)),
            _ => self.unfinished(chain),
        }
        let name = specification.name;
        if let State::Inert(why) = specification.state {
            self.warn(span, format!("{name} has no effect: {why}"));
            let arguments = arguments.iter().map(Text::lossy).collect();
            self.emit(span, DirectiveKind::Inert { name, arguments });
            return;
        }
        let kind = match (name, arguments) {
            ("SecRemoteRules", _) => return self.remote_rules(specification, span, arguments),
            ("Include", [path]) => return self.include(path, false),
            ("IncludeOptional", [path]) => return self.include(path, true),
            ("SecMarker", [marker]) => {
                self.word(super::arguments::bare(marker.all()), name).map(DirectiveKind::Marker)
            }
            ("SecDefaultAction", [actions]) => self.default_action(span, actions),
            ("SecRuleRemoveById", _) => self.remove_by_id(arguments),
            ("SecRuleRemoveByTag", _) => self.patterns(arguments).map(DirectiveKind::RuleRemoveByTag),
            ("SecRuleRemoveByMsg", _) => self.patterns(arguments).map(DirectiveKind::RuleRemoveByMsg),
            ("SecRuleUpdateTargetById", [ids, targets, replaced @ ..]) => {
                self.update_target_by_id(ids, targets, replaced.first())
            }
            ("SecRuleUpdateTargetByTag", [tag, targets, replaced @ ..]) => {
                self.update_target_by_tag(tag, targets, replaced.first())
            }
            ("SecRuleUpdateTargetByMsg", [msg, targets, replaced @ ..]) => {
                self.update_target_by_msg(msg, targets, replaced.first())
            }
            ("SecRuleUpdateActionById", [id, actions]) => self.update_action(id, actions),
            _ => self.setting(name, arguments).map(DirectiveKind::Setting),
        };
        if let Some(kind) = kind {
            self.emit(span, kind);
        }
    }

    /// Rules are never fetched: to the document that is a download that failed.
    fn remote_rules(&mut self, specification: &Specification, span: Span, arguments: &[Text]) {
        let State::Partial(why) = specification.state else { return };
        let name = specification.name;
        if self.remote_rules_fail_action == RemoteRulesFailAction::Abort {
            let message = format!("{name} is not supported: nothing was fetched");
            return self.report(Diagnostic::error(span, message).hint(why));
        }
        self.report(Diagnostic::warning(span, format!("{name}: nothing was fetched")).hint(why));
        let arguments = arguments.iter().map(Text::lossy).collect();
        self.emit(span, DirectiveKind::Inert { name, arguments });
    }

    fn unknown_directive(&mut self, name: &Text) {
        let text = name.lossy();
        let error = Diagnostic::error(name.span, format!("unknown directive `{}`", shorten(&text)));
        let error = if text.starts_with(['"', '\'']) {
            error.hint(
                "a quoted text does not start a directive; does the line before it lack a `\\` at its end?",
            )
        } else {
            unknown_name(error, &text, "", directives::TABLE.iter().map(|row| row.name))
        };
        self.report(error);
    }

    /// Whether quotes are closed and the number of arguments is right.
    fn well_formed(&mut self, specification: &Specification, name: &Text, arguments: &[Text]) -> bool {
        let (least, most) = specification.arguments;
        for (index, argument) in arguments.iter().enumerate() {
            if argument.closed {
                continue;
            }
            let opening = Span { end: argument.span.start + 1, ..argument.span };
            // ModSecurity v3 ends the actions of a rule with the line, and rules exist that rely on it.
            if matches!((specification.name, index), ("SecRule", 2) | ("SecRuleScript", 1) | ("SecAction", 0))
            {
                self.report(
                    Diagnostic::warning(
                        opening,
                        "the closing quote is missing; the actions end with the line",
                    )
                    .hint("add `\"` at the end of the line"),
                );
                continue;
            }
            self.report(
                Diagnostic::error(opening, "this quote is never closed")
                    .hint("close it, or end the line with `\\` when the text goes on in the next one"),
            );
            return false;
        }
        let count = arguments.len();
        if count < least {
            let what = if count == 0 {
                "needs an argument".into()
            } else {
                format!("needs {least} arguments, not {count}")
            };
            self.error(name.span, format!("{} {what}", specification.name));
            return false;
        }
        if count > most {
            let extra = &arguments[most];
            let message =
                format!("unexpected argument `{}` of {}", shorten(&extra.lossy()), specification.name);
            self.report(
                Diagnostic::error(extra.span, message).hint("put quotes around an argument with blanks"),
            );
            return false;
        }
        true
    }
}

/// `SecRule ARGS @contains word id:1`: an operator without quotes has its argument in the next word.
fn join_bare_operator(arguments: &mut Vec<Text>) {
    let [_, operator, argument, _] = arguments.as_slice() else { return };
    let bare = operator.quote.is_none() && argument.quote.is_none();
    if !bare || !operator.lossy().trim_start_matches('!').starts_with('@') {
        return;
    }
    let mut joined = operator.clone();
    let slice = argument.all();
    joined.push(b" ", operator.span.end as usize);
    joined.push(slice.bytes(), slice.span().start as usize);
    joined.span = operator.span.to(argument.span);
    arguments.splice(1..3, [joined]);
}

/// Whether actions that cannot be read still say `chain`.
fn goes_on(arguments: &[Text]) -> bool {
    let Some(actions) = arguments.last() else { return false };
    actions
        .all()
        .split(|b| b == b',')
        .into_iter()
        .any(|part| part.trim().bytes().eq_ignore_ascii_case(b"chain"))
}
