//! The command line: grammar, which app is meant, and how results look.
//!
//! Each group of verbs has a file; all of them speak to the server through [`crate::api::client`], except `serve`,
//! which is the server.

mod app;
mod audit;
mod cache;
mod certs;
mod config;
mod confirm;
mod deploy;
mod doctor;
mod logs;
mod output;
mod releases;
mod rules;
mod server;
mod spelling;
mod table;
mod target;
mod unit;
mod usage;
mod waf;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use output::Output;

use crate::api::client::Client;
use crate::data::DataDir;
use crate::failure::Failure;

const AFTER_HELP: &str = "Both spellings work everywhere: `hop3 app:status demo` and `hop3 app status --app demo`.\n\
    The app comes from the argument, --app, HOP3_APP, the file .hop3-app, or `[metadata] id` of hop3.toml.";

/// The grammar. Groups are written `app:list` or `app list`.
#[derive(Debug, Parser)]
#[command(
    name = "hop3",
    version,
    about = "One server for web applications: reverse proxy, firewall, control plane",
    subcommand_required = true,
    arg_required_else_help = false
)]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Data directory of the server [default: /var/lib/hop3 as root, else ~/.local/share/hop3]
    #[arg(long, global = true, env = "HOP3_DATA", value_name = "DIR", help_heading = "Global options")]
    pub data: Option<PathBuf>,
    /// Print the typed result as JSON
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Answer every question with yes
    #[arg(short = 'y', long, global = true, help_heading = "Global options")]
    pub yes: bool,
    /// Never ask; refuse what would need an answer
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_input: bool,
    /// Print results and errors only
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Print more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
}

/// The commands of the first level.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server: proxy, firewall, control plane
    Serve(server::Serve),
    /// Build and start an app from a folder
    Deploy(deploy::Deploy),
    /// Apps: list, status, ping, logs, start, stop, restart, destroy, create
    #[command(subcommand, visible_alias = "apps")]
    App(app::AppCommand),
    /// Configuration of an app: show, get, set, unset
    #[command(subcommand, visible_alias = "env")]
    Config(config::ConfigCommand),
    /// The web application firewall: status, logs, test, explain, check, bench, bans
    #[command(subcommand)]
    Waf(waf::WafCommand),
    /// Rulesets: list, install, use, verify
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Certificates: list, add, remove, renew
    #[command(subcommand, visible_alias = "cert")]
    Certs(certs::CertsCommand),
    /// Answers that the proxy keeps: purge
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// The releases of an app
    Releases(target::AppArgument),
    /// Return to an earlier release
    Rollback(releases::RollbackCommand),
    /// Who changed what
    Audit(audit::AuditCommand),
    /// What the server is doing
    Status,
    /// Check machine, settings and server; each line with cause and next step
    Doctor(doctor::Doctor),
    /// Replace the running server by the executable that lies at its path now; no connection is lost, apps run on
    Upgrade,
    /// Print a unit for systemd
    Unit(unit::Unit),
    /// Version of this executable
    Version,
    /// Completion script for a shell
    Completion(server::Completion),
}

/// What a command works with.
pub struct Context {
    /// What every command understands.
    pub global: Global,
    /// The server's data directory.
    pub data: DataDir,
    /// The way to the server.
    pub client: Client,
    /// Where results go.
    pub output: Output,
}

/// Runs the command in `arguments` (the program's name first) and gives the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = spelling::separate(arguments.into_iter().collect());
    let name = program(&arguments);
    let parsed =
        grammar(name).try_get_matches_from(&arguments).and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error, name),
    };
    match dispatch(cli) {
        Ok(()) => 0,
        Err(failure) => {
            // Nothing to say: whoever read our output has gone.
            if !failure.message.is_empty() {
                eprintln!("{failure}");
            }
            failure.kind.exit_code()
        }
    }
}

/// The name that the executable was called by: `hop`, or else `hop3`.
fn program(arguments: &[OsString]) -> &'static str {
    let called = arguments.first().map(std::path::Path::new).and_then(std::path::Path::file_name);
    if called.is_some_and(|name| name == "hop") { "hop" } else { "hop3" }
}

/// The grammar under one of the executable's names.
pub(crate) fn grammar(name: &'static str) -> clap::Command {
    let command = Cli::command().name(name).bin_name(name);
    let after = AFTER_HELP.replace("`hop3 ", &format!("`{name} "));
    command.after_help(after)
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let data = match &cli.global.data {
        Some(path) => DataDir::new(std::path::absolute(path).map_err(|error| {
            Failure::usage(format!("cannot use the data directory `{}`", path.display())).because(&error)
        })?),
        None => DataDir::default_for_this_user()?,
    };
    let output = Output::new(cli.global.json, cli.global.quiet, cli.global.verbose);
    let client = Client::new(data.socket());
    let context = Context { global: cli.global, data, client, output };
    match cli.command {
        Command::Serve(command) => command.run(context),
        Command::Version => server::version(&context),
        Command::Completion(command) => command.run(&context),
        Command::Unit(command) => command.run(&context),
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::internal("cannot start").because(&error))?;
            let outcome = runtime.block_on(ask(command, &context));
            // A resolver that does not answer is not waited for.
            runtime.shutdown_background();
            outcome
        }
    }
}

/// The commands that speak to a running server.
async fn ask(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Deploy(command) => command.run(context).await,
        Command::App(command) => command.run(context).await,
        Command::Config(command) => command.run(context).await,
        Command::Waf(command) => command.run(context).await,
        Command::Rules(command) => command.run(context).await,
        Command::Certs(command) => command.run(context).await,
        Command::Cache(command) => command.run(context).await,
        Command::Releases(argument) => releases::list(&argument, context).await,
        Command::Rollback(command) => command.run(context).await,
        Command::Audit(command) => command.run(context).await,
        Command::Status => server::status(context).await,
        Command::Doctor(command) => command.run(context).await,
        Command::Upgrade => server::upgrade(context).await,
        Command::Serve(_) | Command::Unit(_) | Command::Version | Command::Completion(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
