//! Small readers that all arguments share: numbers, choices, texts with macros.

use std::str::FromStr;

use super::{Dialect, MOST_WARNINGS, Parser, did_you_mean};
use crate::ast::{IdRange, MacroName, Part, Template, Variable};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::text::{Slice, is_blank};

impl Parser<'_> {
    /// A whole number, quotes allowed.
    pub(super) fn number<T: FromStr>(&mut self, slice: Slice<'_>, what: &str) -> Option<T> {
        let text = bare(slice);
        let digits = !text.is_empty() && text.bytes().iter().all(u8::is_ascii_digit);
        let number = digits.then(|| text.lossy().parse().ok()).flatten();
        if number.is_none() {
            let shown = shorten(&text.lossy());
            let problem = if digits { "is too large" } else { "is not a whole number" };
            self.error(slice.span(), format!("{what}: `{shown}` {problem}"));
        }
        number
    }

    /// A number within bounds.
    pub(super) fn number_in(&mut self, slice: Slice<'_>, what: &str, least: u64, most: u64) -> Option<u64> {
        let number = self.number(slice, what)?;
        if (least..=most).contains(&number) {
            return Some(number);
        }
        self.error(slice.span(), format!("{what}: {number} is not within {least} to {most}"));
        None
    }

    /// One of a closed set of names.
    pub(super) fn choice<T: Copy>(
        &mut self,
        slice: Slice<'_>,
        what: &str,
        spellings: &'static [(&'static str, T)],
    ) -> Option<T> {
        let text = bare(slice).lossy();
        let found = spellings.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
        if let Some(&(_, value)) = found {
            return Some(value);
        }
        let names: Vec<_> = spellings.iter().map(|(name, _)| format!("`{name}`")).collect();
        let message = format!("{what}: `{}` is none of {}", shorten(&text), names.join(", "));
        let error = Diagnostic::error(slice.span(), message);
        self.report(did_you_mean(error, &text, "", spellings.iter().map(|(name, _)| *name)));
        None
    }

    /// `On` or `Off`.
    pub(super) fn switch(&mut self, slice: Slice<'_>, what: &str) -> Option<bool> {
        self.choice(slice, what, &[("On", true), ("Off", false)])
    }

    /// A name or other text that must be UTF-8 and not empty.
    pub(super) fn word(&mut self, slice: Slice<'_>, what: &str) -> Option<String> {
        self.utf8(slice.bytes().to_vec(), slice.span(), what)
    }

    /// Bytes as text.
    pub(super) fn utf8(&mut self, bytes: Vec<u8>, span: Span, what: &str) -> Option<String> {
        match String::from_utf8(bytes) {
            Ok(text) if text.is_empty() => {
                self.error(span, format!("{what} is empty"));
                None
            }
            Ok(text) => Some(text),
            Err(_) => {
                self.error(span, format!("{what} is not valid UTF-8"));
                None
            }
        }
    }

    /// Text with macros; names that mean nothing are pointed out.
    pub(super) fn template(&mut self, bytes: Vec<u8>, span: Span) -> Template {
        let template = match self.dialect {
            Dialect::ModSecurity3 => Template::parse_strict(bytes),
            Dialect::Strict => Template::parse(bytes),
        };
        for part in template.parts() {
            let Part::Macro { name: MacroName::Unknown(name), .. } = part else { continue };
            // Looking for a near name is dear, and more warnings are not kept.
            if self.warnings >= MOST_WARNINGS {
                break;
            }
            let warning = Diagnostic::warning(
                span,
                format!("the macro `%{{{name}}}` names no variable: it is always empty"),
            );
            self.report(did_you_mean(warning, name, "", Variable::SPELLINGS.iter().map(|(name, _)| *name)));
        }
        template
    }

    /// `1`, `1-5`, `1 2-3`, `1,2`.
    pub(super) fn id_ranges(&mut self, slice: Slice<'_>) -> Option<Vec<IdRange>> {
        let parts = bare(slice).split(|b| is_blank(b) || b == b',');
        if parts.is_empty() {
            self.error(slice.span(), "a rule id or a range of ids is missing");
            return None;
        }
        parts.into_iter().map(|part| self.id_range(part)).collect()
    }

    fn id_range(&mut self, part: Slice<'_>) -> Option<IdRange> {
        let Some((first, last)) = part.split_once(b'-') else {
            return self.number::<u64>(part, "rule id").map(IdRange::from);
        };
        let (first, last) = (self.number(first, "rule id")?, self.number(last, "rule id")?);
        if first > last {
            self.error(part.span(), format!("the range `{first}-{last}` is empty"));
            return None;
        }
        Some(IdRange { first, last })
    }
}

/// Without blanks and single quotes around it.
pub(super) fn bare(slice: Slice<'_>) -> Slice<'_> {
    let slice = slice.trim();
    match slice.bytes() {
        [b'\'', .., b'\''] => slice.sub(1..slice.len() - 1).trim(),
        _ => slice,
    }
}

/// Cuts what the author wrote to a length that fits a message.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let clean: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() { clean + "…" } else { clean }
}
