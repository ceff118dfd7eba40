//! Bans, by address or network, those that have ended and are remembered among them.

use redb::{ReadableTable, TableDefinition};

use super::tables::{decode, encode};
use super::{Change, Snapshot, StoreError};
use crate::model::BanRecord;

/// Network → [`BanRecord`].
pub(super) const BANS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("bans");

impl Change<'_> {
    /// Writes a ban.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn put_ban(&mut self, ban: &BanRecord) -> Result<(), StoreError> {
        let mut table = self.transaction().open_table(BANS)?;
        table.insert(ban.network.as_str(), encode(ban)?.as_slice())?;
        Ok(())
    }

    /// Forgets a ban.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn remove_ban(&mut self, network: &str) -> Result<(), StoreError> {
        self.transaction().open_table(BANS)?.remove(network)?;
        Ok(())
    }

    /// Forgets all bans.
    ///
    /// # Errors
    /// See [`Change::app`].
    pub fn remove_bans(&mut self) -> Result<(), StoreError> {
        self.transaction().open_table(BANS)?.retain(|_, _| false)?;
        Ok(())
    }
}

impl Snapshot<'_> {
    /// The ban of exactly this address or network. One that cannot be read is none.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn ban(&self, network: &str) -> Result<Option<BanRecord>, StoreError> {
        let table = self.transaction().open_table(BANS)?;
        Ok(table.get(network)?.and_then(|value| decode("ban", value.value()).ok()))
    }

    /// All bans. One that cannot be read is left out: it is worth less than the others.
    ///
    /// # Errors
    /// See [`Snapshot::apps`].
    pub fn bans(&self) -> Result<Vec<BanRecord>, StoreError> {
        let table = self.transaction().open_table(BANS)?;
        let mut bans = Vec::new();
        for row in table.iter()? {
            let (key, value) = row?;
            match decode("ban", value.value()) {
                Ok(ban) => bans.push(ban),
                Err(error) => tracing::warn!(network = key.value(), %error, "a ban is forgotten"),
            }
        }
        Ok(bans)
    }
}
