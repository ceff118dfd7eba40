//! Reading a FastCGI answer: records to header fields and body, standard error to the log.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncRead;

use crate::downstream::ResponseLength;
use crate::headers::Headers;
use crate::http1::field::parse_fields;
use crate::http1::framing::content_length;
use crate::http1::response::ResponseHead;
use crate::http1::source::{BodyError, HeadError, Source};
use crate::upstream::fastcgi::{FastCgiError, REQUEST, VERSION, kind};
use crate::upstream::http::AnswerError;

/// Largest head in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Most fields of a head.
const MAX_FIELDS: usize = 256;
/// Bytes of standard error that are logged for one request.
const MAX_LOGGED: usize = 8 * 1024;

/// The state of one answer.
#[derive(Debug)]
pub struct Reply {
    record: Record,
    /// Bytes of standard output that came with the end of the head.
    early: BytesMut,
    /// Bytes still due by `Content-Length`.
    due: Option<u64>,
    /// Whether the answer must not have a body; what comes is dropped.
    bodiless: bool,
    ended: bool,
    errors: Vec<u8>,
}

/// Where in a record the reader stands.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    kind: u8,
    content: usize,
    padding: usize,
}

/// What stood in the buffer.
enum Piece {
    Output(Bytes),
    Errors(Bytes),
    Other,
    End,
    NeedMore,
}

impl Reply {
    /// Before anything was read. `head_request` says that the request was HEAD.
    pub fn new(head_request: bool) -> Self {
        Self {
            record: Record::default(),
            early: BytesMut::new(),
            due: None,
            bodiless: head_request,
            ended: false,
            errors: Vec::new(),
        }
    }

    /// Reads the head, and what is known about the length of the body.
    pub async fn head<R: AsyncRead + Unpin>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<(ResponseHead, ResponseLength), AnswerError> {
        let mut output = BytesMut::new();
        let mut searched = 0;
        let end = loop {
            match self.piece(source.parts().0)? {
                Piece::Output(piece) => {
                    output.extend_from_slice(&piece);
                    if let Some(end) = end_of_head(&output, searched) {
                        break end;
                    }
                    if output.len() > MAX_HEAD {
                        return Err(FastCgiError::HeadTooLarge.into());
                    }
                    searched = output.len().saturating_sub(3);
                }
                Piece::Errors(piece) => self.note(&piece),
                Piece::Other => {}
                Piece::End => return Err(FastCgiError::NoAnswer.into()),
                Piece::NeedMore => match source.fill().await {
                    Ok(0) if output.is_empty() => return Err(AnswerError::Nothing(HeadError::Closed)),
                    Ok(0) => return Err(FastCgiError::NoAnswer.into()),
                    Ok(_) => {}
                    Err(error) if output.is_empty() => return Err(AnswerError::Nothing(error.into())),
                    Err(error) => return Err(AnswerError::Head(error.into())),
                },
            }
        };
        if end > MAX_HEAD {
            return Err(FastCgiError::HeadTooLarge.into());
        }
        let head = parse_head(&output[..end])?;
        output.advance(end);
        let length = content_length(&head.headers).map_err(|_| FastCgiError::Length)?;
        self.bodiless |= head.is_bodiless();
        if !self.bodiless {
            self.due = length;
        }
        self.early = output;
        Ok(match length {
            _ if self.bodiless => (head, ResponseLength::Known(0)),
            Some(length) => (head, ResponseLength::Known(length)),
            None => (head, ResponseLength::Unknown),
        })
    }

    /// The next piece of the body; `None` at its end. Cancellation loses nothing.
    pub async fn body<R: AsyncRead + Unpin>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<Option<Bytes>, BodyError> {
        loop {
            if self.ended {
                return Ok(None);
            }
            let piece = if self.early.is_empty() {
                self.piece(source.parts().0).map_err(broken)?
            } else {
                Piece::Output(self.early.split().freeze())
            };
            match piece {
                Piece::Output(_) if self.bodiless => {}
                Piece::Output(piece) => {
                    self.count(piece.len()).map_err(broken)?;
                    return Ok(Some(piece));
                }
                Piece::Errors(piece) => self.note(&piece),
                Piece::Other => {}
                Piece::End if self.due.is_some_and(|due| due > 0) => {
                    return Err(broken(FastCgiError::Length));
                }
                Piece::End => self.ended = true,
                Piece::NeedMore if source.fill().await? == 0 => {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                }
                Piece::NeedMore => {}
            }
        }
    }

