//! What a service manager gives and wants to hear: sockets that listen already (`LISTEN_FDS`, sd_listen_fds(3)), and how
//! we are (`NOTIFY_SOCKET`, sd_notify(3)).

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;

use hop3_proxy::Purpose;
use listenfd::ListenFd;

use super::passed::{PassedSocket, Role};

/// The listening TCP sockets that the service manager passed; none when it passed none. Those named `http`, `https` or
/// `admin` (`FileDescriptorName=`) are for that, the others for whatever is configured for their address.
pub fn inherited() -> Vec<PassedSocket> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        let role = match names.get(index) {
            Some(&"http") => Role::All(Purpose::Http),
            Some(&"https") => Role::All(Purpose::Https),
            Some(&"admin") => Role::All(Purpose::Admin),
            _ => Role::ByAddress,
        };
        match passed.take_tcp_listener(index) {
            Ok(Some(socket)) => sockets.push(PassedSocket { socket: Arc::new(socket), role }),
            Ok(None) => {}
            Err(error) => tracing::warn!(index, %error, "a passed descriptor is no listening TCP socket"),
        }
    }
    sockets
}

/// Tells the service manager, if there is one that wants to hear: `READY=1`, `STOPPING=1`, `RELOADING=1`, `MAINPID=…`,
/// several separated by line ends.
pub fn notify(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let bytes = path.as_encoded_bytes();
    let address = match bytes.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, state, "the service manager cannot be told");
    }
}

/// Tells it that the configuration is read again; `READY=1` ends that.
pub fn notify_reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1000));
}
