//! How each rule of a set of files is decided: what the firewall made of it to be fast.

use std::collections::BTreeMap;

use hop3_waf::{Ruleset, Strategy};
use serde::{Deserialize, Serialize};

use super::check::{RuleFiles, everywhere};
use crate::failure::Failure;

/// The rules of a set of files with their strategies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strategies {
    /// Number of rules by strategy.
    pub counts: BTreeMap<String, usize>,
    /// All rules, phase by phase in the order of the text; a chain counts as one.
    pub rules: Vec<Decided>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Its id.
    pub id: u64,
    /// `folded`, `literals`, `bytes`, `each value` or `walked`.
    pub strategy: String,
    /// How many texts `literals` waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<usize>,
}

impl Strategies {
    fn of(ruleset: &Ruleset) -> Strategies {
        let mut strategies = Strategies::default();
        for (id, strategy) in ruleset.strategies() {
            let (name, texts) = match strategy {
                Strategy::Literals(texts) => ("literals".to_owned(), Some(texts)),
                other => (other.to_string(), None),
            };
            *strategies.counts.entry(name.clone()).or_default() += 1;
            strategies.rules.push(Decided { id, strategy: name, texts });
        }
        strategies
    }
}

impl std::fmt::Display for Strategies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Decided { id, strategy, texts } in &self.rules {
            match texts {
                Some(texts) => writeln!(f, "{id:>9}  {strategy} ({texts})")?,
                None => writeln!(f, "{id:>9}  {strategy}")?,
            }
        }
        let counts: Vec<String> = self.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        write!(f, "{} rules: {}", self.rules.len(), counts.join(", "))
    }
}

impl RuleFiles {
    /// How each rule is decided.
    ///
    /// # Errors
    /// The files have errors; `check` tells them with their places.
    pub fn strategies(&self) -> Result<Strategies, Failure> {
        let refused = |text: String| {
            Failure::usage("files with errors have no strategies").detail(text.lines().map(str::to_owned))
        };
        let document = self.parse(&everywhere()).map_err(|diagnostics| {
            let errors = diagnostics.errors().map(|error| error.render(&diagnostics.sources));
            refused(errors.collect::<Vec<_>>().join("\n"))
        })?;
        let ruleset = Ruleset::compile(&document).map_err(|error| refused(error.to_string()))?;
        Ok(Strategies::of(&ruleset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategies(text: &str) -> Result<Strategies, Failure> {
        let stdin = || Ok(text.as_bytes().to_vec());
        RuleFiles::read(&["-".into()], stdin).unwrap().strategies()
    }

    #[test]
    fn every_kind_is_told() {
        let told = strategies(
            "SecAction \"id:1,phase:1,nolog,pass,setvar:tx.level=1\"\n\
             SecRule TX:level \"@gt 1\" \"id:2,phase:2,deny\"\n\
             SecRule ARGS \"@rx union.*select\" \"id:3,phase:2,deny\"\n\
             SecRule ARGS \"@rx [\\x00-\\x08]\" \"id:4,phase:2,deny\"\n\
             SecRule ARGS \"@detectSQLi\" \"id:5,phase:2,deny\"\n\
             SecRule MATCHED_VAR \"@rx ^a\" \"id:6,phase:2,deny\"\n",
        )
        .unwrap();
        let told = told.to_string();
        let lines: Vec<&str> = told.lines().map(str::trim).collect();
        assert_eq!(lines[1], "2  folded");
        assert!(lines[2].starts_with("3  literals ("), "{told}");
        assert_eq!(lines[3..5], ["4  bytes", "5  each value"]);
        assert_eq!(lines[5], "6  walked");
        assert!(lines[6].starts_with("6 rules: 1 bytes, 1 each value"), "{told}");
    }

    #[test]
    fn errors_are_told() {
        assert!(strategies("SecRule ARGS\n").is_err());
        assert!(strategies("SecRule ARGS \"@rx (\" \"id:1,phase:1,deny\"\n").is_err());
    }
}
