//! Ports: whether they answer, whether they are free, whether we may bind low ones.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use hop3_proxy::Purpose;

use super::Finding;

/// How long a connection may take on this machine.
const LIMIT: Duration = Duration::from_secs(3);
/// The capability that low ports need (capabilities(7)).
const CAP_NET_BIND_SERVICE: u32 = 10;

/// A listener of a running server: whether it can be connected to. `purpose` is e.g. `http`.
pub fn answering(purpose: &str, address: SocketAddr) -> Finding {
    match TcpStream::connect_timeout(&reachable(address), LIMIT) {
        Ok(_) => Finding::ok("ports", format!("{purpose} answers on {address}")),
        Err(error) => Finding::fail("ports", format!("{purpose} does not answer on {address}"))
            .cause(error.to_string())
            .hint("look for the server's own words: journalctl -u hop3, or its stderr"),
    }
}

/// A purpose in the words of `[server.listen]`.
pub fn word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Http => "http",
        Purpose::Https => "https",
        Purpose::Admin => "admin",
    }
}

/// An address that a server will want: whether it can be listened on.
pub fn free(purpose: &str, address: SocketAddr) -> Finding {
    judge(purpose, address, TcpListener::bind(address).map(drop))
}

fn judge(purpose: &str, address: SocketAddr, bound: io::Result<()>) -> Finding {
    let Err(error) = bound else {
        return Finding::ok("ports", format!("{address} is free for {purpose}"));
    };
    let finding =
        Finding::fail("ports", format!("{purpose} cannot listen on {address}")).cause(error.to_string());
    match error.kind() {
        ErrorKind::AddrInUse => finding.hint(format!(
            "another program has the port: `ss -ltnp 'sport = :{}'` names it; stop it, or choose another port",
            address.port()
        )),
        ErrorKind::PermissionDenied => finding.hint(MAY_BIND),
        ErrorKind::AddrNotAvailable => finding.hint("no interface of this machine has the address; correct it in [server.listen]"),
        _ => finding.hint("correct the address in [server.listen]"),
    }
}

const MAY_BIND: &str = "start it as root, with AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or run \
    `setcap cap_net_bind_service=+ep $(which hop3)`";

/// What decides about ports below 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowPorts {
    /// Whether the process has the capability.
    pub capable: bool,
    /// The first port that everybody may bind (`net.ipv4.ip_unprivileged_port_start`).
    pub first_open: u16,
}

impl LowPorts {
    /// Of the server's process if it runs, else of this one.
    pub fn look(server: Option<u32>) -> LowPorts {
        let process = server.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
        LowPorts { capable: is_capable(&status), first_open: first.trim().parse().unwrap_or(1024) }
    }

    /// What that means for a server that wants `ports`.
    pub fn finding(self, ports: &[u16]) -> Finding {
        if self.capable || self.first_open <= 80 {
            return Finding::ok("permissions", "ports 80 and 443 may be bound");
        }
        let wanted = ports.iter().any(|port| *port != 0 && *port < self.first_open);
        let finding = if wanted {
            Finding::fail("permissions", "the ports in [server.listen] may not be bound")
        } else {
            Finding::warn("permissions", "ports 80 and 443 may not be bound")
        };
        finding.cause(format!("ports below {} need CAP_NET_BIND_SERVICE", self.first_open)).hint(MAY_BIND)
    }
}

/// Whether `CapEff` of `/proc/PID/status` has the capability.
fn is_capable(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    bits.is_some_and(|bits| bits & (1 << CAP_NET_BIND_SERVICE) != 0)
}

/// The address under which a listener is reached from this machine.
pub fn reachable(listener: SocketAddr) -> SocketAddr {
    let loopback: std::net::IpAddr = match listener {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    if listener.ip().is_unspecified() { SocketAddr::new(loopback, listener.port()) } else { listener }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn taken_free_and_forbidden_ports_are_told_apart() {
        let port = hop3_runtimes::ports::free_port().unwrap();
        let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(answering("http", address).state, State::Ok);
        let finding = free("http", address);
        assert_eq!(finding.state, State::Fail);
        assert!(finding.hint.unwrap().contains(&format!("sport = :{}", address.port())));
        drop(taken);
        assert_eq!(free("http", address).state, State::Ok);
        assert_eq!(answering("http", address).state, State::Fail);
        let forbidden = judge("http", address, Err(ErrorKind::PermissionDenied.into()));
        assert!(forbidden.hint.unwrap().contains("CAP_NET_BIND_SERVICE"));
    }

    #[test]
    fn low_ports_need_a_capability_or_an_open_range() {
        assert!(is_capable("Name:\thop3\nCapEff:\t000001ffffffffff\n"));
        assert!(is_capable("CapEff:\t0000000000000400\n"));
        assert!(!is_capable("CapEff:\t0000000000000000\n") && !is_capable(""));
        let low = |capable, first_open| LowPorts { capable, first_open };
        assert_eq!(low(true, 1024).finding(&[80]).state, State::Ok);
        assert_eq!(low(false, 80).finding(&[80]).state, State::Ok);
        assert_eq!(low(false, 1024).finding(&[8080, 0]).state, State::Warn);
        assert_eq!(low(false, 1024).finding(&[443]).state, State::Fail);
    }
}
