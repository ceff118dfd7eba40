//! Reopening, rolling back, sealing, bounding: what the store promises.

use super::*;
use crate::failure::Failure;
use crate::model::{Actor, App, AppName, FirewallEvent, Secret, Variables};

fn open(directory: &Path) -> Store {
    Store::open(&directory.join("store.redb"), Cipher::open(&directory.join("key")).unwrap()).unwrap()
}

fn name(text: &str) -> AppName {
    AppName::new(text).unwrap()
}

fn entry(subject: &str) -> Entry {
    Entry::new(&Actor::LocalUser(0), "app:create", subject)
}

fn event(app: &str, number: u64) -> FirewallEvent {
    FirewallEvent {
        time: Timestamp(number),
        transaction: number.to_string(),
        app: app.into(),
        client: "192.0.2.1".into(),
        host: "demo.test".into(),
        method: "GET".into(),
        uri: "/".into(),
        headers: Vec::new(),
        status: 403,
        blocked: true,
        reason: None,
        rules: Vec::new(),
    }
}

#[test]
fn what_was_acknowledged_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let app = App::new(name("demo"), Timestamp(1));
    let variables: Variables =
        [("TOKEN".parse().unwrap(), Secret::new("hunter2".to_owned()))].into_iter().collect();
    {
        let store = open(directory.path());
        store
            .change(&entry("demo"), |change| {
                change.put_app(&app)?;
                change.put_variables(&app.name, 1, &variables)
            })
            .unwrap();
    }
    let bytes = std::fs::read(directory.path().join("store.redb")).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "the value lies in the file unencrypted");
    let store = open(directory.path());
    let snapshot = store.read().unwrap();
    assert_eq!(snapshot.app(&app.name).unwrap(), Some(app.clone()));
    assert_eq!(snapshot.variables(&app.name, 1).unwrap(), variables);
    assert_eq!(snapshot.variables(&app.name, 0).unwrap(), Variables::new());
    let audit = snapshot.audit(10, true).unwrap();
    assert_eq!((audit.length, audit.broken_at), (1, None));
    assert_eq!(audit.records[0].subject, "demo");
}

#[test]
fn a_refused_change_leaves_neither_data_nor_record() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let refused = store.change(&entry("demo"), |change| {
        change.put_app(&App::new(name("demo"), Timestamp(1)))?;
        Err::<(), _>(StoreError::Refused(Failure::conflict("no")))
    });
    assert!(matches!(refused, Err(StoreError::Refused(_))));
    let snapshot = store.read().unwrap();
    assert!(snapshot.apps().unwrap().is_empty());
    assert_eq!(snapshot.audit(10, true).unwrap().length, 0);
}

#[test]
fn removing_an_app_leaves_its_neighbour_and_the_audit_log() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for app in ["demo", "demo-2"] {
        store
            .change(&entry(app), |change| {
                change.put_app(&App::new(name(app), Timestamp(1)))?;
                change.put_variables(&name(app), 1, &Variables::new())?;
                change.put_instance(&name(app), "web.1", &7)?;
                change.put_holding(app, &"a key")?;
                change.append_firewall_events(&[event(app, 1)])
            })
            .unwrap();
    }
    store.change(&entry("demo"), |change| change.remove_app(&name("demo"))).unwrap();
    let snapshot = store.read().unwrap();
    assert_eq!(snapshot.apps().unwrap().len(), 1);
    assert_eq!(snapshot.instances::<u32>().unwrap(), [("demo-2".to_owned(), 7)]);
    let holdings = snapshot.holdings::<String>().unwrap();
    assert_eq!((holdings.len(), &*holdings[0].0), (1, "demo-2"));
    assert!(snapshot.firewall_events("demo", 10).unwrap().is_empty());
    assert_eq!(snapshot.firewall_events("demo-2", 10).unwrap().len(), 1);
    assert_eq!(snapshot.audit(10, true).unwrap().length, 3);
}

#[test]
fn firewall_events_are_a_ring() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let events: Vec<_> = (1..=FIREWALL_EVENTS_PER_APP + 3).map(|number| event("demo", number)).collect();
    store.note(Durable::WithTheNextCommit, |change| change.append_firewall_events(&events)).unwrap();
    let kept = store.read().unwrap().firewall_events("demo", usize::MAX).unwrap();
    assert_eq!(kept.len() as u64, FIREWALL_EVENTS_PER_APP);
    assert_eq!(kept.first().unwrap().time, Timestamp(4));
    let last = store.read().unwrap().firewall_events("demo", 2).unwrap();
    assert_eq!(last[1].time, Timestamp(FIREWALL_EVENTS_PER_APP + 3));
}

#[test]
fn a_store_of_a_later_schema_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    {
        let store = open(directory.path());
        let transaction = store.present().unwrap().begin_write().unwrap();
        transaction.open_table(tables::META).unwrap().insert("schema", SCHEMA + 1).unwrap();
        transaction.commit().unwrap();
    }
    let error = Store::open(&path, Cipher::open(&directory.path().join("key")).unwrap()).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found, .. } if found == SCHEMA + 1));
}

#[test]
fn another_key_does_not_open_the_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let variables: Variables = [("A".parse().unwrap(), Secret::new("x".to_owned()))].into_iter().collect();
    open(directory.path())
        .change(&entry("demo"), |change| change.put_variables(&name("demo"), 1, &variables))
        .unwrap();
    std::fs::remove_file(directory.path().join("key")).unwrap();
    let store = open(directory.path());
    let error = store.read().unwrap().variables(&name("demo"), 1).unwrap_err();
    assert!(matches!(error, StoreError::Decrypt { key } if key == "A"));
}

#[test]
fn another_process_may_have_the_file_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = open(directory.path());
    store.change(&entry("demo"), |change| change.put_app(&App::new(name("demo"), Timestamp(1)))).unwrap();
    store.close().unwrap();
    assert!(matches!(store.read().err(), Some(StoreError::Away)));
    assert!(matches!(store.note(Durable::Now, |_| Ok(())), Err(StoreError::Away)));
    store.close().unwrap();
    let other = open(directory.path());
    other.change(&entry("other"), |change| change.put_app(&App::new(name("other"), Timestamp(2)))).unwrap();
    assert!(store.reopen(&path).is_err(), "two owners");
    drop(other);
    store.reopen(&path).unwrap();
    assert_eq!(store.read().unwrap().apps().unwrap().len(), 2);
}
