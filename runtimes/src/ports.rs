//! Free TCP ports on loopback for instances.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A port that was free a moment ago: the kernel picks one, we release it at once.
///
/// Another program may take it before the app binds it. That race cannot be closed without passing the socket
/// itself, which most frameworks do not take; the supervisor therefore starts again with another port when an
/// instance dies on its first breath.
///
/// # Errors
/// When no port can be bound.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether nobody listens on this port of loopback.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
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
        assert!(!is_free(port));
    }
}
