//! Who is at the other end of the socket, as the kernel reports it (SO_PEERCRED, unix(7)).

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

use crate::model::Actor;

/// The user id of the process that connected; `None` when the kernel did not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(Option<u32>);

impl Peer {
    /// The actor, if it is `root` or the account the server itself runs as.
    pub fn trusted(self) -> Option<Actor> {
        let own = rustix::process::geteuid().as_raw();
        self.0.filter(|&uid| uid == 0 || uid == own).map(Actor::LocalUser)
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Peer {
        Peer(stream.io().peer_cred().ok().map(|credentials| credentials.uid()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_own_account_are_trusted() {
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(Peer(Some(0)).trusted(), Some(Actor::LocalUser(0)));
        assert_eq!(Peer(Some(own)).trusted(), Some(Actor::LocalUser(own)));
        assert_eq!(Peer(Some(own + 4321)).trusted(), None);
        assert_eq!(Peer(None).trusted(), None);
    }
}
