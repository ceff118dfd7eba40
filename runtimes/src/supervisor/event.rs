//! What the supervisor tells: events, states, and why a start failed.

use std::fmt;
use std::time::Duration;

use crate::health::ProbeAnswer;
use crate::instance::{Exit, InstanceId, InstanceRecord};

/// Something happened to an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceEvent {
    /// To which.
    pub id: InstanceId,
    /// What.
    pub change: Change,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A process runs, perhaps at a new address. Persist the record.
    Started {
        /// How to find it again.
        record: Box<InstanceRecord>,
        /// Whether an earlier server started it.
        adopted: bool,
    },
    /// It answers as it should; route requests to it.
    Healthy {
        /// Since the start, or since it was seen sick.
        after: Duration,
    },
    /// It does not answer as it should.
    Unhealthy {
        /// What the last probe learnt.
        answer: ProbeAnswer,
    },
    /// It ended, by itself or because it was stopped. Drop the record.
    Exited {
        /// How.
        exit: Exit,
        /// How long it lived.
        uptime: Duration,
        /// Whether it was to end.
        wanted: bool,
    },
    /// It could not be started again.
    StartFailed {
        /// Why.
        problem: String,
    },
    /// It will be started again.
    Restarting {
        /// After this wait.
        after: Duration,
    },
}

/// Where a slot is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Started, not yet healthy.
    #[default]
    Starting,
    /// Answers.
    Healthy,
    /// Runs and does not answer.
    Unhealthy,
    /// Crashed; will be started again.
    Waiting,
    /// Ended before it was ever healthy, or could not be stopped; nothing more happens by itself.
    Failed,
    /// Being stopped.
    Stopping,
    /// Stopped.
    Stopped,
}

/// A slot, seen from outside.
#[derive(Clone, Debug, Default)]
pub struct SlotState {
    /// Where it is in its life.
    pub phase: Phase,
    /// The instance, while there is one (and of the last one after a failure).
    pub record: Option<InstanceRecord>,
    /// How often it was started again.
    pub restarts: u32,
    /// How the last instance ended.
    pub last_exit: Option<Exit>,
    /// What the last probe learnt.
    pub last_answer: Option<ProbeAnswer>,
    /// How long it took to become healthy, if it is.
    pub healthy_after: Option<Duration>,
    /// Why it could not be started or stopped.
    pub problem: Option<String>,
}

/// Why an instance did not become healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartFailure {
    /// It ended.
    Exited {
        /// How.
        exit: Exit,
        /// Why it could not be started, when that was it.
        problem: Option<String>,
        /// The last lines it wrote, oldest first.
        tail: Vec<String>,
    },
    /// It ran, and did not answer as it should in time.
    Unhealthy {
        /// The time it had.
        limit: Duration,
        /// What the last probe learnt.
        answer: Option<ProbeAnswer>,
        /// The last lines it wrote, oldest first.
        tail: Vec<String>,
    },
    /// It was stopped meanwhile.
    Stopped,
}

impl Phase {
    /// Whether nothing more happens by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Failed | Self::Stopped)
    }

    /// The word in status tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::Healthy => "RUNNING",
            Self::Unhealthy => "UNHEALTHY",
            Self::Waiting => "RESTARTING",
            Self::Failed => "FAILED",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
        }
    }
}

impl StartFailure {
    /// The last lines that the instance wrote; empty when there are none.
    #[must_use]
    pub fn tail(&self) -> &[String] {
        match self {
            Self::Exited { tail, .. } | Self::Unhealthy { tail, .. } => tail,
            Self::Stopped => &[],
        }
    }
}

impl std::error::Error for StartFailure {}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { problem: Some(problem), .. } => write!(f, "it could not be started: {problem}"),
            Self::Exited { exit, .. } => write!(f, "it ended before it was healthy: {exit}"),
            Self::Unhealthy { limit, answer, .. } => {
                write!(f, "not healthy within {} s", limit.as_secs_f64())?;
                match answer {
                    Some(answer) => write!(f, "; the last probe: {answer}"),
                    None => Ok(()),
                }
            }
            Self::Stopped => f.write_str("it was stopped"),
        }
    }
}
