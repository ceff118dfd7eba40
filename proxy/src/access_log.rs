//! Access records as lines: Common and Combined Log Format, JSON. Secrets in queries are masked, successes may be
//! sampled.
//!
//! Where lines are written to is the caller's business.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::events::AccessRecord;

/// What stands for a masked value.
const MASK: &str = "***";

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// `host - - [time] "request" status bytes`, as NCSA's server wrote it.
    Common,
    /// The same with `"referer" "user-agent"` behind it.
    Combined,
    /// One object a line, with everything that is known.
    #[default]
    Json,
}

/// Which requests are written: of those that went well one of so many, the others always.
#[derive(Debug)]
pub struct AccessSample {
    one_of: u64,
    seen: AtomicU64,
}

impl AccessSample {
    /// One of so many (at least 1) successful requests.
    pub fn new(one_of: u64) -> Self {
        Self { one_of: one_of.max(1), seen: AtomicU64::new(0) }
    }

    /// Whether this one is written.
    pub fn takes(&self, record: &AccessRecord) -> bool {
        let well = record.status < 400 && record.note.is_none();
        !well || self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.one_of)
    }
}

/// Makes lines of records.
#[derive(Debug)]
pub struct AccessLog {
    format: AccessLogFormat,
    sample: AccessSample,
    /// Names of query parameters, in lower case, whose values are secrets.
    masked: Vec<String>,
}

impl AccessLog {
    /// Names of query parameters that are masked unless others are given.
    pub const SECRETS: [&'static str; 20] = [
        "access_token",
        "api_key",
        "apikey",
        "auth",
        "authorization",
        "client_secret",
        "code",
        "id_token",
        "jwt",
        "key",
        "pass",
        "passwd",
        "password",
        "pwd",
        "refresh_token",
        "secret",
        "session",
        "sig",
        "signature",
        "token",
    ];

    /// Lines of this format for one of `sample` (at least 1) successful requests. `masked` are the names of query
    /// parameters whose values are hidden, compared without case; `*` hides all.
    pub fn new(
        format: AccessLogFormat,
        sample: u64,
        masked: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        let masked = masked.into_iter().map(|name| name.as_ref().to_ascii_lowercase()).collect();
        Self { format, sample: AccessSample::new(sample), masked }
    }

    /// The line without its end; `None` for a success that is not in the sample.
    pub fn line(&self, record: &AccessRecord) -> Option<String> {
        if !self.sample.takes(record) {
            return None;
        }
        Some(match self.format {
            AccessLogFormat::Common => self.common(record),
            AccessLogFormat::Combined => {
                let mut line = self.common(record);
                let referer =
                    record.referer.as_deref().map_or(Cow::Borrowed("-"), |referer| self.masked(referer));
                let agent = record.user_agent.as_deref().unwrap_or("-");
                let _ = write!(line, " \"{}\" \"{}\"", quoted(&referer), quoted(agent));
                line
            }
            AccessLogFormat::Json => self.json(record),
        })
    }

    fn common(&self, record: &AccessRecord) -> String {
        let sent = if record.sent == 0 { "-".to_owned() } else { record.sent.to_string() };
        format!(
            "{} - - [{}] \"{} {} {}\" {} {sent}",
            record.client,
            common_time(record.time),
            quoted(&record.method),
            quoted(&self.masked(&record.target)),
            record.protocol,
            record.status,
        )
    }

    fn json(&self, record: &AccessRecord) -> String {
        let mut line = String::with_capacity(384);
        let since = record.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let _ = write!(line, "{{\"time\":{}.{:03}", since.as_secs(), since.subsec_millis());
        let mut text = |name: &str, value: &str| {
            let _ = write!(line, ",\"{name}\":");
            json_string(&mut line, value);
        };
        text("id", &record.id);
        text("app", &record.app);
        text("client", &record.client.to_string());
        text("method", &record.method);
        text("host", &record.host);
        text("target", &self.masked(&record.target));
        text("protocol", record.protocol);
        let optional = [
            ("user_agent", record.user_agent.as_deref().map(Cow::Borrowed)),
            ("referer", record.referer.as_deref().map(|referer| self.masked(referer))),
            ("note", record.note.as_deref().map(Cow::Borrowed)),
            ("trace", record.trace.map(|span| Cow::Owned(format!("{:032x}", span.trace)))),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                text(name, &value);
            }
        }
        let milliseconds = record.duration.as_secs_f64() * 1000.0;
        let (status, received, sent) = (record.status, record.received, record.sent);
        let _ = write!(
            line,
            ",\"status\":{status},\"received\":{received},\"sent\":{sent},\"ms\":{milliseconds:.3}"
        );
        if let Some(upstream) = record.upstream {
            let _ = write!(line, ",\"upstream_ms\":{:.3}", upstream.as_secs_f64() * 1000.0);
        }
        line.push('}');
        line
    }

    /// The text with the values of secret query parameters hidden.
    fn masked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some((path, query)) = text.split_once('?') else { return Cow::Borrowed(text) };
        if self.masked.is_empty() || !query.contains('=') {
            return Cow::Borrowed(text);
        }
        let mut shown = String::with_capacity(text.len());
        shown.push_str(path);
        let mut separator = '?';
        for (pair, next) in pairs(query) {
            shown.push(separator);
            separator = next;
            match pair.split_once('=') {
                Some((name, value)) if !value.is_empty() && self.hides(name) => {
                    shown.push_str(name);
                    shown.push('=');
                    shown.push_str(MASK);
                }
                _ => shown.push_str(pair),
            }
        }
        Cow::Owned(shown)
    }

    /// Whether a parameter's value is hidden; `user[password]` and `p%61ssword` are what they mean.
    fn hides(&self, name: &str) -> bool {
        let name = crate::http1::target::percent_decoded(name.as_bytes());
        let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
        let last = name.trim_end_matches(']').rsplit(['[', '.']).next().unwrap_or_default();
        self.masked.iter().any(|masked| masked == "*" || *masked == name || masked == last)
    }
}

