//! What can be wrong with a multipart body.

use super::disposition::Fault;

/// An error that makes the body untrustworthy (`MULTIPART_STRICT_ERROR` and
/// `REQBODY_PROCESSOR_ERROR`). The text is fit for `REQBODY_ERROR_MSG`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request has no Content-Type.
    #[error("Multipart parsing error: Multipart: Content-Type header not available.")]
    NoContentType,
    /// The Content-Type is longer than 1024 bytes.
    #[error("Multipart parsing error: Multipart: Invalid boundary in C-T (length).")]
    ContentTypeLength,
    /// The Content-Type is not `multipart/form-data`.
    #[error("Multipart parsing error: Multipart: Invalid MIME type.")]
    MimeType,
    /// The Content-Type has several boundary parameters.
    #[error("Multipart parsing error: Multipart: Multiple boundary parameters in C-T.")]
    MultipleBoundaries,
    /// The Content-Type has no boundary parameter.
    #[error("Multipart parsing error: Multipart: Boundary not found in C-T.")]
    BoundaryNotFound,
    /// The parameter is spelt with capitals, which many applications miss.
    #[error("Multipart parsing error: Multipart: Invalid boundary in C-T (case sensitivity).")]
    BoundaryCase,
    /// Other text than one semicolon before the parameter, or no `=` in it.
    #[error("Multipart parsing error: Multipart: Invalid boundary in C-T (malformed).")]
    BoundaryMalformed,
    /// Other text than white space between `boundary` and `=`.
    #[error("Multipart parsing error: Multipart: Invalid boundary in C-T (parameter name).")]
    BoundaryParameterName,
    /// Only one of two quotes.
    #[error("Multipart parsing error: Multipart: Invalid boundary in C-T (quote).")]
    BoundaryQuote,
    /// The value contains another boundary parameter.
    #[error("Multipart parsing error: Multipart: Invalid boundary in C-T (content).")]
    BoundaryContent,
    /// Bytes that RFC 2046, section 5.1.1, does not allow in a boundary.
    #[error("Multipart parsing error: Multipart: Invalid boundary in C-T (characters).")]
    BoundaryCharacters,
    /// The value is empty.
    #[error("Multipart parsing error: Multipart: Invalid boundary in C-T (empty).")]
    BoundaryEmpty,
    /// A boundary line goes on after the boundary; parsing ended there.
    #[error(
        "Multipart parsing error: Multipart: Invalid boundary: text follows it on its line (at byte {0})"
    )]
    BoundaryLine(usize),
    /// A boundary line carries the quotes of the Content-Type; parsing ended
    /// there.
    #[error("Multipart parsing error: Multipart: Invalid boundary (quotes). (at byte {0})")]
    BoundaryLineQuotes(usize),
    /// A boundary line has white space before the boundary; parsing ended
    /// there.
    #[error("Multipart parsing error: Multipart: Invalid boundary (whitespace). (at byte {0})")]
    BoundaryLineWhitespace(usize),
    /// The body has no boundary line.
    #[error("Multipart parsing error: Multipart: No boundaries found in payload.")]
    NoBoundaries,
    /// The body ends without the final boundary.
    #[error("Multipart parsing error: Multipart: Final boundary missing.")]
    FinalBoundaryMissing,
    /// A header line contains a NUL byte.
    #[error("Multipart parsing error: Multipart: Nul byte in part headers. (at byte {0})")]
    HeaderNul(usize),
    /// A header line is longer than 4096 bytes.
    #[error("Multipart parsing error: Multipart: Part header line over 4096 bytes long (at byte {0})")]
    HeaderLength(usize),
    /// A header line has no colon.
    #[error("Multipart parsing error: Multipart: Invalid part header (colon missing). (at byte {0})")]
    HeaderColon(usize),
    /// A header line begins with its colon.
    #[error("Multipart parsing error: Multipart: Invalid part header (header name missing). (at byte {0})")]
    HeaderName(usize),
    /// A header name has bytes outside of 33 to 126.
    #[error(
        "Multipart parsing error: Multipart: Invalid part header (contains invalid character). (at byte {0})"
    )]
    HeaderCharacter(usize),
    /// The first header line is a continuation.
    #[error("Multipart parsing error: Multipart: Invalid part header (folding error). (at byte {0})")]
    HeaderFolding(usize),
    /// A part has more than 128 header lines; the rest is not listed.
    #[error("Multipart parsing error: Multipart: more than 128 headers in one part (at byte {0})")]
    HeaderCount(usize),
    /// A part has the same header twice.
    #[error("Multipart parsing error: Multipart: Duplicate part header: {0}.")]
    DuplicateHeader(String),
    /// A part has no Content-Disposition.
    #[error("Multipart parsing error: Multipart: Part missing Content-Disposition header. (at byte {0})")]
    DispositionMissing(usize),
    /// A Content-Disposition cannot be understood.
    #[error("Multipart parsing error: Multipart: Invalid Content-Disposition header ({fault}): {value}")]
    Disposition {
        /// What is wrong with it.
        fault: Fault,
        /// The header's value, lossily decoded, at most 256 bytes of it.
        value: String,
    },
    /// A Content-Disposition without a name.
    #[error(
        "Multipart parsing error: Multipart: Content-Disposition header missing name field. (at byte {0})"
    )]
    NameMissing(usize),
    /// White space between `filename` and `=`, which hides it from crude
    /// parsers.
    #[error(
        "Multipart parsing error: Multipart: Invalid Content-Disposition header (filename). (at byte {0})"
    )]
    FilenameSpelling(usize),
    /// More files than [`Limits::files`](crate::Limits::files).
    #[error(
        "Multipart parsing error: Multipart: Upload file limit exceeded {0}. Use SecUploadFileLimit to change the limit."
    )]
    FileLimit(usize),
    /// More fields than [`Limits::arguments`](crate::Limits::arguments); the
    /// rest is not listed.
    #[error("Multipart parsing error: Multipart: more than {0} fields")]
    ArgumentLimit(usize),
}
