//! Writing responses to an HTTP/1 client. Small pieces are gathered, so that a small answer is one write.

use std::fmt::Write as _;
use std::io;
use std::time::SystemTime;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::config::ServerLimits;
use crate::conn::ConnWriter;
use crate::date::http_date;
use crate::downstream::ResponseLength;
use crate::headers::{Headers, is_name};
use crate::http1::response::ResponseHead;
use crate::pace::Pace;
use crate::request::{Request, Version};

/// Pieces up to this many bytes are gathered before they are written.
const GATHER: usize = 16 * 1024;

/// A last piece of more bytes goes out beside what was gathered, without being copied there, where both can be one write.
const BESIDE: usize = 4 * 1024;

/// Bytes that hold most heads.
const HEAD_ROOM: usize = 1024;

/// The response side of one request.
#[derive(Debug)]
pub struct Http1Sink<'c> {
    writer: &'c mut ConnWriter,
    gathered: &'c mut BytesMut,
    http10: bool,
    head_request: bool,
    takes_trailers: bool,
    framing: Framing,
    pace: Pace,
    /// Whether the connection has to end with a reset. So it does when the client was too slow to take what was written.
    pub resets: bool,
    /// Whether the connection may serve another request after this one.
    pub keep_alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// No body is sent.
    None,
    /// This many bytes are still due.
    Length(u64),
    Chunked,
    UntilClose,
}

impl<'c> Http1Sink<'c> {
    /// A sink for the answer to this request.
    pub fn new(
        writer: &'c mut ConnWriter,
        gathered: &'c mut BytesMut,
        request: &Request,
        limits: &ServerLimits,
    ) -> Self {
        Self {
            writer,
            gathered,
            http10: request.version == Version::Http10,
            head_request: request.is_head(),
            // Others may not expect them, or throw them away (RFC 9110 section 6.5.1).
            takes_trailers: request.headers.has_token("te", "trailers"),
            framing: Framing::None,
            pace: Pace::of_response(limits),
            resets: false,
            keep_alive: request.keep_alive,
        }
    }

    /// Sends `100 Continue` at once.
    pub async fn send_continue(&mut self) -> io::Result<()> {
        self.gathered.put_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        self.flush().await
    }

    /// Sends an interim response at once; HTTP/1.0 knows none.
    pub async fn send_interim(&mut self, head: &ResponseHead) -> io::Result<()> {
        if self.http10 {
            return Ok(());
        }
        put_status_line(self.gathered, head);
        for field in head.headers.iter() {
            put_field(self.gathered, &field.name, &field.value);
        }
        self.gathered.put_slice(b"\r\n");
        self.flush().await
    }

    /// Writes the head; the body pieces must follow according to `length`.
    pub fn send_head(&mut self, head: &ResponseHead, length: ResponseLength) {
        let bodiless = self.head_request || head.is_bodiless();
        self.framing = match length {
            _ if bodiless => Framing::None,
            ResponseLength::Known(length) => Framing::Length(length),
            ResponseLength::Unknown if self.http10 => Framing::UntilClose,
            ResponseLength::Unknown => Framing::Chunked,
        };
        let gathers = if self.writer.is_write_vectored() { BESIDE } else { GATHER };
        self.gathered.reserve(match length {
            ResponseLength::Known(length) if length <= gathers as u64 => HEAD_ROOM + length as usize,
            _ => HEAD_ROOM,
        });
        self.keep_alive &= self.framing != Framing::UntilClose && head.status != 101;
        put_status_line(self.gathered, head);
        for field in head.headers.iter() {
            // An answer to HEAD, and 304, may tell the length that a GET would have had; otherwise we frame.
            let tells_length = self.head_request || head.status == 304;
            if tells_length || !is_name(&field.name, "content-length") {
                put_field(self.gathered, &field.name, &field.value);
            }
        }
        if !head.headers.contains("date") && head.status != 101 {
            put_field(self.gathered, b"date", &http_date(SystemTime::now()));
        }
        match self.framing {
            Framing::Length(length) => {
                // Memory takes whatever is written.
                let _ = write!(self.gathered, "content-length: {length}\r\n");
            }
            Framing::Chunked => put_field(self.gathered, b"transfer-encoding", b"chunked"),
            Framing::None | Framing::UntilClose => {}
        }
        match (head.status, self.keep_alive, self.http10) {
            (101, ..) => put_field(self.gathered, b"connection", b"Upgrade"),
            (_, false, _) => put_field(self.gathered, b"connection", b"close"),
            (_, true, true) => put_field(self.gathered, b"connection", b"keep-alive"),
            _ => {}
        }
        self.gathered.put_slice(b"\r\n");
    }

    /// Writes or gathers a piece of the body. Bytes beyond the announced length are an error.
    pub async fn send_data(&mut self, mut data: Bytes) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::None => return Ok(()),
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "the response is longer than announced")
                })?;
            }
            Framing::Chunked => {
                let _ = write!(self.gathered, "{:x}\r\n", data.len());
            }
            Framing::UntilClose => {}
        }
        let is_last = self.framing == Framing::Length(0);
        let beside = is_last && data.len() > BESIDE && self.writer.is_write_vectored();
        if !beside && self.gathered.len() + data.len() <= GATHER {
            self.gathered.put_slice(&data);
        } else {
            let length = self.gathered.len() + data.len();
            let mut pieces = (&mut *self.gathered).chain(&mut data);
            let written = self.pace.wait(self.writer.write_all_buf(&mut pieces)).await;
            self.resets |= written.is_err();
            written??;
            self.pace.passed(length);
        }
        if self.framing == Framing::Chunked {
            self.gathered.put_slice(b"\r\n");
        }
        Ok(())
    }

    /// Sends what was gathered.
    pub async fn flush(&mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            let length = self.gathered.len();
            let written = self.pace.wait(self.writer.write_all_buf(self.gathered)).await;
            self.resets |= written.is_err();
            written??;
            self.pace.passed(length);
        }
        let flushed = self.pace.wait(self.writer.flush()).await;
        self.resets |= flushed.is_err();
        flushed?
    }

    /// Ends the body, with these trailers where the client takes any, and sends everything.
    pub async fn finish(&mut self, trailers: &Headers) -> io::Result<()> {
        match self.framing {
            Framing::Length(left) if left > 0 => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the response is shorter than announced",
                ));
            }
            Framing::Chunked => {
                self.gathered.put_slice(b"0\r\n");
                if self.takes_trailers {
                    trailers.iter().for_each(|field| put_field(self.gathered, &field.name, &field.value));
                }
                self.gathered.put_slice(b"\r\n");
            }
            _ => {}
        }
        self.flush().await
    }

    /// Gives the answer up. Where it would end with the connection, a reset tells that it is not complete.
    pub fn abort(&mut self) {
        self.keep_alive = false;
        self.resets |= self.framing == Framing::UntilClose;
    }

    /// The writing half, for a tunnel.
    pub fn writer(&mut self) -> &mut ConnWriter {
        self.writer
    }
}

fn put_status_line(out: &mut BytesMut, head: &ResponseHead) {
    let code = head.status;
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(&[
        (code / 100) as u8 + b'0',
        (code / 10 % 10) as u8 + b'0',
        (code % 10) as u8 + b'0',
        b' ',
    ]);
    if head.reason.is_empty() {
        let known = http::StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
        out.put_slice(known.unwrap_or_default().as_bytes());
    } else {
        out.put_slice(&head.reason);
    }
    out.put_slice(b"\r\n");
}

fn put_field(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}
