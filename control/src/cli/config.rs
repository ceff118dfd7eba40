//! `config:…` (`env …`): show, get, set, unset.

use std::collections::BTreeMap;

use clap::Subcommand;
use hyper::Method;

use super::Context;
use super::table::Table;
use super::target::{AppArgument, Surroundings, choose};
use crate::api::client::json;
use crate::api::wire::{Config, ConfigChange, Deployed};
use crate::failure::{Failure, did_you_mean};
use crate::model::{AppName, ConfigKey};

/// The verbs of the group.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// The variables of an app; values stay hidden without --reveal
    #[command(visible_alias = "list")]
    Show {
        #[command(flatten)]
        app: AppArgument,
        /// Show the values too
        #[arg(long)]
        reveal: bool,
    },
    /// The value of one variable
    Get {
        /// [APP] KEY
        #[arg(value_name = "[APP] KEY", required = true, num_args = 1..=2)]
        words: Vec<String>,
        /// The app, as an option
        #[arg(short, long, value_name = "APP")]
        app: Option<String>,
    },
    /// Set variables; a new release applies them
    Set {
        /// [APP] KEY=VALUE…
        #[arg(value_name = "[APP] KEY=VALUE", required = true)]
        words: Vec<String>,
        /// The app, as an option
        #[arg(short, long, value_name = "APP")]
        app: Option<String>,
    },
    /// Remove variables; a new release applies it
    Unset {
        /// [APP] KEY…
        #[arg(value_name = "[APP] KEY", required = true)]
        words: Vec<String>,
        /// The app, as an option
        #[arg(short, long, value_name = "APP")]
        app: Option<String>,
    },
}

impl ConfigCommand {
    /// Runs the verb.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            ConfigCommand::Show { app, reveal } => show(&app.resolve()?, reveal, context).await,
            ConfigCommand::Get { words, app } => {
                let (app, keys) = split(words, app.as_deref(), is_key, 1)?;
                get(&app, &keys.concat(), context).await
            }
            ConfigCommand::Set { words, app } => {
                let (app, pairs) = split(words, app.as_deref(), |word| word.contains('='), usize::MAX)?;
                let variables = assignments(&pairs)?;
                let change = variables.into_iter().map(|(key, value)| (key, Some(value))).collect();
                apply(&app, change, "Set", context).await
            }
            ConfigCommand::Unset { words, app } => {
                let (app, keys) = split(words, app.as_deref(), is_key, usize::MAX)?;
                let change = keys.into_iter().map(|key| Ok((checked(&key)?, None)));
                apply(&app, change.collect::<Result<_, Failure>>()?, "Removed", context).await
            }
        }
    }
}

/// Reads `KEY=VALUE` words.
pub(super) fn assignments(words: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut variables = BTreeMap::new();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            return Err(Failure::usage("a variable without a value").cause(format!(
                "`{}` is not of the form KEY=VALUE",
                word.chars().take(40).collect::<String>()
            )));
        };
        variables.insert(checked(key)?, value.to_owned());
    }
    Ok(variables)
}

fn checked(key: &str) -> Result<String, Failure> {
    key.parse::<ConfigKey>().map(String::from).map_err(|error| Failure::usage(error.to_string()))
}

fn is_key(word: &str) -> bool {
    word.bytes().next().is_some_and(|first| first.is_ascii_uppercase() || first == b'_')
}

/// Tells the app from the rest: the first word is the app unless it looks like one of the `rest`, `--app` is given,
/// or it stands alone and the app is known from the surroundings.
fn split(
    mut words: Vec<String>,
    option: Option<&str>,
    rest: impl Fn(&str) -> bool,
    most: usize,
) -> Result<(AppName, Vec<String>), Failure> {
    let around = Surroundings::of(std::path::Path::new("."));
    let named = [&around.variable, &around.file, &around.manifest].into_iter().any(Option::is_some);
    let like_an_app = words.first().is_some_and(|first| !rest(first));
    let first_is_app = option.is_none() && like_an_app && !(named && words.len() == 1);
    let app = if first_is_app { Some(words.remove(0)) } else { None };
    let app = choose(app.as_deref(), option, &around)?;
    if words.is_empty() {
        return Err(Failure::usage("no variable was named"));
    }
    if words.len() > most {
        return Err(Failure::usage(format!("`{}` is one too many", words[most])));
    }
    Ok((app, words))
}

async fn show(app: &AppName, reveal: bool, context: &Context) -> Result<(), Failure> {
    let path = format!("/v1/apps/{app}/config{}", if reveal { "?reveal=true" } else { "" });
    let config: Config = context.client.get(&path).await?;
    context.output.result(&config, || {
        if config.variables.is_empty() {
            return format!("App '{app}' has no variables. Set one: hop3 config:set {app} KEY=VALUE");
        }
        let mut table = Table::new(["Key", "Value"]);
        for (key, value) in &config.variables {
            table.row([key.clone(), value.clone().unwrap_or_else(|| "••••••".into())]);
        }
        table.to_string()
    })
}

async fn get(app: &AppName, key: &str, context: &Context) -> Result<(), Failure> {
    let config: Config = context.client.get(&format!("/v1/apps/{app}/config?reveal=true")).await?;
    match config.variables.get(key) {
        Some(value) => {
            let value = value.clone().unwrap_or_default();
            context.output.result(&value, || value.clone())
        }
        None => Err(Failure::not_found(format!("app '{app}' has no variable `{key}`"))
            .maybe_hint(did_you_mean(key, config.variables.keys().map(String::as_str)))),
    }
}

async fn apply(
    app: &AppName,
    variables: BTreeMap<String, Option<String>>,
    verb: &str,
    context: &Context,
) -> Result<(), Failure> {
    let names: Vec<String> = variables.keys().cloned().collect();
    let mut end: Option<Deployed> = None;
    let body = json(&ConfigChange { variables })?;
    let path = format!("/v1/apps/{app}/config");
    context
        .client
        .stream(Method::PATCH, &path, body, |message| context.output.progress(message, &mut end))
        .await?;
    context.output.done(&end, || {
        let applied = match end.as_ref().and_then(|end| end.release) {
            Some(release) => format!("applied by release {release}"),
            None => "applied when the app is deployed or started".to_owned(),
        };
        format!("{verb} for '{app}': {}; {applied}.", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_app_is_told_from_the_variables() {
        let pair = |word: &str| word.contains('=');
        let (app, rest) = split(words("demo A=1 B=2"), None, pair, usize::MAX).unwrap();
        assert_eq!((app.as_str(), rest), ("demo", words("A=1 B=2")));
        let (app, rest) = split(words("A=1"), Some("demo"), pair, usize::MAX).unwrap();
        assert_eq!((app.as_str(), rest), ("demo", words("A=1")));
        let (app, rest) = split(words("demo KEY"), None, is_key, 1).unwrap();
        assert_eq!((app.as_str(), rest), ("demo", words("KEY")));
        let (app, rest) = split(words("lower"), Some("demo"), is_key, 1).unwrap();
        assert_eq!((app.as_str(), rest), ("demo", words("lower")));
        assert!(split(words("demo"), None, pair, usize::MAX).is_err());
        assert!(split(words("demo A B"), None, is_key, 1).is_err());
    }

    #[test]
    fn values_may_hold_anything_and_never_reach_the_error() {
        assert_eq!(assignments(&words("A=b=c")).unwrap()["A"], "b=c");
        assert_eq!(assignments(&words("A=")).unwrap()["A"], "");
        let error = assignments(&words("1A=hunter2")).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
