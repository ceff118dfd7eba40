//! Other readings of a path than the one routes go by ([`normalized_path`]). Which rules hold for a path is our decision,
//! what it leads to is the back end's, and it is sent as it came: where the two may differ, nobody knows which rules hold.

use std::borrow::Cow;

use crate::http1::target::{normalized_path, percent_decoded};

/// Whether a back end could find a path at a place with other rules than `rules` finds for the normalized path:
///
/// - by its beginning, without following `..` (`/admin/../public`),
/// - with an escaped slash or a backslash as part of a name (`/public%2fx`),
/// - without what follows a `;` in each segment, as servlet containers have it (`/admin;x`, `/public/..;/admin`).
pub fn differ<T: PartialEq>(path_and_query: &[u8], rules: impl Fn(&[u8]) -> T) -> bool {
    let path = path_and_query.split(|byte| *byte == b'?').next().unwrap_or_default();
    let normalized = normalized_path(path);
    if matches!(normalized, Cow::Borrowed(_)) && !path.contains(&b';') {
        return false;
    }
    let own = rules(&normalized);
    let decoded = percent_decoded(path);
    let is_other = |path: &[u8]| rules(path) != own;
    let has_parameters = decoded.contains(&b';');
    wanders(&decoded, is_other)
        || (hides_slashes(path) && is_other(path))
        || (has_parameters && wanders(&without_parameters(&decoded), is_other))
}

/// Whether a path ends at, or leaves by `..`, a place for which `is_other` holds.
fn wanders(decoded: &[u8], is_other: impl Fn(&[u8]) -> bool) -> bool {
    let mut place = Vec::with_capacity(decoded.len());
    for segment in decoded.split(|byte| matches!(byte, b'/' | b'\\')) {
        match segment {
            b"" | b"." => {}
            b".." => {
                if is_other(&place) {
                    return true;
                }
                let parent = place.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                place.truncate(parent);
            }
            name => {
                place.push(b'/');
                place.extend_from_slice(name);
            }
        }
    }
    is_other(&place)
}

/// Whether what separates segments for us may be part of a name for others.
fn hides_slashes(path: &[u8]) -> bool {
    let is_escaped = |three: &[u8]| three.eq_ignore_ascii_case(b"%2f") || three.eq_ignore_ascii_case(b"%5c");
    path.contains(&b'\\') || path.windows(3).any(is_escaped)
}

/// Every segment up to its first `;`.
fn without_parameters(decoded: &[u8]) -> Vec<u8> {
    let mut inside = false;
    let kept = decoded.iter().copied().filter(|byte| {
        inside = match byte {
            b'/' | b'\\' => false,
            b';' => true,
            _ => inside,
        };
        !inside
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules for `/admin`, `/admin/public` and everything else.
    fn rules(path: &[u8]) -> &'static str {
        let is_in = |prefix: &str| {
            let rest = path.strip_prefix(prefix.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        match () {
            () if is_in("/admin/public") => "public",
            () if is_in("/admin") => "admin",
            () => "rest",
        }
    }

    #[test]
    fn paths_that_others_may_read_differently() {
        for path in [
            "/admin/../pub",
            "/admin/..%2fpub",
            "/admin%2f..%2fpub",
            "/admin/.//..//x",
            "/%61dmin/%2e%2e/pub",
            "/admin\\..\\pub",
            "/pub/../admin",
            "/x/y/../../admin/z",
            "/admin/public/../x",
            "/admin/public/..;/x",
            "/admin/public%2fx",
            "/admin%2fx",
            "/admin%5cx",
            "/admin;x",
            "/admin;x=1/y",
            "/admin%3bx/y",
            "/x/..;/admin",
            "/admin/public;x",
        ] {
            assert!(differ(path.as_bytes(), rules), "{path}");
        }
        for path in [
            "/",
            "/admin",
            "//admin//x",
            "/./admin",
            "/%61dmin/x",
            "/x/../y",
            "/x/..%2fy/%2e",
            "/files/a%2fb",
            "/admin/a%2fb",
            "/admin/x/../y",
            "/admin/public/a;b=c",
            "/x;y/z?/admin/../a;b",
            "/x?next=/admin/..;/",
            "/a%25zz;b",
            "/..",
            "*",
        ] {
            assert!(!differ(path.as_bytes(), rules), "{path}");
        }
    }

    #[test]
    fn without_several_rules_every_path_is_as_good() {
        for path in ["/a/../b", "/a%2f..%2fb;c", "/..;/x\\y"] {
            assert!(!differ(path.as_bytes(), |_| ()), "{path}");
        }
    }
}
