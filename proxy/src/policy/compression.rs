//! Compressing answers on their way to the client: which, with what, and how streams stay streams.
//!
//! Off unless a route asks for it: a page that shows a secret (such as a form's token) beside text that the visitor of
//! a foreign site can choose tells the secret by its compressed length (BREACH). Apps that mask their tokens per
//! answer, as most frameworks do, are safe; event streams, gRPC and answers with `Cache-Control: no-transform` are
//! never compressed.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;

use crate::budget::{Budget, Grant, Purpose};
use crate::downstream::ResponseLength;
use crate::headers::{Headers, elements};
use crate::http1::response::ResponseHead;
use crate::policy::cors::add_vary;
use crate::request::Request;

/// Bytes of windows, as a power of two.
const BROTLI_WINDOW: u32 = 16;
const ZSTD_WINDOW: u32 = 18;
const LEAST_WINDOW: u32 = 15;
/// Levels that cost about as much as gzip's default.
const BROTLI_LEVEL: u32 = 4;
const GZIP_LEVEL: u32 = 5;
const ZSTD_LEVEL: i32 = 3;
const LEAST_LEVEL: i32 = 1;
/// Answers up to this length take less memory, where it is known.
const SHORT: u64 = 32 * 1024;

/// What is compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Codings that may be used, the preferred one first.
    pub codings: Vec<Coding>,
    /// Least bytes of an answer whose length is known.
    pub min_size: u64,
    /// Media types, without parameters; `text/*` for a whole family.
    pub types: Vec<String>,
}

impl Default for Compression {
    fn default() -> Self {
        let types = [
            "text/*",
            "application/javascript",
            "application/json",
            "application/ld+json",
            "application/manifest+json",
            "application/xml",
            "application/rss+xml",
            "application/atom+xml",
            "application/xhtml+xml",
            "application/wasm",
            "image/svg+xml",
            "font/ttf",
            "font/otf",
        ];
        Self {
            codings: vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
            min_size: 1024,
            types: types.map(str::to_owned).into(),
        }
    }
}

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `br` (RFC 7932).
    Brotli,
    /// `gzip` (RFC 1952).
    Gzip,
    /// `zstd` (RFC 8878).
    Zstd,
}

impl Coding {
    /// As in `Content-Encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

impl std::str::FromStr for Coding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "br" | "brotli" => Ok(Self::Brotli),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(format!("`{text}` is no coding; use \"zstd\", \"br\" or \"gzip\"")),
        }
    }
}

impl Compression {
    /// The encoder for an answer, and the answer's header changed for it; none when it goes out as it is, also where
    /// `budget` has no memory for any.
    pub fn encoder(
        &self,
        request: &Request,
        head: &mut ResponseHead,
        length: &mut ResponseLength,
        budget: &Budget,
    ) -> io::Result<Option<Encoder>> {
        let large = !matches!(*length, ResponseLength::Known(length) if length < self.min_size);
        if !large || !self.suits(head) {
            return Ok(None);
        }
        add_vary(&mut head.headers, "Accept-Encoding");
        let Some((coding, effort, grant)) = self.choose(request, *length, budget) else { return Ok(None) };
        let encoder = Encoder { coder: Coder::new(coding, effort, *length)?, _grant: grant };
        note_coding(&mut head.headers, coding);
        *length = ResponseLength::Unknown;
        Ok(Some(encoder))
    }

