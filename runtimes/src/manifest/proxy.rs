//! `[proxy]` of `hop3.toml`, and `[route.proxy]` of the server's configuration: what happens to requests on their way
//! to an app and to answers on their way back.
//!
//! Owns how it is written. What it means (and what of it is nonsense) is decided where it is put into force. What is
//! said about the instances themselves is in [`upstream`].

pub mod forms;
pub mod upstream;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use self::forms::{CompressionChoice, Maintenance, RedirectTarget};
use self::upstream::{
    ActiveCheck, BalancingOptions, BreakerOptions, CanaryOptions, FastCgiOptions, UpstreamProtocol,
    UpstreamTlsOptions,
};
use super::tls::ClientCertificateMode;
use super::units::{ByteSize, Span};
use super::waf::RateLimit;
use crate::names::AppName;

/// `[proxy]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Proxy {
    /// Only paths beginning with this reach the app, e.g. `/shop`; another app may have the rest of the host.
    /// Default: `/`.
    #[serde(alias = "path_prefix")]
    pub path_prefix: Option<String>,
    /// Whether the app sees paths without `path-prefix`. Default: false.
    #[serde(alias = "strip_prefix")]
    pub strip_prefix: Option<bool>,
    /// Largest request body, whether inspected or not. Default: 50 MiB.
    #[serde(alias = "max_body_size")]
    pub max_body_size: Option<ByteSize>,
    /// Whether a request is read whole before the app sees it. Default: false.
    #[serde(alias = "request_buffering")]
    pub request_buffering: Option<bool>,
    /// Most bytes of an answer that are read before its client takes them, so that the app can go on; 0 for none.
    /// Default: 16 MiB.
    #[serde(alias = "response_buffering")]
    pub response_buffering: Option<ByteSize>,
    /// Deadlines.
    pub timeouts: ProxyTimeouts,
    /// Response headers to set; an empty value removes one. Short for `[proxy.response-headers] set`.
    pub headers: BTreeMap<String, String>,
    /// Changes to requests before the app sees them.
    #[serde(alias = "request_headers")]
    pub request_headers: HeaderChanges,
    /// Changes to every answer.
    #[serde(alias = "response_headers")]
    pub response_headers: HeaderChanges,
    /// Paths (`/old`, `/old/*`) or hosts that are redirected, and where to.
    pub redirect: BTreeMap<String, RedirectTarget>,
    /// URL prefixes served from folders of the app.
    #[serde(rename = "static")]
    pub static_files: BTreeMap<String, PathBuf>,
    /// How files are served, of `static` and of static sites.
    pub files: FileOptions,
    /// URL prefixes that may be cached, and how long when the app does not say.
    pub cache: BTreeMap<String, Span>,
    /// How much is kept.
    #[serde(alias = "cache_limits")]
    pub cache_limits: CacheLimits,
    /// Whether answers are compressed: `true`, or a table. Default: false.
    pub compression: Option<CompressionChoice>,
    /// Protects the whole app with a name and password.
    #[serde(alias = "basic_auth")]
    pub basic_auth: Option<BasicAuth>,
    /// Request rate per client; 429 beyond it.
    #[serde(alias = "rate_limit")]
    pub rate_limit: Option<RateLimit>,
    /// How many requests the app is given at a time; 503 beyond it.
    pub concurrency: Option<ConcurrencyOptions>,
    /// Networks that may reach the app, all others not.
    pub allow: Vec<String>,
    /// Networks that may not.
    pub deny: Vec<String>,
    /// What scripts of other sites may do.
    pub cors: Option<CorsOptions>,
    /// Whether everybody gets 503 and a page: `true`, or a table. Default: false.
    pub maintenance: Option<Maintenance>,
    /// Pages for what the proxy answers itself: `"404"`, `"4xx"`, … and HTML files of the app.
    #[serde(alias = "error_pages")]
    pub error_pages: BTreeMap<String, PathBuf>,
    /// How long requests wait while no instance of the app is there, e.g. while it restarts. Default: not at all.
    pub hold: Option<Span>,
    /// What the instances speak. Default: `http`.
    pub protocol: Option<UpstreamProtocol>,
    /// `[proxy.fastcgi]`: which files a FastCGI application runs.
    pub fastcgi: Option<FastCgiOptions>,
    /// `[proxy.upstream-tls]`: TLS towards instances.
    #[serde(alias = "upstream_tls")]
    pub upstream_tls: Option<UpstreamTlsOptions>,
    /// `[proxy.balancing]`: how an instance is chosen.
    pub balancing: BalancingOptions,
    /// `[proxy.breaker]`: what failures of real requests lead to.
    pub breaker: BreakerOptions,
    /// `[proxy.health-check]`: instances are asked from time to time whether they are well. Apps have `[healthcheck]`
    /// besides, which restarts sick instances.
    #[serde(alias = "health_check")]
    pub health_check: Option<ActiveCheck>,
    /// `[proxy.canary]`: a part of the requests goes elsewhere.
    pub canary: Option<CanaryOptions>,
    /// Apps whose `canary` this one agrees to be. It answers their requests behind their passwords and firewalls, not
    /// behind its own.
    #[serde(alias = "canary_of")]
    pub canary_of: Vec<AppName>,
    /// `[[proxy.paths]]`: other rules for a part of the paths.
    pub paths: Vec<PathRules>,
}

