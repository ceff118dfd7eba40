//! From what is deployed to the proxy's route table.

use std::sync::Arc;

use hop3_proxy::{Backend, HostPattern, Policy, Protection, ProtectionMode, Route, RouteTable, StaticFiles};
use hop3_runtimes::instance::Endpoint;
use hop3_runtimes::manifest::Manifest;
use hop3_runtimes::manifest::tls::TlsOptions;
use hop3_runtimes::manifest::waf::WafMode;

use super::front::Front;
use super::traffic::route_group;
use super::{Control, ServedRoute, Serving, locked};
use crate::doctor::ports::reachable;
use crate::failure::Failure;
use crate::firewall::Shield;
use crate::model::{AppName, Desired};
use crate::settings::{Settings, StaticRoute, Target};
use crate::traffic::{PathTraffic, Traffic};

impl Control {
    /// Makes the route table of this moment and hands it to the proxy. What cannot be routed is reported, and the
    /// table in force stays.
    pub(super) fn publish(&self) {
        let _one_at_a_time = locked(&self.publishing);
        match self.table(&self.settings.load()) {
            Ok(table) => {
                let news = self.want_certificates(&table);
                // Who shares hosts with whom is known now, and redirects to HTTPS depend on it.
                let again = if news { self.table(&self.settings.load()).ok() } else { None };
                let table = again.unwrap_or(table);
                if let Some(proxy) = locked(&self.proxy).as_ref() {
                    proxy.publish(table);
                    self.rulesets.look_over();
                }
            }
            Err(failure) => {
                tracing::error!(
                    message = failure.message,
                    "the routes cannot be published; the old ones stay"
                );
            }
        }
    }

    /// The route table under `settings`.
    ///
    /// # Errors
    /// Two routes claim the same host and path.
    pub(super) fn table(&self, settings: &Settings) -> Result<RouteTable, Failure> {
        let mut routes: Vec<Route> = Vec::new();
        let served = locked(&self.routes).clone();
        for route in &settings.routes {
            let served = served.iter().find(|served| served.name == route.name());
            routes.extend(self.static_routes(route, served, settings));
        }
        let deployed = locked(&self.deployed).clone();
        for (app, serving) in &deployed {
            routes.extend(self.app_routes(app, serving, settings));
        }
        RouteTable::new(routes).map_err(|error| Failure::conflict(error.to_string()))
    }

    /// Whether the hosts of a manifest are free for `app`.
    ///
    /// # Errors
    /// A host is none, or belongs to another app or static route.
    pub(super) fn check_hosts(&self, app: &AppName, manifest: &Manifest) -> Result<(), Failure> {
        for host in &manifest.domains {
            host.parse::<HostPattern>().map_err(|error| Failure::usage(format!("[domains]: {error}")))?;
        }
        let claims = |app: &AppName, manifest: &Manifest| {
            let prefixes = Self::prefixes(manifest);
            let hosts = self.host_names(app, manifest).into_iter();
            hosts
                .flat_map(|host| {
                    prefixes.iter().map(move |prefix| (host.clone(), prefix.clone())).collect::<Vec<_>>()
                })
                .collect::<Vec<(String, String)>>()
        };
        let wanted = claims(app, manifest);
        for (other, serving) in locked(&self.deployed).iter().filter(|(other, _)| *other != app) {
            let theirs = claims(other, &serving.release.manifest);
            if let Some((host, prefix)) = wanted.iter().find(|claim| theirs.contains(claim)) {
                return Err(Failure::conflict(format!("host `{host}{prefix}` belongs to app '{other}'"))
                    .hint(
                        "remove it from [domains] of one of the two, or give one a `path-prefix` in [proxy]",
                    ));
            }
        }
        for route in &self.settings.load().routes {
            if route.name() == app.as_str() {
                return Err(named_alike(app));
            }
            let theirs: Vec<String> = route.hosts.iter().map(HostPattern::to_string).collect();
            let prefix = route.path_prefix.trim_end_matches('/');
            let clash = wanted.iter().find(|(host, path)| theirs.contains(host) && path == prefix);
            if let Some((host, prefix)) = clash {
                return Err(Failure::conflict(format!(
                    "host `{host}{prefix}` belongs to a [[route]] of hop3-server.toml"
                ))
                .hint("remove it there, or from [domains] of the app"));
            }
        }
        Ok(())
    }