    /// Changes the header of an answer without a body, to HEAD or 304, to what it would be with one (RFC 9110 sections 9.3.2
    /// and 15.4.5).
    pub fn mark(&self, request: &Request, head: &mut ResponseHead) {
        if head.status == 304 {
            return self.mark_unmodified(request, &mut head.headers);
        }
        let length = head.headers.get("content-length").and_then(|value| std::str::from_utf8(value).ok());
        let length = length.and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length < self.min_size) || !self.suits(head) {
            return;
        }
        add_vary(&mut head.headers, "Accept-Encoding");
        if let Some(coding) = accepted(request, &self.codings) {
            note_coding(&mut head.headers, coding);
        }
    }

    /// The type of what the client has is mostly not told, but the tag says whether it was compressed.
    fn mark_unmodified(&self, request: &Request, headers: &mut Headers) {
        let named = headers.get("content-type").is_none_or(|value| self.names_type(value));
        if !named
            || headers.contains("content-encoding")
            || headers.has_token("cache-control", "no-transform")
        {
            return;
        }
        add_vary(headers, "Accept-Encoding");
        let Some(tag) = headers.get("etag") else { return };
        let known = request.headers.all("if-none-match").flat_map(|value| elements(value));
        if known.filter_map(|known| known.strip_prefix(b"W/")).any(|known| known == &tag[..]) {
            weaken(headers);
        }
    }

    /// The best coding, or one that takes little memory where others of the connection have taken the rest.
    fn choose(
        &self,
        request: &Request,
        length: ResponseLength,
        budget: &Budget,
    ) -> Option<(Coding, Effort, Grant)> {
        let best = accepted(request, &self.codings)?;
        let granted = |coding: Coding, effort: Effort| {
            let purpose = match effort {
                Effort::Usual => Purpose::Encoder,
                Effort::Least => Purpose::LeastEncoder,
            };
            let grant = budget.try_take(purpose, memory(coding, effort, length))?;
            Some((coding, effort, grant))
        };
        granted(best, Effort::Usual).or_else(|| {
            let small =
                [Coding::Zstd, Coding::Gzip].into_iter().filter(|coding| self.codings.contains(coding));
            let mut taken = small.filter(|coding| accepted(request, &[*coding]).is_some());
            taken.find_map(|coding| granted(coding, Effort::Least))
        })
    }

    /// Whether an answer may be compressed at all.
    fn suits(&self, head: &ResponseHead) -> bool {
        let headers = &head.headers;
        matches!(head.status, 200 | 201 | 203 | 400..=499 | 500..=599)
            && !headers.contains("content-encoding")
            && !headers.contains("content-range")
            && !headers.has_token("cache-control", "no-transform")
            && !head.is_event_stream()
            && headers.get("content-type").is_some_and(|value| self.names_type(value))
    }

    fn names_type(&self, value: &[u8]) -> bool {
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        self.types.iter().any(|known| match known.strip_suffix('*') {
            Some(family) => {
                kind.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family.as_bytes()))
            }
            None => kind.eq_ignore_ascii_case(known.as_bytes()),
        })
    }
}

/// Changes the header of an answer that is compressed.
fn note_coding(headers: &mut Headers, coding: Coding) {
    headers.remove("accept-ranges");
    headers.push("content-encoding", coding.as_str());
    weaken(headers);
}

/// The bytes differ from those that length and tag were made for, the meaning does not.
fn weaken(headers: &mut Headers) {
    headers.remove("content-length");
    if let Some(tag) = headers.get("etag").filter(|tag| tag.starts_with(b"\"")) {
        let weak = [b"W/", &tag[..]].concat();
        headers.set("etag", weak);
    }
}

/// The best coding that a request takes and that is among `ours`.
pub fn accepted(request: &Request, ours: &[Coding]) -> Option<Coding> {
    negotiate(request.headers.all("accept-encoding").flat_map(|value| elements(value)), ours)
}

/// The best coding that both sides know (RFC 9110 section 12.5.3): the client's weights first, then our order.
fn negotiate<'a>(accepted: impl Iterator<Item = &'a [u8]>, ours: &[Coding]) -> Option<Coding> {
    let accepted: Vec<(&[u8], u16)> = accepted
        .map(|element| {
            let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let quality = |part: &'a [u8]| match part {
                [b'q' | b'Q', b'=', weight @ ..] => Some(weight),
                _ => None,
            };
            (name, parts.find_map(quality).map_or(1000, weight))
        })
        .collect();
    let weight_of = |coding: Coding| {
        let named = |name: &str| {
            accepted.iter().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, q)| *q)
        };
        named(coding.as_str()).or_else(|| named("*")).unwrap_or(0)
    };
    let mut best: Option<(Coding, u16)> = None;
    for coding in ours {
        let weight = weight_of(*coding);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((*coding, weight));
        }
    }
    best.map(|(coding, _)| coding)
}

/// Thousandths; what is malformed counts as 0.
fn weight(text: &[u8]) -> u16 {
    let number: Option<f32> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.filter(|weight| (0.0..=1.0).contains(weight)).map_or(0, |weight| (weight * 1000.0) as u16)
}

