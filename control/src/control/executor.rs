//! Performs what [`super::phase`] decides: builds, starts, commits, drains, stops.
//!
//! The phase is stored before its effects are performed. Building and starting may be repeated or undone; committing
//! is one transaction; what comes after it only frees resources.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use hop3_runtimes::app_command::AppCommand;
use hop3_runtimes::build::log::BuildLog;
use hop3_runtimes::build::{BuildError, BuildRequest, DEFAULT_BUILD_TIMEOUT, build_app};
use hop3_runtimes::instance::InstanceId;
use hop3_runtimes::launch::LaunchSpec;
use hop3_runtimes::source_tree::SourceTree;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use super::fleet::{self, Launch};
use super::front::Front;
use super::phase::{self, Effect, Event, Phase, Terms};
use super::{Control, Reporter, Serving, environment, locked};
use crate::api::wire::Deployed;
use crate::failure::{Failure, Kind, chain};
use crate::firewall::Shield;
use crate::model::{Actor, AppName, Desired, Entry, Release, ReleaseNumber, ReleaseState, Timestamp};
use crate::store::{Durable, StoreError};

/// Between looks whether somebody waits for an app that is draining; longer than it takes to see that it is quiet.
const TICK: Duration = Duration::from_millis(300);
/// Releases whose files are kept besides the current one.
const KEPT_RELEASES: usize = 4;

/// A deployment as stored while it is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The release being deployed.
    pub release: ReleaseNumber,
    /// What was fixed at its beginning.
    pub terms: Terms,
    /// How far it is.
    pub phase: Phase,
}

/// A deployment at work.
pub(super) struct Work {
    pub(super) app: AppName,
    pub(super) actor: Actor,
    pub(super) release: Release,
    pub(super) shield: Shield,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) terms: Terms,
    pub(super) report: Reporter,
    /// Instances that were started for it.
    pub(super) new: Vec<InstanceId>,
    /// Instances it replaces.
    pub(super) old: Vec<InstanceId>,
    pub(super) healthy_after: Option<Duration>,
    /// How requests come to it, known once it is built.
    pub(super) front: Option<Arc<Front>>,
    pub(super) failure: Option<Failure>,
}

impl Control {
    /// Takes a deployment from its first phase until the new release serves, or it failed. Draining goes on behind
    /// the caller's back, with the app's lock in hand.
    pub(super) async fn execute(
        self: &Arc<Self>,
        mut work: Work,
        guard: OwnedMutexGuard<()>,
    ) -> Result<Deployed, Failure> {
        let mut next = phase::begin(&work.terms, Timestamp::now());
        loop {
            let (phase, effects) = next;
            self.store_phase(&work, phase)?;
            let mut event = None;
            for effect in effects {
                event = self.perform(effect, &mut work).await?.or(event);
            }
            match (phase, event) {
                (Phase::Failed, _) => {
                    let failure = work.failure.take();
                    return Err(failure.unwrap_or_else(|| Failure::internal("the deployment failed")));
                }
                (Phase::Live, _) => return Ok(self.deployed(&work)),
                (Phase::Draining { .. }, _) => {
                    let deployed = self.deployed(&work);
                    let control = self.clone();
                    tokio::spawn(async move { control.drain(work, phase, guard).await });
                    return Ok(deployed);
                }
                (_, Some(event)) => next = phase::step(&work.terms, phase, event, Timestamp::now()),
                (phase, None) => {
                    return Err(Failure::internal(format!("the deployment stands still in phase {phase:?}")));
                }
            }
        }
    }

    /// Waits until the old release has finished what it had begun, then stops it.
    async fn drain(self: Arc<Self>, mut work: Work, phase: Phase, guard: OwnedMutexGuard<()>) {
        // Nobody waits for this any more, and the answer ends when its last reporter is gone.
        work.report = Reporter::nobody();
        let mut stopping = self.stopping.clone();
        loop {
            let event = tokio::select! {
                () = tokio::time::sleep(TICK) => Event::Tick,
                () = self.drained(&work.old, work.terms.drain) => Event::Drained,
                _ = stopping.wait_for(|stopping| *stopping) => Event::Cancelled,
            };
            // Somebody waits for the app: the old release has to go now.
            let waited_for = Arc::strong_count(OwnedMutexGuard::mutex(&guard)) > 2;
            let event = if waited_for && event == Event::Tick { Event::Cancelled } else { event };
            let (next, effects) = phase::step(&work.terms, phase, event, Timestamp::now());
            for effect in effects {
                if let Err(failure) = self.perform(effect, &mut work).await {
                    tracing::error!(app = %work.app, message = failure.message, "draining failed");
                }
            }
            if next.is_over() {
                drop(guard);
                return;
            }
        }
    }

