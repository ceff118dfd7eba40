//! Networks in CIDR notation: whom a rule, a ban or trust is about. Each has one spelling.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Bits before an IPv4 address in its IPv4-mapped IPv6 form (RFC 4291 section 2.5.5.2).
const MAPPED: u8 = 96;

/// An address or network in CIDR notation; bits behind the prefix are zero.
///
/// IPv4 is kept in its mapped form, so that both families are one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    bits: [u8; 16],
    length: u8,
}

/// Why a text is no address or network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address or network; write 192.0.2.7, 192.0.2.0/24, 2001:db8::1 or 2001:db8::/48")]
pub struct PrefixError(String);

impl Prefix {
    /// Bits of IPv6 that one customer is given at least (RFC 6177).
    pub const CUSTOMER: u8 = 64;

    /// The network of `length` bits around an address; `None` when the family has no so long prefix. An IPv4-mapped
    /// address counts as IPv4.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(address) if length <= 32 => Some(Self::masked(mapped(address), MAPPED + length)),
            IpAddr::V6(address) if length <= 128 => Some(Self::masked(address.to_bits(), length)),
            _ => None,
        }
    }

    /// Exactly this address.
    pub fn host(address: IpAddr) -> Self {
        Self::masked(bits_of(address), 128)
    }

    /// The client that an address stands for: an IPv4 address, or the network of `ipv6_length` bits that one IPv6
    /// customer is given.
    pub fn client(address: IpAddr, ipv6_length: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::masked(mapped(address), 128),
            IpAddr::V6(address) => Self::masked(address.to_bits(), ipv6_length.min(128)),
        }
    }

    /// [`Prefix::client`] with the 64 bits that a customer is given at least.
    pub fn customer(address: IpAddr) -> Self {
        Self::client(address, Self::CUSTOMER)
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        let address = Ipv6Addr::from(self.bits);
        match address.to_ipv4_mapped() {
            Some(address) if self.length >= MAPPED => IpAddr::V4(address),
            _ => IpAddr::V6(address),
        }
    }

    /// How many bits of [`Prefix::address`] count: 0 to 32, or to 128.
    pub fn length(&self) -> u8 {
        if self.is_ipv4() { self.length - MAPPED } else { self.length }
    }

    /// Whether it is of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.address().is_ipv4()
    }

    /// Whether it is one address only.
    pub const fn is_host(&self) -> bool {
        self.length == 128
    }

    /// Whether the address lies in it. IPv4-mapped addresses count as IPv4.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.contains(&Self::host(address))
    }

    /// Whether all of `other` lies in it. Networks of IPv6 hold no IPv4.
    pub fn contains(&self, other: &Self) -> bool {
        self.length <= other.length && self.is_ipv4() == other.is_ipv4() && {
            let mask = mask(self.length);
            u128::from_be_bytes(self.bits) == u128::from_be_bytes(other.bits) & mask
        }
    }

    /// The key that `address` has among prefixes of `length` bits, counted as in [`Prefix::raw_length`].
    pub(crate) fn around(address: IpAddr, length: u8) -> Self {
        Self::masked(bits_of(address), length)
    }

    /// Bits of the key, 0 to 128: those of an IPv4 prefix begin at 96.
    pub(crate) const fn raw_length(&self) -> u8 {
        self.length
    }

    fn masked(bits: u128, length: u8) -> Self {
        Self { bits: (bits & mask(length)).to_be_bytes(), length }
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

fn mapped(address: Ipv4Addr) -> u128 {
    address.to_ipv6_mapped().to_bits()
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => mapped(address),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_host() {
            true => write!(f, "{}", self.address()),
            false => write!(f, "{}/{}", self.address(), self.length()),
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let Some((address, length)) = text.split_once('/') else {
                return Some(Self::host(text.parse::<IpAddr>().ok()?.to_canonical()));
            };
            let (address, length) = (address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
            match address {
                // `::ffff:10.0.0.0/104` is 10.0.0.0/8.
                IpAddr::V6(six) if six.to_ipv4_mapped().is_some() && length >= MAPPED => {
                    Self::new(address, length - MAPPED)
                }
                IpAddr::V6(six) if length <= 128 => Some(Self::masked(six.to_bits(), length)),
                address => Self::new(address, length),
            }
        };
        parsed().ok_or_else(|| PrefixError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn every_network_has_one_spelling() {
        let cases = [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("2001:DB8::1", "2001:db8::1"),
            ("2001:db8:0:0:1::/64", "2001:db8::/64"),
            ("::/0", "::/0"),
        ];
        for (written, shown) in cases {
            assert_eq!(prefix(written).to_string(), shown, "{written}");
            assert_eq!(prefix(shown), prefix(written));
        }
        for bad in ["", "x", "10.0.0.0/33", "::/129", "10.0.0/8", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4 "] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_holds_what_lies_in_it_and_nothing_of_the_other_family() {
        let cases = [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "10.0.0.0/7", false),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::/32", true),
            ("::/0", "8.8.8.8", false),
            ("2001:db8::/64", "2001:db8::ffff", true),
            ("2001:db8::/64", "2001:db8:0:1::", false),
        ];
        for (network, other, inside) in cases {
            assert_eq!(prefix(network).contains(&prefix(other)), inside, "{network} {other}");
        }
        // However it is written, a network of IPv4 holds addresses of IPv4.
        for network in ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:a00:1"] {
            for address in ["10.0.0.1", "::ffff:10.0.0.1"] {
                assert!(prefix(network).holds(address.parse().unwrap()), "{network} {address}");
            }
            assert!(!prefix(network).holds("::a00:1".parse().unwrap()), "{network}");
        }
        assert!(!prefix("::/0").holds("::ffff:10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_client_is_an_address_or_the_network_of_one_customer() {
        let client = |text: &str, length| Prefix::client(text.parse().unwrap(), length).to_string();
        assert_eq!(client("192.0.2.7", 64), "192.0.2.7");
        assert_eq!(client("::ffff:192.0.2.7", 64), "192.0.2.7");
        assert_eq!(client("2001:db8::1", 64), "2001:db8::/64");
        assert_eq!(client("2001:db8:1:2::1", 48), "2001:db8:1::/48");
        assert_eq!(Prefix::new("10.0.0.1".parse().unwrap(), 33), None);
    }
}
