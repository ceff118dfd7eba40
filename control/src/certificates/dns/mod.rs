//! TXT records for dns-01 (RFC 8555 section 8.4): made by a program of the operator's, or by an update of the zone.

mod hook;
mod message;
mod update;

use crate::settings::{Dns, DnsProvider};

/// Makes and removes TXT records.
pub(super) struct RecordKeeper(Dns);

/// A TXT record.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// `_acme-challenge.NAME.`, fully qualified.
    pub(super) name: String,
    /// Its text.
    pub(super) value: String,
}

impl Record {
    /// The one that proves `name` by `value`.
    pub(super) fn new(name: &str, value: &str) -> Record {
        Record { name: format!("_acme-challenge.{name}."), value: value.to_owned() }
    }
}

impl RecordKeeper {
    /// As configured.
    pub(super) fn new(dns: Dns) -> RecordKeeper {
        RecordKeeper(dns)
    }

    /// Makes the record; the zone's other servers know it after [`RecordKeeper::propagated`].
    ///
    /// # Errors
    /// The program or the server refused.
    pub(super) async fn present(&self, record: &Record) -> Result<(), String> {
        match &self.0.provider {
            DnsProvider::Hook(command) => hook::run(command, "present", record).await,
            DnsProvider::Update(server) => update::change(server, update::Change::Add, record).await,
        }
    }

    /// Waits as long as the servers of a zone may take to agree.
    pub(super) async fn propagated(&self) {
        tokio::time::sleep(self.0.propagation).await;
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
