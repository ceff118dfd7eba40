//! The control plane's own types: values that cannot be wrong once they exist.
//!
//! Owns apps, releases, configuration, deployments, firewall events and audit records as plain data. Storing,
//! sending and printing them is left to `store`, `api` and `cli`.

mod app;
mod audit;
mod ban;
mod config;
mod domain;
mod event;
mod rehearsal;
mod release;
mod secret;
mod time;

pub use app::{App, Desired, parse_app_name};
pub(crate) use audit::hexadecimal;
pub use audit::{Actor, AuditRecord, Entry};
pub use ban::BanRecord;
pub use config::{ConfigKey, InvalidConfigKey, Variables};
pub use domain::{Domain, InvalidDomain};
pub use event::{FirewallEvent, RuleHit, Step, ValueHit};
pub use hop3_runtimes::names::{AppName, NameError, ReleaseNumber};
pub use rehearsal::{Action, Exclusion, Explanation, Outcome, Rehearsal};
pub use release::{Release, ReleaseState};
pub use secret::Secret;
pub use time::Timestamp;
