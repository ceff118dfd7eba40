//! The published routes together with what they use while they serve: instances, counters.

use std::sync::Arc;

use crate::backend::{Backend, Endpoint};
use crate::metrics::{AppMetrics, Metrics, UpstreamState};
use crate::route::{Route, RouteTable};
use crate::static_files::StaticFiles;
use crate::upstream::balancer::Balancer;
use crate::upstream::instance::Instances;

/// A table in service.
#[derive(Debug)]
pub struct LiveTable {
    routes: RouteTable,
    live: Vec<Arc<LiveRoute>>,
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
}

/// A back end in service.
#[derive(Debug)]
pub enum LiveBackend {
    /// HTTP/1.1 to instances.
    Http(Balancer),
    /// uwsgi to instances.
    Uwsgi(Balancer),
    /// Files.
    Static(StaticFiles),
    /// Nothing, for this reason.
    Unavailable(Arc<str>),
}

impl LiveTable {
    /// Puts routes into service; instances with known addresses keep their connections and health.
    pub fn new(routes: RouteTable, instances: &Instances, metrics: &Metrics) -> Self {
        let balance =
            |endpoints: &[Endpoint]| Balancer::new(endpoints.iter().map(|to| instances.get(to)).collect());
        let live = routes.routes().iter().map(|route| {
            let backend = match &route.backend {
                Backend::Http(endpoints) => LiveBackend::Http(balance(endpoints)),
                Backend::Uwsgi(endpoints) => LiveBackend::Uwsgi(balance(endpoints)),
                Backend::Static(files) => LiveBackend::Static(files.clone()),
                Backend::Unavailable { reason } => LiveBackend::Unavailable(reason.clone()),
            };
            Arc::new(LiveRoute { route: route.clone(), metrics: metrics.app(&route.app), backend })
        });
        let live = live.collect();
        Self { routes, live }
    }

    /// The published value.
    pub const fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// The route for a host (lower case) and a normalized path.
    pub fn find(&self, host: &str, path: &[u8]) -> Option<&Arc<LiveRoute>> {
        self.live.get(self.routes.position(host, path)?)
    }

    /// Health of all instances.
    pub fn upstreams(&self) -> Vec<UpstreamState> {
        let states = self.live.iter().flat_map(|live| {
            let instances = match &live.backend {
                LiveBackend::Http(balancer) | LiveBackend::Uwsgi(balancer) => balancer.instances(),
                LiveBackend::Static(_) | LiveBackend::Unavailable(_) => &[],
            };
            instances.iter().map(|instance| UpstreamState {
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
