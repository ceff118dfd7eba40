//! An HTTP/2 request as the pipeline's request: pseudo header fields back to their HTTP/1.1 places (RFC 9113 section 8.3).

use bytes::Bytes;

use crate::headers::{Headers, is_name};
use crate::http1::field::{FieldError, check_value, is_token_byte};
use crate::http1::framing::{BodyLength, Refusal, content_length};
use crate::http1::refused::{RefusedHead, RefusedRequest};
use crate::http1::request::expects_continue;
use crate::http1::target::{Scheme, host_of, parse_target};
use crate::request::{Request, Version};

/// Checks and converts the head of a stream. `ended` says that no body follows.
pub fn convert(
    parts: &http::request::Parts,
    ended: bool,
    scheme: Scheme,
    max_fields: usize,
) -> Result<Request, Refusal> {
    let method = Bytes::copy_from_slice(parts.method.as_str().as_bytes());
    if matches!(&method[..], b"TRACE" | b"CONNECT") {
        return Err(Refusal::MethodNotAllowed);
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let target = Bytes::copy_from_slice(path.as_bytes());
    let parsed =
        parse_target(&target, &method).filter(|parsed| parsed.absolute.is_none()).ok_or(Refusal::Target)?;
    if parts.uri.authority().is_some() && parts.uri.scheme_str() != Some(scheme.as_str()) {
        return Err(Refusal::AuthorityMismatch);
    }
    let headers = headers(parts, max_fields)?;
    let authority = authority(parts, &headers)?;
    let length = content_length(&headers)?;
    let expects_continue = expects_continue(&headers, Version::Http2)?;
    let body = match length {
        _ if ended => BodyLength::Empty,
        Some(0) => BodyLength::Streamed,
        Some(length) => BodyLength::Known(length),
        None => BodyLength::Streamed,
    };
    Ok(Request {
        version: Version::Http2,
        scheme,
        host: host_of(&authority).ok_or(Refusal::Host)?.into(),
        method,
        target,
        path_and_query: parsed.path_and_query,
        authority,
        headers,
        body,
        keep_alive: true,
        expects_continue,
        websocket: false,
    })
}

/// The head of a stream that [`convert`] refused; at most `max_fields` fields of it.
pub fn refused_request(refusal: Refusal, parts: &http::request::Parts, max_fields: usize) -> RefusedRequest {
    let copy = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let mut headers = Headers::with_capacity(parts.headers.len() + 1);
    if let (Some(authority), false) = (parts.uri.authority(), parts.headers.contains_key("host")) {
        headers.push("host", copy(authority.as_str()));
    }
    for (name, value) in parts.headers.iter().take(max_fields) {
        headers.push(copy(name.as_str()), Bytes::copy_from_slice(value.as_bytes()));
    }
    let head = RefusedHead {
        method: copy(parts.method.as_str()),
        target: copy(parts.uri.path_and_query().map_or("/", |path| path.as_str())),
        protocol: Bytes::from_static(Version::Http2.as_str().as_bytes()),
        headers,
    };
    let line = format!("{} {}", parts.method, parts.uri);
    let complete = parts.headers.len() <= max_fields;
    RefusedRequest { head: Some(head), complete, ..RefusedRequest::part(refusal, line.as_bytes()) }
}

/// `:authority`, or `Host` in its place; both must agree.
fn authority(parts: &http::request::Parts, headers: &Headers) -> Result<Bytes, Refusal> {
    let mut hosts = headers.all("host");
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::HostRepeated);
    }
    match (parts.uri.authority(), host) {
        (Some(authority), Some(host)) if !host.eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            Err(Refusal::AuthorityMismatch)
        }
        (Some(authority), _) => Ok(Bytes::copy_from_slice(authority.as_str().as_bytes())),
        (None, Some(host)) => Ok(host.clone()),
        (None, None) => Err(Refusal::HostMissing),
    }
}

