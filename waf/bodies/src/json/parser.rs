//! The walk over JSON text: a loop with an explicit stack, so that nesting
//! costs heap and never the thread's stack.

use super::path::Path;
use super::string::{scan, unescape};
use super::{Error, Naming, Options, Reason};
use crate::Text;
use std::ops::Range;

/// Reads `text` and hands each leaf to `sink`.
pub(super) fn run(text: &[u8], options: &Options, sink: impl FnMut(&[u8], Text<'_>)) -> Option<Error> {
    let mut parser = Parser {
        text,
        at: 0,
        path: Path::new(options.naming),
        stack: Vec::new(),
        options,
        sink,
        leaves: 0,
        name_bytes: 0,
        decoded: Vec::new(),
        error: None,
    };
    if let Err(error) = parser.document() {
        parser.error.get_or_insert(error);
    }
    parser.error
}

/// An open array or object.
struct Container {
    /// Length of the path that names the container itself.
    base: usize,
    /// Index of the element being read, or `None` in an object.
    index: Option<usize>,
}

struct Parser<'a, F> {
    text: &'a [u8],
    at: usize,
    path: Path,
    stack: Vec<Container>,
    options: &'a Options,
    sink: F,
    /// How many leaves were handed out.
    leaves: usize,
    /// Bytes of their names.
    name_bytes: usize,
    /// The string being read, when it has escapes.
    decoded: Vec<u8>,
    /// The first fault that did not end the parsing.
    error: Option<Error>,
}

/// Where the text of a scalar lies.
enum Value {
    Body(Range<usize>),
    /// In [`Parser::decoded`].
    Decoded,
}

