//! Cuts a multipart body into parts.
//!
//! Works line by line in the heads of parts. In their data it jumps from one
//! pair of dashes to the next, with which each boundary begins, and so does
//! each line that merely looks like one: one vectorised search.

use super::disposition::Disposition;
use super::header::Head;
use super::{Error, Multipart, Part, PartHeader, UnmatchedBoundary};
use crate::Limits;
use crate::white_space::trim_start;
use memchr::{memchr, memmem};

/// Parses `body` into `result`, whose flags already tell about the Content-Type.
pub(super) fn run<'a>(boundary: &[u8], body: &'a [u8], limits: &Limits, result: &mut Multipart<'a>) {
    if body.is_empty() {
        return;
    }
    let delimiter = [b"--", boundary].concat();
    let finder = memmem::Finder::new(&delimiter);
    let dashes = memmem::Finder::new(b"--");
    let mut parser =
        Parser { body, boundary, finder, dashes, limits, result, fields: 0, files: 0, boundaries: 0 };
    if let Err(error) = parser.body() {
        parser.note(error);
    }
}

struct Parser<'a, 'b, 'r> {
    body: &'a [u8],
    boundary: &'b [u8],
    /// Finds `--boundary`.
    finder: memmem::Finder<'b>,
    /// Finds two dashes.
    dashes: memmem::Finder<'static>,
    limits: &'b Limits,
    result: &'r mut Multipart<'a>,
    fields: usize,
    files: usize,
    boundaries: usize,
}

/// Where a stretch of data ends.
enum Stop {
    /// At a boundary line, from its first byte to its line feed.
    Boundary { start: usize, line_feed: usize },
    /// At the end of the body; `last_line` is where the line without a line
    /// feed begins.
    EndOfBody { last_line: usize },
    /// At something that makes further parsing meaningless.
    Fatal { start: usize, error: Error },
}

/// Where the head of a part ends.
enum HeadStop {
    /// Its data begins here.
    Data(usize),
    /// The body ends first.
    EndOfBody { last_line: usize },
    /// See [`Stop::Fatal`].
    Fatal(Error),
}

impl<'a> Parser<'a, '_, '_> {
    fn body(&mut self) -> Result<(), Error> {
        let mut at = match self.seek(0, false) {
            Stop::Boundary { start, line_feed } => {
                self.result.flags.data_before = start > 0;
                match self.boundary_line(start, line_feed)? {
                    Some(next) => next,
                    None => return Ok(()),
                }
            }
            Stop::EndOfBody { last_line } => {
                self.result.flags.data_before = last_line > 0;
                return Err(Error::NoBoundaries);
            }
            Stop::Fatal { start, error } => {
                self.result.flags.data_before = start > 0;
                return Err(error);
            }
        };
        while let Some(next) = self.part(at)? {
            at = next;
        }
        Ok(())
    }

    /// Reads the part whose head begins at `start`, and the boundary after it.
    /// Returns where the next part begins, if there is one.
    fn part(&mut self, start: usize) -> Result<Option<usize>, Error> {
        let mut head = Head::new(start);
        let data = match self.head(&mut head, start) {
            HeadStop::Data(data) => data,
            HeadStop::EndOfBody { last_line } => return self.end(head, last_line, last_line),
            HeadStop::Fatal(error) => {
                self.note(error.clone());
                self.finish_part(head, start, start);
                return Err(error);
            }
        };
        match self.seek(data, true) {
            Stop::Boundary { start, line_feed } => {
                self.finish_part(head, data, self.data_end(data, start));
                self.boundary_line(start, line_feed)
            }
            Stop::EndOfBody { last_line } => self.end(head, data, last_line),
            Stop::Fatal { start, error } => {
                self.note(error.clone());
                self.finish_part(head, data, self.data_end(data, start));
                Err(error)
            }
        }
    }

