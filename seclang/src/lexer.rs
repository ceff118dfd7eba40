//! Bytes of a file to directive names and arguments.
//!
//! Knows comments, quotes, and `\` at the end of a line; knows no directive.
//! Rules taken from ModSecurity and Apache:
//!
//! - a line whose first byte other than a blank is `#` is a comment;
//! - `\` at the end of a line joins the next one, whose leading blanks are dropped, inside quotes too;
//! - in quotes, `\` and the quote stand for the quote; any other backslash is kept;
//! - an argument ends with a blank or its closing quote.

use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Span};
use crate::text::{Text, is_blank};

/// A position in one file.
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    file: FileId,
    /// Findings about the text itself.
    pub warnings: Vec<Diagnostic>,
}

/// What a line starts with.
pub(crate) enum Head {
    /// The name of a directive; its arguments follow.
    Directive(Text),
    /// An Apache block, `<Name …>` or `</Name>`: the whole line.
    Block(Text),
}

impl<'a> Lexer<'a> {
    /// At the start of a file, after a byte order mark.
    pub fn new(file: FileId, text: &'a [u8]) -> Self {
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { text, at, file, warnings: Vec::new() }
    }

    /// The next directive or block; `None` at the end of the file.
    pub fn head(&mut self) -> Option<Head> {
        loop {
            match self.peek()? {
                b'\n' => self.at += 1,
                byte if is_blank(byte) => self.at += 1,
                b'#' => self.comment(),
                b'<' => return Some(Head::Block(self.line())),
                _ if self.joined().is_some() => self.join(),
                _ => return Some(Head::Directive(self.word())),
            }
        }
    }

    /// The next argument; `None` at the end of the (joined) line, which is consumed.
    ///
    /// With `comments`, an argument that starts with `#` ends the directive.
    pub fn argument(&mut self, comments: bool) -> Option<Text> {
        loop {
            match self.peek()? {
                b'\n' => {
                    self.at += 1;
                    return None;
                }
                byte if is_blank(byte) => self.at += 1,
                b'#' if comments => {
                    self.comment();
                    return None;
                }
                quote @ (b'"' | b'\'') => return Some(self.quoted(quote)),
                b'`' => return Some(self.backticks()),
                _ if self.joined().is_some() => self.join(),
                _ => return Some(self.word()),
            }
        }
    }