/// All fields; `Cookie` crumbs are joined again (RFC 9113 section 8.2.3), and a `Host` is added for the firewall's rules.
fn headers(parts: &http::request::Parts, max_fields: usize) -> Result<Headers, Refusal> {
    let mut cookies: Vec<&[u8]> = Vec::new();
    let crumbs = parts.headers.get_all(http::header::COOKIE).iter().count();
    // However many crumbs it came in, it is one field.
    if parts.headers.len() - crumbs.saturating_sub(1) > max_fields {
        return Err(Refusal::Field(FieldError::TooMany));
    }
    let mut headers = Headers::with_capacity(parts.headers.len() - crumbs + 2);
    if let (Some(authority), false) = (parts.uri.authority(), parts.headers.contains_key("host")) {
        headers.push("host", authority.as_str().to_owned());
    }
    for (name, value) in &parts.headers {
        check_field(name, value).map_err(Refusal::Field)?;
        if is_name(name.as_str().as_bytes(), "cookie") {
            cookies.push(value.as_bytes());
        } else if is_name(name.as_str().as_bytes(), "transfer-encoding") {
            return Err(Refusal::Encoding);
        } else {
            headers.push(
                Bytes::copy_from_slice(name.as_str().as_bytes()),
                Bytes::copy_from_slice(value.as_bytes()),
            );
        }
    }
    if !cookies.is_empty() {
        headers.push("cookie", cookies.join(&b"; "[..]));
    }
    Ok(headers)
}

/// Trailers as fields; malformed ones are an error.
pub fn trailers(fields: &http::HeaderMap) -> Result<Headers, FieldError> {
    let mut trailers = Headers::with_capacity(fields.len());
    for (name, value) in fields {
        check_field(name, value)?;
        trailers
            .push(Bytes::copy_from_slice(name.as_str().as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    }
    Ok(trailers)
}

/// What the `http` crate lets through and RFC 9113 section 8.2.1 does not: names with `"`, values with white space
/// around them.
fn check_field(name: &http::HeaderName, value: &http::HeaderValue) -> Result<(), FieldError> {
    let value = value.as_bytes();
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if !name.as_str().bytes().all(is_token_byte) {
        return Err(FieldError::Name);
    }
    if blank(value.first()) || blank(value.last()) {
        return Err(FieldError::Blank);
    }
    check_value(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> http::request::Parts {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_head_becomes_an_ordinary_request() {
        let parts = parts(
            "https://Shop.org:8443/a?b",
            &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("content-length", "3")],
        );
        let request = convert(&parts, false, Scheme::Https, 100).unwrap();
        assert_eq!((&*request.host, &request.path_and_query[..]), ("shop.org", &b"/a?b"[..]));
        assert_eq!(request.headers.get("cookie").map(|value| &value[..]), Some(&b"a=1; b=2"[..]));
        assert_eq!(request.headers.get("host").map(|value| &value[..]), Some(&b"Shop.org:8443"[..]));
        assert_eq!(request.body, BodyLength::Known(3));
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |uri: &str, headers: &[(&str, &str)]| {
            convert(&parts(uri, headers), true, Scheme::Https, 3).map(|_| ()).unwrap_err()
        };
        assert_eq!(refused("https://a/", &[("host", "b")]), Refusal::AuthorityMismatch);
        assert_eq!(refused("http://a/", &[]), Refusal::AuthorityMismatch);
        assert_eq!(refused("/", &[]), Refusal::HostMissing);
        assert_eq!(refused("https://a/", &[("a", " b")]), Refusal::Field(FieldError::Blank));
        assert_eq!(refused("/", &[("host", "a"), ("host", "a")]), Refusal::HostRepeated);
        assert_eq!(refused("https://u@a/", &[]), Refusal::Host);
        assert_eq!(
            refused("https://a/", &[("content-length", "1"), ("content-length", "2")]),
            Refusal::LengthRepeated
        );
        assert_eq!(refused("https://a/", &[("transfer-encoding", "chunked")]), Refusal::Encoding);
        let many = [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h")];
        assert_eq!(refused("https://a/", &many).status(), 431);
    }
}
