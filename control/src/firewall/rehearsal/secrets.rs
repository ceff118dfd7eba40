//! Masks what a rehearsal tells: the request that is tried out may be a real one, and what is printed gets passed on.

use hop3_waf::masking;

use crate::model::{Rehearsal, ValueHit};

/// Shorter secrets are not searched for in other texts: they are everywhere.
const SHORTEST: usize = 4;

/// Masks passwords, tokens, cookies and card numbers as the logs do; whether there were any.
pub fn mask(told: &mut Rehearsal) -> bool {
    let before = told.clone();
    let values = || before.rules.iter().flat_map(|rule| &rule.values);
    let mut secrets: Vec<&str> = values().filter(|value| is_secret(value)).flat_map(forms).collect();
    secrets.retain(|secret| secret.len() >= SHORTEST);
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    let without = |text: &mut String| {
        *text = text_of(masking::text(text.as_bytes()));
        for secret in secrets.iter().filter(|secret| **secret != masking::SHOWN) {
            if text.contains(secret) {
                *text = text.replace(secret, masking::SHOWN);
            }
        }
    };
    without(&mut told.request);
    told.outcome.reason.iter_mut().for_each(without);
    for rule in &mut told.rules {
        without(&mut rule.message);
        without(&mut rule.data);
        for value in &mut rule.values {
            let variable = value.variable.clone();
            let masked =
                |text: &mut String| *text = text_of(masking::value(variable.as_bytes(), text.as_bytes()));
            if is_secret(value) {
                forms_mut(value).for_each(masked);
            } else {
                forms_mut(value).for_each(without);
            }
        }
    }
    *told != before
}

fn is_secret(value: &ValueHit) -> bool {
    masking::is_secret(value.variable.as_bytes())
}

/// The value before, between and after its transformations, and the part of it that matched.
fn forms(value: &ValueHit) -> impl Iterator<Item = &str> {
    let steps = value.steps.iter().filter_map(|step| step.value.as_deref());
    [value.original.as_deref(), Some(value.value.as_str())].into_iter().flatten().chain(steps)
}

/// As [`forms`], and the part that matched.
fn forms_mut(value: &mut ValueHit) -> impl Iterator<Item = &mut String> {
    let steps = value.steps.iter_mut().filter_map(|step| step.value.as_mut());
    let others = [value.original.as_mut(), Some(&mut value.value), value.matched.as_mut()];
    others.into_iter().flatten().chain(steps)
}

fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RuleHit, Step};

    #[test]
    fn no_secret_is_told() {
        let value = |variable: &str, value: &str| ValueHit {
            variable: variable.into(),
            value: value.to_lowercase(),
            original: Some(value.into()),
            steps: vec![Step { transformation: "lowercase".into(), value: Some(value.to_lowercase()) }],
            matched: Some(value.to_lowercase()),
        };
        let secret = "Hunter2' or 1=1";
        let mut told = Rehearsal {
            request: "POST /login?password=Hunter2&card=4111111111111111&q=shoes".into(),
            rules: vec![RuleHit {
                id: 1,
                values: vec![
                    value("ARGS:password", secret),
                    value("REQUEST_COOKIES:session", secret),
                    value("MATCHED_VAR", secret),
                    value("ARGS:q", "blue SHOES"),
                ],
                ..RuleHit::default()
            }],
            ..Rehearsal::default()
        };
        assert!(mask(&mut told));
        let shown = format!("{told:?}");
        assert!(!shown.to_lowercase().contains("hunter2") && !shown.contains("4111"), "{shown}");
        assert!(shown.contains("blue shoes") && shown.contains("q=shoes"), "{shown}");
        assert!(!mask(&mut told), "once is enough");
    }
}