    /// The hosts an app is served under: its own domains, else its name below the server's domain.
    pub(super) fn host_names(&self, app: &AppName, manifest: &Manifest) -> Vec<String> {
        if manifest.domains.is_empty() {
            vec![format!("{app}.{}", self.settings.load().domain)]
        } else {
            manifest.domains.iter().map(|host| host.to_ascii_lowercase()).collect()
        }
    }

    /// Where the world reaches an app: HTTPS when it is open, with the port unless it is the usual one.
    pub(super) fn public_url(&self, app: &AppName, manifest: &Manifest) -> Option<String> {
        let host = self.host_names(app, manifest).into_iter().next()?;
        let host = host.trim_start_matches("*.");
        let https = self.listen.https.map(|https| self.public_https.unwrap_or_else(|| https.port()));
        match (https, self.listen.http) {
            (Some(443), _) => Some(format!("https://{host}")),
            (Some(https), _) => Some(format!("https://{host}:{https}")),
            (None, Some(http)) if http.port() == 80 => Some(format!("http://{host}")),
            (None, Some(http)) => Some(format!("http://{host}:{}", http.port())),
            (None, None) => None,
        }
    }

    /// Where this machine reaches an app through the proxy, without a certificate to trust.
    pub(super) fn local_url(&self, app: &AppName, manifest: &Manifest) -> Option<String> {
        let host = self.host_names(app, manifest).into_iter().next()?;
        let host = host.trim_start_matches("*.");
        match self.listen.http.map(reachable) {
            Some(http) => Some(format!("http://{host}:{}", http.port())),
            None => self.public_url(app, manifest),
        }
    }

    /// What the proxy needs of a firewall: `Ok(None)` when its owner switched it off, an error when there are no rules.
    fn protection(
        &self,
        name: &str,
        shield: &Result<Shield, Failure>,
        settings: &Settings,
    ) -> Result<Option<Arc<Protection>>, Failure> {
        let shield = shield.as_ref().map_err(Clone::clone)?;
        let (Some(compiled), Some(mode)) = (&shield.compiled, shield.mode) else { return Ok(None) };
        Ok(Some(Arc::new(Protection {
            ruleset: compiled.ruleset.clone(),
            mode: match mode {
                WafMode::Block => ProtectionMode::Block,
                WafMode::Detect => ProtectionMode::Detect,
            },
            collections: Some(self.collections(name, shield)),
            block_lists: self.block_lists(settings),
            log: shield.logs.open(compiled.texts.as_ref(), &self.logs),
        })))
    }

    /// The routes of an app: its own, those of paths with other rules, those of folders.
    fn app_routes(&self, app: &AppName, serving: &Serving, settings: &Settings) -> Vec<Route> {
        let manifest = &serving.release.manifest;
        let default = format!("{app}.{}", settings.domain);
        let names = if manifest.domains.is_empty() { vec![default] } else { manifest.domains.clone() };
        let hosts: Vec<HostPattern> = names.iter().filter_map(|host| host.parse().ok()).collect();
        let mut main = Route::new(app.as_str(), hosts, unavailable("the app is stopped"));
        // Also when the rest of [proxy] cannot be put into force: another app may have the rest of the host.
        main.path_prefix = manifest.proxy.path_prefix.clone().unwrap_or_else(|| "/".to_owned());
        let Ok(front) = &serving.front else {
            main.backend = unavailable("[proxy] of the app cannot be put into force");
            return vec![main];
        };
        let protection = self.protection(app.as_str(), &serving.shield, settings);
        match (&protection, serving.desired) {
            (Err(_), _) => main.backend = unavailable("the firewall of the app could not be loaded"),
            (_, Desired::Stopped) => {}
            _ => match self.backend(app, serving, &front.traffic) {
                Some(backend) => main.backend = backend,
                None => return Vec::new(),
            },
        }
        main.waf = protection.ok().flatten();
        main.bans = serving.shield.as_ref().ok().and_then(|shield| shield.bans.clone());
        self.divide(&main, front, &manifest.tls)
    }

