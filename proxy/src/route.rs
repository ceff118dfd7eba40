//! Routes: which host and path leads where. The table is a value that the caller builds and publishes whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::backend::Backend;
use crate::bans::BanRules;
use crate::firewall::Protection;
use crate::hosts::{ByHost, HostPattern};
use crate::path_readings;
use crate::policy::Policy;
use crate::tls::client_certificates::ClientCertificates;
use crate::upstream::pool::Pool;

/// Limits and deadlines of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteLimits {
    /// Largest request body in bytes; beyond it 413.
    pub max_body: u64,
    /// Time to connect to a back end.
    pub connect_timeout: Duration,
    /// Time until the response head arrives, after the request was sent.
    pub response_timeout: Duration,
    /// Longest pause within a response body.
    pub read_timeout: Duration,
    /// Longest time a back end may take to accept some bytes of a request.
    pub write_timeout: Duration,
    /// Longest silence in both directions of an upgraded connection.
    pub tunnel_timeout: Duration,
}

impl Default for RouteLimits {
    fn default() -> Self {
        Self {
            max_body: 50 * 1024 * 1024,
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            tunnel_timeout: Duration::from_secs(3600),
        }
    }
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// The app it belongs to: the label in metrics and logs.
    pub app: Arc<str>,
    /// The hosts it answers for.
    pub hosts: Vec<HostPattern>,
    /// Path it answers for, at segment borders: `/api` holds `/api` and `/api/x`, not `/apix`. `/` is everything.
    pub path_prefix: String,
    /// Where requests go.
    pub backend: Backend,
    /// The firewall in front of it.
    pub waf: Option<Arc<Protection>>,
    /// Limits and deadlines.
    pub limits: RouteLimits,
    /// Which requests over plain HTTP are answered with a redirect to HTTPS.
    pub redirect_https: HttpsRedirect,
    /// What else happens to requests and answers.
    pub policy: Option<Arc<Policy>>,
    /// What HTTPS means for it.
    pub tls: RouteTls,
    /// When its clients are banned; `None` for never.
    pub bans: Option<Arc<BanRules>>,
}

/// Which requests over plain HTTP are answered with a redirect to HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpsRedirect {
    /// None.
    #[default]
    Never,
    /// Those for a host that a certificate for the route's hosts covers: what lies more than one label below a wildcard
    /// is none (RFC 9525 section 6.3).
    Covered,
    /// All.
    Always,
}

/// What HTTPS means for one route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteTls {
    /// The value of `Strict-Transport-Security` in answers over HTTPS (RFC 6797); a back end's own gives way.
    pub strict_transport_security: Option<Bytes>,
    /// Whether and from whom client certificates are asked for.
    pub client_certificates: Option<ClientCertificates>,
}

impl Route {
    /// A route for one app with everything else at its default.
    pub fn new(app: impl Into<Arc<str>>, hosts: Vec<HostPattern>, backend: Backend) -> Self {
        Self {
            app: app.into(),
            hosts,
            path_prefix: "/".to_owned(),
            backend,
            waf: None,
            limits: RouteLimits::default(),
            redirect_https: HttpsRedirect::Never,
            policy: None,
            tls: RouteTls::default(),
            bans: None,
        }
    }

    /// Whether plain HTTP for this host (lower case) is answered with a redirect to HTTPS.
    pub(crate) fn redirects_to_https(&self, host: &str) -> bool {
        let is_covered = |pattern: &HostPattern| match pattern {
            HostPattern::Exact(name) => **name == *host,
            HostPattern::Wildcard(domain) => {
                host.split_once('.').is_some_and(|(_, above)| *above == **domain)
            }
            HostPattern::Any => false,
        };
        match self.redirect_https {
            HttpsRedirect::Never => false,
            HttpsRedirect::Covered => self.hosts.iter().any(is_covered),
            HttpsRedirect::Always => true,
        }
    }

    /// Whether its back end gives the answers that the other's gives, under the same rules: kept ones stay good.
    pub(crate) fn gives_same_answers(&self, other: &Self) -> bool {
        let same_rules = match (&self.waf, &other.waf) {
            (Some(one), Some(other)) => Arc::ptr_eq(&one.ruleset, &other.ruleset) && one.mode == other.mode,
            (None, None) => true,
            _ => false,
        };
        let changes = |route: &Self| {
            let policy = route.policy.as_deref();
            policy.map(|policy| (policy.request_headers.clone(), policy.strip_prefix)).unwrap_or_default()
        };
        let same_canary = match [self, other].map(|route| route.policy.as_deref()?.canary.as_ref()) {
            [Some(one), Some(other)] => one.gives_same_answers(other),
            [None, None] => true,
            _ => false,
        };
        same_rules
            && same_canary
            && self.path_prefix == other.path_prefix
            && self.backend.same_source(&other.backend)
            && self.tls.client_certificates == other.tls.client_certificates
            && changes(self) == changes(other)
    }
}

