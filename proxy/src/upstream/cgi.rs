//! A request as CGI variables (RFC 3875 section 4.1), which uwsgi and FastCGI both carry.

use std::path::{Path, PathBuf};

use crate::http1::framing::BodyLength;
use crate::http1::target::{forwardable, host_of, normalized_path};
use crate::upstream::http::ForwardedRequest;

/// The file that answers, for protocols whose application runs one file per request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The folder of the application.
    pub root: PathBuf,
    /// The file, absolute.
    pub file: PathBuf,
    /// Its path in the URL.
    pub name: Vec<u8>,
    /// What follows it in the URL.
    pub path_info: Vec<u8>,
}

/// Hands every variable to `put`.
pub fn variables<E>(
    request: &ForwardedRequest,
    script: Option<&Script>,
    mut put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let target = forwardable(&request.path_and_query);
    let query = memchr::memchr(b'?', &target).map_or(&b""[..], |mark| &target[mark + 1..]);
    put(b"REQUEST_METHOD", &request.method)?;
    put(b"REQUEST_URI", &[&request.script_name[..], &target].concat())?;
    match script {
        Some(script) => {
            put(b"SCRIPT_FILENAME", path_bytes(&script.file))?;
            put(b"DOCUMENT_ROOT", path_bytes(&script.root))?;
            put(b"SCRIPT_NAME", &[&request.script_name[..], &script.name].concat())?;
            put(b"PATH_INFO", &script.path_info)?;
        }
        None => {
            put(b"SCRIPT_NAME", &request.script_name)?;
            put(b"PATH_INFO", &normalized_path(&request.path_and_query))?;
        }
    }
    put(b"QUERY_STRING", query)?;
    put(b"GATEWAY_INTERFACE", b"CGI/1.1")?;
    put(b"SERVER_SOFTWARE", b"hop3")?;
    put(b"SERVER_PROTOCOL", request.protocol.as_bytes())?;
    put(b"REQUEST_SCHEME", if request.tls { b"https" } else { b"http" })?;
    if request.tls {
        put(b"HTTPS", b"on")?;
    }
    put(b"REMOTE_ADDR", request.client.to_string().as_bytes())?;
    put(b"SERVER_ADDR", request.server.ip().to_string().as_bytes())?;
    put(b"SERVER_PORT", request.server.port().to_string().as_bytes())?;
    let host = request.headers.get("host").cloned().unwrap_or_default();
    let name = host_of(&host).unwrap_or_else(|| request.server.ip().to_string());
    put(b"SERVER_NAME", name.as_bytes())?;
    match request.body {
        BodyLength::Known(length) => put(b"CONTENT_LENGTH", length.to_string().as_bytes())?,
        _ => put(b"CONTENT_LENGTH", b"")?,
    }
    put(b"CONTENT_TYPE", request.headers.get("content-type").map_or(&b""[..], |value| value))?;
    if script.is_some() {
        // PHP refuses to run without it where it was built to be careful (cgi.force_redirect).
        put(b"REDIRECT_STATUS", b"200")?;
    }
    header_variables(request, put)
}

/// `HTTP_…`, one variable per field name.
fn header_variables<E>(
    request: &ForwardedRequest,
    mut put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut written: Vec<Vec<u8>> = Vec::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        let name = variable_name(&field.name);
        // `Proxy` would become HTTP_PROXY, which clients of other servers obey (httpoxy).
        if matches!(&name[..], b"HTTP_CONTENT_TYPE" | b"HTTP_CONTENT_LENGTH" | b"HTTP_PROXY")
            || written.contains(&name)
        {
            continue;
        }
        let text = std::str::from_utf8(&field.name).unwrap_or_default();
        let mut values = request.headers.all(text);
        match (values.next(), values.next()) {
            (Some(only), None) => put(&name, only)?,
            _ => {
                let separator: &[u8] = if name == b"HTTP_COOKIE" { b"; " } else { b", " };
                let values: Vec<_> = request.headers.all(text).map(|value| &value[..]).collect();
                put(&name, &values.join(separator))?;
            }
        }
        written.push(name);
    }
    Ok(())
}

fn path_bytes(path: &Path) -> &[u8] {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())
}

fn variable_name(name: &[u8]) -> Vec<u8> {
    let upper = name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() });
    b"HTTP_".iter().copied().chain(upper).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::headers::Headers;

    /// A request for the tests of all protocols that carry CGI variables.
    pub fn request() -> ForwardedRequest {
        let mut headers = Headers::default();
        headers.push("Host", "shop.org:81");
        headers.push("Accept", "a");
        headers.push("accept", "b");
        headers.push("Proxy", "evil");
        headers.push("Content-Type", "text/plain");
        ForwardedRequest {
            method: "POST".into(),
            path_and_query: "/a/%2e%2e/b%20c?x=%20y".into(),
            script_name: bytes::Bytes::new(),
            headers,
            body: BodyLength::Known(5),
            websocket: false,
            client: [1, 2, 3, 4].into(),
            tls: true,
            server: ([127, 0, 0, 1], 443).into(),
            protocol: "HTTP/2.0",
        }
    }

    fn collect(request: &ForwardedRequest, script: Option<&Script>) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        variables(request, script, |name, value| {
            found.push((text(name), text(value)));
            Ok::<_, ()>(())
        })
        .unwrap();
        found
    }

    #[test]
    fn every_variable_comes_once() {
        let mut request = request();
        request.script_name = "/shop".into();
        let script = Script {
            root: "/srv".into(),
            file: "/srv/index.php".into(),
            name: b"/index.php".to_vec(),
            path_info: b"/b".to_vec(),
        };
        let found = collect(&request, Some(&script));
        for (name, value) in [
            ("SCRIPT_NAME", "/shop/index.php"),
            ("SCRIPT_FILENAME", "/srv/index.php"),
            ("DOCUMENT_ROOT", "/srv"),
            ("PATH_INFO", "/b"),
            ("REQUEST_URI", "/shop/a/%2e%2e/b%20c?x=%20y"),
            ("QUERY_STRING", "x=%20y"),
            ("HTTP_ACCEPT", "a, b"),
        ] {
            let values: Vec<_> = found.iter().filter(|(found, _)| found == name).collect();
            assert_eq!(values.len(), 1, "{name}");
            assert_eq!(values[0].1, value, "{name}");
        }
    }
}
