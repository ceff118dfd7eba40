//! `[proxy]` of apps and static routes: checked before anything is changed, translated when routes are made.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hop3_proxy::{Backend, Endpoint, Member, Pool};
use hop3_runtimes::manifest::Manifest;

use super::front::Front;
use super::{Control, Serving, locked};
use crate::failure::{Failure, Kind};
use crate::model::{AppName, Release, Variables};
use crate::settings::{Settings, StaticRoute, diagnosed};
use crate::traffic::{Fault, Files, Passwords, Subject, Traffic};

impl Control {
    /// Checks `[proxy]` of an app whose files are those of `files`.
    ///
    /// # Errors
    /// The first fault, with its place in `hop3.toml`.
    pub(super) fn check_traffic(
        &self,
        app: &AppName,
        manifest: &Manifest,
        files: Files<'_>,
        variables: &Variables,
    ) -> Result<Traffic, Failure> {
        let hosts = self.host_names(app, manifest);
        let settings = self.settings.load();
        let subject = Subject {
            name: app.as_str(),
            hosts: &hosts,
            files,
            passwords: Passwords::Configuration(variables),
            rate_limit: manifest.waf.rate_limit.as_ref().or(settings.waf.rate_limit.as_ref()),
        };
        Traffic::new(&manifest.proxy, &subject).map_err(|fault| located(&fault, manifest, files))
    }

    /// Checks `[proxy]` of a release that is built.
    ///
    /// # Errors
    /// The first fault, or the store cannot be read.
    pub(super) fn traffic_of(&self, app: &AppName, release: &Release) -> Result<Traffic, Failure> {
        let source = self.data.release(app, release.source).join("source");
        let folder = release.artifact.as_ref().map_or(source.as_path(), |artifact| artifact.root.as_path());
        let variables = match &release.manifest.proxy {
            // Only passwords are looked up there.
            proxy
                if proxy.basic_auth.is_none() && proxy.paths.iter().all(|path| path.basic_auth.is_none()) =>
            {
                Variables::new()
            }
            _ => self.store.read()?.variables(app, release.config_version)?,
        };
        self.check_traffic(app, &release.manifest, Files::Inside(folder), &variables)
    }

    /// The instances of an app as they are now, in the group that its `[proxy]` describes.
    pub(super) fn group(&self, app: &AppName, serving: &Serving, pool: &Pool) -> Pool {
        let mut pool = pool.clone();
        for endpoint in self.fleet.endpoints(app, serving.release.number) {
            if let hop3_runtimes::instance::Endpoint::Http(address) = endpoint {
                pool.members.push(Member { endpoint: Endpoint::Tcp(address), weight: 1 });
            }
        }
        pool
    }

    /// The canary of what `front` belongs to, with its instances; `None` while there is none, and everybody gets the
    /// ordinary ones.
    pub(super) fn canary(&self, front: &Front) -> Option<hop3_proxy::Canary> {
        let (options, canary) = front.traffic.canary.as_ref()?;
        let mut pool = Pool::clone(&canary.pool);
        if let Some(app) = &options.app {
            let serving = locked(&self.deployed).get(app).cloned()?;
            if front.app.as_ref().is_some_and(|main| !agrees(&serving.release.manifest, main)) {
                return None;
            }
            pool = self.group(app, &serving, &pool);
        } else {
            let written = options.upstream.0.iter().filter_map(|address| address.parse().ok());
            pool.members = written.map(|endpoint| Member { endpoint, weight: 1 }).collect();
        }
        (!pool.members.is_empty()).then(|| hop3_proxy::Canary { pool: Arc::new(pool), ..canary.clone() })
    }

    /// Whether the app that is to be the canary of `app` agrees, if it is there yet: it is reached past its own
    /// passwords and firewall.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn check_canary(
        &self,
        app: &AppName,
        manifest: &Manifest,
        files: Files<'_>,
    ) -> Result<(), Failure> {
        let Some(other) = manifest.proxy.canary.as_ref().and_then(|canary| canary.app.as_ref()) else {
            return Ok(());
        };
        let serving = locked(&self.deployed).get(other).cloned();
        if serving.is_none_or(|serving| agrees(&serving.release.manifest, app)) {
            return Ok(());
        }
        let fault = Fault {
            key: vec!["canary".into(), "app".into()],
            message: format!("'{other}' does not agree to be the canary of '{app}'"),
            hint: Some(format!(
                "write canary-of = [\"{app}\"] under [proxy] of its hop3.toml, and deploy it"
            )),
        };
        Err(located(&fault, manifest, files))
    }

    /// Every path prefix that a manifest claims on the app's hosts.
    pub(super) fn prefixes(manifest: &Manifest) -> Vec<String> {
        let trim = |prefix: &str| prefix.trim_end_matches('/').to_owned();
        let proxy = &manifest.proxy;
        let own = trim(proxy.path_prefix.as_deref().unwrap_or("/"));
        let paths = proxy.paths.iter().map(|path| trim(&path.prefix));
        std::iter::once(own).chain(paths).chain(proxy.static_files.keys().map(|url| trim(url))).collect()
    }

    /// Forgets kept answers of an app or static route. How many that were.
    ///
    /// # Errors
    /// Nothing of that name is served, or the server is stopping.
    pub fn purge_cache(&self, owner: &str, path: Option<&str>) -> Result<usize, Failure> {
        let proxy = locked(&self.proxy);
        let proxy =
            proxy.as_ref().ok_or_else(|| Failure::new(Kind::Unavailable, "the server is stopping"))?;
        if !proxy.routes().routes().iter().any(|route| &*route.app == owner) {
            return Err(Failure::not_found(format!("no app or static route '{owner}' is served"))
                .hint("`hop3 certs list` shows all"));
        }
        if let Some(path) = path.filter(|path| !path.starts_with('/')) {
            return Err(Failure::usage(format!("`{path}` is no path: it begins with `/`")));
        }
        Ok(proxy.purge_cache(owner, path))
    }
}

/// `[route.proxy]` in the proxy's terms. Reads the files it names.
pub(super) fn traffic_of_route(route: &StaticRoute, settings: &Settings) -> Result<Traffic, Fault> {
    route.traffic(settings.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")))
}

/// The group of a static route.
pub(super) fn route_group(upstream: &[Endpoint], route: &StaticRoute, pool: &Pool) -> Backend {
    let mut pool = pool.clone();
    let member = |endpoint: &Endpoint| Member { endpoint: endpoint.clone(), weight: route.weight(endpoint) };
    pool.members = upstream.iter().map(member).collect();
    Backend::Pool(Arc::new(pool))
}

/// Whether an app agrees to be the canary of `main`.
fn agrees(manifest: &Manifest, main: &AppName) -> bool {
    manifest.proxy.canary_of.contains(main)
}

fn located(fault: &Fault, manifest: &Manifest, files: Files<'_>) -> Failure {
    let (Files::Inside(folder) | Files::Unbuilt(folder) | Files::Anywhere(folder)) = files;
    let file = manifest.files.iter().find(|file| file.extension().is_some_and(|kind| kind == "toml"));
    let text = file.and_then(|file| fs::read_to_string(folder.join(file)).ok());
    match (file, text) {
        (Some(file), Some(text)) => diagnosed(&fault.at(file, &text, &["proxy"])),
        _ => Failure::usage(format!("[proxy] {}: {}", fault.shown(), fault.message))
            .maybe_hint(fault.hint.clone()),
    }
}
