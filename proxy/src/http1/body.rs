//! Decoding message bodies (RFC 9112 sections 6 and 7): known length, chunked, or until the connection closes.
//!
//! Works on a buffer and does no input itself, so both directions share it. Chunk
//! extensions are read over, trailers are checked and kept for whoever asks.

use bytes::{Buf, Bytes, BytesMut};

use crate::headers::Headers;
use crate::http1::field::{check_value, parse_field};
use crate::http1::framing::BodyLength;
use crate::http1::target::hex_digit;

/// Longest chunk-size line (with extensions) in bytes.
const MAX_SIZE_LINE: usize = 256;
/// Most bytes of trailers.
const MAX_TRAILERS: usize = 8 * 1024;

/// A body that breaks its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// The connection ended within the body.
    #[error("the connection closed before the body was complete")]
    Truncated,
    /// A malformed chunk size, extension, chunk end or trailer.
    #[error("malformed chunked encoding")]
    Chunk,
    /// A malformed trailer of an HTTP/2 stream.
    #[error("malformed trailers")]
    Trailers,
}

/// What the decoder found in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A piece of the body, never empty.
    Data(Bytes),
    /// More input is needed.
    NeedMore,
    /// The body is complete; what remains in the buffer belongs to the next message.
    End,
}

/// State of one body.
#[derive(Debug)]
pub enum BodyDecoder {
    /// Complete.
    Done,
    /// Complete, with trailers that nobody took yet.
    Trailed(Headers),
    /// This many bytes are still to come.
    Length(u64),
    /// Chunked transfer coding.
    Chunked(Chunk),
    /// Everything until the peer closes.
    UntilClose,
}

/// Where in the chunked coding the decoder stands.
#[derive(Debug)]
pub enum Chunk {
    /// Before a chunk-size line.
    Size,
    /// Within chunk data, with this many bytes left.
    Data(u64),
    /// Before the CR LF that ends chunk data.
    DataEnd,
    /// Within trailers.
    Trailers {
        /// Bytes read so far.
        read: usize,
        /// The fields so far.
        fields: Headers,
    },
}

impl From<BodyLength> for BodyDecoder {
    fn from(length: BodyLength) -> Self {
        match length {
            BodyLength::Empty => Self::Done,
            BodyLength::Known(length) => Self::Length(length),
            BodyLength::Streamed => Self::Chunked(Chunk::Size),
        }
    }
}

impl BodyDecoder {
    /// Whether the whole body was decoded.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done | Self::Trailed(_))
    }

    /// The trailers of a complete body; none the second time.
    pub fn take_trailers(&mut self) -> Headers {
        match std::mem::replace(self, Self::Done) {
            Self::Trailed(fields) => fields,
            other => {
                *self = other;
                Headers::default()
            }
        }
    }

    /// Takes the next piece out of `buffer`; `closed` says that no more input will come.
    pub fn decode(&mut self, buffer: &mut BytesMut, closed: bool) -> Result<Decoded, FramingError> {
        let decoded = match self {
            Self::Done | Self::Trailed(_) => Decoded::End,
            Self::Length(left) => take(buffer, left),
            Self::UntilClose if !buffer.is_empty() => Decoded::Data(buffer.split().freeze()),
            Self::UntilClose if closed => Decoded::End,
            Self::UntilClose => Decoded::NeedMore,
            Self::Chunked(chunk) => chunk.decode(buffer)?,
        };
        if decoded == Decoded::End || matches!(self, Self::Length(0)) {
            *self = match std::mem::replace(self, Self::Done) {
                Self::Chunked(Chunk::Trailers { fields, .. }) | Self::Trailed(fields)
                    if !fields.is_empty() =>
                {
                    Self::Trailed(fields)
                }
                _ => Self::Done,
            };
        }
        match decoded {
            Decoded::NeedMore if closed => Err(FramingError::Truncated),
            decoded => Ok(decoded),
        }
    }
}

