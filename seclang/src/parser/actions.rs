//! Action lists: split at commas, each action typed.

use super::arguments::{bare, shorten};
use super::items::{Item, split_item};
use super::{Parser, unknown_name};
use crate::ast::{Action, AllowScope, Collection, Phase, SanitiseSpan, Severity, Template, Transformation};
use crate::diagnostic::Diagnostic;
use crate::source::{Located, Span};
use crate::text::{Slice, is_blank};

/// All names, for hints.
const NAMES: &[&str] = &[
    "accuracy",
    "allow",
    "append",
    "auditlog",
    "block",
    "capture",
    "chain",
    "ctl",
    "deny",
    "deprecatevar",
    "drop",
    "exec",
    "expirevar",
    "id",
    "initcol",
    "log",
    "logdata",
    "maturity",
    "msg",
    "multiMatch",
    "noauditlog",
    "nolog",
    "pass",
    "pause",
    "phase",
    "prepend",
    "proxy",
    "redirect",
    "rev",
    "sanitiseArg",
    "sanitiseMatched",
    "sanitiseMatchedBytes",
    "sanitiseRequestHeader",
    "sanitiseResponseHeader",
    "setenv",
    "setrsc",
    "setsid",
    "setuid",
    "setvar",
    "severity",
    "skip",
    "skipAfter",
    "status",
    "t",
    "tag",
    "ver",
    "xmlns",
];

