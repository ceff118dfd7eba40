//! Releases: what an app was at one moment, immutable, numbered per app.

use std::fmt;

use hop3_runtimes::artifact::Artifact;
use hop3_runtimes::manifest::Manifest;
use hop3_runtimes::names::ReleaseNumber;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One release as stored. Nothing of it changes after its build, except for [`Release::state`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its number.
    pub number: ReleaseNumber,
    /// When the deployment began.
    pub created: Timestamp,
    /// The configuration it runs with.
    pub config_version: u64,
    /// The configuration that holds again if its deployment fails.
    #[serde(default)]
    pub config_before: u64,
    /// The release whose source and artifact it uses: itself, or an earlier one after a change of
    /// configuration or a rollback.
    pub source: ReleaseNumber,
    /// SHA-256 of the packed source, in hexadecimal.
    pub digest: String,
    /// What the app says about itself.
    pub manifest: Manifest,
    /// What was built; `None` until the build succeeded.
    pub artifact: Option<Artifact>,
    /// What became of it.
    pub state: ReleaseState,
    /// Why it exists: `deploy`, `config:set A B`, `rollback to v2`. Names only, never values.
    pub reason: String,
}

/// What became of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseState {
    /// Its deployment is under way.
    Pending,
    /// It serves, or would when the app is started.
    Current,
    /// A later release took its place.
    Superseded,
    /// Its deployment failed.
    Failed,
}

impl fmt::Display for ReleaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReleaseState::Pending => "pending",
            ReleaseState::Current => "current",
            ReleaseState::Superseded => "superseded",
            ReleaseState::Failed => "failed",
        })
    }
}