    async fn perform(&self, effect: Effect, work: &mut Work) -> Result<Option<Event>, Failure> {
        match effect {
            Effect::Build => Ok(Some(self.build(work).await)),
            Effect::Start => Ok(Some(self.start_new(work).await)),
            Effect::Commit => {
                self.commit(work)?;
                Ok(None)
            }
            Effect::StopOld => {
                self.fleet.stop(&work.old).await;
                tokio::task::block_in_place(|| self.prune(&work.app));
                Ok(None)
            }
            Effect::StopNew => {
                self.fleet.stop(&work.new).await;
                Ok(None)
            }
            Effect::Discard => {
                tokio::task::block_in_place(|| {
                    self.discard(&work.app, work.release.number, work.failure.as_ref())
                })?;
                Ok(None)
            }
            Effect::Forget => {
                let app = &work.app;
                self.store.note(Durable::Now, |change| change.remove_deployment(app))?;
                Ok(None)
            }
        }
    }

    async fn build(&self, work: &mut Work) -> Event {
        match self.try_build(work).await {
            Ok(()) => Event::Built,
            Err(failure) => {
                work.failure = Some(failure);
                Event::Failed
            }
        }
    }

    async fn try_build(&self, work: &mut Work) -> Result<(), Failure> {
        let folder = self.data.release(&work.app, work.release.number);
        let failed = |error: &dyn std::error::Error| {
            Failure::new(Kind::DeployFailed, format!("the build of '{}' failed", work.app)).because(error)
        };
        let home = fleet::home(&self.data, &work.app);
        fs::create_dir_all(&home).map_err(|error| failed(&error))?;
        let report = work.report.clone();
        let log = BuildLog::to_file(&folder.join("build.log")).map_err(|error| failed(&error))?.watched(
            move |line| {
                // These two are announced below, in the words of the command line.
                if !line.starts_with("-> Using builder") && !line.starts_with("-> Build successful") {
                    report.output(line);
                }
            },
        );
        let tree = SourceTree { root: folder.join("source"), manifest: work.release.manifest.clone() };
        let request = BuildRequest {
            app: work.app.clone(),
            tree,
            work: folder.join("artifact"),
            home,
            config: work.variables.clone(),
            host: self.fleet.host().clone(),
            user: self.fleet.user().cloned(),
            timeout: DEFAULT_BUILD_TIMEOUT,
        };
        let built = build_app(request, log).await.map_err(|error| build_failure(&work.app, &error))?;
        let artifact = built.artifact;
        work.report.line(format!("-> Using builder: {}", builder_name(&artifact.builder)));
        let shown = artifact.root.strip_prefix(self.data.path()).unwrap_or(&artifact.root).display();
        work.report.line(format!("-> Build successful. Artifact: {shown} (kind: {})", artifact.kind.word()));
        work.release.artifact = Some(artifact);
        let (app, release) = (&work.app, &work.release);
        self.store.note(Durable::Now, |change| change.put_release(app, release))?;
        Ok(())
    }

    async fn start_new(&self, work: &mut Work) -> Event {
        match self.try_start(work).await {
            Ok(after) => {
                work.healthy_after = Some(after);
                Event::Healthy
            }
            Err(failure) => {
                work.failure = Some(failure);
                Event::Failed
            }
        }
    }

    async fn try_start(&self, work: &mut Work) -> Result<Duration, Failure> {
        let launch = Launch {
            app: &work.app,
            release: &work.release,
            variables: &work.variables,
            public_url: self.public_url(&work.app, &work.release.manifest),
            index: self.fleet.free_index(&work.app, work.release.number),
            proven: false,
        };
        let specifications = self.fleet.specifications(&launch, &self.data);
        if specifications.is_empty() {
            return Err(Failure::new(Kind::DeployFailed, format!("app '{}' has nothing to start", work.app)));
        }
        if let Some(artifact) = &work.release.artifact {
            let runtime = hop3_runtimes::runtime::name_for(artifact);
            work.report.line(format!("-> Using runtime: '{runtime}'"));
        }
        self.run_once(work, &specifications).await?;
        // Folders and pages that the build was to make are there now, or the release must not serve.
        work.front = Some(tokio::task::block_in_place(|| self.front_of(&work.app, &work.release))?);
        for specification in specifications {
            let id = specification.id.clone();
            // Counted as started even when that fails half-way: stopping what does not run is a success.
            work.new.push(id.clone());
            self.launch(specification).await.map_err(|cause| {
                Failure::new(
                    Kind::DeployFailed,
                    format!("{} of '{}' could not be started", id.log_name(), work.app),
                )
                .cause(cause)
            })?;
        }
        self.fleet.all_healthy(&work.new).await.map_err(|(id, failure)| {
            Failure::new(
                Kind::DeployFailed,
                format!("{} of '{}' did not become healthy", id.log_name(), work.app),
            )
            .detail(failure.tail().iter().cloned())
            .cause(failure.to_string())
            .hint(self.advice(&work.app))
        })
    }