impl Parser<'_> {
    /// Reads a list of actions; wrong ones are reported and left out.
    pub(super) fn actions(&mut self, list: Slice<'_>) -> Vec<Located<Action>> {
        let mut actions = Vec::new();
        let mut rest = list;
        while !self.stopped() {
            let lead = rest.position(|b| !is_blank(*b) && *b != b',' && *b != b'\n').unwrap_or(rest.len());
            rest = rest.from(lead);
            if rest.is_empty() {
                break;
            }
            let (item, length) = match split_item(rest) {
                Ok(split) => split,
                Err(error) => {
                    self.report(*error);
                    break;
                }
            };
            rest = rest.from(length);
            if let Some(action) = self.action(&item) {
                actions.push(Located::new(item.whole.span(), action));
            }
        }
        actions
    }

    fn action(&mut self, item: &Item<'_>) -> Option<Action> {
        let name = item.name.lossy().to_ascii_lowercase();
        if let Some(why) = crate::refused::action(&name) {
            let error = Diagnostic::error(item.name.span(), format!("the action `{name}` is not supported"));
            self.report(error.hint(why));
            return None;
        }
        match plain(&name) {
            Some(_) if item.value.is_some() => {
                self.stray_value(item, &name);
                None
            }
            Some(action) => Some(action),
            None => self.with_value(item, &name),
        }
    }

    /// Actions with a value.
    fn with_value(&mut self, item: &Item<'_>, name: &str) -> Option<Action> {
        if name == "allow" && item.value.is_none() {
            return Some(Action::Allow(AllowScope::All));
        }
        if name == "sanitisematchedbytes" && item.value.is_none() {
            return Some(Action::SanitiseMatchedBytes(None));
        }
        if !NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            let error = Diagnostic::error(
                item.name.span(),
                format!("unknown action `{}`", shorten(&item.name.lossy())),
            );
            self.report(unknown_name(error, name, "", NAMES.iter().copied()));
            return None;
        }
        let Some(value) = item.value.filter(|value| !value.is_empty() || name == "msg" || name == "logdata")
        else {
            self.error(
                item.whole.span(),
                format!("the action `{name}` needs a value, as in `{}`", example(name)),
            );
            return None;
        };
        match name {
            "accuracy" => self.number_in(value, name, 1, 9).map(|n| Action::Accuracy(n as u8)),
            "maturity" => self.number_in(value, name, 1, 9).map(|n| Action::Maturity(n as u8)),
            "allow" => self
                .choice(value, name, &[("phase", AllowScope::Phase), ("request", AllowScope::Request)])
                .map(Action::Allow),
            "id" => self.number_in(value, name, 1, u64::MAX).map(Action::Id),
            "phase" => self.phase(value).map(Action::Phase),
            "severity" => self.severity(value).map(Action::Severity),
            "skip" => self.number_in(value, name, 1, u64::from(u32::MAX)).map(|n| Action::Skip(n as u32)),
            "skipafter" => self.word(bare(value), name).map(Action::SkipAfter),
            "status" => self.number_in(value, name, 100, 999).map(|n| Action::Status(n as u16)),
            "t" => self.transformation(value).map(Action::Transformation),
            "ctl" => self.ctl(item, value).map(Action::Ctl),
            "setvar" => self.setvar(value, item.quote).map(Action::SetVar),
            "expirevar" => self.expirevar(item, value),
            "deprecatevar" => self.deprecatevar(value),
            "initcol" => self.initcol(item, value),
            "setenv" => self.setenv(item, value),
            "xmlns" => self.xmlns(value),
            "exec" => self.exec(value),
            "sanitisematchedbytes" => self.sanitise_span(value),
            _ => self.text_action(item, name),
        }
    }

    /// Actions whose value is free text.
    fn text_action(&mut self, item: &Item<'_>, name: &str) -> Option<Action> {
        let (bytes, span) = (item.bytes(), item.value_span());
        let with_macros: fn(Template) -> Action = match name {
            "logdata" => Action::LogData,
            "msg" => Action::Msg,
            "redirect" => Action::Redirect,
            "setrsc" => Action::SetRsc,
            "setsid" => Action::SetSid,
            "setuid" => Action::SetUid,
            "tag" => Action::Tag,
            _ => return self.plain_text_action(bytes, span, name),
        };
        Some(with_macros(self.template(bytes, span)))
    }

    fn plain_text_action(&mut self, bytes: Vec<u8>, span: Span, name: &str) -> Option<Action> {
        let text = self.utf8(bytes, span, name)?;
        Some(match name {
            "rev" => Action::Rev(text),
            "ver" => Action::Ver(text),
            "sanitisearg" => Action::SanitiseArg(text),
            "sanitiserequestheader" => Action::SanitiseRequestHeader(text),
            "sanitiseresponseheader" => Action::SanitiseResponseHeader(text),
            _ => {
                self.error(span, format!("the action `{name}` takes no value"));
                return None;
            }
        })
    }

    fn stray_value(&mut self, item: &Item<'_>, name: &str) {
        let error = Diagnostic::error(item.whole.span(), format!("the action `{name}` takes no value"));
        self.report(match name {
            "deny" | "block" | "drop" => {
                error.hint(format!("write `{name},status:403` to choose the status"))
            }
            _ => error,
        });
    }

    fn phase(&mut self, value: Slice<'_>) -> Option<Phase> {
        match bare(value).lossy().to_ascii_lowercase().as_str() {
            "request" => return Some(Phase::RequestBody),
            "response" => return Some(Phase::ResponseBody),
            "logging" => return Some(Phase::Logging),
            _ => {}
        }
        let number = bare(value).lossy().parse().ok().and_then(Phase::from_number);
        if number.is_none() {
            let message =
                format!("phase: `{}` is none of 1 to 5, request, response, logging", shorten(&value.lossy()));
            self.error(value.span(), message);
        }
        number
    }

    fn severity(&mut self, value: Slice<'_>) -> Option<Severity> {
        let text = bare(value);
        if text.bytes().first().is_some_and(u8::is_ascii_digit) {
            return Severity::from_number(self.number_in(value, "severity", 0, 7)?);
        }
        self.choice(value, "severity", Severity::SPELLINGS)
    }

    fn transformation(&mut self, value: Slice<'_>) -> Option<Transformation> {
        let text = bare(value).lossy();
        let found = Transformation::from_name(&text);
        if found.is_none() {
            let error =
                Diagnostic::error(value.span(), format!("unknown transformation `{}`", shorten(&text)));
            let names = Transformation::SPELLINGS.iter().map(|(name, _)| *name);
            self.report(unknown_name(error, &text, "t:", names));
        }
        found
    }

    /// `collection=KEY`.
    fn initcol(&mut self, item: &Item<'_>, value: Slice<'_>) -> Option<Action> {
        let Some((name, key)) = value.split_once(b'=') else {
            self.error(
                value.span(),
                "initcol: write `initcol:collection=KEY`, as in `initcol:ip=%{REMOTE_ADDR}`",
            );
            return None;
        };
        let collection = self.collection(name)?;
        if collection == Collection::Tx {
            self.error(name.span(), "initcol: TX belongs to the transaction and is always there");
            return None;
        }
        let key = self.value_template(key, item.quote);
        Some(Action::InitCol { collection, key })
    }

    /// `NAME=VALUE` or `!NAME`.
    fn setenv(&mut self, item: &Item<'_>, value: Slice<'_>) -> Option<Action> {
        if let Some(name) = value.strip_prefix(b'!') {
            let name = self.value_template(name, item.quote);
            return Some(Action::SetEnv { name, value: None });
        }
        let Some((name, value)) = value.split_once(b'=') else {
            self.error(value.span(), "setenv: write `setenv:NAME=VALUE`, or `setenv:!NAME` to unset it");
            return None;
        };
        let name = self.value_template(name, item.quote);
        let value = self.value_template(value, item.quote);
        Some(Action::SetEnv { name, value: Some(value) })
    }

    fn exec(&mut self, value: Slice<'_>) -> Option<Action> {
        let value = bare(value);
        let script = self.script(value)?;
        Some(Action::Exec { path: value.lossy(), script })
    }

    /// `PREFIX=URI`.
    fn xmlns(&mut self, value: Slice<'_>) -> Option<Action> {
        let Some((prefix, uri)) = value.split_once(b'=') else {
            self.report(
                Diagnostic::error(value.span(), "xmlns: the equals sign is missing")
                    .hint("write `xmlns:PREFIX=http://…`"),
            );
            return None;
        };
        let uri = bare(uri);
        if prefix.is_empty() || uri.is_empty() {
            self.error(value.span(), "xmlns: write `xmlns:PREFIX=http://…`");
            return None;
        }
        if !uri.bytes().starts_with(b"http://")
            && !uri.bytes().starts_with(b"https://")
            && !uri.bytes().starts_with(b"urn:")
        {
            let message = format!("xmlns: `{}` is no namespace", shorten(&uri.lossy()));
            self.report(
                Diagnostic::error(uri.span(), message)
                    .hint("a namespace starts with `http://`, `https://` or `urn:`"),
            );
            return None;
        }
        let (prefix, uri) = (self.word(prefix, "the prefix")?, self.word(uri, "the namespace")?);
        Some(Action::Xmlns { prefix, uri })
    }

    /// `START/END`.
    fn sanitise_span(&mut self, value: Slice<'_>) -> Option<Action> {
        let (start, end) = value.split_once(b'/').unwrap_or((value, value));
        let keep_start = self.number(start, "sanitiseMatchedBytes")?;
        let keep_end = self.number(end, "sanitiseMatchedBytes")?;
        Some(Action::SanitiseMatchedBytes(Some(SanitiseSpan { keep_start, keep_end })))
    }

    /// Part of a value as a text with macros.
    pub(super) fn value_template(&mut self, part: Slice<'_>, quote: Option<u8>) -> Template {
        let bytes = quote.map_or_else(|| part.bytes().to_vec(), |quote| part.unescaped(quote));
        self.template(bytes, part.span())
    }
}

