//! Hosts as routes name them, and what is found by them.

use std::collections::HashMap;
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

/// Values by host pattern.
#[derive(Clone, Debug)]
pub(crate) struct ByHost<T> {
    exact: HashMap<Arc<str>, T>,
    wildcard: HashMap<Arc<str>, T>,
    any: Option<T>,
}

impl<T> Default for ByHost<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new(), any: None }
    }
}

impl<T> ByHost<T> {
    /// The value of a host (lower case): of the pattern that is just it, else of the nearest wildcard above it, else of
    /// `*`.
    pub(crate) fn find(&self, host: &str) -> Option<&T> {
        if let Some(found) = self.exact.get(host) {
            return Some(found);
        }
        let mut rest = host;
        while let Some((_, domain)) = rest.split_once('.') {
            if let Some(found) = self.wildcard.get(domain) {
                return Some(found);
            }
            rest = domain;
        }
        self.any.as_ref()
    }

    /// The value of exactly this pattern.
    pub(crate) fn get(&self, pattern: &HostPattern) -> Option<&T> {
        match pattern {
            HostPattern::Exact(host) => self.exact.get(host),
            HostPattern::Wildcard(domain) => self.wildcard.get(domain),
            HostPattern::Any => self.any.as_ref(),
        }
    }

    /// The value of exactly this pattern, a new one where there is none.
    pub(crate) fn entry(&mut self, pattern: &HostPattern) -> &mut T
    where
        T: Default,
    {
        match pattern {
            HostPattern::Exact(host) => self.exact.entry(host.clone()).or_default(),
            HostPattern::Wildcard(domain) => self.wildcard.entry(domain.clone()).or_default(),
            HostPattern::Any => self.any.get_or_insert_default(),
        }
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.exact.values().chain(self.wildcard.values()).chain(&self.any)
    }

    /// Other values under the same patterns.
    pub(crate) fn map<U>(self, mut make: impl FnMut(HostPattern, T) -> U) -> ByHost<U> {
        let exact = self.exact.into_iter();
        let exact =
            exact.map(|(host, value)| (host.clone(), make(HostPattern::Exact(host), value))).collect();
        let wildcard = self.wildcard.into_iter();
        let wildcard = wildcard
            .map(|(domain, value)| (domain.clone(), make(HostPattern::Wildcard(domain), value)))
            .collect();
        ByHost { exact, wildcard, any: self.any.map(|value| make(HostPattern::Any, value)) }
    }
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

    #[test]
    fn the_most_specific_pattern_is_found() {
        let mut names = ByHost::<&str>::default();
        assert_eq!((names.find("a.org"), names.values().count()), (None, 0));
        for name in ["a.org", "*.a.org", "*.b.a.org", "*"] {
            *names.entry(&name.parse().unwrap()) = name;
        }
        let cases = [
            ("a.org", "a.org"),
            ("c.a.org", "*.a.org"),
            ("b.a.org", "*.a.org"),
            ("d.c.b.a.org", "*.b.a.org"),
            ("org", "*"),
        ];
        for (host, expected) in cases {
            assert_eq!(names.find(host), Some(&expected), "{host}");
        }
        assert_eq!(names.get(&"c.a.org".parse().unwrap()), None);
        let lengths = names.map(|pattern, name| {
            assert_eq!(pattern.to_string(), name);
            name.len()
        });
        assert_eq!((lengths.find("x.a.org"), lengths.values().sum::<usize>()), (Some(&7), 5 + 7 + 9 + 1));
    }
}
