//! Apps as processes of the machine: one leader per instance, in a session (and control group) of its own.
//!
//! Output goes straight into the instance's log file. Nothing ties the process to the server: when the server
//! dies, the app goes on, and the next server adopts it.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Running, Runtime, RuntimeError, Stopped, termination, wsgi};
use crate::app_command::AppCommand;
use crate::artifact::ArtifactKind;
use crate::build::log::BuildLog;
use crate::cgroup::{Cgroup, Cgroups};
use crate::environment::HostEnvironment;
use crate::health::{self, ProbeAnswer};
use crate::instance::{Endpoint, Exit, InstanceRecord, InstanceStats};
use crate::job::{Job, JobError, own_session};
use crate::launch::LaunchSpec;
use crate::logs;
use crate::manifest::{HealthCheck, ProcessCommand};
use crate::ports;
use crate::process_tree::{self, ProcessIdentity};

/// The runtime `process`.
#[derive(Clone, Debug)]
pub struct ProcessRuntime {
    host: HostEnvironment,
    cgroups: Option<Cgroups>,
}

impl ProcessRuntime {
    /// With the server's environment, and control groups where the machine lets us.
    #[must_use]
    pub fn new(host: HostEnvironment) -> Self {
        Self { host, cgroups: Cgroups::detect() }
    }

    /// Without control groups, as on machines that have none.
    #[must_use]
    pub fn without_cgroups(host: HostEnvironment) -> Self {
        Self { host, cgroups: None }
    }

    /// Whether instances get a control group of their own.
    #[must_use]
    pub const fn has_cgroups(&self) -> bool {
        self.cgroups.is_some()
    }

    /// Runs a command of the app to its end in the environment of `spec`'s instance (`release`, `before-run`, `hop
    /// run`). Blocking.
    ///
    /// # Errors
    /// When it cannot start, fails, or takes longer than `timeout`; its last lines are in the log.
    pub fn run_command(
        &self,
        spec: &LaunchSpec,
        command: &AppCommand,
        timeout: Duration,
        log: &mut BuildLog,
    ) -> Result<(), JobError> {
        let environment = spec.environment(&self.host, None, None);
        let job = Job {
            argv: command.argv(),
            folder: &spec.artifact.root,
            environment: &environment,
            user: spec.user.as_ref(),
            deadline: std::time::Instant::now() + timeout,
        };
        job.run(log)
    }

    /// Ends every process of this owner whose marker is not in `known`: what a crashed server started without having
    /// persisted it. Returns the markers that were found.
    ///
    /// # Errors
    /// When some survive.
    pub async fn end_strays(
        &self,
        owner: &str,
        known: &[String],
        patience: Duration,
    ) -> Result<Vec<String>, RuntimeError> {
        let prefix = format!("{owner}/");
        let marked = tokio::task::spawn_blocking(move || process_tree::marked(&prefix)).await;
        let marked = marked.unwrap_or_default().into_iter().map(|(marker, _)| marker);
        let strays: BTreeSet<String> = marked.filter(|marker| !known.contains(marker)).collect();
        for marker in &strays {
            let Some(mut record) = stray_record(marker) else { continue };
            record.cgroup = self.cgroups.as_ref().map(|groups| groups.path_of(&group_name(marker)));
            tracing::warn!(%marker, "ending processes that an earlier server left without a record");
            termination::terminate(&record, patience).await?;
        }
        if let Some(groups) = &self.cgroups {
            groups.sweep(&group_name(&format!("{owner}/")));
        }
        Ok(strays.into_iter().collect())
    }

    fn argv(&self, spec: &LaunchSpec, port: Option<u16>) -> Result<Vec<String>, RuntimeError> {
        let process = || spec.id.process.to_string();
        match (&spec.command, port) {
            (ProcessCommand::Command(line), _) => AppCommand::parse(line)
                .map(|command| command.argv())
                .map_err(|_| RuntimeError::Command { process: process() }),
            (ProcessCommand::Wsgi(target), Some(port)) => wsgi::argv(target, spec, port, &self.host),
            (ProcessCommand::Wsgi(_), None) => Err(RuntimeError::Command { process: process() }),
            (ProcessCommand::Static(_), _) => {
                Err(RuntimeError::Unsupported { runtime: "process", kind: spec.artifact.kind.word() })
            }
        }
    }

