//! One of the addresses of a name: the first that takes a connection.
//!
//! An address that does not answer must not hide the ones behind it, a broken way over IPv6 not the one over IPv4. So
//! families take turns, and the next address is tried when one fails or has said nothing for a moment (RFC 8305).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long an address is waited for before the next one is tried beside it (RFC 8305 section 8).
const DELAY: Duration = Duration::from_millis(250);

/// Connects to a name with a port.
///
/// # Errors
/// The name has no address, or the failure of the last one.
pub(super) async fn connect(name: &str) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(name).await?.collect();
    match addresses[..] {
        [address] => TcpStream::connect(address).await,
        _ => first(by_turns(addresses)).await,
    }
}

/// The addresses with both families taking turns, beginning with that of the first.
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_first = addresses.first().map(SocketAddr::is_ipv6);
    let (mut firsts, mut others): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| Some(address.is_ipv6()) == is_first);
    let mut turns = Vec::with_capacity(firsts.len() + others.len());
    while !firsts.is_empty() || !others.is_empty() {
        turns.extend(firsts.pop_front());
        turns.extend(others.pop_front());
    }
    turns
}

/// The first connection that can be made.
async fn first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut rest = addresses.into_iter();
    // Those that lose are given up with it.
    let mut attempts = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = rest.next() {
            attempts.spawn(TcpStream::connect(address));
        }
        let next = tokio::select! {
            next = attempts.join_next() => next,
            () = tokio::time::sleep(DELAY), if rest.len() > 0 => continue,
        };
        match next {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => last = error,
            Some(Err(error)) => last = io::Error::other(error),
            None => return Err(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let [a, b, c, d] = ["[::1]:1", "[::2]:1", "192.0.2.1:1", "[::3]:1"].map(address);
        assert_eq!(by_turns(vec![a, b, c, d]), [a, c, b, d]);
        assert_eq!(by_turns(vec![c, a]), [c, a]);
        assert_eq!(by_turns(Vec::new()), []);
    }

    #[tokio::test]
    async fn neither_refusal_nor_silence_hides_the_next_address() {
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        // A listener takes no more connections than its queue holds; more wait in silence.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind(address("127.0.0.1:0")).unwrap();
        let silent = silent.listen(0).unwrap();
        let place = silent.local_addr().unwrap();
        let mut waiting = JoinSet::new();
        for _ in 0..4 {
            waiting.spawn(TcpStream::connect(place));
        }
        let _one = waiting.join_next().await;
        let good = good.local_addr().unwrap();
        let stream = first(vec![refusing, place, good]).await.unwrap();
        assert!([good, place].contains(&stream.peer_addr().unwrap()));
        let error = first(vec![refusing, refusing]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(first(Vec::new()).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