/// How much memory an encoder may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    Usual,
    Least,
}

/// Bytes that an encoder takes at most, as measured: tables, window, what waits for the end of a block.
const fn memory(coding: Coding, effort: Effort, length: ResponseLength) -> usize {
    let short = matches!(length, ResponseLength::Known(length) if length <= SHORT);
    let kibibytes = match (coding, effort) {
        (Coding::Zstd, Effort::Usual) => {
            if short {
                448
            } else {
                1536
            }
        }
        (Coding::Zstd, Effort::Least) => {
            if short {
                112
            } else {
                288
            }
        }
        (Coding::Brotli, _) => {
            if short {
                768
            } else {
                2048
            }
        }
        (Coding::Gzip, _) => 384,
    };
    kibibytes * 1024
}

/// Compresses one answer.
pub struct Encoder {
    coder: Coder,
    _grant: Grant,
}

impl Encoder {
    /// Takes a piece, and gives what is ready: often nothing.
    pub fn piece(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        self.coder.piece(piece)
    }

    /// Gives everything that was taken, so that the client can read it now.
    pub fn flush(&mut self) -> io::Result<Bytes> {
        self.coder.flush()
    }

    /// The end.
    pub fn finish(self) -> io::Result<Bytes> {
        self.coder.finish()
    }
}

