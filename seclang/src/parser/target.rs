//! Variable lists: `ARGS|!ARGS:password|&REQUEST_HEADERS:/^x-/|XML:/*`.

use super::arguments::shorten;
use super::{Parser, unknown_name};
use crate::ast::{Selector, Target, Variable};
use crate::diagnostic::Diagnostic;
use crate::source::Located;
use crate::text::Slice;

impl Parser<'_> {
    /// Reads a list separated by `|`, and by `,` where `commas` are allowed.
    pub(super) fn targets(&mut self, slice: Slice<'_>, commas: bool) -> Option<Vec<Located<Target>>> {
        let before = self.errors;
        let mut targets = Vec::new();
        let mut rest = slice.trim();
        loop {
            let length = target_length(rest, commas);
            let one = rest.sub(0..length).trim();
            if one.is_empty() {
                self.error(one.span(), "a variable is missing");
            } else if let Some(target) = self.target(one) {
                targets.push(Located::new(one.span(), target));
            }
            if length >= rest.len() || self.stopped() {
                break;
            }
            rest = rest.from(length + 1);
        }
        (self.errors == before).then_some(targets)
    }

    /// One member of a list.
    pub(super) fn target(&mut self, slice: Slice<'_>) -> Option<Target> {
        let (exclude, slice) = flag(slice, b'!');
        let (count, slice) = flag(slice, b'&');
        let name_end = slice.position(|b| matches!(b, b':' | b'.')).unwrap_or(slice.len());
        let name = slice.sub(0..name_end);
        let variable = self.variable(name)?;
        let selector = match slice.bytes().get(name_end) {
            Some(_) => Some(self.selector(variable, slice.from(name_end + 1))?),
            None => None,
        };
        if selector.is_some() && !variable.is_collection() {
            self.error(
                slice.span(),
                format!("{variable} is a single value, so nothing can be chosen from it"),
            );
            return None;
        }
        Some(Target { exclude, count, variable, selector })
    }

    fn variable(&mut self, name: Slice<'_>) -> Option<Variable> {
        let text = name.lossy();
        let Some(variable) = Variable::from_name(&text) else {
            let error = Diagnostic::error(name.span(), format!("unknown variable `{}`", shorten(&text)));
            self.report(unknown_name(error, &text, "", Variable::SPELLINGS.iter().map(|(name, _)| *name)));
            return None;
        };
        if let Some(why) = crate::refused::variable(variable) {
            self.report(
                Diagnostic::error(name.span(), format!("the variable {variable} is not supported")).hint(why),
            );
            return None;
        }
        Some(variable)
    }

    /// The part after the colon.
    fn selector(&mut self, variable: Variable, slice: Slice<'_>) -> Option<Selector> {
        let inner = match slice.bytes() {
            [b'\'', .., b'\''] => slice.sub(1..slice.len() - 1),
            [b'\'', ..] => {
                self.error(slice.sub(0..1).span(), "this quote is never closed");
                return None;
            }
            _ => slice,
        };
        if inner.is_empty() {
            self.error(slice.span(), format!("a name is missing after `{variable}:`"));
            return None;
        }
        if matches!(variable, Variable::Xml | Variable::RequestXml | Variable::ResponseXml) {
            return self.word(inner, "the XPath expression").map(Selector::XPath);
        }
        if inner.bytes()[0] != b'/' {
            return self.utf8(inner.unescaped(b'\''), inner.span(), "the name").map(Selector::Key);
        }
        if inner.len() < 2 || inner.bytes()[inner.len() - 1] != b'/' {
            self.report(Diagnostic::error(inner.span(), "the regular expression has no closing `/`").hint(
                format!(
                    "write `{variable}:/pattern/`, or `{variable}:'/pattern/'` when the pattern has blanks"
                ),
            ));
            return None;
        }
        let pattern = inner.sub(1..inner.len() - 1);
        let text = self.utf8(pattern.unescaped(b'/'), pattern.span(), "the regular expression")?;
        Some(Selector::Regex { pattern: text, span: pattern.span() })
    }
}

/// Takes a leading mark away.
fn flag(slice: Slice<'_>, mark: u8) -> (bool, Slice<'_>) {
    match slice.strip_prefix(mark) {
        Some(rest) => (true, rest.trim()),
        None => (false, slice),
    }
}

/// Length of the first member of a list: separators inside `'…'` and `/…/` do not count.
fn target_length(slice: Slice<'_>, commas: bool) -> usize {
    let bytes = slice.bytes();
    let separator = |at: usize| bytes.get(at).is_none_or(|&b| b == b'|' || (commas && b == b','));
    let mut at = 0;
    while !separator(at) && !matches!(bytes[at], b':' | b'.') {
        at += 1;
    }
    let xml = bytes[..at].to_ascii_uppercase().ends_with(b"XML");
    let closing: &[u8] = match bytes.get(at + 1) {
        Some(b'\'') => b"'",
        Some(b'/') if !xml && !separator(at) => b"/",
        _ => b"",
    };
    if !closing.is_empty() && !separator(at) {
        let mut end = at + 2;
        while end < bytes.len() {
            if bytes[end] == b'\\' {
                end += 2;
                continue;
            }
            let blank_then_end = || bytes[end + 1..].iter().all(|b| *b == b' ');
            if bytes[end] == closing[0]
                && (separator(end + 1) || (bytes[end + 1] == b' ' && blank_then_end()))
            {
                return end + 1;
            }
            end += 1;
        }
    }
    while !separator(at) {
        at += 1;
    }
    at
}
