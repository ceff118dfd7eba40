//! After a start of the server: finish or undo what was under way, find living instances again, start the others.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use hop3_runtimes::instance::{InstanceId, InstanceRecord};
use hop3_runtimes::supervisor::event::{Change, InstanceEvent};
use hop3_runtimes::supervisor::{Adoption, LEFTOVER_PATIENCE};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::executor::{Deployment, slot};
use super::fleet::Launch;
use super::front::front_of_route;
use super::phase::{self, Effect, Event};
use super::{Control, Serving, locked};
use crate::failure::{Failure, chain};
use crate::firewall::Shield;
use crate::model::{App, AppName, Desired, Release, Timestamp};
use crate::store::Durable;

impl Control {
    /// Brings everything back to what the store says. Apps come up one beside the other, in the tasks that are returned;
    /// the routes of those that are not up yet answer 503.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn recover(self: &Arc<Self>) -> Result<Vec<JoinHandle<()>>, Failure> {
        tokio::task::block_in_place(|| {
            self.clean_up_folders();
            self.finish_deployments()
        })?;
        self.load_routes();
        let (apps, records) = {
            let snapshot = self.store.read()?;
            (snapshot.apps()?, snapshot.instances::<InstanceRecord>()?)
        };
        let mut by_app: HashMap<String, Vec<InstanceRecord>> = HashMap::new();
        for (app, record) in records {
            by_app.entry(app).or_default().push(record);
        }
        let known: Vec<String> = by_app.values().flatten().map(|record| record.marker.clone()).collect();
        if let Err(error) =
            self.fleet.process_runtime().end_strays(self.fleet.owner(), &known, LEFTOVER_PATIENCE).await
        {
            tracing::error!(error = chain(&error), "processes of an earlier server could not be ended");
        }
        for app in &apps {
            if let Some(serving) = tokio::task::block_in_place(|| self.serving(app))? {
                locked(&self.deployed).insert(app.name.clone(), serving);
            }
        }
        self.publish();
        let revive = |app: App| {
            let records = by_app.remove(app.name.as_str()).unwrap_or_default();
            let control = self.clone();
            tokio::spawn(async move { control.revive(app, records).await })
        };
        Ok(apps.into_iter().map(revive).collect())
    }

    /// Keeps records and routes in step with what the supervisor reports, until the server stops.
    pub async fn follow_instances(self: Arc<Self>, mut events: broadcast::Receiver<InstanceEvent>) {
        loop {
            match events.recv().await {
                Ok(event) => self.note_instance(&event),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "events of instances were missed; the routes are made anew");
                    self.publish();
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn note_instance(&self, InstanceEvent { id, change }: &InstanceEvent) {
        match change {
            Change::Started { record, adopted } => {
                tracing::info!(instance = %id, adopted, "started");
                self.keep(id, Some(record));
            }
            Change::Healthy { after } => {
                tracing::info!(instance = %id, after_ms = after.as_millis(), "healthy");
                self.publish();
            }
            Change::Unhealthy { answer } => {
                tracing::warn!(instance = %id, %answer, "unhealthy");
                self.publish();
            }
            Change::Exited { exit, wanted, .. } => {
                if *wanted {
                    tracing::info!(instance = %id, %exit, "stopped");
                } else {
                    tracing::warn!(instance = %id, %exit, "ended by itself");
                }
                self.keep(id, None);
                self.publish();
            }
            Change::StartFailed { problem } => {
                tracing::error!(instance = %id, problem, "could not be started")
            }
            Change::Restarting { after } => {
                tracing::info!(instance = %id, after_ms = after.as_millis(), "will be started again");
            }
            _ => {}
        }
    }

    /// Writes or drops the record of an instance; a destroyed app leaves none.
    fn keep(&self, id: &InstanceId, record: Option<&InstanceRecord>) {
        let kept = tokio::task::block_in_place(|| {
            self.store.note(Durable::Now, |change| match record {
                Some(record) if change.app(&id.app)?.is_some() => {
                    change.put_instance(&id.app, &slot(id), record)
                }
                Some(_) => Ok(()),
                None => change.remove_instance(&id.app, &slot(id)),
            })
        });
        if let Err(error) = kept {
            tracing::error!(instance = %id, error = chain(&error), "the record of an instance cannot be kept");
        }
    }

    /// Uploads and destroyed apps that an earlier server left behind.
    fn clean_up_folders(&self) {
        for (folder, prefix) in [(self.data.run(), "incoming-"), (self.data.apps(), ".destroyed-")] {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for entry in entries.flatten() {
                if entry.file_name().to_string_lossy().starts_with(prefix) {
                    let _absent = fs::remove_dir_all(entry.path());
                }
            }
        }
    }

    /// Ends every deployment that was under way. Its new instances, if any live, are not those of the current
    /// release and are ended by [`Control::revive`].
    fn finish_deployments(&self) -> Result<(), Failure> {
        for (app, deployment) in self.store.read()?.deployments::<Deployment>()? {
            let Ok(app) = AppName::new(app) else { continue };
            let (phase, effects) =
                phase::step(&deployment.terms, deployment.phase, Event::Recovered, Timestamp::now());
            tracing::warn!(%app, release = %deployment.release, outcome = ?phase, "a deployment was interrupted");
            if effects.contains(&Effect::Discard) {
                self.discard(&app, deployment.release, None)?;
            }
            self.store.note(Durable::Now, |change| change.remove_deployment(&app))?;
        }
        Ok(())
    }

    fn load_routes(&self) {
        let settings = self.settings.load();
        let served = settings.routes.iter().map(|route| super::ServedRoute {
            name: route.name(),
            shield: tokio::task::block_in_place(|| self.raise_route(route, &settings)),
            front: tokio::task::block_in_place(|| front_of_route(route, &settings)),
        });
        let served: Vec<_> = served.collect();
        for route in &served {
            for failure in [route.shield.as_ref().err(), route.front.as_ref().err()].into_iter().flatten() {
                tracing::error!(route = route.name, "it answers 503: {failure}");
            }
        }
        *locked(&self.routes) = served;
    }

    /// What is to be served of an app; `None` when nothing was deployed.
    fn serving(&self, app: &App) -> Result<Option<Serving>, Failure> {
        let Some(number) = app.current else { return Ok(None) };
        let Some(release) = self.store.read()?.release(&app.name, number)? else { return Ok(None) };
        let shield = self.raise(&app.name, &release);
        if let Err(failure) = &shield {
            tracing::error!(app = %app.name, "its firewall cannot be loaded, so it answers 503: {failure}");
        }
        let front = self.front_of(&app.name, &release);
        if let Err(failure) = &front {
            tracing::error!(app = %app.name, "[proxy] cannot be put into force, so it answers 503: {failure}");
        }
        Ok(Some(Serving { release: Arc::new(release), desired: app.desired, shield, front }))
    }

    /// The firewall of a release, compiled.
    pub(super) fn raise(&self, app: &AppName, release: &Release) -> Result<Shield, Failure> {
        let options = release.manifest.waf.clone().or(&self.settings.load().waf);
        let source = self.data.release(app, release.source).join("source");
        Shield::raise(&options, &self.owner(app, &source), &self.rulesets)
    }

    /// Finds the instances of an app again, or starts them; those of other releases are ended.
    async fn revive(self: Arc<Self>, app: App, records: Vec<InstanceRecord>) {
        let Ok(_guard) = self.lock(&app.name, &super::Reporter::nobody()).await else { return };
        let wanted = locked(&self.deployed).get(&app.name).map(|serving| serving.release.clone());
        let release = wanted.filter(|_| app.desired == Desired::Running);
        let outcome = match &release {
            Some(release) => self.revive_release(&app.name, release, &records).await,
            None => Ok(Vec::new()),
        };
        let kept = outcome.unwrap_or_else(|failure| {
            tracing::error!(app = %app.name, "cannot be started: {failure}");
            Vec::new()
        });
        for record in records.iter().filter(|record| !kept.contains(&record.id)) {
            let ended = hop3_runtimes::runtime::Runtime::stop(
                self.fleet.process_runtime(),
                record,
                std::time::Duration::from_secs(10),
            );
            if let Err(error) = ended.await {
                tracing::error!(instance = %record.id, %error, "an old instance cannot be ended");
            }
            self.keep(&record.id, None);
        }
        self.publish();
    }

    /// The instances of the release that run afterwards, adopted or started.
    async fn revive_release(
        &self,
        app: &AppName,
        release: &Release,
        records: &[InstanceRecord],
    ) -> Result<Vec<InstanceId>, Failure> {
        let variables = self.variables_of(app, release)?;
        let mut kept = Vec::new();
        for index in [1, 2] {
            let launch = Launch {
                app,
                release,
                variables: &variables,
                public_url: self.public_url(app, &release.manifest),
                index,
                proven: true,
            };
            for specification in self.fleet.specifications(&launch, &self.data) {
                let id = specification.id.clone();
                let record = records.iter().find(|record| record.id == id);
                let taken = kept.iter().any(|kept: &InstanceId| kept.process == id.process);
                if let Some(record) = record.filter(|_| !taken) {
                    let adoption = self.fleet.supervisor().adopt(record, specification).await;
                    match adoption {
                        Ok(Adoption::Adopted) => kept.push(id),
                        Ok(Adoption::Gone) => self.keep(&id, None),
                        Err(error) => {
                            tracing::error!(instance = %id, error = chain(&error), "cannot be adopted")
                        }
                    }
                }
            }
        }
        let launch = Launch {
            app,
            release,
            variables: &variables,
            public_url: self.public_url(app, &release.manifest),
            index: 1,
            proven: true,
        };
        for specification in self.fleet.specifications(&launch, &self.data) {
            let id = specification.id.clone();
            if kept.iter().any(|kept| kept.process == id.process) {
                continue;
            }
            match self.launch(specification).await {
                Ok(()) => kept.push(id),
                Err(cause) => tracing::error!(instance = %id, cause, "could not be started"),
            }
        }
        Ok(kept)
    }
}
