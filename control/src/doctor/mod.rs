//! `hop3 doctor`: whether machine, settings and server are in order, line by line with cause and next step.
//!
//! Owns the checks, each a function from facts to [`Finding`]s, and looking the facts up. Those of a running server come
//! from its API (`control::doctor`); all others need no server. Nothing is changed by looking.

pub mod certificates;
pub mod clock;
pub mod machine;
pub mod names;
pub mod ports;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In order.
    Ok,
    /// It works, and something about it is not as it should be.
    Warn,
    /// It does not work, or will not.
    Fail,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at: `ports`, `names`, `certificates`, `clock`, `limits`, …
    pub check: String,
    /// How it is.
    pub state: State,
    /// What was found.
    pub message: String,
    /// Why, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// `doctor`: all findings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// In the order of the checks.
    pub findings: Vec<Finding>,
    /// How many are [`State::Ok`].
    pub ok: usize,
    /// How many are [`State::Warn`].
    pub warnings: usize,
    /// How many are [`State::Fail`].
    pub failures: usize,
}

impl Finding {
    /// In order.
    pub fn ok(check: &str, message: impl Into<String>) -> Finding {
        Finding {
            check: check.to_owned(),
            state: State::Ok,
            message: message.into(),
            cause: None,
            hint: None,
        }
    }

    /// Not as it should be.
    pub fn warn(check: &str, message: impl Into<String>) -> Finding {
        Finding { state: State::Warn, ..Finding::ok(check, message) }
    }

    /// Broken.
    pub fn fail(check: &str, message: impl Into<String>) -> Finding {
        Finding { state: State::Fail, ..Finding::ok(check, message) }
    }

    /// The same as what somebody else had to say.
    pub fn of(check: &str, state: State, failure: Failure) -> Finding {
        Finding { state, cause: failure.cause, hint: failure.hint, ..Finding::ok(check, failure.message) }
    }

    /// Adds why.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Finding {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Finding {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Vec<Finding>> for Diagnosis {
    fn from(findings: Vec<Finding>) -> Diagnosis {
        let count = |state| findings.iter().filter(|finding| finding.state == state).count();
        let (ok, warnings, failures) = (count(State::Ok), count(State::Warn), count(State::Fail));
        Diagnosis { findings, ok, warnings, failures }
    }
}
