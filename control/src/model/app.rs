//! An app as the store knows it.

use hop3_runtimes::names::{AppName, ReleaseNumber};
use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::failure::Failure;

/// One app: its name, whether it should run, and which release counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// When it was created.
    pub created: Timestamp,
    /// What the operator wants.
    pub desired: Desired,
    /// The release that serves, once one was deployed.
    pub current: Option<ReleaseNumber>,
    /// The highest number given out, so that a failed release's number is never used again.
    pub last_release: Option<ReleaseNumber>,
    /// The newest version of its configuration; 0 before the first.
    pub config_version: u64,
}

/// What the operator wants of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Desired {
    /// It should serve, also after a restart of the server.
    Running,
    /// It was stopped on purpose.
    Stopped,
}

impl App {
    /// A new app without a release.
    pub fn new(name: AppName, now: Timestamp) -> App {
        App {
            name,
            created: now,
            desired: Desired::Running,
            current: None,
            last_release: None,
            config_version: 0,
        }
    }

    /// The number the next release gets.
    pub fn next_release(&self) -> ReleaseNumber {
        ReleaseNumber(self.last_release.map_or(1, |last| last.0.saturating_add(1)))
    }
}

/// Reads an app's name, as typed on the command line or in a URL.
///
/// # Errors
/// A usage failure that says what a name looks like.
pub fn parse_app_name(text: &str) -> Result<AppName, Failure> {
    AppName::new(text).map_err(|error| {
        Failure::usage(format!("`{text}` is not an app name"))
            .because(&error)
            .hint("use 1 to 63 of `a-z`, `0-9` and `-`, beginning with a letter, e.g. `my-app`")
    })
}
