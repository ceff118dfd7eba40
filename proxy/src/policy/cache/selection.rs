//! What `Vary` picks among the answers of a resource by (RFC 9111 section 4.1).
//!
//! The values are those that the back end saw. What a client sends may differ from that: a field that `Connection`
//! nominates does not reach the back end, others are set on the way.

use crate::forwarding::nominated;
use crate::headers::{Headers, elements};
use crate::http1::response::ResponseHead;
use crate::request::Request;

/// Longest names and values of one answer, in bytes. What varies by more is made for one client, and no use to others.
const LONGEST: usize = 1024;
/// Fields that no two requests share.
const UNIQUE: [&str; 3] = ["x-request-id", "traceparent", "tracestate"];

/// Names in `Vary`, in lower case, with the values that the back end saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Vec<(Box<str>, Box<[u8]>)>);

impl Selection {
    /// The selection of an answer to a request of which the back end saw these fields; none when the answer is of no use
    /// to others, or what it varies by was kept from the back end by this client.
    pub fn of(head: &ResponseHead, request: &Request, seen: &Headers) -> Option<Self> {
        let mut selection = Vec::new();
        let mut size = 0;
        let withheld = nominated(&request.headers);
        for name in head.headers.all("vary").flat_map(|value| elements(value)) {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            let known = |other: &Vec<u8>| other.eq_ignore_ascii_case(name.as_bytes());
            if UNIQUE.contains(&name.as_str()) || withheld.iter().any(known) {
                return None;
            }
            if selection.iter().any(|(other, _): &(Box<str>, _)| **other == *name) {
                continue;
            }
            let value = selected(seen, &name);
            size += name.len() + value.len();
            if size > LONGEST {
                return None;
            }
            selection.push((name.into(), value.into()));
        }
        selection.sort_unstable();
        Some(Self(selection))
    }

    /// Whether every request is meant.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a request of which the back end would see these fields is meant.
    pub fn fits(&self, seen: &Headers) -> bool {
        self.0.iter().all(|(name, value)| selected(seen, name) == **value)
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len() + 64).sum()
    }
}

fn selected(headers: &Headers, name: &str) -> Vec<u8> {
    let values: Vec<_> = headers.all(name).map(|value| &value[..]).collect();
    values.join(&b", "[..])
}
