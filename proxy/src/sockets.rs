//! Listening sockets: opened, or taken over from whoever started us, and handed on to whoever follows.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener as Socket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg, sockopt,
};
use tokio::net::{TcpListener, TcpSocket};

use crate::config::{ListenConfig, Purpose};
use crate::server::StartError;

/// Connections that the kernel keeps for us before we accept them.
const BACKLOG: u32 = 4096;
/// Most sockets that are handed over.
const MAX_HANDED: usize = 64;

/// The open sockets, each with what it is for.
#[derive(Debug, Default)]
pub struct Sockets {
    /// To accept from.
    pub listeners: Vec<(Purpose, TcpListener)>,
    /// Where they listen, with the ports that the system chose.
    pub addresses: ListenConfig,
}

impl Sockets {
    /// Opens all addresses; one that an inherited socket listens on already is taken from there.
    pub fn open(config: &ListenConfig, inherited: &[Arc<Socket>]) -> Result<Self, StartError> {
        let mut sockets = Self::default();
        let wanted: Vec<(Purpose, SocketAddr)> = config.all().collect();
        for (purpose, address) in &wanted {
            let failed = |source| StartError::Bind { purpose: purpose.as_str(), address: *address, source };
            let taken = inherited.iter().find(|socket| socket.local_addr().is_ok_and(|own| own == *address));
            let listener = match taken {
                Some(socket) => take_over(socket).map_err(failed)?,
                None => {
                    let beside = wanted.iter().any(|(_, other)| shadows(*address, *other));
                    bind(*address, beside).map_err(failed)?
                }
            };
            sockets.addresses.add(*purpose, listener.local_addr().map_err(failed)?);
            sockets.listeners.push((*purpose, listener));
        }
        Ok(sockets)
    }

    /// Copies to hand on. As long as one is open, connections are queued for it.
    pub fn copies(&self) -> io::Result<Vec<Arc<Socket>>> {
        let copy = |(_, listener): &(Purpose, TcpListener)| {
            Ok(Arc::new(Socket::from(listener.as_fd().try_clone_to_owned()?)))
        };
        self.listeners.iter().map(copy).collect()
    }
}

/// Whether an IPv6 wildcard address would take the port of an IPv4 address that is listened on as well.
fn shadows(address: SocketAddr, other: SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified() && other.is_ipv4() && address.port() == other.port()
}

/// Opens a socket; `v6_only` leaves IPv4 to another one.
fn bind(address: SocketAddr, v6_only: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if v6_only {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn take_over(socket: &Socket) -> io::Result<TcpListener> {
    let own = socket.try_clone()?;
    own.set_nonblocking(true)?;
    TcpListener::from_std(own)
}

/// Sends listening sockets to another process.
///
/// # Errors
/// The stream broke, or there are more than 64 sockets.
pub fn hand_over(stream: &UnixStream, sockets: &[Arc<Socket>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDED))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
    if sockets.len() > MAX_HANDED || !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "more than 64 sockets cannot be handed over",
        ));
    }
    // Descriptors travel beside at least one byte.
    sendmsg(stream, &[IoSlice::new(&[sockets.len() as u8])], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Takes the sockets that [`hand_over`] sends.
///
/// # Errors
/// The stream broke, or not all of them arrived.
pub fn take_handed(stream: &UnixStream) -> io::Result<Vec<Arc<Socket>>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDED))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut count = [0];
    recvmsg(stream, &mut [IoSliceMut::new(&mut count)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors.map(|descriptor| Arc::new(Socket::from(descriptor))));
        }
    }
    if sockets.is_empty() || sockets.len() != usize::from(count[0]) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "not all sockets were handed over"));
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(addresses: &[&str]) -> ListenConfig {
        addresses.iter().map(|address| (Purpose::Http, address.parse().unwrap())).collect()
    }

    /// Says so when there is no IPv6 here to test with.
    fn has_ipv6() -> bool {
        let bound = Socket::bind("[::1]:0");
        if let Err(error) = &bound {
            println!("skipped: no IPv6 here: {error}");
        }
        bound.is_ok()
    }

    #[tokio::test]
    async fn several_addresses_of_both_families_share_a_port() {
        if !has_ipv6() {
            return;
        }
        // Between finding a free port and taking it, another program may be faster.
        let (port, both) = std::iter::repeat_with(|| {
            let found = Sockets::open(&config(&["0.0.0.0:0"]), &[]).unwrap().addresses.http.unwrap().port();
            (found, Sockets::open(&config(&[&format!("0.0.0.0:{found}"), &format!("[::]:{found}")]), &[]))
        })
        .take(100)
        .find_map(|(port, opened)| match opened {
            Err(StartError::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => None,
            opened => Some((port, opened.unwrap())),
        })
        .expect("a free port");
        assert_eq!(both.listeners.len(), 2);
        assert_eq!(both.addresses.further.len(), 1);
        for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            let address: SocketAddr = address.parse().unwrap();
            std::net::TcpStream::connect(address).unwrap();
        }
    }

    #[tokio::test]
    async fn sockets_travel_and_are_recognized_by_their_address() {
        if !has_ipv6() {
            return;
        }
        let old = Sockets::open(&config(&["127.0.0.1:0", "[::1]:0"]), &[]).unwrap();
        let (here, there) = UnixStream::pair().unwrap();
        hand_over(&here, &old.copies().unwrap()).unwrap();
        let handed = take_handed(&there).unwrap();
        let addresses: Vec<String> =
            handed.iter().map(|socket| socket.local_addr().unwrap().to_string()).collect();
        let wanted: Vec<&str> = addresses.iter().map(String::as_str).collect();
        // The old ones are still open: only a taken-over socket can listen there.
        let new = Sockets::open(&config(&wanted), &handed).unwrap();
        drop((old, handed));
        let client = std::net::TcpStream::connect(&addresses[1]).unwrap();
        let (_, peer) = new.listeners[1].1.accept().await.unwrap();
        assert_eq!(client.local_addr().unwrap(), peer);
        drop(here);
        assert!(take_handed(&there).is_err());
    }
}
