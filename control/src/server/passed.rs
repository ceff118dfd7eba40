//! Listening sockets that this process was given instead of opening them: by a service manager or by its predecessor.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use hop3_proxy::{ListenConfig, Purpose};

/// One socket.
#[derive(Debug, Clone)]
pub struct PassedSocket {
    /// Listens already.
    pub socket: Arc<TcpListener>,
    /// What it is for.
    pub role: Role,
}

/// What a passed socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whatever is configured for its address.
    ByAddress,
    /// All that is configured for this purpose.
    All(Purpose),
    /// What is configured so; port 0 was chosen long ago.
    Configured(Purpose, SocketAddr),
}

/// One address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// What for.
    pub purpose: Purpose,
    /// As configured; `None` when a service manager decides.
    pub configured: Option<SocketAddr>,
    /// Where to listen.
    pub address: SocketAddr,
}

/// The addresses to listen on when these sockets are there, in the order of [`ListenConfig::all`].
pub fn doors(configured: &ListenConfig, passed: &[PassedSocket]) -> Vec<Door> {
    let mut doors = Vec::new();
    for one in passed {
        if let (Role::All(purpose), Ok(address)) = (one.role, one.socket.local_addr()) {
            doors.push(Door { purpose, configured: None, address });
        }
    }
    let decided: Vec<Purpose> = doors.iter().map(|door| door.purpose).collect();
    for (purpose, address) in configured.all().filter(|(purpose, _)| !decided.contains(purpose)) {
        let role = Role::Configured(purpose, address);
        let found = passed.iter().find(|one| one.role == role);
        let chosen = found.and_then(|one| one.socket.local_addr().ok()).unwrap_or(address);
        doors.push(Door { purpose, configured: Some(address), address: chosen });
    }
    let mut further = Vec::new();
    let mut ordered = Vec::new();
    for purpose in [Purpose::Http, Purpose::Https, Purpose::Admin] {
        let mut all = doors.iter().copied().filter(|door| door.purpose == purpose);
        ordered.extend(all.next());
        further.extend(all);
    }
    ordered.extend(further);
    ordered
}

/// The same as the proxy wants it.
pub fn listen(doors: &[Door]) -> ListenConfig {
    doors.iter().map(|door| (door.purpose, door.address)).collect()
}

/// Addresses of passed sockets that nothing will use.
pub fn unused(doors: &[Door], passed: &[PassedSocket]) -> Vec<SocketAddr> {
    let addresses = passed.iter().filter_map(|one| one.socket.local_addr().ok());
    addresses.filter(|address| doors.iter().all(|door| door.address != *address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> Arc<TcpListener> {
        Arc::new(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    #[test]
    fn sockets_find_what_they_are_for() {
        let zero: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (one, two, three, four) = (any(), any(), any(), any());
        let address = |socket: &TcpListener| socket.local_addr().unwrap();
        let configured = ListenConfig {
            http: Some(zero),
            https: Some(zero),
            admin: Some(address(&four)),
            further: vec![(Purpose::Http, "127.0.0.1:1".parse().unwrap())],
        };
        let passed = [
            PassedSocket { socket: one.clone(), role: Role::Configured(Purpose::Http, zero) },
            PassedSocket { socket: two.clone(), role: Role::All(Purpose::Https) },
            PassedSocket { socket: three.clone(), role: Role::ByAddress },
            PassedSocket { socket: four.clone(), role: Role::ByAddress },
        ];
        let doors = doors(&configured, &passed);
        let expected = [
            (Purpose::Http, Some(zero), address(&one)),
            (Purpose::Https, None, address(&two)),
            (Purpose::Admin, Some(address(&four)), address(&four)),
            (Purpose::Http, Some("127.0.0.1:1".parse().unwrap()), "127.0.0.1:1".parse().unwrap()),
        ];
        let expected: Vec<Door> = expected
            .into_iter()
            .map(|(purpose, configured, address)| Door { purpose, configured, address })
            .collect();
        assert_eq!(doors, expected);
        assert_eq!(unused(&doors, &passed), [address(&three)]);
        let all: Vec<_> = listen(&doors).all().collect();
        assert_eq!(all, doors.iter().map(|door| (door.purpose, door.address)).collect::<Vec<_>>());
    }
}
