//! `waf …`: status, logs, check, test, bench, explain, `waf bans …` and `waf rules …`.

mod bans;
mod bench;
mod check;
mod explain;
mod report;
mod test;

use clap::{Args, Subcommand};

use super::Context;
use super::rules::RulesCommand;
use super::table::{Table, printable};
use super::target::AppArgument;
use crate::api::wire::{FirewallEvents, WafDetails};
use crate::failure::Failure;
use crate::model::FirewallEvent;

/// The verbs of the group.
#[derive(Debug, Subcommand)]
pub enum WafCommand {
    /// Mode, ruleset, rules loaded, counts: of one app or of all
    Status(AppArgument),
    /// What the firewall saw and refused
    Logs(Logs),
    /// What the rules would make of a request, and why
    Test(test::Test),
    /// Why a logged request was refused
    Explain(explain::Explain),
    /// Check rule files: errors, warnings, lints; needs no server
    Check(check::Check),
    /// What inspecting recorded requests costs; needs no server
    Bench(bench::Bench),
    /// Banned clients: list, add, clear
    #[command(subcommand)]
    Bans(bans::BansCommand),
    /// The same as `hop3 rules`
    #[command(subcommand)]
    Rules(RulesCommand),
}

/// Options of `waf logs`.
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    app: AppArgument,
    /// A static route instead of an app: its first host, with its path prefix if it has one
    #[arg(long, value_name = "HOST[/PATH]", conflicts_with_all = ["name", "app"])]
    route: Option<String>,
    /// The newest N transactions
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    lines: usize,
}

impl WafCommand {
    /// Runs the verb.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            WafCommand::Status(app) => status(&app, context).await,
            WafCommand::Logs(logs) => logs.run(context).await,
            WafCommand::Test(test) => test.run(context).await,
            WafCommand::Explain(explain) => explain.run(context).await,
            WafCommand::Check(check) => check.run(context),
            WafCommand::Bench(bench) => bench.run(context),
            WafCommand::Bans(bans) => bans.run(context).await,
            WafCommand::Rules(rules) => rules.run(context).await,
        }
    }
}

async fn status(app: &AppArgument, context: &Context) -> Result<(), Failure> {
    // Without an argument all are meant, so the surroundings are not asked.
    let all: Vec<WafDetails> = if app.name.is_some() || app.app.is_some() {
        vec![context.client.get(&format!("/v1/waf/{}", app.resolve()?)).await?]
    } else {
        context.client.get("/v1/waf").await?
    };
    context.output.result(&all, || {
        let mut table = Table::new([
            "App",
            "Mode",
            "Ruleset",
            "Version",
            "Rules loaded",
            "Paranoia",
            "Blocked",
            "Detected",
        ]);
        for waf in &all {
            let level = match waf.detection_paranoia_level {
                detection if detection > waf.paranoia_level => {
                    format!("{} (detects {detection})", waf.paranoia_level)
                }
                _ => waf.paranoia_level.to_string(),
            };
            table.row([
                waf.app.clone(),
                waf.mode.clone(),
                waf.ruleset.clone(),
                waf.version.clone().unwrap_or_else(|| "-".into()),
                waf.rules.to_string(),
                level,
                waf.blocked.to_string(),
                waf.detected.to_string(),
            ]);
        }
        let alarm = |waf: &WafDetails| waf.alarm.as_ref().map(|alarm| format!("\n! {}: {alarm}", waf.app));
        let alarms: String = all.iter().filter_map(alarm).collect();
        format!("{table}{alarms}")
    })
}

impl Logs {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let subject = match self.route {
            Some(route) => format!("routes/{}", route.replace('/', "%2F")),
            None => self.app.resolve()?.to_string(),
        };
        let events: FirewallEvents =
            context.client.get(&format!("/v1/waf/{subject}/logs?lines={}", self.lines)).await?;
        context.output.result(&events, || match events.len() {
            0 => "The firewall has seen nothing that a rule matched.".into(),
            _ => events.iter().map(entry).collect::<Vec<_>>().join("\n"),
        })
    }
}

/// One transaction: a heading, then each rule.
fn entry(event: &FirewallEvent) -> String {
    let verdict = if event.blocked { "BLOCKED" } else { "DETECTED" };
    let mut text = format!(
        "{} {verdict} {} {} {} from {} [{}]",
        event.time,
        event.status,
        printable(&event.method),
        printable(&event.uri),
        event.client,
        event.transaction
    );
    if let Some(reason) = event.reason.as_ref().filter(|_| event.rules.is_empty()) {
        text.push_str(&format!("\n            {}", printable(reason)));
    }
    for rule in &event.rules {
        let severity = rule.severity.as_deref().map(|severity| format!(" ({severity})")).unwrap_or_default();
        text.push_str(&format!("\n    {:>6}  {}{severity}", rule.id, printable(&rule.message)));
        if !rule.data.is_empty() {
            text.push_str(&format!("\n            {}", printable(&rule.data)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RuleHit, Timestamp};

    #[test]
    fn an_entry_names_the_rules_and_cannot_speak_to_the_terminal() {
        let event = FirewallEvent {
            time: Timestamp(0),
            transaction: "abc".into(),
            app: "demo".into(),
            client: "192.0.2.7".into(),
            host: "demo.test".into(),
            method: "GET".into(),
            uri: "/?id=\x1b]0;".into(),
            headers: Vec::new(),
            status: 403,
            blocked: true,
            reason: None,
            rules: vec![RuleHit {
                id: 942_100,
                message: "SQL Injection".into(),
                data: "Matched Data: s&1 found within ARGS:id".into(),
                severity: Some("CRITICAL".into()),
                ..RuleHit::default()
            }],
        };
        assert_eq!(
            entry(&event),
            "1970-01-01T00:00:00.000Z BLOCKED 403 GET /?id=\u{fffd}]0; from 192.0.2.7 [abc]\n    \
             942100  SQL Injection (CRITICAL)\n            Matched Data: s&1 found within ARGS:id"
        );
    }
}
