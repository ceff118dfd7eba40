//! From what is deployed to the proxy's route table.

use std::path::Path;
use std::sync::Arc;

use hop3_proxy::{
    Backend, HostPattern, Protection, ProtectionMode, Route, RouteLimits, RouteTable, StaticFiles,
};
use hop3_runtimes::instance::Endpoint;
use hop3_runtimes::manifest::Manifest;
use hop3_runtimes::manifest::tls::TlsOptions;
use hop3_runtimes::manifest::waf::WafMode;

use super::ping::reachable;
use super::{Control, Serving, locked};
use crate::failure::Failure;
use crate::firewall::Shield;
use crate::model::{AppName, Desired};
use crate::settings::{Settings, StaticRoute, Target};

impl Control {
    /// Makes the route table of this moment and hands it to the proxy. What cannot be routed is reported, and the
    /// table in force stays.
    pub(super) fn publish(&self) {
        let _one_at_a_time = locked(&self.publishing);
        match self.table(&self.settings.load()) {
            Ok(table) => {
                self.want_certificates(&table);
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
            let mut made = static_route(route, protection);
            self.secure(&mut made, &route.tls, Path::new(""));
            routes.push(made);
        }
        for (app, serving) in locked(&self.deployed).iter() {
            if let Some(route) = self.app_route(app, serving, settings) {
                routes.push(route);
            }
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
        let wanted = self.host_names(app, manifest);
        for (other, serving) in locked(&self.deployed).iter().filter(|(other, _)| *other != app) {
            let theirs = self.host_names(other, &serving.release.manifest);
            if let Some(host) = wanted.iter().find(|host| theirs.contains(host)) {
                return Err(Failure::conflict(format!("host `{host}` belongs to app '{other}'"))
                    .hint("remove it from [domains] of one of the two"));
            }
        }
        for route in &self.settings.load().routes {
            let theirs: Vec<String> = route.hosts.iter().map(HostPattern::to_string).collect();
            let clash = wanted.iter().find(|host| theirs.contains(host));
            if let Some(host) = clash.filter(|_| route.path_prefix == "/") {
                return Err(Failure::conflict(format!(
                    "host `{host}` belongs to a [[route]] of hop3-server.toml"
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

    fn app_route(&self, app: &AppName, serving: &Serving, settings: &Settings) -> Option<Route> {
        let manifest = &serving.release.manifest;
        let default = format!("{app}.{}", settings.domain);
        let names = if manifest.domains.is_empty() { vec![default] } else { manifest.domains.clone() };
        let hosts: Vec<HostPattern> = names.iter().filter_map(|host| host.parse().ok()).collect();
        let protection = self.protection(app.as_str(), &serving.shield, settings);
        let backend = match (&protection, serving.desired) {
            (Err(_), _) => unavailable("the firewall of the app could not be loaded"),
            (_, Desired::Stopped) => unavailable("the app is stopped"),
            _ => self.backend(app, serving)?,
        };
        let mut limits = RouteLimits::default();
        let proxy = &manifest.proxy;
        if let Some(size) = proxy.max_body_size {
            limits.max_body = size.0;
        }
        if let Some(connect) = proxy.timeouts.connect {
            limits.connect_timeout = connect.0;
        }
        if let Some(read) = proxy.timeouts.read {
            (limits.read_timeout, limits.response_timeout) = (read.0, read.0);
        }
        if let Some(idle) = proxy.timeouts.idle {
            limits.tunnel_timeout = idle.0;
        }
        let mut route = Route::new(app.as_str(), hosts, backend);
        route.waf = protection.ok().flatten();
        route.limits = limits;
        let source = self.data.release(app, serving.release.source).join("source");
        self.secure(&mut route, &manifest.tls, &source);
        Some(route)
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
    fn backend(&self, app: &AppName, serving: &Serving) -> Option<Backend> {
        let artifact = serving.release.artifact.as_ref()?;
        let is_site = matches!(artifact.kind, hop3_runtimes::artifact::ArtifactKind::Static { .. });
        if !is_site && serving.release.manifest.web().is_none() {
            return None;
        }
        let mut addresses = Vec::new();
        for endpoint in self.fleet.endpoints(app, serving.release.number) {
            match endpoint {
                Endpoint::Http(address) => addresses.push(hop3_proxy::Endpoint::Tcp(address)),
                Endpoint::Folder(folder) => return Some(Backend::Static(StaticFiles::new(folder))),
                Endpoint::None => {}
            }
        }
        if addresses.is_empty() {
            return Some(unavailable("no instance of the app answers"));
        }
        Some(Backend::http(addresses))
    }
}

fn static_route(route: &StaticRoute, protection: Option<Result<Option<Arc<Protection>>, Failure>>) -> Route {
    let backend = match (&protection, &route.target) {
        (None | Some(Err(_)), _) => unavailable("the firewall of the route could not be loaded"),
        (_, Target::Upstream(endpoint)) => Backend::http([endpoint.clone()]),
        (_, Target::Folder(folder)) => {
            let mut files = StaticFiles::new(folder);
            files.strip_prefix = route.path_prefix.trim_end_matches('/').to_owned();
            Backend::Static(files)
        }
    };
    let mut made = Route::new(route.name(), route.hosts.clone(), backend);
    made.path_prefix = route.path_prefix.clone();
    made.waf = protection.and_then(Result::ok).flatten();
    made
}

fn unavailable(reason: &str) -> Backend {
    Backend::Unavailable { reason: reason.into() }
}
