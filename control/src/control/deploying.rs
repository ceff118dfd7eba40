//! Operations that lead to a new release: deploy, a change of the configuration, rollback.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hop3_runtimes::manifest::{Manifest, ManifestError};
use hop3_runtimes::source_tree::SourceTree;

use super::executor::{Work, builder_name};
use super::front::client_authority;
use super::phase::Terms;
use super::{Control, Reporter, Serving, Upload, environment, locked};
use crate::api::wire::{ConfigChange, DeployRequest, Deployed};
use crate::failure::{Failure, did_you_mean};
use crate::firewall::Shield;
use crate::model::{
    Actor, App, AppName, ConfigKey, Desired, Entry, Release, ReleaseNumber, ReleaseState, Secret, Timestamp,
    Variables,
};
use crate::settings::diagnosed;
use crate::source::{Limits, unpack};
use crate::traffic::Files;

/// Parts of a manifest that this control plane acts on, in the words of `Manifest::unenforced`.
const ENFORCED: [&str; 7] = [
    "[domains]",
    "[[waf.tuning]]",
    "[[waf.uninspected-bodies]]",
    "[[waf.rules]]",
    "[waf.rate-limit]",
    "[waf.bans]",
    "[env.computed]",
];

impl Control {
    /// Deploys a packed source: checks, builds, starts, probes, swaps. Makes the app when it does not exist.
    ///
    /// # Errors
    /// A faulty source or manifest, a ruleset that is not installed, a taken host, or a failed build, start or probe.
    /// What served before serves on.
    pub async fn deploy(
        self: &Arc<Self>,
        actor: &Actor,
        name: &AppName,
        request: DeployRequest,
        upload: Upload,
        report: &Reporter,
    ) -> Result<Deployed, Failure> {
        let guard = self.lock(name, report).await?;
        report.line(format!("> Starting deployment for app '{name}'"));
        let env = parse_env(request.env.into_iter().map(|(key, value)| (key, Some(value))))?;
        let incoming = tokio::task::block_in_place(|| self.unpacked(&upload))?;
        let manifest = Manifest::load(incoming.path()).map_err(|error| manifest_failure(&error))?;
        self.check_hosts(name, &manifest)?;
        client_authority(&manifest.tls, Files::Inside(incoming.path()))?;
        let mut variables = self.current_variables(name)?;
        merge(&mut variables, env.clone());
        tokio::task::block_in_place(|| {
            let files = Files::Unbuilt(incoming.path());
            self.check_traffic(name, &manifest, files, &variables)?;
            self.check_canary(name, &manifest, files)
        })?;
        let options = manifest.waf.clone().or(&self.settings.load().waf);
        let owner = self.owner(name, incoming.path());
        let shield = tokio::task::block_in_place(|| Shield::raise(&options, &owner, &self.rulesets))?;
        self.announce_unenforced(&manifest, report);
        if request.dry_run {
            return self.rehearse(name, incoming.path(), manifest, &shield, report);
        }
        let entry = Entry::new(actor, "app:deploy", name).detail(&upload.digest);
        let (number, previous, release) = tokio::task::block_in_place(|| {
            self.new_release(&entry, name, |app, known| {
                let mut variables = known.clone();
                merge(&mut variables, env);
                variables.extend(environment::generated(&manifest, &variables)?);
                let changed = (variables != *known).then_some(variables);
                let draft = Release {
                    number: app.next_release(),
                    created: Timestamp::now(),
                    config_version: 0,
                    config_before: 0,
                    source: app.next_release(),
                    digest: upload.digest.clone(),
                    manifest: manifest.clone(),
                    artifact: None,
                    state: ReleaseState::Pending,
                    reason: "deploy".into(),
                };
                Ok((draft, changed))
            })
        })?;
        tokio::task::block_in_place(|| self.keep_source(name, number, incoming))?;
        self.carry_out(Draft { actor, name, release, previous, shield, builds: true, report }, guard).await
    }

