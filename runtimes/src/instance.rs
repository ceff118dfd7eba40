//! Instances: which one, where it answers, and the record by which it is found again.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::names::{AppName, ProcessName, ReleaseNumber};
use crate::process_tree::ProcessIdentity;

/// One slot: the n-th process of a type of a release of an app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId {
    /// The app.
    pub app: AppName,
    /// Its release.
    pub release: ReleaseNumber,
    /// The process type.
    pub process: ProcessName,
    /// From 1.
    pub index: u32,
}

/// Where an instance is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// HTTP/1.1 on a TCP address.
    Http(SocketAddr),
    /// A folder to serve files from.
    Folder(PathBuf),
    /// Nowhere: a worker.
    None,
}

/// What must be known to find, probe and stop an instance again after the server died. The caller persists it
/// with each `Started` event and drops it with each `Exited`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// Which slot.
    pub id: InstanceId,
    /// The marker that all its processes carry; unique per start.
    pub marker: String,
    /// Where it answers.
    pub endpoint: Endpoint,
    /// The leader; `None` for instances without a process.
    pub leader: Option<ProcessIdentity>,
    /// Where its output goes.
    pub log: Option<PathBuf>,
    /// Its control group, where there is one.
    pub cgroup: Option<PathBuf>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Unseen: it was adopted, and only a parent is told.
    Unknown,
}

/// What an instance uses right now, all its processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStats {
    /// Living processes.
    pub processes: u32,
    /// Resident memory in bytes; shared pages count once per process.
    pub memory: u64,
    /// Processor time of the living processes.
    pub cpu: Duration,
}

impl InstanceId {
    /// The name in logs, e.g. `web.1`.
    #[must_use]
    pub fn log_name(&self) -> String {
        format!("{}.{}", self.process, self.index)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}.{}", self.app, self.release, self.process, self.index)
    }
}

impl Endpoint {
    /// The TCP address, if it has one.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Http(address) => Some(*address),
            Self::Folder(_) | Self::None => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}{}", signal_name(*signal)),
            Self::Unknown => f.write_str("unknown exit"),
        }
    }
}

impl From<std::process::ExitStatus> for Exit {
    fn from(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

/// The signals that end processes often enough to deserve their name (signal(7)).
fn signal_name(signal: i32) -> &'static str {
    match signal {
        2 => " (SIGINT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL, perhaps out of memory)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        31 => " (SIGSYS)",
        _ => "",
    }
}
