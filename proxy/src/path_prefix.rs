//! The path of a route's back end, which may know nothing of the prefix that the route has.

use bytes::Bytes;

use crate::http1::target::{normalized_path, percent_decoded};
use crate::policy::redirect::escaped;

/// The path without a prefix that it has once it is normalized.
pub fn without_prefix(path_and_query: &Bytes, prefix: &[u8]) -> Bytes {
    let rest = path_and_query.strip_prefix(prefix).filter(|rest| !climbs(rest));
    match rest.and_then(<[u8]>::first) {
        // As it was sent, as long as that begins with the prefix letter by letter.
        Some(b'/') => return path_and_query.slice(prefix.len()..),
        Some(b'?') => return [b"/", rest.unwrap_or_default()].concat().into(),
        _ => {}
    }
    let path = normalized_path(path_and_query);
    let rest = path.strip_prefix(prefix).unwrap_or(&path);
    let query = memchr::memchr(b'?', path_and_query).map_or(&b""[..], |mark| &path_and_query[mark..]);
    let slash: &[u8] = if rest.starts_with(b"/") { b"" } else { b"/" };
    [slash, &escaped(rest), query].concat().into()
}

/// Whether a path has a segment `..`, however it is spelt: without its prefix it could lead above the back end's root.
fn climbs(path_and_query: &[u8]) -> bool {
    let path = path_and_query.split(|byte| *byte == b'?').next().unwrap_or_default();
    let has_up =
        |path: &[u8]| path.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| segment == b"..");
    if path.contains(&b'%') { has_up(&percent_decoded(path)) } else { has_up(path) }
}
