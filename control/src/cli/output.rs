//! Where results go: JSON or words on stdout, progress beside them.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use crate::api::wire::{Deployed, Progress};
use crate::failure::{Failure, Kind};

/// How this invocation prints.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
    verbose: u8,
}

impl Output {
    /// From the global options.
    pub fn new(json: bool, quiet: bool, verbose: u8) -> Output {
        Output { json, quiet, verbose }
    }

    /// Whether the typed result is wanted.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result: as JSON, or as the words `human` finds for it.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub fn result<T: Serialize>(self, value: &T, human: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { self.json(value) } else { self.line(&human()) }
    }

    /// Prints that something was done: `✓ …`, or the typed result.
    ///
    /// # Errors
    /// See [`Output::result`].
    pub fn done<T: Serialize>(self, value: &T, human: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json {
            self.json(value)
        } else if self.quiet {
            Ok(())
        } else {
            self.line(&format!("✓ {}", human()))
        }
    }

    /// Prints one value as one line of JSON, for streams.
    ///
    /// # Errors
    /// See [`Output::result`].
    pub fn json_line<T: Serialize>(self, value: &T) -> Result<(), Failure> {
        self.line(&serde_json::to_string(value).map_err(|error| unprintable(&error))?)
    }

    /// Prints a line on stdout.
    ///
    /// # Errors
    /// See [`Output::result`].
    pub fn line(self, text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n"));
        written.and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::new(Kind::Interrupted, ""),
            _ => Failure::internal("cannot write to stdout").because(&error),
        })
    }

    /// Shows one message of a deployment; its last one is remembered in `end`.
    ///
    /// # Errors
    /// It says that the deployment failed; or see [`Output::result`].
    pub fn progress(self, message: Progress, end: &mut Option<Deployed>) -> Result<(), Failure> {
        match message {
            Progress::Line(text) if !self.json && !self.quiet => self.line(&text),
            Progress::Output(text) if !self.json && self.verbose > 0 => self.line(&format!("   {text}")),
            Progress::Line(_) | Progress::Output(_) => Ok(()),
            Progress::Failed(failure) => Err(failure),
            Progress::Done(deployed) => {
                *end = Some(deployed);
                Ok(())
            }
        }
    }

    fn json<T: Serialize>(self, value: &T) -> Result<(), Failure> {
        self.line(&serde_json::to_string_pretty(value).map_err(|error| unprintable(&error))?)
    }
}

fn unprintable(error: &serde_json::Error) -> Failure {
    Failure::internal("the result cannot be printed").because(error)
}