/// The parameters of a query, each with the separator that follows it.
fn pairs(query: &str) -> impl Iterator<Item = (&str, char)> {
    let mut rest = Some(query);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some(end) = text.find(['&', ';']) else { return Some((text, '&')) };
        rest = Some(&text[end + 1..]);
        Some((&text[..end], if text.as_bytes()[end] == b';' { ';' } else { '&' }))
    })
}

/// `06/Nov/1994:08:49:37 +0000`.
fn common_time(time: SystemTime) -> String {
    // `Sun, 06 Nov 1994 08:49:37 GMT`, with every part in its place.
    let http = httpdate::fmt_http_date(time);
    let part = |range| http.get::<std::ops::Range<usize>>(range).unwrap_or_default();
    format!("{}/{}/{}:{} +0000", part(5..7), part(8..11), part(12..16), part(17..25))
}

/// For a place between quotation marks. Control characters were escaped when the record was made.
fn quoted(text: &str) -> Cow<'_, str> {
    if text.contains(['"', '\\']) {
        Cow::Owned(text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        Cow::Borrowed(text)
    }
}

/// A JSON string (RFC 8259 section 7).
fn json_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            character if (character as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", character as u32);
            }
            character => out.push(character),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn record(target: &str) -> AccessRecord {
        AccessRecord {
            id: "ID".to_owned(),
            time: UNIX_EPOCH + Duration::from_millis(784_111_777_250),
            app: "shop".into(),
            client: "192.0.2.7".parse().unwrap(),
            method: "GET".to_owned(),
            host: "shop.test".into(),
            target: target.to_owned(),
            protocol: "HTTP/1.1",
            status: 200,
            received: 0,
            sent: 2326,
            duration: Duration::from_micros(1500),
            upstream: Some(Duration::from_millis(1)),
            user_agent: Some("a \"b\" \\c".to_owned()),
            referer: Some("http://x/?token=t".to_owned()),
            note: None,
            trace: None,
        }
    }

    fn log(format: AccessLogFormat) -> AccessLog {
        AccessLog::new(format, 1, AccessLog::SECRETS)
    }

    #[test]
    fn three_formats() {
        let record = record("/a?q=\"1\"&password=p");
        assert_eq!(
            log(AccessLogFormat::Common).line(&record).as_deref(),
            Some(
                "192.0.2.7 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?q=\\\"1\\\"&password=*** HTTP/1.1\" 200 2326"
            )
        );
        let combined = log(AccessLogFormat::Combined).line(&record).unwrap();
        assert!(combined.ends_with(" 200 2326 \"http://x/?token=***\" \"a \\\"b\\\" \\\\c\""), "{combined}");
        let json = log(AccessLogFormat::Json).line(&record).unwrap();
        let expected = "{\"time\":784111777.250,\"id\":\"ID\",\"app\":\"shop\",\"client\":\"192.0.2.7\",\
            \"method\":\"GET\",\"host\":\"shop.test\",\"target\":\"/a?q=\\\"1\\\"&password=***\",\
            \"protocol\":\"HTTP/1.1\",\"user_agent\":\"a \\\"b\\\" \\\\c\",\"referer\":\"http://x/?token=***\",\
            \"status\":200,\"received\":0,\"sent\":2326,\"ms\":1.500,\"upstream_ms\":1.000}";
        assert_eq!(json, expected);
    }

    #[test]
    fn secrets_are_masked_whatever_their_spelling() {
        let log = log(AccessLogFormat::Json);
        for (target, shown) in [
            ("/a", "/a"),
            ("/a?b", "/a?b"),
            ("/a?b=c&d", "/a?b=c&d"),
            ("/?TOKEN=x&b=c", "/?TOKEN=***&b=c"),
            ("/?b=c;key=x&", "/?b=c;key=***&"),
            ("/?p%61ssword=x", "/?p%61ssword=***"),
            ("/?user[password]=x&a.secret=y", "/?user[password]=***&a.secret=***"),
            ("/?token=a=b?c", "/?token=***"),
            ("/?token=", "/?token="),
            ("/?monkey=x", "/?monkey=x"),
        ] {
            assert_eq!(log.masked(target), shown);
        }
        let all = AccessLog::new(AccessLogFormat::Json, 1, ["*"]);
        assert_eq!(all.masked("/?a=b&c=d"), "/?a=***&c=***");
        let none = AccessLog::new(AccessLogFormat::Json, 1, [""; 0]);
        assert_eq!(none.masked("/?token=b"), "/?token=b");
    }

    #[test]
    fn successes_are_sampled_and_failures_are_not() {
        let log = AccessLog::new(AccessLogFormat::Common, 10, [""; 0]);
        let (good, mut bad) = (record("/"), record("/"));
        bad.status = 500;
        let written = |record: &AccessRecord| (0..100).filter(|_| log.line(record).is_some()).count();
        assert_eq!(written(&good), 10);
        assert_eq!(written(&bad), 100);
        (bad.status, bad.note) = (200, Some("client left".to_owned()));
        assert_eq!(written(&bad), 100);
    }
}
