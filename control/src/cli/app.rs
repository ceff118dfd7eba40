//! `app:…`: list, status, ping, logs, start, stop, restart, destroy, create.

use clap::Subcommand;
use hyper::Method;

use super::logs::Logs;
use super::table::Table;
use super::target::AppArgument;
use super::{Context, confirm};
use crate::api::client::empty;
use crate::api::wire::{AppDetails, AppSummary, CreateApp, Deployed, Done, Ping, WafDetails};
use crate::failure::{Failure, Kind};
use crate::model::AppName;

/// The verbs of the group.
#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// All apps
    #[command(visible_alias = "ls")]
    List,
    /// What an app is doing
    #[command(visible_alias = "show", alias = "info")]
    Status(AppArgument),
    /// Ask the app for its start page, through the proxy
    Ping(AppArgument),
    /// What an app wrote
    Logs(Logs),
    /// Start a stopped app
    Start(AppArgument),
    /// Stop an app; it stays stopped when the server restarts
    Stop(AppArgument),
    /// Start new processes of the current release, then stop the old ones
    Restart(AppArgument),
    /// Remove an app with its releases, configuration, data and logs
    Destroy(AppArgument),
    /// Make an app without deploying it
    Create(AppArgument),
}

impl AppCommand {
    /// Runs the verb.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            AppCommand::List => list(context).await,
            AppCommand::Status(app) => status(&app.resolve()?, context).await,
            AppCommand::Ping(app) => ping(&app.resolve()?, context).await,
            AppCommand::Logs(logs) => logs.run(context).await,
            AppCommand::Start(app) => change(&app.resolve()?, "start", "started", context).await,
            AppCommand::Stop(app) => change(&app.resolve()?, "stop", "stopped", context).await,
            AppCommand::Restart(app) => change(&app.resolve()?, "restart", "restarted", context).await,
            AppCommand::Destroy(app) => destroy(&app.resolve()?, context).await,
            AppCommand::Create(app) => create(app.resolve()?, context).await,
        }
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let apps: Vec<AppSummary> = context.client.get("/v1/apps").await?;
    context.output.result(&apps, || {
        if apps.is_empty() {
            return "No apps yet. Deploy one: hop3 deploy NAME FOLDER".into();
        }
        let mut table = Table::new(["Name", "Status", "Release", "Domains"]);
        for app in &apps {
            table.row([
                app.name.to_string(),
                app.status.to_string(),
                app.release.map_or_else(|| "-".into(), |release| release.to_string()),
                app.domains.join(", "),
            ]);
        }
        table.to_string()
    })
}

async fn status(app: &AppName, context: &Context) -> Result<(), Failure> {
    let details: AppDetails = context.client.get(&format!("/v1/apps/{app}")).await?;
    context.output.result(&details, || properties(&details).to_string())
}

fn properties(details: &AppDetails) -> Table {
    let mut table = Table::new(["Property", "Value"]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("Name", details.name.to_string());
    row("Status", details.status.to_string());
    if let Some(reason) = &details.reason {
        row("Reason", reason.clone());
    }
    let instances: Vec<String> = details
        .instances
        .iter()
        .map(|instance| {
            let pid = instance.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
            let restarts = match instance.restarts {
                0 => String::new(),
                count => format!(", {count} restarts"),
            };
            format!("{} ({}{pid}{restarts})", instance.name, instance.state)
        })
        .collect();
    row("Instances", if instances.is_empty() { "-".into() } else { instances.join(", ") });
    row("Release", details.release.map_or_else(|| "-".into(), |release| release.to_string()));
    if let (Some(builder), Some(runtime)) = (&details.builder, &details.runtime) {
        row("Built by", format!("{builder}, run by {runtime}"));
    }
    row("Local URL", details.local_url.clone().unwrap_or_else(|| "-".into()));
    row("Domains", if details.domains.is_empty() { "-".into() } else { details.domains.join(", ") });
    row("WAF", details.waf.as_ref().map_or_else(|| "-".into(), firewall));
    table
}

/// The firewall of an app in one cell.
pub(super) fn firewall(waf: &WafDetails) -> String {
    if waf.mode == "off" {
        return "off".into();
    }
    if waf.mode == "closed" {
        return format!("closed: {}", waf.alarm.as_deref().unwrap_or("its rules could not be loaded"));
    }
    let version = waf.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let alarm = if waf.alarm.is_some() { ", ALARM: old rules in force" } else { "" };
    format!("{} ({}{version}, {} rules, PL{}){alarm}", waf.mode, waf.ruleset, waf.rules, waf.paranoia_level)
}

async fn ping(app: &AppName, context: &Context) -> Result<(), Failure> {
    let ping: Ping = context.client.get(&format!("/v1/apps/{app}/ping")).await?;
    let reason = http_reason(ping.status);
    let mut table = Table::new(["Property", "Value"]);
    table.row(["URL".into(), ping.url.clone()]);
    table.row(["Status".into(), format!("{} {reason}", ping.status).trim_end().to_owned()]);
    table.row(["Response time".into(), format!("{:.1} ms", ping.response_time_ms)]);
    if ping.status >= 500 {
        if context.output.is_json() {
            context.output.json_line(&ping)?;
        }
        return Err(Failure::new(Kind::Unavailable, format!("app '{app}' answers {} {reason}", ping.status))
            .hint(format!("see `hop3 app:status {app}` and `hop3 app:logs {app}`")));
    }
    context.output.result(&ping, || format!("✓ App '{app}' is responding\n{table}"))
}

fn http_reason(status: u16) -> &'static str {
    hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("")
}

async fn change(app: &AppName, verb: &str, done: &str, context: &Context) -> Result<(), Failure> {
    let mut end: Option<Deployed> = None;
    let path = format!("/v1/apps/{app}/{verb}");
    context
        .client
        .stream(Method::POST, &path, empty(), |message| context.output.progress(message, &mut end))
        .await?;
    context.output.done(&end, || format!("App '{app}' {done}."))
}

async fn destroy(app: &AppName, context: &Context) -> Result<(), Failure> {
    // Asked before the question, so that nobody types the name of an app that does not exist.
    let _: AppDetails = context.client.get(&format!("/v1/apps/{app}")).await?;
    let consequence =
        format!("App '{app}', its releases, configuration, data and logs will be removed for good.");
    confirm::by_name(context, app.as_str(), &consequence)?;
    let done: Done = context.client.delete(&format!("/v1/apps/{app}")).await?;
    context.output.done(&done, || format!("App '{app}' destroyed."))
}

async fn create(name: AppName, context: &Context) -> Result<(), Failure> {
    let done: AppSummary = context.client.post("/v1/apps", &CreateApp { name: name.clone() }).await?;
    context.output.done(&done, || format!("App '{name}' created. Deploy it: hop3 deploy {name} FOLDER"))
}
