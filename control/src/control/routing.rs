//! From what is deployed to the proxy's route table.

use std::path::Path;
use std::sync::Arc;

use hop3_proxy::{Backend, HostPattern, Policy, Protection, ProtectionMode, Route, RouteTable, StaticFiles};
use hop3_runtimes::instance::Endpoint;
use hop3_runtimes::manifest::Manifest;
use hop3_runtimes::manifest::tls::TlsOptions;
use hop3_runtimes::manifest::waf::WafMode;

use super::ping::reachable;
use super::traffic::{route_group, traffic_of_route};
use super::{Control, Serving, locked};
use crate::failure::Failure;
use crate::firewall::Shield;
use crate::model::{AppName, Desired};
use crate::settings::{Settings, StaticRoute, Target};
use crate::traffic::{Rules, Traffic};

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
        let shields = locked(&self.routes).clone();
        for route in &settings.routes {
            let shield =
                shields.iter().find(|shield| shield.name == route.name()).map(|shield| &shield.shield);
            let protection = shield.map(|shield| self.protection(&route.name(), shield, settings));
            let bans = shield.and_then(|shield| shield.as_ref().ok()).and_then(|shield| shield.bans.clone());
            let mut made = self.static_routes(route, protection, settings);
            made.iter_mut().for_each(|route| route.bans.clone_from(&bans));
            routes.extend(made);
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
        match (self.listen.https, self.listen.http) {
            (Some(https), _) if https.port() == 443 => Some(format!("https://{host}")),
            (Some(https), _) => Some(format!("https://{host}:{}", https.port())),
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
        let protection = self.protection(app.as_str(), &serving.shield, settings);
        let traffic = match self.traffic_of(app, &serving.release) {
            Ok(traffic) => traffic,
            Err(failure) => {
                tracing::error!(app = %app, "[proxy] cannot be put into force, so it answers 503: {failure}");
                main.backend = unavailable("[proxy] of the app cannot be put into force");
                return vec![main];
            }
        };
        match (&protection, serving.desired) {
            (Err(_), _) => main.backend = unavailable("the firewall of the app could not be loaded"),
            (_, Desired::Stopped) => {}
            _ => match self.backend(app, serving, &traffic) {
                Some(backend) => main.backend = backend,
                None => return Vec::new(),
            },
        }
        main.waf = protection.ok().flatten();
        main.bans = serving.shield.as_ref().ok().and_then(|shield| shield.bans.clone());
        let source = self.data.release(app, serving.release.source).join("source");
        self.divide(main, traffic, &manifest.tls, &source)
    }

    /// The routes that `[proxy]` and `[tls]` make of one; nothing of it is served if its back end is absent.
    fn divide(&self, mut main: Route, traffic: Traffic, tls: &TlsOptions, folder: &Path) -> Vec<Route> {
        let canary = self.canary(&traffic.canary);
        main.path_prefix.clone_from(&traffic.prefix);
        let with = |rules: Rules| {
            let mut route = main.clone();
            route.policy = Some(Arc::new(Policy { canary: canary.clone(), ..rules.policy }));
            route.limits = rules.limits;
            route
        };
        let mut routes = Vec::new();
        let folders = match main.backend {
            Backend::Unavailable { .. } => Vec::new(),
            _ => traffic.folders,
        };
        for (prefix, files) in folders {
            let mut route = with(traffic.rules.clone());
            route.path_prefix = prefix;
            route.backend = Backend::Static(files);
            self.secure(&mut route, tls, folder);
            routes.push(route);
        }
        for path in traffic.paths {
            let mut route = with(path.rules);
            route.path_prefix = path.prefix;
            let client_certificates = path.client_certificates.or(tls.client_certificates);
            self.secure(&mut route, &TlsOptions { client_certificates, ..tls.clone() }, folder);
            routes.push(route);
        }
        let mut whole = with(traffic.rules);
        self.secure(&mut whole, tls, folder);
        routes.insert(0, whole);
        routes
    }

    /// Applies `[tls]`. A route whose client authorities cannot be read answers nobody.
    fn secure(&self, route: &mut Route, options: &TlsOptions, folder: &Path) {
        match self.route_tls(&route.app, &route.hosts, options, folder) {
            Ok((tls, redirect)) => (route.tls, route.redirect_https) = (tls, redirect),
            Err(failure) => {
                let cause = failure.cause.as_deref().unwrap_or_default();
                tracing::error!(app = &*route.app, cause, "{}", failure.message);
                route.backend = unavailable("the authorities of client certificates could not be loaded");
            }
        }
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
                return Some(Backend::Static(StaticFiles { root, strip_prefix, ..traffic.files.clone() }));
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
        protection: Option<Result<Option<Arc<Protection>>, Failure>>,
        settings: &Settings,
    ) -> Vec<Route> {
        let mut main = Route::new(route.name(), route.hosts.clone(), unavailable("it is not loaded"));
        main.path_prefix = route.path_prefix.clone();
        let traffic = match traffic_of_route(route, settings) {
            Ok(traffic) => traffic,
            Err(fault) => {
                let (key, message) = (fault.shown(), &fault.message);
                tracing::error!(
                    route = route.name(),
                    key,
                    "[route.proxy] cannot be put into force: {message}"
                );
                main.backend = unavailable("[route.proxy] cannot be put into force");
                return vec![main];
            }
        };
        main.backend = match (&protection, &route.target) {
            (None | Some(Err(_)), _) => unavailable("the firewall of the route could not be loaded"),
            (_, Target::Upstream(upstream)) => route_group(upstream, route, &traffic.pool),
            (_, Target::Folder(root)) => {
                let strip_prefix = route.path_prefix.trim_end_matches('/').to_owned();
                Backend::Static(StaticFiles { root: root.clone(), strip_prefix, ..traffic.files.clone() })
            }
        };
        main.waf = protection.and_then(Result::ok).flatten();
        self.divide(main, traffic, &route.tls, Path::new(""))
    }
}

fn unavailable(reason: &str) -> Backend {
    Backend::Unavailable { reason: reason.into() }
}
