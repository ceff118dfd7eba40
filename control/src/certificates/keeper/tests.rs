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

fn keeper(folder: &std::path::Path) -> Keeper {
    let cipher = crate::store::Cipher::open(&folder.join("key")).unwrap();
    let store = crate::store::Store::open(&folder.join("store.redb"), cipher).unwrap();
    let shelf = Arc::new(Shelf::open(Arc::new(store)).unwrap());
    Keeper::new(shelf, Arc::default(), Some(acme()))
}

#[test]
fn the_end_of_an_imported_certificate_is_news() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = keeper(folder.path());
    let wanted = |owner: &str| Wanted {
        owner: owner.into(),
        hosts: vec!["a.org".into()],
        elsewhere: BTreeMap::new(),
        automatic: true,
    };
    keeper.want(vec![wanted("shop"), wanted("other")]);
    let (pem, key) = chain(&["a.org"], START, DAY);
    let imported = super::super::holding::Imported { chain: pem.into(), key, added: START };
    keeper.shelf.note("shop", |holding| holding.imported = Some(imported)).unwrap();
    let end = START.after(DAY);
    let minute = Duration::from_secs(60);
    let before = Timestamp(end.0 - 60_000);
    assert_eq!(keeper.imported_ends(START, before), (vec![], end), "it wakes at the end");
    assert_eq!(keeper.imported_ends(before, end).0, ["shop"]);
    let later = end.after(minute);
    assert_eq!(keeper.imported_ends(end, later), (vec![], later.after(LONGEST_SLEEP)), "told once");
}

#[test]
fn an_order_that_takes_long_goes_on_and_one_that_is_refused_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = keeper(folder.path());
    let authority = Authority::new(acme(), keeper.shelf.clone()).unwrap();
    let pending = super::super::holding::PendingOrder {
        url: "u".into(),
        directory: "d".into(),
        names: vec!["a.org".into()],
        key: "k".into(),
        began: START,
    };
    keeper.shelf.note("shop", |holding| holding.order = Some(pending)).unwrap();
    let why = || "slow".to_owned();
    for (failed, goes_on) in [(Failed::Late(why(), None), true), (Failed::Order(why(), None), false)] {
        keeper.failed(&authority, "shop", &failed, START, 200).unwrap();
        let holding = keeper.shelf.get("shop");
        assert_eq!(holding.order.is_some(), goes_on);
        assert!(holding.refused.is_some_and(|trouble| trouble.retry > START), "after a pause");
    }
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
