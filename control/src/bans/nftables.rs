//! Bans in the kernel, by the `nft` command. Off unless the operator wants it; where it is not permitted the proxy's own
//! table does the work alone, and that is said.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hop3_proxy::{Ban, Prefix};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Notify;

use super::generation::generation;
use super::script::{self, Elements};
use crate::failure::{Failure, Kind};

/// How long `nft` may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How often all is said again, where the kernel does not tell of changes by others.
const WHOLE_AGAIN: Duration = Duration::from_secs(600);
/// How often it is asked for them, and the least time from one saying of all to the next: others may change much that
/// is not ours.
const LOOK: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_secs(10);
/// Where it lies; the second is outside of an ordinary user's PATH.
const PROGRAMS: [&str; 2] = ["nft", "/usr/sbin/nft"];

/// The kernel's sets of one server.
#[derive(Debug)]
pub struct Nftables {
    table: String,
    ports: Vec<u16>,
    /// There as long as the kernel may hold the table, also over a crash or an upgrade.
    mark: PathBuf,
    state: Mutex<NftablesState>,
    /// What the kernel was told last; `None` when that is not known, and all has to be said again.
    told: tokio::sync::Mutex<Option<Told>>,
    /// Wakes who keeps the sets, after the wish for them changed.
    pub wanted: Notify,
}

/// What the kernel was told.
#[derive(Debug)]
struct Told {
    allowed: Vec<Prefix>,
    elements: Elements,
    /// When all of it was said.
    whole: SystemTime,
    /// The packet filter's generation after our last change, or an older one when others made changes meanwhile; `None`
    /// where that is not known.
    generation: Option<u32>,
}

/// How it stands with the kernel's sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum NftablesState {
    /// Nobody wants them.
    #[default]
    Off,
    /// They hold the bans.
    On {
        /// The name of the table, of family `inet`.
        table: String,
    },
    /// They do not; bans hold in the proxy alone.
    Failed {
        /// Why, and what to do.
        failure: Failure,
    },
}

impl Told {
    /// Whether all is to be said again: others changed something, or it is not known whether they did.
    fn is_old(&self, generation: Option<u32>, now: SystemTime) -> bool {
        let least = match generation {
            Some(_) if generation == self.generation => return false,
            Some(_) if self.generation.is_some() => REST,
            _ => WHOLE_AGAIN,
        };
        // A clock that was set back tells nothing.
        now.duration_since(self.whole).map_or(true, |age| age >= least)
    }
}

impl Nftables {
    /// The sets of the server called `owner` (`hop3-…`), which listens on `ports`. The file `mark` is there while the
    /// kernel may hold them. Nothing is made yet.
    pub fn new(owner: &str, ports: Vec<u16>, mark: PathBuf) -> Nftables {
        let table = owner.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        Nftables {
            table,
            ports,
            mark,
            state: Mutex::default(),
            told: Default::default(),
            wanted: Notify::new(),
        }
    }

    /// How it stands.
    pub fn state(&self) -> NftablesState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until somebody else changed the packet filter, so that all has to be said again; for ever where there is
    /// nothing to lose.
    pub async fn changed_by_others(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let told = self.told.lock().await;
            // Where the kernel tells nothing, whoever refreshes the sets sees to it.
            if let (Some(told), Some(generation)) = (told.as_ref(), generation())
                && told.is_old(Some(generation), SystemTime::now())
            {
                return;
            }
        }
    }

    /// Makes the sets hold these bans: by the elements that changed, or all of it at first, after a failure, and after
    /// changes by others, who may have flushed them. A failure is told once in the log and stays in
    /// [`Nftables::state`].
    pub async fn sync(&self, bans: &[Ban], allowed: &[Prefix], now: SystemTime) {
        if self.ports.is_empty() {
            return;
        }
        let mut told = self.told.lock().await;
        let elements = script::elements(bans, now);
        let seen = generation();
        let outcome = match told.take().filter(|told| told.allowed == allowed && !told.is_old(seen, now)) {
            Some(told) => self.change(told, elements, now).await,
            None => self.make(allowed, elements, now).await,
        };
        let state = match outcome {
            Ok(new) => {
                *told = Some(new);
                NftablesState::On { table: self.table.clone() }
            }
            Err(failure) => NftablesState::Failed { failure },
        };
        drop(told);
        let before = self.replace(state.clone());
        match state {
            NftablesState::Failed { failure }
                if before != (NftablesState::Failed { failure: failure.clone() }) =>
            {
                tracing::error!(cause = failure.cause, hint = failure.hint, "{}", failure.message);
            }
            NftablesState::On { table } if !matches!(before, NftablesState::On { .. }) => {
                tracing::info!(table, "bans are in force in nftables");
            }
            _ => {}
        }
    }

    /// Says all of it.
    async fn make(&self, allowed: &[Prefix], elements: Elements, now: SystemTime) -> Result<Told, Failure> {
        let text = script::replacing(&self.table, &self.ports, allowed, &elements, now);
        let before = generation();
        self.mark_and_run(text).await?;
        Ok(Told { allowed: allowed.to_vec(), elements, whole: now, generation: ours_alone(before) })
    }

    /// Says what is new. Where the kernel's sets are not what they were, all of it.
    async fn change(&self, told: Told, elements: Elements, now: SystemTime) -> Result<Told, Failure> {
        let text = script::changing(&self.table, &told.elements, &elements, now);
        if text.is_empty() {
            return Ok(Told { elements, ..told });
        }
        let before = generation();
        if let Err(failure) = self.mark_and_run(text).await {
            let cause = failure.cause.as_deref().unwrap_or_default();
            tracing::debug!(cause, "the kernel's sets are made anew");
            return self.make(&told.allowed, elements, now).await;
        }
        // What others did before is still to be looked after.
        let generation = if before == told.generation { ours_alone(before) } else { told.generation };
        Ok(Told { elements, generation, ..told })
    }

    /// Takes the sets away, if they were made: by this process or by an earlier one of this server.
    pub async fn remove(&self) {
        self.replace(NftablesState::Off);
        *self.told.lock().await = None;
        if !self.mark.exists() {
            return;
        }
        match run(script::removing(&self.table)).await {
            Ok(()) => drop(fs::remove_file(&self.mark)),
            Err(failure) => {
                let (table, cause) = (&self.table, failure.cause);
                tracing::error!(table, cause, "nftables still drops what banned clients send");
            }
        }
    }

    /// Notes that there may be a table before there is one: nobody would take away what nobody knows of.
    async fn mark_and_run(&self, text: String) -> Result<(), Failure> {
        let known = self.mark.exists();
        fs::write(&self.mark, &self.table).map_err(|error| {
            failed("bans cannot be put into nftables without a note of it").because(&error)
        })?;
        let outcome = run(text).await;
        if outcome.is_err() && !known {
            // All of the text or nothing came into force.
            let _absent = fs::remove_file(&self.mark);
        }
        outcome
    }

    fn replace(&self, state: NftablesState) -> NftablesState {
        std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), state)
    }
}

