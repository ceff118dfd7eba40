//! `[server.listen]`: which addresses are opened.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Deserialize;
use serde::de::{self, Visitor};

/// `[server.listen]` as written. Each key takes a port (`8080`, on all IPv4 addresses), an address (`"[::]:443"`, which
/// covers IPv4 too where the system maps it), or `false`. Port 0 lets the system choose; the chosen port is printed and written to
/// `DATA/run/addresses.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ListenOptions {
    /// Plain HTTP. Default: 80 as root, else 8080.
    pub http: Option<Address>,
    /// HTTPS. Default: 443 as root, else 8443.
    pub https: Option<Address>,
    /// Metrics and health, on loopback unless an address says otherwise. Default: 9180.
    pub admin: Option<Address>,
}

/// What one key of [`ListenOptions`] holds.
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
}

impl ListenOptions {
    /// With the defaults for a process that may or may not bind low ports.
    pub fn resolve(&self, privileged: bool) -> Listeners {
        let (http, https) = if privileged { (80, 443) } else { (8080, 8443) };
        let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let resolve = |address: Option<Address>, port, host| match address.unwrap_or(Address::Port(port)) {
            Address::Off => None,
            Address::Port(port) => Some(SocketAddr::new(host, port)),
            Address::Socket(address) => Some(address),
        };
        Listeners {
            http: resolve(self.http, http, everywhere),
            https: resolve(self.https, https, everywhere),
            admin: resolve(self.admin, 9180, loopback),
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
