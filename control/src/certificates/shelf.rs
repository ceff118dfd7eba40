//! All holdings in memory, and on disk before anybody sees them changed.
//!
//! Issued certificates are remembered by their names, too: a host that changes hands goes on being shown with the one
//! it had until its new owner has its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hop3_proxy::CertificateOrigin;

use super::holding::{AuthorityRecord, Holding, Shown};
use crate::failure::chain;
use crate::model::{Actor, Entry, Timestamp};
use crate::store::{Change, Durable, Store, StoreError};

/// The holdings of all owners. Calls that change something block for a few milliseconds.
pub struct Shelf {
    store: Arc<Store>,
    held: Mutex<Held>,
    /// Whose holdings do not decrypt or decode: never overwritten.
    unreadable: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Held {
    /// By owner.
    holdings: BTreeMap<String, Holding>,
    /// The latest certificate that was issued for each name, whoever owned it then.
    issued: BTreeMap<String, Shown>,
}

impl Held {
    fn insert(&mut self, owner: &str, holding: Holding) {
        if let (Some(issued), Some(facts)) = (&holding.issued, holding.issued_facts()) {
            let (chain, key) = (issued.chain.clone(), issued.key.clone());
            let shown = Shown { chain, key, origin: CertificateOrigin::Acme, facts: facts.clone() };
            let later = |name: &&String| {
                self.issued.get(*name).is_none_or(|known| known.facts.not_after <= facts.not_after)
            };
            let names: Vec<String> = facts.names.iter().filter(later).cloned().collect();
            self.issued.extend(names.into_iter().map(|name| (name, shown.clone())));
        }
        self.holdings.insert(owner.to_owned(), holding);
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys are in it.
        out.debug_struct("Shelf").field("owners", &self.locked().holdings.keys()).finish_non_exhaustive()
    }
}

impl Shelf {
    /// Reads everything. What cannot be read is logged and left as it is: its owner gets self-signed certificates.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open(store: Arc<Store>) -> Result<Shelf, StoreError> {
        let (mut held, mut unreadable) = (Held::default(), BTreeSet::new());
        for (owner, holding) in store.read()?.holdings::<Holding>()? {
            match holding {
                Ok(holding) => held.insert(&owner, holding),
                Err(error) => {
                    tracing::error!(owner, error = chain(&error), "its certificates cannot be read");
                    unreadable.insert(owner);
                }
            }
        }
        Ok(Shelf { store, held: Mutex::new(held), unreadable: Mutex::new(unreadable) })
    }

    /// What is remembered of an owner.
    pub fn get(&self, owner: &str) -> Holding {
        self.locked().holdings.get(owner).cloned().unwrap_or_default()
    }

    /// The certificate to show for a host of an owner now: its own; as long as that has none that is valid, the one that
    /// was issued for the host to somebody else.
    pub fn show(&self, owner: &str, host: &str, now: Timestamp) -> Option<Shown> {
        let held = self.locked();
        let own = held.holdings.get(owner).and_then(|holding| holding.show(host, now));
        let other = || held.issued.get(host).filter(|shown| shown.is_valid(now)).cloned();
        if own.as_ref().is_some_and(|shown| shown.is_valid(now)) { own } else { other().or(own) }
    }

    /// Changes what is remembered of an owner; not audited.
    ///
    /// # Errors
    /// The disk refuses, or the earlier holding could not be read; nothing was changed then.
    pub fn note<T>(&self, owner: &str, edit: impl FnOnce(&mut Holding) -> T) -> Result<T, StoreError> {
        self.edit(owner, edit, |store, put| store.note(Durable::Now, put))
    }

    /// The same, with an audit record.
    ///
    /// # Errors
    /// See [`Shelf::note`].
    pub fn change<T>(
        &self,
        entry: &Entry,
        owner: &str,
        edit: impl FnOnce(&mut Holding) -> T,
    ) -> Result<T, StoreError> {
        self.edit(owner, edit, |store, put| store.change(entry, put))
    }