    /// Reads header lines from `at` into `head`.
    fn head(&mut self, head: &mut Head<'a>, mut at: usize) -> HeadStop {
        let first = at;
        while let Some(length) = memchr(b'\n', &self.body[at..]) {
            let line = &self.body[at..=at + length];
            if line.starts_with(self.finder.needle()) {
                self.flag_line_end_before(at);
                self.result.flags.invalid_part = true;
            } else if let Err(error) = self.check_line(at, line) {
                return HeadStop::Fatal(error);
            }
            let ended = head.push(line, at, &mut self.result.flags).unwrap_or_else(|error| {
                self.note(error);
                false
            });
            at += line.len();
            if ended {
                self.result.no_files_length += at - first;
                return HeadStop::Data(at);
            }
        }
        self.result.no_files_length += at - first;
        HeadStop::EndOfBody { last_line: at }
    }

    /// Looks for the boundary line that ends the data beginning at `from`. In
    /// the data of a part (`in_part`) a boundary in the first line is not one:
    /// the line end before it would belong to the head.
    fn seek(&mut self, from: usize, in_part: bool) -> Stop {
        let mut fatal = None;
        let mut at = from;
        while let Some(found) = self.dashes.find(&self.body[at..]) {
            let start = at + found;
            let Some(length) = memchr(b'\n', &self.body[start..]) else { break };
            let line_feed = start + length;
            let line = &self.body[start..=line_feed];
            at = line_feed + 1;
            if start > from && self.body[start - 1] != b'\n' {
                self.note_boundary_within(line);
            } else if !line.starts_with(self.finder.needle()) {
                self.check_dashed_line(start, line, &mut fatal);
            } else if start == from && in_part {
                self.flag_line_end_before(start);
                self.result.flags.invalid_part = true;
            } else {
                return fatal.unwrap_or(Stop::Boundary { start, line_feed });
            }
        }
        let last_line = memchr::memrchr(b'\n', &self.body[from..]).map_or(from, |feed| from + feed + 1);
        fatal.unwrap_or(Stop::EndOfBody { last_line })
    }

    /// Looks at a line of data that begins with two dashes but not with the
    /// boundary. After the first that is fatal, only boundaries still count.
    fn check_dashed_line(&mut self, start: usize, line: &[u8], fatal: &mut Option<Stop>) {
        if fatal.is_none() {
            match self.check_dashes(start, line) {
                Ok(()) => return,
                Err(error) => *fatal = Some(Stop::Fatal { start, error }),
            }
        }
        self.note_boundary_within(line);
    }

    /// Notes a boundary that does not stand at the beginning of a line.
    fn note_boundary_within(&mut self, line: &[u8]) {
        if self.finder.find(line).is_some() {
            self.result.unmatched_boundary = UnmatchedBoundary::LookAlike;
        }
    }

    /// Looks at any line that is no boundary, its line feed included.
    fn check_line(&mut self, start: usize, line: &[u8]) -> Result<(), Error> {
        if line.starts_with(b"--") {
            self.check_dashes(start, line)?;
        } else {
            self.note_boundary_within(line);
        }
        Ok(())
    }

    /// Looks at a line that begins with two dashes but not with the boundary.
    fn check_dashes(&mut self, start: usize, line: &[u8]) -> Result<(), Error> {
        let after_dashes = &line[2..];
        if self.result.flags.boundary_quoted
            && after_dashes.strip_prefix(b"\"").is_some_and(|rest| rest.starts_with(self.boundary))
        {
            return Err(Error::BoundaryLineQuotes(start));
        }
        let trimmed = trim_start(after_dashes);
        if trimmed.len() < after_dashes.len() && trimmed.starts_with(self.boundary) {
            return Err(Error::BoundaryLineWhitespace(start));
        }
        if line.len() > b"--\n".len() {
            self.result.unmatched_boundary = UnmatchedBoundary::LookAlike;
        }
        Ok(())
    }

