//! Redirects by path or host.

use bytes::Bytes;

use crate::http1::target::{forwardable, normalized_path};
use crate::request::Request;

/// One redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    from: From,
    to: String,
    status: Option<u16>,
    /// Whether the rest of the path and the query follow the target.
    appends: bool,
}

/// What is redirected.
#[derive(Clone, Debug, PartialEq, Eq)]
enum From {
    /// Exactly this path.
    Path(String),
    /// This path and everything below it; without the final slash.
    Below(String),
    /// Every path of this host, in lower case.
    Host(String),
}

/// Why a redirect is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// Neither path nor host.
    #[error("`{0}` is neither a path (`/old`, `/old/*`) nor a host name")]
    From(String),
    /// Neither path nor URL.
    #[error("`{0}` is neither a path nor a URL that starts with http:// or https://")]
    To(String),
    /// Not a status of a redirect.
    #[error("{0} is no status of a redirect; use 301, 302, 303, 307 or 308")]
    Status(u16),
    /// It would be answered by itself.
    #[error("`{0}` redirects to itself")]
    Loop(String),
}

impl Redirect {
    /// From `/old` (that path alone), `/old/*` (everything below it, the rest appended) or a host (path and query
    /// appended) to a path or URL. Without a status: 301 for GET and HEAD, 308 for everything else.
    pub fn new(from: &str, to: &str, status: Option<u16>) -> Result<Self, RedirectError> {
        let legal = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let absolute = ["http://", "https://"].iter().any(|scheme| {
            to.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        });
        // Two slashes at the start would name another host.
        let path = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\");
        if !legal(to) || !(absolute || path) {
            return Err(RedirectError::To(to.to_owned()));
        }
        if let Some(status) = status.filter(|status| !matches!(status, 301 | 302 | 303 | 307 | 308)) {
            return Err(RedirectError::Status(status));
        }
        let bad_from = || RedirectError::From(from.to_owned());
        let (source, appends) = match from.strip_suffix("/*") {
            Some(below) if from.starts_with('/') => (From::Below(below.to_owned()), true),
            _ if from.starts_with('/') && legal(from) && !from.contains(['?', '#', '*']) => {
                (From::Path(from.to_owned()), false)
            }
            _ => {
                let host = crate::http1::target::host_of(from.as_bytes());
                let host = host.filter(|_| !from.contains([':', '*', '/']) && from.contains('.'));
                (From::Host(host.ok_or_else(bad_from)?), true)
            }
        };
        let to_itself = match &source {
            From::Path(path) => to == path,
            From::Below(below) => {
                to.strip_prefix(below.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            From::Host(host) => {
                let target = to.split_once("://").map_or(to, |(_, rest)| rest);
                !absolute || target.split(['/', '?', ':']).next() == Some(host)
            }
        };
        if to_itself {
            return Err(RedirectError::Loop(from.to_owned()));
        }
        Ok(Self { from: source, to: to.to_owned(), status, appends })
    }

    /// The host whose requests it answers, if it is one: the route must serve it.
    pub fn host(&self) -> Option<&str> {
        match &self.from {
            From::Host(host) => Some(host),
            From::Path(_) | From::Below(_) => None,
        }
    }

    /// Status and `Location` when it fits the request.
    pub fn answer(&self, request: &Request) -> Option<(u16, Bytes)> {
        let path_and_query = &request.path_and_query;
        let query = memchr::memchr(b'?', path_and_query).map_or(&b""[..], |mark| &path_and_query[mark..]);
        let rest: Vec<u8> = match &self.from {
            From::Path(path) => {
                (*normalized_path(path_and_query) == *path.as_bytes()).then(|| query.to_vec())?
            }
            From::Below(below) => {
                let path = normalized_path(path_and_query);
                let rest =
                    path.strip_prefix(below.as_bytes()).filter(|rest| rest.is_empty() || rest[0] == b'/')?;
                // Decoded once: what was escaped has to be escaped again.
                [&escaped(rest)[..], query].concat()
            }
            From::Host(host) => (*request.host == **host).then(|| path_and_query.to_vec())?,
        };
        let mut location = self.to.as_bytes().to_vec();
        if self.appends {
            let path = rest.strip_prefix(b"/").filter(|_| location.ends_with(b"/")).unwrap_or(&rest);
            location.extend_from_slice(&forwardable(path));
        } else if !self.to.contains('?') {
            location.extend_from_slice(&forwardable(&rest));
        }
        let safe = matches!(&request.method[..], b"GET" | b"HEAD");
        Some((self.status.unwrap_or(if safe { 301 } else { 308 }), location.into()))
    }
}

/// A decoded path as it stands in a URL.
pub fn escaped(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path {
        if matches!(byte, b'%' | b'?' | b'#') {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(*byte);
        }
    }
    forwardable(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::target::Scheme;

    fn location(redirect: &Redirect, line: &str, host: &str) -> Option<(u16, String)> {
        let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let request = crate::http1::request::parse_request(head.into(), Scheme::Http, 100).unwrap();
        let (status, to) = redirect.answer(&request)?;
        Some((status, String::from_utf8(to.to_vec()).unwrap()))
    }

    #[test]
    fn paths_and_hosts_lead_elsewhere() {
        let cases = [
            ("/old", "/new", "GET /old?a=b", Some((301, "/new?a=b"))),
            ("/old", "/new?x", "GET /old?a=b", Some((301, "/new?x"))),
            ("/old", "/new", "POST /old", Some((308, "/new"))),
            ("/old", "/new", "GET /%6fld", Some((301, "/new"))),
            ("/old", "/new", "GET /old/x", None),
            ("/old/*", "/new", "GET /old/x/y?z", Some((301, "/new/x/y?z"))),
            ("/old/*", "https://b.org/", "GET /old/a%20b%3f", Some((301, "https://b.org/a%20b%3F"))),
            ("/old/*", "/new", "GET /older", None),
            ("/old/*", "/new", "GET /old", Some((301, "/new"))),
            ("www.a.org", "https://a.org", "GET /x?y", Some((301, "https://a.org/x?y"))),
            ("www.b.org", "https://b.org", "GET /x?y", None),
            ("www.a.org", "https://a.org/", "GET //evil.org", Some((301, "https://a.org//evil.org"))),
        ];
        for (from, to, line, expected) in cases {
            let redirect = Redirect::new(from, to, None).unwrap();
            let expected = expected.map(|(status, to)| (status, to.to_owned()));
            let found = location(&redirect, line, "www.a.org");
            assert_eq!(found, expected, "{from} {line}");
        }
    }

    #[test]
    fn bad_redirects_are_refused() {
        for (from, to, status) in [
            ("old", "/new", None),
            ("/old?x", "/new", None),
            ("/a*b", "/new", None),
            ("a.org:80", "https://b.org", None),
            ("/old", "//evil.org", None),
            ("/old", "javascript:alert(1)", None),
            ("/old", "https://", None),
            ("/old", "/ne w", None),
            ("/old", "/new", Some(200)),
            ("/old", "/old", None),
            ("/old/*", "/old/new", None),
            ("a.org", "https://a.org/x", None),
            ("a.org", "/x", None),
        ] {
            assert!(Redirect::new(from, to, status).is_err(), "{from} {to}");
        }
    }
}
