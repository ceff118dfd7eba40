//! How much memory may be held back for bodies: those that wait for their inspection or lie in the engine, and the windows
//! of encoders. A part of it for each HTTP/2 connection, whose streams are many, and one budget for the whole server, of
//! which no client takes more than it leaves to others.
//!
//! The first [`FREE`] bytes of a body cost nothing, so that small requests pass however much others hold. Beyond them
//! there are three answers when nothing is left: a body goes to a file, an answer is compressed with less or not at all,
//! and what must lie in memory waits for its own connection, or is refused where the server has no more.
//!
//! Nobody waits for what another waits for: a wait is for the whole of a body that has come already, and who holds a
//! response's share waits for no other.
//!
//! Threads of the blocking pool are memory, too: each keeps what its last work took of the allocator. So what is done there
//! with bodies has a few of them, for the whole server ([`WorkQueue`]).

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError};

use crate::counts::{Counted, Counts};
use crate::work_queue::WorkQueue;

/// Bytes of each body that are held without asking, in each place.
pub const FREE: usize = 8 * 1024;

/// Bytes that answers may take in files until their clients take them, in the whole server.
const FILE_ROOM: u64 = 1 << 30;

/// Bytes that are counted as one.
const UNIT: usize = 1024;

/// Files of stored bodies that are written or read at a time, or as many as there are cores: they are short-lived and mostly stay in
/// the kernel's memory, so a few threads keep up with all connections.
const FILES: usize = 4;

/// What memory is taken for. Each has its own part of a connection's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Bodies that are read whole, as long as they lie in memory.
    Spool,
    /// Request bodies in the engine.
    Request,
    /// Response bodies in the engine.
    Response,
    /// Encoders.
    Encoder,
    /// Encoders that take little, where there is no room for others.
    LeastEncoder,
}

impl Purpose {
    const ALL: [Self; 5] = [Self::Spool, Self::Request, Self::Response, Self::Encoder, Self::LeastEncoder];

    /// Bytes of a connection: together with a hundred streams' [`FREE`] bytes they stay below 16 MiB.
    const fn of_connection(self) -> usize {
        match self {
            Self::Spool => 1 << 20,
            Self::Request | Self::Response => 2 << 20,
            Self::Encoder | Self::LeastEncoder => 3 << 20,
        }
    }
}

/// The server has nothing left for this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// Nor for anybody.
    #[error("the server holds as many bodies as it may")]
    Server,
    /// It holds more than is left for others.
    #[error("the server holds as many bodies of this client as it may")]
    Client,
}

/// What one connection may hold, within what its client and the server may.
#[derive(Clone, Debug)]
pub struct Budget {
    server: Arc<Whole>,
    client: IpAddr,
    /// None on HTTP/1, where one request at a time is bounded by its route's limits.
    connection: Option<Arc<Shared>>,
}

/// What the server may hold.
#[derive(Debug)]
struct Whole {
    memory: Arc<Semaphore>,
    /// All of it, in units.
    most: u32,
    /// What clients hold of it, in units.
    of_clients: Arc<Counts>,
    /// Room in files, in units.
    file_room: Arc<Semaphore>,
    /// Threads that write and read stored bodies.
    files: WorkQueue,
    /// Threads that inspect large bodies.
    inspections: WorkQueue,
}

/// What the streams of one connection share.
#[derive(Debug)]
struct Shared {
    memory: [Arc<Semaphore>; Purpose::ALL.len()],
    /// Inspections at a time, for half of the cores: others' requests must not queue behind a hundred of them.
    turns: Semaphore,
}

/// Memory that was granted; given back when dropped.
#[derive(Debug)]
pub struct Grant {
    bytes: usize,
    _server: OwnedSemaphorePermit,
    _client: Counted,
    _connection: Option<OwnedSemaphorePermit>,
}