/// Why routes do not form a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Two routes claim the same host and path.
    #[error("apps `{first}` and `{second}` both claim {host}{path_prefix}; remove the host from one of them")]
    Conflict {
        /// App of the earlier route.
        first: Arc<str>,
        /// App of the later route.
        second: Arc<str>,
        /// The host both claim.
        host: HostPattern,
        /// The path both claim.
        path_prefix: String,
    },
    /// A path prefix that does not start with a slash.
    #[error("path prefix `{path_prefix}` of app `{app}` must start with `/` and hold no `?`, `#` or `//`")]
    PathPrefix {
        /// The app.
        app: Arc<str>,
        /// The refused prefix.
        path_prefix: String,
    },
    /// A back end without any endpoint.
    #[error("app `{0}` has no endpoint; use Backend::Unavailable to say why")]
    NoEndpoint(Arc<str>),
}

/// All routes, checked.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    index: RouteIndex<usize>,
}

impl RouteTable {
    /// Checks the routes and builds their index.
    pub fn new(routes: Vec<Route>) -> Result<Self, RouteError> {
        let mut claimed: HashMap<(&HostPattern, &str), &Route> = HashMap::new();
        for route in &routes {
            let prefix = route.path_prefix.as_str();
            if !prefix.starts_with('/') || prefix.contains(['?', '#', '\\', '%']) || prefix.contains("//") {
                return Err(RouteError::PathPrefix {
                    app: route.app.clone(),
                    path_prefix: prefix.to_owned(),
                });
            }
            let canary = route.policy.as_ref().and_then(|policy| policy.canary.as_ref());
            let is_empty = |pool: &Pool| pool.members.is_empty();
            if matches!(&route.backend, Backend::Pool(pool) if is_empty(pool))
                || canary.is_some_and(|canary| is_empty(&canary.pool))
            {
                return Err(RouteError::NoEndpoint(route.app.clone()));
            }
            for host in route.hosts.iter().collect::<HashSet<_>>() {
                if let Some(first) = claimed.insert((host, prefix.trim_end_matches('/')), route) {
                    return Err(RouteError::Conflict {
                        first: first.app.clone(),
                        second: route.app.clone(),
                        host: host.clone(),
                        path_prefix: prefix.to_owned(),
                    });
                }
            }
        }
        let mut index = RouteIndex::default();
        for (position, route) in routes.iter().enumerate() {
            for host in &route.hosts {
                index.insert(host, &route.path_prefix, position);
            }
        }
        Ok(Self { routes: routes.into_iter().map(Arc::new).collect(), index })
    }

    /// The routes in the order they were given.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The position of the route for a host (lower case) and a normalized path.
    pub(crate) fn position(&self, host: &str, path: &[u8]) -> Option<usize> {
        self.index.find(host, path).copied()
    }

    /// Whether a back end may read a path so that another route's rules ought to hold (see [`path_readings`]).
    pub(crate) fn is_ambiguous(&self, host: &str, path_and_query: &[u8]) -> bool {
        let has_several = self.index.entries(host).is_some_and(|paths| paths.len() > 1);
        has_several && path_readings::differ(path_and_query, |path| self.position(host, path))
    }

    /// The app whose certificate a host is shown with, where several have parts of it: the one with the shortest path,
    /// most often `/`; of several with equally short ones, the first.
    pub fn owner_of(&self, host: &HostPattern) -> Option<&Arc<str>> {
        let paths = self.index.paths(host)?;
        let (shortest, _) = paths.last()?;
        let (_, position) = paths.iter().find(|(prefix, _)| prefix.len() == shortest.len())?;
        Some(&self.routes[*position].app)
    }

    /// The app that a host belongs to, by its `/` or else any route.
    pub(crate) fn app_of_host(&self, host: &str) -> Option<&Arc<str>> {
        let (_, position) = self.index.entries(host)?.last()?;
        Some(&self.routes[*position].app)
    }
}

/// Paths of one host, longest first.
type Paths<T> = Vec<(Box<str>, T)>;

/// Finds by host and path.
#[derive(Clone, Debug)]
struct RouteIndex<T> {
    hosts: ByHost<Paths<T>>,
}

impl<T> Default for RouteIndex<T> {
    fn default() -> Self {
        Self { hosts: ByHost::default() }
    }
}

