//! Where requests are logged: in the server's log, or as lines of a file of their own, which is appended to, flushed in
//! batches, and opened anew when something moved it away.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hop3_proxy::{AccessLog, AccessRecord};

use crate::failure::{Failure, chain};
use crate::settings::{AccessLogSettings, Settings};

/// Where requests are logged.
#[derive(Debug)]
pub enum RequestLog {
    /// Nowhere.
    Off,
    /// In the server's own log.
    Server,
    /// In a file of their own.
    File(AccessFile),
}

impl RequestLog {
    /// As configured.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(settings: &Settings) -> Result<RequestLog, Failure> {
        Ok(match &settings.log_requests {
            _ if !settings.log_access => RequestLog::Off,
            Some(file) => RequestLog::File(AccessFile::open(file)?),
            None => RequestLog::Server,
        })
    }

    /// Notes a request, if it is to be noted.
    pub fn write(&mut self, record: &AccessRecord) {
        match self {
            RequestLog::Off => {}
            RequestLog::Server => log_request(record),
            RequestLog::File(file) => file.write(record),
        }
    }

    /// Hands everything to the system. Blocking.
    pub fn flush(&mut self) {
        if let RequestLog::File(file) = self {
            file.flush();
        }
    }
}

/// A file that takes a line for each request.
#[derive(Debug)]
pub struct AccessFile {
    path: PathBuf,
    lines: AccessLog,
    out: BufWriter<File>,
    /// Whether the last write failed; told once, not for every line.
    failing: bool,
}

impl AccessFile {
    /// Opens the file for appending, and makes it when it is not there.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(settings: &AccessLogSettings) -> Result<Self, Failure> {
        let lines = match &settings.mask {
            Some(mask) => AccessLog::new(settings.format, settings.sample, mask),
            None => AccessLog::new(settings.format, settings.sample, AccessLog::SECRETS),
        };
        let file = append(&settings.file).map_err(|error| {
            Failure::usage(format!("cannot write request lines to `{}`", settings.file.display()))
                .because(&error)
                .hint("choose another `file` under [server.log.requests], or make its folder")
        })?;
        Ok(Self { path: settings.file.clone(), lines, out: BufWriter::new(file), failing: false })
    }

    /// Adds the line of a request, if it is to have one.
    pub fn write(&mut self, record: &AccessRecord) {
        if let Some(mut line) = self.lines.line(record) {
            line.push('\n');
            // In one piece, so that two servers, of which one follows the other, can append to the same file.
            if let Err(error) = self.out.write_all(line.as_bytes()) {
                self.tell(&error);
            }
        }
    }

    /// Hands everything to the system; then sees whether the file is still where it was (logrotate moves it).
    pub fn flush(&mut self) {
        match self.out.flush().and_then(|()| self.reopen_if_moved()) {
            // Only now is it known that lines arrive: what goes into the buffer says nothing about the disk.
            Ok(()) => self.failing = false,
            Err(error) => self.tell(&error),
        }
    }

    fn reopen_if_moved(&mut self) -> io::Result<()> {
        let ours = self.out.get_ref().metadata()?;
        let same = std::fs::metadata(&self.path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
        if !same {
            self.out = BufWriter::new(append(&self.path)?);
        }
        Ok(())
    }

    fn tell(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(error = chain(error), file = %self.path.display(), "request lines are lost");
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    // Addresses and paths of visitors are nobody else's business.
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn log_request(record: &AccessRecord) {
    let path = record.target.split('?').next().unwrap_or_default();
    tracing::info!(
        target: "access",
        id = record.id,
        app = &*record.app,
        client = %record.client,
        method = record.method,
        host = &*record.host,
        // The query may hold secrets.
        path,
        protocol = record.protocol,
        status = record.status,
        received = record.received,
        sent = record.sent,
        ms = record.duration.as_secs_f64() * 1000.0,
        note = record.note,
        "request"
    );
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use hop3_proxy::AccessLogFormat;

    use super::*;

    fn record(target: &str) -> AccessRecord {
        AccessRecord {
            id: "ID".to_owned(),
            time: SystemTime::UNIX_EPOCH,
            app: "shop".into(),
            client: "192.0.2.7".parse().unwrap(),
            method: "GET".to_owned(),
            host: "shop.test".into(),
            target: target.to_owned(),
            protocol: "HTTP/1.1",
            status: 200,
            received: 0,
            sent: 5,
            duration: Duration::ZERO,
            upstream: None,
            user_agent: None,
            referer: None,
            note: None,
            trace: None,
        }
    }

    #[test]
    fn a_file_that_is_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.log");
        let settings =
            AccessLogSettings { file: path.clone(), format: AccessLogFormat::Common, sample: 1, mask: None };
        let mut log = AccessFile::open(&settings).unwrap();
        log.write(&record("/1"));
        log.flush();
        let moved = folder.path().join("requests.log.1");
        fs::rename(&path, &moved).unwrap();
        log.write(&record("/2"));
        log.flush();
        log.write(&record("/3?token=x"));
        log.flush();
        let old = fs::read_to_string(&moved).unwrap();
        assert!(old.contains("GET /1 ") && old.contains("GET /2 ") && !old.contains("/3"), "{old}");
        let new = fs::read_to_string(&path).unwrap();
        assert_eq!(new, "192.0.2.7 - - [01/Jan/1970:00:00:00 +0000] \"GET /3?token=*** HTTP/1.1\" 200 5\n");
        let missing = AccessLogSettings { file: folder.path().join("none/a.log"), ..settings };
        assert!(AccessFile::open(&missing).unwrap_err().to_string().contains("[server.log.requests]"));
    }

    #[test]
    fn a_full_disk_is_told_once() {
        let file = PathBuf::from("/dev/full");
        let settings = AccessLogSettings { file, format: AccessLogFormat::Common, sample: 1, mask: None };
        let mut log = AccessFile::open(&settings).unwrap();
        for _ in 0..3 {
            log.write(&record("/1"));
            log.flush();
            assert!(log.failing);
            log.write(&record("/2"));
            assert!(log.failing, "a line in the buffer is not on the disk");
        }
    }

    #[test]
    fn lines_longer_than_the_buffer_stay_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.log");
        let settings =
            AccessLogSettings { file: path.clone(), format: AccessLogFormat::Json, sample: 1, mask: None };
        let (mut one, mut two) = (AccessFile::open(&settings).unwrap(), AccessFile::open(&settings).unwrap());
        for length in [10, 3000, 9000, 20_000] {
            let target = format!("/{}", "x".repeat(length));
            for _ in 0..20 {
                one.write(&record(&target));
                two.write(&record(&target));
            }
        }
        one.flush();
        two.flush();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 160);
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    }
}
