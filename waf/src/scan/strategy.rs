//! How a rule is decided.

/// What stands between a value and a rule's operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Decided at load: the rule can never match, or nothing ever reaches it.
    Folded,
    /// Its operator runs where one of that many texts occurs.
    Literals(usize),
    /// Its operator runs where certain bytes occur.
    Bytes,
    /// Its operator runs on each value it looks at.
    EachValue,
    /// Evaluated rule by rule: it reads what other rules write, or counts.
    Walked,
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Strategy::Folded => f.write_str("folded"),
            Strategy::Literals(count) => write!(f, "literals ({count})"),
            Strategy::Bytes => f.write_str("bytes"),
            Strategy::EachValue => f.write_str("each value"),
            Strategy::Walked => f.write_str("walked"),
        }
    }
}