/// `[[proxy.paths]]`: what is set here holds in place of the same key of `[proxy]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PathRules {
    /// The paths, at segment borders: `/admin` holds `/admin` and `/admin/x`. Must be given.
    pub prefix: String,
    /// See [`Proxy::max_body_size`].
    #[serde(alias = "max_body_size")]
    pub max_body_size: Option<ByteSize>,
    /// See [`Proxy::request_buffering`].
    #[serde(alias = "request_buffering")]
    pub request_buffering: Option<bool>,
    /// See [`Proxy::timeouts`].
    pub timeouts: Option<ProxyTimeouts>,
    /// See [`Proxy::request_headers`].
    #[serde(alias = "request_headers")]
    pub request_headers: Option<HeaderChanges>,
    /// See [`Proxy::response_headers`].
    #[serde(alias = "response_headers")]
    pub response_headers: Option<HeaderChanges>,
    /// See [`Proxy::compression`].
    pub compression: Option<CompressionChoice>,
    /// See [`Proxy::basic_auth`].
    #[serde(alias = "basic_auth")]
    pub basic_auth: Option<BasicAuth>,
    /// See [`Proxy::rate_limit`]; counted apart from other paths.
    #[serde(alias = "rate_limit")]
    pub rate_limit: Option<RateLimit>,
    /// See [`Proxy::concurrency`]; counted apart from other paths.
    pub concurrency: Option<ConcurrencyOptions>,
    /// See [`Proxy::allow`].
    pub allow: Option<Vec<String>>,
    /// See [`Proxy::deny`].
    pub deny: Option<Vec<String>>,
    /// See [`Proxy::cors`].
    pub cors: Option<CorsOptions>,
    /// See [`Proxy::maintenance`].
    pub maintenance: Option<Maintenance>,
    /// Whether clients must show a certificate here; `[tls] client-ca` says whose count.
    #[serde(alias = "client_certificates")]
    pub client_certificates: Option<ClientCertificateMode>,
}

/// `[proxy.timeouts]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ProxyTimeouts {
    /// To connect to an instance. Default: 5 s.
    pub connect: Option<Span>,
    /// Until the answer begins, after the request was sent. Default: `read`, else 60 s.
    pub response: Option<Span>,
    /// Between two reads from an instance. Default: 60 s.
    pub read: Option<Span>,
    /// Between two writes to an instance. Default: 60 s.
    pub write: Option<Span>,
    /// Of silence in both directions of a WebSocket. Default: 1 h.
    #[serde(alias = "tunnel")]
    pub idle: Option<Span>,
}

/// Changes to a header, in this order: removed, set, added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HeaderChanges {
    /// Fields that go.
    pub remove: Vec<String>,
    /// Fields that have this value and no other.
    pub set: BTreeMap<String, String>,
    /// Fields beside others of their name.
    pub add: BTreeMap<String, String>,
}

/// `[proxy.files]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FileOptions {
    /// The file that stands for a folder. Default: `index.html`.
    pub index: Option<String>,
    /// How long clients may keep a file. Default: nothing is said.
    pub max_age: Option<Span>,
    /// The file for paths that have none, for single-page applications; static sites only.
    pub fallback: Option<String>,
    /// Whether `NAME.zst`, `NAME.br`, `NAME.gz` are sent in place of `NAME`. Default: true.
    pub precompressed: Option<bool>,
    /// Whether folders without an index are listed. Default: false.
    pub listing: Option<bool>,
}

/// `[proxy.cache-limits]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CacheLimits {
    /// Of all kept answers. Default: 64 MiB.
    pub max_size: Option<ByteSize>,
    /// Of one. Default: 1 MiB.
    pub max_entry: Option<ByteSize>,
}

/// `[proxy.basic-auth]` (RFC 7617).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BasicAuth {
    /// Shown by the browser. Default: the app's name.
    pub realm: Option<String>,
    /// User names, and the variables of the app's configuration that hold their bcrypt hashes (or such hashes
    /// themselves).
    pub users: BTreeMap<String, String>,
}

