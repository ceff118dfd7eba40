//! Starting, stopping and restarting an app's current release.

use std::sync::Arc;

use hop3_runtimes::instance::InstanceId;

use super::fleet::Launch;
use super::front::Front;
use super::{Control, Reporter, locked};
use crate::api::wire::Deployed;
use crate::failure::{Failure, Kind};
use crate::model::{Actor, App, AppName, Desired, Entry, Release};

impl Control {
    /// Starts the current release of a stopped app; with a changed configuration, if it was changed meanwhile.
    ///
    /// # Errors
    /// There is nothing to start, or it does not become healthy; the app then stays stopped.
    pub async fn start(
        self: &Arc<Self>,
        actor: &Actor,
        name: &AppName,
        report: &Reporter,
    ) -> Result<Deployed, Failure> {
        self.existing(name)?;
        let _guard = self.lock(name, report).await?;
        let (app, release) = self.current(name)?;
        let running = self
            .fleet
            .of(name)
            .iter()
            .any(|(id, state)| id.release == release.number && !state.phase.is_final());
        if running && app.desired == Desired::Running {
            report.line(format!("-> App '{name}' is running already."));
            return Ok(self.ended(name, &release, None));
        }
        let release = self.with_newest_config(&app, release)?;
        let front = tokio::task::block_in_place(|| self.front_for(name, &release))?;
        let ids = self.bring_up(name, &release, report).await?;
        self.set_desired(actor, "app:start", name, Desired::Running)?;
        self.serve_release(name, &release, front);
        let after = self.fleet.all_healthy(&ids).await.ok();
        Ok(self.ended(name, &release, after.map(|after| after.as_secs_f64())))
    }

    /// Stops an app; it stays stopped until it is started.
    ///
    /// # Errors
    /// It does not exist, or the store cannot be written.
    pub async fn stop(
        self: &Arc<Self>,
        actor: &Actor,
        name: &AppName,
        report: &Reporter,
    ) -> Result<Deployed, Failure> {
        self.existing(name)?;
        let _guard = self.lock(name, report).await?;
        self.set_desired(actor, "app:stop", name, Desired::Stopped)?;
        if let Some(serving) = locked(&self.deployed).get_mut(name) {
            serving.desired = Desired::Stopped;
        }
        self.publish();
        let ids: Vec<InstanceId> = self.fleet.of(name).into_iter().map(|(id, _)| id).collect();
        self.fleet.stop(&ids).await;
        let app = self.existing(name)?;
        Ok(Deployed { app: app.name, release: app.current, url: None, healthy_after: None })
    }

    /// Starts new instances of the current release beside the old ones, then stops the old ones.
    ///
    /// # Errors
    /// The new instances do not become healthy; the old ones then serve on.
    pub async fn restart(
        self: &Arc<Self>,
        actor: &Actor,
        name: &AppName,
        report: &Reporter,
    ) -> Result<Deployed, Failure> {
        self.existing(name)?;
        let _guard = self.lock(name, report).await?;
        let (app, release) = self.current(name)?;
        let release = self.with_newest_config(&app, release)?;
        let front = tokio::task::block_in_place(|| self.front_for(name, &release))?;
        let old: Vec<InstanceId> = self.fleet.of(name).into_iter().map(|(id, _)| id).collect();
        let ids = self.bring_up(name, &release, report).await?;
        self.set_desired(actor, "app:restart", name, Desired::Running)?;
        self.fleet.retire(&old);
        self.serve_release(name, &release, front);
        self.drained(&old, release.manifest.drain()).await;
        self.fleet.stop(&old).await;
        let after = self.fleet.all_healthy(&ids).await.ok();
        Ok(self.ended(name, &release, after.map(|after| after.as_secs_f64())))
    }

    /// Starts instances and waits until they are healthy; those that are not are stopped again.
    async fn bring_up(
        &self,
        name: &AppName,
        release: &Release,
        report: &Reporter,
    ) -> Result<Vec<InstanceId>, Failure> {
        let variables = self.variables_of(name, release)?;
        let launch = Launch {
            app: name,
            release,
            variables: &variables,
            public_url: self.public_url(name, &release.manifest),
            index: self.fleet.free_index(name, release.number),
            proven: false,
        };
        let mut ids = Vec::new();
        for specification in self.fleet.specifications(&launch, &self.data) {
            let id = specification.id.clone();
            ids.push(id.clone());
            if let Err(cause) = self.launch(specification).await {
                self.fleet.stop(&ids).await;
                return Err(Failure::new(
                    Kind::DeployFailed,
                    format!("{} could not be started", id.log_name()),
                )
                .cause(cause));
            }
        }
        match self.fleet.all_healthy(&ids).await {
            Ok(after) => {
                report.line(format!("-> Healthy after {:.1} s.", after.as_secs_f64()));
                Ok(ids)
            }
            Err((id, failure)) => {
                self.fleet.stop(&ids).await;
                let message = format!("{} of '{name}' did not become healthy", id.log_name());
                Err(Failure::new(Kind::DeployFailed, message)
                    .detail(failure.tail().iter().cloned())
                    .cause(failure.to_string())
                    .hint(format!("see `hop3 app:logs {name}`")))
            }
        }
    }

    /// The app and its current release.
    fn current(&self, name: &AppName) -> Result<(App, Release), Failure> {
        let app = self.existing(name)?;
        let snapshot = self.store.read()?;
        let release = match app.current {
            Some(number) => snapshot.release(name, number)?,
            None => None,
        };
        release.map(|release| (app, release)).ok_or_else(|| {
            Failure::conflict(format!("app '{name}' has no release"))
                .hint(format!("deploy it: hop3 deploy {name} FOLDER"))
        })
    }

    /// The release with the configuration that was set while the app was stopped.
    fn with_newest_config(&self, app: &App, mut release: Release) -> Result<Release, Failure> {
        if release.config_version != app.config_version {
            release.config_version = app.config_version;
            let (name, stored) = (&app.name, &release);
            self.store.note(crate::store::Durable::Now, |change| change.put_release(name, stored))?;
        }
        Ok(release)
    }

    fn set_desired(
        &self,
        actor: &Actor,
        action: &'static str,
        name: &AppName,
        desired: Desired,
    ) -> Result<(), Failure> {
        self.store.change(&Entry::new(actor, action, name), |change| {
            if let Some(app) = change.app(name)? {
                change.put_app(&App { desired, ..app })?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Serves a release that runs, with the firewall that stands already.
    fn serve_release(&self, name: &AppName, release: &Release, front: Arc<Front>) {
        if let Some(serving) = locked(&self.deployed).get_mut(name) {
            serving.desired = Desired::Running;
            serving.release = Arc::new(release.clone());
            serving.front = Ok(front);
        }
        self.publish();
    }

    fn ended(&self, name: &AppName, release: &Release, healthy_after: Option<f64>) -> Deployed {
        Deployed {
            app: name.clone(),
            release: Some(release.number),
            url: self.public_url(name, &release.manifest),
            healthy_after,
        }
    }
}
