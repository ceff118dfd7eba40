//! Writing: what one transaction may change.

use std::collections::BTreeMap;

use redb::{ReadableTable, WriteTransaction};
use serde::Serialize;

use super::tables::{self, FIREWALL_EVENTS_PER_APP, decode, encode};
use super::{Cipher, StoreError};
use crate::model::{App, AppName, ConfigKey, FirewallEvent, Release, ReleaseNumber, Secret, Variables};

/// One transaction under way; it is committed by [`super::Store`] when its author returns `Ok`.
pub struct Change<'t> {
    transaction: &'t WriteTransaction,
    cipher: &'t Cipher,
}

impl<'t> Change<'t> {
    pub(super) fn new(transaction: &'t WriteTransaction, cipher: &'t Cipher) -> Change<'t> {
        Change { transaction, cipher }
    }

    pub(super) fn transaction(&self) -> &'t WriteTransaction {
        self.transaction
    }

    /// One app as this transaction sees it.
    ///
    /// # Errors
    /// As all methods here: the disk refuses or a value does not decode.
    pub fn app(&self, name: &AppName) -> Result<Option<App>, StoreError> {
        let table = self.transaction.open_table(tables::APPS)?;
        let value = table.get(name.as_str())?;
        value.map(|value| decode("app", value.value())).transpose()
    }

    /// Writes an app.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn put_app(&mut self, app: &App) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::APPS)?;
        table.insert(app.name.as_str(), encode(app)?.as_slice())?;
        Ok(())
    }

    /// Forgets an app with its releases, configurations, instances, deployment, certificates, firewall events and
    /// collections.
    /// Its audit records stay.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn remove_app(&mut self, name: &AppName) -> Result<(), StoreError> {
        let app = name.as_str();
        self.transaction.open_table(tables::APPS)?.remove(app)?;
        self.transaction.open_table(tables::DEPLOYMENTS)?.remove(app)?;
        self.transaction.open_table(tables::HOLDINGS)?.remove(app)?;
        for definition in [tables::RELEASES, tables::CONFIGS, tables::FIREWALL_EVENTS] {
            let mut table = self.transaction.open_table(definition)?;
            table.retain_in((app, 0)..=(app, u64::MAX), |_, _| false)?;
        }
        let mut instances = self.transaction.open_table(tables::INSTANCES)?;
        instances.retain(|(owner, _), _| owner != app)?;
        self.remove_collections(app)
    }

    /// One release as this transaction sees it.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn release(&self, app: &AppName, number: ReleaseNumber) -> Result<Option<Release>, StoreError> {
        let table = self.transaction.open_table(tables::RELEASES)?;
        let value = table.get((app.as_str(), number.0))?;
        value.map(|value| decode("release", value.value())).transpose()
    }

    /// Writes a release.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn put_release(&mut self, app: &AppName, release: &Release) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::RELEASES)?;
        table.insert((app.as_str(), release.number.0), encode(release)?.as_slice())?;
        Ok(())
    }

    /// Writes a new configuration version, each value sealed.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn put_variables(
        &mut self,
        app: &AppName,
        version: u64,
        variables: &Variables,
    ) -> Result<(), StoreError> {
        let sealed: BTreeMap<&ConfigKey, String> =
            variables.iter().map(|(key, value)| (key, self.cipher.seal(value))).collect();
        let mut table = self.transaction.open_table(tables::CONFIGS)?;
        table.insert((app.as_str(), version), encode(&sealed)?.as_slice())?;
        Ok(())
    }

    /// Writes the adoption record of an instance.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn put_instance<T: Serialize>(
        &mut self,
        app: &AppName,
        instance: &str,
        record: &T,
    ) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::INSTANCES)?;
        table.insert((app.as_str(), instance), encode(record)?.as_slice())?;
        Ok(())
    }

    /// Forgets an instance that ended.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn remove_instance(&mut self, app: &AppName, instance: &str) -> Result<(), StoreError> {
        self.transaction.open_table(tables::INSTANCES)?.remove((app.as_str(), instance))?;
        Ok(())
    }

    /// Writes the phase a deployment has reached.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn put_deployment<T: Serialize>(&mut self, app: &AppName, deployment: &T) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::DEPLOYMENTS)?;
        table.insert(app.as_str(), encode(deployment)?.as_slice())?;
        Ok(())
    }

    /// Forgets a deployment that ended.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn remove_deployment(&mut self, app: &AppName) -> Result<(), StoreError> {
        self.transaction.open_table(tables::DEPLOYMENTS)?.remove(app.as_str())?;
        Ok(())
    }

    /// Keeps a host's certificate: PEM chain and sealed PEM key.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn put_certificate(
        &mut self,
        host: &str,
        chain: &str,
        key: &Secret<String>,
    ) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::CERTIFICATES)?;
        table.insert(host, encode(&(chain, self.cipher.seal(key)))?.as_slice())?;
        Ok(())
    }

    /// Keeps what is known of an owner's certificates, sealed whole.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn put_holding<T: Serialize>(&mut self, owner: &str, holding: &T) -> Result<(), StoreError> {
        let sealed = self.sealed(holding)?;
        self.transaction.open_table(tables::HOLDINGS)?.insert(owner, sealed.as_str())?;
        Ok(())
    }

    /// Takes away what is known of an owner's certificates.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn remove_holding(&mut self, owner: &str) -> Result<(), StoreError> {
        self.transaction.open_table(tables::HOLDINGS)?.remove(owner)?;
        Ok(())
    }

    /// Keeps what is known of a certificate authority, sealed whole.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn put_authority<T: Serialize>(&mut self, directory: &str, record: &T) -> Result<(), StoreError> {
        let sealed = self.sealed(record)?;
        self.transaction.open_table(tables::AUTHORITIES)?.insert(directory, sealed.as_str())?;
        Ok(())
    }

    fn sealed<T: Serialize>(&self, value: &T) -> Result<String, StoreError> {
        let text = String::from_utf8_lossy(&encode(value)?).into_owned();
        Ok(self.cipher.seal(&Secret::new(text)))
    }

    /// Appends firewall events and drops each app's oldest beyond [`FIREWALL_EVENTS_PER_APP`].
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn append_firewall_events(&mut self, events: &[FirewallEvent]) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::FIREWALL_EVENTS)?;
        for event in events {
            let app = event.app.as_str();
            let newest = table.range((app, 0)..=(app, u64::MAX))?.next_back().transpose()?;
            let number = newest.map_or(1, |(key, _)| key.value().1.saturating_add(1));
            table.insert((app, number), encode(event)?.as_slice())?;
            if number > FIREWALL_EVENTS_PER_APP {
                table.remove((app, number - FIREWALL_EVENTS_PER_APP))?;
            }
        }
        Ok(())
    }
}