enum Coder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Coder {
    fn new(coding: Coding, effort: Effort, length: ResponseLength) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL))),
            Coding::Brotli => {
                let writer = brotli::CompressorWriter::new(Vec::new(), 4096, BROTLI_LEVEL, BROTLI_WINDOW);
                Self::Brotli(Box::new(writer))
            }
            Coding::Zstd => {
                let (level, window) = match effort {
                    Effort::Usual => (ZSTD_LEVEL, ZSTD_WINDOW),
                    Effort::Least => (LEAST_LEVEL, LEAST_WINDOW),
                };
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
                encoder.window_log(window)?;
                if let ResponseLength::Known(length) = length {
                    // Tables are made as small as the answer allows.
                    encoder.set_pledged_src_size(Some(length))?;
                }
                Self::Zstd(encoder)
            }
        })
    }

    fn piece(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(piece)?,
            Self::Brotli(encoder) => encoder.write_all(piece)?,
            Self::Zstd(encoder) => encoder.write_all(piece)?,
        }
        Ok(self.ready())
    }

    fn flush(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(encoder) => encoder.flush()?,
            Self::Brotli(encoder) => encoder.flush()?,
            Self::Zstd(encoder) => encoder.flush()?,
        }
        Ok(self.ready())
    }

    fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Gzip(encoder) => encoder.finish()?.into(),
            Self::Brotli(encoder) => encoder.into_inner().into(),
            Self::Zstd(encoder) => encoder.finish()?.into(),
        })
    }

    fn ready(&mut self) -> Bytes {
        let out = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        std::mem::take(out).into()
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Encoder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
            Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
            Coding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out),
        }
        .unwrap();
        out
    }

    #[test]
    fn pieces_are_read_back_and_a_flush_holds_nothing_back() {
        use Effort::{Least, Usual};
        for (coding, effort) in
            [(Coding::Gzip, Usual), (Coding::Brotli, Usual), (Coding::Zstd, Usual), (Coding::Zstd, Least)]
        {
            let mut encoder = Coder::new(coding, effort, ResponseLength::Unknown).unwrap();
            let (mut all, mut sent) = (Vec::new(), Vec::new());
            for number in 0..200 {
                let piece = format!("line {number} of a text that repeats itself\n").repeat(number % 7);
                all.extend_from_slice(piece.as_bytes());
                sent.extend_from_slice(&encoder.piece(piece.as_bytes()).unwrap());
                if number == 100 {
                    sent.extend_from_slice(&encoder.flush().unwrap());
                    let so_far = match coding {
                        Coding::Gzip => {
                            let mut out = vec![0; all.len()];
                            flate2::read::GzDecoder::new(&sent[..]).read_exact(&mut out).unwrap();
                            out
                        }
                        Coding::Brotli => {
                            let mut out = vec![0; all.len()];
                            brotli::Decompressor::new(&sent[..], 4096).read_exact(&mut out).unwrap();
                            out
                        }
                        Coding::Zstd => {
                            let mut out = vec![0; all.len()];
                            zstd::stream::read::Decoder::new(&sent[..])
                                .unwrap()
                                .read_exact(&mut out)
                                .unwrap();
                            out
                        }
                    };
                    assert!(so_far == all, "{coding:?}");
                }
            }
            sent.extend_from_slice(&encoder.finish().unwrap());
            assert!(decode(coding, &sent) == all, "{coding:?}");
            assert!(sent.len() * 4 < all.len(), "{coding:?}: {} of {}", sent.len(), all.len());
        }
    }

    #[test]
    fn codings_are_negotiated() {
        let ours = [Coding::Zstd, Coding::Brotli, Coding::Gzip];
        for (accept, expected) in [
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip", Some(Coding::Gzip)),
            ("GZIP;q=0.5, br;q=0.4", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("zstd;q=0, *;q=0.1", Some(Coding::Brotli)),
            ("identity", None),
            ("gzip;q=0", None),
            ("gzip;Q=0", None),
            ("gzip;q=x", None),
            ("", None),
        ] {
            assert_eq!(negotiate(elements(accept.as_bytes()), &ours), expected, "{accept}");
        }
    }

    #[test]
    fn where_memory_is_scarce_answers_are_compressed_with_less_and_then_not_at_all() {
        let request = |accept: &str| {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\n\r\n");
            crate::http1::request::parse_request(text.into(), crate::http1::target::Scheme::Http, 100)
                .unwrap()
        };
        let chosen = |accept: &str, length: ResponseLength| {
            let budget = Budget::of_server(1 << 30).shared_by_streams();
            let (mut held, mut codings) = (Vec::new(), Vec::new());
            let compression = Compression::default();
            while let Some((coding, effort, grant)) = compression.choose(&request(accept), length, &budget) {
                codings.push((coding, effort));
                held.push(grant);
            }
            codings.dedup();
            (codings, held.len())
        };
        let (zstd, brotli, gzip) = (Coding::Zstd, Coding::Brotli, Coding::Gzip);
        let (usual, least) = (Effort::Usual, Effort::Least);
        let long = ResponseLength::Unknown;
        assert_eq!(chosen("zstd", long), (vec![(zstd, usual), (zstd, least)], 2 + 10));
        assert_eq!(chosen("br, gzip", long), (vec![(brotli, usual), (gzip, least)], 1 + 8));
        assert_eq!(chosen("br", long), (vec![(brotli, usual)], 1));
        assert_eq!(chosen("gzip", long), (vec![(gzip, usual), (gzip, least)], 8 + 8));
        let (codings, many) = chosen("zstd, br, gzip", ResponseLength::Known(SHORT));
        assert_eq!((codings, many), (vec![(zstd, usual), (zstd, least)], 6 + 27));
    }

    #[test]
    fn only_suitable_answers_are_compressed() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n".to_owned();
        let request =
            crate::http1::request::parse_request(text.into(), crate::http1::target::Scheme::Http, 100)
                .unwrap();
        let budget = Budget::of_server(1 << 20);
        let encoded = |status: u16, fields: &[(&'static str, &'static str)], length: ResponseLength| {
            let mut head = ResponseHead::new(status);
            fields.iter().for_each(|(name, value)| head.headers.push(*name, *value));
            let mut length = length;
            let encoder = Compression::default().encoder(&request, &mut head, &mut length, &budget).unwrap();
            assert_eq!(
                encoder.is_some(),
                head.headers.contains("content-encoding") && length == ResponseLength::Unknown
            );
            encoder.is_some()
        };
        let html = ("content-type", "Text/HTML; charset=utf-8");
        let big = ResponseLength::Known(5000);
        assert!(encoded(200, &[html], big));
        assert!(encoded(200, &[html], ResponseLength::Unknown));
        assert!(!encoded(200, &[html], ResponseLength::Known(100)));
        assert!(!encoded(206, &[html], big));
        assert!(!encoded(200, &[("content-type", "image/png")], big));
        assert!(!encoded(200, &[("content-type", "text/event-stream")], ResponseLength::Unknown));
        assert!(!encoded(200, &[("content-type", "application/grpc")], ResponseLength::Unknown));
        assert!(!encoded(200, &[html, ("cache-control", "no-transform")], big));
        assert!(!encoded(200, &[], big));
    }
}
