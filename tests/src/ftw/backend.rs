//! The server behind the firewall, as the suite expects it.
//!
//! Every request gets an empty 200, except `POST /reflect`, whose JSON body
//! says what to answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::request::Request;

/// An answer to inspect.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reflection {
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    encoded_body: Option<String>,
}

/// Answers `request`.
pub fn answer(request: &Request) -> Response {
    let reflects = request.method == b"POST" && request.target == b"/reflect";
    let reflection = reflects.then(|| serde_json::from_slice::<Reflection>(&request.body).ok()).flatten();
    let Some(reflection) = reflection else {
        return Response {
            status: if reflects { 400 } else { 200 },
            headers: vec![(b"Content-Length".to_vec(), b"0".to_vec())],
            body: Vec::new(),
        };
    };
    let body = match (reflection.body, reflection.encoded_body) {
        (Some(text), _) => text.into_bytes(),
        (None, Some(encoded)) => STANDARD.decode(encoded).unwrap_or_default(),
        (None, None) => Vec::new(),
    };
    let mut headers: Vec<(Vec<u8>, Vec<u8>)> =
        reflection.headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-type")) {
        headers.push((b"Content-Type".to_vec(), sniff(&body).into()));
    }
    headers.push((b"Content-Length".to_vec(), body.len().to_string().into_bytes()));
    Response { status: reflection.status.unwrap_or(200), headers, body }
}

/// The HTML and text rows of Go's `http.DetectContentType`.
fn sniff(body: &[u8]) -> &'static str {
    const TAGS: [&str; 17] = [
        "<!DOCTYPE HTML",
        "<HTML",
        "<HEAD",
        "<SCRIPT",
        "<IFRAME",
        "<H1",
        "<DIV",
        "<FONT",
        "<TABLE",
        "<A",
        "<STYLE",
        "<TITLE",
        "<B",
        "<BODY",
        "<BR",
        "<P",
        "<!--",
    ];
    let text = body.trim_ascii_start();
    let is_html = TAGS.iter().any(|tag| {
        text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
            && (*tag == "<!--" || matches!(text.get(tag.len()), Some(b' ' | b'>')))
    });
    if is_html {
        "text/html; charset=utf-8"
    } else if text.starts_with(b"<?xml") {
        "text/xml; charset=utf-8"
    } else {
        "text/plain; charset=utf-8"
    }
}