impl<T> RouteIndex<T> {
    fn insert(&mut self, host: &HostPattern, path_prefix: &str, value: T) {
        let paths = self.hosts.entry(host);
        let prefix = path_prefix.trim_end_matches('/');
        let place = paths.partition_point(|(other, _)| other.len() >= prefix.len());
        paths.insert(place, (prefix.into(), value));
    }

    fn find(&self, host: &str, path: &[u8]) -> Option<&T> {
        let matches = |prefix: &str| {
            let rest = path.strip_prefix(prefix.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || prefix.is_empty())
        };
        self.entries(host)?.iter().find(|(prefix, _)| matches(prefix)).map(|(_, value)| value)
    }

    /// What was inserted for exactly this pattern.
    fn paths(&self, host: &HostPattern) -> Option<&Paths<T>> {
        self.hosts.get(host)
    }

    /// The most specific host pattern decides; a path that it lacks is not looked for in a wider pattern.
    fn entries(&self, host: &str) -> Option<&Paths<T>> {
        self.hosts.find(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(app: &str, hosts: &[&str], prefix: &str) -> Route {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let backend = Backend::Unavailable { reason: "test".into() };
        Route { path_prefix: prefix.to_owned(), ..Route::new(app, hosts, backend) }
    }

    #[test]
    fn the_most_specific_route_is_found() {
        let table = RouteTable::new(vec![
            route("any", &["*"], "/"),
            route("a", &["a.org"], "/"),
            route("a-api", &["a.org"], "/api"),
            route("a-api-v1", &["a.org"], "/api/v1/"),
            route("wild", &["*.a.org"], "/"),
            route("deep", &["*.b.a.org"], "/x"),
        ])
        .unwrap();
        let cases = [
            ("a.org", "/", Some("a")),
            ("a.org", "/api", Some("a-api")),
            ("a.org", "/api/", Some("a-api")),
            ("a.org", "/apix", Some("a")),
            ("a.org", "/api/v1", Some("a-api-v1")),
            ("a.org", "/api/v1/z", Some("a-api-v1")),
            ("x.a.org", "/", Some("wild")),
            ("y.x.a.org", "/", Some("wild")),
            ("x.b.a.org", "/x/y", Some("deep")),
            ("x.b.a.org", "/", None),
            ("b.org", "/", Some("any")),
            ("", "/", Some("any")),
        ];
        for (host, path, app) in cases {
            let found = table.position(host, path.as_bytes()).map(|position| &*table.routes()[position].app);
            assert_eq!(found, app, "{host}{path}");
        }
        assert_eq!(table.app_of_host("a.org").map(|app| &**app), Some("a"));
        for (host, owner) in
            [("a.org", Some("a")), ("*.b.a.org", Some("deep")), ("*", Some("any")), ("b.org", None)]
        {
            assert_eq!(table.owner_of(&host.parse().unwrap()).map(|app| &**app), owner, "{host}");
        }
        let parts = [
            route("late", &["x.org"], "/longer"),
            route("b", &["x.org"], "/b"),
            route("a", &["x.org"], "/a"),
        ];
        let parts = RouteTable::new(parts.into()).unwrap();
        assert_eq!(parts.owner_of(&"x.org".parse().unwrap()).map(|app| &**app), Some("b"));
    }

    #[test]
    fn what_no_certificate_covers_is_redirected_only_where_all_is() {
        let route = |redirect_https| Route { redirect_https, ..route("a", &["a.org", "*.b.org", "*"], "/") };
        for (host, covered) in [
            ("a.org", true),
            ("www.a.org", false),
            ("x.b.org", true),
            ("y.x.b.org", false),
            ("b.org", false),
            ("c.org", false),
            ("", false),
        ] {
            let redirects = [HttpsRedirect::Never, HttpsRedirect::Covered, HttpsRedirect::Always]
                .map(|redirect| route(redirect).redirects_to_https(host));
            assert_eq!(redirects, [false, covered, true], "{host}");
        }
    }

    #[test]
    fn conflicts_and_bad_prefixes_are_refused() {
        let conflict = RouteTable::new(vec![route("a", &["x.org"], "/p"), route("b", &["x.org"], "/p/")]);
        assert!(matches!(conflict, Err(RouteError::Conflict { .. })));
        for prefix in ["", "x", "/a?b", "//"] {
            assert!(matches!(
                RouteTable::new(vec![route("a", &["x"], prefix)]),
                Err(RouteError::PathPrefix { .. })
            ));
        }
        let empty = Route::new("a", vec![HostPattern::Any], Backend::http([]));
        assert!(matches!(RouteTable::new(vec![empty]), Err(RouteError::NoEndpoint(_))));
    }
}
