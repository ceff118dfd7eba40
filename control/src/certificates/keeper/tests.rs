//! The keeper's decisions over months, against an authority that is played.

use super::*;
use crate::certificates::schedule::tests::{DAY, START, chain};
use crate::settings::ChallengeKind;

fn acme() -> Acme {
    Acme {
        directory: "d".into(),
        public: true,
        roots: None,
        email: None,
        external_account: None,
        challenges: vec![ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
        dns: None,
    }
}

/// Plays the authority for `days`: every order for a name in `refused` fails there. What was ordered, by day.
fn play(
    hosts: &[&str],
    refused: impl Fn(&str, u32) -> bool,
    days: u32,
) -> (Holding, Vec<(u32, Vec<String>)>) {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let (mut holding, mut orders) = (Holding::default(), Vec::new());
    let minute = Duration::from_secs(60);
    let mut now = START;
    while now.since(START) < days * DAY {
        let today = u32::try_from(now.since(START).as_secs() / 86_400).unwrap();
        let mut pause = 10 * minute;
        match next_step(&hosts, &holding, &acme(), now) {
            Step::Order(names) => {
                pause = minute / 2;
                orders.push((today, names.clone()));
                let bad: Vec<_> = names
                    .iter()
                    .filter(|name| refused(name, today))
                    .map(|name| (name.clone(), "no".to_owned()))
                    .collect();
                if bad.is_empty() {
                    let covered: Vec<&str> = names.iter().map(String::as_str).collect();
                    let (pem, key) = chain(&covered, now, 90 * DAY);
                    let issued =
                        Issued { chain: pem.into(), key, directory: "d".into(), at: now, advice: None };
                    succeeded(&mut holding, issued, &names, &hosts, now);
                } else {
                    names_failed(&mut holding, &bad, now, 200);
                }
            }
            Step::AskAdvice => {
                let issued = holding.issued.as_mut().unwrap();
                issued.advice = Some(super::super::schedule::no_advice(None, now.after(DAY * 30), 0));
            }
            Step::Wait(_) | Step::Rest => {}
        }
        now = now.after(pause);
    }
    (holding, orders)
}

#[test]
fn a_year_of_renewals() {
    let (holding, orders) = play(&["a.org", "www.a.org"], |_, _| false, 365);
    let days: Vec<u32> = orders.iter().map(|(day, _)| *day).collect();
    assert_eq!(days, [0, 60, 120, 180, 240, 300, 360]);
    assert!(orders.iter().all(|(_, names)| names.len() == 2) && holding.names.is_empty());
}

#[test]
fn a_name_that_arrives_late_is_added_and_never_holds_up_the_other() {
    // b.org points elsewhere for three days.
    let (holding, orders) = play(&["a.org", "b.org"], |name, day| name == "b.org" && day < 3, 10);
    assert_eq!(orders[0], (0, vec!["a.org".to_owned(), "b.org".to_owned()]));
    assert_eq!(orders[1], (0, vec!["a.org".to_owned()]), "at once, alone");
    assert!(holding.issued_facts().unwrap().covers("b.org"));
    assert!(orders.len() < 20, "{} orders in ten days", orders.len());
    assert!(orders.last().unwrap().0 <= 4, "found within a day: {orders:?}");
}

#[test]
fn a_name_that_moves_away_is_dropped_before_the_others_expire() {
    let (holding, orders) = play(&["a.org", "b.org"], |name, day| name == "b.org" && day > 30, 89);
    let facts = holding.issued_facts().unwrap();
    assert!(facts.covers("a.org") && !facts.covers("b.org"));
    assert!(Timestamp::from(facts.not_after).since(START) > 150 * DAY);
    let alone = orders.iter().find(|(_, names)| names.len() == 1).unwrap();
    assert_eq!(alone.0, 75, "{orders:?}");
}