impl<F: FnMut(&[u8], Text<'_>)> Parser<'_, F> {
    fn document(&mut self) -> Result<(), Error> {
        loop {
            let complete = self.value()?;
            if complete && !self.next_value()? {
                return Ok(());
            }
        }
    }

    /// Reads a scalar, or opens a container and goes to its first value.
    /// False when a value is still to be read at the current place.
    #[inline]
    fn value(&mut self) -> Result<bool, Error> {
        match self.peek()? {
            b'"' => self.string_value()?,
            b'{' => return self.open_object(),
            b'[' => return self.open_array(),
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.word(b"true", false)?,
            b'f' => self.word(b"false", false)?,
            b'n' => self.word(b"null", self.options.naming == Naming::ModSecurity3)?,
            _ => return Err(self.error(Reason::UnexpectedByte)),
        }
        Ok(true)
    }

    fn open_array(&mut self) -> Result<bool, Error> {
        let base = self.open(Some(0))?;
        if self.peek()? == b']' {
            self.close();
            return Ok(true);
        }
        self.path.set_index(base, 0);
        Ok(false)
    }

    fn open_object(&mut self) -> Result<bool, Error> {
        let base = self.open(None)?;
        if self.peek()? == b'}' {
            self.close();
            return Ok(true);
        }
        self.key(base)?;
        Ok(false)
    }

    #[inline]
    fn open(&mut self, index: Option<usize>) -> Result<usize, Error> {
        let depth = self.options.limits.depth;
        if self.stack.len() >= depth {
            return Err(self.error(Reason::Depth(depth)));
        }
        let base = self.path.len();
        self.stack.push(Container { base, index });
        self.at += 1;
        Ok(base)
    }

    #[inline]
    fn close(&mut self) {
        self.stack.pop();
        self.at += 1;
    }

    /// After a complete value: closes what ends here and goes to the next
    /// value. False at the end of the document.
    #[inline]
    fn next_value(&mut self) -> Result<bool, Error> {
        loop {
            let Some(container) = self.stack.last_mut() else { return self.end_of_document() };
            let base = container.base;
            let index = container.index.as_mut().map(|index| {
                *index += 1;
                *index
            });
            match (self.peek()?, index) {
                (b',', Some(index)) => {
                    self.at += 1;
                    self.path.set_index(base, index);
                    return Ok(true);
                }
                (b',', None) => {
                    self.at += 1;
                    self.key(base)?;
                    return Ok(true);
                }
                (b']', Some(_)) | (b'}', None) => self.close(),
                (_, Some(_)) => return Err(self.error(Reason::ArraySeparator)),
                (_, None) => return Err(self.error(Reason::ObjectSeparator)),
            }
        }
    }

    fn end_of_document(&mut self) -> Result<bool, Error> {
        self.skip_white_space();
        if self.at < self.text.len() {
            return Err(self.error(Reason::TrailingText));
        }
        Ok(false)
    }

    /// Reads `"key" :` and makes it the current name.
    #[inline]
    fn key(&mut self, base: usize) -> Result<(), Error> {
        if self.peek()? != b'"' {
            return Err(self.error(Reason::ObjectKey));
        }
        let start = self.at + 1;
        let literal = scan(self.text, start);
        self.note(literal.fault);
        let raw = &self.text[start..literal.end];
        let name = self.path.begin_key(base);
        let fault = if literal.escaped {
            unescape(raw, name)
        } else {
            name.extend_from_slice(raw);
            None
        };
        self.path.end_key(base);
        self.note(fault.map(|(reason, offset)| (reason, start + offset)));
        self.at = literal.end;
        if !literal.closed {
            // The key is all there is to inspect, so it is kept as a name.
            self.leaf(Value::Body(self.at..self.at))?;
            return Err(self.error(Reason::PrematureEnd));
        }
        self.at += 1;
        if self.peek()? != b':' {
            return Err(self.error(Reason::KeySeparator));
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn string_value(&mut self) -> Result<(), Error> {
        let start = self.at + 1;
        let literal = scan(self.text, start);
        self.note(literal.fault);
        let value = if literal.escaped {
            self.decoded.clear();
            let fault = unescape(&self.text[start..literal.end], &mut self.decoded);
            self.note(fault.map(|(reason, offset)| (reason, start + offset)));
            Value::Decoded
        } else {
            Value::Body(start..literal.end)
        };
        self.leaf(value)?;
        self.at = literal.end;
        if !literal.closed {
            return Err(self.error(Reason::PrematureEnd));
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn word(&mut self, word: &[u8], is_empty: bool) -> Result<(), Error> {
        let rest = &self.text[self.at..];
        if !rest.starts_with(word) {
            let reason = if word.starts_with(rest) { Reason::PrematureEnd } else { Reason::UnknownWord };
            return Err(self.error(reason));
        }
        let end = self.at + word.len();
        self.leaf(Value::Body(if is_empty { end..end } else { self.at..end }))?;
        self.at = end;
        Ok(())
    }

    /// Reads a number by the grammar of RFC 8259, section 6. What follows it is
    /// checked by whoever expects a separator there.
    #[inline]
    fn number(&mut self) -> Result<(), Error> {
        let start = self.at;
        self.at += usize::from(self.text[start] == b'-');
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        self.leaf(Value::Body(start..self.at))
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Error> {
        let rest = &self.text[self.at..];
        let count = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        if count == 0 {
            return Err(self.error(Reason::Number));
        }
        self.at += count;
        Ok(())
    }

    /// Hands out a scalar under the current name.
    #[inline]
    fn leaf(&mut self, value: Value) -> Result<(), Error> {
        let limits = &self.options.limits;
        if self.leaves >= limits.arguments {
            return Err(self.error(Reason::Arguments(limits.arguments)));
        }
        if self.name_bytes.saturating_add(self.path.len()) > limits.name_bytes {
            return Err(self.error(Reason::NameBytes(limits.name_bytes)));
        }
        self.leaves += 1;
        self.name_bytes += self.path.len();
        (self.sink)(
            self.path.as_bytes(),
            match value {
                Value::Body(range) => Text::Source(range),
                Value::Decoded => Text::Decoded(&self.decoded),
            },
        );
        Ok(())
    }

    /// The next byte that is not white space.
    #[inline]
    fn peek(&mut self) -> Result<u8, Error> {
        self.skip_white_space();
        self.text.get(self.at).copied().ok_or(Error { reason: Reason::PrematureEnd, offset: self.at })
    }

    #[inline]
    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn error(&self, reason: Reason) -> Error {
        Error { reason, offset: self.at }
    }

    /// Keeps the first fault that does not end the parsing.
    fn note(&mut self, fault: Option<(Reason, usize)>) {
        if let Some((reason, offset)) = fault {
            self.error.get_or_insert(Error { reason, offset });
        }
    }
}
