//! What a rule reads: `ARGS|!ARGS:password|&REQUEST_HEADERS:/^x-/`.

use super::Variable;
use crate::source::Span;

/// One member of a rule's variable list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// `!`: taken away from the list instead of added.
    pub exclude: bool,
    /// `&`: the number of values instead of the values.
    pub count: bool,
    /// The variable.
    pub variable: Variable,
    /// What of a collection; `None` means all.
    pub selector: Option<Selector>,
}

impl Target {
    /// A whole variable.
    pub fn of(variable: Variable) -> Self {
        Self { exclude: false, count: false, variable, selector: None }
    }
}

/// The part after the colon. Equality ignores places.
#[derive(Clone, Debug)]
pub enum Selector {
    /// One name, compared without regard to ASCII case.
    Key(String),
    /// `/pattern/`: every name that matches, without regard to case.
    Regex {
        /// The pattern without its slashes, as written (`\/` is `/`).
        pattern: String,
        /// The pattern's place, for the engine's own errors.
        span: Span,
    },
    /// An XPath expression, for XML variables only: `XML:/*`, `XML://@*`.
    XPath(String),
}

impl Selector {
    /// Kind and text, the parts that make two selectors the same.
    fn identity(&self) -> (u8, &str) {
        match self {
            Selector::Key(text) => (0, text),
            Selector::Regex { pattern, .. } => (1, pattern),
            Selector::XPath(text) => (2, text),
        }
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Selector {}

impl std::hash::Hash for Selector {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}