    /// Sets and removes variables. A running app gets a new release with them; one without a release keeps them
    /// for its first.
    ///
    /// # Errors
    /// The app does not exist, a name is none, or the release does not start: then the old configuration stays.
    pub async fn configure(
        self: &Arc<Self>,
        actor: &Actor,
        name: &AppName,
        change: ConfigChange,
        report: &Reporter,
    ) -> Result<Deployed, Failure> {
        self.existing(name)?;
        let guard = self.lock(name, report).await?;
        let app = self.existing(name)?;
        let change = parse_env(change.variables)?;
        let names: Vec<String> = change.iter().map(|(key, _)| key.to_string()).collect();
        let known = self.store.read()?.variables(name, app.config_version)?;
        if let Some((key, _)) = change.iter().find(|(key, value)| value.is_none() && !known.contains_key(key))
        {
            let nearest = did_you_mean(key.as_str(), known.keys().map(ConfigKey::as_str));
            return Err(
                Failure::not_found(format!("app '{name}' has no variable `{key}`")).maybe_hint(nearest)
            );
        }
        self.check_passwords(&app, &known, &change)?;
        let reason = format!("config {}", names.join(" "));
        let entry = Entry::new(actor, "config:change", name).detail(names.join(" "));
        let current = app.current.and_then(|number| self.store.read().ok()?.release(name, number).ok()?);
        let Some(current) = current.filter(|_| app.desired == Desired::Running) else {
            let mut variables = known;
            merge(&mut variables, change);
            self.store.change(&entry, |change| {
                let mut app = app.clone();
                app.config_version += 1;
                change.put_variables(name, app.config_version, &variables)?;
                change.put_app(&app)
            })?;
            return Ok(Deployed { app: name.clone(), release: None, url: None, healthy_after: None });
        };
        let shield = self.shield_of(name)?;
        let (_, previous, release) = tokio::task::block_in_place(|| {
            self.new_release(&entry, name, |app, known| {
                let mut variables = known.clone();
                merge(&mut variables, change);
                Ok((derived(&current, app, reason), Some(variables)))
            })
        })?;
        let draft = Draft { actor, name, release, previous, shield, builds: false, report };
        // When it fails, the configuration that worked holds again: see `discard`.
        self.carry_out(draft, guard).await
    }

    /// Returns to an earlier release by a new one with its source, artifact and configuration.
    ///
    /// # Errors
    /// There is no such release, its files were removed, or it does not start any more.
    pub async fn rollback(
        self: &Arc<Self>,
        actor: &Actor,
        name: &AppName,
        to: Option<ReleaseNumber>,
        report: &Reporter,
    ) -> Result<Deployed, Failure> {
        self.existing(name)?;
        let guard = self.lock(name, report).await?;
        let app = self.existing(name)?;
        let releases = self.store.read()?.releases(name)?;
        let usable = |release: &&Release| release.artifact.is_some() && app.current != Some(release.number);
        let target = match to {
            Some(number) => releases.iter().find(|release| release.number == number),
            None => releases.iter().rev().filter(usable).find(|release| Some(release.number) < app.current),
        };
        let Some(target) = target.filter(usable) else {
            let usable: Vec<String> =
                releases.iter().filter(usable).map(|one| one.number.to_string()).collect();
            let what = to.map_or_else(
                || "there is no earlier release to return to".to_owned(),
                |number| format!("release {number} of '{name}' cannot be returned to"),
            );
            let failure = Failure::not_found(what);
            return Err(match usable.is_empty() {
                true => failure,
                false => failure.hint(format!("these can: {}", usable.join(", "))),
            });
        };
        report.line(format!("> Starting rollback of app '{name}' to {}", target.number));
        self.check_hosts(name, &target.manifest)?;
        let options = target.manifest.waf.clone().or(&self.settings.load().waf);
        let source = self.data.release(name, target.source).join("source");
        let owner = self.owner(name, &source);
        let shield = tokio::task::block_in_place(|| Shield::raise(&options, &owner, &self.rulesets))?;
        let entry = Entry::new(actor, "app:rollback", name).detail(target.number);
        let (_, previous, release) = tokio::task::block_in_place(|| {
            let variables = self.store.read()?.variables(name, target.config_version)?;
            self.new_release(&entry, name, |app, _| {
                Ok((derived(target, app, format!("rollback to {}", target.number)), Some(variables)))
            })
        })?;
        let draft = Draft { actor, name, release, previous, shield, builds: false, report };
        self.carry_out(draft, guard).await
    }

