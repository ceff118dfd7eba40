//! Hosts as routes name them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::http1::target::host_of;

/// A host that a route answers for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Exactly this host, in lower case.
    Exact(Arc<str>),
    /// Every host below this domain (`*.example.org` holds `example.org`), at any depth, without the domain itself.
    Wildcard(Arc<str>),
    /// Every host that no other route names.
    Any,
}

/// Why a text is no host pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host; write a name, `*.name`, an address, or `*`")]
pub struct HostPatternError(String);

impl std::str::FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host = |name: &str| {
            let legal = host_of(name.as_bytes()).filter(|_| !name.ends_with(':') && !has_port(name));
            legal.map(Arc::from).ok_or_else(|| HostPatternError(text.to_owned()))
        };
        match text.strip_prefix("*.") {
            _ if text == "*" => Ok(Self::Any),
            Some(domain) => host(domain).map(Self::Wildcard),
            None => host(text).map(Self::Exact),
        }
    }
}

impl HostPattern {
    /// Whether TLS clients may reach it without naming it (RFC 6066 section 3: addresses are no server names).
    pub(crate) fn is_nameless(&self) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(host) => is_address(host),
            Self::Wildcard(_) => false,
        }
    }
}

fn has_port(name: &str) -> bool {
    name.rsplit_once(']').map_or(name, |(_, after)| after).contains(':')
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(host) => write!(out, "{host}"),
            Self::Wildcard(domain) => write!(out, "*.{domain}"),
            Self::Any => write!(out, "*"),
        }
    }
}

/// Whether a host is an IPv4 or IPv6 address, as it is written in a URL.
pub fn is_address(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.map_or_else(|| host.parse::<Ipv4Addr>().is_ok(), |inner| inner.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_patterns() {
        assert_eq!("Example.org".parse(), Ok(HostPattern::Exact("example.org".into())));
        assert_eq!("*.Example.org".parse(), Ok(HostPattern::Wildcard("example.org".into())));
        assert_eq!("*".parse(), Ok(HostPattern::Any));
        assert_eq!("[::1]".parse(), Ok(HostPattern::Exact("[::1]".into())));
        for bad in ["", "*.", "a b", "a:80", "[::1]:80", "**", "a.*", "*.*.a", "http://a", "a/b", "a:"] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_no_names() {
        for (host, address) in [
            ("10.0.0.1", true),
            ("[::1]", true),
            ("[::ffff:10.0.0.1]", true),
            ("::1", false),
            ("[10.0.0.1]", false),
            ("10.0.0", false),
            ("10.0.0.1.example.org", false),
            ("a.org", false),
            ("*", false),
        ] {
            assert_eq!(is_address(host), address, "{host}");
        }
    }
}
