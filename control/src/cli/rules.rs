//! `rules …` (also `waf rules …`): list, install, use, verify.

use std::path::Path;

use clap::{Args, Subcommand};

use super::Context;
use super::table::Table;
use crate::api::wire::{InstallRules, RulesChanged, RulesVerified, RulesVersion, RulesetSummary};
use crate::failure::{Failure, Kind};

/// The verbs of the group.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Rulesets on this server
    List,
    /// Install a version of the OWASP Core Rule Set; its rules are parsed whole before anything changes
    Install(Install),
    /// Switch apps with `ruleset = "owasp-crs"` to an installed version
    Use(Named),
    /// Compare an installed version with what was installed, file by file
    Verify(Named),
}

/// Options of `rules install`.
#[derive(Debug, Args)]
pub struct Install {
    /// The ruleset
    #[arg(value_name = "RULESET", default_value = "owasp-crs", value_parser = ["owasp-crs"])]
    ruleset: String,
    /// Which version [default: the pinned release]
    #[arg(long = "version", id = "ruleset-version", value_name = "VERSION")]
    version: Option<String>,
    /// A folder, an archive, or an https:// address to take it from
    #[arg(long, value_name = "PATH|URL")]
    from: Option<String>,
}

/// A ruleset and its version: `owasp-crs 4.28.0`, `owasp-crs@4.28.0`, or the version alone.
#[derive(Debug, Args)]
pub struct Named {
    /// [RULESET] [VERSION]
    #[arg(value_name = "[RULESET] [VERSION]", num_args = 0..=2)]
    words: Vec<String>,
}

impl RulesCommand {
    /// Runs the verb.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            RulesCommand::List => list(context).await,
            RulesCommand::Install(install) => install.run(context).await,
            RulesCommand::Use(named) => switch(named.version()?, context).await,
            RulesCommand::Verify(named) => verify(named.version()?, context).await,
        }
    }
}

impl Named {
    /// The version, if one was named.
    fn version(&self) -> Result<Option<String>, Failure> {
        let words: Vec<&str> = self.words.iter().flat_map(|word| word.split('@')).collect();
        match words.as_slice() {
            [] | ["owasp-crs"] => Ok(None),
            ["owasp-crs", version] => Ok(Some((*version).to_owned())),
            [version] if version.starts_with(|first: char| first.is_ascii_digit()) => {
                Ok(Some((*version).to_owned()))
            }
            [other, ..] => Err(Failure::usage(format!("unknown ruleset `{other}`"))
                .hint("the ruleset with versions is `owasp-crs`")),
        }
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let rulesets: Vec<RulesetSummary> = context.client.get("/v1/rules").await?;
    context.output.result(&rulesets, || {
        let mut table = Table::new(["Ruleset", "Version", "In use", "Official", "Source"]);
        for ruleset in &rulesets {
            let tick = |yes: bool| if yes { "✓" } else { "" }.to_owned();
            table.row([
                ruleset.name.clone(),
                ruleset.version.clone(),
                tick(ruleset.in_use),
                tick(ruleset.official),
                ruleset.source.clone(),
            ]);
        }
        let hint = if rulesets.iter().any(|ruleset| ruleset.name == "owasp-crs") {
            ""
        } else {
            "\nThe OWASP Core Rule Set is not installed: hop3 rules install owasp-crs"
        };
        format!("{table}{hint}")
    })
}

impl Install {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let from = self.from.map(|from| match from.contains("://") {
            true => Ok(from),
            false => std::path::absolute(Path::new(&from)).map(|path| path.display().to_string()),
        });
        let from = from.transpose().map_err(|error| Failure::usage("cannot use --from").because(&error))?;
        let body = InstallRules { version: self.version, from };
        let changed: RulesChanged = context.client.post("/v1/rules/install", &body).await?;
        if !context.output.is_json() {
            for reason in &changed.passed_over {
                context.output.line(&format!("-> passed over: {reason}"))?;
            }
        }
        context.output.done(&changed, || {
            let RulesetSummary { name, version, source, official, in_use } = &changed.ruleset;
            let official = if *official { "official release" } else { "not the official release's content" };
            let used = if *in_use {
                "in use".to_owned()
            } else {
                format!("not in use; switch with: hop3 rules use {name} {version}")
            };
            format!("{name} {version} installed from {source} ({official}); {used}.{}", alarms(&changed))
        })
    }
}

async fn switch(version: Option<String>, context: &Context) -> Result<(), Failure> {
    let Some(version) = version else {
        return Err(Failure::usage("no version was named").hint("`hop3 rules list` shows the installed ones"));
    };
    let body = RulesVersion { version: Some(version) };
    let changed: RulesChanged = context.client.post("/v1/rules/use", &body).await?;
    context.output.done(&changed, || {
        format!("{} {} is in use.{}", changed.ruleset.name, changed.ruleset.version, alarms(&changed))
    })
}

fn alarms(changed: &RulesChanged) -> String {
    changed.alarms.iter().map(|alarm| format!("\n! {alarm}")).collect()
}

async fn verify(version: Option<String>, context: &Context) -> Result<(), Failure> {
    let verified: RulesVerified = context.client.post("/v1/rules/verify", &RulesVersion { version }).await?;
    let RulesetSummary { name, version, .. } = &verified.ruleset;
    if verified.changes.is_empty() {
        return context
            .output
            .done(&verified, || format!("{name} {version}: all {} files are as installed.", verified.files));
    }
    Err(Failure::new(Kind::Conflict, format!("{name} {version} is not as it was installed"))
        .detail(verified.changes)
        .hint("install it again from a source you trust"))
}
