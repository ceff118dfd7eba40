//! Which `[[waf.tuning]]` silences rules for what they matched, and nothing else.

use hop3_runtimes::manifest::waf::{RuleSelector, Tuning};

use crate::model::{RuleHit, ValueHit};

/// The phase that refuses nothing.
const LOGGING: u8 = 5;
/// Longest target that is proposed, in bytes.
const TARGET_LIMIT: usize = 128;

/// One exception for each set of targets: the rules go on, but no longer look at what they matched on this path. Rules
/// whose match cannot be named so, and those in `off`, are switched off for the path.
pub fn exceptions(rules: &[RuleHit], path: &str, off: &[u64]) -> Vec<Tuning> {
    let mut tuning: Vec<Tuning> = Vec::new();
    for rule in rules.iter().filter(|rule| !is_consequence(rule)) {
        let targets = if off.contains(&rule.id) { Vec::new() } else { targets(rule) };
        let selector = RuleSelector::Ids(rule.id, rule.id);
        match tuning.iter_mut().find(|known| known.targets == targets) {
            Some(known) if known.disable.contains(&selector) => {}
            Some(known) => known.disable.push(selector),
            None => tuning.push(Tuning {
                path: is_plain(path).then(|| path.to_owned()),
                disable: vec![selector],
                targets,
                reason: None,
            }),
        }
    }
    tuning
}

/// The exceptions as text for `hop3.toml`.
pub fn toml(tuning: &[Tuning]) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let table = |exception: &Tuning| {
        let mut text = String::from("[[waf.tuning]]\n");
        if let Some(path) = &exception.path {
            text.push_str(&format!("path = {}\n", quoted(path)));
        }
        let ids: Vec<String> = exception.disable.iter().map(RuleSelector::to_string).collect();
        text.push_str(&format!("disable = [{}]\n", ids.join(", ")));
        if !exception.targets.is_empty() {
            let targets: Vec<String> = exception.targets.iter().map(|target| quoted(target)).collect();
            text.push_str(&format!("targets = [{}]\n", targets.join(", ")));
        }
        text.push_str("reason = \"false positive\"\n");
        text
    };
    tuning.iter().map(table).collect::<Vec<_>>().join("\n")
}

/// Rules that only look at what others counted, and reports of the logging phase: silencing the others silences them.
fn is_consequence(rule: &RuleHit) -> bool {
    let counts = |value: &ValueHit| value.variable.trim_start_matches('&').starts_with("TX:");
    rule.phase == LOGGING || (rule.values.iter().all(counts) && !rule.values.is_empty())
}

/// What the rule matched, where that can be taken out of its sight.
fn targets(rule: &RuleHit) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    let seen: Vec<&ValueHit> =
        rule.values.iter().filter(|value| !value.variable.starts_with("TX:")).collect();
    // What a link matched again is gone when the link before it no longer sees it.
    let is_again = |value: &ValueHit| value.variable.starts_with("MATCHED_VAR");
    let all_again = seen.iter().all(|value| is_again(value));
    for value in seen.into_iter().filter(|value| all_again || !is_again(value)) {
        if !can_be_named(&value.variable) {
            return Vec::new();
        }
        if !targets.contains(&value.variable) {
            targets.push(value.variable.clone());
        }
    }
    targets.sort();
    targets
}

/// Whether `hop3.toml`, and `ctl`, can say this variable. Counts cannot be taken away, and a name that begins with a
/// slash would be a pattern.
fn can_be_named(variable: &str) -> bool {
    let name = variable.split_once(':').map_or("", |(_, name)| name);
    !variable.starts_with('&')
        && !name.starts_with('/')
        && variable.len() <= TARGET_LIMIT
        && variable.chars().all(|c| c.is_ascii_graphic() && !"\"',;|\\%{}".contains(c))
}

/// Whether `path` is one that an exception can be made for, and not all paths.
fn is_plain(path: &str) -> bool {
    path.len() > 1
        && path.starts_with('/')
        && path.chars().all(|c| c.is_ascii_graphic() && !"\"'\\%,".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: u64, variables: &[&str]) -> RuleHit {
        let value = |variable: &&str| ValueHit { variable: (*variable).into(), ..ValueHit::default() };
        RuleHit { id, values: variables.iter().map(value).collect(), ..RuleHit::default() }
    }

    fn proposed(rules: &[RuleHit], path: &str) -> String {
        toml(&exceptions(rules, path, &[])).replace("reason = \"false positive\"\n", "")
    }

    #[test]
    fn rules_keep_looking_at_everything_else() {
        let rules = [
            rule(942_100, &["ARGS:q"]),
            rule(942_190, &["ARGS:q", "ARGS:q"]),
            rule(920_100, &["&REQUEST_HEADERS:Host"]),
            rule(949_110, &["TX:blocking_inbound_anomaly_score"]),
            RuleHit { phase: LOGGING, ..rule(980_170, &[]) },
        ];
        assert_eq!(
            proposed(&rules, "/search"),
            "[[waf.tuning]]\npath = \"/search\"\ndisable = [942100, 942190]\ntargets = [\"ARGS:q\"]\n\n\
             [[waf.tuning]]\npath = \"/search\"\ndisable = [920100]\n"
        );
        assert_eq!(exceptions(&rules[..1], "/a", &[942_100])[0].targets, Vec::<String>::new());
    }

    #[test]
    fn what_a_link_looks_at_again_is_not_named() {
        let targets = |variables: &[&str]| exceptions(&[rule(1, variables)], "/a", &[])[0].targets.clone();
        assert_eq!(targets(&["ARGS:id", "MATCHED_VARS:ARGS:id"]), ["ARGS:id"]);
        assert_eq!(targets(&["MATCHED_VAR", "REQUEST_URI", "TX:a"]), ["REQUEST_URI"]);
        assert_eq!(targets(&["TX:a", "MATCHED_VARS:TX:a"]), ["MATCHED_VARS:TX:a"]);
    }

    #[test]
    fn what_cannot_be_said_is_not_proposed() {
        for variable in ["ARGS:/x/", "ARGS:a b", "ARGS:a;b", "ARGS:a'", "ARGS:é", "ARGS:a\\x00"] {
            assert_eq!(
                proposed(&[rule(1, &[variable])], "/a"),
                "[[waf.tuning]]\npath = \"/a\"\ndisable = [1]\n"
            );
        }
        for path in ["/", "", "/a b", "/%2e", "/a\"", "*"] {
            assert!(exceptions(&[rule(1, &["ARGS:a"])], path, &[])[0].path.is_none(), "{path}");
        }
        for table in [proposed(&[rule(1, &["ARGS:a"])], "/a"), proposed(&[rule(1, &[])], "/")] {
            assert!(table.parse::<toml::Table>().is_ok(), "{table}");
        }
    }
}
