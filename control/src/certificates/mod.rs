//! The certificates of apps and static routes: ordered from an ACME authority, renewed, imported, kept.
//!
//! **One certificate holds all names of an app.** An authority counts orders and certificates, so one per name would
//! reach its limits ten times sooner; and an app is what users renew, import and read about. The price, that one
//! name could hold up the others, is not paid: a name that cannot be proved is left out and tried again by
//! itself ([`schedule`]).
//!
//! Where several apps serve parts of one host, the certificate is that of the one with the shortest path: its `[tls]`
//! counts, it orders, the others are shown with it.
//!
//! - [`holding`]: what is remembered of one owner, sealed in the store
//! - [`pem_chain`]: a chain, and what its certificate says
//! - [`schedule`], [`limits`], [`names`]: what to do when, as functions of the time
//! - [`keeper`]: does it; one task, woken by changes and by the clock
//! - [`authority`], [`ordering`], [`failed`], [`https`]: speaking ACME (RFC 8555), renewal information (RFC 9773)
//! - [`proof`], [`dns`]: http-01, tls-alpn-01, dns-01
//! - [`import`]: certificates from elsewhere
//! - [`report`]: how it all looks to the operator
//!
//! The proxy asks [`Shelf`] for the certificate of a host when routes are published; it never waits for an authority.

mod authority;
mod dns;
mod failed;
pub mod holding;
mod https;
pub mod import;
mod keeper;
mod limits;
mod names;
mod ordering;
mod pem_chain;
mod proof;
pub mod report;
pub mod schedule;
mod shelf;

pub use keeper::{Keeper, Notice, Wanted};
pub use shelf::Shelf;