/// Takes up to `left` bytes.
fn take(buffer: &mut BytesMut, left: &mut u64) -> Decoded {
    if buffer.is_empty() {
        return Decoded::NeedMore;
    }
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    *left -= length as u64;
    Decoded::Data(buffer.split_to(length).freeze())
}

impl Chunk {
    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, FramingError> {
        loop {
            match self {
                Self::Size => {
                    let Some(line) = line(buffer, MAX_SIZE_LINE)? else { return Ok(Decoded::NeedMore) };
                    *self = match chunk_size(&line).ok_or(FramingError::Chunk)? {
                        0 => Self::Trailers { read: 0, fields: Headers::default() },
                        size => Self::Data(size),
                    };
                }
                Self::Data(left) => {
                    let decoded = take(buffer, left);
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    return Ok(decoded);
                }
                Self::DataEnd => {
                    if !b"\r\n".starts_with(&buffer[..buffer.len().min(2)]) {
                        return Err(FramingError::Chunk);
                    }
                    if buffer.len() < 2 {
                        return Ok(Decoded::NeedMore);
                    }
                    buffer.advance(2);
                    *self = Self::Size;
                }
                Self::Trailers { read, fields } => {
                    let Some(line) = line(buffer, MAX_TRAILERS - *read)? else {
                        return Ok(Decoded::NeedMore);
                    };
                    if line.is_empty() {
                        return Ok(Decoded::End);
                    }
                    *read += line.len() + 2;
                    let (name, value) = parse_field(&line.freeze()).map_err(|_| FramingError::Chunk)?;
                    fields.push(name, value);
                }
            }
        }
    }
}

/// Takes a line that ends in CR LF and is at most `maximum` bytes long.
fn line(buffer: &mut BytesMut, maximum: usize) -> Result<Option<BytesMut>, FramingError> {
    let window = &buffer[..buffer.len().min(maximum + 2)];
    match memchr::memchr(b'\n', window) {
        Some(end) if end > 0 && window[end - 1] == b'\r' => {
            let mut line = buffer.split_to(end + 1);
            line.truncate(end - 1);
            Ok(Some(line))
        }
        Some(_) => Err(FramingError::Chunk),
        None if window.len() == maximum + 2 => Err(FramingError::Chunk),
        None => Ok(None),
    }
}

