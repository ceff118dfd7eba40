//! What a build prints: the whole in a file, the end in memory, each line to whoever watches.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Lines that are kept for error messages.
pub const TAIL_LINES: usize = 40;
/// Longest build log on disk; what comes after is dropped with a note.
pub const MAX_FILE_SIZE: u64 = 64 << 20;

/// Receives each line as it comes.
type Watcher = Box<dyn FnMut(&str) + Send>;

/// A build log. Writing never fails: a full disk must not fail a build that would succeed.
#[derive(Default)]
pub struct BuildLog {
    tail: VecDeque<String>,
    file: Option<BufWriter<File>>,
    written: u64,
    watcher: Option<Watcher>,
}

impl BuildLog {
    /// A log that only keeps its end.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// A log that also writes every line to a new file.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut log = Self::default();
        log.file = Some(BufWriter::new(File::create(path)?));
        Ok(log)
    }

    /// Also hands each line to `watcher`, as it comes.
    #[must_use]
    pub fn watched(mut self, watcher: impl FnMut(&str) + Send + 'static) -> Self {
        self.watcher = Some(Box::new(watcher));
        self
    }

    /// Adds a line (without its end).
    pub fn line(&mut self, line: &str) {
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
        if let Some(watcher) = &mut self.watcher {
            watcher(line);
        }
        self.write(line);
    }

    /// The last lines, oldest first.
    #[must_use]
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    /// Drops the tail, so that it belongs to the step that begins.
    pub fn begin_step(&mut self, title: &str) {
        self.tail.clear();
        self.line(&format!("-> {title}"));
        self.flush();
    }

    /// Hands everything to the file.
    pub fn flush(&mut self) {
        if let Some(Err(error)) = self.file.as_mut().map(Write::flush) {
            tracing::warn!(%error, "cannot write the build log");
            self.file = None;
        }
    }

    fn write(&mut self, line: &str) {
        let Some(file) = &mut self.file else { return };
        let size = line.len() as u64 + 1;
        let text = match self.written {
            written if written > MAX_FILE_SIZE => return,
            written if written + size > MAX_FILE_SIZE => "… the log is too long; the rest is dropped",
            _ => line,
        };
        self.written += size;
        if let Err(error) = writeln!(file, "{text}") {
            tracing::warn!(%error, "cannot write the build log");
            self.file = None;
        }
    }
}

impl Drop for BuildLog {
    fn drop(&mut self) {
        self.flush();
    }
}

impl fmt::Debug for BuildLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildLog")
            .field("lines_kept", &self.tail.len())
            .field("written", &self.written)
            .finish()
    }
}
