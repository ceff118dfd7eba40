//! `[[waf.tuning]]`: exceptions of one app, and the rules they are about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `[[waf.tuning]]`: an exception. Without `path` it holds everywhere; with `targets` the rules stay on but
/// no longer look at these variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Tuning {
    /// Path prefix, starting with `/`.
    pub path: Option<String>,
    /// Rule ids, id ranges (`"942100-942199"`) or tags (`"tag:attack-sqli"`).
    pub disable: Vec<RuleSelector>,
    /// Variables that the rules shall not look at, e.g. `ARGS:password`.
    pub targets: Vec<String>,
    /// Why: shown in reports and audits.
    pub reason: Option<String>,
}

/// Rules by id, id range or tag, as `SecRuleRemoveById` and `SecRuleRemoveByTag` select them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RuleSelectorForm", into = "String")]
pub enum RuleSelector {
    /// Ids from first to last, both included.
    Ids(u64, u64),
    /// Every rule with this tag.
    Tag(String),
}

impl Tuning {
    /// What is wrong with it, if anything is.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.disable.is_empty() {
            return Err("`disable` names no rule");
        }
        if self.path.as_deref().is_some_and(|path| !path.starts_with('/')) {
            return Err("`path` must start with `/`");
        }
        let is_target = |target: &String| {
            !target.is_empty() && target.chars().all(|c| !c.is_whitespace() && !"\"',|".contains(c))
        };
        if !self.targets.iter().all(is_target) {
            return Err("`targets` holds variables such as `ARGS:password`, one per entry");
        }
        Ok(())
    }
}

/// A selector as TOML gives it: a bare id or a text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a rule id, an id range such as \"942100-942199\" or \"tag:NAME\"")]
enum RuleSelectorForm {
    Id(u64),
    Text(String),
}

impl TryFrom<RuleSelectorForm> for RuleSelector {
    type Error = String;
    fn try_from(form: RuleSelectorForm) -> Result<Self, String> {
        let text = match form {
            RuleSelectorForm::Id(id) => return Ok(Self::Ids(id, id)),
            RuleSelectorForm::Text(text) => text,
        };
        if let Some(tag) = text.strip_prefix("tag:").filter(|tag| !tag.is_empty()) {
            return Ok(Self::Tag(tag.to_owned()));
        }
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if first <= last => Ok(Self::Ids(first, last)),
            _ => Err(format!("`{text}` is no rule id, id range such as \"942100-942199\" or \"tag:NAME\"")),
        }
    }
}

impl fmt::Display for RuleSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ids(first, last) if first == last => write!(f, "{first}"),
            Self::Ids(first, last) => write!(f, "{first}-{last}"),
            Self::Tag(tag) => write!(f, "tag:{tag}"),
        }
    }
}

impl From<RuleSelector> for String {
    fn from(selector: RuleSelector) -> Self {
        selector.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let tuning: Tuning =
            toml::from_str("disable = [942100, '942000-942999', 'tag:attack-sqli']").unwrap();
        let shown: Vec<_> = tuning.disable.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["942100", "942000-942999", "tag:attack-sqli"]);
        for bad in ["'x'", "'5-3'", "'tag:'", "-1"] {
            assert!(toml::from_str::<Tuning>(&format!("disable = [{bad}]")).is_err(), "{bad}");
        }
    }
}
