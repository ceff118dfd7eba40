//! Bans: shown, added, cleared, kept in the store and in nftables.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hop3_proxy::{Ban, BanError, Changes, Prefix, Reason};

use super::Control;
use crate::api::wire::{AddBan, BanList, ClearBans};
use crate::failure::{Failure, chain};
use crate::model::{Actor, BanRecord, Entry};
use crate::store::{Durable, StoreError};

/// How long changes are gathered before they are written.
const GATHER: Duration = Duration::from_millis(250);
/// How long to wait after a failed attempt to keep them.
const RETRY: Duration = Duration::from_secs(5);
/// How often the kernel's sets are made anew though nothing changed: somebody may have flushed them.
const REFRESH: Duration = Duration::from_secs(60);
/// Longest note of an operator, in bytes.
const LONGEST_NOTE: usize = 500;

impl Control {
    /// Who is banned now, and where that is in force.
    pub fn banned(&self) -> BanList {
        let bans = self.bans.list(SystemTime::now());
        BanList {
            bans: bans.iter().map(BanRecord::from).collect(),
            never: self.bans.never_banned().iter().map(ToString::to_string).collect(),
            nftables: self.nftables.state(),
        }
    }

    /// Bans an address or network.
    ///
    /// # Errors
    /// It is none, or never banned; or the ban cannot be kept, and then it is not in force.
    pub fn add_ban(&self, actor: &Actor, request: &AddBan) -> Result<BanRecord, Failure> {
        let prefix = prefix(&request.network)?;
        if request.note.len() > LONGEST_NOTE {
            return Err(Failure::usage(format!("a reason has at most {LONGEST_NOTE} bytes")));
        }
        let since = SystemTime::now();
        let until = match request.seconds.map(Duration::from_secs) {
            None => None,
            Some(Duration::ZERO) => return Err(Failure::usage("a ban lasts at least a second")),
            Some(duration) => Some(
                since
                    .checked_add(duration)
                    .ok_or_else(|| Failure::usage("nobody will see the end of that ban"))?,
            ),
        };
        let earlier = self.bans.get(&prefix);
        let ban = Ban {
            prefix,
            reason: Reason::Manual,
            app: None,
            note: request.note.as_str().into(),
            since,
            until,
            count: earlier.as_ref().map_or(1, |ban| ban.count),
        };
        self.bans.add(ban.clone(), since).map_err(refused)?;
        let record = BanRecord::from(&ban);
        let end =
            record.until.map_or_else(|| "until it is cleared".to_owned(), |until| format!("until {until}"));
        let note = if record.note.is_empty() { String::new() } else { format!(": {}", record.note) };
        let entry = Entry::new(actor, "waf:bans:add", &record.network).detail(format!("{end}{note}"));
        if let Err(error) = self.store.change(&entry, |change| change.put_ban(&record)) {
            // What cannot be recorded does not happen.
            self.bans.lift(&prefix);
            self.bans.restore(earlier, since);
            return Err(error.into());
        }
        Ok(record)
    }

    /// Lifts bans: those named, or all. What that was.
    ///
    /// # Errors
    /// Something named is not banned, or the change cannot be kept; nothing changes then.
    pub fn clear_bans(&self, actor: &Actor, request: &ClearBans) -> Result<Vec<BanRecord>, Failure> {
        let now = SystemTime::now();
        let wanted = match (request.all, request.networks.is_empty()) {
            (true, true) => self.bans.list(now),
            (false, false) => {
                request.networks.iter().map(|network| self.named(network, now)).collect::<Result<_, _>>()?
            }
            _ => return Err(Failure::usage("name what is to be cleared, or say --all")),
        };
        let cleared: Vec<BanRecord> = wanted.iter().map(BanRecord::from).collect();
        if request.all {
            let entry = Entry::new(actor, "waf:bans:clear", "all").detail(format!("{} bans", cleared.len()));
            self.store.change(&entry, |change| change.remove_bans())?;
            self.bans.remembered().iter().for_each(|ban| drop(self.bans.lift(&ban.prefix)));
            return Ok(cleared);
        }
        let names: Vec<&str> = cleared.iter().map(|ban| ban.network.as_str()).collect();
        let entry = Entry::new(actor, "waf:bans:clear", names.join(" "));
        self.store.change(&entry, |change| names.iter().try_for_each(|name| change.remove_ban(name)))?;
        wanted.iter().for_each(|ban| drop(self.bans.lift(&ban.prefix)));
        Ok(cleared)
    }

