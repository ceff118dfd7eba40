//! `[server.bans]`: what holds for the bans of all apps. When a client is banned is in `[waf.bans]`.

use std::time::Duration;

use hop3_proxy::{BanRules, BanSettings, Points, Prefix};
use hop3_runtimes::manifest::units::Span;
use hop3_runtimes::manifest::waf::{Bans, WafOptions};
use serde::Deserialize;

/// Most that `max-duration` may be: ten years, of 365¼ days as [`Span`] counts them.
const LONGEST: Duration = Duration::from_secs(10 * 31_557_600);

/// `[server.bans]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BansOptions {
    /// Addresses and networks that are never banned. Trusted proxies never are, whatever stands here.
    /// Default: `["127.0.0.0/8", "::1"]`.
    pub allow: Option<Vec<AllowedNetwork>>,
    /// The longest ban, and how long an ended one is remembered; at most 10 years. Default: 7 days.
    pub max_duration: Option<Span>,
    /// Bits of an IPv6 address that are one client, 32 to 128. Default: 64.
    pub ipv6_prefix: Option<u8>,
    /// How many clients of a network (an IPv4 /24, an IPv6 /48) must be banned within the length of a first ban for all
    /// of it to be; 0 for never, else at least 2. Default: 16.
    pub network_after: Option<u16>,
    /// Whether bans are also put into sets of nftables, so that the kernel drops what comes from there. Needs `nft` and
    /// the right to administer the network. Default: false.
    pub nftables: Option<bool>,
    /// `[server.bans.points]`.
    pub points: PointsOptions,
}

/// `[server.bans.points]` as written: what each offence counts; 0 for nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PointsOptions {
    /// A request that the firewall refused. Default: 1.
    pub firewall: Option<f32>,
    /// Credentials that were not accepted. Default: 1.
    pub authentication: Option<f32>,
    /// A request for what does not exist. Default: 0.1.
    pub not_found: Option<f32>,
    /// A request over the rate limit. Default: 0.2.
    pub rate_limit: Option<f32>,
    /// A request that is no HTTP. Default: 1.
    pub malformed: Option<f32>,
}

/// One entry of `allow`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct AllowedNetwork(Prefix);

impl TryFrom<String> for AllowedNetwork {
    type Error = hop3_proxy::PrefixError;

    fn try_from(text: String) -> Result<AllowedNetwork, Self::Error> {
        text.parse().map(AllowedNetwork)
    }
}

/// `[server.bans]` resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct BansSettings {
    /// For the proxy.
    pub proxy: BanSettings,
    /// Whether nftables is used.
    pub nftables: bool,
}

impl BansOptions {
    /// Its meaning, or what is wrong with it. `waf` holds the server's defaults of `[waf]`.
    pub(super) fn resolve(self, waf: &WafOptions) -> Result<BansSettings, String> {
        let ipv6_prefix = self.ipv6_prefix.unwrap_or(64);
        if !(32..=128).contains(&ipv6_prefix) {
            return Err(format!("`ipv6-prefix` must lie between 32 and 128, not {ipv6_prefix}"));
        }
        let network_after = self.network_after.unwrap_or(BanSettings::default().network_after);
        if network_after == 1 {
            return Err("`network-after` must be at least 2 banned clients, or 0 for never".to_owned());
        }
        let defaults = Points::default();
        let points = |written: Option<f32>, default: f32, key: &str| match written {
            None => Ok(default),
            Some(points) if points.is_finite() && points >= 0.0 => Ok(points),
            Some(points) => Err(format!("`points.{key}` must be 0 or more, not {points}")),
        };
        let points = Points {
            firewall: points(self.points.firewall, defaults.firewall, "firewall")?,
            authentication: points(self.points.authentication, defaults.authentication, "authentication")?,
            not_found: points(self.points.not_found, defaults.not_found, "not-found")?,
            rate_limit: points(self.points.rate_limit, defaults.rate_limit, "rate-limit")?,
            malformed: points(self.points.malformed, defaults.malformed, "malformed")?,
        };
        let allow = match self.allow {
            Some(allow) => allow.into_iter().map(|AllowedNetwork(network)| network).collect(),
            None => loopback(),
        };
        let unrouted = waf.resolve().ok().and_then(|waf| waf.bans).as_ref().map(ban_rules);
        let max_duration = self.max_duration.map_or(Duration::from_secs(7 * 24 * 3600), |span| span.0);
        if max_duration > LONGEST {
            return Err(format!("`max-duration` must be at most 10 years, not {}", Span(max_duration)));
        }
        let proxy = BanSettings { unrouted, points, max_duration, ipv6_prefix, network_after, allow };
        Ok(BansSettings { proxy, nftables: self.nftables.unwrap_or(false) })
    }
}

/// `[waf.bans]` as the proxy takes it.
pub fn ban_rules(bans: &Bans) -> BanRules {
    BanRules { threshold: bans.threshold, window: bans.window.0, duration: bans.duration.0 }
}

fn loopback() -> Vec<Prefix> {
    ["127.0.0.0/8", "::1"].iter().filter_map(|network| network.parse().ok()).collect()
}
