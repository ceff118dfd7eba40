//! The SQL tokenizer: which token begins with which byte, and the operators, comments, words and
//! variables. Strings and numbers are in `literals`.

use super::bytes::{self, CLASSES, Class};
use super::kind::Kind;
use super::literals;
use super::token::Token;
use super::value::Value;
use super::words;

/// Inside which quotes of a query the value is taken to stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quote {
    /// Inside none.
    #[default]
    None,
    /// Inside single quotes: the value begins with the rest of a string.
    Single,
    /// Inside double quotes.
    Double,
}

/// Whose comments are understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `--` always begins a comment, `#` is an operator.
    #[default]
    Ansi,
    /// `--` begins a comment only before white space, `#` always.
    MySql,
}

/// How a value is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The quotes around it.
    pub quote: Quote,
    /// The database that reads it.
    pub dialect: Dialect,
}

/// The SQL tokens of `input`, comments included.
#[must_use]
pub fn tokens(input: &[u8], context: Context) -> Tokens<'_> {
    Tokens { input, position: 0, context, read: 0, depends_on_dialect: false }
}

/// An iterator over the SQL tokens of a value.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    input: &'a [u8],
    position: usize,
    context: Context,
    read: usize,
    depends_on_dialect: bool,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if self.position == 0
            && !self.input.is_empty()
            && let Some(delimiter) = self.surrounding_quote()
        {
            let string = literals::rest_of_string(self.input, delimiter);
            return Some(self.take(string));
        }
        while let Some(&byte) = self.input.get(self.position) {
            let class = CLASSES[usize::from(byte)];
            if class == Class::White {
                self.position += 1;
                continue;
            }
            let scanned = self.scan(class, byte);
            return Some(self.take(scanned));
        }
        None
    }
}

/// A token, and where the input goes on after it.
pub(super) type Scanned = (Token, usize);

impl Tokens<'_> {
    /// How many tokens were read so far.
    pub(super) fn read(&self) -> usize {
        self.read
    }

    /// Whether something was read so far that the dialects read in different ways.
    pub(super) fn depends_on_dialect(&self) -> bool {
        self.depends_on_dialect
    }

    fn surrounding_quote(&self) -> Option<u8> {
        match self.context.quote {
            Quote::None => None,
            Quote::Single => Some(b'\''),
            Quote::Double => Some(b'"'),
        }
    }

    fn take(&mut self, (token, end): Scanned) -> Token {
        self.position = end;
        self.read += 1;
        token
    }

    fn scan(&mut self, class: Class, byte: u8) -> Scanned {
        let (input, at) = (self.input, self.position);
        match class {
            // White space has no token and is skipped before.
            Class::White | Class::Unknown => (Token::byte(Kind::Unknown, byte), at + 1),
            Class::Operator => (Token::byte(Kind::Operator, byte), at + 1),
            Class::LongOperator => operator(input, at),
            Class::Punctuation => (Token::byte(punctuation(byte), byte), at + 1),
            Class::Quote => literals::string(input, at, byte),
            Class::Backtick => backtick(input, at),
            Class::Bracket => bracket(input, at),
            Class::Backslash => backslash(input, at),
            Class::Hash => self.hash(),
            Class::Dash => self.dash(),
            Class::Slash => slash(input, at),
            Class::Dollar => literals::dollar(input, at).unwrap_or_else(|| word(input, at)),
            Class::Variable => variable(input, at),
            Class::Number => literals::number(input, at),
            Class::Word => word(input, at),
            Class::BinaryOrWord => literals::binary(input, at).unwrap_or_else(|| word(input, at)),
            Class::HexOrWord => literals::hex(input, at).unwrap_or_else(|| word(input, at)),
            Class::EscapedOrWord => literals::escaped(input, at).unwrap_or_else(|| word(input, at)),
            Class::NationalOrWord => literals::national(input, at).unwrap_or_else(|| word(input, at)),
            Class::DelimitedOrWord => literals::delimited(input, at).unwrap_or_else(|| word(input, at)),
            Class::UnicodeOrWord => literals::unicode(input, at).unwrap_or_else(|| word(input, at)),
        }
    }

    fn hash(&mut self) -> Scanned {
        self.depends_on_dialect = true;
        match self.context.dialect {
            Dialect::Ansi => (Token::byte(Kind::Operator, b'#'), self.position + 1),
            Dialect::MySql => line_comment(self.input, self.position),
        }
    }

    fn dash(&mut self) -> Scanned {
        let (input, at) = (self.input, self.position);
        let minus = (Token::byte(Kind::Operator, b'-'), at + 1);
        if input.get(at + 1) != Some(&b'-') {
            return minus;
        }
        if input.get(at + 2).is_none_or(|&next| bytes::WHITE.has(next)) {
            return line_comment(input, at);
        }
        match self.context.dialect {
            Dialect::Ansi => {
                self.depends_on_dialect = true;
                line_comment(input, at)
            }
            Dialect::MySql => minus,
        }
    }
}

