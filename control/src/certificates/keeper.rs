//! The task that keeps certificates: looks what is due, does it, puts it into force, sleeps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hop3_proxy::Challenges;
use tokio::sync::{Notify, watch};

use super::authority::Authority;
use super::failed::Failed;
use super::holding::{Holding, Issuance, Issued};
use super::limits::keep_recent;
use super::proof::Prover;
use super::report::{CertificateStatus, status};
use super::schedule::{Step, next_step};
use super::shelf::Shelf;
use crate::failure::chain;
use crate::model::{Actor, Entry, Timestamp};
use crate::settings::Acme;
use crate::store::StoreError;

mod under_way;

use under_way::{Outcome, UnderWay};

/// Orders under way at a time.
const AT_ONCE: usize = 4;
/// Longest time for one order, with all its waiting.
const LONGEST: Duration = Duration::from_secs(900);
/// Longest sleep: clocks are set, machines sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// Shortest time from one look at what is due to the next, whatever ends or is asked for in between.
const SHORTEST_TURN: Duration = Duration::from_millis(200);
/// How often what is wrong is logged again.
const DAY: Duration = Duration::from_secs(86_400);

/// Said of an owner whose holding does not decrypt or decode.
const UNREADABLE: &str = "what is stored of its certificates cannot be read, so none is ordered: \
                          put the data directory's own `key` file back and restart the server";

/// An owner and its hosts, as routed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// App or static route.
    pub owner: String,
    /// Its hosts, `*.` in front of wildcards.
    pub hosts: Vec<String>,
    /// Further hosts of which it serves a part, each with the owner whose certificate that is.
    pub elsewhere: BTreeMap<String, String>,
    /// Whether an authority may be asked.
    pub automatic: bool,
}

/// What the keeper tells its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The certificate of this owner is another one.
    Changed(String),
    /// A day has passed: what is self-signed may need to be remade.
    Daily,
}

/// Keeps the certificates of all owners.
pub struct Keeper {
    shelf: Arc<Shelf>,
    challenges: Arc<Challenges>,
    wanted: Mutex<Vec<Wanted>>,
    acme: Mutex<Option<Acme>>,
    wake: Notify,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("wanted", &self.wanted()).finish_non_exhaustive()
    }
}

impl Keeper {
    /// With the proxy's `challenges`; nothing happens before [`Keeper::run`].
    pub fn new(shelf: Arc<Shelf>, challenges: Arc<Challenges>, acme: Option<Acme>) -> Keeper {
        let (wanted, acme) = (Mutex::default(), Mutex::new(acme));
        Keeper { shelf, challenges, wanted, acme, wake: Notify::new() }
    }

    /// The holdings.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Takes over which hosts are routed; whether that is news.
    pub fn want(&self, wanted: Vec<Wanted>) -> bool {
        let mut held = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *held != wanted;
        if news {
            *held = wanted;
            self.wake.notify_one();
        }
        news
    }

    /// Whether clients trust what a host of an owner is shown with, its own certificate or another owner's:
    /// [`Holding::is_trusted`].
    pub fn is_trusted(&self, owner: &str, host: &str, now: Timestamp) -> bool {
        let holder = {
            let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            wanted
                .iter()
                .find(|wanted| wanted.owner == owner)
                .and_then(|wanted| wanted.elsewhere.get(host))
                .cloned()
        };
        self.shelf.get(holder.as_deref().unwrap_or(owner)).is_trusted(host, now)
    }

    /// Which hosts are routed.
    pub fn wanted(&self) -> Vec<Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over which authority is asked.
    pub fn configure(&self, acme: Option<Acme>) {
        *self.acme.lock().unwrap_or_else(PoisonError::into_inner) = acme;
        self.wake.notify_one();
    }

