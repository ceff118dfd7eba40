//! One kept answer: its header, its body, until when it is fresh, and which requests it is for.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};

use crate::headers::{Headers, elements};
use crate::http1::response::ResponseHead;
use crate::policy::cache::{Life, Selection};
use crate::request::Request;

/// A kept answer.
#[derive(Debug)]
pub struct Entry {
    /// Its head, as it was before the route's own changes.
    pub head: ResponseHead,
    /// Its whole body.
    pub body: Bytes,
    stored: SystemTime,
    /// Its age when it came.
    initial_age: Duration,
    /// How long it is fresh.
    pub life: Life,
    /// Which requests it is for.
    pub selection: Selection,
}

impl Entry {
    /// An answer that is fresh for its `life` from `now`.
    pub fn new(selection: Selection, head: &ResponseHead, body: Bytes, life: Life, now: SystemTime) -> Self {
        let age = head.headers.get("age").and_then(|age| std::str::from_utf8(age).ok()?.parse().ok());
        let initial_age = Duration::from_secs(age.unwrap_or(0));
        Self { head: in_own_memory(head), body, stored: now, initial_age, life, selection }
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        let fields: usize =
            self.head.headers.iter().map(|field| field.name.len() + field.value.len() + 64).sum();
        fields + self.head.reason.len() + self.body.len() + self.selection.size()
    }

    /// Whether it may still be given out.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        now.duration_since(self.stored).unwrap_or_default() < self.life.time
    }

    /// The head to send: 304 when the client has the answer already, and with its `Age`.
    pub fn head_for(&self, request: &Request, now: SystemTime) -> ResponseHead {
        let mut head = self.head.clone();
        let age = now.duration_since(self.stored).unwrap_or_default() + self.initial_age;
        head.headers.set("age", age.as_secs().to_string());
        if head.status == 200 && self.is_known_to(request) {
            head.status = 304;
            head.reason = Bytes::new();
            for name in ["content-length", "content-type", "content-encoding"] {
                head.headers.remove(name);
            }
        }
        head
    }

    /// RFC 9110 section 13.2.2.
    fn is_known_to(&self, request: &Request) -> bool {
        let plain = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
        let mut tags = request.headers.all("if-none-match").flat_map(|value| elements(value)).peekable();
        if tags.peek().is_some() {
            let ours = self.head.headers.get("etag").map(|tag| plain(tag));
            return tags.any(|tag| tag == b"*" || Some(plain(tag)) == ours);
        }
        let date = |headers: &Headers, name: &str| {
            httpdate::parse_http_date(std::str::from_utf8(headers.get(name)?).ok()?).ok()
        };
        match (date(&self.head.headers, "last-modified"), date(&request.headers, "if-modified-since")) {
            (Some(modified), Some(since)) => modified <= since,
            _ => false,
        }
    }
}

/// Whether a request can be answered from, and its answer put into, the cache at all.
pub fn may_be_answered(request: &Request) -> bool {
    matches!(&request.method[..], b"GET" | b"HEAD")
        && !request.headers.contains("authorization")
        && !request.headers.contains("range")
        && !request.websocket
        && request.body == crate::http1::framing::BodyLength::Empty
}

/// A head without what it came in: its fields are parts of the buffer they were read into, which each of them would keep.
fn in_own_memory(head: &ResponseHead) -> ResponseHead {
    let mut bytes = BytesMut::with_capacity(
        head.reason.len()
            + head.headers.iter().map(|field| field.name.len() + field.value.len()).sum::<usize>(),
    );
    bytes.extend_from_slice(&head.reason);
    for field in head.headers.iter() {
        bytes.extend_from_slice(&field.name);
        bytes.extend_from_slice(&field.value);
    }
    let mut bytes = bytes.freeze();
    let reason = bytes.split_to(head.reason.len());
    let mut headers = Headers::with_capacity(head.headers.len());
    for field in head.headers.iter() {
        headers.push(bytes.split_to(field.name.len()), bytes.split_to(field.value.len()));
    }
    ResponseHead { status: head.status, reason, headers, http10: head.http10 }
}