    /// Skips the rest of the (joined) line.
    pub fn skip_line(&mut self) {
        while let Some(at) = memchr::memchr2(b'\n', b'\\', &self.text[self.at..]) {
            self.at += at;
            if self.peek() == Some(b'\n') {
                self.at += 1;
                return;
            }
            match self.joined() {
                Some(_) => self.join(),
                None => self.at += 1,
            }
        }
        self.at = self.text.len();
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// When `\` stands here and only blanks follow it on the line: the offset after the line.
    fn joined(&self) -> Option<usize> {
        if self.peek() != Some(b'\\') {
            return None;
        }
        let rest = &self.text[self.at + 1..];
        let blanks = rest.iter().take_while(|b| is_blank(**b)).count();
        match rest.get(blanks) {
            Some(b'\n') => Some(self.at + blanks + 2),
            None => Some(self.text.len()),
            Some(_) => None,
        }
    }

    /// Skips `\`, the line end and the blanks of the next line.
    fn join(&mut self) {
        let Some(next) = self.joined() else { return };
        let between = &self.text[self.at + 1..next];
        if between.iter().any(|b| matches!(b, b' ' | b'\t')) && between.ends_with(b"\n") {
            let span = self.span(self.at, self.at + 1);
            self.warnings.push(
                Diagnostic::warning(span, "blanks follow the `\\` that joins two lines")
                    .hint("remove them: other engines take the next line for a new directive"),
            );
        }
        self.at = next;
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// Skips a comment. `\` at its end makes the next line part of it.
    fn comment(&mut self) {
        loop {
            let end = memchr::memchr(b'\n', &self.text[self.at..]).map_or(self.text.len(), |at| self.at + at);
            let mut line = &self.text[self.at..end];
            line = line.strip_suffix(b"\r").unwrap_or(line);
            let joins = line.last() == Some(&b'\\');
            let slash = self.at + line.len().saturating_sub(1);
            self.at = (end + 1).min(self.text.len());
            if !joins {
                return;
            }
            let next = &self.text[self.at..];
            let first = next.iter().copied().find(|b| !is_blank(*b));
            if !matches!(first, None | Some(b'#' | b'\n')) {
                let span = self.span(slash, slash + 1);
                self.warnings.push(
                    Diagnostic::warning(
                        span,
                        "this comment goes on in the next line, because it ends with `\\`",
                    )
                    .hint("remove the `\\`, or start the next line with `#`"),
                );
            }
        }
    }

    /// The rest of the line, without the line end.
    fn line(&mut self) -> Text {
        let start = self.at;
        let end = memchr::memchr(b'\n', &self.text[start..]).map_or(self.text.len(), |at| start + at);
        let mut line = &self.text[start..end];
        while let [rest @ .., last] = line {
            if !is_blank(*last) {
                break;
            }
            line = rest;
        }
        let mut text = Text::new(self.file, start, None);
        text.push(line, start);
        text.span.end = (start + line.len()) as u32;
        self.at = end;
        text
    }

    /// Up to the next blank.
    fn word(&mut self) -> Text {
        let mut text = Text::new(self.file, self.at, None);
        let mut end = self.at;
        while let Some(byte) = self.peek() {
            if byte == b'\n' || is_blank(byte) {
                break;
            }
            if self.joined().is_some() {
                self.join();
                continue;
            }
            text.push(&[byte], self.at);
            self.at += 1;
            end = self.at;
        }
        text.span.end = end as u32;
        text
    }

    /// Up to the closing quote, or the end of the line when there is none.
    fn quoted(&mut self, quote: u8) -> Text {
        let mut text = Text::new(self.file, self.at, Some(quote));
        self.at += 1;
        loop {
            let run = self.text[self.at..].iter().position(|&b| b == quote || b == b'\\' || b == b'\n');
            let end = run.map_or(self.text.len(), |run| self.at + run);
            if end > self.at {
                text.push(&self.text[self.at..end], self.at);
                self.at = end;
            }
            match self.peek() {
                Some(b'\\') if self.joined().is_some() => self.join(),
                Some(b'\\') => self.escape(&mut text, quote),
                Some(b'\n') | None => {
                    text.closed = false;
                    break;
                }
                Some(_) => {
                    self.at += 1;
                    break;
                }
            }
        }
        text.span.end = self.at as u32;
        text
    }

    /// A backslash in quotes: `\"` is `"`, anything else stays; `\\` is taken as a pair.
    fn escape(&mut self, text: &mut Text, quote: u8) {
        match self.text.get(self.at + 1) {
            Some(&next) if next == quote => {
                text.push(&[quote], self.at + 1);
                self.at += 2;
            }
            Some(b'\\') => {
                text.push(b"\\", self.at);
                self.at += 1;
                // The second one of the pair never escapes, but may join lines.
                if self.joined().is_none() {
                    text.push(b"\\", self.at);
                    self.at += 1;
                }
            }
            _ => {
                text.push(b"\\", self.at);
                self.at += 1;
            }
        }
    }

    /// Coraza's lists: everything up to the next backtick, lines included.
    fn backticks(&mut self) -> Text {
        let start = self.at;
        let mut text = Text::new(self.file, start, Some(b'`'));
        let close = memchr::memchr(b'`', &self.text[start + 1..]).map(|at| start + 1 + at);
        let end = close.unwrap_or(self.text.len());
        text.push(&self.text[start + 1..end], start + 1);
        text.closed = close.is_some();
        self.at = (end + 1).min(self.text.len());
        text.span.end = self.at as u32;
        text
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { file: self.file, start: start as u32, end: end as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, Lexer};
    use crate::source::FileId;

    fn words(text: &str) -> Vec<Vec<String>> {
        let mut lexer = Lexer::new(FileId(0), text.as_bytes());
        let mut lines = Vec::new();
        while let Some(head) = lexer.head() {
            let (Head::Directive(name) | Head::Block(name)) = head;
            let mut line = vec![name.lossy()];
            while let Some(argument) = lexer.argument(false) {
                line.push(argument.lossy());
            }
            lines.push(line);
        }
        lines
    }

    #[test]
    fn arguments() {
        for (text, expected) in [
            ("A b c", vec![vec!["A", "b", "c"]]),
            ("  A \"b c\" 'd e'\r\nB\r\n", vec![vec!["A", "b c", "d e"], vec!["B"]]),
            ("A \"b\"\"c\"", vec![vec!["A", "b", "c"]]),
            ("A \\\n  b \\\r\n  c\nD", vec![vec!["A", "b", "c"], vec!["D"]]),
            ("A \"b,\\\n   c\"", vec![vec!["A", "b,c"]]),
            (r#"A "\"b\" \d \\" c"#, vec![vec!["A", r#""b" \d \\"#, "c"]]),
            ("# A \\\n B\nC", vec![vec!["C"]]),
            ("A `x\ny` z", vec![vec!["A", "x\ny", "z"]]),
            ("\u{feff}A", vec![vec!["A"]]),
            ("A b|\\\n  c", vec![vec!["A", "b|c"]]),
            ("<IfModule x>\nA\n</IfModule>", vec![vec!["<IfModule x>"], vec!["A"], vec!["</IfModule>"]]),
            ("A \\", vec![vec!["A"]]),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }

    #[test]
    fn places_survive_escapes_and_joins() {
        let source = b"A \"x\\\"y\\\n   z\"";
        let mut lexer = Lexer::new(FileId(0), source);
        lexer.head();
        let text = lexer.argument(false).unwrap();
        assert_eq!(text.all().bytes(), b"x\"yz");
        let place = |at: usize| text.all().sub(at..at + 1).span().start as usize;
        assert_eq!((0..4).map(|at| source[place(at)]).collect::<Vec<_>>(), b"x\"yz");
    }
}
