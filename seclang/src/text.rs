//! A directive's argument: its bytes after escapes and line joins are resolved,
//! and the way back to the place of each byte in the file.

use std::ops::Range;

use crate::source::{FileId, Span};

/// One argument.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// The resolved bytes.
    bytes: Vec<u8>,
    /// The argument in the file, quotes included.
    pub span: Span,
    /// The quote it was written in.
    pub quote: Option<u8>,
    /// False when the line ended before the closing quote.
    pub closed: bool,
    /// `(offset in bytes, offset in file)` where a run of copied bytes begins.
    runs: Vec<(u32, u32)>,
}

impl Text {
    /// An empty argument that starts at an offset.
    pub fn new(file: FileId, start: usize, quote: Option<u8>) -> Self {
        let start = start as u32;
        let span = Span { file, start, end: start };
        Self { bytes: Vec::new(), span, quote, closed: true, runs: Vec::new() }
    }

    /// Adds bytes that stand at an offset of the file.
    pub fn push(&mut self, bytes: &[u8], source: usize) {
        let (at, source) = (self.bytes.len() as u32, source as u32);
        let follows = self.runs.last().is_some_and(|&(out, src)| src + (at - out) == source);
        if !follows {
            self.runs.push((at, source));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Everything.
    pub fn all(&self) -> Slice<'_> {
        Slice { text: self, start: 0, end: self.bytes.len() }
    }

    /// Everything as text, with invalid UTF-8 replaced.
    pub fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The place of a byte in the file.
    fn source(&self, at: usize) -> u32 {
        let at = at as u32;
        let index = self.runs.partition_point(|&(out, _)| out <= at);
        match index.checked_sub(1).and_then(|index| self.runs.get(index)) {
            Some(&(out, source)) => source + (at - out),
            None => self.span.start,
        }
    }
}

/// Part of a [`Text`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice<'a> {
    text: &'a Text,
    start: usize,
    end: usize,
}

impl<'a> Slice<'a> {
    /// The bytes.
    pub fn bytes(self) -> &'a [u8] {
        &self.text.bytes[self.start..self.end]
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// As text, with invalid UTF-8 replaced.
    pub fn lossy(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The place in the file. An empty slice points at one byte.
    pub fn span(self) -> Span {
        let start = self.text.source(self.start);
        let end = if self.is_empty() { start + 1 } else { self.text.source(self.end - 1) + 1 };
        Span { file: self.text.span.file, start, end: end.max(start) }
    }

    /// A part of this part; the range is cut to fit.
    pub fn sub(self, range: Range<usize>) -> Self {
        let end = (self.start + range.end).min(self.end);
        Self { start: (self.start + range.start).min(end), end, ..self }
    }

    /// From an offset to the end.
    pub fn from(self, start: usize) -> Self {
        self.sub(start..self.len())
    }

    /// Without blanks at both ends.
    pub fn trim(self) -> Self {
        let bytes = self.bytes();
        let lead = bytes.iter().take_while(|b| is_blank(**b)).count();
        let tail = bytes[lead..].iter().rev().take_while(|b| is_blank(**b)).count();
        self.sub(lead..bytes.len() - tail)
    }

    /// Offset of the first byte that satisfies a test.
    pub fn position(self, test: impl FnMut(&u8) -> bool) -> Option<usize> {
        self.bytes().iter().position(test)
    }

    /// What stands before and after the first such byte.
    pub fn split_once(self, byte: u8) -> Option<(Self, Self)> {
        let at = self.position(|&b| b == byte)?;
        Some((self.sub(0..at), self.from(at + 1)))
    }

    /// Without a first byte, when it is that one.
    pub fn strip_prefix(self, byte: u8) -> Option<Self> {
        (self.bytes().first() == Some(&byte)).then(|| self.from(1))
    }

    /// Parts separated by bytes that satisfy a test; empty parts are left out.
    pub fn split(self, mut separator: impl FnMut(u8) -> bool) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut start = 0;
        for (at, &byte) in self.bytes().iter().enumerate() {
            if separator(byte) {
                parts.push(self.sub(start..at));
                start = at + 1;
            }
        }
        parts.push(self.from(start));
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// The bytes with `\q` replaced by `q`; other backslashes stay.
    pub fn unescaped(self, quote: u8) -> Vec<u8> {
        let bytes = self.bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] == b'\\' && bytes.get(at + 1) == Some(&quote) {
                at += 1;
            }
            out.push(bytes[at]);
            at += 1;
        }
        out
    }
}

/// Space, tab, or a carriage return that ends no line.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}
