//! SIGHUP: a new `hop3-server.toml` takes the place of the old one, or the old one stays.

use std::sync::Arc;

use super::front::front_of_route;
use super::routing::named_alike;
use super::{Control, locked};
use crate::failure::Failure;
use crate::settings::{Settings, StaticRoute};

impl Control {
    /// Puts `settings` into force. Says what takes effect only with a restart, and whose rules stayed old.
    ///
    /// # Errors
    /// Its routes clash with each other or with apps, or a file they name cannot be read; everything stays as it was.
    pub fn reload(&self, settings: Settings) -> Result<Vec<String>, Failure> {
        let before = self.settings.load_full();
        let mut notes = Vec::new();
        for (name, changed) in [
            ("[server.listen]", before.listen != settings.listen),
            ("[server.clients]", before.clients != settings.clients),
            ("[server.traces]", before.traces != settings.traces),
            ("[server.tls]", before.tls != settings.tls),
            ("[server] threads", before.threads != settings.threads),
            (
                "[server.log]",
                (before.log_level, before.log_format) != (settings.log_level, settings.log_format),
            ),
        ] {
            if changed {
                notes.push(format!("{name} takes effect with `hop3 upgrade` or the next start"));
            }
        }
        let front = |route: &StaticRoute| Ok((route.name(), front_of_route(route, &settings)?));
        let fronts = settings.routes.iter().map(front).collect::<Result<_, Failure>>()?;
        let names: Vec<String> = settings.routes.iter().map(StaticRoute::name).collect();
        if let Some(app) =
            locked(&self.deployed).keys().find(|app| names.iter().any(|name| name == app.as_str()))
        {
            return Err(named_alike(app));
        }
        // The table is made once to find clashes, before anything is replaced.
        let served = locked(&self.routes).clone();
        notes.extend(self.reload_route_rules(&settings, fronts));
        if let Err(failure) = self.table(&settings) {
            *locked(&self.routes) = served;
            return Err(failure);
        }
        if before.acme != settings.acme {
            self.keeper.configure(settings.acme.clone());
        }
        // Redirects name an app's hosts, and rate limits have their default here.
        let fronts_changed =
            before.domain != settings.domain || before.waf.rate_limit != settings.waf.rate_limit;
        let waf_changed = before.waf != settings.waf || before.firewall != settings.firewall;
        self.bans.configure(settings.bans.proxy.clone());
        self.settings.store(Arc::new(settings));
        self.nftables.wanted.notify_one();
        if fronts_changed {
            notes.extend(self.reload_fronts());
        }
        if waf_changed {
            notes.extend(self.reload_rules());
        }
        self.publish();
        Ok(notes)
    }
}
