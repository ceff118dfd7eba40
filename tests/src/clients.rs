//! Programs of others in front of and behind the proxy: where they are, and running them.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::report::Report;

/// Longest run of a client.
const PATIENCE: Duration = Duration::from_secs(180);

/// A back end in a process of its own; ended when dropped.
#[derive(Debug)]
pub struct BackEnd {
    addresses: serde_json::Value,
    _process: Child,
}

impl BackEnd {
    /// Starts a program that prints its addresses as a line of JSON and serves until its standard input ends.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.expect("addresses in time").expect("text");
        let addresses = serde_json::from_str(&line.expect("a line of addresses")).expect("JSON");
        Self { addresses, _process: process }
    }

    /// The address of one of its services, if it has that.
    ///
    /// # Panics
    /// When it is no address.
    pub fn address(&self, service: &str) -> Option<SocketAddr> {
        self.addresses[service].as_str().map(|address| address.parse().expect("an address"))
    }
}

/// What a client printed, and whether it succeeded.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Whether it ended with 0.
    pub succeeded: bool,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

/// Runs a program to its end.
///
/// # Panics
/// When it cannot be started or does not end in time.
pub async fn run(mut command: Command) -> Ran {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(PATIENCE, running).await.unwrap_or_else(|_| panic!("{command:?} did not end"));
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { succeeded: output.status.success(), output: text(&output.stdout), errors: text(&output.stderr) }
}

impl Ran {
    /// Enters each line `ok NAME`, `skip NAME: why` or `FAIL NAME: why` into a report.
    pub fn enter(&self, report: &mut Report) {
        for line in self.output.lines() {
            let told = |rest: &str| {
                let (name, why) = rest.split_once(": ").unwrap_or((rest, ""));
                (name.to_owned(), why.to_owned())
            };
            if line.starts_with("ok ") {
                report.pass();
            } else if let Some((name, why)) = line.strip_prefix("skip ").map(told) {
                report.skip(name, why);
            } else if let Some((name, why)) = line.strip_prefix("FAIL ").map(told) {
                report.fail(name, why);
            }
        }
        if !self.succeeded {
            report.fail("the client's end", &self.errors[..]);
        }
    }
}

/// A program that `tests/setup/install test` builds or takes out of a package.
pub fn installed(program: &str) -> Option<PathBuf> {
    Some(cache()?.join("hop3/bin").join(program)).filter(|path| path.is_file())
}

/// A program of a Debian package.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A script of `tests/clients/python`, with the packages that `tests/setup/install test` put beside it.
pub fn python<A: AsRef<OsStr>>(script: &str, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python").join(script)).args(arguments);
    if let Some(packages) = cache() {
        command.env("PYTHONPATH", packages.join("hop3/python-clients"));
    }
    command
}

fn cache() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
}