fn punctuation(byte: u8) -> Kind {
    match byte {
        b'(' => Kind::LeftParen,
        b')' => Kind::RightParen,
        b',' => Kind::Comma,
        b';' => Kind::Semicolon,
        b'{' => Kind::LeftBrace,
        _ => Kind::RightBrace,
    }
}

fn line_comment(input: &[u8], at: usize) -> Scanned {
    match bytes::find_byte(input, at, b'\n') {
        Some(end) => (Token::new(Kind::Comment, &input[at..end]), end + 1),
        None => (Token::new(Kind::Comment, &input[at..]), input.len()),
    }
}

/// `/`, or a comment `/*…*/`. Evil are comments in comments, which only some databases nest, and
/// `/*!…`, whose content MySQL executes.
fn slash(input: &[u8], at: usize) -> Scanned {
    if input.get(at + 1) != Some(&b'*') {
        return (Token::byte(Kind::Operator, b'/'), at + 1);
    }
    let content = at + 2;
    let close = bytes::find_pair(input, content, *b"*/");
    // The `*` of the closing mark may be that of an inner opening mark.
    let nests = close.is_some_and(|close| bytes::find_pair(&input[..=close], content, *b"/*").is_some());
    let executes = input.get(content) == Some(&b'!');
    let end = close.map_or(input.len(), |close| close + 2);
    let kind = if nests || executes { Kind::Evil } else { Kind::Comment };
    (Token::new(kind, &input[at..end]), end)
}

/// `\N` is NULL in MySQL.
fn backslash(input: &[u8], at: usize) -> Scanned {
    match input.get(at + 1) {
        Some(b'N') => (Token::new(Kind::Number, &input[at..at + 2]), at + 2),
        _ => (Token::byte(Kind::Backslash, b'\\'), at + 1),
    }
}

fn operator(input: &[u8], at: usize) -> Scanned {
    let byte = input[at];
    let Some(pair) = input.get(at..at + 2) else {
        return (Token::byte(Kind::Operator, byte), at + 1);
    };
    if input[at..].starts_with(b"<=>") {
        return (Token::new(Kind::Operator, b"<=>"), at + 3);
    }
    if let Some(kind) = words::kind_of(&Value::new(pair)) {
        return (Token::new(kind, pair), at + 2);
    }
    let kind = if byte == b':' { Kind::Colon } else { Kind::Operator };
    (Token::byte(kind, byte), at + 1)
}

/// A name of Transact-SQL in brackets, which are part of the value.
fn bracket(input: &[u8], at: usize) -> Scanned {
    let end = bytes::find_byte(input, at, b']').map_or(input.len(), |close| close + 1);
    (Token::new(Kind::Bareword, &input[at..end]), end)
}

/// A name of MySQL in backticks: a function when it is listed as one.
fn backtick(input: &[u8], at: usize) -> Scanned {
    let (mut token, end) = literals::string(input, at, b'`');
    let is_function = words::kind_of(&token.value) == Some(Kind::Function);
    token.kind = if is_function { Kind::Function } else { Kind::Bareword };
    (token, end)
}

fn variable(input: &[u8], at: usize) -> Scanned {
    let sigils = if input.get(at + 1) == Some(&b'@') { 2 } else { 1 };
    let name = at + sigils;
    let (mut token, end) = match input.get(name) {
        Some(&quote @ (b'`' | b'\'' | b'"')) => literals::string(input, name, quote),
        _ => {
            let end = bytes::VARIABLE_END.find(input, name);
            (Token::new(Kind::Variable, &input[name..end]), end)
        }
    };
    token.kind = Kind::Variable;
    token.sigils = sigils as u8;
    (token, end)
}

/// A word. It ends early, before a dot or a backtick, when what stands before is listed: as in
/// `SELECT.1` and ``SELECT`column` ``.
///
/// Only the bytes that fit a value are looked at before that is known, so that a long row of
/// such words is not read to its end for each of them.
fn word(input: &[u8], at: usize) -> Scanned {
    let window = &input[..input.len().min(at + Value::CAPACITY)];
    let head_end = bytes::WORD_END.find(window, at);
    let head = &input[at..head_end];
    for (length, _) in head.iter().enumerate().filter(|(_, byte)| matches!(byte, b'.' | b'`')) {
        let prefix = &head[..length];
        if let Some(kind) = words::kind_of(&Value::new(prefix))
            && kind != Kind::Bareword
        {
            return (Token::new(kind, prefix), at + length);
        }
    }
    let end = bytes::WORD_END.find(input, head_end);
    let mut token = Token::new(Kind::Bareword, head);
    if end == head_end {
        token.kind = words::kind_of(&token.value).unwrap_or(Kind::Bareword);
    }
    (token, end)
}
