//! Patterns and phrase lists, each compiled once however often it is used.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::operators::PhraseSet;
use crate::regex::{Flags, Pattern, PatternError};

/// Most threads that compile.
const MOST_THREADS: usize = 8;

/// What was compiled so far.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    patterns: HashMap<(Vec<u8>, Flags), Arc<Pattern>>,
    phrases: HashMap<Vec<Vec<u8>>, Arc<PhraseSet>>,
}

impl Patterns {
    /// The pattern, compiled now or before.
    pub(super) fn pattern(&mut self, text: &[u8], flags: Flags) -> Result<Arc<Pattern>, PatternError> {
        if let Some(known) = self.patterns.get(&(text.to_vec(), flags)) {
            return Ok(known.clone());
        }
        let pattern = Arc::new(Pattern::new(text, flags)?);
        self.patterns.insert((text.to_vec(), flags), pattern.clone());
        Ok(pattern)
    }

    /// Compiles many patterns at once, on all processors; those that cannot be
    /// compiled are left to [`Patterns::pattern`], which says why.
    pub(super) fn compile_all(&mut self, texts: Vec<(Vec<u8>, Flags)>) {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some((text, flags)) = texts.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Ok(pattern) = Pattern::new(text, *flags) {
                    done.push(((text.clone(), *flags), Arc::new(pattern)));
                }
            }
            done
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            self.patterns.extend(work());
            // What a helper that panicked did not deliver is compiled when it is asked for.
            helpers.into_iter().for_each(|helper| self.patterns.extend(helper.join().unwrap_or_default()));
        });
    }

    /// The phrases, prepared now or before.
    pub(super) fn phrases(&mut self, phrases: Vec<Vec<u8>>) -> Result<Arc<PhraseSet>, String> {
        if let Some(known) = self.phrases.get(&phrases) {
            return Ok(known.clone());
        }
        let set = Arc::new(PhraseSet::new(phrases.iter().cloned())?);
        self.phrases.insert(phrases, set.clone());
        Ok(set)
    }
}
