//! Inspections as words: verdict, rules, values with their transformation steps, exclusion.

use super::super::table::printable;
use crate::model::{Action, Exclusion, Explanation, Outcome, Rehearsal, RuleHit, ValueHit};

/// Most characters of a value in a line.
const SHOWN: usize = 160;

/// What `waf test` prints; says so when secrets were masked.
pub fn rehearsal(told: &Rehearsal, is_masked: bool) -> String {
    let version = told.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let mut text = format!(
        "{}\n{}\n{}{version}, {} rules\n",
        verdict(&told.outcome),
        printable(&told.request),
        printable(&told.ruleset),
        told.rule_count
    );
    text.push_str(&rules(&told.rules));
    text.push_str(&exclusion(told.exclusion.as_ref()));
    if is_masked {
        text.push_str("\nSecrets are masked; --unmasked shows them.\n");
    }
    text.trim_end().to_owned()
}

/// What `waf explain` prints.
pub fn explanation(told: &Explanation) -> String {
    let event = &told.event;
    let mut text = format!(
        "{} with status {}{}{}\n{} {}\n{} from {} to {} [{}]\n",
        if event.blocked { "REFUSED" } else { "DETECTED" },
        event.status,
        told.outcome.as_ref().map(score).unwrap_or_default(),
        event.reason.as_deref().map(|reason| format!(": {}", printable(reason))).unwrap_or_default(),
        printable(&event.method),
        printable(&event.uri),
        event.time,
        event.client,
        match event.host.as_str() {
            "" => event.app.clone(),
            host => format!("{} ({})", event.app, printable(host)),
        },
        event.transaction,
    );
    text.push_str(&rules(&event.rules));
    text.push_str(&exclusion(told.exclusion.as_ref()));
    if !told.reproduced {
        text.push_str(
            "\nBodies and answers are not kept, secrets are masked: what the logged head of the request does not \
             show again has no transformation steps here, and the exclusion was not tried.",
        );
    }
    text.trim_end().to_owned()
}

/// `REFUSED with status 403, score 10 of 5: …`.
fn verdict(outcome: &Outcome) -> String {
    let mut text = match outcome.action {
        Action::Pass => "PASSED".to_owned(),
        Action::Detect => "PASSED, because the rules only detect".to_owned(),
        Action::Deny => "REFUSED".to_owned(),
        Action::Redirect => "REDIRECTED".to_owned(),
        Action::Drop => "DROPPED".to_owned(),
    };
    if let Some(status) = outcome.status {
        text.push_str(&format!(" with status {status}"));
    }
    text.push_str(&score(outcome));
    if let Some(reason) = &outcome.reason {
        text.push_str(&format!(": {}", printable(reason)));
    }
    text
}

/// `, score 10 of 5`, where the rules count one.
fn score(outcome: &Outcome) -> String {
    match (outcome.score, outcome.threshold) {
        (Some(score), Some(threshold)) => format!(", score {score} of {threshold}"),
        (Some(score), None) => format!(", score {score}"),
        (None, _) => String::new(),
    }
}

fn rules(rules: &[RuleHit]) -> String {
    if rules.is_empty() {
        return "No rule matched.\n".to_owned();
    }
    rules.iter().map(rule).collect()
}

fn rule(rule: &RuleHit) -> String {
    let mut text = format!("\n{:>6}  {}", rule.id, printable(&rule.message));
    if let Some(severity) = &rule.severity {
        text.push_str(&format!(" ({severity})"));
    }
    if rule.disruptive {
        text.push_str("  ← refused here");
    }
    text.push('\n');
    if !rule.file.is_empty() {
        text.push_str(&format!("        {}:{}, phase {}\n", printable(&rule.file), rule.line, rule.phase));
    }
    if !rule.operator.is_empty() {
        let argument = cut(&printable(&rule.argument));
        text.push_str(format!("        @{} {argument}", lower_first(&rule.operator)).trim_end());
        text.push('\n');
    }
    if rule.values.is_empty() && !rule.data.is_empty() {
        text.push_str(&format!("        {}\n", cut(&printable(&rule.data))));
    }
    rule.values.iter().for_each(|one| text.push_str(&value(one)));
    text
}