    /// The routes that `[proxy]` and `[tls]` make of one; nothing of it is served if its back end is absent.
    fn divide(&self, main: &Route, front: &Front, tls: &TlsOptions) -> Vec<Route> {
        let (traffic, canary) = (&front.traffic, self.canary(front));
        let route = |prefix: &str, path: Option<&PathTraffic>| {
            let rules = path.map_or(&traffic.rules, |path| &path.rules);
            let mut route = main.clone();
            route.path_prefix = prefix.to_owned();
            route.policy = Some(Arc::new(Policy { canary: canary.clone(), ..rules.policy.clone() }));
            route.limits = rules.limits.clone();
            let own = path.and_then(|path| path.client_certificates);
            let tls = TlsOptions { client_certificates: own.or(tls.client_certificates), ..tls.clone() };
            let authority = front.client_authority.as_ref();
            (route.tls, route.redirect_https) = self.route_tls(&route.app, &route.hosts, &tls, authority);
            route
        };
        let mut routes = vec![route(&traffic.prefix, None)];
        let serves = !matches!(main.backend, Backend::Unavailable { .. });
        for (prefix, files) in traffic.folders.iter().filter(|_| serves) {
            // What is said about the paths around a folder holds for its files too.
            let mut route = route(prefix, traffic.path_of(prefix));
            route.backend = Backend::Static(files.clone());
            routes.push(route);
        }
        routes.extend(traffic.paths.iter().map(|path| route(&path.prefix, Some(path))));
        routes
    }

    /// What answers an app's requests now; `None` when it has no `web` process at all.
    fn backend(&self, app: &AppName, serving: &Serving, traffic: &Traffic) -> Option<Backend> {
        let artifact = serving.release.artifact.as_ref()?;
        let is_site = matches!(artifact.kind, hop3_runtimes::artifact::ArtifactKind::Static { .. });
        if !is_site && serving.release.manifest.web().is_none() {
            return None;
        }
        for endpoint in self.fleet.endpoints(app, serving.release.number) {
            if let Endpoint::Folder(root) = endpoint {
                let strip_prefix = traffic.prefix.trim_end_matches('/').to_owned();
                let within = Some(artifact.folder().to_owned());
                let files = StaticFiles { root, within, strip_prefix, ..traffic.files.clone() };
                return Some(Backend::Static(files));
            }
        }
        let group = self.group(app, serving, &traffic.pool);
        if group.members.is_empty() {
            return Some(unavailable("no instance of the app answers"));
        }
        Some(Backend::Pool(Arc::new(group)))
    }

    /// The routes of one `[[route]]`.
    fn static_routes(
        &self,
        route: &StaticRoute,
        served: Option<&ServedRoute>,
        settings: &Settings,
    ) -> Vec<Route> {
        let name = route.name();
        let mut main = Route::new(&*name, route.hosts.clone(), unavailable("it is not loaded"));
        main.path_prefix = route.path_prefix.clone();
        let Some(ServedRoute { shield, front, .. }) = served else { return vec![main] };
        let Ok(front) = front else {
            main.backend = unavailable("[route.proxy] cannot be put into force");
            return vec![main];
        };
        let protection = self.protection(&name, shield, settings);
        main.backend = match (&protection, &route.target) {
            (Err(_), _) => unavailable("the firewall of the route could not be loaded"),
            (_, Target::Upstream(upstream)) => route_group(upstream, route, &front.traffic.pool),
            (_, Target::Folder(root)) => {
                let strip_prefix = route.path_prefix.trim_end_matches('/').to_owned();
                let files = front.traffic.files.clone();
                Backend::Static(StaticFiles { root: root.clone(), strip_prefix, ..files })
            }
        };
        main.waf = protection.ok().flatten();
        main.bans = shield.as_ref().ok().and_then(|shield| shield.bans.clone());
        self.divide(&main, front, &route.tls)
    }
}

/// Certificates, firewall events and logs are kept by name, so no two may share one.
pub(super) fn named_alike(app: &AppName) -> Failure {
    Failure::conflict(format!(
        "a [[route]] of hop3-server.toml goes by its first host, `{app}`, and so does an app"
    ))
    .hint("write another one of the route's hosts first, or give the app another name")
}

fn unavailable(reason: &str) -> Backend {
    Backend::Unavailable { reason: reason.into() }
}
