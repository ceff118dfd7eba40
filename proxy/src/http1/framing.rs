//! The framing filter: how long a request's body is, or why the request is refused (RFC 9112 section 6,
//! and stricter: nothing ambiguous is resolved, everything ambiguous is refused).

use crate::headers::{Headers, is_name};
use crate::http1::field::FieldError;

/// How the end of a message body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// No body.
    Empty,
    /// Exactly this many bytes (greater than zero).
    Known(u64),
    /// Unknown until its end arrives: chunked in HTTP/1.1, open-ended in HTTP/2.
    Streamed,
}

/// A request that is answered by us and never forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A malformed header line.
    #[error("malformed header: {0}")]
    Field(FieldError),
    /// The request line is not `method SP target SP HTTP/1.x`.
    #[error("malformed request line")]
    RequestLine,
    /// An HTTP version other than 1.0 and 1.1.
    #[error("unsupported HTTP version")]
    Version,
    /// The method is no token or longer than 32 bytes.
    #[error("malformed method")]
    Method,
    /// TRACE and CONNECT are not served.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The target is in none of the allowed forms.
    #[error("malformed request target")]
    Target,
    /// The target is longer than 32 KiB.
    #[error("request target too long")]
    TargetTooLong,
    /// The head is longer than allowed.
    #[error("request head too large")]
    HeadTooLarge,
    /// HTTP/1.1 without `Host`.
    #[error("missing Host")]
    HostMissing,
    /// More than one `Host`.
    #[error("more than one Host")]
    HostRepeated,
    /// `Host` is not a host with an optional port.
    #[error("malformed Host")]
    Host,
    /// The authority or scheme of an absolute target differs from `Host` or from the connection.
    #[error("request target and Host differ")]
    AuthorityMismatch,
    /// More than one `Content-Length`, or a list in one.
    #[error("more than one Content-Length")]
    LengthRepeated,
    /// `Content-Length` is not a plain decimal number.
    #[error("malformed Content-Length")]
    Length,
    /// `Content-Length` beside `Transfer-Encoding`.
    #[error("Content-Length beside Transfer-Encoding")]
    LengthAndEncoding,
    /// `Transfer-Encoding` other than exactly one `chunked`.
    #[error("Transfer-Encoding is not exactly chunked")]
    Encoding,
    /// `Transfer-Encoding` in HTTP/1.0.
    #[error("Transfer-Encoding in HTTP/1.0")]
    EncodingIn10,
    /// `Expect` other than `100-continue`.
    #[error("unknown expectation")]
    Expectation,
    /// The body's chunked framing is broken.
    #[error("malformed chunked body")]
    Chunk,
    /// A trailer of an HTTP/2 stream is malformed.
    #[error("malformed trailers")]
    Trailers,
    /// The head did not arrive in time.
    #[error("request head took too long")]
    HeadTimeout,
}

impl Refusal {
    /// The status that answers it.
    pub const fn status(self) -> u16 {
        match self {
            Self::MethodNotAllowed => 405,
            Self::HeadTimeout => 408,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::Field(FieldError::TooMany) => 431,
            Self::Version => 505,
            _ => 400,
        }
    }

    /// The value of the label `reason` in `hop3_http_rejected_total`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Field(FieldError::BareLf) => "bare_lf",
            Self::Field(FieldError::BareCr) => "bare_cr",
            Self::Field(FieldError::Nul) => "nul",
            Self::Field(FieldError::Control) => "control_character",
            Self::Field(FieldError::Folded) => "folded_header",
            Self::Field(FieldError::Name) => "header_name",
            Self::Field(FieldError::Blank) => "header_white_space",
            Self::Field(FieldError::TooMany) => "too_many_headers",
            Self::RequestLine => "request_line",
            Self::Version => "version",
            Self::Method => "method",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Target => "target",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::Host => "host",
            Self::AuthorityMismatch => "authority_mismatch",
            Self::LengthRepeated => "content_length_repeated",
            Self::Length => "content_length",
            Self::LengthAndEncoding => "content_length_and_transfer_encoding",
            Self::Encoding => "transfer_encoding",
            Self::EncodingIn10 => "transfer_encoding_in_http10",
            Self::Expectation => "expectation",
            Self::Chunk => "chunked_body",
            Self::Trailers => "trailers",
            Self::HeadTimeout => "head_timeout",
        }
    }
}

/// Decides the body's framing from the header fields of a request.
pub fn request_body_length(headers: &Headers, http10: bool) -> Result<BodyLength, Refusal> {
    let length = content_length(headers)?;
    let mut encodings = headers.all("transfer-encoding");
    let Some(encoding) = encodings.next() else {
        return Ok(match length {
            None | Some(0) => BodyLength::Empty,
            Some(length) => BodyLength::Known(length),
        });
    };
    if http10 {
        return Err(Refusal::EncodingIn10);
    }
    if length.is_some() {
        return Err(Refusal::LengthAndEncoding);
    }
    if encodings.next().is_some() || !is_name(encoding, "chunked") {
        return Err(Refusal::Encoding);
    }
    Ok(BodyLength::Streamed)
}

/// The one `Content-Length`, if any.
pub fn content_length(headers: &Headers) -> Result<Option<u64>, Refusal> {
    let mut lengths = headers.all("content-length");
    let Some(value) = lengths.next() else { return Ok(None) };
    if lengths.next().is_some() || value.contains(&b',') {
        return Err(Refusal::LengthRepeated);
    }
    parse_length(value).map(Some).ok_or(Refusal::Length)
}

fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}
