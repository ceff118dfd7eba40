//! From a test's input to the bytes that a client sends.
//!
//! Follows the four steps in which go-ftw completes a request; a raw request
//! is taken apart again the way a lenient server would, so that the engine can
//! be fed in process.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::schema::Input;

/// A request in the parts that the engine takes.
#[derive(Debug, Default)]
pub struct Request {
    /// Method as sent.
    pub method: Vec<u8>,
    /// Target as sent.
    pub target: Vec<u8>,
    /// Protocol as sent.
    pub protocol: Vec<u8>,
    /// Header fields in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body, after removal of a chunked coding.
    pub body: Vec<u8>,
}

/// The bytes that a client sends for a stage; a raw request as it stands.
///
/// # Errors
/// A text when `encoded_request` is no base64.
pub fn wire_bytes(input: &Input) -> Result<Vec<u8>, String> {
    match &input.encoded_request {
        Some(encoded) => decode(encoded),
        None => Ok(Request::complete(input).to_bytes()),
    }
}

impl Request {
    /// Builds the request of a stage.
    ///
    /// # Errors
    /// A text when `encoded_request` is no base64.
    pub fn build(input: &Input) -> Result<Self, String> {
        match &input.encoded_request {
            Some(encoded) => Ok(Self::parse(&decode(encoded)?)),
            None => Ok(Self::complete(input)),
        }
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.method[..], b" ", &self.target, b" ", &self.protocol, b"\r\n"].concat();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The first field called `name`.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    fn complete(input: &Input) -> Self {
        let complete = input.autocomplete_headers.unwrap_or(true);
        let text = |value: &Option<String>, default: &str| {
            value.clone().unwrap_or_else(|| default.to_owned()).into_bytes()
        };
        let mut request = Self {
            method: text(&input.method, "GET"),
            target: text(&input.uri, "/"),
            protocol: text(&input.version, "HTTP/1.1"),
            headers: input.headers.0.iter().map(|(k, v)| (k.clone().into(), v.clone().into())).collect(),
            body: text(&input.data, ""),
        };
        if complete && !request.body.is_empty() {
            request.complete_form();
        }
        let multipart = b"multipart/form-data;";
        if request.headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case(b"content-type")
                && value.windows(multipart.len()).any(|w| w == multipart)
        }) {
            request.body = line_feeds_to_crlf(&request.body);
        }
        if complete {
            request.complete_framing();
        }
        request
    }

    fn complete_form(&mut self) {
        const FORM: &[u8] = b"application/x-www-form-urlencoded";
        if self.header("content-type").is_none() {
            self.headers.push((b"Content-Type".to_vec(), FORM.to_vec()));
        }
        if self.header("content-type") == Some(FORM)
            && query_unescape(&self.body).as_ref() == Some(&self.body)
        {
            self.body = escape_pairs(&self.body);
        }
    }

    fn complete_framing(&mut self) {
        if self.header("connection").is_none() {
            self.headers.push((b"Connection".to_vec(), b"close".to_vec()));
        }
        let takes_body =
            [&b"POST"[..], b"PUT", b"PATCH", b"DELETE"].iter().any(|method| self.method.starts_with(method));
        if self.header("content-length").is_none() && (takes_body || !self.body.is_empty()) {
            self.headers.push((b"Content-Length".to_vec(), self.body.len().to_string().into_bytes()));
        }
    }

    /// Takes raw bytes apart: a line up to LF each, fields split at the first colon.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut request = Self::default();
        let mut rest = bytes;
        let mut first = true;
        while !rest.is_empty() {
            let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
            if first {
                request.take_request_line(line);
                first = false;
            } else if line.is_empty() {
                break;
            } else if line.starts_with(b" ") || line.starts_with(b"\t") {
                if let Some((_, value)) = request.headers.last_mut() {
                    value.push(b' ');
                    value.extend_from_slice(line.trim_ascii());
                }
            } else {
                let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
                let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
                request.headers.push((line[..colon].to_vec(), value.to_vec()));
            }
        }
        let chunked = request.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case(b"chunked"));
        request.body = if chunked { dechunk(rest) } else { rest.to_vec() };
        request
    }

    fn take_request_line(&mut self, line: &[u8]) {
        let start = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
        self.method = line[..start].to_vec();
        let rest = line.get(start + 1..).unwrap_or_default();
        let end = rest.iter().rposition(|&byte| byte == b' ').unwrap_or(rest.len());
        self.target = rest[..end].to_vec();
        self.protocol = rest.get(end + 1..).unwrap_or_default().to_vec();
    }
}

fn decode(encoded: &str) -> Result<Vec<u8>, String> {
    let compact: String = encoded.split_ascii_whitespace().collect();
    STANDARD
        .decode(&compact)
        .or_else(|_| STANDARD_NO_PAD.decode(&compact))
        .map_err(|error| format!("encoded_request is no base64: {error}"))
}

fn line_feeds_to_crlf(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    for &byte in body {
        if byte == b'\n' {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}

/// Go's `url.QueryUnescape`: `None` on an invalid escape.
fn query_unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let high = char::from(*bytes.next()?).to_digit(16)?;
                let low = char::from(*bytes.next()?).to_digit(16)?;
                out.push((high * 16 + low) as u8);
            }
            other => out.push(other),
        }
    }
    Some(out)
}

fn escape_pairs(body: &[u8]) -> Vec<u8> {
    let pairs =
        body.split(|&byte| byte == b'&').map(|pair| match pair.iter().position(|&byte| byte == b'=') {
            Some(at) => [query_escape(&pair[..at]), b"=".to_vec(), query_escape(&pair[at + 1..])].concat(),
            None => query_escape(pair),
        });
    let mut out = pairs.collect::<Vec<_>>().join(&b'&');
    // go-ftw walks tokens while bytes remain, so a final `&` yields no empty token.
    if body.ends_with(b"&") {
        out.pop();
    }
    out
}

/// Go's `url.QueryEscape`.
fn query_escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

/// Removes a chunked coding; what is no valid chunk stays as it is.
fn dechunk(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    loop {
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { return bytes.to_vec() };
        let size = std::str::from_utf8(&rest[..end])
            .ok()
            .and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let Some(size) = size else { return bytes.to_vec() };
        rest = &rest[end + 2..];
        if size == 0 {
            return out;
        }
        let Some(chunk) = rest.get(..size) else { return bytes.to_vec() };
        out.extend_from_slice(chunk);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
}
