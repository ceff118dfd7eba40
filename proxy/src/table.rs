//! The published routes together with what they use while they serve: instances, counters.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::backend::Backend;
use crate::headers::Headers;
use crate::metrics::{AppMetrics, Metrics, UpstreamState};
use crate::policy::state::{Kin, PolicyState};
use crate::route::{Route, RouteTable};
use crate::static_files::StaticFiles;
use crate::upstream::affinity::address_hash;
use crate::upstream::balancer::Balancer;
use crate::upstream::instance::Instances;

/// A table in service.
#[derive(Debug)]
pub struct LiveTable {
    routes: RouteTable,
    live: Vec<Arc<LiveRoute>>,
    /// Wakes those who wait for another table.
    pub superseded: Notify,
}

/// A route in service.
#[derive(Debug)]
pub struct LiveRoute {
    /// As published.
    pub route: Arc<Route>,
    /// Counters of its app.
    pub metrics: Arc<AppMetrics>,
    /// Its back end.
    pub backend: LiveBackend,
    /// The instances of its canary.
    pub canary: Option<Balancer>,
    /// What its policy remembers.
    pub state: PolicyState,
}

/// A back end in service.
#[derive(Debug)]
pub enum LiveBackend {
    /// Instances.
    Pool(Balancer),
    /// Files.
    Static(Arc<StaticFiles>),
    /// Nothing, for this reason.
    Unavailable(Arc<str>),
}

impl LiveTable {
    /// Puts routes into service; instances with known addresses keep their connections and health.
    pub fn new(routes: RouteTable, instances: &Instances, metrics: &Metrics) -> Self {
        Self::after(None, routes, instances, metrics)
    }

    /// Puts routes into service in place of those in `current`: what their policies remember goes over to the routes of
    /// the same app and path.
    pub fn publish(current: &ArcSwap<Self>, routes: RouteTable, instances: &Instances, metrics: &Metrics) {
        let table = Self::after(Some(&current.load()), routes, instances, metrics);
        current.swap(Arc::new(table)).superseded.notify_waiters();
    }

    fn after(earlier: Option<&Self>, routes: RouteTable, instances: &Instances, metrics: &Metrics) -> Self {
        let earlier = earlier.map(|table| by_app(&table.live, |live| &live.route.app)).unwrap_or_default();
        let now = by_app(routes.routes(), |route| &route.app);
        let mut made: HashMap<&str, (bool, Vec<Arc<LiveRoute>>)> = HashMap::new();
        let mut live = Vec::with_capacity(routes.routes().len());
        for route in routes.routes() {
            let app = &*route.app;
            let earlier = earlier.get(app).map_or(&[][..], |earlier| earlier);
            let (same_answers, siblings) = made.entry(app).or_insert_with(|| {
                let now = now.get(app).map_or(&[][..], |now| now);
                (give_same_answers(earlier, now), Vec::new())
            });
            let kin = Kin { siblings, earlier, same_answers: *same_answers };
            let made = Arc::new(LiveRoute::new(route, kin, instances, metrics));
            siblings.push(made.clone());
            live.push(made);
        }
        Self { routes, live, superseded: Notify::new() }
    }

    /// The published value.
    pub const fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// The route for a host (lower case) and a normalized path.
    pub fn find(&self, host: &str, path: &[u8]) -> Option<&Arc<LiveRoute>> {
        self.live.get(self.routes.position(host, path)?)
    }

    /// The groups of instances of all routes.
    pub fn balancers(&self) -> impl Iterator<Item = &Balancer> {
        self.live.iter().flat_map(|live| live.balancers())
    }

    /// The routes of an app.
    pub fn of_app<'t>(&'t self, app: &'t str) -> impl Iterator<Item = &'t Arc<LiveRoute>> {
        self.live.iter().filter(move |live| &*live.route.app == app)
    }

    /// Health of all instances.
    pub fn upstreams(&self) -> Vec<UpstreamState> {
        let states = self.live.iter().flat_map(|live| {
            let instances = live.balancers().flat_map(Balancer::instances);
            instances.map(|instance| UpstreamState {
                app: live.route.app.clone(),
                endpoint: instance.endpoint().to_string(),
                up: instance.is_up(),
            })
        });
        let mut states: Vec<_> = states.collect();
        states.sort_by(|left, right| (&left.app, &left.endpoint).cmp(&(&right.app, &right.endpoint)));
        states.dedup_by(|left, right| left.app == right.app && left.endpoint == right.endpoint);
        states
    }
}

impl LiveRoute {
    fn new(route: &Arc<Route>, kin: Kin<'_>, instances: &Instances, metrics: &Metrics) -> Self {
        let backend = match &route.backend {
            Backend::Pool(pool) => LiveBackend::Pool(Balancer::new(&route.app, pool, instances)),
            Backend::Static(files) => LiveBackend::Static(Arc::new(files.clone())),
            Backend::Unavailable { reason } => LiveBackend::Unavailable(reason.clone()),
        };
        let policy = route.policy.as_deref();
        let canary = policy.and_then(|policy| policy.canary.as_ref());
        let canary = canary.map(|canary| Balancer::new(&route.app, &canary.pool, instances));
        let state = PolicyState::new(policy, &route.path_prefix, kin);
        Self { route: route.clone(), metrics: metrics.app(&route.app), backend, canary, state }
    }

    /// Its groups of instances: the ordinary one and that of the canary.
    pub fn balancers(&self) -> impl Iterator<Item = &Balancer> {
        let ordinary = match &self.backend {
            LiveBackend::Pool(balancer) => Some(balancer),
            LiveBackend::Static(_) | LiveBackend::Unavailable(_) => None,
        };
        ordinary.into_iter().chain(&self.canary)
    }

    /// Whether the canary answers a request.
    pub fn is_for_canary(&self, headers: &Headers, client: IpAddr) -> bool {
        let canary = self.route.policy.as_ref().and_then(|policy| policy.canary.as_ref());
        canary.is_some_and(|canary| canary.takes(headers, address_hash(client)))
    }

    /// The group that answers a request: the canary's for those it takes.
    pub fn group(&self, headers: &Headers, client: IpAddr) -> Option<&Balancer> {
        if let Some(balancer) = self.canary.as_ref().filter(|_| self.is_for_canary(headers, client)) {
            return Some(balancer);
        }
        match &self.backend {
            LiveBackend::Pool(balancer) => Some(balancer),
            LiveBackend::Static(_) | LiveBackend::Unavailable(_) => None,
        }
    }
}

/// The routes of each app.
fn by_app<T>(routes: &[Arc<T>], app: impl Fn(&T) -> &Arc<str>) -> HashMap<&str, Vec<Arc<T>>> {
    let mut apps: HashMap<&str, Vec<Arc<T>>> = HashMap::new();
    for route in routes {
        apps.entry(app(route)).or_default().push(route.clone());
    }
    apps
}

/// Whether the routes of an app give the same answers as before.
fn give_same_answers(earlier: &[Arc<LiveRoute>], now: &[Arc<Route>]) -> bool {
    earlier.len() == now.len()
        && earlier.iter().zip(now).all(|(earlier, now)| earlier.route.gives_same_answers(now))
}
