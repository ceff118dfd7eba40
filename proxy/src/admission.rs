//! How many connections each client has open, so that one address cannot take them all.

use std::net::IpAddr;
use std::sync::Arc;

use crate::counts::{Counted, Counts};

/// Counts open connections by client.
#[derive(Debug)]
pub struct Admission {
    /// Most for one client; 0 for any number.
    per_client: usize,
    counts: Arc<Counts>,
}

/// A connection that was let in; dropping it makes room for another.
#[derive(Debug)]
pub struct Admitted(#[expect(dead_code, reason = "held, not looked at")] Option<Counted>);

impl Admission {
    /// Lets in this many connections of one client.
    pub fn new(per_client: usize) -> Self {
        Self { per_client, counts: Arc::default() }
    }

    /// Counts a connection; `None` when the client has too many already.
    pub fn admit(&self, client: IpAddr) -> Option<Admitted> {
        if self.per_client == 0 {
            return Some(Admitted(None));
        }
        let counted = self.counts.add(client, 1, |open| open < self.per_client)?;
        Some(Admitted(Some(counted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_gets_its_share() {
        let admission = Admission::new(2);
        let admit = |address: &str| admission.admit(address.parse().unwrap());
        let (first, second) = (admit("10.0.0.1").unwrap(), admit("::ffff:10.0.0.1").unwrap());
        assert!(admit("10.0.0.1").is_none());
        assert!(admit("10.0.0.2").is_some());
        drop(first);
        let again = admit("10.0.0.1").unwrap();
        assert!(admit("10.0.0.1").is_none());
        drop((second, again));
        assert!((0..100).all(|_| Admission::new(0).admit("10.0.0.1".parse().unwrap()).is_some()));
    }
}
