//! `app:logs`: what the processes of an app, or its build, wrote.

use clap::Args;
use hyper::Method;

use super::Context;
use super::target::AppArgument;
use crate::api::client::json;
use crate::api::wire::{LogEntry, LogQuery};
use crate::failure::Failure;

/// Options of `app:logs`.
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    app: AppArgument,
    /// The newest N lines of each process
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: usize,
    /// Go on as new lines come
    #[arg(short, long)]
    follow: bool,
    /// Only lines that contain this text
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Only this process type or instance, e.g. web or web.1
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// What the last build wrote
    #[arg(long)]
    build: bool,
}

impl Logs {
    /// Prints the lines under a heading for each process, as `tail` does.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let app = self.app.resolve()?;
        let query = LogQuery {
            lines: Some(self.lines),
            grep: self.grep,
            process: self.process,
            build: self.build,
            follow: self.follow,
        };
        let mut shown: Option<String> = None;
        let print = |entry: LogEntry| {
            if context.output.is_json() {
                return context.output.json_line(&entry);
            }
            if shown.as_deref() != Some(entry.source.as_str()) {
                context.output.line(&format!("==> {} <==", entry.source))?;
                shown = Some(entry.source);
            }
            context.output.line(&entry.line)
        };
        context.client.stream(Method::POST, &format!("/v1/apps/{app}/logs"), json(&query)?, print).await
    }
}
