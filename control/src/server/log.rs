//! The server's own log, on stderr: human on a terminal, JSON otherwise.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogLevel, Settings};

/// Begins logging. A second call in one process changes nothing.
pub fn begin(settings: &Settings, verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => LogLevel::Error,
        (_, 0) => settings.log_level,
        (_, 1) => LogLevel::Debug,
        _ => LogLevel::Trace,
    };
    let human = match settings.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives(level)))
        .with_writer(|| LogWriter);
    // An error means that somebody in this process has begun already.
    if human {
        let _begun = builder.with_ansi(std::io::stderr().is_terminal()).try_init();
    } else {
        let begun =
            builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init();
        JSON.store(begun.is_ok(), Ordering::Relaxed);
    }
}

/// Whether every line of the log is a JSON object.
static JSON: AtomicBool = AtomicBool::new(false);

/// Whether lines of the log are JSON, so that those which come often can be made without an event.
pub fn lines_are_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Writes the line that `make` appends; none when it fails, which memory does not.
pub fn write_line(make: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
    LINES.with_borrow_mut(|lines| {
        let mut alone = Vec::new();
        let gathers = lines.is_some();
        let out = lines.as_mut().unwrap_or(&mut alone);
        let before = out.len();
        match make(out) {
            Ok(()) => out.push(b'\n'),
            Err(_) => out.truncate(before),
        }
        if !gathers {
            // There is no other place to tell of it.
            let _ = io::stderr().write_all(&alone);
        }
    });
}

/// What events of `work` look like as JSON.
#[cfg(test)]
pub fn told_as_json(work: impl FnOnce()) -> String {
    let builder = tracing_subscriber::fmt().with_writer(|| LogWriter).with_ansi(false);
    let json = builder.json().flatten_event(true).with_current_span(false).with_span_list(false).finish();
    let gathered = Gathered::begin();
    tracing::subscriber::with_default(json, work);
    let told = LINES.with_borrow_mut(Option::take).unwrap_or_default();
    drop(gathered);
    String::from_utf8_lossy(&told).into_owned()
}

/// Writes what this thread logs during `work` at its end, in one piece: a line for each request is many.
pub fn together<T>(work: impl FnOnce() -> T) -> T {
    let gathered = Gathered::begin();
    let result = work();
    drop(gathered);
    result
}

thread_local! {
    /// What is gathered on this thread, while it is.
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// While it lives, lines are gathered; they are written when it goes, also by a panic.
struct Gathered;

impl Gathered {
    fn begin() -> Self {
        LINES.with_borrow_mut(|lines| lines.get_or_insert_default().reserve(16 * 1024));
        Self
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        let lines = LINES.with_borrow_mut(Option::take).unwrap_or_default();
        // There is no other place to tell of it.
        let _ = io::stderr().write_all(&lines);
    }
}

/// To stderr, or to what is being gathered.
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| match lines {
            Some(lines) => lines.write(line),
            None => io::stderr().write(line),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The level for our own crates; libraries speak up from `info`, and only when something is wrong below that.
fn directives(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "warn,hop3=info,hop3_proxy=info,hop3_runtimes=info,access=info,waf=info",
        LogLevel::Debug => "info,hop3=debug,hop3_proxy=debug,hop3_runtimes=debug",
        LogLevel::Trace => "debug,hop3=trace,hop3_proxy=trace,hop3_runtimes=trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_gathered_until_the_end() {
        let seen = together(|| {
            LogWriter.write_all(b"one\n").unwrap();
            write_line(|out| out.write_all(b"two"));
            write_line(|out| out.write_all(b"half").and(Err(io::ErrorKind::Other.into())));
            LINES.with_borrow(|lines| lines.clone())
        });
        assert_eq!(seen.unwrap(), b"one\ntwo\n");
        assert!(LINES.with_borrow(|lines| lines.is_none()));
    }
}