    fn spawn(&self, spec: &LaunchSpec) -> Result<(tokio::process::Child, InstanceRecord), RuntimeError> {
        if matches!(spec.artifact.kind, ArtifactKind::Static { .. }) {
            return Err(RuntimeError::Unsupported { runtime: "process", kind: "static" });
        }
        let port = if spec.id.process.is_web() {
            Some(ports::free_port().map_err(RuntimeError::Port)?)
        } else {
            None
        };
        let argv = self.argv(spec, port)?;
        let log_path = logs::file_for(&spec.log_dir, &spec.id);
        let at_log = |source| RuntimeError::File { path: log_path.clone(), source };
        let log = logs::open(&log_path).map_err(at_log)?;
        let marker = marker(spec);
        let environment = spec.environment(&self.host, port, Some(&marker));
        let group = self.group(&marker);
        let program = argv.first().cloned().unwrap_or_default();
        let mut command = Command::new(&program);
        command.args(argv.iter().skip(1)).current_dir(&spec.artifact.root);
        command.env_clear().envs(environment.iter());
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(at_log)?).stderr(log);
        if let Some(user) = &spec.user {
            command.uid(user.uid).gid(user.gid);
        }
        own_session(&mut command);
        if let Some((_, entrance)) = &group {
            enter(&mut command, entrance).map_err(at_log)?;
        }
        logs::note(&log_path, SystemTime::now(), &format!("starting {}: {}", spec.id, argv.join(" ")));
        let child = tokio::process::Command::from(command)
            .kill_on_drop(false)
            .spawn()
            .map_err(|source| RuntimeError::Spawn { program, source })?;
        // A child that is dead already still has its line in /proc until it is waited for, as a zombie.
        let leader = child.id().map(|pid| ProcessIdentity::of_child(pid.cast_signed()));
        let record = InstanceRecord {
            id: spec.id.clone(),
            marker,
            endpoint: port.map_or(Endpoint::None, |port| Endpoint::Http(ports::loopback(port))),
            leader,
            log: Some(log_path),
            cgroup: group.map(|(group, _)| group.path().to_owned()),
        };
        Ok((child, record))
    }

    fn group(&self, marker: &str) -> Option<(Cgroup, File)> {
        let group = self.cgroups.as_ref()?.create(&group_name(marker));
        match group.and_then(|group| group.entrance().map(|entrance| (group, entrance))) {
            Ok(pair) => Some(pair),
            Err(error) => {
                tracing::warn!(%error, "cannot make a control group; going on without");
                None
            }
        }
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    fn name(&self) -> &'static str {
        "process"
    }

    async fn start(&self, spec: &LaunchSpec) -> Result<Running, RuntimeError> {
        let (mut child, record) = self.spawn(spec)?;
        let exit = Box::pin(async move { child.wait().await.map_or(Exit::Unknown, Exit::from) });
        Ok(Running { record, exit })
    }

    async fn adopt(&self, record: &InstanceRecord) -> Option<Running> {
        let leader = record.leader.clone()?;
        let handle = leader.open()?;
        let exit = Box::pin(async move {
            // A pidfd becomes readable when its process ends (pidfd_open(2)); only a parent learns how it ended.
            // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, and nothing else closes it.
            #[expect(unsafe_code, reason = "see SAFETY")]
            let waiter = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) };
            if let Ok(handle) = waiter {
                let _ready = handle.readable().await;
            }
            // Also right when the handle could not be waited for: never call a living process ended.
            while leader.is_alive() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Exit::Unknown
        });
        Some(Running { record: record.clone(), exit })
    }

    async fn probe(&self, record: &InstanceRecord, check: &HealthCheck) -> ProbeAnswer {
        match record.endpoint.address() {
            Some(address) => health::probe(address, "localhost", check).await,
            None if record.leader.as_ref().is_some_and(ProcessIdentity::is_alive) => ProbeAnswer::Healthy(0),
            None => ProbeAnswer::Broken("the process has ended".to_owned()),
        }
    }

    async fn stop(&self, record: &InstanceRecord, patience: Duration) -> Result<Stopped, RuntimeError> {
        let stopped = termination::terminate(record, patience).await?;
        if let Some(log) = &record.log {
            let how = if stopped.killed { "killed, it did not end by itself" } else { "stopped" };
            logs::note(log, SystemTime::now(), &format!("{} {how}", record.id));
        }
        Ok(stopped)
    }

    async fn stats(&self, record: &InstanceRecord) -> InstanceStats {
        let record = record.clone();
        let all = tokio::task::spawn_blocking(move || termination::of(&record)).await.unwrap_or_default();
        let ticks: u64 = all.iter().map(|entry| entry.cpu_ticks).sum();
        let pages: u64 = all.iter().map(|entry| entry.resident_pages).sum();
        InstanceStats {
            processes: u32::try_from(all.len()).unwrap_or(u32::MAX),
            memory: pages * rustix::param::page_size() as u64,
            cpu: Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64),
        }
    }
}

/// `OWNER/APP/vN.TYPE.I/RANDOM`: says whose it is, and is new with every start.
fn marker(spec: &LaunchSpec) -> String {
    let mut random = [0; 8];
    // Without randomness the start time still tells starts apart; the marker is no secret.
    if getrandom::fill(&mut random).is_err() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        random = (now.as_nanos() as u64).to_le_bytes();
    }
    format!("{}/{}/{:016x}", spec.owner, spec.id, u64::from_le_bytes(random))
}

/// Makes the command enter a control group before it executes anything.
fn enter(command: &mut Command, entrance: &File) -> std::io::Result<()> {
    let entrance = entrance.try_clone()?;
    // SAFETY: the closure runs between fork and exec and only makes a write(2) to an open descriptor, which is
    // async-signal-safe, allocates nothing and takes no lock. Its result is ignored: the group is optional.
    #[expect(unsafe_code, reason = "see SAFETY")]
    unsafe {
        command.pre_exec(move || {
            let _entered = rustix::io::write(&entrance, b"0");
            Ok(())
        });
    }
    Ok(())
}

/// A marker as the name of a control group.
fn group_name(marker: &str) -> String {
    marker.replace('/', "_")
}

fn stray_record(marker: &str) -> Option<InstanceRecord> {
    use crate::names::{AppName, ProcessName};
    let mut parts = marker.split('/').skip(1);
    let app = AppName::new(parts.next()?).ok()?;
    let mut slot = parts.next()?.splitn(2, '.');
    let release = slot.next()?.parse().ok()?;
    let (process, index) = slot.next()?.rsplit_once('.')?;
    let id = crate::instance::InstanceId {
        app,
        release,
        process: ProcessName::new(process).ok()?,
        index: index.parse().ok()?,
    };
    let marker = marker.to_owned();
    Some(InstanceRecord { id, marker, endpoint: Endpoint::None, leader: None, log: None, cgroup: None })
}
