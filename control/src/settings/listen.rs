//! `[server.listen]`: which addresses are opened.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

use hop3_proxy::{ListenConfig, Purpose};
use serde::Deserialize;
use serde::de::{self, Visitor};

/// `[server.listen]` as written. Each key takes a port (`8080`, on all IPv4 addresses), an address (`"[::]:443"`, which
/// covers IPv4 too where the system maps it and no IPv4 address with its port is given), a list of these, or `false`. Port 0 lets the system choose; the chosen port is printed and written to
/// `DATA/run/addresses.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ListenOptions {
    /// Plain HTTP. Default: 80 as root or with `CAP_NET_BIND_SERVICE`, else 8080.
    pub http: Option<AddressList>,
    /// HTTPS. Default: 443 as root or with `CAP_NET_BIND_SERVICE`, else 8443.
    pub https: Option<AddressList>,
    /// The port of HTTPS in the URLs that clients use, where a router or a container translates it. Default: that of
    /// `https`.
    pub public_https: Option<toml::Spanned<NonZeroU16>>,
    /// Metrics and health, on loopback unless an address says otherwise. Default: 9180.
    pub admin: Option<AddressList>,
}

/// What one key of [`ListenOptions`] holds: one value, or several in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressList(pub Vec<Address>);

/// One value of a key of [`ListenOptions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// `false`.
    Off,
    /// A port on the key's default host.
    Port(u16),
    /// A full address.
    Socket(SocketAddr),
}

/// `[server.listen]` resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners {
    /// Plain HTTP; `None` when switched off.
    pub http: Option<SocketAddr>,
    /// HTTPS; `None` when switched off.
    pub https: Option<SocketAddr>,
    /// Metrics and health; `None` when switched off.
    pub admin: Option<SocketAddr>,
    /// The second and further addresses of each key.
    pub further: Vec<(Purpose, SocketAddr)>,
    /// The port of HTTPS in the URLs that clients use, if it is not that of `https`.
    pub public_https: Option<u16>,
}

/// Set for a process whose predecessor was allowed to open ports below 1024.
pub const LOW_PORTS: &str = "HOP3_LOW_PORTS";

/// Whether this process may open ports below 1024, or was started by one that has opened them: as root, or with
/// `CAP_NET_BIND_SERVICE`.
pub fn low_ports_allowed() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    let capable =
        || capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_BIND_SERVICE));
    std::env::var_os(LOW_PORTS).is_some() || rustix::process::geteuid().is_root() || capable()
}

impl Listeners {
    /// The same as the proxy wants it.
    pub fn config(&self) -> ListenConfig {
        let Listeners { http, https, admin, further, .. } = self.clone();
        ListenConfig { http, https, admin, further }
    }
}

impl ListenOptions {
    /// With the defaults for a process that may or may not bind low ports.
    pub fn resolve(&self, privileged: bool) -> Listeners {
        let (http, https) = if privileged { (80, 443) } else { (8080, 8443) };
        let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut further = Vec::new();
        let mut resolve = |list: &Option<AddressList>, purpose, port, host| {
            let default = [Address::Port(port)];
            let written = list.as_ref().map_or(&default[..], |list| &list.0);
            let mut addresses = written.iter().filter_map(|address| match address {
                Address::Off => None,
                Address::Port(port) => Some(SocketAddr::new(host, *port)),
                Address::Socket(address) => Some(*address),
            });
            let first = addresses.next();
            further.extend(addresses.map(|address| (purpose, address)));
            first
        };
        Listeners {
            http: resolve(&self.http, Purpose::Http, http, everywhere),
            https: resolve(&self.https, Purpose::Https, https, everywhere),
            admin: resolve(&self.admin, Purpose::Admin, 9180, loopback),
            further,
            public_https: self.public_https.as_ref().map(|port| port.get_ref().get()),
        }
    }
}

impl Address {
    fn from_integer(number: i64) -> Result<Address, String> {
        u16::try_from(number).map(Address::Port).map_err(|_| format!("{number} is not a port: 0 to 65535"))
    }

    fn from_text(text: &str) -> Result<Address, String> {
        let digits = text.strip_prefix(':').unwrap_or(text);
        if let Ok(port) = digits.parse() {
            return Ok(Address::Port(port));
        }
        text.parse().map(Address::Socket).map_err(|_| {
            format!("`{text}` is not an address: write 8080, \"127.0.0.1:8080\" or \"[::]:8080\"")
        })
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        deserializer.deserialize_any(AddressVisitor)
    }
}

impl<'de> Deserialize<'de> for AddressList {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<AddressList, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = AddressList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port, an address, a list of these, or false")
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<AddressList, E> {
        AddressVisitor.visit_bool(on).map(|address| AddressList(vec![address]))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<AddressList, E> {
        AddressVisitor.visit_i64(number).map(|address| AddressList(vec![address]))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<AddressList, E> {
        AddressVisitor.visit_str(text).map(|address| AddressList(vec![address]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut written: A) -> Result<AddressList, A::Error> {
        let mut addresses = Vec::new();
        while let Some(address) = written.next_element()? {
            if address == Address::Off {
                return Err(de::Error::custom("`false` switches a listener off and cannot stand in a list"));
            }
            addresses.push(address);
        }
        if addresses.is_empty() {
            return Err(de::Error::custom("an empty list; write `false` to switch the listener off"));
        }
        Ok(AddressList(addresses))
    }
}

struct AddressVisitor;

impl Visitor<'_> for AddressVisitor {
    type Value = Address;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port, an address, or false")
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<Address, E> {
        if on { Err(E::invalid_value(de::Unexpected::Bool(true), &self)) } else { Ok(Address::Off) }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Address, E> {
        Address::from_integer(number).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
        Address::from_text(text).map_err(E::custom)
    }
}
