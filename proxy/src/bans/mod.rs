//! The dynamic firewall: who offends too often is turned away at accept time, before TLS, for a growing time.
//!
//! [`Bans`] joins the scores of clients and networks, the table of bans and the networks that are never banned. The request path
//! reports offences ([`Bans::report`]) and asks ([`Bans::turns_away`]); the control plane configures, lists, adds, lifts
//! and keeps ([`Bans::take_changes`]). Time is given to every call that decides something.
//!
//! Whom a connection comes from is known at accept time; whom a trusted proxy speaks for only with the request. Trusted
//! proxies are never banned themselves.

mod ban;
mod changes;
mod networks;
mod rules;
mod scores;
mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

pub use ban::{Ban, Offence, Reason};
pub use changes::Changes;
pub use rules::{BanRules, BanSettings, Points};
use scores::Scores;
use table::{Put, Table};

use crate::metrics::text::Exposition;
use crate::prefix::Prefix;
use changes::Changed;

/// The dynamic firewall of one proxy.
#[derive(Debug, Default)]
pub struct Bans {
    settings: ArcSwap<BanSettings>,
    /// Trusted proxies and the peers that speak the PROXY protocol: they stand for many clients.
    proxies: Vec<Prefix>,
    scores: Scores,
    /// How many clients of each network were banned lately.
    networks: Scores,
    table: Table,
    changed: Changed,
    counters: Counters,
}

/// Where a banned client was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// When its connection was accepted.
    Connection,
    /// With a request, over a connection that was accepted before or that comes from a trusted proxy.
    Request,
}

#[derive(Debug, Default)]
struct Counters {
    offences: [AtomicU64; Offence::ALL.len()],
    banned: [AtomicU64; Offence::ALL.len()],
    networks: AtomicU64,
    connections: AtomicU64,
    requests: AtomicU64,
    evicted: AtomicU64,
    without_room: AtomicU64,
}

/// Why nobody was banned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    /// All of it is never banned.
    #[error("`{0}` lies in `{1}`, which is never banned")]
    Allowed(Prefix, Prefix),
    /// The table is full of bans that operators wished for.
    #[error("there is no room for another ban")]
    Full,
}

/// What is known about an offence beside its client.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'r> {
    /// The app it happened to, and its rules unless it bans nobody. `None` for what no app takes: the settings have the
    /// rules for that.
    pub app: Option<(&'r Arc<str>, Option<&'r BanRules>)>,
    /// The transaction id.
    pub transaction: &'r str,
}

impl Bans {
    /// Nobody is banned. `proxies` never will be.
    pub fn new(proxies: Vec<Prefix>) -> Self {
        Self { proxies, ..Self::default() }
    }

