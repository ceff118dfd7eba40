//! How long an answer is fresh (RFC 9111 section 4.2), and whether it may be kept at all (section 3).

use std::time::{Duration, SystemTime};

use crate::headers::{Headers, elements, is_name};
use crate::http1::response::ResponseHead;
use crate::request::Request;

/// Longest time anything is kept: 30 days.
const LONGEST: u64 = 30 * 24 * 3600;

/// For how long from now the answer may be given to others; none when it must not be kept. `default` is what the route
/// says about answers that say nothing.
pub fn life(
    request: &Request,
    head: &ResponseHead,
    default: Option<Duration>,
    now: SystemTime,
) -> Option<Duration> {
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
    let life = match (life, default) {
        (Some(life), _) => life.saturating_sub(age),
        // Nothing says that others may see what was made for somebody with a cookie.
        (None, Some(_)) if request.headers.contains("cookie") => 0,
        (None, Some(default)) => default.as_secs(),
        (None, None) => 0,
    };
    (life > 0).then(|| Duration::from_secs(life.min(LONGEST)))
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
