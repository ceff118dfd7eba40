//! Requests with a hostile text of a given size in one place.

/// Where a text stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The value of an argument in the query string.
    Query,
    /// The `User-Agent` header.
    Header,
    /// The value of a cookie.
    Cookie,
    /// The value of an argument in a form body.
    Form,
    /// The name of an argument in a form body.
    FormName,
    /// A string in a JSON body.
    Json,
    /// The body of the response.
    Response,
}

impl Place {
    /// All places in a request.
    pub const ALL: [Self; 6] =
        [Self::Query, Self::Header, Self::Cookie, Self::Form, Self::FormName, Self::Json];
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub target: Vec<u8>,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub body: Vec<u8>,
    /// The page that the application answers with; empty when only the request counts.
    pub page: Vec<u8>,
}

impl Request {
    /// A request with `start` and then `unit`, repeated to about `size` bytes as sent, in `place`.
    pub fn with(place: Place, start: &[u8], unit: &[u8], size: usize) -> Self {
        let text = |encode: fn(&[u8]) -> Vec<u8>| [encode(start), fill(&encode(unit), size)].concat();
        match place {
            Place::Query => Self::get([b"/?q=".to_vec(), text(form_encoded)].concat()),
            Place::Header => {
                let mut request = Self::get(b"/".to_vec());
                request.headers[1].1 = text(line);
                request
            }
            Place::Cookie => Self::get(b"/".to_vec()).and("Cookie", [b"c=".to_vec(), text(line)].concat()),
            Place::Form => Self::form([b"q=".to_vec(), text(form_encoded)].concat()),
            Place::FormName => Self::form([text(form_encoded), b"=1".to_vec()].concat()),
            Place::Json => {
                let body = [b"{\"q\":\"".to_vec(), text(json_escaped), b"\"}".to_vec()].concat();
                Self::post("application/json", body)
            }
            Place::Response => Self { page: text(<[u8]>::to_vec), ..Self::get(b"/".to_vec()) },
        }
    }

    /// A request without a body.
    pub fn get(target: Vec<u8>) -> Self {
        let headers = vec![
            ("Host", b"www.example.org".to_vec()),
            (
                "User-Agent",
                b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_vec(),
            ),
            ("Accept", b"text/html,application/xhtml+xml,*/*;q=0.8".to_vec()),
        ];
        Self { method: "GET", target, headers, body: Vec::new(), page: Vec::new() }
    }

    /// A request with a form body.
    pub fn form(body: Vec<u8>) -> Self {
        Self::post("application/x-www-form-urlencoded", body)
    }

    /// A request with a body of that type.
    pub fn post(content_type: &str, body: Vec<u8>) -> Self {
        let mut request = Self { method: "POST", body, ..Self::get(b"/".to_vec()) };
        request.headers.push(("Content-Type", content_type.into()));
        request.headers.push(("Content-Length", request.body.len().to_string().into()));
        request
    }

    /// A request with one more header.
    pub fn and(mut self, name: &'static str, value: Vec<u8>) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// `unit` again and again, `size` bytes or a little less: no piece of it at the end.
pub fn fill(unit: &[u8], size: usize) -> Vec<u8> {
    let unit = if unit.is_empty() { b"." } else { unit };
    unit.repeat(size.checked_div(unit.len()).unwrap_or(0).max(1))
}

/// A blank as `+`, and encoded what would end the value; `%` stays, so that units may bring encodings of their own.
fn form_encoded(unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in unit {
        match byte {
            b' ' => out.push(b'+'),
            b'&' | b'+' | b'#' | b'=' | 0..0x20 | 0x7f..=0xff => out.extend(format!("%{byte:02X}").bytes()),
            _ => out.push(byte),
        }
    }
    out
}

/// Without what cannot stand in a header line.
fn line(unit: &[u8]) -> Vec<u8> {
    unit.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect()
}

fn json_escaped(unit: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(unit);
    let quoted = serde_json::to_string(&text).unwrap_or_default();
    quoted.as_bytes()[1..quoted.len() - 1].to_vec()
}
