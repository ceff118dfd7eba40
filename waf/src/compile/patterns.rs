//! Patterns and phrase lists, each compiled once however often it is used.

use std::collections::HashMap;
use std::sync::Arc;

use crate::operators::PhraseSet;
use crate::regex::{Flags, Pattern, PatternError};

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
