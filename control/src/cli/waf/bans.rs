//! `waf bans …`: list, add, clear.

use clap::{Args, Subcommand};
use hop3_runtimes::manifest::units::Span;

use crate::api::wire::{AddBan, BanList, ClearBans};
use crate::bans::NftablesState;
use crate::cli::Context;
use crate::cli::table::Table;
use crate::failure::Failure;
use crate::model::BanRecord;

/// The verbs of the group.
#[derive(Debug, Subcommand)]
pub enum BansCommand {
    /// Who is banned, why and until when
    List,
    /// Ban an address or network
    Add(Add),
    /// Lift bans, and forget what led to them
    Clear(Clear),
}

/// Options of `waf bans add`.
#[derive(Debug, Args)]
pub struct Add {
    /// An address or network, e.g. 192.0.2.7 or 2001:db8::/48
    network: String,
    /// How long, e.g. 2h or 30d [default: until it is cleared]
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    duration: Option<Span>,
    /// Why; shown in the list and kept in the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Options of `waf bans clear`.
#[derive(Debug, Args)]
pub struct Clear {
    /// Addresses or networks as `waf bans list` shows them
    #[arg(required_unless_present = "all")]
    networks: Vec<String>,
    /// All bans
    #[arg(long, conflicts_with = "networks")]
    all: bool,
}

impl BansCommand {
    /// Runs the verb.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            BansCommand::List => list(context).await,
            BansCommand::Add(add) => add.run(context).await,
            BansCommand::Clear(clear) => clear.run(context).await,
        }
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let list: BanList = context.client.get("/v1/bans").await?;
    context.output.result(&list, || {
        let mut text = match list.bans.len() {
            0 => "Nobody is banned.".to_owned(),
            _ => table(&list.bans),
        };
        match &list.nftables {
            NftablesState::Off => {}
            NftablesState::On { table } => {
                text.push_str(&format!("\nAlso in force in nftables: table inet {table}"))
            }
            NftablesState::Failed { failure } => {
                let cause = failure.cause.as_deref().unwrap_or("the cause is unknown");
                text.push_str(&format!("\n! {}: {cause}", failure.message));
            }
        }
        text
    })
}

fn table(bans: &[BanRecord]) -> String {
    let mut table = Table::new(["Network", "Reason", "App", "Since", "Until", "Nth", "Note"]);
    for ban in bans {
        table.row([
            ban.network.clone(),
            ban.reason.clone(),
            ban.app.clone().unwrap_or_else(|| "-".into()),
            ban.since.to_string(),
            ban.until.map_or_else(|| "cleared".into(), |until| until.to_string()),
            ban.count.to_string(),
            ban.note.clone(),
        ]);
    }
    table.to_string()
}

impl Add {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        // A part of a second is a second: zero would be refused.
        let seconds = self.duration.map(|Span(span)| span.as_secs() + u64::from(span.subsec_nanos() > 0));
        let body = AddBan { network: self.network, seconds, note: self.reason };
        let ban: BanRecord = context.client.post("/v1/bans", &body).await?;
        context.output.done(&ban, || match ban.until {
            Some(until) => format!("{} is banned until {until}.", ban.network),
            None => format!("{} is banned until it is cleared.", ban.network),
        })
    }
}

impl Clear {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let body = ClearBans { networks: self.networks, all: self.all };
        let cleared: Vec<BanRecord> = context.client.post("/v1/bans/clear", &body).await?;
        context.output.done(&cleared, || match cleared.as_slice() {
            [] => "Nobody was banned.".to_owned(),
            [one] => format!("{} is banned no longer.", one.network),
            many => format!("{} bans were lifted.", many.len()),
        })
    }
}

fn span(text: &str) -> Result<Span, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Span::seconds(seconds));
    }
    humantime::parse_duration(text).map(Span).map_err(|error| error.to_string())
}
