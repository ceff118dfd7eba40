//! How long an answer is fresh (RFC 9111 section 4.2), and whether it may be kept at all (section 3).

use std::time::{Duration, SystemTime};

use crate::headers::{Headers, elements, is_name};
use crate::http1::response::ResponseHead;
use crate::request::Request;

/// Longest time anything is kept: 30 days.
const LONGEST: u64 = 30 * 24 * 3600;

/// How long an answer is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// From when it came.
    pub time: Duration,
    /// Whether the answer says so itself; else the route does.
    pub told: bool,
}

/// For how long from now the answer may be given to others; none when it must not be kept. `default` is what the route
/// says about answers that say nothing.
pub fn life(
    request: &Request,
    head: &ResponseHead,
    default: impl FnOnce() -> Option<Duration>,
    now: SystemTime,
) -> Option<Life> {
    let headers = &head.headers;
    let kind = matches!(head.status, 200 | 203 | 301 | 308 | 404 | 410);
    let forbidden = ["no-store", "private", "no-cache"];
    if !kind
        || headers.contains("set-cookie")
        || headers.has_token("vary", "*")
        || headers.contains("content-range")
        || forbidden.iter().any(|directive| directives(headers).any(|(name, _)| is_name(name, directive)))
        || directives(&request.headers).any(|(name, _)| is_name(name, "no-store"))
    {
        return None;
    }
    let told = |name: &str| {
        let found = directives(headers).find(|(directive, _)| is_name(directive, name));
        // A malformed number counts as stale.
        found.map(|(_, value)| seconds(value).unwrap_or(0))
    };
    let age = headers.get("age").map_or(0, |value| seconds(value).unwrap_or(u64::MAX));
    let life = told("s-maxage").or_else(|| told("max-age")).or_else(|| expires(headers, now));
    let (seconds, told) = match life {
        Some(life) => (life.saturating_sub(age), true),
        None => (default().map_or(0, |default| default.as_secs()), false),
    };
    (seconds > 0).then(|| Life { time: Duration::from_secs(seconds.min(LONGEST)), told })
}

/// Names and values of `Cache-Control`.
fn directives(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.all("cache-control").flat_map(|value| elements(value)).map(|directive| {
        let mut parts = directive.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let value = parts.next().unwrap_or_default().trim_ascii();
        (name, value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
    })
}

fn seconds(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn expires(headers: &Headers, now: SystemTime) -> Option<u64> {
    let date = |name: &str| httpdate::parse_http_date(std::str::from_utf8(headers.get(name)?).ok()?).ok();
    headers.get("expires")?;
    let from = date("date").unwrap_or(now);
    Some(date("expires").and_then(|at| at.duration_since(from).ok()).map_or(0, |life| life.as_secs()))
}
