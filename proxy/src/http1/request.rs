//! Reading a request head: strict, and keeping every byte as it was sent for the firewall.

use bytes::Bytes;

use crate::headers::{Headers, is_name};
use crate::http1::field::{FieldError, is_token_byte, next_line, parse_fields};
use crate::http1::framing::{Refusal, request_body_length};
use crate::http1::target::{Scheme, host_of, is_authority_form, parse_target};
use crate::request::{Request, Version};

/// Longest method in bytes.
const MAX_METHOD: usize = 32;
/// Longest request target in bytes.
const MAX_TARGET: usize = 32 * 1024;

/// Reads a complete head (up to and including its empty line) that came over a connection of this scheme.
///
/// At most one empty line before the request line is skipped (RFC 9112 section 2.2).
pub fn parse_request(mut head: Bytes, scheme: Scheme, max_fields: usize) -> Result<Request, Refusal> {
    let mut line = next_line(&mut head).ok_or(Refusal::RequestLine)?;
    if line.is_empty() {
        line = next_line(&mut head).ok_or(Refusal::RequestLine)?;
    }
    let (method, target, version) = parse_request_line(&line)?;
    let headers = parse_fields(head, max_fields).map_err(Refusal::Field)?;
    match &method[..] {
        // CONNECT without a valid port is malformed whoever it asks (RFC 9110 section 9.3.6).
        b"CONNECT" if !is_authority_form(&target) => return Err(Refusal::Target),
        b"CONNECT" | b"TRACE" => return Err(Refusal::MethodNotAllowed),
        _ => {}
    }
    let parsed = parse_target(&target, &method).ok_or(Refusal::Target)?;
    let (authority, host) = authority(&headers, version)?.unzip();
    if let Some((absolute_scheme, absolute_authority)) = &parsed.absolute
        && (*absolute_scheme != scheme
            || authority.as_ref().is_some_and(|host| !host.eq_ignore_ascii_case(absolute_authority)))
    {
        return Err(Refusal::AuthorityMismatch);
    }
    let authority = authority.or(parsed.absolute.map(|(_, authority)| authority)).unwrap_or_default();
    let host = host.or_else(|| host_of(&authority)).unwrap_or_default();
    let body = request_body_length(&headers, version == Version::Http10)?;
    let expects_continue = expects_continue(&headers, version)?;
    let keep_alive = match version {
        Version::Http10 => {
            headers.has_token("connection", "keep-alive") && !headers.has_token("connection", "close")
        }
        _ => !headers.has_token("connection", "close"),
    };
    let websocket = version == Version::Http11
        && &method[..] == b"GET"
        && body == crate::http1::framing::BodyLength::Empty
        && headers.has_token("connection", "upgrade")
        && headers.get("upgrade").is_some_and(|value| is_name(value, "websocket"));
    Ok(Request {
        version,
        scheme,
        host: host.into(),
        method,
        target,
        path_and_query: parsed.path_and_query,
        authority,
        headers,
        body,
        keep_alive,
        expects_continue,
        websocket,
    })
}

fn parse_request_line(line: &Bytes) -> Result<(Bytes, Bytes, Version), Refusal> {
    match line.iter().find(|byte| matches!(byte, 0 | b'\r')) {
        Some(0) => return Err(Refusal::Field(FieldError::Nul)),
        Some(_) => return Err(Refusal::Field(FieldError::BareCr)),
        None => {}
    }
    let first = memchr::memchr(b' ', line).ok_or(Refusal::RequestLine)?;
    let last = memchr::memrchr(b' ', line).filter(|last| *last > first).ok_or(Refusal::RequestLine)?;
    let (method, target) = (line.slice(..first), line.slice(first + 1..last));
    if method.is_empty() || method.len() > MAX_METHOD || !method.iter().all(|byte| is_token_byte(*byte)) {
        return Err(Refusal::Method);
    }
    let version = match &line[last + 1..] {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            // HTTP/0.9 had no version in its request line, so no version 0 is a version.
            if matches!(major, b'1'..=b'9') && minor.is_ascii_digit() =>
        {
            return Err(Refusal::Version);
        }
        _ => return Err(Refusal::RequestLine),
    };
    match target.len() {
        0 => Err(Refusal::RequestLine),
        length if length > MAX_TARGET => Err(Refusal::TargetTooLong),
        _ => Ok((method, target, version)),
    }
}

/// The one valid `Host`, as sent and as routes know it; only HTTP/1.0 may lack it.
fn authority(headers: &Headers, version: Version) -> Result<Option<(Bytes, String)>, Refusal> {
    let mut hosts = headers.all("host");
    let Some(host) = hosts.next() else {
        return if version == Version::Http10 { Ok(None) } else { Err(Refusal::HostMissing) };
    };
    if hosts.next().is_some() {
        return Err(Refusal::HostRepeated);
    }
    Ok(Some((host.clone(), host_of(host).ok_or(Refusal::Host)?)))
}

/// Whether the client waits for a `100 Continue` before it sends the body. Other expectations are refused.
pub fn expects_continue(headers: &Headers, version: Version) -> Result<bool, Refusal> {
    let mut expectations = headers.all("expect");
    match expectations.next() {
        None => Ok(false),
        Some(value) if is_name(value, "100-continue") && expectations.next().is_none() => {
            Ok(version != Version::Http10)
        }
        Some(_) => Err(Refusal::Expectation),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