/// The generation after a change of ours; the one before it when others changed something at the same time.
fn ours_alone(before: Option<u32>) -> Option<u32> {
    let (before, after) = (before?, generation()?);
    Some(if after == before.wrapping_add(1) { after } else { before })
}

/// Runs `nft` on `text`, all of it or nothing.
async fn run(text: String) -> Result<(), Failure> {
    for program in PROGRAMS {
        let started = Command::new(program)
            .args(["-f", "-"])
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(failed("`nft` cannot be started").because(&error)),
        };
        let talk = async {
            if let Some(mut input) = child.stdin.take() {
                // An `nft` that ends early says why.
                let _closed = input.write_all(text.as_bytes()).await;
            }
            child.wait_with_output().await
        };
        return match tokio::time::timeout(LIMIT, talk).await {
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => Err(refused(&String::from_utf8_lossy(&output.stderr))),
            Ok(Err(error)) => Err(failed("`nft` broke off").because(&error)),
            Err(_) => Err(failed("`nft` does not end")),
        };
    }
    Err(failed("bans cannot be put into nftables: there is no `nft`").hint("install the package nftables"))
}

fn refused(said: &str) -> Failure {
    let first = said.lines().next().unwrap_or_default().trim().to_owned();
    if said.contains("not permitted") || said.contains("Permission denied") {
        return Failure::new(Kind::Forbidden, "bans cannot be put into nftables: this is not permitted")
            .cause(first)
            .hint(
                "run the server as root or with CAP_NET_ADMIN, or set nftables = false under [server.bans]",
            );
    }
    failed("bans cannot be put into nftables").cause(first)
}

fn failed(message: &str) -> Failure {
    Failure::new(Kind::Unavailable, message)
        .hint("bans hold in the proxy; set nftables = false under [server.bans] to do without")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let failure = refused("netlink: Error: cache initialization failed: Operation not permitted\n");
        assert_eq!(failure.kind, Kind::Forbidden);
        assert!(failure.hint.unwrap().contains("CAP_NET_ADMIN"));
        let other = refused("-:1:1: Error: syntax error\nadd\n^^^\n");
        assert_eq!(other.cause.as_deref(), Some("-:1:1: Error: syntax error"));
    }

    #[test]
    fn all_is_said_again_after_changes_of_others_and_from_time_to_time_where_they_are_not_told() {
        let start = SystemTime::UNIX_EPOCH;
        let told = |generation| Told {
            allowed: Vec::new(),
            elements: script::elements(&[], start),
            whole: start,
            generation,
        };
        let cases = [
            (Some(7), Some(7), Duration::MAX),
            (Some(7), Some(8), REST),
            (Some(7), None, WHOLE_AGAIN),
            (None, Some(8), WHOLE_AGAIN),
            (None, None, WHOLE_AGAIN),
        ];
        for (ours, now, after) in cases {
            for age in [Duration::ZERO, REST - LOOK, REST, WHOLE_AGAIN - LOOK, WHOLE_AGAIN, 9 * WHOLE_AGAIN] {
                let is_old = told(ours).is_old(now, start + age);
                assert_eq!(is_old, age >= after, "{ours:?} {now:?} after {age:?}");
            }
        }
    }

    #[test]
    fn the_table_is_named_after_the_server() {
        assert_eq!(Nftables::new("hop3-1a2b", vec![80], "mark".into()).table, "hop3_1a2b");
    }
}