/// Room in a file that was granted; given back when dropped.
#[derive(Debug)]
pub struct FileGrant(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

impl Grant {
    /// As many as were asked for.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Budget {
    /// For a server that may hold this many bytes.
    pub fn of_server(bytes: usize) -> Self {
        let most = units(bytes);
        let server = Whole {
            memory: Arc::new(Semaphore::new(most as usize)),
            most,
            of_clients: Arc::default(),
            file_room: Arc::new(Semaphore::new((FILE_ROOM / UNIT as u64) as usize)),
            files: WorkQueue::new(cores().max(FILES)),
            inspections: WorkQueue::new(cores()),
        };
        Self { server: Arc::new(server), client: Ipv4Addr::UNSPECIFIED.into(), connection: None }
    }

    /// For a client's requests on the connection.
    pub fn of_client(&self, client: IpAddr) -> Self {
        Self { client, ..self.clone() }
    }

    /// For a connection whose streams share one part of it.
    pub fn shared_by_streams(&self) -> Self {
        let memory = Purpose::ALL.map(|purpose| Arc::new(Semaphore::new(purpose.of_connection() / UNIT)));
        let turns = Semaphore::new(cores().div_ceil(2));
        Self { connection: Some(Arc::new(Shared { memory, turns })), ..self.clone() }
    }

    /// Memory, if there is some at once.
    pub fn try_take(&self, purpose: Purpose, bytes: usize) -> Option<Grant> {
        let connection = match self.part(purpose) {
            Some(part) => match part.clone().try_acquire_many_owned(units(bytes)) {
                Ok(permit) => Some(permit),
                Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => return None,
            },
            None => None,
        };
        self.of_the_server(bytes, connection).ok()
    }

    /// Room in a file, if there is some.
    pub fn try_take_file(&self, bytes: u64) -> Option<FileGrant> {
        let units = u32::try_from(bytes.div_ceil(UNIT as u64)).ok()?;
        self.server.file_room.clone().try_acquire_many_owned(units).ok().map(FileGrant)
    }

    /// Memory, once other streams of the connection have given some back. More than the connection's whole part is
    /// granted to one stream alone: what one body may need is the route's to say.
    ///
    /// # Errors
    /// The server has nothing left for the client; that is not waited for.
    pub async fn take(&self, purpose: Purpose, bytes: usize) -> Result<Grant, Exhausted> {
        let connection = match self.part(purpose) {
            Some(part) => {
                let most = units(purpose.of_connection());
                let permit = part.clone().acquire_many_owned(units(bytes).min(most)).await;
                Some(permit.map_err(|AcquireError { .. }| Exhausted::Server)?)
            }
            None => None,
        };
        self.of_the_server(bytes, connection)
    }

    /// Waits until it is this stream's turn to be inspected; over when dropped.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.connection.as_ref()?.turns.acquire().await.ok()
    }

    /// Where stored bodies are written and read.
    pub fn files(&self) -> &WorkQueue {
        &self.server.files
    }

    /// Where large bodies are inspected.
    pub fn inspections(&self) -> &WorkQueue {
        &self.server.inspections
    }

    /// Beside what was taken of the connection. A client may hold as much as is left for others: one alone half of all,
    /// two a third each, so that there is always something for the next.
    fn of_the_server(
        &self,
        bytes: usize,
        connection: Option<OwnedSemaphorePermit>,
    ) -> Result<Grant, Exhausted> {
        let Whole { memory, most, of_clients, .. } = &*self.server;
        let units = units(bytes).min(*most);
        let server = memory.clone().try_acquire_many_owned(units).map_err(|_| Exhausted::Server)?;
        // What it asks for now is not counted: a first body may be as large as its route allows.
        let may_be = |held: usize| held <= memory.available_permits();
        let client = of_clients.add(self.client, units as usize, may_be).ok_or(Exhausted::Client)?;
        Ok(Grant { bytes, _server: server, _client: client, _connection: connection })
    }

    fn part(&self, purpose: Purpose) -> Option<&Arc<Semaphore>> {
        self.connection.as_ref().map(|shared| &shared.memory[purpose as usize])
    }
}