/// Actions without a value.
fn plain(name: &str) -> Option<Action> {
    Some(match name {
        "auditlog" => Action::AuditLog,
        "block" => Action::Block,
        "capture" => Action::Capture,
        "chain" => Action::Chain,
        "deny" => Action::Deny,
        "drop" => Action::Drop,
        "log" => Action::Log,
        "multimatch" => Action::MultiMatch,
        "noauditlog" => Action::NoAuditLog,
        "nolog" => Action::NoLog,
        "pass" => Action::Pass,
        "sanitisematched" => Action::SanitiseMatched,
        _ => return None,
    })
}

/// How an action is written.
fn example(name: &str) -> &'static str {
    match name {
        "ctl" => "ctl:ruleEngine=Off",
        "deprecatevar" => "deprecatevar:ip.score=60/300",
        "exec" => "exec:check.lua",
        "expirevar" => "expirevar:ip.blocked=3600",
        "id" => "id:100001",
        "initcol" => "initcol:ip=%{REMOTE_ADDR}",
        "phase" => "phase:2",
        "redirect" => "redirect:'https://example.org/'",
        "setenv" => "setenv:NAME=VALUE",
        "setvar" => "setvar:tx.score=+5",
        "severity" => "severity:CRITICAL",
        "skip" => "skip:1",
        "skipafter" => "skipAfter:END-OF-CHECKS",
        "status" => "status:403",
        "t" => "t:lowercase",
        "xmlns" => "xmlns:soap=http://schemas.xmlsoap.org/soap/envelope/",
        "accuracy" | "maturity" => "accuracy:9",
        _ => "tag:'text'",
    }
}
