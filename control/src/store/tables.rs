//! The tables, their keys, and how values are encoded: JSON, so that a later schema can read an earlier one.

use redb::{TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// The newest firewall events kept for each app; older ones are dropped.
pub const FIREWALL_EVENTS_PER_APP: u64 = 10_000;

/// `"schema"` → number.
pub(super) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
/// App → [`crate::model::App`].
pub(super) const APPS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("apps");
/// (app, number) → [`crate::model::Release`].
pub(super) const RELEASES: TableDefinition<'static, (&str, u64), &[u8]> = TableDefinition::new("releases");
/// (app, version) → map of variable to Fernet token.
pub(super) const CONFIGS: TableDefinition<'static, (&str, u64), &[u8]> = TableDefinition::new("configs");
/// (app, instance) → what the supervisor needs to find the instance again.
pub(super) const INSTANCES: TableDefinition<'static, (&str, &str), &[u8]> = TableDefinition::new("instances");
/// App → the deployment under way.
pub(super) const DEPLOYMENTS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("deployments");
/// Host → certificate chain and sealed key.
pub(super) const CERTIFICATES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("certificates");
/// App or static route → sealed [`crate::certificates::holding::Holding`].
pub(super) const HOLDINGS: TableDefinition<'static, &str, &str> =
    TableDefinition::new("certificate-holdings");
/// Directory URL → sealed [`crate::certificates::holding::AuthorityRecord`].
pub(super) const AUTHORITIES: TableDefinition<'static, &str, &str> =
    TableDefinition::new("certificate-authorities");
/// (app or route, running number) → [`crate::model::FirewallEvent`].
pub(super) const FIREWALL_EVENTS: TableDefinition<'static, (&str, u64), &[u8]> =
    TableDefinition::new("firewall-events");
/// Running number → [`crate::model::AuditRecord`].
pub(super) const AUDIT: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("audit");

/// Opens every table once, so that readers of a fresh store find them.
pub(super) fn create_all(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(APPS)?;
    transaction.open_table(RELEASES)?;
    transaction.open_table(CONFIGS)?;
    transaction.open_table(INSTANCES)?;
    transaction.open_table(DEPLOYMENTS)?;
    transaction.open_table(CERTIFICATES)?;
    transaction.open_table(HOLDINGS)?;
    transaction.open_table(AUTHORITIES)?;
    transaction.open_table(FIREWALL_EVENTS)?;
    transaction.open_table(AUDIT)?;
    transaction.open_table(super::bans::BANS)?;
    transaction.open_table(super::collections::COLLECTIONS)?;
    Ok(())
}

/// The stored form of `value`.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|source| StoreError::Decode { what: "new value", source })
}

/// The value stored in `bytes`; `what` names its kind in the error.
pub(super) fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|source| StoreError::Decode { what, source })
}
