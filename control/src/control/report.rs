//! Telling the person who waits how far it is.

use tokio::sync::mpsc;

use crate::api::wire::Progress;

/// Where the progress of an operation goes. Never waits: lines that do not fit are dropped, the end of an operation
/// is reported elsewhere.
#[derive(Debug, Clone)]
pub struct Reporter(Option<mpsc::Sender<Progress>>);

impl Reporter {
    /// Reports into `sender`.
    pub fn new(sender: mpsc::Sender<Progress>) -> Reporter {
        Reporter(Some(sender))
    }

    /// Reports to nobody, e.g. when the person has gone.
    pub fn nobody() -> Reporter {
        Reporter(None)
    }

    /// A line of the operation itself.
    pub fn line(&self, text: impl Into<String>) {
        self.send(Progress::Line(text.into()));
    }

    /// A line that a command of the app printed.
    pub fn output(&self, text: impl Into<String>) {
        self.send(Progress::Output(text.into()));
    }

    fn send(&self, message: Progress) {
        if let Some(sender) = &self.0 {
            let _ = sender.try_send(message);
        }
    }
}
