//! From clients to their network: when many clients of one network were banned within a short time, all of it is.
//!
//! Networks are counted as clients are, in fixed memory, and banned for as long as the rules of the last client's app say.

use std::time::SystemTime;

use super::ban::{Ban, Reason};
use super::{Bans, since_epoch};

impl Bans {
    /// Counts a client's new ban against its network. The ban of the network, where it was one too many.
    pub(super) fn widen(&self, client: &Ban, rules: &super::BanRules, now: SystemTime) -> Option<Ban> {
        let settings = self.settings.load();
        let network = settings.network_of(&client.prefix)?;
        // Those who were banned earlier than a first ban lasts have served it.
        let part = 1.0 / f32::from(settings.network_after);
        if !self.networks.add(&network, part, rules.duration, since_epoch(now)) {
            return None;
        }
        if self.allowing(&network).is_some() {
            return None;
        }
        let ban = Ban { prefix: network, reason: Reason::Network, ..client.clone() };
        self.impose(ban, rules.duration, now)
    }
}
