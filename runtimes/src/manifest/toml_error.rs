//! A fault in a file a person wrote: where it is, what it is, what was probably meant.
//!
//! Used for `hop3.toml` and `Procfile` here, and for the server's own configuration elsewhere.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::nearest::nearest;

/// One fault with its place. Displays as
///
/// ```text
/// hop3.toml:3:1: unknown key `pat`
///     3 | pat = "/"
///       | ^^^
/// hint: did you mean `path`?
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as it should be shown (usually relative to the app's folder).
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters the caret marks; at least 1.
    pub width: usize,
    /// The offending line without its end, or `None` when it must not be shown (it may hold a secret).
    pub source_line: Option<String>,
    /// What is wrong, without place and hint.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// The fault that `toml` (or a type's own check) reported while reading `text`, with the nearest known
    /// key or value as hint.
    #[must_use]
    pub fn from_toml(file: impl Into<PathBuf>, text: &str, error: &toml::de::Error) -> Self {
        let raw = error.message().trim_end();
        let (message, hint) = explain(raw);
        let span = error.span().unwrap_or(0..0);
        Self::at(file, text, span, message, hint)
    }

    /// A fault at a byte range of `text`. Ranges over several lines are cut at the first line's end.
    #[must_use]
    pub fn at(
        file: impl Into<PathBuf>,
        text: &str,
        span: Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Self {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let source_line = text[line_start..line_end].trim_end_matches('\r').to_owned();
        let marked = &text[start..end.clamp(start, line_end)];
        Self {
            file: file.into(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: marked.trim_end().chars().count().max(1),
            source_line: Some(source_line),
            message: message.into(),
            hint,
        }
    }

    /// A fault on a whole line (from 1) of `text`.
    #[must_use]
    pub fn on_line(
        file: &Path,
        text: &str,
        line: usize,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Self {
        let mut start = 0;
        for (index, content) in text.split('\n').enumerate() {
            if index + 1 == line {
                let indent = content.len() - content.trim_start().len();
                return Self::at(file, text, start + indent..start + content.len(), message, hint);
            }
            start += content.len() + 1;
        }
        Self::at(file, text, text.len()..text.len(), message, hint)
    }

    /// The same fault without showing the line, for files whose lines hold secrets.
    #[must_use]
    pub fn without_source(mut self) -> Self {
        self.source_line = None;
        self
    }
}

/// Where the value of a key stands in a TOML text, by its path (numbers for entries of arrays); the nearest part that is
/// there when the key itself is not, the text's beginning when nothing is.
#[must_use]
pub fn locate(text: &str, path: &[impl AsRef<str>]) -> Range<usize> {
    let Ok(document) = toml::de::DeTable::parse(text) else { return 0..0 };
    let mut span = 0..0;
    let mut table = Some(document.get_ref());
    let mut array: Option<&toml::de::DeArray<'_>> = None;
    for part in path {
        let part = part.as_ref();
        let same = |key: &str| key == part || key.replace('_', "-") == part;
        let value = match (table, array) {
            (Some(table), _) => {
                let found = table.iter().find(|(key, _)| same(key.get_ref()));
                let Some((key, value)) = found else { return span };
                // Of a section, the key says more than all that it holds.
                span = if value.get_ref().as_table().is_some() { key.span() } else { value.span() };
                value
            }
            (None, Some(array)) => {
                let entry = part.parse().ok().and_then(|index: usize| array.get(index));
                let Some(value) = entry else { return span };
                span = value.span();
                value
            }
            (None, None) => return span,
        };
        table = value.get_ref().as_table();
        array = value.get_ref().as_array();
    }
    span
}

impl std::error::Error for Diagnostic {}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.message)?;
        if let Some(source) = &self.source_line {
            // A caret under a tab must be preceded by a tab, or it stands elsewhere.
            let lead = source.chars().take(self.column - 1);
            let lead: String = lead.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            write!(f, "\n{:>5} | {source}\n      | {lead}{}", self.line, "^".repeat(self.width))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// Rewords serde's message into ours and derives the hint from the list of what was expected.
fn explain(raw: &str) -> (String, Option<String>) {
    for (prefix, noun) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        let Some(rest) = raw.strip_prefix(prefix) else { continue };
        let Some((word, expected)) = rest.split_once('`') else { continue };
        let known = quoted(expected);
        let hint = match nearest(word, known.iter().copied()) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if known.is_empty() => Some(format!("no {noun}s are known here")),
            None => Some(format!("known {noun}s: {}", known.join(", "))),
        };
        return (format!("unknown {noun} `{word}`"), hint);
    }
    if let Some(key) = raw.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return (format!("missing key `{key}`"), None);
    }
    if let Some(key) = raw.strip_prefix("duplicate field `").and_then(|rest| rest.strip_suffix('`')) {
        return (format!("key `{key}` is given twice"), None);
    }
    (raw.replace('\n', "; "), None)
}

/// The words between backquotes, in order; of two spellings of a key only the one with hyphens.
fn quoted(text: &str) -> Vec<&str> {
    let all: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let is_alias = |word: &str| word.contains('_') && all.contains(&word.replace('_', "-").as_str());
    all.iter().copied().filter(|word| !is_alias(word)).collect()
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(rename = "path")]
        _path: Option<String>,
        #[serde(rename = "mode")]
        _mode: Option<Mode>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Block,
        Detect,
    }

    fn fault(text: &str) -> String {
        let error = toml::from_str::<Sample>(text).unwrap_err();
        Diagnostic::from_toml("x.toml", text, &error).to_string()
    }

    #[test]
    fn unknown_key_is_placed_and_hinted() {
        assert_eq!(
            fault("# ü\npat = '/'\n"),
            "x.toml:2:1: unknown key `pat`\n    2 | pat = '/'\n      | ^^^\nhint: did you mean `path`?"
        );
    }

    #[test]
    fn unknown_value_lists_what_is_known() {
        let text = fault("mode = 'observe'");
        assert!(text.contains("x.toml:1:8: unknown value `observe`"), "{text}");
        assert!(text.contains("hint: known values: block, detect"), "{text}");
    }

    #[test]
    fn syntax_errors_and_ends_of_file_do_not_panic() {
        for text in ["path = ", "[", "path = \"ü", "\u{0}", "a=1\r\nb", "ü", "= 1", "path = '''\n\n"] {
            assert!(fault(text).starts_with("x.toml:"), "{text:?}");
        }
    }
}
