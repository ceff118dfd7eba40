//! A year goes by without anybody sleeping.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::super::holding::{Imported, Issuance, Issued, Trouble};
use super::*;

pub const DAY: Duration = Duration::from_secs(86_400);
pub const START: Timestamp = Timestamp(1_800_000_000_000);

/// PEM chain and key of a certificate that is valid from `from` for `life`.
pub fn chain(names: &[&str], from: Timestamp, life: Duration) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    let since_epoch = Duration::from_millis(from.0);
    params.not_before = date_time_ymd(1970, 1, 1) + since_epoch;
    params.not_after = params.not_before + life;
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn acme(challenges: &[ChallengeKind]) -> Acme {
    Acme {
        directory: "https://ca.example/directory".into(),
        public: true,
        roots: None,
        email: None,
        external_account: None,
        challenges: challenges.to_vec(),
        dns: None,
    }
}

fn web() -> Acme {
    acme(&[ChallengeKind::Http01, ChallengeKind::TlsAlpn01])
}

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn order(names: &[&str]) -> Step {
    Step::Order(hosts(names))
}

fn holding(names: &[&str], life: Duration) -> Holding {
    let (chain, key) = chain(names, START, life);
    let advice = Some(no_advice(None, START.after(400 * DAY), 200));
    let issued = Issued { chain: chain.into(), key, directory: web().directory, at: START, advice };
    Holding { issued: Some(issued), ..Holding::default() }
}

fn trouble(retry: Timestamp) -> Trouble {
    Trouble { failures: 1, recent: Vec::new(), retry, reason: "no".into(), asked: false }
}

#[test]
fn a_new_app_gets_one_certificate_for_all_its_names() {
    let wanted = hosts(&["www.a.org", "a.org", "*.a.org", "a.localhost", "10.0.0.1"]);
    let nothing = Holding::default();
    assert_eq!(next_step(&wanted, &nothing, &web(), START), order(&["a.org", "www.a.org"]));
    let with_dns = acme(&[ChallengeKind::Http01, ChallengeKind::Dns01]);
    assert_eq!(next_step(&wanted, &nothing, &with_dns, START), order(&["*.a.org", "a.org", "www.a.org"]));
    assert_eq!(next_step(&hosts(&["demo.localhost"]), &nothing, &web(), START), Step::Rest);
    let many: Vec<String> = (0..150).map(|number| format!("n{number}.a.org")).collect();
    let Step::Order(names) = next_step(&many, &nothing, &web(), START) else { panic!("no order") };
    assert_eq!(names.len(), MOST_NAMES);
}

#[test]
fn renewal_comes_when_a_third_is_left_or_half_of_a_short_life() {
    for (life, renewed) in [(90, 60), (45, 30), (6, 3)] {
        let holding = holding(&["a.org"], life * DAY);
        let at = START.after(renewed * DAY);
        let step = |now| next_step(&hosts(&["a.org"]), &holding, &web(), now);
        assert_eq!(step(START.after(DAY)), Step::Wait(at), "{life}");
        assert_eq!(step(Timestamp(at.0 - 1)), Step::Wait(at), "{life}");
        assert_eq!(step(at), order(&["a.org"]), "{life}");
    }
}

#[test]
fn the_authority_is_asked_when_to_renew_and_believed() {
    let mut holding = holding(&["a.org"], 90 * DAY);
    let wanted = hosts(&["a.org"]);
    holding.issued.as_mut().unwrap().advice = None;
    assert_eq!(next_step(&wanted, &holding, &web(), START), Step::AskAdvice);
    let window = (START.after(10 * DAY), START.after(12 * DAY));
    let said = advice(window, None, Some(6 * 3600 * Duration::from_secs(1)), None, START, u64::MAX / 3);
    let renew = said.renew.unwrap();
    assert!(renew >= window.0 && renew < window.1);
    // The same window keeps its moment, another one gets another.
    assert_eq!(advice(window, None, None, Some(&said), START.after(DAY), 7).renew, Some(renew));
    let revoked = (Timestamp(START.0 - 2), Timestamp(START.0 - 1));
    let urgent = advice(revoked, Some("https://ca.example/why".into()), None, Some(&said), START, 7);
    assert!(urgent.renew.unwrap() < START);
    holding.issued.as_mut().unwrap().advice = Some(said.clone());
    assert_eq!(next_step(&wanted, &holding, &web(), START), Step::Wait(said.ask_again));
    assert_eq!(next_step(&wanted, &holding, &web(), said.ask_again), Step::AskAdvice);
    assert_eq!(next_step(&wanted, &holding, &web(), renew), order(&["a.org"]), "before the usual day 60");
    holding.issued.as_mut().unwrap().advice = Some(urgent);
    assert_eq!(next_step(&wanted, &holding, &web(), START), order(&["a.org"]), "a revoked one at once");
    // Asking is bounded, whatever the authority says; its failure changes nothing.
    for (said, bound) in [(0, 60), (1_000_000, 86_400)] {
        let after = advice(window, None, Some(Duration::from_secs(said)), None, START, 0).ask_again;
        assert_eq!(after.since(START).as_secs(), bound);
    }
    assert_eq!(no_advice(Some(&said), START, 0).renew, Some(renew));
}

