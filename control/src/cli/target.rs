//! Which app is meant.

use std::fs;
use std::path::Path;

use clap::Args;
use serde::Deserialize;

use crate::failure::Failure;
use crate::model::{AppName, parse_app_name};

/// The app, as an argument or an option.
#[derive(Debug, Clone, Default, Args)]
pub struct AppArgument {
    /// The app [default: HOP3_APP, .hop3-app, or `[metadata] id` of hop3.toml]
    #[arg(value_name = "APP")]
    pub name: Option<String>,
    /// The app, as an option
    #[arg(short, long, value_name = "APP")]
    pub app: Option<String>,
}

/// The places where an app can be named, read from the environment once.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `HOP3_APP`.
    pub variable: Option<String>,
    /// Content of `.hop3-app`.
    pub file: Option<String>,
    /// `[metadata] id` of `hop3.toml`.
    pub manifest: Option<String>,
}

impl AppArgument {
    /// The app that is meant, seen from the current folder.
    ///
    /// # Errors
    /// None was named, two were, or the name is none.
    pub fn resolve(&self) -> Result<AppName, Failure> {
        choose(self.name.as_deref(), self.app.as_deref(), &Surroundings::of(Path::new(".")))
    }
}

impl Surroundings {
    /// As seen from `folder`. Unreadable files count as absent: whoever needs them reports them.
    pub fn of(folder: &Path) -> Surroundings {
        #[derive(Deserialize)]
        struct Manifest {
            metadata: Option<Metadata>,
        }
        #[derive(Deserialize)]
        struct Metadata {
            id: Option<String>,
        }
        let read = |name| fs::read_to_string(folder.join(name)).ok();
        let manifest = read("hop3.toml").and_then(|text| toml::from_str::<Manifest>(&text).ok());
        Surroundings {
            variable: std::env::var("HOP3_APP").ok().filter(|name| !name.is_empty()),
            file: read(".hop3-app").map(|text| text.trim().to_owned()).filter(|name| !name.is_empty()),
            manifest: manifest.and_then(|manifest| manifest.metadata?.id),
        }
    }
}

/// The first of: argument, option, variable, file, manifest. Argument and option must not disagree.
///
/// # Errors
/// See [`AppArgument::resolve`].
pub fn choose(
    argument: Option<&str>,
    option: Option<&str>,
    surroundings: &Surroundings,
) -> Result<AppName, Failure> {
    if let (Some(argument), Some(option)) = (argument, option)
        && argument != option
    {
        return Err(Failure::usage(format!("two apps were named: `{argument}` and `{option}`")));
    }
    let named = [
        argument,
        option,
        surroundings.variable.as_deref(),
        surroundings.file.as_deref(),
        surroundings.manifest.as_deref(),
    ];
    match named.into_iter().flatten().next() {
        Some(name) => parse_app_name(name),
        None => Err(Failure::usage("no app was named")
            .hint("add its name, --app NAME, or set HOP3_APP; `hop3 app:list` shows all apps")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_source_wins() {
        let mut around = Surroundings {
            variable: Some("from-variable".into()),
            file: Some("from-file".into()),
            manifest: Some("from-manifest".into()),
        };
        let chosen =
            |argument, option, around: &Surroundings| choose(argument, option, around).unwrap().to_string();
        assert_eq!(chosen(Some("arg"), None, &around), "arg");
        assert_eq!(chosen(None, Some("opt"), &around), "opt");
        assert_eq!(chosen(Some("same"), Some("same"), &around), "same");
        assert_eq!(chosen(None, None, &around), "from-variable");
        around.variable = None;
        assert_eq!(chosen(None, None, &around), "from-file");
        around.file = None;
        assert_eq!(chosen(None, None, &around), "from-manifest");
        around.manifest = None;
        assert_eq!(choose(None, None, &around).unwrap_err().kind.exit_code(), 2);
        assert!(choose(Some("a"), Some("b"), &around).is_err());
        assert!(choose(Some("../x"), None, &around).is_err());
    }
}
