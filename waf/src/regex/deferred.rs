//! Automata that are built when they are first asked: of the hundreds of
//! patterns of a ruleset, traffic asks few, because a value must hold what a
//! pattern requires before the pattern is run at all.
//!
//! Whether a pattern can be built is still decided at load.

use std::sync::OnceLock;

use regex_automata::meta;

use super::automaton;
use super::backtrack::{self, LimitExceeded, Program};
use super::long::LongSearch;
use super::parse::{self, Flags};
use super::starts;
use super::syntax::{Node, PatternError, Syntax};

/// Bytes of an automaton, by a generous estimate, above which it is built at load: that tells whether it
/// exceeds the limit, and no request waits for it.
const EAGER: usize = 1 << 20;

/// What a pattern without PCRE-only constructs runs on.
#[derive(Debug)]
pub(super) struct Deferred {
    text: Box<[u8]>,
    flags: Flags,
    /// Whether the automaton does not know the groups as PCRE has them: when the last repetition of a loop is
    /// empty.
    is_inexact: bool,
    regex: OnceLock<Option<Box<meta::Regex>>>,
    exact: OnceLock<Option<Box<Program>>>,
    long: OnceLock<Option<Box<LongSearch>>>,
}

impl Deferred {
    /// For a pattern that was parsed; the error is that it is too large.
    pub(super) fn new(text: &[u8], flags: Flags, syntax: &Syntax) -> Result<Self, PatternError> {
        let regex = OnceLock::new();
        if size(&syntax.root) > EAGER {
            let _ = regex.set(Some(Box::new(automaton::compile(&syntax.root)?)));
        }
        let is_inexact = syntax.root.loops_over_nothing();
        Ok(Self {
            text: text.into(),
            flags,
            is_inexact,
            regex,
            exact: OnceLock::new(),
            long: OnceLock::new(),
        })
    }

    /// The automaton. What cannot be built, though the estimate says otherwise, has no answer.
    #[inline]
    pub(super) fn regex(&self) -> Result<&meta::Regex, LimitExceeded> {
        match self.regex.get() {
            Some(regex) => regex.as_deref().ok_or(LimitExceeded),
            None => self.build(),
        }
    }

    /// Knows the groups as PCRE has them, where the automaton does not. Within its budget its answer counts.
    pub(super) fn exact(&self) -> Option<&Program> {
        if !self.is_inexact {
            return None;
        }
        if let Some(exact) = self.exact.get() {
            return exact.as_deref();
        }
        let compile = |syntax: Syntax| backtrack::compile(&syntax.root, syntax.groups).ok();
        let _ = self.exact.set(self.syntax().and_then(compile).map(Box::new));
        self.exact.get()?.as_deref()
    }

    /// Searches long values, where that is better done in another way than for short ones.
    #[inline]
    pub(super) fn long(&self) -> Option<&LongSearch> {
        match self.long.get() {
            Some(search) => search.as_deref(),
            None => self.build_long(),
        }
    }

    #[cold]
    fn build_long(&self) -> Option<&LongSearch> {
        let build = |syntax: Syntax| {
            if automaton::is_at_end(&syntax.root) {
                return None;
            }
            let dfa = automaton::compile_forward(&syntax.root)?;
            Some(Box::new(LongSearch::new(dfa, starts::misfits(&syntax.root))))
        };
        let _ = self.long.set(self.syntax().and_then(build));
        self.long.get()?.as_deref()
    }

    /// Threads that come at the same time each build it, and the first one's stays: none waits for another, which
    /// may have less to say about when it runs.
    #[cold]
    fn build(&self) -> Result<&meta::Regex, LimitExceeded> {
        let compile = |syntax: Syntax| automaton::compile(&syntax.root).ok();
        let _ = self.regex.set(self.syntax().and_then(compile).map(Box::new));
        self.regex.get().and_then(Option::as_deref).ok_or(LimitExceeded)
    }

    fn syntax(&self) -> Option<Syntax> {
        parse::parse(&self.text, self.flags).ok()
    }
}

/// Bytes that the states of an automaton take, at most: of one direction, and before they are joined.
fn size(node: &Node) -> usize {
    const STATE: usize = 64;
    match node {
        Node::Empty | Node::Anchor(_) | Node::Around { .. } | Node::BackReference { .. } => STATE,
        Node::Set(set) => STATE + 16 * set.range_count(),
        Node::Concat(nodes) | Node::Alternate(nodes) => {
            nodes.iter().map(|node| 16 + size(node)).fold(STATE, usize::saturating_add)
        }
        Node::Group(_, node) | Node::Atomic(node) => size(node).saturating_add(2 * STATE),
        Node::Repeat { node, min, max, .. } => {
            let copies = max.unwrap_or(*min).max(*min).saturating_add(1) as usize;
            size(node).saturating_add(2 * STATE).saturating_mul(copies)
        }
    }
}
