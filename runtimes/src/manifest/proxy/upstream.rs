//! The keys of `[proxy]` about instances: what they speak, how one is chosen, when one is set aside.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::manifest::traffic::{ProbePath, StatusCode};
use crate::manifest::units::{OneOrMany, Span};

/// What instances speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamProtocol {
    /// HTTP/1.1; over TLS also HTTP/2.
    #[default]
    Http,
    /// HTTP/2 without TLS.
    H2c,
    /// uwsgi.
    Uwsgi,
    /// FastCGI.
    Fastcgi,
}

/// `[proxy.fastcgi]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FastCgiOptions {
    /// Folder of scripts, and of files that are served beside them; none for an application that is no collection of
    /// scripts.
    pub root: Option<PathBuf>,
    /// The script that stands for a folder. Default: `index.php`.
    pub index: Option<String>,
    /// The script for everything that is no file; `false` for none. Default: `index.php`.
    pub front: Option<FrontScript>,
}

/// The value of `front`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FrontScript {
    /// `false`: what is no file gets 404. `true`: the default.
    Switch(bool),
    /// This script.
    Script(String),
}

/// `[proxy.upstream-tls]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct UpstreamTlsOptions {
    /// The name that is asked for and that the certificate must carry. Default: the endpoint's host.
    pub server_name: Option<String>,
    /// PEM file of authorities. Default: the system's.
    pub ca: Option<PathBuf>,
    /// Whether the certificate is checked. Default: true.
    pub verify: Option<bool>,
    /// PEM file of our own certificate chain, with `key`.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
    /// Whether HTTP/2 is offered. Default: true.
    pub http2: Option<bool>,
}

/// `[proxy.balancing]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BalancingOptions {
    /// `least-connections` (default), `hash-client`, `hash-target`, `hash-header:NAME`, `hash-cookie:NAME`.
    pub method: Option<BalancingMethod>,
    /// Sends a browser back to the instance that answered it first.
    pub sticky: Option<StickyOptions>,
    /// Shares of instances by their address, as in `upstream`. Default: 1.
    pub weights: BTreeMap<String, u32>,
    /// Time in which an instance that came up gets its full share. Default: 0.
    pub slow_start: Option<Span>,
    /// Most requests that one instance is given at a time; 503 beyond it. Default: any number.
    pub max_connections: Option<u32>,
    /// Most idle connections kept to one instance. Default: 128.
    pub max_idle: Option<u32>,
    /// Longest time they are kept: less than instances wait for the next request. Default: 55 s; 5 s for FastCGI.
    pub max_idle_time: Option<Span>,
    /// Tries after the first one, of safe requests. Default: 2.
    pub retries: Option<u32>,
}

/// How an instance is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BalancingMethod {
    /// The one with the fewest requests under way.
    LeastConnections,
    /// The same one for the same client address.
    HashClient,
    /// The same one for the same path and query.
    HashTarget,
    /// The same one for the same value of this header field.
    HashHeader(String),
    /// The same one for the same value of this cookie.
    HashCookie(String),
}

/// `sticky` of `[proxy.balancing]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StickyOptions {
    /// Name of the cookie.
    pub cookie: String,
    /// How long browsers keep it. Default: as long as they run.
    #[serde(default)]
    pub max_age: Option<Span>,
}

/// `[proxy.breaker]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BreakerOptions {
    /// Failures in a row after which an instance is set aside while there are others; missing answers count by client.
    /// Default: 2.
    pub aside_after: Option<u32>,
    /// First time set aside; doubled with each further failure. Default: 1 s.
    pub first_pause: Option<Span>,
    /// Longest time set aside. Default: 10 s.
    pub longest_pause: Option<Span>,
    /// Failures in a row after which an instance is not asked at all, even if there is no other; 0 for never.
    /// Default: 20.
    pub open_after: Option<u32>,
}

/// `[proxy.health-check]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ActiveCheck {
    /// Default: `/`.
    pub path: Option<ProbePath>,
    /// `Host` of the question. Default: the first host, `localhost` where that is `*`.
    pub host: Option<String>,
    /// The only good status. Default: any below 500.
    pub status: Option<StatusCode>,
    /// Between two checks. Default: 10 s.
    pub interval: Option<Span>,
    /// Of one check. Default: 5 s.
    pub timeout: Option<Span>,
    /// Bad checks in a row until an instance is down. Default: 3.
    pub fall: Option<u32>,
    /// Good checks in a row until it is up again. Default: 2.
    pub rise: Option<u32>,
}

/// `[proxy.canary]`: which requests go elsewhere, and where to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CanaryOptions {
    /// Another app of this server, e.g. the next version deployed beside this one. Its `canary-of` must name this app.
    pub app: Option<crate::names::AppName>,
    /// Or addresses, as in `upstream` of a route; for routes alone.
    pub upstream: OneOrMany,
    /// Hundredths of the clients; the same client always goes the same way. Default: 0.
    pub percent: u8,
    /// `NAME` or `NAME: VALUE`: requests that carry this header always go there.
    pub header: Option<String>,
}

impl UpstreamProtocol {
    /// Whether an instance answers the question of `[healthcheck]`, which is HTTP/1.1.
    #[must_use]
    pub const fn answers_probes(self) -> bool {
        matches!(self, Self::Http)
    }
}

impl TryFrom<String> for BalancingMethod {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_token);
        match (text.as_str(), text.split_once(':')) {
            ("least-connections", _) => Ok(Self::LeastConnections),
            ("hash-client", _) => Ok(Self::HashClient),
            ("hash-target", _) => Ok(Self::HashTarget),
            (_, Some(("hash-header", name))) if is_name(name) => {
                Ok(Self::HashHeader(name.to_ascii_lowercase()))
            }
            (_, Some(("hash-cookie", name))) if is_name(name) => Ok(Self::HashCookie(name.to_owned())),
            _ => Err(format!(
                "`{}` is no way to choose an instance: write `least-connections`, `hash-client`, `hash-target`, \
                 `hash-header:NAME` or `hash-cookie:NAME`",
                text.escape_debug()
            )),
        }
    }
}

impl From<BalancingMethod> for String {
    fn from(method: BalancingMethod) -> Self {
        match method {
            BalancingMethod::LeastConnections => "least-connections".to_owned(),
            BalancingMethod::HashClient => "hash-client".to_owned(),
            BalancingMethod::HashTarget => "hash-target".to_owned(),
            BalancingMethod::HashHeader(name) => format!("hash-header:{name}"),
            BalancingMethod::HashCookie(name) => format!("hash-cookie:{name}"),
        }
    }
}

/// RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}
