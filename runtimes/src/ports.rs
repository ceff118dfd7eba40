//! Free TCP ports on loopback for instances.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// Ports that are handed out: below those that the kernel gives to outgoing connections and to whoever asks for any
/// (`net.ipv4.ip_local_port_range`, from 32768 on).
const RANGE: Range<u16> = 10_240..32_000;

/// A port that was free a moment ago, and that this process hands out to nobody else soon.
///
/// Another program may take it before the app binds it. That race cannot be closed without passing the socket
/// itself, which most frameworks do not take; the supervisor therefore starts again with another port when an
/// instance ends and its port is somebody else's.
///
/// # Errors
/// When no port can be bound.
pub fn free_port() -> io::Result<u16> {
    static TURN: AtomicU32 = AtomicU32::new(0);
    // Processes begin at places far from each other (Fibonacci hashing).
    let start = std::process::id().wrapping_mul(0x9E37_79B1) >> 8;
    let count = u32::from(RANGE.end - RANGE.start);
    for _ in 0..count {
        let turn = start.wrapping_add(TURN.fetch_add(1, Ordering::Relaxed)) % count;
        // Smaller than the length of a range of 16 bits.
        let port = RANGE.start + turn as u16;
        if is_free(port) {
            return Ok(port);
        }
    }
    Ok(TcpListener::bind(loopback(0))?.local_addr()?.port())
}

/// Whether nobody listens on this port of loopback.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether somebody has this port of loopback.
#[must_use]
pub fn is_taken(port: u16) -> bool {
    TcpListener::bind(loopback(port)).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// The address that an instance with this port is reached at.
#[must_use]
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_ports_are_not_free() {
        let port = free_port().unwrap();
        assert!(is_free(port));
        let _held = TcpListener::bind(loopback(port)).unwrap();
        assert!(!is_free(port) && is_taken(port));
    }

    #[test]
    fn no_port_is_handed_out_twice_soon() {
        let ports: std::collections::BTreeSet<u16> = (0..100).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 100);
        assert!(ports.iter().all(|port| RANGE.contains(port)), "{ports:?}");
    }
}