    /// Whether the request is over, so that the connection is free for the next one.
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// What the application wrote to standard error, at most eight KiB of it.
    pub fn take_errors(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.errors)
    }

    fn count(&mut self, length: usize) -> Result<(), FastCgiError> {
        if let Some(due) = &mut self.due {
            *due = due.checked_sub(length as u64).ok_or(FastCgiError::Length)?;
        }
        Ok(())
    }

    fn note(&mut self, piece: &[u8]) {
        let room = MAX_LOGGED.saturating_sub(self.errors.len());
        self.errors.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// Takes what is in the buffer.
    fn piece(&mut self, buffer: &mut BytesMut) -> Result<Piece, FastCgiError> {
        loop {
            if self.record.content == 0 {
                let padding = self.record.padding.min(buffer.len());
                buffer.advance(padding);
                self.record.padding -= padding;
                if self.record.padding > 0 || buffer.len() < 8 {
                    return Ok(Piece::NeedMore);
                }
                self.record = read_header(&buffer[..8])?;
                buffer.advance(8);
                if self.record.kind == kind::END_REQUEST && self.record.content != 8 {
                    return Err(FastCgiError::Record);
                }
                if self.record.content == 0 {
                    continue;
                }
            }
            if self.record.kind == kind::END_REQUEST {
                if buffer.len() < 8 + self.record.padding {
                    return Ok(Piece::NeedMore);
                }
                let status = buffer[4];
                buffer.advance(8 + self.record.padding);
                self.record = Record::default();
                return if status == 0 { Ok(Piece::End) } else { Err(FastCgiError::Refused(status)) };
            }
            if buffer.is_empty() {
                return Ok(Piece::NeedMore);
            }
            let content = buffer.split_to(self.record.content.min(buffer.len())).freeze();
            self.record.content -= content.len();
            return Ok(match self.record.kind {
                kind::STDOUT => Piece::Output(content),
                kind::STDERR => Piece::Errors(content),
                _ => Piece::Other,
            });
        }
    }
}

/// Management records (request id 0) are read over; everything else must belong to the one request.
fn read_header(header: &[u8]) -> Result<Record, FastCgiError> {
    let id = u16::from_be_bytes([header[2], header[3]]);
    let known = matches!(header[1], kind::STDOUT | kind::STDERR | kind::END_REQUEST);
    if header[0] != VERSION || !(id == 0 && !known || id == REQUEST && known) {
        return Err(FastCgiError::Record);
    }
    let content = usize::from(u16::from_be_bytes([header[4], header[5]]));
    Ok(Record { kind: header[1], content, padding: usize::from(header[6]) })
}

/// The length of a head with its empty line; lines end in LF or CR LF (RFC 3875 section 6.2).
fn end_of_head(output: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', &output[from..]).map(|at| from + at).find_map(|at| {
        let rest = &output[at + 1..];
        match rest {
            [b'\n', ..] => Some(at + 2),
            [b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        }
    })
}

/// Fields as strict as HTTP/1.1's; `Status` becomes the status, `Location` without it 302 (RFC 3875 section 6.3).
fn parse_head(head: &[u8]) -> Result<ResponseHead, FastCgiError> {
    let mut lines = Vec::with_capacity(head.len() + 32);
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            lines.extend_from_slice(line);
            lines.extend_from_slice(b"\r\n");
        }
    }
    lines.extend_from_slice(b"\r\n");
    let mut headers: Headers = parse_fields(lines.into(), MAX_FIELDS).map_err(|_| FastCgiError::Head)?;
    // An answer without any field is none.
    if headers.is_empty() || headers.contains("transfer-encoding") {
        return Err(FastCgiError::Head);
    }
    let statuses: Vec<_> = headers.all("status").collect();
    let status = match statuses[..] {
        [] if headers.contains("location") => 302,
        [] => 200,
        [status] => status_code(status).ok_or(FastCgiError::Head)?,
        _ => return Err(FastCgiError::Head),
    };
    headers.remove("status");
    Ok(ResponseHead { headers, ..ResponseHead::new(status) })
}