/// A variable, its value, and what each transformation made of it.
fn value(value: &ValueHit) -> String {
    let original = value.original.as_ref().unwrap_or(&value.value);
    let mut text = format!("        {} = {}\n", printable(&value.variable), cut(&printable(original)));
    let mut unchanged: Vec<&str> = Vec::new();
    for step in &value.steps {
        match &step.value {
            Some(after) => {
                text.push_str(&format!("          t:{} → {}\n", step.transformation, cut(&printable(after))));
            }
            None => unchanged.push(&step.transformation),
        }
    }
    if !unchanged.is_empty() {
        text.push_str(&format!("          unchanged by t:{}\n", unchanged.join(", t:")));
    }
    if let Some(matched) = &value.matched {
        text.push_str(&format!("          matched: {}\n", cut(&printable(matched))));
    }
    text
}

fn exclusion(exclusion: Option<&Exclusion>) -> String {
    let Some(exclusion) = exclusion else { return String::new() };
    let mut text = String::from("\nIf this is no attack, these lines in hop3.toml silence it:\n\n");
    exclusion.toml.lines().for_each(|line| text.push_str(&format!("{}\n", format!("    {line}").trim_end())));
    if let Some(outcome) = &exclusion.outcome {
        text.push_str(&format!("\nTried: with them the request is {}", lower_first(&verdict(outcome))));
        if !exclusion.remaining.is_empty() {
            let ids: Vec<String> = exclusion.remaining.iter().map(u64::to_string).collect();
            text.push_str(&format!("; still matching: {}", ids.join(", ")));
        }
        text.push_str(".\n");
    }
    text
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `Rx` → `rx`, `REFUSED with` → `refused with`.
fn lower_first(text: &str) -> String {
    let word = text.find([' ', ',']).unwrap_or(text.len());
    let (first, rest) = text.split_at(word);
    if first.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return format!("{}{rest}", first.to_ascii_lowercase());
    }
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Step;

    #[test]
    fn everything_is_told() {
        let step = |name: &str, value: Option<&str>| Step {
            transformation: name.into(),
            value: value.map(str::to_owned),
        };
        let told = Rehearsal {
            ruleset: "base".into(),
            version: Some("1.0.0".into()),
            rule_count: 60,
            request: "GET /s?q=a".into(),
            outcome: Outcome {
                action: Action::Deny,
                status: Some(403),
                reason: Some("Request refused".into()),
                score: Some(5),
                threshold: Some(5),
            },
            rules: vec![RuleHit {
                id: 8_000_400,
                message: "Shell".into(),
                severity: Some("CRITICAL".into()),
                phase: 2,
                file: "hop3/base/50.conf".into(),
                line: 8,
                operator: "Rx".into(),
                argument: "^a".into(),
                values: vec![ValueHit {
                    variable: "ARGS:q".into(),
                    original: Some("A".into()),
                    value: "a".into(),
                    steps: vec![step("trim", None), step("lowercase", Some("a"))],
                    matched: Some("a".into()),
                }],
                ..RuleHit::default()
            }],
            exclusion: Some(Exclusion {
                toml: "[[waf.tuning]]\ndisable = [8000400]\n".into(),
                outcome: Some(Outcome { score: Some(0), threshold: Some(5), ..Outcome::default() }),
                remaining: vec![],
            }),
        };
        assert_eq!(
            rehearsal(&told, false),
            "REFUSED with status 403, score 5 of 5: Request refused\nGET /s?q=a\nbase 1.0.0, 60 rules\n\n\
             8000400  Shell (CRITICAL)\n        hop3/base/50.conf:8, phase 2\n        @rx ^a\n        ARGS:q = A\n          \
             t:lowercase → a\n          unchanged by t:trim\n          matched: a\n\n\
             If this is no attack, these lines in hop3.toml silence it:\n\n    [[waf.tuning]]\n    \
             disable = [8000400]\n\nTried: with them the request is passed, score 0 of 5."
        );
    }
}
