//! TXT records for dns-01 (RFC 8555 section 8.4): made by a program of the operator's, or by an update of the zone.

mod hook;
mod message;
mod update;

use crate::settings::{Dns, DnsProvider};

/// Makes and removes TXT records.
pub(super) struct RecordKeeper(Dns);

/// A record that was made.
pub(super) struct Record {
    /// `_acme-challenge.NAME.`, fully qualified.
    pub(super) name: String,
    /// Its text.
    pub(super) value: String,
}

impl RecordKeeper {
    /// As configured.
    pub(super) fn new(dns: Dns) -> RecordKeeper {
        RecordKeeper(dns)
    }

    /// Makes the record for `name` and waits until all servers of the zone should know it.
    ///
    /// # Errors
    /// The program or the server refused.
    pub(super) async fn present(&self, name: &str, value: &str) -> Result<Record, String> {
        let record = Record { name: format!("_acme-challenge.{name}."), value: value.to_owned() };
        match &self.0.provider {
            DnsProvider::Hook(command) => hook::run(command, "present", &record).await?,
            DnsProvider::Update(server) => update::change(server, update::Change::Add, &record).await?,
        }
        tokio::time::sleep(self.0.propagation).await;
        Ok(record)
    }

    /// Removes the record.
    ///
    /// # Errors
    /// The program or the server refused.
    pub(super) async fn clean_up(&self, record: &Record) -> Result<(), String> {
        match &self.0.provider {
            DnsProvider::Hook(command) => hook::run(command, "cleanup", record).await,
            DnsProvider::Update(server) => update::change(server, update::Change::Remove, record).await,
        }
    }
}
