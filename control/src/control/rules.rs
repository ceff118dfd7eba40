//! Installing, switching and verifying rulesets, and what it means for those who use them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use hop3_rules::{Installed, RulesetName, Selection, Source, Version};

use super::front::Front;
use super::{Control, locked};
use crate::api::wire::{InstallRules, RulesChanged, RulesVerified, RulesetSummary};
use crate::failure::Failure;
use crate::firewall::{Owner, Shield, failed};
use crate::model::{Actor, AppName, Entry};
use crate::settings::{Settings, StaticRoute};

impl Control {
    /// The base ruleset and all installed versions of the Core Rule Set.
    ///
    /// # Errors
    /// The rules' folder cannot be read.
    pub fn rulesets(&self) -> Result<Vec<RulesetSummary>, Failure> {
        let store = self.rulesets.store();
        let current = store.current().map_err(|error| failed(&error))?;
        let base = RulesetSummary {
            name: "base".into(),
            version: self.base_version(),
            in_use: current.is_none(),
            source: "embedded".into(),
            official: true,
        };
        let installed = store.installed().map_err(|error| failed(&error))?;
        let crs = installed.iter().map(|installed| summary(installed, current.as_ref()));
        Ok(std::iter::once(base).chain(crs).collect())
    }

    /// Installs a Core Rule Set; the first one is put to use at once.
    ///
    /// # Errors
    /// None could be found, or what was found is damaged or has errors; nothing changes then.
    pub fn install_rules(&self, actor: &Actor, request: &InstallRules) -> Result<RulesChanged, Failure> {
        let version = request.version.as_deref().map(parse).transpose()?;
        let source = match &request.from {
            Some(from) => Source::from_argument(from),
            None => Source::Release(version.clone()),
        };
        let store = self.rulesets.store();
        let before = store.current().map_err(|error| failed(&error))?;
        let (installed, passed_over) =
            store.install(&source, SystemTime::now()).map_err(|error| failed(&error))?;
        if let Some(wanted) = version.filter(|wanted| *wanted != installed.version) {
            tracing::warn!(%wanted, found = %installed.version, "the source holds another version");
        }
        let entry = Entry::new(actor, "rules:install", "owasp-crs")
            .detail(format!("{} from {}", installed.version, installed.source));
        self.store.change(&entry, |_| Ok(()))?;
        let current = store.current().map_err(|error| failed(&error))?;
        let alarms = if before == current { Vec::new() } else { self.reload_rules() };
        Ok(RulesChanged { ruleset: summary(&installed, current.as_ref()), passed_over, alarms })
    }

    /// Switches to an installed version. Apps whose rules do not compile with it keep what they have.
    ///
    /// # Errors
    /// It is not installed, was changed, or has errors; the version in use stays.
    pub fn use_rules(&self, actor: &Actor, version: Option<&str>) -> Result<RulesChanged, Failure> {
        let installed = self.installed(version)?;
        let store = self.rulesets.store();
        store.use_version(&installed.version).map_err(|error| failed(&error))?;
        let entry = Entry::new(actor, "rules:use", "owasp-crs").detail(&installed.version);
        self.store.change(&entry, |_| Ok(()))?;
        let alarms = self.reload_rules();
        Ok(RulesChanged {
            ruleset: summary(&installed, Some(&installed.version)),
            passed_over: Vec::new(),
            alarms,
        })
    }

    /// Compares an installed version with what was installed.
    ///
    /// # Errors
    /// It is not installed, or a file cannot be read.
    pub fn verify_rules(&self, version: Option<&str>) -> Result<RulesVerified, Failure> {
        let installed = self.installed(version)?;
        let store = self.rulesets.store();
        let current = store.current().map_err(|error| failed(&error))?;
        let verification = store.verify(&installed.version).map_err(|error| failed(&error))?;
        Ok(RulesVerified {
            ruleset: summary(&installed, current.as_ref()),
            files: installed.files.len(),
            changes: verification.changes,
        })
    }

