//! `@rx` whose pattern has macros: compiled when their values are known.

use std::sync::{Arc, Mutex, PoisonError};

use crate::regex::{Flags, LimitExceeded, Pattern};
use crate::template::Template;

/// Longest pattern, in bytes: what a request puts into it must not make it arbitrarily large.
const PATTERN_LIMIT: usize = 4096;

/// A pattern with macros.
#[derive(Debug)]
pub(crate) struct RxTemplate {
    /// The pattern as written.
    pub(crate) pattern: Template,
    flags: Flags,
    /// What was compiled last: macros mostly expand to the same text again.
    last: Mutex<Option<(Vec<u8>, Arc<Pattern>)>>,
}

impl RxTemplate {
    pub(crate) fn new(pattern: Template, flags: Flags) -> Self {
        Self { pattern, flags, last: Mutex::default() }
    }

    /// The pattern for an expansion. One that cannot be compiled gives no answer.
    pub(super) fn compiled(&self, expansion: &[u8]) -> Result<Arc<Pattern>, LimitExceeded> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, pattern)) = &*last
            && known == expansion
        {
            return Ok(pattern.clone());
        }
        if expansion.len() > PATTERN_LIMIT {
            return Err(LimitExceeded);
        }
        let pattern = Arc::new(Pattern::new(expansion, self.flags).map_err(|_| LimitExceeded)?);
        *last = Some((expansion.to_vec(), pattern.clone()));
        Ok(pattern)
    }
}
