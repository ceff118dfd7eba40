//! Errors and warnings with their place, rendered with the line and carets.

use std::fmt;
use std::sync::Arc;

use crate::source::{Sources, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know; only lints say such things.
    Info,
    /// The document loads, but probably does not do what was meant.
    Warning,
    /// The document is refused.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; `None` when no file could be opened.
    pub span: Option<Span>,
    /// Further places, e.g. where an id was used first.
    pub labels: Vec<(Span, String)>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span: span.into(),
            labels: vec![],
            hint: None,
        }
    }

    /// A warning at a place.
    pub fn warning(span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// A remark about a place.
    pub fn info(span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Info, ..Self::error(span, message) }
    }

    /// With advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a further place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push((span, text.into()));
        self
    }

    /// Message, place, the line and carets under the fault, as several lines of text without a final newline.
    pub fn render(&self, sources: &Sources) -> String {
        crate::render::render(self, sources)
    }
}

/// All findings of a document that was refused; at least one is an error.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The findings in the order of the text.
    pub list: Vec<Diagnostic>,
    /// The files they speak about.
    pub sources: Arc<Sources>,
}

impl Diagnostics {
    /// The errors alone.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            f.write_str(&diagnostic.render(&self.sources))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
