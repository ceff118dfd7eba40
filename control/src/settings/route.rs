//! `[[route]]`: hosts that are served without any app.

use std::path::{Path, PathBuf};

use hop3_proxy::{Endpoint, HostPattern};
use hop3_runtimes::manifest::tls::TlsOptions;
use hop3_runtimes::manifest::waf::WafOptions;
use serde::Deserialize;

/// `[[route]]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RouteOptions {
    /// Host names; `*.example.org` covers all below it, `*` every host nobody else names. At least one.
    pub hosts: Vec<RouteHost>,
    /// Only paths beginning with this, e.g. `/shop`. Default: `/`.
    pub path_prefix: Option<String>,
    /// `http://host:port` or `unix:/path`.
    pub upstream: Option<RouteUpstream>,
    /// A folder of files, relative to the configuration file.
    #[serde(rename = "static")]
    pub folder: Option<PathBuf>,
    /// `[route.tls]`, the keys of hop3.toml's `[tls]`; files are relative to the configuration file.
    pub tls: TlsOptions,
    /// `[route.waf]`, the keys of hop3.toml's `[waf]`.
    pub waf: WafOptions,
}

/// `[[route]]` resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticRoute {
    /// Host names, at least one.
    pub hosts: Vec<HostPattern>,
    /// Begins with `/`.
    pub path_prefix: String,
    /// What answers.
    pub target: Target,
    /// What HTTPS means for it; files are absolute or relative to the server's folder.
    pub tls: TlsOptions,
    /// The firewall's options, the server's defaults filled in.
    pub waf: WafOptions,
}

/// What answers a static route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Another server.
    Upstream(Endpoint),
    /// Files below this folder.
    Folder(PathBuf),
}

/// One entry of `hosts`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct RouteHost(HostPattern);

/// The value of `upstream`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct RouteUpstream(Endpoint);

impl TryFrom<String> for RouteHost {
    type Error = hop3_proxy::HostPatternError;

    fn try_from(text: String) -> Result<RouteHost, Self::Error> {
        text.parse().map(RouteHost)
    }
}

impl TryFrom<String> for RouteUpstream {
    type Error = hop3_proxy::EndpointError;

    fn try_from(text: String) -> Result<RouteUpstream, Self::Error> {
        text.parse().map(RouteUpstream)
    }
}

impl StaticRoute {
    /// The name under which its requests are counted and its firewall events kept: its first host, with the path
    /// unless that is `/`. No two routes share it, since no two claim the same host and path.
    pub fn name(&self) -> String {
        let host = self.hosts.first().map(HostPattern::to_string).unwrap_or_default();
        format!("{host}{}", self.path_prefix.trim_end_matches('/'))
    }

    /// The host that both this and `other` would serve under the same path.
    pub fn clashes_with(&self, other: &StaticRoute) -> Option<&HostPattern> {
        let path = |route: &StaticRoute| route.path_prefix.trim_end_matches('/').to_owned();
        let same_path = path(self) == path(other);
        self.hosts.iter().find(|host| same_path && other.hosts.contains(host))
    }
}

impl RouteOptions {
    /// Its meaning, or what is wrong with it.
    pub(super) fn resolve(self, folder: &Path, defaults: &WafOptions) -> Result<StaticRoute, String> {
        if self.hosts.is_empty() {
            return Err("a [[route]] needs `hosts`, e.g. hosts = [\"shop.example.org\"]".into());
        }
        let path_prefix = self.path_prefix.unwrap_or_else(|| "/".into());
        if !path_prefix.starts_with('/') {
            return Err(format!("`path-prefix` must begin with `/`, not `{path_prefix}`"));
        }
        let target = match (self.upstream, self.folder) {
            (Some(RouteUpstream(upstream)), None) => Target::Upstream(upstream),
            (None, Some(files)) => Target::Folder(folder.join(files)),
            (Some(_), Some(_)) => return Err("a [[route]] has `upstream` or `static`, not both".into()),
            (None, None) => return Err("a [[route]] needs `upstream` or `static`".into()),
        };
        let waf = self.waf.or(defaults);
        waf.resolve().map_err(|error| format!("[route.waf]: {error}"))?;
        let mut tls = self.tls;
        if let Some(fault) = tls.fault() {
            return Err(format!("[route.tls]: {fault}"));
        }
        tls.client_ca = tls.client_ca.map(|file| folder.join(file));
        let hosts = self.hosts.into_iter().map(|RouteHost(host)| host).collect();
        Ok(StaticRoute { hosts, path_prefix, target, tls, waf })
    }
}