    /// Puts settings into force. Bans that hold go on, except of those who are allowed now.
    pub fn configure(&self, settings: BanSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<BanSettings> {
        self.settings.load_full()
    }

    /// The narrowest banned network around an address at `now`, [`Bans::get`] gives its ban. `None` when it is not banned.
    pub fn find(&self, address: IpAddr, now: SystemTime) -> Option<Prefix> {
        // Networks may hold somebody who is allowed.
        self.table.find(address, now).filter(|_| !self.allowed(address))
    }

    /// Whether a client is banned at `now`; counts it then.
    pub fn turns_away(&self, client: IpAddr, met: Met, now: SystemTime) -> bool {
        if self.find(client, now).is_none() {
            return false;
        }
        let counter = match met {
            Met::Connection => &self.counters.connections,
            Met::Request => &self.counters.requests,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Counts what a client did. The ban of the client that it led to, if it did; that of its network may follow.
    pub fn report(
        &self,
        client: IpAddr,
        offence: Offence,
        circumstances: Circumstances<'_>,
        now: SystemTime,
    ) -> Option<Ban> {
        self.counters.offences[offence as usize].fetch_add(1, Ordering::Relaxed);
        let settings = self.settings.load();
        let rules = match circumstances.app {
            Some((_, rules)) => rules?,
            None => settings.unrouted.as_ref()?,
        };
        if self.allowed(client) {
            return None;
        }
        let prefix = Prefix::client(client, settings.ipv6_prefix);
        let part = settings.points.of(offence) / rules.threshold.max(1) as f32;
        if !self.scores.add(&prefix, part, rules.window, since_epoch(now)) {
            return None;
        }
        let ban = Ban {
            prefix,
            reason: Reason::Offence(offence),
            app: circumstances.app.map(|(app, _)| app.clone()),
            note: circumstances.transaction.into(),
            since: now,
            until: None,
            count: 1,
        };
        let ban = self.impose(ban, rules.duration, now)?;
        self.widen(&ban, rules, now);
        Some(ban)
    }

    /// Bans somebody by rule, beginning with `first` and longer each time; not while such a ban holds.
    fn impose(&self, ban: Ban, first: Duration, now: SystemTime) -> Option<Ban> {
        let earlier = self.table.get(&ban.prefix);
        if earlier.as_ref().is_some_and(|ban| ban.holds(now)) {
            return None;
        }
        let count = earlier.map_or(0, |ban| ban.count).saturating_add(1);
        let duration = self.settings.load().duration(first, count);
        let ban = Ban { until: now.checked_add(duration), count, ..ban };
        self.put(ban.clone(), now).ok()?;
        let counter = match ban.reason {
            Reason::Offence(offence) => &self.counters.banned[offence as usize],
            Reason::Network | Reason::Manual => &self.counters.networks,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            target: "bans", client = %ban.prefix, reason = ban.reason.as_str(), app = ban.app.as_deref(),
            seconds = duration.as_secs(), count, "banned"
        );
        Some(ban)
    }

    /// Bans somebody at `now` because an operator says so. The ban that had to leave for it, if one had: that of the same
    /// prefix is not meant.
    ///
    /// # Errors
    /// See [`BanError`].
    pub fn add(&self, ban: Ban, now: SystemTime) -> Result<Option<Ban>, BanError> {
        if let Some(network) = self.allowing(&ban.prefix) {
            return Err(BanError::Allowed(ban.prefix, network));
        }
        self.put(ban, now)
    }

    /// Puts bans back that were kept. They count as no change, but others that had to leave for them do. How many had
    /// no room and are not in force.
    pub fn restore(&self, bans: impl IntoIterator<Item = Ban>, now: SystemTime) -> usize {
        bans.into_iter().filter(|ban| self.make_room(ban.clone(), now).is_err()).count()
    }

    /// Lifts a ban and forgets what the client or network has against it. The ban, if there was one, also one that has ended.
    pub fn lift(&self, prefix: &Prefix) -> Option<Ban> {
        let lifted = self.table.remove(prefix);
        self.scores.forget(prefix);
        self.networks.forget(prefix);
        if lifted.is_some() {
            self.changed.note(prefix);
        }
        lifted
    }

    /// The bans that hold at `now`, in the order of their addresses.
    pub fn list(&self, now: SystemTime) -> Vec<Ban> {
        let mut bans = self.table.list(|ban| ban.holds(now));
        bans.sort_by_key(|ban| ban.prefix);
        bans
    }

    /// All that is remembered, bans that have ended among it.
    pub fn remembered(&self) -> Vec<Ban> {
        self.table.list(|_| true)
    }

    /// The ban of exactly this prefix, also one that has ended.
    pub fn get(&self, prefix: &Prefix) -> Option<Ban> {
        self.table.get(prefix)
    }

    /// What changed since the last call, for those who keep it.
    pub fn take_changes(&self) -> Changes {
        self.changed.take()
    }

    /// Makes the next [`Bans::take_changes`] say that everything changed: what it said before could not be kept.
    pub fn note_all(&self) {
        self.changed.note_all();
    }

    /// Waits until something changes; returns at once when something has since the last wait.
    pub async fn changed(&self) {
        self.changed.wait().await;
    }

    /// Whether an address is never banned.
    fn allowed(&self, address: IpAddr) -> bool {
        let settings = self.settings.load();
        self.proxies.iter().chain(&settings.allow).any(|network| network.holds(address))
    }

    /// All that is never banned.
    pub fn never_banned(&self) -> Vec<Prefix> {
        self.proxies.iter().chain(&self.settings.load().allow).copied().collect()
    }

    /// Forgets bans that ended long ago.
    pub(crate) fn sweep(&self, now: SystemTime) {
        let memory = self.settings.load().max_duration;
        self.table.forget(memory, now).iter().for_each(|prefix| self.changed.note(prefix));
    }

    /// The families of a scrape.
    pub(crate) fn expose(&self, now: SystemTime) -> String {
        let mut out = Exposition::default();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        out.family("hop3_bans", "gauge", "Addresses and networks that are banned now.");
        out.sample("hop3_bans", &[], self.table.count(|ban| ban.holds(now)) as f64);
        let name = "hop3_ban_offences_total";
        out.family(name, "counter", "Offences of clients, by kind, whether they lead to bans or not.");
        for (offence, counter) in Offence::ALL.iter().zip(&self.counters.offences) {
            out.sample(name, &[("reason", offence.as_str())], load(counter));
        }
        out.family("hop3_bans_total", "counter", "Bans by rule, by the offence that was one too many.");
        for (offence, counter) in Offence::ALL.iter().zip(&self.counters.banned) {
            out.sample("hop3_bans_total", &[("reason", offence.as_str())], load(counter));
        }
        out.sample("hop3_bans_total", &[("reason", Reason::Network.as_str())], load(&self.counters.networks));
        let name = "hop3_ban_turned_away_total";
        out.family(name, "counter", "Connections and requests of banned clients that were turned away.");
        out.sample(name, &[("met", "connection")], load(&self.counters.connections));
        out.sample(name, &[("met", "request")], load(&self.counters.requests));
        let name = "hop3_bans_evicted_total";
        out.family(name, "counter", "Bans that ended early because the table was full.");
        out.sample(name, &[], load(&self.counters.evicted));
        let name = "hop3_bans_without_room_total";
        out.family(
            name,
            "counter",
            "Bans not put into force: the table was full of those operators wished for.",
        );
        out.sample(name, &[], load(&self.counters.without_room));
        out.finish()
    }

    fn put(&self, ban: Ban, now: SystemTime) -> Result<Option<Ban>, BanError> {
        let prefix = ban.prefix;
        let evicted = self.make_room(ban, now)?;
        self.changed.note(&prefix);
        Ok(evicted)
    }

    /// Puts a ban into the table, and notes which other left for it.
    fn make_room(&self, ban: Ban, now: SystemTime) -> Result<Option<Ban>, BanError> {
        match self.table.put(ban, now) {
            Put::Done => Ok(None),
            Put::Evicted(other) => {
                self.counters.evicted.fetch_add(1, Ordering::Relaxed);
                self.changed.note(&other.prefix);
                Ok(Some(*other))
            }
            Put::Full => {
                if self.counters.without_room.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(target: "bans", "no room for further bans: operators wished for so many");
                }
                Err(BanError::Full)
            }
        }
    }

    /// The network among those never banned that holds all of a prefix.
    fn allowing(&self, prefix: &Prefix) -> Option<Prefix> {
        self.never_banned().into_iter().find(|network| network.contains(prefix))
    }
}

fn since_epoch(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
