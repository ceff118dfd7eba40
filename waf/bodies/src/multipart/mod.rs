//! `multipart/form-data` bodies, as strictly as ModSecurity reads them.
//!
//! This file owns the result. `boundary` reads the Content-Type, `parser` cuts
//! the body into parts, `header` and `disposition` read the head of a part,
//! `error` names what can be wrong.
//!
//! Strictness matters more than tolerance here: an application that reads a
//! doubtful body otherwise than the firewall is how uploads slip through. So
//! each deviation raises a flag of its own, and `MULTIPART_STRICT_ERROR` is
//! their sum.

mod boundary;
mod disposition;
mod error;
mod header;
mod parser;

pub use disposition::Fault as DispositionFault;
pub use error::Error;

use crate::{Argument, Limits};
use std::borrow::Cow;

/// The deviations that ModSecurity counts, named after its `MULTIPART_*`
/// variables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// The boundary parameter stands in double quotes.
    pub boundary_quoted: bool,
    /// White space around the `=` of the boundary parameter.
    pub boundary_whitespace: bool,
    /// Lines before the first boundary.
    pub data_before: bool,
    /// Bytes after the final boundary; they are not parsed.
    pub data_after: bool,
    /// A part header continues on the next line.
    pub header_folding: bool,
    /// A part header continues after something else than space or tab.
    pub invalid_header_folding: bool,
    /// A header line, a boundary or the line before a boundary ends in LF only.
    pub lf_line: bool,
    /// A header line or a boundary ends in CRLF, as it should.
    pub crlf_line: bool,
    /// No semicolon before the boundary parameter.
    pub missing_semicolon: bool,
    /// Single quotes around, or inside an unquoted, name or file name.
    pub invalid_quoting: bool,
    /// A part without a name, or a boundary where a part's data should begin.
    pub invalid_part: bool,
    /// There are more files than [`Limits::files`].
    pub file_limit_exceeded: bool,
    /// Parameters after the boundary in the Content-Type were ignored. Not part
    /// of the strict error: some clients append `charset=`.
    pub boundary_parameter: bool,
}

impl Flags {
    /// `MULTIPART_CRLF_LF_LINES`: both kinds of line ends occur.
    #[must_use]
    pub fn crlf_lf_lines(&self) -> bool {
        self.crlf_line && self.lf_line
    }

    fn any_strict(&self) -> bool {
        self.boundary_quoted
            || self.boundary_whitespace
            || self.data_before
            || self.data_after
            || self.header_folding
            || self.invalid_header_folding
            || self.lf_line
            || self.missing_semicolon
            || self.invalid_quoting
            || self.invalid_part
            || self.file_limit_exceeded
    }
}

/// `MULTIPART_UNMATCHED_BOUNDARY`. The last event in the body decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnmatchedBoundary {
    /// Only one boundary line, or none, and nothing that looks like one.
    #[default]
    None = 0,
    /// Something looks like a boundary and is none.
    LookAlike = 1,
    /// The last boundary line was a true one and not the first. Rules that want
    /// no foreign boundaries at all test for `!@eq 0`, tolerant ones for
    /// `@eq 1`.
    Matched = 2,
}

/// What a multipart body holds, in order of appearance.
#[derive(Debug, Clone, Default)]
pub struct Multipart<'a> {
    /// The parts that have a name.
    pub parts: Vec<Part<'a>>,
    /// Header lines of all parts (`MULTIPART_PART_HEADERS`).
    pub part_headers: Vec<PartHeader<'a>>,
    /// The deviations seen.
    pub flags: Flags,
    /// Whether something looked like a boundary.
    pub unmatched_boundary: UnmatchedBoundary,
    /// Bytes that are not the content of files: part headers and field values
    /// (for `SecRequestBodyNoFilesLimit`).
    pub no_files_length: usize,
    /// The first error. What came before it, and what could still be made out
    /// after it, is in `parts`.
    pub error: Option<Error>,
}

/// One part with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// The `name` parameter, unquoted.
    pub name: Cow<'a, [u8]>,
    /// The `filename` parameter, unquoted. `None` also when it is empty: such a
    /// part is a field, as in ModSecurity.
    pub filename: Option<Cow<'a, [u8]>>,
    /// The `filename*` parameter without charset and language, still
    /// percent-encoded (RFC 5987).
    pub extended_filename: Option<Cow<'a, [u8]>>,
    /// The content without the line end that belongs to the next boundary.
    pub content: &'a [u8],
    /// Where the content begins in the body.
    pub offset: usize,
}

impl Part<'_> {
    /// True when the part is an uploaded file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.filename.is_some()
    }
}

/// One header line of a part, without its line end; continuation lines are
/// joined by one space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHeader<'a> {
    /// The name of the part; empty when the part has none.
    pub part: Cow<'a, [u8]>,
    /// `Name: value` as sent.
    pub line: Cow<'a, [u8]>,
}

impl Multipart<'_> {
    /// The parts that are fields (`ARGS_POST`).
    pub fn fields(&self) -> impl Iterator<Item = Argument<'_>> {
        self.parts
            .iter()
            .filter(|part| !part.is_file())
            .map(|part| Argument::borrowed(&part.name, part.content))
    }

    /// The parts that are files (`FILES`, `FILES_NAMES`, `FILES_SIZES`,
    /// `FILES_TMP_CONTENT`).
    pub fn files(&self) -> impl Iterator<Item = &Part<'_>> {
        self.parts.iter().filter(|part| part.is_file())
    }

    /// `FILES_COMBINED_SIZE`: bytes of all files together.
    #[must_use]
    pub fn files_combined_size(&self) -> usize {
        self.files().map(|file| file.content.len()).sum()
    }

    /// `MULTIPART_STRICT_ERROR`: any error, or any deviation except an
    /// unmatched boundary.
    #[must_use]
    pub fn strict_error(&self) -> bool {
        self.error.is_some() || self.flags.any_strict()
    }
}

/// The boundary that `content_type` announces, or why there is none.
pub fn boundary(content_type: &[u8]) -> Result<&[u8], Error> {
    boundary::extract(content_type, &mut Flags::default())
}

/// Parses `body` by the boundary that `content_type`, the value of the
/// Content-Type header, announces. A body of no bytes is no error by itself.
#[must_use]
pub fn parse<'a>(content_type: &[u8], body: &'a [u8], limits: &Limits) -> Multipart<'a> {
    let mut multipart = Multipart::default();
    match boundary::extract(content_type, &mut multipart.flags) {
        Ok(boundary) => parser::run(boundary, body, limits, &mut multipart),
        Err(error) => multipart.error = Some(error),
    }
    multipart
}

#[cfg(test)]
mod tests;
