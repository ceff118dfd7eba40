//! Waiting for the last requests of instances that are about to be stopped.

use std::net::SocketAddr;
use std::time::Duration;

use hop3_proxy::Endpoint;
use hop3_runtimes::instance::InstanceId;

use super::{Control, locked};

/// Between looks whether instances are still answering.
const TICK: Duration = Duration::from_millis(100);

impl Control {
    /// Waits until instances have no request in flight, at most `limit`. They must be retired and unpublished.
    pub(super) async fn drained(&self, ids: &[InstanceId], limit: Duration) {
        let addresses = self.fleet.addresses(ids);
        let mut quiet = 0;
        let waiting = async {
            // A request may have taken the old routes and not have chosen its instance yet, so one look is not enough.
            while quiet < 2 {
                tokio::time::sleep(TICK).await;
                quiet = if self.in_flight(&addresses) == 0 { quiet + 1 } else { 0 };
            }
        };
        let _over = tokio::time::timeout(limit, waiting).await;
    }

    /// Requests that the proxy is having answered at these addresses.
    fn in_flight(&self, addresses: &[SocketAddr]) -> usize {
        let proxy = locked(&self.proxy);
        let active = |proxy: &hop3_proxy::ProxyHandle| {
            addresses.iter().map(|address| proxy.active(&Endpoint::Tcp(*address))).sum()
        };
        proxy.as_ref().map_or(0, active)
    }
}
