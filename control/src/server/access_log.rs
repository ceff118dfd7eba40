//! Where requests are logged: in the server's log, or as lines of a file of their own, which is appended to, flushed in
//! batches, and opened anew when something moved it away.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hop3_proxy::{AccessLog, AccessRecord, AccessSample};
use serde::{Serialize, Serializer};

use super::log;
use crate::failure::{Failure, chain};
use crate::settings::{AccessLogSettings, Settings};

/// Where requests are logged.
#[derive(Debug)]
pub enum RequestLog {
    /// Nowhere.
    Off,
    /// In the server's own log, those of the sample.
    Server(AccessSample),
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
            None => RequestLog::Server(AccessSample::new(settings.log_sample)),
        })
    }

    /// Notes a request, if it is to be noted.
    pub fn write(&mut self, record: &AccessRecord) {
        match self {
            RequestLog::Off => {}
            RequestLog::Server(sample) if sample.takes(record) => log_request(record),
            RequestLog::Server(_) => {}
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

/// A request in the server's log: as a line made here where lines are JSON, since that costs a fifth of an event.
fn log_request(record: &AccessRecord) {
    let noted = Noted::from(record);
    if log::lines_are_json() && tracing::enabled!(target: "access", tracing::Level::INFO) {
        log::write_line(|out| noted.write(SystemTime::now(), out));
    } else {
        noted.tell();
    }
}

/// What the server's log says of a request. The order is that of its fields in JSON.
#[derive(Serialize)]
struct Noted<'r> {
    message: &'static str,
    id: &'r str,
    app: &'r str,
    client: IpAddr,
    method: &'r str,
    host: &'r str,
    path: &'r str,
    protocol: &'static str,
    status: u16,
    received: u64,
    sent: u64,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'r str>,
}

impl<'r> From<&'r AccessRecord> for Noted<'r> {
    fn from(record: &'r AccessRecord) -> Self {
        Self {
            message: "request",
            id: &record.id,
            app: &record.app,
            client: record.client,
            method: &record.method,
            host: &record.host,
            // The query may hold secrets.
            path: record.target.split('?').next().unwrap_or_default(),
            protocol: record.protocol,
            status: record.status,
            received: record.received,
            sent: record.sent,
            ms: record.duration.as_micros() as f64 / 1000.0,
            note: record.note.as_deref(),
        }
    }
}

impl Noted<'_> {
    /// The line that [`Noted::tell`] leads to where lines are JSON.
    fn write(&self, now: SystemTime, out: &mut Vec<u8>) -> io::Result<()> {
        /// Around the request as around every event.
        #[derive(Serialize)]
        struct Line<'n, 'r> {
            #[serde(serialize_with = "as_text")]
            timestamp: humantime::Rfc3339Timestamp,
            level: &'static str,
            #[serde(flatten)]
            noted: &'n Noted<'r>,
            target: &'static str,
        }
        let timestamp = humantime::format_rfc3339_micros(now);
        let line = Line { timestamp, level: "INFO", noted: self, target: "access" };
        serde_json::to_writer(out, &line).map_err(io::Error::from)
    }

    fn tell(&self) {
        tracing::info!(
            target: "access",
            id = self.id,
            app = self.app,
            client = %self.client,
            method = self.method,
            host = self.host,
            path = self.path,
            protocol = self.protocol,
            status = self.status,
            received = self.received,
            sent = self.sent,
            ms = self.ms,
            note = self.note,
            "{}",
            self.message
        );
    }
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
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
    fn a_line_of_ours_is_what_the_event_leads_to() {
        let mut record = record("/a\"b\\é?token=x");
        record.duration = Duration::from_nanos(1_234_567);
        for note in [None, Some("client: left\t")] {
            record.note = note.map(str::to_owned);
            let noted = Noted::from(&record);
            let told = log::told_as_json(|| noted.tell());
            let mut line = Vec::new();
            noted.write(SystemTime::UNIX_EPOCH, &mut line).unwrap();
            let line = String::from_utf8(line).unwrap();
            let (time, rest) = line.split_at(r#"{"timestamp":"1970-01-01T00:00:00.000000Z""#.len());
            assert_eq!(time, r#"{"timestamp":"1970-01-01T00:00:00.000000Z""#);
            assert_eq!(Some(rest), told.trim_end().get(time.len()..));
            assert!(
                rest.contains(r#""path":"/a\"b\\é","protocol""#) && rest.contains(r#""ms":1.234"#),
                "{rest}"
            );
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
