//! `@ipMatch` and `@ipMatchFromFile`: addresses and networks (CIDR, RFC 4632, RFC 4291).

use std::net::IpAddr;

/// A set of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Networks {
    /// Disjoint ranges in ascending order, IPv4 as mapped IPv6 addresses.
    ranges: Vec<(u128, u128)>,
}

impl Networks {
    /// Reads `192.0.2.1,10.0.0.0/8,2001:db8::/32`; the error is the part that is no network.
    pub(crate) fn parse_list(text: &str) -> Result<Self, String> {
        Self::collect(text.split([',', ' ', '\t']))
    }

    /// Reads a file with one network a line; `#` starts a comment.
    pub(crate) fn parse_file(contents: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(contents);
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        Self::collect(lines.flat_map(|line| line.split([',', ' ', '\t'])))
    }

    /// The networks of both.
    pub(crate) fn join(self, other: Self) -> Self {
        Self::of([self.ranges, other.ranges].concat())
    }

    /// Whether the value is an address of one of the networks.
    pub(crate) fn contain(&self, value: &[u8]) -> bool {
        let Some(address) = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()) else {
            return false;
        };
        let address = bits(address);
        let after = self.ranges.partition_point(|&(first, _)| first <= address);
        after > 0 && self.ranges[after - 1].1 >= address
    }

    fn collect<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let parts = parts.map(str::trim).filter(|part| !part.is_empty());
        let ranges = parts.map(|part| network(part).ok_or_else(|| part.to_owned()));
        Ok(Self::of(ranges.collect::<Result<_, _>>()?))
    }

    fn of(mut ranges: Vec<(u128, u128)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(previous) if first <= previous.1 => previous.1 = previous.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self { ranges: joined }
    }
}

/// First and last address of `ADDRESS` or `ADDRESS/PREFIX`.
fn network(text: &str) -> Option<(u128, u128)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => prefix.parse::<u32>().ok().filter(|&prefix| prefix <= width)?,
        None => width,
    };
    let hosts = match width - prefix {
        128 => u128::MAX,
        bits => (1 << bits) - 1,
    };
    let first = bits(address) & !hosts;
    Some((first, first | hosts))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .to_bits()
}

#[cfg(test)]
mod tests {
    use super::Networks;

    #[test]
    fn addresses_and_networks() {
        let networks = Networks::parse_list("192.0.2.1, 10.0.0.0/8,2001:db8::/32").unwrap();
        for inside in ["192.0.2.1", "10.255.0.1", "2001:db8::1", "::ffff:10.0.0.1"] {
            assert!(networks.contain(inside.as_bytes()), "{inside}");
        }
        for outside in ["192.0.2.2", "11.0.0.1", "2001:db9::1", "", "10.0.0", "::1"] {
            assert!(!networks.contain(outside.as_bytes()), "{outside}");
        }
        assert_eq!(Networks::parse_list("10.0.0.0/33"), Err("10.0.0.0/33".into()));
        assert!(Networks::parse_list("0.0.0.0/0").unwrap().contain(b"1.2.3.4"));
        let file = Networks::parse_file(b"# all\n127.0.0.1 # me\r\n\n::1\n").unwrap();
        assert!(file.contain(b"::1") && file.contain(b"127.0.0.1"));
    }
}
