//! Patterns and phrase lists, each prepared once however often it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::operators::PhraseSet;
use crate::parts::Parts;
use crate::regex::{Flags, Pattern, PatternError};

/// Most threads that prepare.
const MOST_THREADS: usize = 8;

/// What was prepared so far for one ruleset, and what others share with it.
#[derive(Debug)]
pub(super) struct Patterns<'p> {
    parts: &'p Parts,
    /// Prepared ahead; kept until the rules that use them have taken them.
    ahead: Vec<Arc<Pattern>>,
}

impl<'p> Patterns<'p> {
    pub(super) fn new(parts: &'p Parts) -> Self {
        Self { parts, ahead: Vec::new() }
    }

    /// What all rulesets share.
    pub(super) fn parts(&self) -> &'p Parts {
        self.parts
    }

    /// The pattern, prepared now or before.
    pub(super) fn pattern(&mut self, text: &[u8], flags: Flags) -> Result<Arc<Pattern>, PatternError> {
        self.parts.pattern(text, flags)
    }

    /// Prepares many patterns at once, on all processors; those that cannot be
    /// compiled are left to [`Patterns::pattern`], which says why.
    pub(super) fn prepare_all(&mut self, texts: &[(&[u8], Flags)]) {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some((text, flags)) = texts.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.extend(self.parts.pattern(text, *flags));
            }
            done
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let ahead = std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut ahead = work();
            // What a helper that panicked did not deliver is prepared when it is asked for.
            helpers.into_iter().for_each(|helper| ahead.extend(helper.join().unwrap_or_default()));
            ahead
        });
        self.ahead.extend(ahead);
    }

    /// The phrases, prepared now or before.
    pub(super) fn phrases(&mut self, phrases: Vec<Vec<u8>>) -> Result<Arc<PhraseSet>, String> {
        self.parts.phrases(phrases)
    }
}
