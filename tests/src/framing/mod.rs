//! Framing probes of our own: requests bent at every place of the grammar, and what must become of each.
//!
//! [`heads`], [`lengths`], [`chunks`], [`targets`], [`sequences`] and [`http2`] generate the probes, [`recorder`] is
//! the back end that keeps every byte that reached it, [`strict`] reads those bytes by RFC 9112's letter (with no
//! line of the proxy's own parser), and [`client`] sends a probe and counts the answers.

pub mod chunks;
pub mod client;
pub mod heads;
pub mod http2;
pub mod lengths;
pub mod recorder;
pub mod sequences;
pub mod strict;
pub mod targets;

/// A request as the back end must see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The request line.
    pub line: String,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

/// One probe for HTTP/1.1. What follows it on the connection is always [`SENTINEL`].
#[derive(Clone, Debug)]
pub struct Probe {
    /// Unique among the probes.
    pub name: String,
    /// What the client sends.
    pub bytes: Vec<u8>,
    /// The statuses of the answers, in order, the sentinel's included.
    pub statuses: Vec<u16>,
    /// The complete requests that the back end sees, in order, the sentinel's included.
    pub forwarded: Vec<Message>,
}

/// A valid request behind each probe: answered where the probe was one, never seen where it was refused. To find its
/// bytes at the back end after a refused probe is what smuggling looks like.
pub const SENTINEL: &[u8] = b"GET /sentinel HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";

impl Message {
    /// A request line and a body.
    pub fn new(line: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { line: line.into(), body: body.into() }
    }

    /// The sentinel at the back end.
    pub fn sentinel() -> Self {
        Self::new("GET /sentinel HTTP/1.1", "")
    }
}

impl Probe {
    /// Answered with this status and nothing after it; the back end sees no complete request.
    pub fn refused(name: impl Into<String>, bytes: impl Into<Vec<u8>>, status: u16) -> Self {
        Self { name: name.into(), bytes: bytes.into(), statuses: vec![status], forwarded: Vec::new() }
    }

    /// Forwarded as this, and so is the sentinel.
    pub fn served(name: impl Into<String>, bytes: impl Into<Vec<u8>>, forwarded: Message) -> Self {
        Self::sequence(name, bytes, &[200, 200], vec![forwarded, Message::sentinel()])
    }

    /// Forwarded as this, and the connection closed after it.
    pub fn last(name: impl Into<String>, bytes: impl Into<Vec<u8>>, forwarded: Message) -> Self {
        Self::sequence(name, bytes, &[200], vec![forwarded])
    }

    /// Several answers.
    pub fn sequence(
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        statuses: &[u16],
        forwarded: Vec<Message>,
    ) -> Self {
        Self { name: name.into(), bytes: bytes.into(), statuses: statuses.to_vec(), forwarded }
    }
}

/// All probes for HTTP/1.1.
pub fn probes() -> Vec<Probe> {
    [heads::probes(), lengths::probes(), chunks::probes(), targets::probes(), sequences::probes()].concat()
}

/// A GET with these header lines (each with its line end) after `Host`.
pub fn get(lines: &[u8]) -> Vec<u8> {
    [b"GET /probe HTTP/1.1\r\nHost: shop.test\r\n", lines, b"\r\n"].concat()
}

/// A POST with these header lines and this body.
pub fn post(lines: &[u8], body: &[u8]) -> Vec<u8> {
    [b"POST /probe HTTP/1.1\r\nHost: shop.test\r\n", lines, b"\r\n", body].concat()
}

/// What the back end sees of [`get`].
pub fn got() -> Message {
    Message::new("GET /probe HTTP/1.1", "")
}

/// What the back end sees of [`post`].
pub fn posted(body: &[u8]) -> Message {
    Message::new("POST /probe HTTP/1.1", body)
}

/// Bytes as text for names and reports.
pub fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
