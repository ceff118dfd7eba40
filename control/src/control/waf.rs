//! What is told about the firewall.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hop3_waf::BlockLists;

use super::{Control, locked};
use crate::api::wire::{FirewallEvents, WafDetails};
use crate::failure::{Failure, chain, did_you_mean};
use crate::firewall::{Collections, NameServers, Shield, SystemResolver};
use crate::model::AppName;
use crate::settings::Settings;

/// Most events that one request gets.
const MOST: usize = 10_000;
/// How long what rules remember may be lost by a crash, where it is stored.
const FLUSH: Duration = Duration::from_secs(30);

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

    /// Writes the collections that are kept in the store, now and then, until the server stops.
    pub async fn keep_collections(self: Arc<Self>) {
        let mut stopping = self.stopping.clone();
        let mut flush = tokio::time::interval(FLUSH);
        loop {
            tokio::select! {
                _ = flush.tick() => tokio::task::block_in_place(|| self.flush_collections()),
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    /// Keeps what the firewalls have not written yet: collections and logs. For the end.
    pub fn finish_firewalls(&self) {
        self.flush_collections();
        self.finish_logs();
    }

    /// Writes what the firewalls' logs have not written yet. For the end of a server whose successor has the store.
    pub fn finish_logs(&self) {
        self.logs.finish();
    }

    pub(super) fn flush_collections(&self) {
        let all: Vec<_> =
            locked(&self.collections).iter().map(|(name, one)| (name.clone(), one.clone())).collect();
        for (name, collections) in all {
            if let Err(error) = collections.flush(&self.store, since_epoch()) {
                tracing::error!(name, error = chain(&error), "persistent collections cannot be kept");
            }
        }
    }

    /// Where the persistent collections of an app's or route's rules live; they outlive reloads of the rules.
    pub(super) fn collections(&self, name: &str, shield: &Shield) -> Arc<Collections> {
        let mut all = locked(&self.collections);
        let collections = all.entry(name.to_owned()).or_insert_with(|| Collections::new(name)).clone();
        drop(all);
        if let Err(error) = collections.keep(shield.keeps_collections, &self.store, since_epoch()) {
            tracing::error!(name, error = chain(&error), "persistent collections stay in memory");
        }
        collections
    }

    /// What `@rbl` asks, when the operator allowed it.
    pub(super) fn block_lists(&self, settings: &Settings) -> Option<Arc<dyn BlockLists>> {
        let mut servers = locked(&self.name_servers);
        if !settings.firewall.rbl || tokio::runtime::Handle::try_current().is_err() {
            *servers = None;
            return None;
        }
        Some(servers.get_or_insert_with(|| NameServers::start(SystemResolver)).clone())
    }

    /// What is shown of somebody's firewall; without rules nothing passes.
    pub(super) fn described(&self, name: &str, shield: Result<&Shield, &Failure>) -> WafDetails {
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

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
