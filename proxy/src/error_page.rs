//! The small answers that the proxy gives itself. They carry the transaction id and nothing about the inside.

use bytes::Bytes;

use crate::http1::response::ResponseHead;
use crate::request::Request;

/// Methods that are forwarded, as a 405 names them; others may be known to an app too.
pub const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// A head and a body, as HTML, or as JSON for those who prefer it.
pub fn error_page(status: u16, id: &str, request: Option<&Request>) -> (ResponseHead, Bytes) {
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    let (kind, body) = if request.is_some_and(prefers_json) {
        ("application/json", format!("{{\"status\":{status},\"error\":\"{reason}\",\"id\":\"{id}\"}}\n"))
    } else {
        let page = format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{status} {reason}</title>\n\
             <style>body{{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:32rem;padding:0 1rem}}\
             code{{color:#666}}</style>\n<h1>{status} {reason}</h1>\n<p><code>{id}</code></p></html>\n"
        );
        ("text/html; charset=utf-8", page)
    };
    let mut head = ResponseHead::new(status);
    head.headers.push("content-type", kind);
    head.headers.push("cache-control", "no-store");
    head.headers.push("x-content-type-options", "nosniff");
    (head, body.into())
}

/// Whether `Accept` names JSON and not HTML.
fn prefers_json(request: &Request) -> bool {
    let names = |kind: &str| {
        request.headers.all("accept").any(|value| memchr::memmem::find(value, kind.as_bytes()).is_some())
    };
    names("application/json") && !names("text/html")
}