/// Reads `1*HEXDIG [";" extension]`, at most 15 digits, no white space before the semicolon.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| hex_digit(*byte).is_none()).unwrap_or(line.len());
    let (digits, extension) = line.split_at(digits);
    if digits.is_empty() || digits.len() > 15 || check_value(extension).is_err() {
        return None;
    }
    if !extension.is_empty() && extension[0] != b';' {
        return None;
    }
    Some(digits.iter().fold(0, |size, digit| size << 4 | u64::from(hex_digit(*digit).unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the bytes in pieces of `step` and collects the body and what is left over.
    fn decode(
        mut decoder: BodyDecoder,
        input: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, Vec<u8>), FramingError> {
        let mut buffer = BytesMut::new();
        let mut body = Vec::new();
        let mut pieces = input.chunks(step);
        let mut closed = false;
        loop {
            match decoder.decode(&mut buffer, closed)? {
                Decoded::Data(data) => body.extend_from_slice(&data),
                Decoded::End => break,
                Decoded::NeedMore => match pieces.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => closed = true,
                },
            }
        }
        let mut rest = buffer.to_vec();
        pieces.for_each(|piece| rest.extend_from_slice(piece));
        Ok((body, rest))
    }

    #[test]
    fn valid_chunked_bodies_in_pieces_of_any_size() {
        let cases: [(&[u8], &[u8], &[u8]); 6] = [
            (b"3\r\nabc\r\n0\r\n\r\n", b"abc", b""),
            (b"3\r\nabc\r\n2;x=\"y\"\r\nde\r\n0\r\n\r\nGET ", b"abcde", b"GET "),
            (b"0\r\n\r\n", b"", b""),
            (b"00a\r\n0123456789\r\n000\r\nA: b\r\nC: d\r\n\r\n", b"0123456789", b""),
            (b"A\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n\r\n\r\n\r\n", b""),
            (b"1;\r\na\r\n0;z\r\n\r\n", b"a", b""),
        ];
        for (input, body, rest) in cases {
            for step in 1..=input.len() {
                let decoded = decode(BodyDecoder::Chunked(Chunk::Size), input, step);
                assert_eq!(decoded, Ok((body.to_vec(), rest.to_vec())), "{} by {step}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn broken_chunked_bodies() {
        let long = [b"1;".as_slice(), &[b'a'; 400]].concat();
        let trailers = [b"0\r\n".as_slice(), b"A: b\r\n".repeat(2000).as_slice(), b"\r\n"].concat();
        let cases: [&[u8]; 20] = [
            b"g\r\n",
            b"\r\n",
            b"-1\r\na\r\n",
            b"+1\r\na\r\n",
            b"0x1\r\na\r\n",
            b" 1\r\na\r\n",
            b"1 \r\na\r\n",
            b"1 ;a\r\na\r\n",
            b"1\na\r\n",
            b"1\r\na\n0\r\n\r\n",
            b"1\r\nab\r\n",
            b"1\r\na0\r\n\r\n",
            b"1\ra\r\n",
            b"1;\0\r\na\r\n",
            b"1;a\rb\r\na\r\n",
            b"ffffffffffffffff\r\n",
            b"0\r\nA b\r\n\r\n",
            b"0\r\n A: b\r\n\r\n",
            &long,
            &trailers,
        ];
        for input in cases {
            for step in [1, 7, input.len()] {
                let decoded = decode(BodyDecoder::Chunked(Chunk::Size), input, step);
                assert_eq!(decoded, Err(FramingError::Chunk), "{}", input.escape_ascii());
            }
        }
        let truncated: [&[u8]; 5] = [b"", b"3", b"3\r\nab", b"3\r\nabc", b"0\r\n"];
        for input in truncated {
            let decoded = decode(BodyDecoder::Chunked(Chunk::Size), input, 1);
            assert_eq!(decoded, Err(FramingError::Truncated), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn trailers_are_kept_until_they_are_taken() {
        let mut decoder = BodyDecoder::Chunked(Chunk::Size);
        let mut buffer = BytesMut::from(&b"1\r\na\r\n0\r\nA: b \r\nC:\r\n\r\nGET"[..]);
        assert_eq!(decoder.decode(&mut buffer, false), Ok(Decoded::Data(Bytes::from_static(b"a"))));
        assert!(!decoder.is_done());
        assert_eq!(decoder.decode(&mut buffer, false), Ok(Decoded::End));
        assert_eq!(decoder.decode(&mut buffer, false), Ok(Decoded::End));
        assert!(decoder.is_done());
        let trailers = decoder.take_trailers();
        let text: Vec<_> = trailers.iter().map(|field| (&field.name[..], &field.value[..])).collect();
        assert_eq!(text, [(&b"A"[..], &b"b"[..]), (b"C", b"")]);
        assert!(decoder.take_trailers().is_empty() && decoder.is_done());
        assert_eq!(&buffer[..], b"GET");
    }

    #[test]
    fn known_lengths_and_open_ends() {
        assert_eq!(decode(BodyDecoder::Length(3), b"abcd", 2), Ok((b"abc".to_vec(), b"d".to_vec())));
        assert_eq!(decode(BodyDecoder::Length(5), b"abcd", 9), Err(FramingError::Truncated));
        assert_eq!(decode(BodyDecoder::Done, b"x", 1), Ok((Vec::new(), b"x".to_vec())));
        assert_eq!(decode(BodyDecoder::UntilClose, b"abcd", 3), Ok((b"abcd".to_vec(), Vec::new())));
    }
}
