//! The head of a part: its header lines up to the empty one.

use super::disposition::{self, Disposition};
use super::{Error, Flags};
use crate::white_space::{is_space, trim_start};
use std::borrow::Cow;

/// A header line, its end included, must be shorter; so must be what folded
/// lines amount to together.
const LONGEST_LINE: usize = 4096;
/// Real parts have fewer than five. Bounds the search for duplicates.
const MOST_LINES: usize = 128;
/// How much of a bad value an error quotes.
const LONGEST_QUOTE: usize = 256;

/// The header lines of one part.
#[derive(Debug, Default)]
pub(super) struct Head<'a> {
    /// Offset of the first line in the body.
    start: usize,
    lines: Vec<Line<'a>>,
}

#[derive(Debug)]
struct Line<'a> {
    text: Cow<'a, [u8]>,
    name_length: usize,
}

impl Line<'_> {
    fn name(&self) -> &[u8] {
        &self.text[..self.name_length]
    }
}

impl<'a> Head<'a> {
    /// An empty head that begins at `start` in the body.
    pub(super) fn new(start: usize) -> Self {
        Self { start, lines: Vec::new() }
    }

    /// Takes one line, its line feed included, found at `offset` in the body.
    /// True when it is the empty line that ends the head. A line in error is
    /// not kept, except for a bad or duplicate name: there are rules for those.
    pub(super) fn push(&mut self, raw: &'a [u8], offset: usize, flags: &mut Flags) -> Result<bool, Error> {
        if raw.len() >= LONGEST_LINE {
            return Err(Error::HeaderLength(offset));
        }
        if memchr::memchr(0, raw).is_some() {
            return Err(Error::HeaderNul(offset));
        }
        let line = match raw {
            [line @ .., b'\r', b'\n'] => {
                flags.crlf_line = true;
                line
            }
            [line @ .., _] => {
                flags.lf_line = true;
                line
            }
            [] => return Ok(false),
        };
        match line {
            [] => return Ok(true),
            [first, ..] if is_space(*first) => self.fold(line, offset, flags)?,
            _ => self.begin(line, offset)?,
        }
        Ok(false)
    }

    /// Appends a continuation line to the header before it.
    fn fold(&mut self, line: &'a [u8], offset: usize, flags: &mut Flags) -> Result<(), Error> {
        flags.header_folding = true;
        let text = trim_start(line);
        let prefix = &line[..line.len() - text.len()];
        if prefix.iter().any(|b| !matches!(b, b' ' | b'\t')) {
            flags.invalid_header_folding = true;
        }
        let header = self.lines.last_mut().ok_or(Error::HeaderFolding(offset))?;
        if header.text.len() + text.len() >= LONGEST_LINE {
            return Err(Error::HeaderLength(offset));
        }
        let whole = header.text.to_mut();
        whole.push(b' ');
        whole.extend_from_slice(text);
        Ok(())
    }

    /// Starts a new header.
    fn begin(&mut self, line: &'a [u8], offset: usize) -> Result<(), Error> {
        let name_length = memchr::memchr(b':', line).ok_or(Error::HeaderColon(offset))?;
        let name = &line[..name_length];
        if name.is_empty() {
            return Err(Error::HeaderName(offset));
        }
        if self.lines.len() >= MOST_LINES {
            return Err(Error::HeaderCount(offset));
        }
        let duplicate = self.lines.iter().any(|other| other.name().eq_ignore_ascii_case(name));
        self.lines.push(Line { text: Cow::Borrowed(line), name_length });
        if !name.iter().all(u8::is_ascii_graphic) {
            return Err(Error::HeaderCharacter(offset));
        }
        if duplicate {
            return Err(Error::DuplicateHeader(String::from_utf8_lossy(name).into_owned()));
        }
        Ok(())
    }

    /// Reads the first Content-Disposition. What could be read is returned even
    /// beside an error.
    pub(super) fn disposition(&self, flags: &mut Flags) -> (Disposition<'a>, Result<(), Error>) {
        let is_disposition = |line: &&Line<'_>| line.name().eq_ignore_ascii_case(b"Content-Disposition");
        let Some(line) = self.lines.iter().find(is_disposition) else {
            return (Disposition::default(), Err(Error::DispositionMissing(self.start)));
        };
        let value_start = line.name_length + 1;
        match &line.text {
            Cow::Borrowed(text) => self.read(&text[value_start..], flags),
            Cow::Owned(text) => {
                let (disposition, result) = self.read(&text[value_start..], flags);
                (disposition.into_owned(), result)
            }
        }
    }

    fn read<'v>(&self, value: &'v [u8], flags: &mut Flags) -> (Disposition<'v>, Result<(), Error>) {
        let value = match value.iter().position(|b| !matches!(b, b' ' | b'\t')) {
            Some(start) => &value[start..],
            None => &[],
        };
        let mut disposition = Disposition::default();
        let result = match disposition::parse(value, &mut disposition, flags) {
            Err(fault) => {
                let quoted = &value[..value.len().min(LONGEST_QUOTE)];
                Err(Error::Disposition { fault, value: String::from_utf8_lossy(quoted).into_owned() })
            }
            Ok(()) => self.check(&disposition, value),
        };
        (disposition, result)
    }

    fn check(&self, disposition: &Disposition<'_>, value: &[u8]) -> Result<(), Error> {
        if disposition.name.as_deref().is_none_or(<[u8]>::is_empty) {
            return Err(Error::NameMissing(self.start));
        }
        let has_filename = disposition.filename.as_deref().is_some_and(|name| !name.is_empty());
        if has_filename && memchr::memmem::find(value, b"filename=").is_none() {
            return Err(Error::FilenameSpelling(self.start));
        }
        Ok(())
    }

    /// The header lines, in order, without their line ends.
    pub(super) fn into_lines(self) -> impl Iterator<Item = Cow<'a, [u8]>> {
        self.lines.into_iter().map(|line| line.text)
    }
}
