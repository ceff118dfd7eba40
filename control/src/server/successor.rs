//! Starting the process that is to take our place, and handing over to it.

use std::ffi::OsString;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hop3_proxy::{ProxyHandle, hand_over};
use rustix::process::{Pid, PidfdFlags};

use super::handover::{FromNew, FromOld, Handed, PREDECESSOR, hear, say};
use super::passed::Door;
use crate::control::ADOPTING;
use crate::failure::{Failure, Kind};
use crate::model::FirewallEvent;
use crate::settings::LOW_PORTS;

/// How long the new process may take to read its configuration.
const HELLO: Duration = Duration::from_secs(30);
/// How long it may take to open the store and compile all rules, and then to find the apps again.
const SERVING: Duration = Duration::from_secs(90 + ADOPTING.as_secs());
/// Events that are sent in one line.
const EVENTS_PER_LINE: usize = 256;
/// How long it may take to accept events.
const EVENTS: Duration = Duration::from_secs(5);

/// How this process was started, and its successor will be.
#[derive(Debug, Clone)]
pub struct Invocation {
    executable: PathBuf,
    arguments: Vec<OsString>,
    low_ports: bool,
}

/// The process that is to take our place.
#[derive(Debug)]
pub struct Successor {
    child: Child,
    stream: UnixStream,
    /// What it calls itself.
    pub version: String,
}

impl Invocation {
    /// Of this process; to be asked before anything can have replaced the executable.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn of_this_process(low_ports: bool) -> io::Result<Invocation> {
        let arguments = std::env::args_os().skip(1).collect();
        Ok(Invocation { executable: crate::executable::path()?, arguments, low_ports })
    }

    /// Where the executable lies.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// Starts a process of whatever lies there now.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self) -> Result<Successor, Failure> {
        let shown = self.executable.display();
        let failed = |error: io::Error| {
            Failure::new(Kind::Unavailable, format!("cannot start `{shown}`"))
                .because(&error)
                .hint("put an executable there; the running server goes on")
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new(&self.executable);
        command.args(&self.arguments).stdin(Stdio::from(OwnedFd::from(theirs)));
        command.env(PREDECESSOR, std::process::id().to_string());
        for ours_alone in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", LOW_PORTS] {
            command.env_remove(ours_alone);
        }
        if self.low_ports {
            command.env(LOW_PORTS, "1");
        }
        let child = command.spawn().map_err(failed)?;
        // It holds the other end of the stream, which must end with the process.
        drop(command);
        Ok(Successor { child, stream: ours, version: String::new() })
    }
}

impl Successor {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it can be ended by, from elsewhere; never another process that was given its number.
    ///
    /// # Errors
    /// The kernel cannot tell.
    pub fn handle(&self) -> io::Result<OwnedFd> {
        let pid = Pid::from_child(&self.child);
        Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
    }

    /// Waits until it has read its configuration. Blocking.
    ///
    /// # Errors
    /// It refuses; it has ended then.
    pub fn greet(mut self) -> Result<Successor, Failure> {
        match self.hear(HELLO) {
            Ok(FromNew::Hello { version }) => self.version = version,
            Ok(other) => return Err(self.end(&refused(other))),
            Err(failure) => return Err(self.end(&failure)),
        }
        Ok(self)
    }

    /// Hands the sockets over and waits until the new process serves. Lock and store must be free. Blocking.
    ///
    /// # Errors
    /// It could not; it has ended then.
    pub fn hand_over(mut self, doors: &[Door], proxy: &ProxyHandle) -> Result<Successor, Failure> {
        let sockets = proxy.sockets();
        let handed = doors.iter().map(Handed::from).collect();
        let told = say(&self.stream, &FromOld::Take(handed))
            .and_then(|()| if sockets.is_empty() { Ok(()) } else { hand_over(&self.stream, &sockets) })
            .map_err(|error| self.broken(&error));
        let outcome = match told.and_then(|()| self.hear(SERVING)) {
            Ok(FromNew::Serving) => return Ok(self),
            Ok(other) => refused(other),
            Err(failure) => failure,
        };
        Err(self.end(&outcome))
    }

    /// Ends it before anything was handed over. Blocking.
    pub fn give_up(mut self) {
        self.kill();
    }

    /// The way on which events reach it.
    pub fn events(&self) -> io::Result<EventWay> {
        let stream = self.stream.try_clone()?;
        stream.set_write_timeout(Some(EVENTS))?;
        Ok(EventWay(Arc::new(Way { stream, broken: AtomicBool::new(false) })))
    }

    fn hear(&mut self, patience: Duration) -> Result<FromNew, Failure> {
        let heard = self.stream.set_read_timeout(Some(patience)).and_then(|()| hear(&self.stream));
        heard.map_err(|error| self.broken(&error))?.ok_or_else(|| failure(self.last_words()))
    }

    fn broken(&mut self, error: &io::Error) -> Failure {
        failure(match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it did not answer in time".to_owned(),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => self.last_words(),
            _ => error.to_string(),
        })
    }

    /// How it ended, when it has closed its end of the stream.
    fn last_words(&mut self) -> String {
        for _ in 0..100 {
            match self.child.try_wait() {
                Ok(Some(status)) => return format!("it ended: {status}"),
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Err(error) => return error.to_string(),
            }
        }
        "it broke off the conversation".to_owned()
    }

    /// Makes sure that it is gone.
    fn end(mut self, why: &Failure) -> Failure {
        self.kill();
        why.clone()
    }

    fn kill(&mut self) {
        // Both fail only when it has ended already.
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Where events go that are seen while the last requests end.
#[derive(Debug, Clone)]
pub struct EventWay(Arc<Way>);

#[derive(Debug)]
struct Way {
    stream: UnixStream,
    /// Half a line may be on it, and nothing after that would be understood.
    broken: AtomicBool,
}

impl EventWay {
    /// Sends events to the successor's store. Blocking, for seconds at most; not at all after the first failure.
    ///
    /// # Errors
    /// The successor is gone or does not take them.
    pub fn send(&self, events: &[FirewallEvent]) -> io::Result<()> {
        let Way { stream, broken } = &*self.0;
        if broken.load(Ordering::Acquire) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // In pieces that are far from the longest line.
        let mut pieces = events.chunks(EVENTS_PER_LINE);
        let sent = pieces.try_for_each(|piece| say(stream, &FromOld::Events(piece.to_vec())));
        if sent.is_err() {
            broken.store(true, Ordering::Release);
            // The successor is told that nothing more comes.
            let _gone = stream.shutdown(Shutdown::Both);
        }
        sent
    }
}

fn refused(answer: FromNew) -> Failure {
    match answer {
        FromNew::Failed(why) => {
            let hint = why.hint.clone();
            let cause = why
                .cause
                .as_ref()
                .map_or_else(|| why.message.clone(), |cause| format!("{}: {cause}", why.message));
            let detail = why.detail;
            Failure { detail, ..failure(cause) }.maybe_hint(hint)
        }
        other => failure(format!("it answered {other:?}")),
    }
}

fn failure(cause: String) -> Failure {
    Failure::new(Kind::Unavailable, "the new server process gave up, the old one goes on")
        .cause(cause)
        .hint("see the server's log for what it wrote")
}
