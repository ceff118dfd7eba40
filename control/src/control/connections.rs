//! How many connections to an address are open on this machine, as the kernel counts them (proc(5), `/proc/net/tcp`).
//!
//! The proxy keeps no idle connections to an instance that no published route names, so what is still open to a
//! replaced instance is requests in flight.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// State `ESTABLISHED` in the kernel's table.
const ESTABLISHED: &str = "01";

/// Open connections to any of `addresses`; `None` when the kernel does not tell. IPv4 only, as instances listen.
pub fn open_to(addresses: &HashSet<SocketAddr>) -> Option<usize> {
    if addresses.is_empty() {
        return Some(0);
    }
    let table = fs::read_to_string("/proc/self/net/tcp").ok()?;
    Some(count(&table, addresses))
}

fn count(table: &str, addresses: &HashSet<SocketAddr>) -> usize {
    let is_open = |line: &&str| {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let remote = fields.next().and_then(parse);
        fields.next() == Some(ESTABLISHED) && remote.is_some_and(|remote| addresses.contains(&remote))
    };
    table.lines().skip(1).filter(is_open).count()
}

/// An address such as `0100007F:1F90`: the bytes of the IP in this machine's order, the port in the network's.
fn parse(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip.to_ne_bytes())), port))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_are_counted_while_they_are_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = HashSet::from([listener.local_addr().unwrap()]);
        assert_eq!(open_to(&addresses), Some(0));
        let first = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let second = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(open_to(&addresses), Some(2));
        drop(first);
        assert_eq!(open_to(&addresses), Some(1));
        drop(second);
        assert_eq!(open_to(&addresses), Some(0));
        assert_eq!(open_to(&HashSet::new()), Some(0));
    }

    #[test]
    fn what_is_no_table_counts_nothing() {
        let addresses = HashSet::from(["127.0.0.1:80".parse().unwrap()]);
        for table in ["", "x", "head\n", "head\n 0: 1 2", "head\n 0: 0100007F:1 zz:50 01", "head\n\u{0}"] {
            assert_eq!(count(table, &addresses), 0, "{table:?}");
        }
        assert_eq!(
            count("head\n 0: 0100007F:0001 0100007F:0050 01 x", &addresses),
            usize::from(cfg!(target_endian = "little"))
        );
    }
}