    /// Starts an instance and keeps the record by which it is found again.
    pub(super) async fn launch(&self, specification: LaunchSpec) -> Result<(), String> {
        let id = specification.id.clone();
        let record = self.fleet.supervisor().start(specification).await.map_err(|error| chain(&error))?;
        let kept = self.store.note(Durable::Now, |change| change.put_instance(&id.app, &slot(&id), &record));
        if let Err(error) = kept {
            self.fleet.stop(&[id]).await;
            return Err(chain(&error));
        }
        Ok(())
    }

    /// Commands that run before the instances: `release` once per release, `before-run` at each start.
    async fn run_once(&self, work: &Work, specifications: &[LaunchSpec]) -> Result<(), Failure> {
        let run = &work.release.manifest.run;
        let release = if work.terms.builds { run.release.as_slice() } else { &[] };
        let Some(specification) = specifications.first() else { return Ok(()) };
        for line in release.iter().chain(&run.before_run) {
            let failed = |cause: String| {
                Failure::new(Kind::DeployFailed, format!("the command `{line}` of '{}' failed", work.app))
                    .cause(cause)
            };
            let command = AppCommand::parse(line).map_err(|error| failed(error.to_string()))?;
            work.report.line(format!("-> Running: {line}"));
            let (runtime, specification) = (self.fleet.process_runtime().clone(), specification.clone());
            let (report, timeout) = (work.report.clone(), run.start_timeout.max(Duration::from_secs(600)));
            let ended = tokio::task::spawn_blocking(move || {
                let mut log = BuildLog::in_memory().watched(move |line| report.output(line));
                let result = runtime.run_command(&specification, &command, timeout, &mut log);
                result.map_err(|error| (chain(&error), log.tail()))
            });
            match ended.await {
                Ok(Ok(())) => {}
                Ok(Err((cause, tail))) => return Err(failed(cause).detail(tail)),
                Err(error) => return Err(failed(error.to_string())),
            }
        }
        Ok(())
    }

    /// The commit point: the new release becomes the current one in the store, then in the proxy.
    fn commit(&self, work: &mut Work) -> Result<(), Failure> {
        let (app, number) = (&work.app, work.release.number);
        work.release.state = ReleaseState::Current;
        let release = &work.release;
        let entry = Entry::new(&work.actor, "release:current", app).detail(number);
        tokio::task::block_in_place(|| {
            self.store.change(&entry, |change| {
                let mut stored = change.app(app)?.ok_or_else(|| {
                    StoreError::Refused(Failure::not_found(format!("there is no app '{app}' any more")))
                })?;
                if let Some(previous) = stored.current.filter(|&previous| previous != number)
                    && let Some(mut old) = change.release(app, previous)?
                {
                    old.state = ReleaseState::Superseded;
                    change.put_release(app, &old)?;
                }
                stored.current = Some(number);
                stored.desired = Desired::Running;
                change.put_app(&stored)?;
                change.put_release(app, release)
            })
        })?;
        self.fleet.retire(&work.old);
        locked(&self.deployed).insert(
            app.clone(),
            Serving {
                release: Arc::new(work.release.clone()),
                desired: Desired::Running,
                shield: Ok(work.shield.clone()),
                front: work.front.clone().ok_or_else(|| Failure::internal("[proxy] was not read")),
            },
        );
        self.publish();
        let after =
            work.healthy_after.map_or_else(|| "0".into(), |after| format!("{:.1}", after.as_secs_f64()));
        match self.public_url(app, &work.release.manifest).filter(|_| self.is_served(app)) {
            Some(url) => work.report.line(format!("-> Healthy after {after} s. App running at: {url}")),
            None => work.report.line(format!("-> Healthy after {after} s.")),
        }
        work.report.line(format!("> Deployment {number} of '{app}' finished successfully."));
        Ok(())
    }

