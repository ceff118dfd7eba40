//! Bans: shown, added, cleared, kept in the store and in nftables.
//!
//! What rules ban is kept in gathered transactions, each with one record in the audit chain; while bans come in
//! floods these grow rarer, so that the chain stays readable and short.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hop3_proxy::{Ban, BanError, Changes, Prefix, Reason};

use super::Control;
use crate::api::wire::{AddBan, BanList, ClearBans};
use crate::failure::{Failure, chain};
use crate::model::{Actor, BanRecord, Entry};
use crate::store::{Change, Durable, StoreError};

/// How long changes are gathered before they are written.
const GATHER: Duration = Duration::from_millis(250);
/// The longest that changes wait while ever more come: what is lost when the power fails.
const LONGEST_GATHER: Duration = Duration::from_secs(60);
/// How long to wait after a failed attempt to keep them.
const RETRY: Duration = Duration::from_secs(5);
/// Most addresses and networks that an audit record names.
const NAMED: usize = 10;
/// How often the kernel's sets are looked after though nothing changed.
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
        let evicted = self.bans.add(ban.clone(), since).map_err(refused)?;
        let record = BanRecord::from(&ban);
        let end =
            record.until.map_or_else(|| "until it is cleared".to_owned(), |until| format!("until {until}"));
        let note = if record.note.is_empty() { String::new() } else { format!(": {}", record.note) };
        let entry = Entry::new(actor, "waf:bans:add", &record.network).detail(format!("{end}{note}"));
        if let Err(error) = self.store.change(&entry, |change| change.put_ban(&record)) {
            // What cannot be recorded does not happen.
            self.bans.lift(&prefix);
            self.bans.restore(earlier.into_iter().chain(evicted), since);
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
        let mut pace = Pace::new(Instant::now());
        loop {
            tokio::select! {
                () = self.bans.changed() => {}
                () = self.nftables.wanted.notified() => {}
                () = self.nftables.changed_by_others() => {}
                _ = refresh.tick() => {}
                () = tokio::time::sleep_until(pace.next.into()), if pace.postponed => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            tokio::time::sleep(GATHER).await;
            if pace.may_write(Instant::now()) {
                match tokio::task::block_in_place(|| self.flush_bans()) {
                    Ok(0) => {}
                    Ok(_) => pace.wrote(Instant::now()),
                    Err(error) => {
                        tracing::error!(error = chain(&error), "bans cannot be kept");
                        tokio::time::sleep(RETRY).await;
                    }
                }
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

    /// Writes what changed since the last time, with one audit record of whom rules banned. How many that were. Blocking.
    pub(super) fn flush_bans(&self) -> Result<usize, StoreError> {
        let written = match self.bans.take_changes() {
            Changes::These(prefixes) if prefixes.is_empty() => return Ok(0),
            Changes::These(prefixes) => self.keep_changed(&prefixes),
            Changes::All => self.keep_all(),
        };
        if written.is_err() {
            self.bans.note_all();
        }
        written
    }

    fn keep_changed(&self, prefixes: &[Prefix]) -> Result<usize, StoreError> {
        let (mut bans, mut gone, mut imposed) = (Vec::new(), Vec::new(), Vec::new());
        let snapshot = self.store.read()?;
        for prefix in prefixes {
            let Some(ban) = self.bans.get(prefix) else {
                gone.push(prefix.to_string());
                continue;
            };
            let record = BanRecord::from(&ban);
            if !ban.is_manual() && snapshot.ban(&record.network)?.as_ref() != Some(&record) {
                imposed.push(record.clone());
            }
            bans.push(record);
        }
        self.write_bans(imposed, |change| {
            bans.iter().try_for_each(|ban| change.put_ban(ban))?;
            gone.iter().try_for_each(|network| change.remove_ban(network))
        })
    }

    fn keep_all(&self) -> Result<usize, StoreError> {
        let bans: Vec<BanRecord> = self.bans.remembered().iter().map(BanRecord::from).collect();
        let kept = self.store.read()?.bans()?;
        let kept: HashMap<&str, &BanRecord> = kept.iter().map(|ban| (ban.network.as_str(), ban)).collect();
        let by_rule = bans.iter().filter(|ban| ban.reason != Reason::Manual.as_str());
        let imposed = by_rule.filter(|ban| kept.get(ban.network.as_str()) != Some(ban)).cloned().collect();
        self.write_bans(imposed, |change| {
            change.remove_bans()?;
            bans.iter().try_for_each(|ban| change.put_ban(ban))
        })
    }

    /// One transaction; audited when rules banned somebody. What operators did was audited when they did it, and that
    /// a ban is forgotten after its end changes nothing for anybody.
    fn write_bans(
        &self,
        imposed: Vec<BanRecord>,
        apply: impl FnOnce(&mut Change<'_>) -> Result<(), StoreError>,
    ) -> Result<usize, StoreError> {
        let count = imposed.len();
        match imposed_entry(imposed) {
            Some(entry) => self.store.change(&entry, apply)?,
            None => self.store.note(Durable::Now, apply)?,
        }
        Ok(count)
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

/// What the audit chain says of those whom rules banned; `None` when there are none.
fn imposed_entry(mut imposed: Vec<BanRecord>) -> Option<Entry> {
    imposed.sort_by_key(|ban| ban.since);
    let first = imposed.first()?;
    let until = |ban: &BanRecord| ban.until.map(|until| format!(" until {until}")).unwrap_or_default();
    if let [ban] = &imposed[..] {
        let app = ban.app.as_deref().map(|app| format!(" at '{app}'")).unwrap_or_default();
        let detail = format!("{}{app}, transaction {},{}", ban.reason, ban.note, until(ban));
        return Some(Entry::new(&Actor::System, "waf:bans:add", &first.network).detail(detail));
    }
    let mut named: Vec<&str> = imposed.iter().take(NAMED).map(|ban| ban.network.as_str()).collect();
    let more = imposed.len().saturating_sub(NAMED);
    let rest = format!("and {more} more");
    if more > 0 {
        named.push(&rest);
    }
    let subject = format!("{} clients", imposed.len());
    Some(Entry::new(&Actor::System, "waf:bans:add", subject).detail(named.join(" ")))
}

/// When bans of rules are written: soon, and ever more rarely while there are new ones each time.
#[derive(Debug)]
struct Pace {
    /// Not before.
    next: Instant,
    pause: Duration,
    /// Whether something waits for `next`.
    postponed: bool,
}

impl Pace {
    fn new(now: Instant) -> Pace {
        Pace { next: now, pause: GATHER, postponed: false }
    }

    /// Whether it is time; otherwise it is remembered that something waits.
    fn may_write(&mut self, now: Instant) -> bool {
        self.postponed = now < self.next;
        !self.postponed
    }

    /// Bans of rules were written.
    fn wrote(&mut self, now: Instant) {
        // Who comes within twice the pause comes as part of a flood.
        let quiet = now.saturating_duration_since(self.next) > self.pause * 2;
        self.pause = if quiet { GATHER } else { (self.pause * 2).min(LONGEST_GATHER) };
        self.next = now + self.pause;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn record(number: u64) -> BanRecord {
        BanRecord {
            network: format!("10.0.0.{number}"),
            reason: "firewall".into(),
            app: Some("shop".into()),
            note: "1a2b".into(),
            since: Timestamp(number),
            until: Some(Timestamp(3_600_000)),
            count: 1,
        }
    }

    #[test]
    fn an_audit_record_names_whom_rules_banned() {
        assert_eq!(imposed_entry(Vec::new()), None);
        let one = imposed_entry(vec![record(7)]).unwrap();
        assert_eq!((one.action, one.subject.as_str()), ("waf:bans:add", "10.0.0.7"));
        assert_eq!(one.detail, "firewall at 'shop', transaction 1a2b, until 1970-01-01T01:00:00.000Z");
        let two = imposed_entry(vec![record(9), record(8)]).unwrap();
        assert_eq!((two.subject.as_str(), two.detail.as_str()), ("2 clients", "10.0.0.8 10.0.0.9"));
        let many = imposed_entry((1..=200).map(record).collect()).unwrap();
        assert!(
            many.detail.ends_with(" 10.0.0.10 and 190 more") && many.detail.len() < 200,
            "{}",
            many.detail
        );
    }

    #[test]
    fn a_flood_is_written_ever_more_rarely_and_calm_soon() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        let (mut now, mut written) = (begun, 0);
        while now < begun + Duration::from_secs(3600) {
            now += GATHER;
            if pace.may_write(now) {
                pace.wrote(now);
                written += 1;
            }
        }
        assert!((60..80).contains(&written), "{written} records in an hour of new bans all the time");
        // After a calm the next ban is written at once, and so is one a while later.
        for minutes in [10, 20] {
            let later = now + Duration::from_secs(minutes * 60);
            assert!(pace.may_write(later));
            pace.wrote(later);
            assert_eq!(pace.pause, GATHER);
        }
    }
}