    /// Whose holdings there are.
    pub fn owners(&self) -> Vec<String> {
        self.locked().holdings.keys().cloned().collect()
    }

    /// Takes away what is kept of those who are gone: once they have been for `patience`, since what was imported is nowhere
    /// else, and an authority issues only so often. Whose that was.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn release(
        &self,
        is_there: impl Fn(&str) -> bool,
        patience: Duration,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let mut released = Vec::new();
        for owner in self.owners() {
            match (is_there(&owner), self.get(&owner).ownerless) {
                (true, None) => {}
                (true, Some(_)) => self.note(&owner, |holding| holding.ownerless = None)?,
                (false, None) => self.note(&owner, |holding| holding.ownerless = Some(now))?,
                (false, Some(since)) if now.since(since) < patience => {}
                (false, Some(_)) => {
                    let entry = Entry::new(&Actor::System, "certs:forget", &owner);
                    self.store.change(&entry, |change| change.remove_holding(&owner))?;
                    self.forget(&owner);
                    released.push(owner);
                }
            }
        }
        Ok(released)
    }

    /// Forgets an owner whose record in the store is gone.
    pub fn forget(&self, owner: &str) {
        self.locked().holdings.remove(owner);
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).remove(owner);
    }

    /// Whether what is stored of an owner cannot be read, so that nothing can be kept of it.
    pub(super) fn is_unreadable(&self, owner: &str) -> bool {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).contains(owner)
    }

    /// What is remembered of an authority.
    ///
    /// # Errors
    /// The disk refuses, or the record does not decrypt.
    pub(super) fn authority(&self, directory: &str) -> Result<AuthorityRecord, StoreError> {
        Ok(self.store.read()?.authority(directory)?.unwrap_or_default())
    }

    /// Changes what is remembered of an authority.
    ///
    /// # Errors
    /// See [`Shelf::authority`].
    pub(super) fn note_authority<T>(
        &self,
        directory: &str,
        edit: impl FnOnce(&mut AuthorityRecord) -> T,
    ) -> Result<T, StoreError> {
        // One at a time: reading and writing belong together.
        let _one = self.locked();
        let mut record = self.authority(directory)?;
        let result = edit(&mut record);
        self.store.note(Durable::Now, |change| change.put_authority(directory, &record))?;
        Ok(result)
    }

    fn edit<T>(
        &self,
        owner: &str,
        edit: impl FnOnce(&mut Holding) -> T,
        write: impl FnOnce(&Store, &dyn Fn(&mut Change<'_>) -> Result<(), StoreError>) -> Result<(), StoreError>,
    ) -> Result<T, StoreError> {
        if self.is_unreadable(owner) {
            return Err(StoreError::Decrypt { key: format!("certificates of {owner}") });
        }
        let mut held = self.locked();
        let before = held.holdings.get(owner).cloned().unwrap_or_default();
        let mut after = before.clone();
        let result = edit(&mut after);
        if after != before {
            write(&self.store, &|change| change.put_holding(owner, &after))?;
            held.insert(owner, after);
        }
        Ok(result)
    }

    fn locked(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::holding::Trouble;
    use super::*;
    use crate::model::Timestamp;
    use crate::store::Cipher;

    fn store(directory: &std::path::Path) -> Arc<Store> {
        let cipher = Cipher::open(&directory.join("key")).unwrap();
        Arc::new(Store::open(&directory.join("store.redb"), cipher).unwrap())
    }

    #[test]
    fn what_is_noted_survives_and_keys_are_sealed() {
        let directory = tempfile::tempdir().unwrap();
        {
            let shelf = Shelf::open(store(directory.path())).unwrap();
            shelf
                .note("demo", |holding| {
                    holding.imported = Some(super::super::holding::Imported {
                        chain: "CHAIN-IN-CLEAR".into(),
                        key: "KEY-IN-CLEAR".into(),
                        added: Timestamp(5),
                    });
                })
                .unwrap();
            shelf.note_authority("https://ca", |record| record.account = Some("ACCOUNT-KEY".into())).unwrap();
        }
        let bytes = std::fs::read(directory.path().join("store.redb")).unwrap();
        for secret in ["KEY-IN-CLEAR", "ACCOUNT-KEY"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
        let shelf = Shelf::open(store(directory.path())).unwrap();
        assert_eq!(shelf.get("demo").imported.unwrap().added, Timestamp(5));
        assert_eq!(shelf.authority("https://ca").unwrap().account, Some("ACCOUNT-KEY".into()));
        assert!(shelf.get("other").is_empty());
    }

    #[test]
    fn a_host_that_changes_hands_keeps_its_certificate_until_it_has_another() {
        use super::super::holding::Issued;
        use super::super::schedule::tests::{DAY, START, chain};
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(store(directory.path())).unwrap();
        let issue = |owner: &str, names: &[&str], days: u32| {
            let (chain, key) = chain(names, START, DAY * days);
            let issued =
                Issued { chain: chain.as_str().into(), key, directory: "d".into(), at: START, advice: None };
            shelf.note(owner, |holding| holding.issued = Some(issued)).unwrap();
            Some(chain)
        };
        let shown = |owner: &str, host: &str, days: u32| {
            shelf.show(owner, host, START.after(DAY * days)).map(|shown| shown.chain.to_string())
        };
        let first = issue("first", &["a.org", "b.org", "*.c.org"], 90);
        assert_eq!(shown("second", "b.org", 1), first);
        assert_eq!(shown("second", "x.c.org", 1), None, "a wildcard is its owner's alone");
        assert_eq!(shown("second", "b.org", 91), None, "it has expired");
        let second = issue("second", &["b.org"], 30);
        assert_eq!(
            (shown("second", "b.org", 1), shown("first", "b.org", 1)),
            (second.clone(), first.clone())
        );
        assert_eq!(shown("second", "b.org", 31), first, "better than one that has expired");
        shelf.forget("first");
        assert_eq!(shown("third", "a.org", 1), first);
    }

    #[test]
    fn what_another_key_sealed_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        Shelf::open(store(directory.path()))
            .unwrap()
            .note("demo", |holding| holding.renew_now = true)
            .unwrap();
        std::fs::remove_file(directory.path().join("key")).unwrap();
        let shelf = Shelf::open(store(directory.path())).unwrap();
        assert!(shelf.note("demo", |holding| holding.refused = Some(Trouble::default())).is_err());
        shelf.note("other", |holding| holding.renew_now = true).unwrap();
        assert!(shelf.get("demo").is_empty());
        assert!(shelf.is_unreadable("demo") && !shelf.is_unreadable("other"));
        shelf.forget("demo");
        shelf.note("demo", |holding| holding.renew_now = true).unwrap();
    }

    #[test]
    fn what_nobody_owns_is_kept_for_a_while_and_then_released() {
        use super::super::schedule::tests::{DAY, START};
        let directory = tempfile::tempdir().unwrap();
        let month = 30 * DAY;
        {
            let shelf = Shelf::open(store(directory.path())).unwrap();
            for owner in ["route", "app", "typo"] {
                shelf.note(owner, |holding| holding.renew_now = true).unwrap();
            }
            let there = |days: u32, names: &[&str]| {
                shelf.release(|owner| names.contains(&owner), month, START.after(days * DAY)).unwrap()
            };
            assert!(there(0, &["route", "app", "typo"]).is_empty());
            assert!(there(10, &["app"]).is_empty(), "it may come back");
            assert!(there(20, &["app", "typo"]).is_empty(), "it did");
            assert_eq!(there(40, &["app"]), ["route"]);
            assert_eq!(shelf.owners(), ["app", "typo"]);
        }
        let shelf = Shelf::open(store(directory.path())).unwrap();
        assert_eq!(shelf.owners(), ["app", "typo"], "in the store, too");
        assert!(shelf.get("route").is_empty());
        let released = shelf.release(|_| false, month, START.after(70 * DAY)).unwrap();
        assert_eq!(released, ["typo"], "gone since the fortieth day");
    }
}
