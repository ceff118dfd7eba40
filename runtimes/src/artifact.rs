//! What a build leaves behind and a runtime starts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A built release on disk. Its paths are absolute: the folder must not be moved after the build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What it is.
    pub kind: ArtifactKind,
    /// Which builder made it, e.g. `python`.
    pub builder: String,
    /// The folder that processes start in.
    pub root: PathBuf,
    /// Folders in front of `PATH`, first to last.
    pub path: Vec<PathBuf>,
    /// Variables that the artifact needs (e.g. `VIRTUAL_ENV`); configuration of the app overrides them.
    pub env: BTreeMap<String, String>,
}

/// Kinds of artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum ArtifactKind {
    /// A Python virtual environment beside the source.
    Virtualenv {
        /// Its folder.
        folder: PathBuf,
    },
    /// Files to serve, no process.
    Static {
        /// The folder whose content is the site.
        site: PathBuf,
    },
    /// The source with the app's own commands run in it.
    Plain,
}

impl Artifact {
    /// The folder that the build was given: its parent belongs to the server, everything in it to the app.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.root.parent().unwrap_or(&self.root)
    }
}

impl ArtifactKind {
    /// The kind's word in messages: `virtualenv`, `static`, `plain`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Virtualenv { .. } => "virtualenv",
            Self::Static { .. } => "static",
            Self::Plain => "plain",
        }
    }
}

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (kind: {})", self.root.display(), self.kind.word())
    }
}
