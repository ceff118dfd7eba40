//! Reading: one consistent view of the whole store.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableTable};
use serde::de::DeserializeOwned;

use super::tables::{self, decode};
use super::{Cipher, StoreError};
use crate::model::{App, AppName, AuditRecord, ConfigKey, FirewallEvent, Release, ReleaseNumber, Variables};

/// What is known of an owner's certificates, or why it cannot be read, with the owner's name.
pub type Holding<T> = (String, Result<T, StoreError>);

/// The store as it was at one moment.
pub struct Snapshot<'store> {
    transaction: ReadTransaction,
    cipher: &'store Cipher,
}

/// The result of walking the audit chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The newest records, oldest first.
    pub records: Vec<AuditRecord>,
    /// How many there are in all.
    pub length: u64,
    /// The first record whose hash does not fit, when the chain was walked.
    pub broken_at: Option<u64>,
}

impl<'store> Snapshot<'store> {
    pub(super) fn new(transaction: ReadTransaction, cipher: &'store Cipher) -> Snapshot<'store> {
        Snapshot { transaction, cipher }
    }

    pub(super) fn transaction(&self) -> &ReadTransaction {
        &self.transaction
    }

    /// All apps, by name.
    ///
    /// # Errors
    /// As all methods here: the disk refuses or a value does not decode.
    pub fn apps(&self) -> Result<Vec<App>, StoreError> {
        let table = self.transaction.open_table(tables::APPS)?;
        let mut apps = Vec::new();
        for row in table.iter()? {
            apps.push(decode("app", row?.1.value())?);
        }
        Ok(apps)
    }

    /// One app, if it exists.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn app(&self, name: &AppName) -> Result<Option<App>, StoreError> {
        let table = self.transaction.open_table(tables::APPS)?;
        table.get(name.as_str())?.map(|value| decode("app", value.value())).transpose()
    }

