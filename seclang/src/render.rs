//! Text form of a diagnostic: place, line, carets, further places, hint.

use std::fmt::Write as _;

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{Sources, Span};

/// Longest part of a line that is shown, in characters.
const WIDTH: usize = 100;

/// See [`Diagnostic::render`].
pub(crate) fn render(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let kind = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let mut out = match diagnostic.span {
        Some(span) => format!("{kind}: {}: {}", sources.place(span), clean(&diagnostic.message)),
        None => format!("{kind}: {}", clean(&diagnostic.message)),
    };
    if let Some(span) = diagnostic.span {
        excerpt(&mut out, span, sources);
    }
    for (span, text) in &diagnostic.labels {
        let _ = write!(out, "\nnote: {}: {}", sources.place(*span), clean(text));
        excerpt(&mut out, *span, sources);
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = write!(out, "\nhint: {}", clean(hint));
    }
    out
}

/// The line of a span with carets below it; a long line is cut around the fault.
fn excerpt(out: &mut String, span: Span, sources: &Sources) {
    let Some(file) = sources.file(span.file) else { return };
    let at = file.position(span.start);
    let line: Vec<char> = String::from_utf8_lossy(file.line(at.line)).chars().map(printable).collect();
    let column = (at.column as usize - 1).min(line.len());
    let end = file.position(span.end.max(span.start));
    let last = if end.line == at.line { end.column as usize - 1 } else { line.len() };
    let first = if line.len() <= WIDTH { 0 } else { column.saturating_sub(WIDTH / 2) };
    let shown: String = line.iter().skip(first).take(WIDTH).collect();
    let prefix = if first > 0 { "… " } else { "" };
    let suffix = if line.len() > first + WIDTH { " …" } else { "" };
    let carets = last.saturating_sub(column).clamp(1, (first + WIDTH).saturating_sub(column).max(1));
    let number = at.line.to_string();
    let gutter = " ".repeat(number.len());
    let indent = " ".repeat(prefix.chars().count() + column - first);
    let _ = write!(out, "\n   {number} | {prefix}{}{suffix}", shown.trim_end());
    let _ = write!(out, "\n   {gutter} | {indent}{}", "^".repeat(carets));
}

/// A message on one line; it may quote what the author wrote.
fn clean(text: &str) -> String {
    text.chars().map(printable).collect()
}

/// Tabs take one column and control characters are not sent to a terminal.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}
