//! What the processes of an app, or its last build, wrote.

use std::path::PathBuf;
use std::time::Duration;

use hop3_runtimes::logs::read::{self, Follower, LogPart, Query};
use tokio::sync::mpsc;

use super::{Control, fleet};
use crate::api::wire::{LogEntry, LogQuery};
use crate::failure::Failure;
use crate::model::{AppName, ReleaseNumber};

/// Between looks for new lines.
const POLL: Duration = Duration::from_millis(250);

impl Control {
    /// The lines asked for, then new ones as they come when that is wanted.
    ///
    /// # Errors
    /// The app does not exist, nothing was built yet, or a log cannot be read.
    pub fn logs(&self, name: &AppName, query: LogQuery) -> Result<mpsc::Receiver<LogEntry>, Failure> {
        let app = self.existing(name)?;
        let lines = query.lines.unwrap_or(100).min(read::MAX_LINES);
        let (sender, receiver) = mpsc::channel(256);
        if query.build {
            let log = self
                .build_log(name, app.last_release)
                .ok_or_else(|| Failure::not_found(format!("nothing was built for '{name}' yet")))?;
            let mut lines = read::last_lines(&log, lines);
            if let Some(text) = &query.grep {
                lines.retain(|line| line.contains(text.as_str()));
            }
            let part = LogPart { name: "build".into(), lines };
            tokio::spawn(async move { send(&sender, vec![part]).await });
            return Ok(receiver);
        }
        let process = query.process.as_deref().map(read::parse_process).transpose();
        let process = process.map_err(|error| Failure::usage(error.to_string()))?;
        let wanted = Query { lines, grep: query.grep, process };
        let folder = fleet::log_dir(&self.data, name);
        let failed = |error: std::io::Error| Failure::internal("the logs cannot be read").because(&error);
        // The follower is placed first: a line may then be seen twice, but none is missed.
        let mut follower = Follower::at_end(&folder, wanted.clone()).map_err(failed)?;
        let parts = read::tail(&folder, &wanted).map_err(failed)?;
        let mut stopping = self.stopping.clone();
        tokio::spawn(async move {
            if !send(&sender, parts).await || !query.follow {
                return;
            }
            loop {
                tokio::select! {
                    () = tokio::time::sleep(POLL) => {}
                    _ = stopping.wait_for(|stopping| *stopping) => return,
                    () = sender.closed() => return,
                }
                let Ok(parts) = tokio::task::block_in_place(|| follower.poll()) else { return };
                if !send(&sender, parts).await {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    /// The log of the newest build there was.
    fn build_log(&self, app: &AppName, last: Option<ReleaseNumber>) -> Option<PathBuf> {
        let newest = last?.0;
        (1..=newest)
            .rev()
            .map(|number| self.build_log_of(app, ReleaseNumber(number)))
            .find(|log| log.is_file())
    }

    /// Where a release's build writes.
    pub(super) fn build_log_of(&self, app: &AppName, release: ReleaseNumber) -> PathBuf {
        self.data.release(app, release).join("build.log")
    }
}

/// Sends every line; `false` when nobody listens any more.
async fn send(sender: &mpsc::Sender<LogEntry>, parts: Vec<LogPart>) -> bool {
    for part in parts {
        for line in part.lines {
            let entry = LogEntry { source: part.name.clone(), line };
            if sender.send(entry).await.is_err() {
                return false;
            }
        }
    }
    true
}
