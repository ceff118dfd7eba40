//! The maintenance page.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::prefix::Prefix;

/// Everybody gets 503, except those who look after the app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// HTML to show; none for the ordinary page of a 503.
    pub page: Option<Bytes>,
    /// When clients should come again.
    pub retry_after: Option<Duration>,
    /// Networks that reach the app nevertheless.
    pub allow: Vec<Prefix>,
}

impl Maintenance {
    /// Whether this client reaches the app.
    pub fn lets_through(&self, client: IpAddr) -> bool {
        self.allow.iter().any(|network| network.holds(client))
    }
}