    /// Compiles everybody's rules anew. Where that fails, the old rules stay in force; the alarms say whose and why.
    pub(super) fn reload_rules(&self) -> Vec<String> {
        let mut alarms = Vec::new();
        let serving: Vec<_> = locked(&self.deployed)
            .iter()
            .map(|(app, serving)| (app.clone(), serving.release.clone()))
            .collect();
        for (app, release) in serving {
            let fresh = self.raise(&app, &release);
            if let Some(serving) = locked(&self.deployed).get_mut(&app)
                && Arc::ptr_eq(&serving.release, &release)
            {
                alarms.extend(replace(app.as_str(), &mut serving.shield, fresh));
            }
        }
        let settings = self.settings.load();
        alarms.extend(self.reload_route_rules(&settings, HashMap::new()));
        self.publish();
        alarms
    }

    /// The same for the static routes of `settings`, which are served behind `fronts`, else those they have.
    pub(super) fn reload_route_rules(
        &self,
        settings: &Settings,
        mut fronts: HashMap<String, Arc<Front>>,
    ) -> Vec<String> {
        let mut alarms = Vec::new();
        let old = locked(&self.routes).clone();
        let mut new = Vec::new();
        for route in &settings.routes {
            let name = route.name();
            let fresh = self.raise_route(route, settings);
            let never = || Failure::internal("it was never loaded");
            let (mut shield, front) = match old.iter().find(|old| old.name == name) {
                Some(old) => (old.shield.clone(), old.front.clone()),
                None => (Err(never()), Err(never())),
            };
            alarms.extend(replace(&name, &mut shield, fresh));
            let front = fronts.remove(&name).map_or(front, Ok);
            new.push(super::ServedRoute { name, shield, front });
        }
        *locked(&self.routes) = new;
        alarms
    }

    /// The firewall of a static route, compiled.
    pub(super) fn raise_route(&self, route: &StaticRoute, settings: &Settings) -> Result<Shield, Failure> {
        let owner = Owner::route(&route.name(), &self.data, settings);
        Shield::raise(&route.waf, &owner, &self.rulesets)
    }

    /// Whose firewall that of an app is, with its files in `folder`.
    pub(super) fn owner(&self, app: &AppName, folder: &Path) -> Owner {
        Owner::app(app, folder, &self.data, &self.settings.load())
    }

    /// The embedded ruleset's version, as the rules' library states it.
    fn base_version(&self) -> String {
        let selection = Selection::new(RulesetName::Base);
        self.rulesets.store().assemble(&selection).ok().and_then(|base| base.version).unwrap_or_default()
    }

    fn installed(&self, version: Option<&str>) -> Result<Installed, Failure> {
        let store = self.rulesets.store();
        let version = match version {
            Some(version) => parse(version)?,
            None => store
                .current()
                .map_err(|error| failed(&error))?
                .ok_or_else(|| failed(&hop3_rules::RulesError::NotInstalled))?,
        };
        let all = store.installed().map_err(|error| failed(&error))?;
        let versions = all.iter().map(|installed| installed.version.clone()).collect();
        let found = all.into_iter().find(|installed| installed.version == version);
        found.ok_or_else(|| failed(&hop3_rules::RulesError::UnknownVersion { version, installed: versions }))
    }
}

/// Puts `fresh` in the place of `old`, or raises an alarm and leaves the old rules.
fn replace(name: &str, old: &mut Result<Shield, Failure>, fresh: Result<Shield, Failure>) -> Option<String> {
    match fresh {
        Ok(shield) => {
            *old = Ok(shield);
            None
        }
        Err(failure) => {
            let alarm = format!("{name}: its old rules stay in force: {}", failure.message);
            tracing::error!(name, "its old rules stay in force: {failure}");
            match old {
                Ok(shield) => shield.alarm = Some(failure.message),
                Err(_) => *old = Err(failure),
            }
            Some(alarm)
        }
    }
}

fn parse(version: &str) -> Result<Version, Failure> {
    version.parse::<Version>().map_err(|error| Failure::usage(error.to_string()))
}

fn summary(installed: &Installed, current: Option<&Version>) -> RulesetSummary {
    RulesetSummary {
        name: "owasp-crs".into(),
        version: installed.version.to_string(),
        in_use: current == Some(&installed.version),
        source: installed.source.clone(),
        official: installed.official,
    }
}
