//! From a source tree to an artifact: picks a builder by evidence and runs it.

pub mod log;
pub mod plain;
pub mod python;
pub mod static_site;
mod steps;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use self::log::BuildLog;
use crate::app_user::AppUser;
use crate::artifact::Artifact;
use crate::environment::HostEnvironment;
use crate::instance::Exit;
use crate::manifest::nearest::nearest;
use crate::names::AppName;
use crate::source_tree::{CopyError, SourceTree};

/// How long a whole build may take when the caller has no opinion.
pub const DEFAULT_BUILD_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Turns a source tree into something a runtime can start.
pub trait Builder: fmt::Debug + Send + Sync {
    /// Identifier written in manifests, e.g. `python`. Never changes once released.
    fn name(&self) -> &'static str;
    /// Whether this builder understands the tree. Reads only.
    fn detect(&self, tree: &SourceTree) -> Detection;
    /// Builds it; blocking. Repeating a build of the same tree is harmless.
    ///
    /// # Errors
    /// The step that failed, with its last lines.
    fn build(&self, request: &BuildRequest, log: &mut BuildLog) -> Result<Artifact, BuildError>;
}

/// Whether a builder understands a tree, and by which evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detection {
    /// It does, e.g. "requirements.txt found".
    Yes(String),
    /// It does not, e.g. "no requirements.txt or pyproject.toml".
    No(String),
}

/// What to build, where, and as whom.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The app, for `APP`.
    pub app: AppName,
    /// The uploaded source; only read.
    pub tree: SourceTree,
    /// The release's folder; made if absent, emptied if not. Must stay where it is afterwards.
    pub work: PathBuf,
    /// `HOME`: outlives releases, so that package caches are reused.
    pub home: PathBuf,
    /// The app's configuration; its own commands may need it.
    pub config: BTreeMap<String, String>,
    /// What of the server's environment matters.
    pub host: HostEnvironment,
    /// Whom to build as; `None` builds as the server's own user.
    pub user: Option<AppUser>,
    /// For the whole build.
    pub timeout: Duration,
}

/// What a build used and made.
#[derive(Debug)]
pub struct Built {
    /// The artifact.
    pub artifact: Artifact,
    /// Why this builder, e.g. "requirements.txt found".
    pub evidence: String,
}

/// Why there is no artifact. The release's folder may hold leftovers; the running release is untouched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// `[build] builder` names none of ours.
    #[error("there is no builder `{name}`{}", nearest.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownBuilder {
        /// As written.
        name: String,
        /// The nearest name.
        nearest: Option<&'static str>,
    },
    /// `[build] builder` names one that the product does not have yet.
    #[error("builder `{name}` is not available yet; use `auto`, `python`, `static` or `plain`")]
    NotAvailable {
        /// As written.
        name: String,
    },
    /// No builder understands the tree.
    #[error("no builder understands this folder: {}; add a Procfile or [run] start to hop3.toml", reasons.join(", "))]
    NotDetected {
        /// What each builder missed.
        reasons: Vec<String>,
    },
    /// Nothing in the manifest says what to start.
    #[error(
        "nothing to start: add `web: COMMAND` (or `wsgi: module:callable`) to a Procfile, or [run] start to hop3.toml"
    )]
    NothingToStart,
    /// A tool that the build needs is not on the machine.
    #[error("{what} is needed but was not found; {hint}")]
    MissingTool {
        /// E.g. `python3.12`.
        what: String,
        /// What to install.
        hint: String,
    },
    /// The source cannot be copied.
    #[error("cannot copy the source")]
    Copy(#[from] CopyError),
    /// The disk refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// E.g. `create`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A command failed.
    #[error("step `{step}` failed: {problem}")]
    Step {
        /// What was done, e.g. `install requirements.txt`.
        step: String,
        /// Exit code or signal in words, or why it did not start.
        problem: String,
        /// How it ended, when it was started.
        exit: Option<Exit>,
        /// The last lines it printed, oldest first.
        tail: Vec<String>,
    },
    /// The build left nothing usable.
    #[error("{0}")]
    Output(String),
    /// The build's thread ended without an answer.
    #[error("the build was interrupted")]
    Interrupted,
}

impl BuildError {
    /// The last lines that the failed step printed; empty for other errors.
    #[must_use]
    pub fn tail(&self) -> &[String] {
        match self {
            Self::Step { tail, .. } => tail,
            _ => &[],
        }
    }
}

/// All builders, in the order in which they are asked.
#[must_use]
pub fn builders() -> Vec<Box<dyn Builder>> {
    vec![
        Box::new(static_site::StaticSite::declared()),
        Box::new(python::Python),
        Box::new(static_site::StaticSite::guessed()),
        Box::new(plain::Plain),
    ]
}

/// The builder for a tree: the one that the manifest names, else the first that understands it; with the
/// evidence.
///
/// # Errors
/// When the name is unknown, or nobody understands the tree.
pub fn choose(tree: &SourceTree) -> Result<(Box<dyn Builder>, String), BuildError> {
    let mut all = builders();
    match tree.manifest.build.builder.as_deref() {
        None => {}
        Some("native" | "local") => all.retain(|builder| builder.name() != "static"),
        Some(name @ ("docker" | "nix")) => return Err(BuildError::NotAvailable { name: name.to_owned() }),
        Some(name) => {
            let found = all.into_iter().rfind(|builder| builder.name() == name);
            let evidence = "named in hop3.toml".to_owned();
            return found.map(|builder| (builder, evidence)).ok_or_else(|| BuildError::UnknownBuilder {
                name: name.to_owned(),
                nearest: nearest(name, ["auto", "native", "python", "static", "plain", "docker", "nix"]),
            });
        }
    }
    let mut reasons = Vec::new();
    for builder in all {
        match builder.detect(tree) {
            Detection::Yes(evidence) => return Ok((builder, evidence)),
            Detection::No(reason) => reasons.push(format!("{}: {reason}", builder.name())),
        }
    }
    reasons.dedup();
    Err(BuildError::NotDetected { reasons })
}

/// Chooses a builder and runs it on a blocking thread.
///
/// # Errors
/// See [`BuildError`].
pub async fn build_app(request: BuildRequest, mut log: BuildLog) -> Result<Built, BuildError> {
    let work = move || {
        let (builder, evidence) = choose(&request.tree)?;
        log.line(&format!("-> Using builder: '{}' ({evidence})", builder.name()));
        let artifact = builder.build(&request, &mut log)?;
        log.line(&format!("-> Build successful. Artifact: {artifact}"));
        Ok(Built { artifact, evidence })
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(BuildError::Interrupted))
}