#[test]
fn a_window_after_the_end_is_not_believed() {
    let mut holding = holding(&["a.org"], 90 * DAY);
    let window = (START.after(100 * DAY), START.after(101 * DAY));
    holding.issued.as_mut().unwrap().advice = Some(advice(window, None, None, None, START, 0));
    let facts = holding.issued_facts().unwrap();
    assert_eq!(renewal(&holding, &facts), START.after(60 * DAY));
}

#[test]
fn a_further_name_extends_the_certificate_and_one_in_trouble_holds_nobody_up() {
    let mut holding = holding(&["a.org"], 90 * DAY);
    let wanted = hosts(&["a.org", "b.org"]);
    let now = START.after(DAY);
    assert_eq!(next_step(&wanted, &holding, &web(), now), order(&["a.org", "b.org"]));
    let retry = now.after(DAY);
    holding.names.insert("b.org".into(), trouble(retry));
    assert_eq!(next_step(&wanted, &holding, &web(), now), Step::Wait(retry), "a.org has what it needs");
    assert_eq!(next_step(&wanted, &holding, &web(), retry), order(&["a.org", "b.org"]));
    let first = Holding { names: holding.names.clone(), ..Holding::default() };
    assert_eq!(next_step(&wanted, &first, &web(), now), order(&["a.org"]));
}

#[test]
fn a_name_that_was_proved_before_is_given_up_only_near_the_end() {
    let mut holding = holding(&["a.org", "b.org"], 90 * DAY);
    let wanted = hosts(&["a.org", "b.org"]);
    holding.names.insert("b.org".into(), trouble(START.after(1000 * DAY)));
    let step = |now| next_step(&wanted, &holding, &web(), now);
    assert_eq!(step(START.after(61 * DAY)), Step::Wait(START.after(75 * DAY)));
    assert_eq!(step(START.after(75 * DAY)), order(&["a.org"]));
}

#[test]
fn a_further_name_waits_a_day_for_one_that_was_proved_before() {
    let mut holding = holding(&["a.org", "b.org"], 90 * DAY);
    let now = START.after(DAY);
    let mut failing = trouble(now.after(DAY));
    holding.names.insert("b.org".into(), failing.clone());
    let step = |holding: &Holding, names: &[&str]| next_step(&hosts(names), holding, &web(), now);
    let all = ["a.org", "b.org", "c.org"];
    assert_eq!(step(&holding, &all), Step::Wait(now.after(DAY)));
    failing.failures = 8;
    holding.names.insert("b.org".into(), failing.clone());
    assert_eq!(step(&holding, &all), order(&["a.org", "c.org"]));
    assert_eq!(step(&holding, &all[..2]), Step::Wait(now.after(DAY)), "nobody waits for it");
    holding.names.insert("c.org".into(), failing);
    assert_eq!(step(&holding, &all), Step::Wait(now.after(DAY)), "who fails too waits for nothing");
}

#[test]
fn refusals_and_limits_are_waited_for() {
    let wanted = hosts(&["a.org"]);
    let retry = START.after(DAY);
    let mut refused = Holding { refused: Some(trouble(retry)), ..Holding::default() };
    assert_eq!(next_step(&wanted, &refused, &web(), START), Step::Wait(retry));
    assert_eq!(next_step(&wanted, &refused, &web(), retry), order(&["a.org"]));
    refused.issuances = vec![Issuance { at: START, names: wanted.clone() }; 4];
    assert_eq!(next_step(&wanted, &refused, &web(), retry), Step::Wait(START.after(7 * DAY)));
    // By hand, too.
    let mut held = holding(&["a.org"], 90 * DAY);
    held.renew_now = true;
    assert_eq!(next_step(&wanted, &held, &web(), retry), order(&["a.org"]));
    held.issuances = refused.issuances;
    assert_eq!(next_step(&wanted, &held, &web(), retry), Step::Wait(START.after(7 * DAY)));
}

#[test]
fn an_imported_certificate_spares_the_order_until_it_expires() {
    let (chain, key) = chain(&["a.org"], START, 30 * DAY);
    let holding =
        Holding { imported: Some(Imported { chain: chain.into(), key, added: START }), ..Holding::default() };
    let wanted = hosts(&["a.org", "b.org"]);
    assert_eq!(next_step(&wanted, &holding, &web(), START), order(&["b.org"]));
    assert_eq!(next_step(&hosts(&["a.org"]), &holding, &web(), START), Step::Rest);
    assert_eq!(next_step(&wanted, &holding, &web(), START.after(31 * DAY)), order(&["a.org", "b.org"]));
}

#[test]
fn another_authority_replaces_the_certificate() {
    let mut holding = holding(&["a.org"], 90 * DAY);
    holding.issued.as_mut().unwrap().directory = "https://old.example".into();
    assert_eq!(next_step(&hosts(&["a.org"]), &holding, &web(), START), order(&["a.org"]));
}

#[test]
fn timestamps_and_certificates_agree_about_time() {
    let facts = holding(&["a.org"], 90 * DAY).issued_facts().unwrap();
    let start: SystemTime = UNIX_EPOCH + Duration::from_millis(START.0);
    assert_eq!((facts.not_before, facts.not_after), (start, start + 90 * DAY));
}