    /// The folder an upload was unpacked into; removed when it goes out of scope.
    fn unpacked(&self, upload: &Upload) -> Result<tempfile::TempDir, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("incoming-")
            .tempdir_in(self.data.run())
            .map_err(|error| Failure::internal("the source cannot be kept").because(&error))?;
        unpack(&upload.archive, folder.path(), Limits::DEFAULT)
            .map_err(|error| Failure::usage("the source cannot be unpacked").because(&error))?;
        Ok(folder)
    }

    /// Moves the unpacked source to its release.
    fn keep_source(
        &self,
        app: &AppName,
        number: ReleaseNumber,
        incoming: tempfile::TempDir,
    ) -> Result<(), Failure> {
        let folder = self.data.release(app, number);
        let failed = |error: std::io::Error| Failure::internal("the source cannot be kept").because(&error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let _absent = fs::remove_dir_all(folder.join("source"));
        fs::rename(incoming.path(), folder.join("source")).map_err(failed)?;
        // It is elsewhere now; nothing is left to remove.
        let _moved = incoming.keep();
        Ok(())
    }

    /// Stores a release in one transaction with the app and, when it changes, the configuration.
    fn new_release(
        &self,
        entry: &Entry,
        name: &AppName,
        draft: impl FnOnce(&App, &Variables) -> Result<(Release, Option<Variables>), Failure>,
    ) -> Result<(ReleaseNumber, Option<ReleaseNumber>, Release), Failure> {
        let existing = self.store.read()?.app(name)?;
        let known = match &existing {
            Some(app) => self.store.read()?.variables(name, app.config_version)?,
            None => Variables::new(),
        };
        let mut app = existing.unwrap_or_else(|| App::new(name.clone(), Timestamp::now()));
        let (mut release, variables) = draft(&app, &known)?;
        release.config_before = app.config_version;
        if variables.is_some() {
            app.config_version += 1;
        }
        release.config_version = app.config_version;
        app.last_release = Some(release.number);
        self.store.change(entry, |change| {
            if let Some(variables) = &variables {
                change.put_variables(name, app.config_version, variables)?;
            }
            change.put_app(&app)?;
            change.put_release(name, &release)
        })?;
        Ok((release.number, app.current, release))
    }

    async fn carry_out(
        self: &Arc<Self>,
        draft: Draft<'_>,
        guard: tokio::sync::OwnedMutexGuard<()>,
    ) -> Result<Deployed, Failure> {
        let Draft { actor, name, release, previous, shield, builds, report } = draft;
        let old: Vec<_> = self.fleet.of(name).into_iter().map(|(id, _)| id).collect();
        let variables = match self.variables_of(name, &release) {
            Ok(variables) => variables,
            Err(failure) => {
                self.discard(name, release.number, Some(&failure))?;
                return Err(failure);
            }
        };
        let terms = Terms {
            builds,
            replaces: previous.is_some(),
            start_timeout: release.manifest.run.start_timeout,
            drain: release.manifest.drain(),
        };
        let work = Work {
            app: name.clone(),
            actor: actor.clone(),
            variables,
            release,
            shield,
            terms,
            report: report.clone(),
            new: Vec::new(),
            old,
            healthy_after: None,
            front: None,
            failure: None,
        };
        self.execute(work, guard).await
    }

    /// The configuration of an app as it is now; nothing of one that does not exist yet.
    fn current_variables(&self, name: &AppName) -> Result<Variables, Failure> {
        let snapshot = self.store.read()?;
        match snapshot.app(name)? {
            Some(app) => Ok(snapshot.variables(name, app.config_version)?),
            None => Ok(Variables::new()),
        }
    }

    /// Whether the passwords that `[proxy.basic-auth]` names are still there after a change.
    fn check_passwords(&self, app: &App, known: &Variables, change: &Edits) -> Result<(), Failure> {
        let serving = locked(&self.deployed).get(&app.name).cloned();
        let Some(Serving { release, .. }) = serving else { return Ok(()) };
        let mut variables = known.clone();
        merge(&mut variables, change.clone());
        let source = self.data.release(&app.name, release.source).join("source");
        let folder = release.artifact.as_ref().map_or(source.as_path(), |artifact| artifact.root.as_path());
        self.check_traffic(&app.name, &release.manifest, Files::Inside(folder), &variables).map(drop)
    }

    /// The firewall that stands before an app now.
    fn shield_of(&self, name: &AppName) -> Result<Shield, Failure> {
        match locked(&self.deployed).get(name) {
            Some(serving) => serving.shield.clone(),
            None => Err(Failure::internal(format!("app '{name}' has no firewall"))),
        }
    }

    fn announce_unenforced(&self, manifest: &Manifest, report: &Reporter) {
        use hop3_runtimes::manifest::environment::EnvValue;
        let needs_addon =
            manifest.env.variables.values().any(|value| matches!(value, EnvValue::FromAddon { .. }));
        let mut enforced = ENFORCED.to_vec();
        if !needs_addon {
            enforced.push("[env] generate, from, key");
        }
        for part in manifest.unenforced(&enforced) {
            report.line(format!("! {part}"));
        }
    }

    /// What a deployment would do.
    fn rehearse(
        &self,
        name: &AppName,
        folder: &Path,
        manifest: Manifest,
        shield: &Shield,
        report: &Reporter,
    ) -> Result<Deployed, Failure> {
        let url = self.public_url(name, &manifest);
        let tree = SourceTree { root: folder.to_owned(), manifest };
        let (builder, evidence) = hop3_runtimes::build::choose(&tree).map_err(|error| {
            Failure::new(crate::failure::Kind::DeployFailed, format!("app '{name}' cannot be built"))
                .because(&error)
        })?;
        report.line(format!("-> Would use builder: {} ({evidence})", builder_name(builder.name())));
        if let Some(compiled) = &shield.compiled {
            let version = compiled.version.as_deref().unwrap_or("");
            let count = compiled.ruleset.rule_count();
            report.line(format!("-> Would be protected by: {} {version} ({count} rules)", compiled.name));
        }
        if let Some(url) = &url {
            report.line(format!("-> Would run at: {url}"));
        }
        report.line("> Dry run: nothing was changed.");
        Ok(Deployed { app: name.clone(), release: None, url, healthy_after: None })
    }
}

