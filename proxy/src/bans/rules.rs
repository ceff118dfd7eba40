//! When somebody is banned and for how long.

use std::time::Duration;

use super::ban::Offence;
use crate::prefix::Prefix;

/// Bits of the networks that are banned as a whole: what is routed apart on the internet, and what one site is given.
const IPV4_NETWORK: u8 = 24;
const IPV6_NETWORK: u8 = 48;

/// When offences lead to a ban. One app's, or those of requests that no app takes.
#[derive(Clone, Debug, PartialEq)]
pub struct BanRules {
    /// Points at which a client is banned; at least 1. One refused request is one point by default.
    pub threshold: u32,
    /// The time over which points are added up.
    pub window: Duration,
    /// How long the first ban lasts; each further one twice as long as the one before.
    pub duration: Duration,
}

impl Default for BanRules {
    fn default() -> Self {
        Self { threshold: 10, window: Duration::from_secs(600), duration: Duration::from_secs(3600) }
    }
}

/// What each offence counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Points {
    /// [`Offence::Firewall`].
    pub firewall: f32,
    /// [`Offence::Authentication`].
    pub authentication: f32,
    /// [`Offence::NotFound`]: dead links are no attack, a hundred of them are.
    pub not_found: f32,
    /// [`Offence::RateLimit`].
    pub rate_limit: f32,
    /// [`Offence::Malformed`].
    pub malformed: f32,
}

impl Default for Points {
    fn default() -> Self {
        Self { firewall: 1.0, authentication: 1.0, not_found: 0.1, rate_limit: 0.2, malformed: 1.0 }
    }
}

impl Points {
    /// What one offence counts.
    pub const fn of(&self, offence: Offence) -> f32 {
        match offence {
            Offence::Firewall => self.firewall,
            Offence::Authentication => self.authentication,
            Offence::NotFound => self.not_found,
            Offence::RateLimit => self.rate_limit,
            Offence::Malformed => self.malformed,
        }
    }
}

/// What holds for the whole server; replaced at once by [`super::Bans::configure`].
#[derive(Clone, Debug, PartialEq)]
pub struct BanSettings {
    /// For requests that no route takes and for what is no HTTP; `None` when they lead to no ban.
    pub unrouted: Option<BanRules>,
    /// What offences count.
    pub points: Points,
    /// The longest ban. Also how long an ended one is remembered.
    pub max_duration: Duration,
    /// Bits of an IPv6 address that are one client, 1 to 128.
    pub ipv6_prefix: u8,
    /// How many clients of a network (an IPv4 /24, an IPv6 /48) must be banned within the length of a first ban for all
    /// of it to be; 0 for never. Strangers share networks: the default is a sixteenth of a /24.
    pub network_after: u16,
    /// Never banned, besides trusted proxies.
    pub allow: Vec<Prefix>,
}

impl Default for BanSettings {
    fn default() -> Self {
        Self {
            unrouted: None,
            points: Points::default(),
            max_duration: Duration::from_secs(7 * 24 * 3600),
            ipv6_prefix: Prefix::CUSTOMER,
            network_after: 16,
            allow: Vec::new(),
        }
    }
}

impl BanSettings {
    /// The network that a client is counted against; `None` when networks are not banned, or the client is no smaller.
    pub(super) fn network_of(&self, client: &Prefix) -> Option<Prefix> {
        let length = if client.is_ipv4() { IPV4_NETWORK } else { IPV6_NETWORK };
        let counts = self.network_after > 0 && client.length() > length;
        Prefix::new(client.address(), length).filter(|_| counts)
    }

    /// How long the `count`th ban in a row lasts (from 1).
    pub fn duration(&self, first: Duration, count: u32) -> Duration {
        let doublings = count.saturating_sub(1).min(31);
        first.saturating_mul(1 << doublings).min(self.max_duration.max(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_double_up_to_the_longest() {
        let settings = BanSettings { max_duration: Duration::from_secs(1000), ..BanSettings::default() };
        let seconds = |count| settings.duration(Duration::from_secs(60), count).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, u32::MAX].map(seconds), [60, 120, 240, 480, 960, 1000, 1000]);
        let longer = settings.duration(Duration::from_secs(5000), 2);
        assert_eq!(longer, Duration::from_secs(5000), "what the app asks for is not cut");
    }
}