    /// Which authority is asked.
    pub fn acme(&self) -> Option<Acme> {
        self.acme.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The state of all certificates.
    pub fn status(&self, now: Timestamp) -> Vec<CertificateStatus> {
        let acme = self.acme();
        let authority = acme.as_ref().and_then(|acme| self.shelf.authority(&acme.directory).ok()?.trouble);
        let wanted = self.wanted();
        wanted
            .iter()
            .map(|wanted| {
                let shown = |owner: &str, host: &str| self.shelf.show(owner, host, now);
                let holding = self.shelf.get(&wanted.owner);
                let mut status = status(wanted, &holding, shown, acme.as_ref(), authority.as_ref(), now);
                if self.shelf.is_unreadable(&wanted.owner) {
                    status.problems.push(UNREADABLE.to_owned());
                }
                status
            })
            .collect()
    }

    /// A new certificate at once, or as soon as limits and the authority allow.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn renew(&self, actor: &Actor, owner: &str) -> Result<(), StoreError> {
        self.shelf.change(&Entry::new(actor, "certs:renew", owner), owner, |holding| {
            holding.renew_now = true;
            let now_again = |trouble: &mut super::holding::Trouble| trouble.retry = Timestamp(0);
            holding.names.values_mut().for_each(now_again);
            if let Some(refused) = &mut holding.refused
                && !refused.asked
            {
                refused.retry = Timestamp(0);
            }
        })?;
        if let Some(acme) = self.acme() {
            self.shelf.note_authority(&acme.directory, |record| {
                if let Some(trouble) = &mut record.trouble
                    && !trouble.asked
                {
                    trouble.retry = Timestamp(0);
                }
            })?;
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Looks again what is due.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Keeps certificates until `stopping` turns true; an order under way goes on after the next start.
    pub async fn run(
        self: Arc<Self>,
        tell: impl Fn(Notice) + Send + Sync + 'static,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut authority: Option<Arc<Authority>> = None;
        let mut under_way = UnderWay::default();
        let mut warned: Option<Timestamp> = None;
        let mut looked = Timestamp::now();
        loop {
            let now = Timestamp::now();
            if warned.is_none_or(|warned| now.since(warned) >= DAY) {
                warned = Some(now);
                self.warn(now);
                tell(Notice::Daily);
            }
            self.follow(&mut authority);
            let (expired, mut next) = self.imported_ends(looked, now);
            expired.into_iter().for_each(|owner| tell(Notice::Changed(owner)));
            looked = now;
            if let Some(authority) = &authority {
                next = next.min(self.start_what_is_due(authority, &mut under_way, now));
            }
            let sleep = next.since(now).clamp(SHORTEST_TURN, LONGEST_SLEEP);
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = self.wake.notified() => {}
                Some(done) = under_way.tasks.join_next_with_id(), if !under_way.tasks.is_empty() => {
                    if let Some(owner) = under_way.ended(done, Timestamp::now()) {
                        tell(Notice::Changed(owner));
                    }
                }
                () = tokio::time::sleep(sleep) => {}
            }
            let left = SHORTEST_TURN.saturating_sub(Timestamp::now().since(now));
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    /// Whose imported certificate ended after `from` and until `now`, so that another one may be better, and when to look
    /// again.
    fn imported_ends(&self, from: Timestamp, now: Timestamp) -> (Vec<String>, Timestamp) {
        let (mut expired, mut next) = (Vec::new(), now.after(LONGEST_SLEEP));
        for Wanted { owner, .. } in self.wanted() {
            let Some(facts) = self.shelf.get(&owner).imported_facts() else { continue };
            let end = Timestamp::from(facts.not_after);
            if end > now {
                next = next.min(end);
            } else if end > from {
                expired.push(owner);
            }
        }
        (expired, next)
    }

    /// Makes the authority anew when the configuration has changed.
    fn follow(&self, authority: &mut Option<Arc<Authority>>) {
        let acme = self.acme();
        if authority.as_ref().map(|authority| authority.acme()) == acme.as_ref() {
            return;
        }
        *authority = acme.and_then(|acme| match Authority::new(acme, self.shelf.clone()) {
            Ok(authority) => Some(Arc::new(authority)),
            Err(error) => {
                tracing::error!(error, "no certificates can be ordered");
                None
            }
        });
    }

    /// Starts what is due; when to look again.
    fn start_what_is_due(
        self: &Arc<Self>,
        authority: &Arc<Authority>,
        under_way: &mut UnderWay,
        now: Timestamp,
    ) -> Timestamp {
        let mut next = now.after(LONGEST_SLEEP);
        let free = tokio::task::block_in_place(|| authority.free_at(now));
        for Wanted { owner, hosts, .. } in self.wanted().into_iter().filter(|wanted| wanted.automatic) {
            // An order for what cannot be kept would be for nothing.
            if under_way.is_busy(&owner) || self.shelf.is_unreadable(&owner) {
                continue;
            }
            if let Some(&until) = under_way.pauses.get(&owner).filter(|until| now < **until) {
                next = next.min(until);
                continue;
            }
            let step = next_step(&hosts, &self.shelf.get(&owner), authority.acme(), now);
            match step {
                Step::Rest => {}
                Step::Wait(at) => next = next.min(at),
                _ if now < free => next = next.min(free),
                // The end of one of those under way wakes us.
                _ if under_way.tasks.len() >= AT_ONCE => {}
                step => {
                    let (keeper, authority, whose) = (self.clone(), authority.clone(), owner.clone());
                    under_way
                        .start(owner, async move { keeper.perform(&authority, &whose, &hosts, step).await });
                }
            }
        }
        next
    }

    /// Does one step.
    async fn perform(&self, authority: &Authority, owner: &str, hosts: &[String], step: Step) -> Outcome {
        let random = getrandom::u64().unwrap_or_default();
        let result = match step {
            Step::Order(names) => {
                tracing::info!(owner, names = names.join(","), "ordering a certificate");
                let prover = Arc::new(Prover::new(self.challenges.clone(), authority.acme()));
                let obtained = tokio::time::timeout(LONGEST, authority.obtain(owner, &names, &prover));
                let obtained =
                    obtained.await.unwrap_or_else(|_| Err(Failed::Late("it took too long".into(), None)));
                self.keep(authority, owner, hosts, &names, obtained, random)
            }
            Step::AskAdvice => self.ask_advice(authority, owner, random).await.map(|()| false),
            Step::Rest | Step::Wait(_) => Ok(false),
        };
        match result {
            Ok(true) => Outcome::Changed,
            Ok(false) => Outcome::Same,
            Err(error) => {
                tracing::error!(owner, error = chain(&error), "what became of a certificate cannot be kept");
                Outcome::Unkept
            }
        }
    }

    /// Keeps what came of an order.
    fn keep(
        &self,
        authority: &Authority,
        owner: &str,
        hosts: &[String],
        names: &[String],
        obtained: Result<Issued, Failed>,
        random: u64,
    ) -> Result<bool, StoreError> {
        let now = Timestamp::now();
        if !self.wanted().iter().any(|wanted| wanted.owner == owner) {
            // Destroyed meanwhile, with all that was kept of it.
            tracing::info!(owner, "an order ended for what is routed no more");
            return Ok(false);
        }
        tokio::task::block_in_place(|| match obtained {
            Ok(issued) => {
                let entry = Entry::new(&Actor::System, "certs:issue", owner).detail(names.join(" "));
                self.shelf.change(&entry, owner, |holding| succeeded(holding, issued, names, hosts, now))?;
                self.shelf.note_authority(&authority.acme().directory, |record| record.trouble = None)?;
                tracing::info!(owner, names = names.join(","), "the certificate was issued");
                Ok(true)
            }
            Err(failed) => {
                self.failed(authority, owner, &failed, now, random)?;
                Ok(false)
            }
        })
    }

    fn failed(
        &self,
        authority: &Authority,
        owner: &str,
        failed: &Failed,
        now: Timestamp,
        random: u64,
    ) -> Result<(), StoreError> {
        match failed {
            Failed::Authority(reason, retry_after) => {
                let directory = &authority.acme().directory;
                let retry = self.shelf.note_authority(directory, |record| {
                    let trouble = record.trouble.get_or_insert_default();
                    trouble.order_failed(reason, *retry_after, now, random);
                    trouble.retry
                })?;
                tracing::warn!(directory, reason, retry = %retry, "the authority is out of reach");
            }
            Failed::Order(reason, retry_after) | Failed::Late(reason, retry_after) => {
                let goes_on = matches!(failed, Failed::Late(..));
                let retry = self.shelf.note(owner, |holding| {
                    if !goes_on {
                        holding.order = None;
                    }
                    let trouble = holding.refused.get_or_insert_default();
                    trouble.order_failed(reason, *retry_after, now, random);
                    trouble.retry
                })?;
                tracing::warn!(owner, reason, retry = %retry, "no certificate was issued");
            }
            Failed::Names(names) => {
                self.shelf.note(owner, |holding| names_failed(holding, names, now, random))?;
                for (name, reason) in names {
                    tracing::warn!(owner, name, reason, "the authority could not verify a name");
                }
            }
        }
        Ok(())
    }

    async fn ask_advice(&self, authority: &Authority, owner: &str, random: u64) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let Some(issued) = self.shelf.get(owner).issued else { return Ok(()) };
        match authority.advice(&issued, now, random).await {
            Ok(advice) => tokio::task::block_in_place(|| {
                self.shelf.note(owner, |holding| {
                    if let Some(held) = holding.issued.as_mut().filter(|held| held.chain == issued.chain) {
                        held.advice = Some(advice);
                    }
                })
            }),
            Err(failed) => tokio::task::block_in_place(|| {
                // Certificates are there: not being able to ask must not look like not being able to order.
                self.shelf.note(owner, |holding| {
                    if let Some(held) = &mut holding.issued {
                        let earlier = held.advice.as_ref();
                        held.advice = Some(super::schedule::no_advice(earlier, now, random));
                    }
                })?;
                tracing::debug!(owner, ?failed, "no renewal information");
                Ok(())
            }),
        }
    }

    fn warn(&self, now: Timestamp) {
        for status in self.status(now) {
            for problem in &status.problems {
                tracing::warn!(owner = status.owner, problem, "a certificate needs attention");
            }
        }
    }
}

/// A certificate came.
fn succeeded(holding: &mut Holding, issued: Issued, names: &[String], hosts: &[String], now: Timestamp) {
    holding.issued = Some(issued);
    holding.order = None;
    holding.refused = None;
    holding.renew_now = false;
    holding.names.retain(|name, _| hosts.contains(name) && !names.contains(name));
    keep_recent(holding, now);
    holding.issuances.push(Issuance { at: now, names: names.to_vec() });
}

/// Names were refused: each has its own pause, the others go on without them.
fn names_failed(holding: &mut Holding, names: &[(String, String)], now: Timestamp, random: u64) {
    holding.order = None;
    for (name, reason) in names {
        holding.names.entry(name.clone()).or_default().name_failed(reason, now, random);
    }
}

#[cfg(test)]
mod tests;
