//! A part of XPath 1.0 that suffices to choose what of a body a rule reads.
//!
//! Absolute paths of the axes `child`, `attribute`, `self`, `parent`,
//! `descendant` and `descendant-or-self` with their abbreviations, name tests
//! with namespaces, `text()` and `node()`, and predicates with positions,
//! comparisons, `and`, `or` and the functions in [`Function`]. All else is an
//! error when the expression is read. `parser` reads, `evaluate` selects; what
//! an evaluation may cost is bounded by the size of the document.

mod evaluate;
mod parser;

pub use evaluate::TooExpensive;

/// An expression, ready to be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct XPath {
    path: Path,
}

/// Why an expression cannot be used, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct XPathError {
    /// What is wrong.
    pub reason: String,
    /// Where, in bytes from the start of the expression.
    pub offset: usize,
}

impl XPath {
    /// Reads an absolute path. `namespace` knows the namespaces of prefixes.
    ///
    /// # Errors
    /// The first thing that is malformed or not supported.
    pub fn parse(text: &str, namespace: &dyn Fn(&str) -> Option<String>) -> Result<Self, XPathError> {
        parser::parse(text, namespace).map(|path| Self { path })
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Path {
    is_absolute: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
struct Step {
    axis: Axis,
    test: Test,
    predicates: Vec<Expression>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    Child,
    Attribute,
    ItSelf,
    Parent,
    Descendant,
    DescendantOrSelf,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// `node()`.
    Node,
    /// `text()`.
    Text,
    /// `*`.
    Any,
    /// `prefix:*`.
    Namespace(String),
    Name {
        namespace: String,
        local: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Or(Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Compare(Comparison, Box<Expression>, Box<Expression>),
    Path(Path),
    Call(Function, Vec<Expression>),
    Text(String),
    Number(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Different,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// The functions (XPath 1.0, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `last()`.
    Last,
    /// `position()`.
    Position,
    /// `count(PATH)`.
    Count,
    /// `local-name(PATH?)`.
    LocalName,
    /// `namespace-uri(PATH?)`.
    NamespaceUri,
    /// `name(PATH?)`.
    Name,
    /// `string(X?)`.
    String,
    /// `starts-with(X, Y)`.
    StartsWith,
    /// `contains(X, Y)`.
    Contains,
    /// `string-length(X?)`.
    StringLength,
    /// `normalize-space(X?)`.
    NormalizeSpace,
    /// `number(X?)`.
    Number,
    /// `not(X)`.
    Not,
    /// `true()`.
    True,
    /// `false()`.
    False,
}

impl Function {
    /// Name, and how many arguments it takes at least and at most.
    const ALL: [(&'static str, Self, usize, usize); 15] = [
        ("last", Self::Last, 0, 0),
        ("position", Self::Position, 0, 0),
        ("count", Self::Count, 1, 1),
        ("local-name", Self::LocalName, 0, 1),
        ("namespace-uri", Self::NamespaceUri, 0, 1),
        ("name", Self::Name, 0, 1),
        ("string", Self::String, 0, 1),
        ("starts-with", Self::StartsWith, 2, 2),
        ("contains", Self::Contains, 2, 2),
        ("string-length", Self::StringLength, 0, 1),
        ("normalize-space", Self::NormalizeSpace, 0, 1),
        ("number", Self::Number, 0, 1),
        ("not", Self::Not, 1, 1),
        ("true", Self::True, 0, 0),
        ("false", Self::False, 0, 0),
    ];
}

#[cfg(test)]
mod tests;
