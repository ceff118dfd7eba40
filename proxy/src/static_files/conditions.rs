//! Whether a file is sent, and which part of it: conditional requests and ranges (RFC 9110 sections 13 and 14).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::headers::{Headers, elements};
use crate::request::Request;

/// The fields of a request that decide it.
#[derive(Debug, Default)]
pub struct Conditions {
    if_match: Vec<Bytes>,
    if_none_match: Vec<Bytes>,
    if_modified_since: Option<SystemTime>,
    if_unmodified_since: Option<SystemTime>,
    if_range: Option<Bytes>,
    /// Of a GET: no other method has ranges (section 14.2).
    range: Option<Bytes>,
    now: Option<SystemTime>,
}

/// What is sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This part, 200 or 206.
    Send(Part),
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 416.
    Unsatisfiable,
}

/// A part of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// From the first to the last byte, both included.
    Bytes(u64, u64),
}

impl Conditions {
    /// The conditions of a request.
    pub fn of(request: &Request) -> Self {
        let headers = &request.headers;
        let all = |name: &'static str| headers.all(name).cloned().collect();
        Self {
            if_match: all("if-match"),
            if_none_match: all("if-none-match"),
            if_modified_since: date(headers, "if-modified-since"),
            if_unmodified_since: date(headers, "if-unmodified-since"),
            if_range: headers.get("if-range").cloned(),
            range: headers.get("range").filter(|_| &request.method[..] == b"GET").cloned(),
            now: headers.contains("if-range").then(SystemTime::now),
        }
    }

    /// In the order of section 13.2.2.
    pub fn judge(&self, etag: &str, modified: SystemTime, size: u64) -> Outcome {
        let modified = whole_seconds(modified);
        if !self.if_match.is_empty() {
            // Strong comparison: a weak tag never matches.
            if !names(&self.if_match, |tag| tag == etag.as_bytes()) {
                return Outcome::Failed;
            }
        } else if self.if_unmodified_since.is_some_and(|since| modified > since) {
            return Outcome::Failed;
        }
        if !self.if_none_match.is_empty() {
            if names(&self.if_none_match, |tag| tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()) {
                return Outcome::NotModified;
            }
        } else if self.if_modified_since.is_some_and(|since| modified <= since) {
            return Outcome::NotModified;
        }
        let Some(range) = &self.range else { return Outcome::Send(Part::Whole) };
        if let Some(condition) = &self.if_range {
            let text = std::str::from_utf8(condition).unwrap_or_default();
            // A file that was changed just now may be changed again within the second that its date names.
            let settled = self.now.is_some_and(|now| now >= modified + Duration::from_secs(1));
            let is_its_date = |date: SystemTime| settled && date == modified;
            let current = text == etag || httpdate::parse_http_date(text).is_ok_and(is_its_date);
            if !current {
                return Outcome::Send(Part::Whole);
            }
        }
        parse_range(range, size)
    }
}

fn names(values: &[Bytes], is_ours: impl Fn(&[u8]) -> bool) -> bool {
    values.iter().any(|value| elements(value).any(|tag| tag == b"*" || is_ours(tag)))
}

/// One satisfiable range is served; several or malformed ones get the whole file.
fn parse_range(value: &[u8], size: u64) -> Outcome {
    let text = std::str::from_utf8(value).ok().and_then(|text| text.strip_prefix("bytes="));
    let Some((first, last)) = text.filter(|text| !text.contains(',')).and_then(|text| text.split_once('-'))
    else {
        return Outcome::Send(Part::Whole);
    };
    let number = |text: &str| -> Option<u64> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    let bytes = |first, last| Outcome::Send(Part::Bytes(first, last));
    match (first.is_empty(), number(first), last.is_empty(), number(last)) {
        (true, _, false, Some(0)) => Outcome::Unsatisfiable,
        (true, _, false, Some(_)) if size == 0 => Outcome::Unsatisfiable,
        (true, _, false, Some(suffix)) => bytes(size.saturating_sub(suffix), size - 1),
        (false, Some(first), _, _) if first >= size => Outcome::Unsatisfiable,
        (false, Some(first), true, _) => bytes(first, size - 1),
        (false, Some(first), false, Some(last)) if first <= last => bytes(first, last.min(size - 1)),
        _ => Outcome::Send(Part::Whole),
    }
}

/// A tag that changes with the file.
pub fn entity_tag(modified: SystemTime, size: u64) -> String {
    let nanoseconds = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("\"{nanoseconds:x}-{size:x}\"")
}

fn date(headers: &Headers, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(headers.get(name)?).ok()?).ok()
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}
