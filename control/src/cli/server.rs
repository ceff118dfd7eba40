//! `serve`, `upgrade`, `status`, `version`, `completion`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;
use serde::Serialize;

use super::table::{Table, printable};
use super::{Context, grammar};
use crate::api::client::empty;
use crate::api::wire::{ServerStatus, Upgraded};
use crate::failure::Failure;
use crate::server::{self, Start};

/// Options of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The server's configuration [default: hop3-server.toml in the data directory, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Leave the apps running when the server is stopped; the next start takes them over
    #[arg(long)]
    keep_apps: bool,
}

/// Options of `completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// bash, elvish, fish, powershell or zsh
    shell: Shell,
}

impl Serve {
    /// Runs until a signal ends it.
    pub(super) fn run(self, context: Context) -> Result<(), Failure> {
        server::run(Start {
            data: context.data,
            config: self.config,
            keep_apps: self.keep_apps,
            verbose: context.global.verbose,
            quiet: context.global.quiet,
        })
    }
}

impl Completion {
    /// Prints the script.
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut grammar("hop3"), "hop3", &mut script);
        context.output.line(String::from_utf8_lossy(&script).trim_end())
    }
}

/// Prints the version of this executable.
pub(super) fn version(context: &Context) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Version {
        version: &'static str,
    }
    let version = Version { version: env!("CARGO_PKG_VERSION") };
    context.output.result(&version, || format!("hop3 {}", version.version))
}

/// Has the server replaced by the executable that lies at its path now.
pub(super) async fn upgrade(context: &Context) -> Result<(), Failure> {
    let done: Upgraded = context.client.call(hyper::Method::POST, "/v1/upgrade", empty()).await?;
    context.output.result(&done, || {
        let Upgraded { now, before } = &done;
        format!(
            "✓ hop3 {} (pid {}) serves now, hop3 {} (pid {}) ends with its last requests",
            now.version, now.pid, before.version, before.pid
        )
    })
}

/// Prints what the server is doing.
pub(super) async fn status(context: &Context) -> Result<(), Failure> {
    let status: ServerStatus = context.client.get("/v1/status").await?;
    context.output.result(&status, || {
        let mut table = Table::new(["Property", "Value"]);
        let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
        row("Version", status.version.clone());
        row("Process", format!("pid {}, since {}", status.pid, status.started));
        row("Data", status.data.clone());
        let listeners =
            [("HTTP", status.listen.http), ("HTTPS", status.listen.https), ("Admin", status.listen.admin)];
        for (name, address) in listeners {
            row(name, address.map_or_else(|| "off".into(), |address| address.to_string()));
        }
        row("Apps", format!("{}, {} running", status.apps, status.running));
        row("Static routes", status.routes.to_string());
        let warnings: String =
            status.warnings.iter().map(|warning| format!("\n! {}", printable(warning))).collect();
        format!("{table}{warnings}")
    })
}
