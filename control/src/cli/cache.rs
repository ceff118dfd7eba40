//! `cache …`: what the proxy has kept of an app's answers.

use std::path::Path;

use clap::{Args, Subcommand};

use super::Context;
use super::target::{Surroundings, choose};
use crate::api::wire::{PurgeCache, Purged};
use crate::failure::Failure;

/// The verbs of the group.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Forget kept answers: of one path, of all that begin with what stands before a final `*`, or all
    #[command(visible_aliases = ["clear"])]
    Purge(Purge),
}

/// Options of `cache purge`.
#[derive(Debug, Args)]
pub struct Purge {
    /// [APP] [PATH]: the app, or the name of a static route; a path such as `/news` or `/news/*`
    #[arg(value_name = "[APP] [PATH]", num_args = 0..=2)]
    words: Vec<String>,
    /// The app, as an option
    #[arg(short, long, value_name = "APP")]
    app: Option<String>,
}

impl CacheCommand {
    /// Runs the verb.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let CacheCommand::Purge(mut purge) = self;
        let path = purge.words.pop_if(|word| word.starts_with('/'));
        let name = purge.words.pop();
        if !purge.words.is_empty() {
            return Err(Failure::usage("`cache purge` takes an app and a path")
                .hint("a path begins with `/`: hop3 cache purge APP /news"));
        }
        let owner = match name.or(purge.app) {
            // A static route's name is no app's, and need not look like one.
            Some(name) if name.contains(['.', '/', '*']) => name,
            name => choose(name.as_deref(), None, &Surroundings::of(Path::new(".")))?.to_string(),
        };
        let body = PurgeCache { owner: owner.clone(), path };
        let purged: Purged = context.client.post("/v1/cache/purge", &body).await?;
        context.output.done(&purged, || match purged.answers {
            0 => format!("Nothing of '{owner}' was kept there."),
            1 => format!("One kept answer of '{owner}' is forgotten."),
            count => format!("{count} kept answers of '{owner}' are forgotten."),
        })
    }
}