    /// Puts the bans of an earlier run into force.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn restore_bans(&self) -> Result<(), Failure> {
        let kept = self.store.read()?.bans()?;
        let without_room = self.bans.restore(kept.iter().filter_map(BanRecord::ban), SystemTime::now());
        if without_room > 0 {
            tracing::error!(bans = without_room, "bans of an earlier run have no room and are not in force");
        }
        Ok(())
    }

    /// Keeps the store and nftables in step with the proxy, until the server stops.
    pub async fn keep_bans(self: Arc<Self>) {
        let mut stopping = self.stopping.clone();
        let mut refresh = tokio::time::interval(REFRESH);
        loop {
            tokio::select! {
                () = self.bans.changed() => {}
                () = self.nftables.wanted.notified() => {}
                _ = refresh.tick() => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            tokio::time::sleep(GATHER).await;
            if let Err(error) = tokio::task::block_in_place(|| self.flush_bans()) {
                tracing::error!(error = chain(&error), "bans cannot be kept");
                tokio::time::sleep(RETRY).await;
            }
            if self.settings.load().bans.nftables {
                let now = SystemTime::now();
                self.nftables.sync(&self.bans.list(now), &self.bans.never_banned(), now).await;
            } else {
                self.nftables.remove().await;
            }
        }
    }

    /// Keeps what changed last, and takes the kernel's sets away. For the end.
    pub async fn finish_bans(&self) {
        if let Err(error) = tokio::task::block_in_place(|| self.flush_bans()) {
            tracing::error!(error = chain(&error), "the last bans cannot be kept");
        }
        self.nftables.remove().await;
    }

    /// Writes what changed since the last time. Blocking.
    pub(super) fn flush_bans(&self) -> Result<(), StoreError> {
        let written = match self.bans.take_changes() {
            Changes::These(prefixes) if prefixes.is_empty() => return Ok(()),
            Changes::These(prefixes) => self.store.note(Durable::Now, |change| {
                prefixes.iter().try_for_each(|prefix| match self.bans.get(prefix) {
                    Some(ban) => change.put_ban(&BanRecord::from(&ban)),
                    None => change.remove_ban(&prefix.to_string()),
                })
            }),
            Changes::All => self.store.note(Durable::Now, |change| {
                change.remove_bans()?;
                self.bans.remembered().iter().try_for_each(|ban| change.put_ban(&BanRecord::from(ban)))
            }),
        };
        if written.is_err() {
            self.bans.note_all();
        }
        written
    }

    /// The ban that a person means: of exactly this, or of the client that an address belongs to.
    fn named(&self, network: &str, now: SystemTime) -> Result<Ban, Failure> {
        let named = prefix(network)?;
        let client = Prefix::client(named.address(), self.bans.settings().ipv6_prefix);
        let found = [named, client]
            .iter()
            .filter(|prefix| named.is_host() || **prefix == named)
            .find_map(|prefix| self.bans.get(prefix).filter(|ban| ban.holds(now)));
        let around = || self.bans.list(now).into_iter().find(|ban| ban.prefix.contains(&named));
        found.ok_or_else(|| {
            let hint = around()
                .map(|ban| format!("`{0}` is banned and holds it: hop3 waf bans clear {0}", ban.prefix));
            Failure::not_found(format!("`{named}` is not banned"))
                .maybe_hint(hint.or_else(|| Some("`hop3 waf bans list` shows who is".into())))
        })
    }
}

fn prefix(network: &str) -> Result<Prefix, Failure> {
    network.parse().map_err(|error: hop3_proxy::PrefixError| Failure::usage(error.to_string()))
}

fn refused(error: BanError) -> Failure {
    match error {
        BanError::Allowed(..) => Failure::conflict(error.to_string())
            .hint("take it out of `allow` of [server.bans], or out of the trusted proxies"),
        BanError::Full => Failure::conflict(error.to_string()).hint("clear bans, or ban whole networks"),
    }
}
