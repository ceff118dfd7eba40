//! Which rules an app stands behind, and how many of them.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which rules an app stands behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RulesetChoice {
    /// The ruleset inside the executable.
    #[default]
    Base,
    /// The OWASP Core Rule Set that `rules install` put in place.
    OwaspCrs,
    /// A file or folder of SecLang; contains a `/` or ends in `.conf`.
    Path(PathBuf),
}

/// CRS's paranoia level: 1 (few false positives) to 4 (everything suspicious).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u8")]
pub struct ParanoiaLevel(u8);

impl ParanoiaLevel {
    /// The default level.
    pub const ONE: Self = Self(1);

    /// 1 to 4.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<i64> for ParanoiaLevel {
    type Error = String;
    fn try_from(level: i64) -> Result<Self, String> {
        match u8::try_from(level) {
            Ok(level @ 1..=4) => Ok(Self(level)),
            _ => Err(format!("paranoia level {level} is not between 1 and 4")),
        }
    }
}

impl From<ParanoiaLevel> for u8 {
    fn from(level: ParanoiaLevel) -> Self {
        level.0
    }
}

impl fmt::Display for RulesetChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::OwaspCrs => f.write_str("owasp-crs"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

impl TryFrom<String> for RulesetChoice {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "base" => Ok(Self::Base),
            "owasp-crs" | "owasp_crs" | "crs" => Ok(Self::OwaspCrs),
            path if path.contains('/') || path.ends_with(".conf") => Ok(Self::Path(PathBuf::from(path))),
            other => Err(format!("`{other}` is no ruleset: use `base`, `owasp-crs` or a path with a `/`")),
        }
    }
}

impl From<RulesetChoice> for String {
    fn from(choice: RulesetChoice) -> Self {
        choice.to_string()
    }
}