    /// All releases of an app, oldest first.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn releases(&self, app: &AppName) -> Result<Vec<Release>, StoreError> {
        let table = self.transaction.open_table(tables::RELEASES)?;
        let mut releases = Vec::new();
        for row in table.range((app.as_str(), 0)..=(app.as_str(), u64::MAX))? {
            releases.push(decode("release", row?.1.value())?);
        }
        Ok(releases)
    }

    /// One release, if it exists.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn release(&self, app: &AppName, number: ReleaseNumber) -> Result<Option<Release>, StoreError> {
        let table = self.transaction.open_table(tables::RELEASES)?;
        table.get((app.as_str(), number.0))?.map(|value| decode("release", value.value())).transpose()
    }

    /// The variables of one configuration version, decrypted; version 0 is empty.
    ///
    /// # Errors
    /// See [`Snapshot::apps`]; also [`StoreError::Decrypt`].
    pub fn variables(&self, app: &AppName, version: u64) -> Result<Variables, StoreError> {
        let table = self.transaction.open_table(tables::CONFIGS)?;
        let Some(value) = table.get((app.as_str(), version))? else { return Ok(Variables::new()) };
        let sealed: BTreeMap<ConfigKey, String> = decode("configuration", value.value())?;
        let mut variables = Variables::new();
        for (key, token) in sealed {
            let Some(value) = self.cipher.open_token(&token) else {
                return Err(StoreError::Decrypt { key: key.into() });
            };
            variables.insert(key, value);
        }
        Ok(variables)
    }

    /// The adoption records of all instances, as the supervisor wrote them.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn instances<T: DeserializeOwned>(&self) -> Result<Vec<(String, T)>, StoreError> {
        let table = self.transaction.open_table(tables::INSTANCES)?;
        let mut instances = Vec::new();
        for row in table.iter()? {
            let (key, value) = row?;
            instances.push((key.value().0.to_owned(), decode("instance", value.value())?));
        }
        Ok(instances)
    }

    /// The deployments that were under way, by app.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn deployments<T: DeserializeOwned>(&self) -> Result<Vec<(String, T)>, StoreError> {
        let table = self.transaction.open_table(tables::DEPLOYMENTS)?;
        let mut deployments = Vec::new();
        for row in table.iter()? {
            let (key, value) = row?;
            deployments.push((key.value().to_owned(), decode("deployment", value.value())?));
        }
        Ok(deployments)
    }

    /// The certificate kept for `host`: PEM chain and PEM key.
    ///
    /// # Errors
    /// See [`Snapshot::apps`]; also [`StoreError::Decrypt`].
    pub fn certificate(
        &self,
        host: &str,
    ) -> Result<Option<(String, crate::model::Secret<String>)>, StoreError> {
        let table = self.transaction.open_table(tables::CERTIFICATES)?;
        let Some(value) = table.get(host)? else { return Ok(None) };
        let (chain, token): (String, String) = decode("certificate", value.value())?;
        match self.cipher.open_token(&token) {
            Some(key) => Ok(Some((chain, key))),
            None => Err(StoreError::Decrypt { key: format!("certificate of {host}") }),
        }
    }

    /// What is known of all owners' certificates; `Err` within for what does not decrypt or decode.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn holdings<T: DeserializeOwned>(&self) -> Result<Vec<Holding<T>>, StoreError> {
        let table = self.transaction.open_table(tables::HOLDINGS)?;
        let mut holdings = Vec::new();
        for row in table.iter()? {
            let (owner, token) = row?;
            let holding = self.opened("certificates", owner.value(), token.value());
            holdings.push((owner.value().to_owned(), holding));
        }
        Ok(holdings)
    }

    /// What is known of a certificate authority.
    ///
    /// # Errors
    /// See [`Snapshot::apps`]; also [`StoreError::Decrypt`].
    pub fn authority<T: DeserializeOwned>(&self, directory: &str) -> Result<Option<T>, StoreError> {
        let table = self.transaction.open_table(tables::AUTHORITIES)?;
        let Some(token) = table.get(directory)? else { return Ok(None) };
        self.opened("account", directory, token.value()).map(Some)
    }

    fn opened<T: DeserializeOwned>(
        &self,
        what: &'static str,
        key: &str,
        token: &str,
    ) -> Result<T, StoreError> {
        match self.cipher.open_token(token) {
            Some(text) => decode(what, text.reveal().as_bytes()),
            None => Err(StoreError::Decrypt { key: format!("{what} of {key}") }),
        }
    }

    /// The newest `count` firewall events of an app or static route, oldest first.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn firewall_events(&self, app: &str, count: usize) -> Result<Vec<FirewallEvent>, StoreError> {
        let table = self.transaction.open_table(tables::FIREWALL_EVENTS)?;
        let mut events = Vec::new();
        for row in table.range((app, 0)..=(app, u64::MAX))?.rev().take(count) {
            events.push(decode("firewall event", row?.1.value())?);
        }
        events.reverse();
        Ok(events)
    }

    /// The newest firewall event of a transaction, whichever app it was for.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn firewall_event(&self, transaction: &str) -> Result<Option<FirewallEvent>, StoreError> {
        let table = self.transaction.open_table(tables::FIREWALL_EVENTS)?;
        // Looking for the id first spares decoding every record.
        let wanted = transaction.as_bytes();
        for row in table.iter()?.rev() {
            let (_, value) = row?;
            if !wanted.is_empty() && value.value().windows(wanted.len()).any(|window| window == wanted) {
                let event: FirewallEvent = decode("firewall event", value.value())?;
                if event.transaction == transaction {
                    return Ok(Some(event));
                }
            }
        }
        Ok(None)
    }

    /// The newest `count` audit records; walks the whole chain when `verify` is set.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn audit(&self, count: usize, verify: bool) -> Result<Audit, StoreError> {
        let table = self.transaction.open_table(tables::AUDIT)?;
        let mut records = Vec::new();
        for row in table.iter()?.rev().take(count) {
            records.push(decode("audit record", row?.1.value())?);
        }
        records.reverse();
        let length = redb::ReadableTableMetadata::len(&table)?;
        let mut broken_at = None;
        if verify {
            let mut previous: Option<AuditRecord> = None;
            for row in table.iter()? {
                let (key, value) = row?;
                let record: AuditRecord = decode("audit record", value.value())?;
                if !record.follows(previous.as_ref()) {
                    broken_at = Some(key.value());
                    break;
                }
                previous = Some(record);
            }
        }
        Ok(Audit { records, length, broken_at })
    }
}
