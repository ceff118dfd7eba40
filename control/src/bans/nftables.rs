//! Bans in the kernel, by the `nft` command. Off unless the operator wants it; where it is not permitted the proxy's own
//! table does the work alone, and that is said.

use std::io::ErrorKind;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hop3_proxy::{Ban, Prefix};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Notify;

use super::script;
use crate::failure::{Failure, Kind};

/// How long `nft` may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Where it lies; the second is outside of an ordinary user's PATH.
const PROGRAMS: [&str; 2] = ["nft", "/usr/sbin/nft"];

/// The kernel's sets of one server.
#[derive(Debug)]
pub struct Nftables {
    table: String,
    ports: Vec<u16>,
    state: Mutex<NftablesState>,
    /// Wakes who keeps the sets, after the wish for them changed.
    pub wanted: Notify,
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

impl Nftables {
    /// The sets of the server called `owner` (`hop3-…`), which listens on `ports`. Nothing is made yet.
    pub fn new(owner: &str, ports: Vec<u16>) -> Nftables {
        let table = owner.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        Nftables { table, ports, state: Mutex::default(), wanted: Notify::new() }
    }

    /// How it stands.
    pub fn state(&self) -> NftablesState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the sets hold these bans. A failure is told once in the log and stays in [`Nftables::state`].
    pub async fn sync(&self, bans: &[Ban], allowed: &[Prefix], now: SystemTime) {
        if self.ports.is_empty() {
            return;
        }
        let text = script::replacing(&self.table, &self.ports, allowed, bans, now);
        let state = match run(text).await {
            Ok(()) => NftablesState::On { table: self.table.clone() },
            Err(failure) => NftablesState::Failed { failure },
        };
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

    /// Takes the sets away, if they were made.
    pub async fn remove(&self) {
        if let NftablesState::On { .. } = self.replace(NftablesState::Off)
            && let Err(failure) = run(script::removing(&self.table)).await
        {
            tracing::error!(cause = failure.cause, "the table of nftables could not be removed");
        }
    }

    fn replace(&self, state: NftablesState) -> NftablesState {
        std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), state)
    }
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
    fn the_table_is_named_after_the_server() {
        assert_eq!(Nftables::new("hop3-1a2b", vec![80]).table, "hop3_1a2b");
    }
}
