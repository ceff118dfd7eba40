//! What is told about the firewall.

use super::{Control, locked};
use crate::api::wire::{FirewallEvents, WafDetails};
use crate::failure::{Failure, did_you_mean};
use crate::model::AppName;

/// Most events that one request gets.
const MOST: usize = 10_000;

impl Control {
    /// The firewalls of all apps and static routes.
    ///
    /// # Errors
    /// None so far; the store may be asked later.
    pub fn firewalls(&self) -> Result<Vec<WafDetails>, Failure> {
        let apps = locked(&self.deployed).clone();
        let apps = apps.iter().map(|(app, serving)| (app.to_string(), serving.shield.clone()));
        let routes = locked(&self.routes).clone();
        let routes = routes.into_iter().map(|route| (route.name, route.shield));
        Ok(apps.chain(routes).map(|(name, shield)| self.described(&name, shield.as_ref())).collect())
    }

    /// The firewall of one app.
    ///
    /// # Errors
    /// It does not exist or was not deployed.
    pub fn firewall(&self, name: &AppName) -> Result<WafDetails, Failure> {
        self.existing(name)?;
        let serving = locked(&self.deployed).get(name).cloned();
        match serving {
            Some(serving) => Ok(self.described(name.as_str(), serving.shield.as_ref())),
            None => Err(Failure::conflict(format!("app '{name}' has no release"))
                .hint(format!("deploy it: hop3 deploy {name} FOLDER"))),
        }
    }

    /// The newest events of an app.
    ///
    /// # Errors
    /// It does not exist, or the store cannot be read.
    pub fn firewall_events(&self, name: &AppName, count: usize) -> Result<FirewallEvents, Failure> {
        self.existing(name)?;
        Ok(self.store.read()?.firewall_events(name.as_str(), count.min(MOST))?)
    }

    /// The newest events of a static route, by its first host.
    ///
    /// # Errors
    /// There is no such route, or the store cannot be read.
    pub fn route_events(&self, host: &str, count: usize) -> Result<FirewallEvents, Failure> {
        let names: Vec<String> =
            self.settings.load().routes.iter().map(crate::settings::StaticRoute::name).collect();
        if !names.iter().any(|name| name == host) {
            return Err(Failure::not_found(format!("there is no static route '{host}'"))
                .maybe_hint(did_you_mean(host, names.iter().map(String::as_str))));
        }
        Ok(self.store.read()?.firewall_events(host, count.min(MOST))?)
    }

    /// What is shown of somebody's firewall; without rules nothing passes.
    pub(super) fn described(
        &self,
        name: &str,
        shield: Result<&crate::firewall::Shield, &Failure>,
    ) -> WafDetails {
        match shield {
            Ok(shield) => shield.details(name, self.watch.counts(name)),
            Err(failure) => WafDetails {
                app: name.to_owned(),
                mode: "closed".into(),
                ruleset: "-".into(),
                version: None,
                rules: 0,
                paranoia_level: 0,
                detection_paranoia_level: 0,
                blocked: 0,
                detected: 0,
                alarm: Some(format!("every request is answered 503: {}", failure.message)),
            },
        }
    }
}