/// `404` or `404 Not Found`; interim answers are none.
fn status_code(value: &[u8]) -> Option<u16> {
    let digits = value.get(..3).filter(|_| value.get(3).is_none_or(|byte| *byte == b' '))?;
    let code: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (200..600).contains(&code).then_some(code)
}

fn broken(error: FastCgiError) -> BodyError {
    std::io::Error::new(std::io::ErrorKind::InvalidData, error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, content: &[u8], padding: u8) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let mut bytes = vec![1, kind, 0, 1, length[0], length[1], padding, 0];
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len() + usize::from(padding), 0);
        bytes
    }

    fn end(status: u8) -> Vec<u8> {
        record(kind::END_REQUEST, &[0, 0, 0, 0, status, 0, 0, 0], 0)
    }

    /// Status, body and standard error of an answer that arrives in pieces of `step` bytes.
    async fn read(bytes: &[u8], step: usize) -> Result<(u16, String, String), String> {
        let (client, server) = tokio::io::duplex(step);
        let bytes = bytes.to_vec();
        let writing = tokio::spawn(async move {
            let mut server = server;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut server, &bytes).await;
        });
        let mut source = Source::new(client);
        let mut reply = Reply::new(false);
        let (head, _) = reply.head(&mut source).await.map_err(|error| error.to_string())?;
        let mut body = Vec::new();
        while let Some(piece) = reply.body(&mut source).await.map_err(|error| error.to_string())? {
            body.extend_from_slice(&piece);
        }
        assert!(reply.has_ended());
        writing.abort();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ok((head.status, text(body), text(reply.take_errors())))
    }

    #[tokio::test]
    async fn answers_in_pieces_of_any_size() {
        let answer = [
            record(kind::STDERR, b"careful\n", 3),
            record(kind::STDOUT, b"Status: 404 Not Found\r\nContent-Ty", 7),
            record(kind::STDOUT, b"pe: text/plain\r\n\r\nhel", 0),
            record(kind::STDOUT, b"", 5),
            record(kind::STDOUT, b"lo", 1),
            end(0),
        ]
        .concat();
        for step in [1, 2, 7, 8, 100, 1000] {
            let expected = (404, "hello".to_owned(), "careful\n".to_owned());
            assert_eq!(read(&answer, step).await, Ok(expected), "by {step}");
        }
        let bare = [record(kind::STDOUT, b"Location: /x\n\n", 0), end(0)].concat();
        assert_eq!(read(&bare, 9).await, Ok((302, String::new(), String::new())));
    }

    #[tokio::test]
    async fn lies_are_refused() {
        let output = |text: &str| record(kind::STDOUT, text.as_bytes(), 0);
        let mut other_id = output("a: b\r\n\r\n");
        other_id[3] = 2;
        let mut version = output("a: b\r\n\r\n");
        version[0] = 2;
        let long = output(&format!("a: {}\r\n", "b".repeat(60_000)));
        let cases: [(&str, Vec<u8>); 14] = [
            ("short", [output("Content-Length: 9\r\n\r\nabc"), end(0)].concat()),
            ("long", [output("Content-Length: 2\r\n\r\nabc"), end(0)].concat()),
            ("two lengths", [output("Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), end(0)].concat()),
            ("cut", output("a: b\r\n\r\nabc")),
            ("no answer", end(0)),
            ("no head end", [output("a: b\r\n"), end(0)].concat()),
            ("no field", [output("\r\n\r\n"), end(0)].concat()),
            ("refused", end(2)),
            ("id", other_id),
            ("version", version),
            ("type", record(9, b"x", 0)),
            ("large", [long.clone(), long].concat()),
            ("status", [output("Status: 99\r\n\r\n"), end(0)].concat()),
            ("injection", [output("a: b\rc\r\n\r\n"), end(0)].concat()),
        ];
        for (name, bytes) in cases {
            for step in [7, 100_000] {
                assert!(read(&bytes, step).await.is_err(), "{name} by {step}");
            }
        }
    }
}
