//! How much memory may be held back for bodies: those that wait for their inspection or lie in the engine, and the windows
//! of encoders. A part of it for each HTTP/2 connection, whose streams are many, and one budget for the whole server.
//!
//! The first [`FREE`] bytes of a body cost nothing, so that small requests pass however much others hold. Beyond them
//! there are three answers when nothing is left: a body goes to a file, an answer is compressed with less or not at all,
//! and what must lie in memory waits for its own connection, or is refused where the server has no more.
//!
//! Nobody waits for what another waits for: a wait is for the whole of a body that has come already, and who holds a
//! response's share waits for no other.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError};

/// Bytes of each body that are held without asking, in each place.
pub const FREE: usize = 8 * 1024;

/// Bytes that are counted as one.
const UNIT: usize = 1024;

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

/// The server has nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server holds as many bodies as it may")]
pub struct Exhausted;

/// What one connection may hold, within what the server may.
#[derive(Clone, Debug)]
pub struct Budget {
    server: Arc<Semaphore>,
    /// All that the server may hold, in units.
    most: u32,
    /// None on HTTP/1, where one request at a time is bounded by its route's limits.
    connection: Option<Arc<Shared>>,
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
    _server: OwnedSemaphorePermit,
    _connection: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// For a server that may hold this many bytes.
    pub fn of_server(bytes: usize) -> Self {
        let most = units(bytes);
        Self { server: Arc::new(Semaphore::new(most as usize)), most, connection: None }
    }

    /// For a connection whose streams share one part of it.
    pub fn shared_by_streams(&self) -> Self {
        let memory = Purpose::ALL.map(|purpose| Arc::new(Semaphore::new(purpose.of_connection() / UNIT)));
        let turns = Semaphore::new(available_parallelism().map_or(1, NonZero::get).div_ceil(2));
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
        Some(Grant { _server: self.of_the_server(bytes)?, _connection: connection })
    }

    /// Memory, once other streams of the connection have given some back. More than the connection's whole part is
    /// granted to one stream alone: what one body may need is the route's to say.
    ///
    /// # Errors
    /// The server has nothing left; that is not waited for.
    pub async fn take(&self, purpose: Purpose, bytes: usize) -> Result<Grant, Exhausted> {
        let connection = match self.part(purpose) {
            Some(part) => {
                let most = units(purpose.of_connection());
                let permit = part.clone().acquire_many_owned(units(bytes).min(most)).await;
                Some(permit.map_err(|AcquireError { .. }| Exhausted)?)
            }
            None => None,
        };
        Ok(Grant { _server: self.of_the_server(bytes).ok_or(Exhausted)?, _connection: connection })
    }

    /// Waits until it is this stream's turn to be inspected; over when dropped.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.connection.as_ref()?.turns.acquire().await.ok()
    }

    fn of_the_server(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.server.clone().try_acquire_many_owned(units(bytes).min(self.most)).ok()
    }

    fn part(&self, purpose: Purpose) -> Option<&Arc<Semaphore>> {
        self.connection.as_ref().map(|shared| &shared.memory[purpose as usize])
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    use crate::patience::at_once;

    const MIB: usize = 1 << 20;

    #[tokio::test]
    async fn streams_of_a_connection_wait_for_each_other_and_not_for_those_of_another() {
        let server = Budget::of_server(100 * MIB);
        let (one, other) = (server.shared_by_streams(), server.shared_by_streams());
        let held = one.take(Purpose::Request, 2 * MIB).await.unwrap();
        let mut waiting = std::pin::pin!(one.take(Purpose::Request, 1));
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
        assert_eq!(server.server.available_permits(), 87 * 1024);
        drop(large);
        assert!(connection.try_take(Purpose::Request, 1).is_some());
        assert_eq!(server.server.available_permits(), 100 * 1024);
    }

    #[tokio::test]
    async fn a_server_that_holds_all_it_may_refuses() {
        let server = Budget::of_server(MIB);
        let held = server.take(Purpose::Request, MIB).await.unwrap();
        for budget in [&server, &server.shared_by_streams()] {
            assert_eq!(budget.take(Purpose::Response, 1).await.unwrap_err(), Exhausted);
            assert!(budget.try_take(Purpose::Spool, 1).is_none());
            // What was refused by the server does not stay taken from the connection.
            let left = budget.part(Purpose::Spool).map(|part| part.available_permits());
            assert!(left.is_none_or(|left| left == Purpose::Spool.of_connection() / UNIT), "{left:?}");
        }
        drop(held);
        assert!(server.take(Purpose::Response, MIB).await.is_ok());
    }
}
