//! Why a logged transaction was refused, or found suspicious.

use super::Compiled;
use super::rehearsal::{Exchange, Inspection, RawRequest, inspect, silence};
use crate::failure::Failure;
use crate::model::{Explanation, FirewallEvent, RuleHit, ValueHit};
use hop3_runtimes::manifest::waf::Tuning;
use hop3_waf::masking;

/// The way to inspect a request with further exceptions.
pub type Retry<'r> = dyn Fn(&[Tuning], &Exchange) -> Result<Inspection, Failure> + 'r;

/// Explains a logged transaction. What was logged is the truth; the request's head, put before the rules that are in
/// force now, fills in the transformation steps of values that come out the same. `retry` inspects that request with
/// further exceptions.
///
/// # Errors
/// Those of `retry`.
pub fn explain(
    mut event: FirewallEvent,
    compiled: Option<&Compiled>,
    retry: &Retry<'_>,
) -> Result<Explanation, Failure> {
    let request = recorded(&event);
    let again = compiled.map(|compiled| inspect(compiled, &request));
    let mut outcome = None;
    if let Some(again) = again {
        event.rules.iter_mut().for_each(|rule| fill_in(rule, &again.rules));
        let ids = |rules: &[RuleHit]| rules.iter().map(|rule| rule.id).collect::<Vec<_>>();
        let reproduced = !event.rules.is_empty() && ids(&event.rules) == ids(&again.rules);
        outcome = reproduced.then_some(again.outcome);
    }
    let again = |tuning: &[Tuning]| retry(tuning, &request);
    let exclusion = silence(
        &event.rules,
        &request.request,
        outcome.as_ref().map(|_| &again as &super::rehearsal::Retry<'_>),
    )?;
    Ok(Explanation { event, reproduced: outcome.is_some(), outcome, exclusion })
}

/// The request as far as it was logged: its head, secrets masked, without the body.
fn recorded(event: &FirewallEvent) -> Exchange {
    let logged = event.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers: Vec<(&str, &str)> = logged.collect();
    if headers.is_empty() {
        // A record of an older version.
        headers = vec![("Host", &event.host), ("User-Agent", "hop3-waf-explain"), ("Accept", "*/*")];
    }
    // The version is not logged. gRPC is spoken over this one alone, and rules ask for it.
    let is_call = |(name, value): &(&str, &str)| {
        name.eq_ignore_ascii_case("content-type") && value.starts_with("application/grpc")
    };
    let protocol = if headers.iter().any(is_call) { "HTTP/2.0" } else { "HTTP/1.1" };
    let request = RawRequest {
        method: event.method.clone().into_bytes(),
        target: event.uri.clone().into_bytes(),
        protocol: protocol.into(),
        headers: headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        body: Vec::new(),
    };
    request.into()
}

/// Takes the steps of the same value of the same rule.
fn fill_in(rule: &mut RuleHit, again: &[RuleHit]) {
    let candidates: Vec<&ValueHit> =
        again.iter().filter(|other| other.id == rule.id).flat_map(|other| &other.values).collect();
    for value in rule.values.iter_mut().filter(|value| value.value != masking::SHOWN) {
        // What was logged may be cut.
        let logged = value.value.trim_end_matches('…');
        let same = candidates
            .iter()
            .find(|other| other.variable == value.variable && other.value.starts_with(logged));
        if let Some(same) = same {
            value.original.clone_from(&same.original);
            value.steps.clone_from(&same.steps);
            value.matched.clone_from(&same.matched);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Step, Timestamp};

    #[test]
    fn steps_are_taken_from_the_same_value_only() {
        let value = |variable: &str, value: &str| ValueHit {
            variable: variable.into(),
            value: value.into(),
            ..ValueHit::default()
        };
        let mut found = value("ARGS:a", "xyz");
        found.original = Some("XYZ".into());
        found.steps = vec![Step { transformation: "lowercase".into(), value: Some("xyz".into()) }];
        let again = [RuleHit { id: 1, values: vec![found], ..RuleHit::default() }];
        for (logged, filled) in [
            (value("ARGS:a", "xyz"), true),
            (value("ARGS:a", "xy…"), true),
            (value("ARGS:b", "xyz"), false),
            (value("ARGS:a", "other"), false),
            (value("ARGS:a", masking::SHOWN), false),
        ] {
            let mut rule = RuleHit { id: 1, values: vec![logged.clone()], ..RuleHit::default() };
            fill_in(&mut rule, &again);
            assert_eq!(!rule.values[0].steps.is_empty(), filled, "{logged:?}");
        }
    }

    #[test]
    fn without_rules_the_log_still_speaks() {
        let event = FirewallEvent {
            time: Timestamp(0),
            transaction: "t".into(),
            app: "demo".into(),
            client: "192.0.2.1".into(),
            host: "demo.test".into(),
            method: "GET".into(),
            uri: "/a?q=x".into(),
            headers: Vec::new(),
            status: 403,
            blocked: true,
            reason: None,
            rules: vec![RuleHit {
                id: 7,
                values: vec![ValueHit {
                    variable: "ARGS:q".into(),
                    value: "x".into(),
                    ..ValueHit::default()
                }],
                ..RuleHit::default()
            }],
        };
        let explained = explain(event, None, &|_, _| Err(Failure::internal("not to be asked"))).unwrap();
        assert!(!explained.reproduced);
        let exclusion = explained.exclusion.unwrap();
        assert!(exclusion.toml.contains("disable = [7]\ntargets = [\"ARGS:q\"]"), "{}", exclusion.toml);
        assert_eq!(exclusion.outcome, None);
    }
}
