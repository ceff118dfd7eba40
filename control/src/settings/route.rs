//! `[[route]]`: hosts that are served without any app.

use std::path::{Path, PathBuf};

use hop3_proxy::{Endpoint, EndpointError, HostPattern};
use hop3_runtimes::manifest::proxy::Proxy;
use hop3_runtimes::manifest::tls::TlsOptions;
use hop3_runtimes::manifest::waf::WafOptions;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::traffic::{Fault, Files, Passwords, Subject, Traffic};

/// `[[route]]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RouteOptions {
    /// Host names; `*.example.org` covers all below it, `*` every host nobody else names. At least one.
    pub hosts: Vec<RouteHost>,
    /// Only paths beginning with this, e.g. `/shop`. Default: `/`.
    pub path_prefix: Option<String>,
    /// `http://host:port`, `https://host:port`, `host:port` or `unix:/path`; a list for several instances.
    pub upstream: Option<RouteUpstreams>,
    /// A folder of files, relative to the configuration file.
    #[serde(rename = "static")]
    pub folder: Option<PathBuf>,
    /// `[route.proxy]`, the keys of hop3.toml's `[proxy]`; files are relative to the configuration file.
    pub proxy: Proxy,
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
    /// What happens to requests and answers.
    pub proxy: Proxy,
    /// What HTTPS means for it; files are absolute or relative to the server's folder.
    pub tls: TlsOptions,
    /// The firewall's options, the server's defaults filled in.
    pub waf: WafOptions,
}

/// What answers a static route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Other servers, at least one.
    Upstream(Vec<Endpoint>),
    /// Files below this folder.
    Folder(PathBuf),
}

/// One entry of `hosts`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct RouteHost(HostPattern);

/// The value of `upstream`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteUpstreams(Vec<RouteUpstream>);

/// One address of `upstream`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RouteUpstream {
    endpoint: Endpoint,
    /// Whether TLS is spoken: `https://`.
    secure: bool,
}

impl TryFrom<String> for RouteHost {
    type Error = hop3_proxy::HostPatternError;

    fn try_from(text: String) -> Result<RouteHost, Self::Error> {
        text.parse().map(RouteHost)
    }
}

impl TryFrom<String> for RouteUpstream {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<RouteUpstream, Self::Error> {
        let Some(address) = text.strip_prefix("https://") else {
            return Ok(RouteUpstream { endpoint: text.parse()?, secure: false });
        };
        let address = address.trim_end_matches('/');
        // With its port, else with the usual one.
        let endpoint = address.parse().or_else(|error: EndpointError| {
            if address.contains('/') { Err(error) } else { format!("{address}:443").parse() }
        })?;
        Ok(RouteUpstream { endpoint, secure: true })
    }
}

impl<'de> Deserialize<'de> for RouteUpstreams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RouteUpstreams, D::Error> {
        deserializer.deserialize_any(UpstreamsVisitor)
    }
}

struct UpstreamsVisitor;

impl<'de> Visitor<'de> for UpstreamsVisitor {
    type Value = RouteUpstreams;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an address such as \"http://127.0.0.1:3000\", or a list of addresses")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RouteUpstreams, E> {
        text.to_owned().try_into().map(|one| RouteUpstreams(vec![one])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<RouteUpstreams, A::Error> {
        let all: Vec<RouteUpstream> = Vec::deserialize(de::value::SeqAccessDeserializer::new(items))?;
        match all.first() {
            None => Err(de::Error::custom("a [[route]] needs at least one address")),
            Some(first) if all.iter().any(|one| one.secure != first.secure) => {
                Err(de::Error::custom("`http://` and `https://` cannot be mixed in one [[route]]"))
            }
            Some(_) => Ok(RouteUpstreams(all)),
        }
    }
}

impl StaticRoute {
    /// The name under which its requests are counted and its firewall events kept: its first host, with the path
    /// unless that is `/`. No two routes share it, since no two claim the same host and path.
    pub fn name(&self) -> String {
        let host = self.hosts.first().map(HostPattern::to_string).unwrap_or_default();
        format!("{host}{}", self.path_prefix.trim_end_matches('/'))
    }

    /// `[route.proxy]` in the proxy's terms; files are relative to `folder`.
    ///
    /// # Errors
    /// The first fault in it.
    pub fn traffic(&self, folder: &Path) -> Result<Traffic, Fault> {
        let hosts: Vec<String> = self.hosts.iter().map(HostPattern::to_string).collect();
        let proxy = Proxy { path_prefix: Some(self.path_prefix.clone()), ..self.proxy.clone() };
        Traffic::new(
            &proxy,
            &Subject {
                name: &self.name(),
                hosts: &hosts,
                files: Files::Anywhere(folder),
                passwords: Passwords::Written,
                rate_limit: self.waf.rate_limit.as_ref(),
            },
        )
    }

    /// The share of one of its servers.
    pub fn weight(&self, endpoint: &Endpoint) -> u32 {
        let weights = &self.proxy.balancing.weights;
        weights.iter().find(|(address, _)| is_at(address, endpoint)).map_or(1, |(_, weight)| *weight)
    }

    /// The host that both this and `other` would serve under the same path.
    pub fn clashes_with(&self, other: &StaticRoute) -> Option<&HostPattern> {
        let path = |route: &StaticRoute| route.path_prefix.trim_end_matches('/').to_owned();
        let same_path = path(self) == path(other);
        self.hosts.iter().find(|host| same_path && other.hosts.contains(host))
    }
}

/// Whether an address, as it is written in settings, is this one.
fn is_at(address: &str, endpoint: &Endpoint) -> bool {
    RouteUpstream::try_from(address.to_owned()).is_ok_and(|named| named.endpoint == *endpoint)
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
        let mut proxy = self.proxy;
        if proxy.path_prefix.is_some() {
            return Err("`path-prefix` of a route stands in [[route]], not in [route.proxy]".into());
        }
        let target = match (self.upstream, self.folder) {
            (Some(RouteUpstreams(upstream)), None) => {
                // `https://` says it all; [route.proxy.upstream-tls] may say how.
                if upstream.iter().any(|one| one.secure) {
                    proxy.upstream_tls.get_or_insert_default();
                }
                let endpoints: Vec<Endpoint> = upstream.into_iter().map(|one| one.endpoint).collect();
                let is_one = |address: &&String| endpoints.iter().any(|endpoint| is_at(address, endpoint));
                if let Some(other) = proxy.balancing.weights.keys().find(|address| !is_one(address)) {
                    return Err(format!(
                        "[route.proxy.balancing]: `weights` names `{other}`, which is not in `upstream`; write it as there"
                    ));
                }
                Target::Upstream(endpoints)
            }
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
        if tls.paths_without_authority(&proxy).is_some() {
            return Err(
                "[[route.proxy.paths]]: `client-certificates` needs `client-ca` of [route.tls]".into()
            );
        }
        tls.client_ca = tls.client_ca.map(|file| folder.join(file));
        let hosts = self.hosts.into_iter().map(|RouteHost(host)| host).collect();
        Ok(StaticRoute { hosts, path_prefix, target, proxy, tls, waf })
    }
}
