//! Taking the place of an older server process: its sockets, its lock, its store, its apps.

use std::io::{self, BufReader};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use hop3_proxy::take_handed;

use super::handover::{FromNew, FromOld, PREDECESSOR, hear, hear_on, say};
use super::passed::PassedSocket;
use crate::control::Control;
use crate::failure::{Failure, chain};
use crate::model::FirewallEvent;
use crate::store::Durable;

/// How long the old process may take to let go: it waits for its transactions.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server process that started this one to be replaced by it.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// The one that started this process, if one did.
    ///
    /// # Errors
    /// The way to it is broken.
    pub fn find() -> Result<Option<Predecessor>, Failure> {
        if std::env::var_os(PREDECESSOR).is_none() {
            return Ok(None);
        }
        let stream = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
        let stream = stream.and_then(|stream| stream.set_read_timeout(Some(PATIENCE)).map(|()| stream));
        stream.map(|stream| Some(Predecessor(stream))).map_err(|error| {
            Failure::usage(format!("{PREDECESSOR} is set, and standard input is no socket"))
                .because(&error)
                .hint("use `hop3 upgrade`, or unset the variable")
        })
    }

    /// Tells it that we can begin, and takes what it hands over. From here on its store and lock are free.
    ///
    /// # Errors
    /// It changed its mind.
    pub fn take_over(&self) -> Result<Vec<PassedSocket>, Failure> {
        let broken = |error: io::Error| {
            Failure::conflict("the server that is to be replaced does not hand over").because(&error)
        };
        let hello = FromNew::Hello { version: env!("CARGO_PKG_VERSION").to_owned() };
        say(&self.0, &hello).map_err(broken)?;
        let Some(FromOld::Take(handed)) = hear(&self.0).map_err(broken)? else {
            return Err(Failure::conflict("the server that is to be replaced changed its mind"));
        };
        if handed.is_empty() {
            return Ok(Vec::new());
        }
        let sockets = take_handed(&self.0).map_err(broken)?;
        if sockets.len() != handed.len() {
            return Err(Failure::internal("sockets were lost on their way"));
        }
        let named = handed.iter().zip(sockets);
        Ok(named.map(|(handed, socket)| PassedSocket { socket, role: handed.role() }).collect())
    }

    /// Tells it that we serve. What its firewall still sees is kept in our store.
    pub fn relieve(self, control: Arc<Control>) {
        if let Err(error) = say(&self.0, &FromNew::Serving) {
            tracing::warn!(%error, "the predecessor is gone already");
            return;
        }
        let keeping = std::thread::Builder::new().name("hop3-predecessor".into());
        // Without the thread, its last events stay unwritten; its requests end all the same.
        if let Err(error) = keeping.spawn(move || self.keep_events(&control)) {
            tracing::error!(%error, "the predecessor's last events are lost");
        }
    }

    /// Tells it to take everything back.
    pub fn fail(&self, failure: &Failure) {
        // If it is gone, there is nobody to take anything back.
        let _told = say(&self.0, &FromNew::Failed(failure.clone()));
    }

    fn keep_events(&self, control: &Control) {
        let _endless = self.0.set_read_timeout(None);
        let mut stream = BufReader::new(&self.0);
        loop {
            let events: Vec<FirewallEvent> = match hear_on(&mut stream) {
                Ok(Some(FromOld::Events(events))) => events,
                Ok(Some(FromOld::Take(_)) | None) => break,
                Err(error) => {
                    tracing::error!(%error, "the predecessor's last firewall events are not understood");
                    break;
                }
            };
            let kept = control.store().note(Durable::Now, |change| change.append_firewall_events(&events));
            if let Err(error) = kept {
                tracing::error!(error = chain(&error), lost = events.len(), "firewall events cannot be kept");
            }
        }
        tracing::info!("the predecessor has ended");
    }
}
