//! `[[waf.rules]]`: SecLang that an app brings along. Only where it is; reading and compiling it is elsewhere.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// `[[waf.rules]]`: SecLang of the app itself, inline or from a file of the app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct OwnRules {
    /// What they are for; names them in errors that cannot name a line of the configuration file.
    pub name: Option<String>,
    /// SecLang text.
    pub seclang: Option<String>,
    /// A SecLang file, relative to the app's folder.
    pub file: Option<PathBuf>,
    /// Whether they stand before or after the ruleset. Default: `before`.
    pub position: RulesPosition,
}

/// Where own rules stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RulesPosition {
    /// Before the ruleset: can set variables and remove targets at run time.
    #[default]
    Before,
    /// After the ruleset.
    After,
}

impl OwnRules {
    /// What is wrong with them, if anything is.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match (&self.seclang, &self.file) {
            (Some(_), Some(_)) => Err("give `seclang` or `file`, not both"),
            (None, None) => Err("`seclang` or `file` is missing"),
            (None, Some(file)) if !stays_inside(file) => Err("`file` must lie inside the app's folder"),
            _ => Ok(()),
        }
    }
}

fn stays_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