    /// Takes the boundary line from `start` to its `line_feed`. Returns where
    /// the next part begins, or `None` after the final boundary.
    fn boundary_line(&mut self, start: usize, line_feed: usize) -> Result<Option<usize>, Error> {
        self.flag_line_end_before(start);
        if self.boundaries > 0 {
            self.result.unmatched_boundary = UnmatchedBoundary::Matched;
        }
        let after_boundary = &self.body[start + self.finder.needle().len()..line_feed];
        let (is_final, line_end) = match after_boundary.strip_prefix(b"--") {
            Some(line_end) => (true, line_end),
            None => (false, after_boundary),
        };
        match line_end {
            b"" => self.result.flags.lf_line = true,
            b"\r" => self.result.flags.crlf_line = true,
            _ => return Err(Error::BoundaryLine(start)),
        }
        self.boundaries += 1;
        let next = line_feed + 1;
        if !is_final {
            return Ok(Some(next));
        }
        self.result.flags.data_after = next < self.body.len();
        Ok(None)
    }

    /// The body ends inside a part: fine if its last line is the final boundary
    /// and only lacks a line feed.
    fn end(&mut self, head: Head<'a>, data: usize, last_line: usize) -> Result<Option<usize>, Error> {
        let last = &self.body[last_line..];
        let after = last.strip_prefix(self.finder.needle()).unwrap_or_default();
        let foreign = self.result.unmatched_boundary == UnmatchedBoundary::LookAlike;
        if foreign && matches!(after, b"--" | b"--\r") {
            // Foreign boundaries before it were data, as if the line were complete.
            self.result.unmatched_boundary = UnmatchedBoundary::Matched;
        }
        if after != b"--" {
            self.note(Error::FinalBoundaryMissing);
            self.finish_part(head, data, self.body.len());
            return Ok(None);
        }
        self.flag_line_end_before(last_line);
        if data == last_line {
            self.result.flags.invalid_part = true;
        }
        self.finish_part(head, data, self.data_end(data, last_line));
        Ok(None)
    }

    /// Files the part away under the name its head gives it.
    fn finish_part(&mut self, head: Head<'a>, start: usize, end: usize) {
        let (disposition, result) = head.disposition(&mut self.result.flags);
        if let Err(error) = result {
            self.note(error);
        }
        let Disposition { name, filename, extended_filename } = disposition;
        let name = name.unwrap_or_default();
        let headers = head.into_lines().map(|line| PartHeader { part: name.clone(), line });
        self.result.part_headers.extend(headers);
        if name.is_empty() {
            self.result.flags.invalid_part = true;
            return;
        }
        let filename = filename.filter(|filename| !filename.is_empty());
        if filename.is_some() {
            self.files += 1;
            if self.files > self.limits.files {
                self.result.flags.file_limit_exceeded = true;
                self.note(Error::FileLimit(self.limits.files));
            }
        } else {
            self.fields += 1;
            self.result.no_files_length += end - start;
            if self.fields > self.limits.arguments {
                self.note(Error::ArgumentLimit(self.limits.arguments));
                return;
            }
        }
        let content = &self.body[start..end];
        self.result.parts.push(Part { name, filename, extended_filename, content, offset: start });
    }

    /// Where data ends that begins at `from` and is followed by a boundary at
    /// `boundary`: the line end between them belongs to the boundary.
    fn data_end(&self, from: usize, boundary: usize) -> usize {
        let data = &self.body[from..boundary];
        let data = data.strip_suffix(b"\n").map_or(data, |line| line.strip_suffix(b"\r").unwrap_or(line));
        from + data.len()
    }

    /// Flags a line that ends in a bare LF right before `start`.
    fn flag_line_end_before(&mut self, start: usize) {
        if self.body[..start].ends_with(b"\n") && !self.body[..start].ends_with(b"\r\n") {
            self.result.flags.lf_line = true;
        }
    }

    fn note(&mut self, error: Error) {
        self.result.error.get_or_insert(error);
    }
}
