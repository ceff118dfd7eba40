//! The instances of all apps: a thin layer over the supervisor that knows how a release becomes launch specifications.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use hop3_runtimes::app_user::AppUser;
use hop3_runtimes::environment::HostEnvironment;
use hop3_runtimes::instance::{Endpoint, InstanceId};
use hop3_runtimes::launch::{LaunchSpec, RestartPolicy};
use hop3_runtimes::manifest::ProcessCommand;
use hop3_runtimes::runtime::{ProcessRuntime, StaticRuntime};
use hop3_runtimes::supervisor::event::{Phase, SlotState, StartFailure};
use hop3_runtimes::supervisor::{Options, Supervisor, SupervisorError};

use super::locked;
use crate::api::wire::{AppStatus, InstanceDetails};
use crate::data::DataDir;
use crate::model::{AppName, Release, ReleaseNumber};

/// Supervised instances.
#[derive(Debug)]
pub struct Fleet {
    supervisor: Supervisor,
    process: ProcessRuntime,
    host: HostEnvironment,
    user: Option<AppUser>,
    owner: String,
    /// Instances that get no new requests because they are about to be stopped.
    retiring: Mutex<HashSet<InstanceId>>,
}

/// What a release needs to be launched, besides itself.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The app.
    pub app: &'a AppName,
    /// The release.
    pub release: &'a Release,
    /// Complete variables; they hold secrets.
    pub variables: &'a BTreeMap<String, String>,
    /// `HOP3_PUBLIC_URL`.
    pub public_url: Option<String>,
    /// Which of the process's slots: 1, or 2 while slot 1 is taken by the instance to be replaced.
    pub index: u32,
    /// Whether the release has worked before.
    pub proven: bool,
}

impl Fleet {
    /// Without instances. `owner` tells this server's processes from another's.
    pub fn new(owner: String) -> Fleet {
        let host = HostEnvironment::read();
        let process = ProcessRuntime::new(host.clone());
        let runtimes: Vec<std::sync::Arc<dyn hop3_runtimes::runtime::Runtime>> =
            vec![std::sync::Arc::new(process.clone()), std::sync::Arc::new(StaticRuntime)];
        Fleet {
            supervisor: Supervisor::new(runtimes, Options::default()),
            process,
            host,
            user: AppUser::detect(),
            owner,
            retiring: Mutex::default(),
        }
    }

    /// The supervisor itself.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// The runtime that runs commands of apps.
    pub fn process_runtime(&self) -> &ProcessRuntime {
        &self.process
    }

    /// The server's environment, as builds see it.
    pub fn host(&self) -> &HostEnvironment {
        &self.host
    }

    /// Whom apps run as.
    pub fn user(&self) -> Option<&AppUser> {
        self.user.as_ref()
    }

    /// The mark of this server's processes.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// How each process of a release is started; empty without an artifact.
    pub fn specifications(&self, launch: &Launch<'_>, data: &DataDir) -> Vec<LaunchSpec> {
        let Some(artifact) = &launch.release.artifact else { return Vec::new() };
        let manifest = &launch.release.manifest;
        let mut processes = manifest.run.processes.clone();
        if let hop3_runtimes::artifact::ArtifactKind::Static { site } = &artifact.kind {
            // Of a static site only the files are served, whatever else its Procfile says.
            processes.clear();
            processes.insert(hop3_runtimes::names::ProcessName::web(), ProcessCommand::Static(site.clone()));
        }
        let specification = |(process, command)| LaunchSpec {
            id: InstanceId {
                app: launch.app.clone(),
                release: launch.release.number,
                process,
                index: launch.index,
            },
            owner: self.owner.clone(),
            artifact: artifact.clone(),
            command,
            config: launch.variables.clone(),
            public_url: launch.public_url.clone(),
            home: home(data, launch.app),
            log_dir: log_dir(data, launch.app),
            user: self.user.clone(),
            health_check: manifest.health_check.clone(),
            start_timeout: manifest.run.start_timeout,
            stop_timeout: manifest.run.stop_timeout,
            restart: if launch.proven { RestartPolicy::Always } else { RestartPolicy::OnceHealthy },
        };
        processes.into_iter().map(specification).collect()
    }

    /// All slots of an app, in order.
    pub fn of(&self, app: &AppName) -> Vec<(InstanceId, SlotState)> {
        let mut all = self.supervisor.states();
        all.retain(|(id, _)| id.app == *app);
        all
    }

    /// The slot that new instances of a release take: the one its present instances do not have.
    pub fn free_index(&self, app: &AppName, release: ReleaseNumber) -> u32 {
        let taken = self
            .of(app)
            .iter()
            .any(|(id, state)| id.release == release && id.index == 1 && !state.phase.is_final());
        if taken { 2 } else { 1 }
    }

