//! Starting artifacts: the boundary, and what every runtime shares.

pub mod process;
pub mod static_files;
mod termination;
mod wsgi;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;

use crate::artifact::{Artifact, ArtifactKind};
use crate::health::ProbeAnswer;
use crate::instance::{Exit, InstanceRecord, InstanceStats};
use crate::launch::LaunchSpec;
use crate::manifest::HealthCheck;

pub use self::process::ProcessRuntime;
pub use self::static_files::StaticRuntime;

/// Starts, probes and stops instances of some kinds of artifacts.
#[async_trait]
pub trait Runtime: fmt::Debug + Send + Sync {
    /// Identifier written in manifests, e.g. `process`. Never changes once released.
    fn name(&self) -> &'static str;

    /// Starts one instance and returns at once; whether it works is for [`Runtime::probe`] to find out.
    ///
    /// # Errors
    /// When nothing was started.
    async fn start(&self, spec: &LaunchSpec) -> Result<Running, RuntimeError>;

    /// Takes over an instance that an earlier server started; `None` when it does not run any more.
    async fn adopt(&self, record: &InstanceRecord) -> Option<Running>;

    /// Asks once whether the instance answers as it should.
    async fn probe(&self, record: &InstanceRecord, check: &HealthCheck) -> ProbeAnswer;

    /// Ends the instance and every process it left: SIGTERM, then after `patience` SIGKILL. Stopping what does not
    /// run is a success.
    ///
    /// # Errors
    /// When processes are left that cannot be killed.
    async fn stop(&self, record: &InstanceRecord, patience: Duration) -> Result<Stopped, RuntimeError>;

    /// What the instance uses now.
    async fn stats(&self, record: &InstanceRecord) -> InstanceStats;
}

/// A started or adopted instance.
pub struct Running {
    /// How to find it again.
    pub record: InstanceRecord,
    /// Resolves when the leader ends; never for instances without a process.
    pub exit: Pin<Box<dyn Future<Output = Exit> + Send>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("record", &self.record).finish_non_exhaustive()
    }
}

/// How an instance was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Whether SIGKILL was needed.
    pub killed: bool,
}

/// Why an instance could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The program cannot be executed.
    #[error("cannot start `{program}`")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The command is none.
    #[error("the command of `{process}` is empty or contains NUL")]
    Command {
        /// The process type.
        process: String,
    },
    /// A file or folder that the start needs.
    #[error("cannot open `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No port could be had.
    #[error("cannot find a free port")]
    Port(#[source] io::Error),
    /// A WSGI application without a server for it.
    #[error(
        "`wsgi: {target}` needs a WSGI server: add `gunicorn` to requirements.txt, or install uWSGI (Debian: apt \
         install uwsgi uwsgi-plugin-python3)"
    )]
    NoWsgiServer {
        /// `module:callable`.
        target: String,
    },
    /// This runtime does not start such artifacts.
    #[error("runtime `{runtime}` cannot start a {kind} artifact")]
    Unsupported {
        /// The runtime.
        runtime: &'static str,
        /// The artifact's kind.
        kind: &'static str,
    },
    /// Processes survived SIGKILL (stuck in the kernel, or not ours).
    #[error("{} processes could not be ended: {}", pids.len(), pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Survivors {
        /// Their pids.
        pids: Vec<i32>,
    },
}

/// The runtime for an artifact: `static` for sites, else `process`.
#[must_use]
pub fn name_for(artifact: &Artifact) -> &'static str {
    match artifact.kind {
        ArtifactKind::Static { .. } => "static",
        ArtifactKind::Virtualenv { .. } | ArtifactKind::Plain => "process",
    }
}
