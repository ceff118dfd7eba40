//! A command that runs to its end with its output in a build log: build steps, release commands, `before-run`.
//!
//! Blocking; call it from a thread that may block.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::app_user::AppUser;
use crate::build::log::BuildLog;
use crate::environment::Environment;
use crate::instance::Exit;
use crate::process_tree::{MARKER_VARIABLE, Membership, ProcessIdentity, members, signal_all};

/// Longest line that is kept in one piece; longer ones are cut into several.
const MAX_LINE: u64 = 16 * 1024;
/// How long output is still awaited after the command itself has ended.
const DRAIN: Duration = Duration::from_millis(500);

/// A command with everything it runs under.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// Program and arguments; the program is looked up in the environment's `PATH`.
    pub argv: Vec<String>,
    /// Working folder.
    pub folder: &'a Path,
    /// Complete environment.
    pub environment: &'a Environment,
    /// Whom to run as; `None` runs as we do.
    pub user: Option<&'a AppUser>,
    /// When it is killed.
    pub deadline: Instant,
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// It could not be started.
    #[error("cannot run `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended with a failure.
    #[error("{0}")]
    Failed(Exit),
    /// It was killed because it took too long.
    #[error("it took too long and was killed")]
    TimedOut,
}

impl Job<'_> {
    /// Runs the command to its end; output and errors go to the log in the order they come. Whatever it left
    /// running is killed.
    ///
    /// # Errors
    /// When it cannot start, fails, or takes too long.
    pub fn run(&self, log: &mut BuildLog) -> Result<(), JobError> {
        let program = self.argv.first().cloned().unwrap_or_default();
        let failed = |source| JobError::Start { program: program.clone(), source };
        let (reader, writer) = io::pipe().map_err(failed)?;
        let marker = marker();
        let mut command = self.command(&program);
        command.env(MARKER_VARIABLE, &marker);
        command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
        let mut child = command.spawn().map_err(failed)?;
        // The command holds the pipe's writing end; without it the reader never sees the end.
        drop(command);
        let leader = ProcessIdentity::of_child(child.id().cast_signed());
        let lines = read_lines(reader);
        let mut end = None;
        let result = loop {
            match lines.recv_timeout(Duration::from_millis(20)) {
                Ok(line) => log.line(&line),
                Err(RecvTimeoutError::Disconnected) if end.is_some() => break Ok(()),
                Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(5)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            match end {
                None if child.try_wait().map_err(failed)?.is_some() => end = Some(Instant::now()),
                Some(ended) if ended.elapsed() >= DRAIN => break Ok(()),
                None if Instant::now() >= self.deadline => break Err(JobError::TimedOut),
                _ => {}
            }
        };
        end_leftovers(&leader, &marker);
        let status = child.wait().map_err(failed)?;
        lines.try_iter().for_each(|line| log.line(&line));
        match result {
            Ok(()) if status.success() => Ok(()),
            Ok(()) => Err(JobError::Failed(status.into())),
            Err(error) => Err(error),
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(self.argv.iter().skip(1)).current_dir(self.folder).stdin(Stdio::null());
        command.env_clear().envs(self.environment.iter());
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        own_session(&mut command);
        command
    }
}

/// Kills what the command started and did not wait for, until nothing of it is left.
fn end_leftovers(leader: &ProcessIdentity, marker: &str) {
    for _round in 0..100 {
        let left =
            members(&Membership { session: Some(leader), marker: Some(marker), ..Membership::default() });
        if left.is_empty() {
            return;
        }
        signal_all(&left, Signal::KILL);
        thread::sleep(Duration::from_millis(10));
    }
    tracing::warn!(pid = leader.pid, "a command left processes that cannot be ended");
}

/// New with every run, within this process and across it.
fn marker() -> String {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let own = ProcessIdentity::of_child(rustix::process::getpid().as_raw_nonzero().get());
    format!("hop3-job/{}-{}/{}", own.pid, own.start_ticks, RUNS.fetch_add(1, Ordering::Relaxed))
}

/// Makes the command start in a session of its own: no terminal, and one name for all its processes.
pub(crate) fn own_session(command: &mut Command) {
    // SAFETY: the closure runs between fork and exec and only makes the setsid(2) system call, which is
    // async-signal-safe, allocates nothing and takes no lock.
    #[expect(unsafe_code, reason = "see SAFETY")]
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(drop).map_err(io::Error::from));
    }
}

fn read_lines(reader: io::PipeReader) -> mpsc::Receiver<String> {
    // Bounded: a command that writes faster than the log takes has to wait.
    let (sender, lines) = mpsc::sync_channel(256);
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            match io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&buffer);
            if sender.send(text.trim_end_matches(['\n', '\r']).to_owned()).is_err() {
                return;
            }
        }
    });
    lines
}
