//! The steps that were started: whose they are, and what they led to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use crate::model::Timestamp;

/// How long an owner waits after what became of its order could not be kept: the disk is full, or the store is away.
const UNKEPT_PAUSE: Duration = Duration::from_secs(300);

/// What the steps that were started led to.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    pub(super) tasks: JoinSet<(String, Outcome)>,
    pub(super) busy: BTreeSet<String>,
    /// Until when an owner waits, in memory: it is for when nothing can be written.
    pub(super) pauses: BTreeMap<String, Timestamp>,
}

/// What a step led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The certificate is another one.
    Changed,
    /// It is the same.
    Same,
    /// What happened could not be written down.
    Unkept,
}

impl UnderWay {
    /// Notes that a step has ended; whose certificate is another one now.
    pub(super) fn ended(
        &mut self,
        done: Result<(String, Outcome), JoinError>,
        now: Timestamp,
    ) -> Option<String> {
        match done {
            Ok((owner, outcome)) => {
                self.busy.remove(&owner);
                match outcome {
                    Outcome::Unkept => drop(self.pauses.insert(owner.clone(), now.after(UNKEPT_PAUSE))),
                    Outcome::Changed | Outcome::Same => drop(self.pauses.remove(&owner)),
                }
                (outcome == Outcome::Changed).then_some(owner)
            }
            Err(error) => {
                tracing::error!(%error, "an order was lost");
                if self.tasks.is_empty() {
                    self.busy.clear();
                }
                None
            }
        }
    }
}
