//! `[waf.rate-limit]` and `[proxy] rate-limit`: how many requests come through.

use serde::{Deserialize, Serialize};

use crate::manifest::units::Span;

/// `[waf.rate-limit]` and `[proxy] rate-limit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RateLimit {
    /// Requests per period and client.
    pub requests: u32,
    /// The period. Default: 1 second.
    #[serde(default = "one_second")]
    pub per: Span,
    /// Requests above the rate that are still let through at once. Default: 0.
    #[serde(default)]
    pub burst: u32,
    /// Whose requests are counted together. Default: `client`.
    #[serde(default)]
    pub key: RateLimitKey,
}

/// `key` of a rate limit: `client`, `header:NAME` or `all`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RateLimitKey {
    /// One address (one /64 network of IPv6).
    #[default]
    Client,
    /// One value of a request header field, e.g. of an API key.
    Header(String),
    /// Everybody.
    All,
}

impl TryFrom<String> for RateLimitKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        match (text.as_str(), text.split_once(':')) {
            ("client", _) => Ok(Self::Client),
            ("all", _) => Ok(Self::All),
            (_, Some(("header", name))) if is_name(name) => Ok(Self::Header(name.to_ascii_lowercase())),
            _ => Err(format!(
                "`{}` is no key of a rate limit: write `client`, `header:NAME` or `all`",
                text.escape_debug()
            )),
        }
    }
}

impl From<RateLimitKey> for String {
    fn from(key: RateLimitKey) -> Self {
        match key {
            RateLimitKey::Client => "client".to_owned(),
            RateLimitKey::Header(name) => format!("header:{name}"),
            RateLimitKey::All => "all".to_owned(),
        }
    }
}

fn one_second() -> Span {
    Span::seconds(1)
}