    /// Whether an app has a route.
    fn is_served(&self, app: &AppName) -> bool {
        self.table(&self.settings.load())
            .is_ok_and(|table| table.routes().iter().any(|route| &*route.app == app.as_str()))
    }

    /// Marks a release as failed, returns to the configuration before it, and removes its artifact; its build log
    /// stays.
    pub(super) fn discard(
        &self,
        app: &AppName,
        number: ReleaseNumber,
        why: Option<&Failure>,
    ) -> Result<(), Failure> {
        let reason = why.map_or("interrupted", |failure| failure.message.as_str());
        let entry = Entry::new(&Actor::System, "release:failed", app).detail(format!("{number}: {reason}"));
        self.store.change(&entry, |change| {
            if let Some(mut release) = change.release(app, number)? {
                release.state = ReleaseState::Failed;
                release.artifact = None;
                change.put_release(app, &release)?;
                if let Some(mut app) = change.app(app)?
                    && app.config_version == release.config_version
                {
                    app.config_version = release.config_before;
                    change.put_app(&app)?;
                }
            }
            Ok(())
        })?;
        let folder = self.data.release(app, number);
        for part in ["artifact", "source"] {
            let _absent = fs::remove_dir_all(folder.join(part));
        }
        Ok(())
    }

    /// Removes the files of old releases that no kept release uses.
    fn prune(&self, app: &AppName) {
        let Ok(releases) = self.store.read().and_then(|snapshot| snapshot.releases(app)) else { return };
        let useful = |release: &&Release| release.artifact.is_some();
        let kept: Vec<ReleaseNumber> = releases
            .iter()
            .rev()
            .filter(useful)
            .take(KEPT_RELEASES + 1)
            .flat_map(|release| [release.number, release.source])
            .collect();
        for mut release in releases.iter().filter(useful).filter(|one| !kept.contains(&one.number)).cloned() {
            let folder = self.data.release(app, release.number);
            release.artifact = None;
            let noted =
                self.store.note(Durable::WithTheNextCommit, |change| change.put_release(app, &release));
            if noted.is_ok() {
                for part in ["artifact", "source"] {
                    let _absent = fs::remove_dir_all(folder.join(part));
                }
            }
        }
    }

    fn store_phase(&self, work: &Work, phase: Phase) -> Result<(), Failure> {
        if phase.is_over() {
            return Ok(());
        }
        let deployment = Deployment { release: work.release.number, terms: work.terms, phase };
        let app = &work.app;
        self.store.note(Durable::Now, |change| change.put_deployment(app, &deployment))?;
        Ok(())
    }

    fn deployed(&self, work: &Work) -> Deployed {
        Deployed {
            app: work.app.clone(),
            release: Some(work.release.number),
            url: self.public_url(&work.app, &work.release.manifest),
            healthy_after: work.healthy_after.map(|after| after.as_secs_f64()),
        }
    }

    /// What to do about an app that does not start.
    fn advice(&self, app: &AppName) -> String {
        let serving = locked(&self.deployed).contains_key(app);
        let kept = if serving { "the running release was left untouched; " } else { "" };
        format!("{kept}see `hop3 app:logs {app}`")
    }

    /// The variables a release runs with.
    pub(super) fn variables_of(
        &self,
        app: &AppName,
        release: &Release,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let config = self.store.read()?.variables(app, release.config_version)?;
        let host = self.host_names(app, &release.manifest).into_iter().next();
        environment::complete(&release.manifest, &config, host.as_deref())
    }
}

/// The key of an instance's record within its app.
pub(super) fn slot(id: &InstanceId) -> String {
    format!("{}.{}", id.release, id.log_name())
}

/// A builder as it is shown: languages are variants of the native builder.
pub(super) fn builder_name(builder: &str) -> String {
    match builder {
        "python" => "'native' (python)".to_owned(),
        "plain" => "'native' (plain)".to_owned(),
        other => format!("'{other}'"),
    }
}

fn build_failure(app: &AppName, error: &BuildError) -> Failure {
    Failure::new(Kind::DeployFailed, format!("the build of '{app}' failed"))
        .detail(error.tail().iter().cloned())
        .because(error)
        .hint(format!("the running release was left untouched; see `hop3 app:logs {app} --build`"))
}
