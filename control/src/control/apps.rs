//! Apps as the API shows them; creating and destroying.

use std::fs;

use super::{Control, Reporter, locked};
use crate::api::wire::{AppDetails, AppStatus, AppSummary, Config, ReleaseSummary};
use crate::failure::Failure;
use crate::model::{Actor, App, AppName, Desired, Entry, Timestamp};
use crate::store::StoreError;

impl Control {
    /// All apps.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn apps(&self) -> Result<Vec<AppSummary>, Failure> {
        let apps = self.store.read()?.apps()?;
        Ok(apps.iter().map(|app| self.summary(app)).collect())
    }

    /// One app in full.
    ///
    /// # Errors
    /// It does not exist, or the store cannot be read.
    pub fn details(&self, name: &AppName) -> Result<AppDetails, Failure> {
        let app = self.existing(name)?;
        let (status, reason) = self.status_of(&app);
        let serving = locked(&self.deployed).get(name).cloned();
        let release = serving.as_ref().map(|serving| serving.release.as_ref());
        let artifact = release.and_then(|release| release.artifact.as_ref());
        Ok(AppDetails {
            name: name.clone(),
            status,
            reason,
            instances: self.fleet.details(name, app.current),
            release: app.current,
            builder: artifact.map(|artifact| artifact.builder.clone()),
            runtime: artifact.map(|artifact| hop3_runtimes::runtime::name_for(artifact).to_owned()),
            local_url: release.and_then(|release| self.local_url(name, &release.manifest)),
            domains: release.map(|release| self.host_names(name, &release.manifest)).unwrap_or_default(),
            waf: serving.as_ref().map(|serving| self.described(name.as_str(), serving.shield.as_ref())),
        })
    }

    /// Makes an app without a release.
    ///
    /// # Errors
    /// It exists already.
    pub fn create(&self, actor: &Actor, name: &AppName) -> Result<AppSummary, Failure> {
        let app = self.store.change(&Entry::new(actor, "app:create", name), |change| {
            if change.app(name)?.is_some() {
                return Err(StoreError::Refused(
                    Failure::conflict(format!("app '{name}' exists already"))
                        .hint(format!("deploy it: hop3 deploy {name} FOLDER")),
                ));
            }
            let app = App::new(name.clone(), Timestamp::now());
            change.put_app(&app)?;
            Ok(app)
        })?;
        Ok(self.summary(&app))
    }

    /// Stops an app and removes all that is kept of it, its audit records excepted.
    ///
    /// # Errors
    /// It does not exist, is busy, or its folder cannot be removed.
    pub async fn destroy(&self, actor: &Actor, name: &AppName) -> Result<(), Failure> {
        self.existing(name)?;
        let _guard = self.lock(name, &Reporter::nobody()).await?;
        self.existing(name)?;
        locked(&self.deployed).remove(name);
        self.publish();
        let ids: Vec<_> = self.fleet.of(name).into_iter().map(|(id, _)| id).collect();
        self.fleet.stop(&ids).await;
        locked(&self.collections).remove(name.as_str());
        // The folder first: if it cannot be removed, the app is still there to be destroyed again.
        let folder = self.data.app(name);
        let doomed = self.data.apps().join(format!(".destroyed-{name}"));
        tokio::task::block_in_place(|| {
            let failed = |error: std::io::Error| {
                Failure::internal(format!("the folder of '{name}' cannot be removed")).because(&error)
            };
            let _ = fs::remove_dir_all(&doomed);
            match fs::rename(&folder, &doomed) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
            self.store.change(&Entry::new(actor, "app:destroy", name), |change| change.remove_app(name))?;
            match fs::remove_dir_all(&doomed) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            }
        })?;
        self.watch.forget(name.as_str());
        self.keeper.shelf().forget(name.as_str());
        locked(&self.locks).remove(name);
        Ok(())
    }

    /// The releases of an app, oldest first.
    ///
    /// # Errors
    /// It does not exist, or the store cannot be read.
    pub fn releases(&self, name: &AppName) -> Result<Vec<ReleaseSummary>, Failure> {
        self.existing(name)?;
        let releases = self.store.read()?.releases(name)?;
        let summary = |release: crate::model::Release| ReleaseSummary {
            release: release.number,
            state: release.state.to_string(),
            created: release.created,
            reason: release.reason,
            config_version: release.config_version,
            digest: release.digest,
        };
        Ok(releases.into_iter().map(summary).collect())
    }

    /// The variables the operator set; revealing them is audited.
    ///
    /// # Errors
    /// The app does not exist, or the store cannot be read.
    pub fn config(&self, actor: &Actor, name: &AppName, reveal: bool) -> Result<Config, Failure> {
        let app = self.existing(name)?;
        if reveal {
            self.store.change(&Entry::new(actor, "config:reveal", name), |_| Ok(()))?;
        }
        let variables = self.store.read()?.variables(name, app.config_version)?;
        let shown = |value: &crate::model::Secret<String>| reveal.then(|| value.reveal().clone());
        Ok(Config {
            version: app.config_version,
            variables: variables.iter().map(|(key, value)| (key.to_string(), shown(value))).collect(),
        })
    }

    fn summary(&self, app: &App) -> AppSummary {
        let serving = locked(&self.deployed).get(&app.name).cloned();
        let hosts = serving.map(|serving| self.host_names(&app.name, &serving.release.manifest));
        AppSummary {
            name: app.name.clone(),
            status: self.status_of(app).0,
            release: app.current,
            domains: hosts.unwrap_or_default(),
        }
    }

    /// Why an app has no rules, when it has none.
    fn missing_rules(&self, name: &AppName) -> Option<Failure> {
        locked(&self.deployed).get(name)?.shield.as_ref().err().cloned()
    }

    fn status_of(&self, app: &App) -> (AppStatus, Option<String>) {
        match (app.current, app.desired) {
            (None, _) => (AppStatus::Stopped, Some("nothing was deployed yet".into())),
            (Some(_), Desired::Stopped) => (AppStatus::Stopped, None),
            (Some(release), Desired::Running) => match self.missing_rules(&app.name) {
                // Its processes may well run, but nothing reaches them.
                Some(failure) => (
                    AppStatus::Failed,
                    Some(format!("its firewall could not be loaded: {}", failure.message)),
                ),
                None => self.fleet.status(&app.name, release),
            },
        }
    }
}
