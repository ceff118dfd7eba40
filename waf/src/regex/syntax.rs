//! The syntax tree of a pattern: PCRE's meaning, on bytes, flags resolved.

use hop3_transformations::ByteSet;

/// One node of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Matches the empty string.
    Empty,
    /// One byte out of a set; case-insensitivity is already part of the set.
    Set(ByteSet),
    /// A position.
    Anchor(Anchor),
    /// One node after the other.
    Concat(Vec<Node>),
    /// The first branch that leads to a match.
    Alternate(Vec<Node>),
    /// A capturing group; indices start at 1.
    Group(u32, Box<Node>),
    /// A repetition.
    Repeat {
        /// What is repeated.
        node: Box<Node>,
        /// At least so often.
        min: u32,
        /// At most so often; `None` is unlimited.
        max: Option<u32>,
        /// What it prefers.
        preference: Preference,
    },
    /// `(?>…)`: never re-entered once left.
    Atomic(Box<Node>),
    /// `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`.
    Around {
        /// Looks at what follows, otherwise at what precedes.
        ahead: bool,
        /// Succeeds when the body does not match.
        negative: bool,
        /// What is looked for.
        body: Box<Node>,
    },
    /// `\1`: the text of a group again.
    BackReference {
        /// Which group.
        group: u32,
        /// Without regard to ASCII case.
        fold: bool,
    },
}

impl Node {
    /// Whether something that may match nothing is repeated: what such a loop
    /// holds at its end is where automata and PCRE differ.
    pub(super) fn loops_over_nothing(&self) -> bool {
        match self {
            Node::Concat(nodes) | Node::Alternate(nodes) => nodes.iter().any(Node::loops_over_nothing),
            Node::Group(_, node) => node.loops_over_nothing(),
            Node::Repeat { node, .. } => node.can_be_empty() || node.loops_over_nothing(),
            _ => false,
        }
    }

    fn can_be_empty(&self) -> bool {
        match self {
            Node::Empty | Node::Anchor(_) => true,
            Node::Concat(nodes) => nodes.iter().all(Node::can_be_empty),
            Node::Alternate(nodes) => nodes.iter().any(Node::can_be_empty),
            Node::Group(_, node) => node.can_be_empty(),
            Node::Repeat { node, min, .. } => *min == 0 || node.can_be_empty(),
            _ => false,
        }
    }
}

/// A position that consumes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Start of the value.
    Start,
    /// Very end of the value.
    End,
    /// Start of a line.
    LineStart,
    /// End of a line.
    LineEnd,
    /// `\b` between ASCII word bytes and others.
    Word,
    /// `\B`.
    NotWord,
}

/// What a repetition tries first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preference {
    /// As much as possible.
    Greedy,
    /// As little as possible.
    Lazy,
    /// As much as possible, never giving back.
    Possessive,
}

/// A construct that no automaton can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PcreConstruct {
    /// `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`, `\Z`.
    LookAround,
    /// `\1`, `\k<name>`.
    BackReference,
    /// `(?>…)`, `a++`.
    Atomic,
    /// None: the ruleset wants SecPcreMatchLimit to count for every pattern (`SecCompatibility ModSecurity3`).
    MatchLimit,
}

impl std::fmt::Display for PcreConstruct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PcreConstruct::LookAround => "look-around",
            PcreConstruct::BackReference => "a back-reference",
            PcreConstruct::Atomic => "an atomic group or possessive quantifier",
            PcreConstruct::MatchLimit => "SecPcreMatchLimit, which counts for every pattern",
        })
    }
}

/// Why a pattern cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at byte {offset} of the pattern")]
pub struct PatternError {
    /// What is wrong.
    pub message: String,
    /// Where in the pattern, in bytes.
    pub offset: usize,
}

impl PatternError {
    pub(super) fn new(message: impl Into<String>, offset: usize) -> Self {
        Self { message: message.into(), offset }
    }
}

/// A parsed pattern.
#[derive(Clone, Debug)]
pub(super) struct Syntax {
    /// The whole pattern.
    pub(super) root: Node,
    /// Number of capturing groups, without the whole match.
    pub(super) groups: u32,
    /// The first construct that needs backtracking.
    pub(super) pcre_only: Option<PcreConstruct>,
}
