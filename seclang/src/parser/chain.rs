//! Chains: links join their head, and nothing may come between them.

use super::Parser;
use crate::ast::{DirectiveKind, Link, Rule};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// The chain that is being read in one file.
#[derive(Default)]
pub(super) struct Chain {
    /// The head with the links so far, and where the last `chain` stands.
    open: Option<(Rule, Span)>,
    /// The head was wrong: its links are read for their errors only.
    broken: bool,
}

impl Chain {
    /// Whether the next rule is a link.
    pub fn is_open(&self) -> bool {
        self.open.is_some() || self.broken
    }

    /// Opens a chain whose head cannot be used.
    pub fn break_off(&mut self) {
        self.open = None;
        self.broken = true;
    }
}

impl Parser<'_> {
    /// Takes a head; `goes_on` is the place of its `chain`.
    pub(super) fn head(&mut self, chain: &mut Chain, rule: Rule, goes_on: Option<Span>) {
        match goes_on {
            Some(span) => chain.open = Some((rule, span)),
            None => self.emit(rule.span, DirectiveKind::Rule(rule.into())),
        }
    }

    /// Takes a link, or `None` when it was wrong.
    pub(super) fn link(&mut self, chain: &mut Chain, link: Option<Link>, goes_on: Option<Span>) {
        let Some((mut rule, _)) = chain.open.take() else {
            chain.broken = goes_on.is_some();
            return;
        };
        let Some(link) = link else {
            chain.broken = goes_on.is_some();
            return;
        };
        rule.links.push(link);
        self.head(chain, rule, goes_on);
    }

    /// Complains about a chain that has no end.
    pub(super) fn unfinished(&mut self, chain: &mut Chain) {
        chain.broken = false;
        if let Some((rule, span)) = chain.open.take() {
            let at = rule.links.last().map_or(rule.span, |link| link.span);
            self.report_strict(
                Diagnostic::error(span, "the chain is not finished: a SecRule or SecAction must follow")
                    .label(Span { end: at.start + 1, ..at }, "the last rule of the chain")
                    .hint("add the missing rule right after it, or remove `chain`"),
            );
        }
    }
}
