//! The steps that were started: whose they are, and what they led to.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use crate::model::Timestamp;

/// How long an owner waits after what became of its order could not be kept (the disk is full, or the store is away), or is
/// not known.
const UNKEPT_PAUSE: Duration = Duration::from_secs(300);

/// What the steps that were started led to.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    pub(super) tasks: JoinSet<Outcome>,
    /// Whose each task is.
    owners: HashMap<Id, String>,
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
    /// Whether something is done for this owner.
    pub(super) fn is_busy(&self, owner: &str) -> bool {
        self.owners.values().any(|busy| busy == owner)
    }

    /// Starts a step for an owner.
    pub(super) fn start(&mut self, owner: String, step: impl Future<Output = Outcome> + Send + 'static) {
        let id = self.tasks.spawn(step).id();
        self.owners.insert(id, owner);
    }

    /// Notes that a step has ended; whose certificate is another one now.
    pub(super) fn ended(&mut self, done: Result<(Id, Outcome), JoinError>, now: Timestamp) -> Option<String> {
        let (id, outcome) = match done {
            Ok((id, outcome)) => (id, Ok(outcome)),
            Err(error) => (error.id(), Err(error)),
        };
        let owner = self.owners.remove(&id)?;
        match outcome {
            Ok(Outcome::Changed) => {
                self.pauses.remove(&owner);
                return Some(owner);
            }
            Ok(Outcome::Same) => drop(self.pauses.remove(&owner)),
            Ok(Outcome::Unkept) => self.pause(owner, now),
            // What became of it is not known, and was hardly written down.
            Err(error) => {
                tracing::error!(owner, %error, "an order was lost");
                self.pause(owner, now);
            }
        }
        None
    }

    fn pause(&mut self, owner: String, now: Timestamp) {
        self.pauses.insert(owner, now.after(UNKEPT_PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_order_that_is_lost_leaves_its_owner_free_after_a_pause_whoever_else_is_busy() {
        let mut under_way = UnderWay::default();
        let now = Timestamp(1_000);
        under_way.start("slow".into(), std::future::pending());
        under_way.start("lost".into(), async { panic!("a defect") });
        assert!(under_way.is_busy("slow") && under_way.is_busy("lost"));
        let done = under_way.tasks.join_next_with_id().await.unwrap();
        assert_eq!(under_way.ended(done, now), None);
        assert!(under_way.is_busy("slow") && !under_way.is_busy("lost"));
        assert_eq!(under_way.pauses.get("lost"), Some(&now.after(UNKEPT_PAUSE)));
        for (outcome, changed) in [(Outcome::Changed, Some("lost".to_owned())), (Outcome::Same, None)] {
            under_way.start("lost".into(), async move { outcome });
            let done = under_way.tasks.join_next_with_id().await.unwrap();
            assert_eq!(under_way.ended(done, now), changed);
            assert!(under_way.is_busy("slow") && !under_way.is_busy("lost") && under_way.pauses.is_empty());
        }
    }
}