/// A release that is about to be carried out.
struct Draft<'a> {
    actor: &'a Actor,
    name: &'a AppName,
    release: Release,
    previous: Option<ReleaseNumber>,
    shield: Shield,
    builds: bool,
    report: &'a Reporter,
}

/// A new release that uses what another one built.
fn derived(from: &Release, app: &App, reason: String) -> Release {
    Release {
        number: app.next_release(),
        created: Timestamp::now(),
        state: ReleaseState::Pending,
        reason,
        ..from.clone()
    }
}

/// Variables to set (`Some`) and to remove (`None`).
type Edits = Vec<(ConfigKey, Option<Secret<String>>)>;

/// Edits in the store's types.
fn parse_env(variables: impl IntoIterator<Item = (String, Option<String>)>) -> Result<Edits, Failure> {
    let parse = |(key, value): (String, Option<String>)| {
        let key: ConfigKey =
            key.parse().map_err(|error: crate::model::InvalidConfigKey| Failure::usage(error.to_string()))?;
        if value.as_ref().is_some_and(|value| value.contains('\0')) {
            return Err(Failure::usage(format!("the value of `{key}` contains a NUL byte")));
        }
        Ok((key, value.map(Secret::new)))
    };
    variables.into_iter().map(parse).collect()
}

fn merge(variables: &mut Variables, change: Edits) {
    for (key, value) in change {
        match value {
            Some(value) => variables.insert(key, value),
            None => variables.remove(&key),
        };
    }
}

fn manifest_failure(error: &ManifestError) -> Failure {
    match error {
        ManifestError::Invalid(fault) => diagnosed(fault),
        other => Failure::usage("the app's manifest cannot be used").because(other),
    }
}
