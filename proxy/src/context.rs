//! What all connections of one proxy share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::acme::Challenges;
use crate::bans::Bans;
use crate::budget::Budget;
use crate::certificates::Certificates;
use crate::config::ProxyConfig;
use crate::events::EventSender;
use crate::metrics::Metrics;
use crate::table::LiveTable;
use crate::transaction_id::TransactionIds;
use crate::upstream::instance::Instances;

/// Shared by all connections; read, never locked, on the request path.
#[derive(Debug)]
pub struct Context {
    /// As started.
    pub config: ProxyConfig,
    /// The routes in force.
    pub table: ArcSwap<LiveTable>,
    /// Back end instances in use.
    pub instances: Instances,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Who is turned away.
    pub bans: Arc<Bans>,
    /// What may be held of bodies.
    pub budget: Budget,
    /// Where events go.
    pub events: EventSender,
    /// The certificates in force.
    pub certificates: Arc<Certificates>,
    /// Proofs for authorities.
    pub challenges: Arc<Challenges>,
    /// Makes transaction ids.
    pub ids: TransactionIds,
    /// Whether `/readyz` says yes.
    pub ready: AtomicBool,
    entropy: AtomicU64,
}

impl Context {
    /// A context without routes.
    pub fn new(
        config: ProxyConfig,
        events: EventSender,
        certificates: Arc<Certificates>,
        random: [u64; 2],
    ) -> Self {
        let (instances, metrics) = (Instances::default(), Arc::new(Metrics::default()));
        let proxies = config.trusted_proxies.iter().chain(&config.proxy_protocol);
        let bans = Arc::new(Bans::new(proxies.copied().collect()));
        let table = LiveTable::new(crate::route::RouteTable::default(), &instances, &metrics);
        let budget = Budget::of_server(config.limits.body_memory);
        Self {
            config,
            table: ArcSwap::from_pointee(table),
            instances,
            metrics,
            bans,
            budget,
            events,
            certificates,
            challenges: Arc::default(),
            ids: TransactionIds::new(random[0]),
            ready: AtomicBool::new(false),
            entropy: AtomicU64::new(random[1]),
        }
    }

    /// The text of a scrape.
    pub fn scrape(&self) -> String {
        let mut text = self.metrics.expose(&self.config.version, &self.table.load().upstreams());
        let now = SystemTime::now();
        text.push_str(&self.certificates.expose(now));
        text.push_str(&self.bans.expose(now));
        text
    }

    /// Random bits for a transaction (SplitMix64): good enough to sample by, not for secrets.
    pub fn entropy(&self) -> u64 {
        let state = self.entropy.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