    /// Where a release's `web` instances answer: the healthy ones, else those that run at all.
    pub fn endpoints(&self, app: &AppName, release: ReleaseNumber) -> Vec<Endpoint> {
        let retiring = locked(&self.retiring);
        let web: Vec<_> = self
            .of(app)
            .into_iter()
            .filter(|(id, _)| id.release == release && id.process.is_web() && !retiring.contains(id))
            .collect();
        let with = |wanted: &[Phase]| -> Vec<Endpoint> {
            let chosen = web.iter().filter(|(_, state)| wanted.contains(&state.phase));
            chosen.filter_map(|(_, state)| Some(state.record.as_ref()?.endpoint.clone())).collect()
        };
        let healthy = with(&[Phase::Healthy]);
        if healthy.is_empty() { with(&[Phase::Unhealthy]) } else { healthy }
    }

    /// Takes instances out of `endpoints` for good; they are about to be stopped.
    pub fn retire(&self, ids: &[InstanceId]) {
        locked(&self.retiring).extend(ids.iter().cloned());
    }

    /// Where instances listen.
    pub fn addresses(&self, ids: &[InstanceId]) -> Vec<SocketAddr> {
        ids.iter().filter_map(|id| self.supervisor.state(id)?.record?.endpoint.address()).collect()
    }

    /// Waits until every one of `ids` is healthy; the longest time it took.
    ///
    /// # Errors
    /// The first that failed.
    pub async fn all_healthy(&self, ids: &[InstanceId]) -> Result<Duration, (InstanceId, StartFailure)> {
        let mut longest = Duration::ZERO;
        for id in ids {
            match self.supervisor.wait_healthy(id).await {
                Ok(after) => longest = longest.max(after),
                Err(failure) => return Err((id.clone(), failure)),
            }
        }
        Ok(longest)
    }

    /// Ends instances, all at once. What cannot be ended is reported and stays in its slot.
    pub async fn stop(&self, ids: &[InstanceId]) {
        let mut stops = tokio::task::JoinSet::new();
        for id in ids {
            let (supervisor, id) = (self.supervisor.clone(), id.clone());
            stops.spawn(async move {
                match supervisor.stop(&id).await {
                    Ok(()) | Err(SupervisorError::Unknown { .. }) => {}
                    Err(error) => tracing::error!(instance = %id, %error, "an instance could not be stopped"),
                }
            });
        }
        stops.join_all().await;
        let mut retiring = locked(&self.retiring);
        for id in ids {
            retiring.remove(id);
        }
    }

    /// What an app's instances of `release` amount to, and why when they fail.
    pub fn status(&self, app: &AppName, release: ReleaseNumber) -> (AppStatus, Option<String>) {
        let states: Vec<_> = self.of(app).into_iter().filter(|(id, _)| id.release == release).collect();
        if states.is_empty() {
            return (AppStatus::Failed, Some("no instance runs".into()));
        }
        for (id, state) in &states {
            let why = || {
                let exit = state.last_exit.map(|exit| exit.to_string());
                let answer = state.last_answer.as_ref().map(ToString::to_string);
                state.problem.clone().or(exit).or(answer)
            };
            let verb = match state.phase {
                Phase::Waiting => "crashed and will be started again",
                Phase::Failed => "failed",
                Phase::Unhealthy => "does not answer as it should",
                _ => continue,
            };
            let because = why().map(|why| format!(": {why}")).unwrap_or_default();
            return (AppStatus::Failed, Some(format!("{} {verb}{because}", id.log_name())));
        }
        let starting = states.iter().any(|(_, state)| state.phase == Phase::Starting);
        (if starting { AppStatus::Starting } else { AppStatus::Running }, None)
    }

    /// What is shown of an app's instances; those of other releases than `current` say so.
    pub fn details(&self, app: &AppName, current: Option<ReleaseNumber>) -> Vec<InstanceDetails> {
        let retiring = locked(&self.retiring).clone();
        let shown = |(id, state): (InstanceId, SlotState)| InstanceDetails {
            name: match current {
                Some(current) if current == id.release => id.log_name(),
                _ => format!("{} of {}", id.log_name(), id.release),
            },
            state: if retiring.contains(&id) { "draining" } else { word(state.phase) }.to_owned(),
            pid: state
                .record
                .as_ref()
                .and_then(|record| record.leader.as_ref())
                .and_then(|leader| u32::try_from(leader.pid).ok()),
            address: state
                .record
                .as_ref()
                .and_then(|record| record.endpoint.address())
                .map(|address| address.to_string()),
            restarts: u64::from(state.restarts),
        };
        self.of(app).into_iter().map(shown).collect()
    }
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Healthy => "healthy",
        Phase::Unhealthy => "unhealthy",
        Phase::Waiting => "backing off",
        Phase::Failed => "failed",
        Phase::Stopping => "stopping",
        Phase::Stopped => "stopped",
    }
}

/// `HOME` of an app; outlives releases.
pub fn home(data: &DataDir, app: &AppName) -> PathBuf {
    data.app(app).join("data")
}

/// Where an app's instances write.
pub fn log_dir(data: &DataDir, app: &AppName) -> PathBuf {
    data.app(app).join("logs")
}
