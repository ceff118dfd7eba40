//! What is known before the first byte of a request: its id and the connection.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use hop3_seclang::ast::Variable;

use crate::state::State;
use crate::text::push_decimal;

/// The longest text of an address: eight groups, or six and an IPv4 address.
const LONGEST_ADDRESS: usize = 45;

impl State {
    /// Sets the variables of the two ends, addresses in canonical form.
    pub(crate) fn set_connection(&mut self, id: &str, client: SocketAddr, server: SocketAddr) {
        use Variable as V;
        self.set(V::UniqueId, id.as_bytes());
        let address = self.texts.add_with(LONGEST_ADDRESS, |out| write_address(client.ip(), out));
        self.scalars.set(V::RemoteAddr, address);
        self.scalars.set(V::RemoteHost, address);
        self.set_number(V::RemotePort, client.port().into());
        let address = self.texts.add_with(LONGEST_ADDRESS, |out| write_address(server.ip(), out));
        self.scalars.set(V::ServerAddr, address);
        self.set_number(V::ServerPort, server.port().into());
    }
}

/// As the standard library writes it, but quickly for IPv4.
fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                push_decimal(octet.into(), out);
            }
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for text in ["0.0.0.0", "127.0.0.1", "255.254.100.9", "::", "2001:db8::1:0:0", "::ffff:1.2.3.4"] {
            let address: IpAddr = text.parse().unwrap();
            let mut out = Vec::new();
            write_address(address, &mut out);
            assert_eq!(out, address.to_canonical().to_string().as_bytes());
            assert!(out.len() <= LONGEST_ADDRESS);
        }
    }
}