/// Threads that may run at a time.
fn cores() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use super::*;
    use crate::patience::at_once;

    const MIB: usize = 1 << 20;

    #[tokio::test]
    async fn streams_of_a_connection_wait_for_each_other_and_not_for_those_of_another() {
        let server = Budget::of_server(100 * MIB);
        let (one, other) = (server.shared_by_streams(), server.shared_by_streams());
        let held = one.take(Purpose::Request, 2 * MIB).await.unwrap();
        let mut waiting = pin!(one.take(Purpose::Request, 1));
        assert!(at_once(waiting.as_mut()).await.is_pending());
        assert!(one.try_take(Purpose::Request, 1).is_none());
        drop(one.try_take(Purpose::Response, MIB).unwrap());
        drop(other.take(Purpose::Request, 2 * MIB).await.unwrap());
        drop(held);
        assert!(matches!(at_once(waiting.as_mut()).await, Poll::Ready(Ok(_))));
    }

    #[tokio::test]
    async fn a_body_larger_than_its_part_has_the_connection_for_itself() {
        let server = Budget::of_server(100 * MIB);
        let connection = server.shared_by_streams();
        let large = connection.take(Purpose::Request, 13 * MIB).await.unwrap();
        assert!(connection.try_take(Purpose::Request, 1).is_none());
        assert_eq!(server.server.memory.available_permits(), 87 * 1024);
        drop(large);
        assert!(connection.try_take(Purpose::Request, 1).is_some());
        assert_eq!(server.server.memory.available_permits(), 100 * 1024);
    }

    #[tokio::test]
    async fn a_server_that_holds_all_it_may_refuses() {
        let server = Budget::of_server(MIB);
        let held = server.take(Purpose::Request, MIB).await.unwrap();
        for budget in [&server, &server.shared_by_streams()] {
            let other = budget.of_client(Ipv4Addr::LOCALHOST.into());
            assert_eq!(other.take(Purpose::Response, 1).await.unwrap_err(), Exhausted::Server);
            assert!(budget.try_take(Purpose::Spool, 1).is_none());
            // What was refused by the server does not stay taken from the connection.
            let left = budget.part(Purpose::Spool).map(|part| part.available_permits());
            assert!(left.is_none_or(|left| left == Purpose::Spool.of_connection() / UNIT), "{left:?}");
        }
        drop(held);
        assert!(server.take(Purpose::Response, MIB).await.is_ok());
    }

    #[tokio::test]
    async fn a_client_holds_no_more_than_it_leaves_to_others() {
        let server = Budget::of_server(12 * MIB);
        let client = |number: u8| server.of_client(Ipv4Addr::new(192, 0, 2, number).into());
        let take_all = |of: Budget| {
            let mut held = Vec::new();
            // Connections of its own, as many as it likes.
            while let Some(grant) = of.shared_by_streams().try_take(Purpose::Spool, MIB / 64) {
                held.push(grant);
            }
            held
        };
        let megabytes = |held: &[Grant]| held.iter().map(Grant::bytes).sum::<usize>() / MIB;
        let first = take_all(client(1));
        assert_eq!(megabytes(&first), 6);
        assert_eq!(client(1).take(Purpose::Request, MIB).await.unwrap_err(), Exhausted::Client);
        assert_eq!(megabytes(&take_all(client(2))), 3, "gone again");
        // A first one may be large.
        assert!(client(2).take(Purpose::Request, 5 * MIB).await.is_ok());
        let all: Vec<_> = (2..10).map(|number| take_all(client(number))).collect();
        assert!(all.iter().all(|held| !held.is_empty()), "there is something for each");
        drop((first, all));
        assert_eq!(server.server.memory.available_permits(), 12 * 1024);
        let ipv6 = |address: &str| server.of_client(address.parse().unwrap());
        let of_network = take_all(ipv6("2001:db8::1"));
        assert!(ipv6("2001:db8::2").try_take(Purpose::Spool, MIB).is_none(), "one /64 is one client");
        drop(of_network);
    }
}