/// `[proxy.concurrency]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConcurrencyOptions {
    /// Requests under way; at least 1.
    pub requests: u32,
    /// Requests that may wait. Default: 0.
    #[serde(default)]
    pub queue: u32,
    /// How long they wait. Default: 10 s.
    #[serde(default = "ten_seconds")]
    pub patience: Span,
}

/// `[proxy.cors]` (the Fetch standard's cross-origin resource sharing).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CorsOptions {
    /// `https://app.example.org`, or `*`.
    pub origins: Vec<String>,
    /// Methods besides GET, HEAD and POST.
    pub methods: Vec<String>,
    /// Request header fields besides the harmless ones.
    pub headers: Vec<String>,
    /// Response header fields that scripts may read.
    pub expose: Vec<String>,
    /// Whether cookies and passwords may be sent along. Default: false.
    pub credentials: bool,
    /// How long browsers remember the answer. Default: 10 min.
    pub max_age: Option<Span>,
}

impl Proxy {
    /// These rules with those of a path in their place.
    #[must_use]
    pub fn at(&self, path: &PathRules) -> Self {
        let own = path.clone();
        let mut all = self.clone();
        all.max_body_size = own.max_body_size.or(all.max_body_size);
        all.request_buffering = own.request_buffering.or(all.request_buffering);
        all.timeouts = own.timeouts.unwrap_or(all.timeouts);
        all.request_headers = own.request_headers.unwrap_or(all.request_headers);
        if let Some(changes) = own.response_headers {
            (all.response_headers, all.headers) = (changes, BTreeMap::new());
        }
        all.compression = own.compression.or(all.compression);
        all.basic_auth = own.basic_auth.or(all.basic_auth);
        all.rate_limit = own.rate_limit.or(all.rate_limit);
        all.concurrency = own.concurrency.or(all.concurrency);
        all.allow = own.allow.unwrap_or(all.allow);
        all.deny = own.deny.unwrap_or(all.deny);
        all.cors = own.cors.or(all.cors);
        all.maintenance = own.maintenance.or(all.maintenance);
        all
    }
}

const fn ten_seconds() -> Span {
    Span::seconds(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_own_rules_over_the_apps() {
        let proxy: Proxy = toml::from_str(
            "allow = ['10.0.0.0/8']\nmax-body-size = '1m'\nheaders = {X-A = '1'}\n\
             [[paths]]\nprefix = '/up'\nmax-body-size = '9m'\nallow = []\n",
        )
        .unwrap();
        let at = proxy.at(&proxy.paths[0]);
        assert_eq!(at.max_body_size, Some(ByteSize(9 << 20)));
        assert!(at.allow.is_empty() && !proxy.allow.is_empty());
        assert_eq!(at.headers, proxy.headers);
    }

    #[test]
    fn a_path_takes_the_same_spellings() {
        let paths = "[[paths]]\nprefix = '/up'\nmax_body_size = '9m'\nbasic_auth = {users = {}}\nrequest_buffering = true\n\
                     client_certificates = 'require'\n";
        let proxy: Proxy = toml::from_str(paths).unwrap();
        let hyphens: Proxy = toml::from_str(&paths.replace('_', "-")).unwrap();
        assert_eq!(proxy, hyphens);
    }

    #[test]
    fn what_is_stored_with_a_release_reads_the_same() {
        let proxy: Proxy = toml::from_str(
            "compression = true\nmaintenance = {retry-after = '5m'}\nprotocol = 'fastcgi'\n\
             redirect = {'/a' = '/b', '/c' = {to = '/d', status = 302}}\n\
             balancing = {method = 'hash-cookie:sid', sticky = {cookie = 'where'}}\nfastcgi = {root = 'public'}\n",
        )
        .unwrap();
        let stored = serde_json::to_string(&proxy).unwrap();
        assert_eq!(serde_json::from_str::<Proxy>(&stored).unwrap(), proxy);
        // A release of an earlier version.
        let earlier: Proxy = serde_json::from_str("{\"redirect\":{\"/a\":\"/b\"}}").unwrap();
        assert_eq!(earlier.redirect["/a"].to, "/b");
    }

    #[test]
    fn faults_have_their_place() {
        for (text, line) in [
            ("compresion = true", 0),
            ("[cors]\norigin = []", 1),
            ("[balancing]\nmethod = 'random'", 1),
            ("protocol = 'gopher'", 0),
            ("[redirect]\n'/a' = 3", 1),
            ("maintenance = 'yes'", 0),
            ("[[paths]]\nprefix = '/a'\nclient-certificates = 'maybe'", 2),
        ] {
            let error = toml::from_str::<Proxy>(text).unwrap_err();
            let at = error.span().unwrap().start;
            assert_eq!(text[..at].matches('\n').count(), line, "{text}: {error}");
        }
    }
}
