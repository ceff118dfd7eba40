//! The signals that the server obeys.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::control::UpgradeWish;
use crate::failure::Failure;

/// What somebody asks for.
#[derive(Debug)]
pub enum Wish {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// SIGUSR2; or the command line, which wants to hear what became of it.
    Upgrade(Option<UpgradeWish>),
}

/// Where signals arrive.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    upgrade: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> Result<Signals, Failure> {
        let open = |kind| {
            signal(kind).map_err(|error| Failure::internal("cannot listen to signals").because(&error))
        };
        Ok(Signals {
            terminate: open(SignalKind::terminate())?,
            interrupt: open(SignalKind::interrupt())?,
            hang_up: open(SignalKind::hangup())?,
            upgrade: open(SignalKind::user_defined2())?,
        })
    }

    /// The next wish.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
            _ = self.upgrade.recv() => Wish::Upgrade(None),
        }
    }

    /// The next wish to stop.
    pub async fn stop(&mut self) {
        while !matches!(self.next().await, Wish::Stop) {}
    }
}

/// The end of a wait that a wish to stop cuts short. Who listens to [`Signals`] hears the same wish.
pub async fn told_to_stop() {
    match Signals::listen() {
        Ok(mut signals) => signals.stop().await,
        // Then the wait ends by itself.
        Err(_) => std::future::pending().await,
    }
}
