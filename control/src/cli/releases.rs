//! `releases` and `rollback`.

use clap::Args;
use hyper::Method;

use super::Context;
use super::table::Table;
use super::target::AppArgument;
use crate::api::client::json;
use crate::api::wire::{Deployed, ReleaseSummary, Rollback};
use crate::failure::Failure;
use crate::model::ReleaseNumber;

/// Options of `rollback`.
#[derive(Debug, Args)]
pub struct RollbackCommand {
    #[command(flatten)]
    app: AppArgument,
    /// The release to return to [default: the one before the current one]
    #[arg(long, value_name = "vN")]
    to: Option<ReleaseNumber>,
}

/// Prints the releases of an app, newest first.
pub(super) async fn list(argument: &AppArgument, context: &Context) -> Result<(), Failure> {
    let app = argument.resolve()?;
    let releases: Vec<ReleaseSummary> = context.client.get(&format!("/v1/apps/{app}/releases")).await?;
    context.output.result(&releases, || {
        let mut table = Table::new(["Release", "State", "Created", "Config", "Source", "Reason"]);
        for release in releases.iter().rev() {
            table.row([
                release.release.to_string(),
                release.state.clone(),
                release.created.to_string(),
                release.config_version.to_string(),
                release.digest.chars().take(12).collect(),
                release.reason.clone(),
            ]);
        }
        table.to_string()
    })
}

impl RollbackCommand {
    /// Returns to an earlier release by a new one with its artifact and configuration.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let app = self.app.resolve()?;
        let mut end: Option<Deployed> = None;
        let body = json(&Rollback { to: self.to })?;
        let path = format!("/v1/apps/{app}/rollback");
        context
            .client
            .stream(Method::POST, &path, body, |message| context.output.progress(message, &mut end))
            .await?;
        context.output.done(&end, || match end.as_ref().and_then(|end| end.release) {
            Some(release) => format!("App '{app}' was rolled back by release {release}."),
            None => format!("App '{app}' was rolled back."),
        })
    }
}
