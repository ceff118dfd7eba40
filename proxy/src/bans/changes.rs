//! Which bans changed since somebody last asked, in bounded memory.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::prefix::Prefix;

/// Most changes that are remembered one by one.
const MOST: usize = 16_384;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These: each has a ban now, or has none any more.
    These(Vec<Prefix>),
    /// Too many to name.
    All,
}

/// Remembers what changed.
#[derive(Debug)]
pub(super) struct Changed {
    /// `None` when there were too many.
    prefixes: Mutex<Option<HashSet<Prefix>>>,
    notify: Notify,
}

impl Default for Changed {
    fn default() -> Self {
        Self { prefixes: Mutex::new(Some(HashSet::new())), notify: Notify::new() }
    }
}

impl Changed {
    /// A change.
    pub(super) fn note(&self, prefix: &Prefix) {
        let mut noted = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        match noted.as_mut() {
            Some(prefixes) if prefixes.len() < MOST => {
                prefixes.insert(*prefix);
            }
            _ => *noted = None,
        }
        drop(noted);
        self.notify.notify_one();
    }

    /// Everything is to be kept again.
    pub(super) fn note_all(&self) {
        *self.prefixes.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.notify.notify_one();
    }

    /// All since the last call.
    pub(super) fn take(&self) -> Changes {
        let mut noted = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        match noted.replace(HashSet::new()) {
            Some(prefixes) => Changes::These(prefixes.into_iter().collect()),
            None => Changes::All,
        }
    }

    /// Waits for a change.
    pub(super) async fn wait(&self) {
        self.notify.notified().await;
    }
}
