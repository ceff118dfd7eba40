//! The one thread that writes the firewalls' logs, and the bounded queue before it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hop3_proxy::Dropped;
use hop3_waf::audit::{AuditParts, AuditTransaction};

use super::AuditFiles;
use super::file::{Modes, OpenFiles, write_own};
use super::place::LogPath;
use crate::failure::{Failure, chain};

/// Most entries that wait.
const ENTRIES: usize = 4096;
/// Most bytes that wait, roughly: 64 MiB.
const BYTES: usize = 64 << 20;
/// How often losses and faults are told, at most.
const REPORT: Duration = Duration::from_secs(10);
/// How long the end waits for what is in the queue.
const LAST: Duration = Duration::from_secs(5);

/// What is written for one transaction.
#[derive(Debug)]
pub(super) enum Entry {
    /// A record of the audit log.
    Audit { files: Arc<AuditFiles>, record: Box<AuditTransaction>, parts: AuditParts },
    /// Lines of the debug log.
    Debug { path: LogPath, lines: Vec<u8> },
    /// Nothing follows.
    End,
}

/// The writer. Entries are written in their order; dropping it writes what waits.
#[derive(Debug)]
pub struct LogWriter {
    queue: LogQueue,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The queue's sending end.
#[derive(Debug, Clone)]
pub(super) struct LogQueue {
    sender: SyncSender<Entry>,
    state: Arc<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl LogWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system starts none.
    pub fn start() -> Result<LogWriter, Failure> {
        let (queue, receiver) = LogQueue::bounded(ENTRIES);
        let state = queue.state.clone();
        let thread = thread::Builder::new()
            .name("hop3-waf-logs".into())
            .spawn(move || Writing { receiver, state, files: OpenFiles::default() }.run())
            .map_err(|error| Failure::internal("cannot start the writer of logs").because(&error))?;
        Ok(LogWriter { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Where entries are sent.
    pub(super) fn queue(&self) -> LogQueue {
        self.queue.clone()
    }

    /// Entries that found the queue full.
    pub fn dropped(&self) -> u64 {
        self.queue.state.dropped.load(Ordering::Relaxed)
    }

    /// Writes what waits, and ends. What is sent afterwards is dropped.
    pub fn finish(&self) {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let deadline = Instant::now() + LAST;
        let mut end = Some(Entry::End);
        while !thread.is_finished() && Instant::now() < deadline {
            if let Some(entry) = end.take() {
                end = match self.queue.sender.try_send(entry) {
                    Err(TrySendError::Full(entry)) => Some(entry),
                    _ => None,
                };
            }
            thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            let _ended = thread.join();
        } else {
            tracing::error!("the firewall's logs could not be written to their end in time");
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.finish();
    }
}

impl LogQueue {
    fn bounded(entries: usize) -> (LogQueue, Receiver<Entry>) {
        let (sender, receiver) = sync_channel(entries);
        (LogQueue { sender, state: Arc::default() }, receiver)
    }

    /// Queues an entry, or drops and counts it.
    pub(super) fn send(&self, entry: Entry) -> Result<(), Dropped> {
        let size = entry.size();
        let before = self.state.bytes.fetch_add(size, Ordering::Relaxed);
        if before.saturating_add(size) <= BYTES && self.sender.try_send(entry).is_ok() {
            return Ok(());
        }
        self.state.bytes.fetch_sub(size, Ordering::Relaxed);
        self.state.dropped.fetch_add(1, Ordering::Relaxed);
        Err(Dropped)
    }
}

impl Entry {
    /// Bytes that it takes while it waits, roughly.
    fn size(&self) -> usize {
        match self {
            Entry::Debug { lines, .. } => lines.len(),
            Entry::End => 0,
            Entry::Audit { record, .. } => {
                let pairs = |list: &[(String, String)]| {
                    list.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
                };
                let body = |body: &Option<hop3_waf::audit::AuditBody>| {
                    body.as_ref().map_or(0, |body| body.text.len())
                };
                let (request, response) = (&record.request, &record.response);
                let messages = record.messages.iter().map(|message| 2 * message.log_line.len());
                1024 + request.uri.len()
                    + pairs(&request.headers)
                    + pairs(&request.arguments)
                    + pairs(&response.headers)
                    + body(&request.body)
                    + body(&response.body)
                    + messages.sum::<usize>()
            }
        }
    }
}

/// The thread's own.
struct Writing {
    receiver: Receiver<Entry>,
    state: Arc<QueueState>,
    files: OpenFiles,
}

impl Writing {
    fn run(mut self) {
        let (mut told, mut faults) = (Reported::default(), Reported::default());
        loop {
            let received = self.receiver.recv_timeout(REPORT);
            let now = Instant::now();
            match received {
                Ok(Entry::End) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(entry) => {
                    self.state.bytes.fetch_sub(entry.size(), Ordering::Relaxed);
                    if let Err((path, error)) = self.write(&entry, now) {
                        faults.count += 1;
                        if faults.is_due(now) {
                            let (path, error) = (path.path().display(), chain(&error));
                            tracing::error!(%path, error, lost = faults.count, "a log cannot be written");
                            faults.count = 0;
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let dropped = self.state.dropped.load(Ordering::Relaxed);
            if dropped > told.count && told.is_due(now) {
                tracing::warn!(
                    lost = dropped - told.count,
                    "the firewall's logs are behind; records were dropped"
                );
                told.count = dropped;
            }
        }
    }

    fn write(&mut self, entry: &Entry, now: Instant) -> Result<(), (LogPath, std::io::Error)> {
        match entry {
            Entry::End => Ok(()),
            Entry::Debug { path, lines } => {
                let written = self.files.append(path, Modes::default(), lines, now);
                written.map_err(|error| (path.clone(), error))
            }
            Entry::Audit { files, record, parts } => {
                for part in files.appended(record, *parts) {
                    let written = match part.is_own {
                        true => write_own(&part.path, files.modes, &part.bytes),
                        false => self.files.append(&part.path, files.modes, &part.bytes, now),
                    };
                    written.map_err(|error| (part.path, error))?;
                }
                Ok(())
            }
        }
    }
}

/// Something that is counted and told now and then.
#[derive(Default)]
struct Reported {
    count: u64,
    last: Option<Instant>,
}

impl Reported {
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= REPORT);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::logs::LogPlace;

    #[test]
    fn a_full_queue_drops_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = LogPlace::new(folder.path().to_owned(), &[]).find("SecDebugLog", "d").unwrap();
        let entry = |bytes: usize| Entry::Debug { path: path.clone(), lines: vec![b'x'; bytes] };
        let (queue, receiver) = LogQueue::bounded(2);
        assert_eq!(queue.send(entry(BYTES + 1)), Err(Dropped), "more than may ever wait");
        assert_eq!(queue.send(entry(1)), Ok(()));
        assert_eq!(queue.send(entry(BYTES)), Err(Dropped), "together too much");
        assert_eq!(queue.send(entry(1)), Ok(()));
        assert_eq!(queue.send(entry(1)), Err(Dropped), "too many");
        assert_eq!(queue.state.dropped.load(Ordering::Relaxed), 3);
        assert_eq!(queue.state.bytes.load(Ordering::Relaxed), 2);
        drop(receiver);
        assert_eq!(queue.send(entry(1)), Err(Dropped));
    }

    #[test]
    fn the_end_waits_for_what_was_sent() {
        let folder = tempfile::tempdir().unwrap();
        let place = LogPlace::new(folder.path().to_owned(), &[]);
        let path = place.find("SecDebugLog", "deep/debug.log").unwrap();
        let writer = LogWriter::start().unwrap();
        let queue = writer.queue();
        for number in 0..500 {
            let lines = format!("{number}\n").into_bytes();
            queue.send(Entry::Debug { path: path.clone(), lines }).unwrap();
        }
        writer.finish();
        let text = std::fs::read_to_string(folder.path().join("deep/debug.log")).unwrap();
        assert_eq!(text.lines().count(), 500);
        assert!(text.ends_with("499\n"));
        assert_eq!(queue.state.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(queue.send(Entry::Debug { path, lines: vec![] }), Err(Dropped));
    }
}
