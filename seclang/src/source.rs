//! Where text came from: files, byte spans and line/column look-up.
//!
//! Spans are plain numbers, so that the tree stays small; [`Sources`] turns
//! them back into a path, a line and a column.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Number of a file within its [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A half-open range of bytes in one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The span from the start of `self` to the end of `other` (same file).
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start, end: other.end.max(self.start) }
    }
}

/// A node together with the text it was read from.
///
/// Two located nodes are equal when the nodes are: the place does not count,
/// so that a formatted document can be compared with the original.
#[derive(Clone, Copy, Debug, Default)]
pub struct Located<T> {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub node: T,
}

impl<T> Located<T> {
    /// Joins a node and its place.
    pub fn new(span: Span, node: T) -> Self {
        Self { span, node }
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl<T: Eq> Eq for Located<T> {}

impl<T> std::ops::Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.node
    }
}

/// One file that was read, byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as the loader was asked for it, or the name given to a string.
    pub path: PathBuf,
    /// Its contents; not necessarily UTF-8.
    pub text: Arc<[u8]>,
    /// Offset of each line's first byte.
    lines: Arc<[u32]>,
}

impl SourceFile {
    /// Line and column of an offset, both from 1; columns count characters.
    pub fn position(&self, offset: u32) -> Position {
        let line = self.lines.partition_point(|&start| start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0) as usize;
        let end = (offset as usize).clamp(start, self.text.len());
        let column = String::from_utf8_lossy(&self.text[start..end]).chars().count() + 1;
        Position { line: line as u32, column: column as u32 }
    }

    /// The text of a line (from 1) without its line end.
    pub fn line(&self, line: u32) -> &[u8] {
        let index = line.saturating_sub(1) as usize;
        let Some(&start) = self.lines.get(index) else { return &[] };
        let end = self.lines.get(index + 1).map_or(self.text.len(), |&next| next as usize);
        let mut text = &self.text[start as usize..end];
        while let [rest @ .., b'\n' | b'\r'] = text {
            text = rest;
        }
        text
    }

    /// Offset of the first byte of a line (from 1).
    pub fn line_start(&self, line: u32) -> u32 {
        self.lines.get(line.saturating_sub(1) as usize).copied().unwrap_or(self.text.len() as u32)
    }
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFile({}, {} bytes)", self.path.display(), self.text.len())
    }
}

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column in characters.
    pub column: u32,
}

/// All files of a document, in the order they were opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Adds a file and returns its number.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<Arc<[u8]>>) -> FileId {
        let text = text.into();
        let mut lines = vec![0];
        lines.extend(text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(i, _)| i as u32 + 1));
        self.files.push(SourceFile { path: path.into(), text, lines: lines.into() });
        FileId(self.files.len() as u32 - 1)
    }

    /// The file of that number, if it belongs to these sources.
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// All files, in the order they were opened.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The bytes of a span; empty when the span is not of these sources.
    pub fn text(&self, span: Span) -> &[u8] {
        self.file(span.file)
            .and_then(|file| file.text.get(span.start as usize..span.end as usize))
            .unwrap_or(&[])
    }

    /// Path, line and column of the start of a span.
    pub fn locate(&self, span: Span) -> Option<(&Path, Position)> {
        let file = self.file(span.file)?;
        Some((&file.path, file.position(span.start)))
    }

    /// `path:line:column`, for messages.
    pub fn place(&self, span: Span) -> String {
        match self.locate(span) {
            Some((path, at)) => format!("{}:{}:{}", path.display(), at.line, at.column),
            None => String::from("(unknown place)"),
        }
    }
}
