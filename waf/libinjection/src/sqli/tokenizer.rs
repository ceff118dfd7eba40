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
        let mut token = Token::EMPTY;
        self.read_into(&mut token).then_some(token)
    }
}

impl Tokens<'_> {
    /// Reads the next token into `token`; false at the end of the input, where `token` stays.
    pub(super) fn read_into(&mut self, token: &mut Token) -> bool {
        if self.position == 0
            && !self.input.is_empty()
            && let Some(delimiter) = self.surrounding_quote()
        {
            self.position = literals::rest_of_string(token, self.input, delimiter);
            self.read += 1;
            return true;
        }
        while let Some(&byte) = self.input.get(self.position) {
            let class = CLASSES[usize::from(byte)];
            if class != Class::White {
                self.position = self.scan(token, class, byte);
                self.read += 1;
                return true;
            }
            self.position += 1;
        }
        false
    }

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

    /// Writes the token that begins at the position, with `byte`, and returns its end.
    fn scan(&mut self, token: &mut Token, class: Class, byte: u8) -> usize {
        let (input, at) = (self.input, self.position);
        let literal = match class {
            // White space has no token and is skipped before.
            Class::White | Class::Unknown => return single(token, Kind::Unknown, input, at),
            Class::Operator => return single(token, Kind::Operator, input, at),
            Class::LongOperator => return operator(token, input, at),
            Class::Punctuation => return single(token, punctuation(byte), input, at),
            Class::Quote => return literals::string(token, input, at, byte),
            Class::Backtick => return backtick(token, input, at),
            Class::Bracket => return bracket(token, input, at),
            Class::Backslash => return backslash(token, input, at),
            Class::Hash => return self.hash(token),
            Class::Dash => return self.dash(token),
            Class::Slash => return slash(token, input, at),
            Class::Variable => return variable(token, input, at),
            Class::Number => return literals::number(token, input, at),
            Class::Word => None,
            Class::Dollar => literals::dollar(token, input, at),
            Class::BinaryOrWord => literals::binary(token, input, at),
            Class::HexOrWord => literals::hex(token, input, at),
            Class::EscapedOrWord => literals::escaped(token, input, at),
            Class::NationalOrWord => literals::national(token, input, at),
            Class::DelimitedOrWord => literals::delimited(token, input, at),
            Class::UnicodeOrWord => literals::unicode(token, input, at),
        };
        literal.unwrap_or_else(|| word(token, input, at))
    }

    fn hash(&mut self, token: &mut Token) -> usize {
        self.depends_on_dialect = true;
        match self.context.dialect {
            Dialect::Ansi => single(token, Kind::Operator, self.input, self.position),
            Dialect::MySql => line_comment(token, self.input, self.position),
        }
    }

    fn dash(&mut self, token: &mut Token) -> usize {
        let (input, at) = (self.input, self.position);
        if input.get(at + 1) != Some(&b'-') {
            return single(token, Kind::Operator, input, at);
        }
        if input.get(at + 2).is_none_or(|&next| bytes::WHITE.has(next)) {
            return line_comment(token, input, at);
        }
        match self.context.dialect {
            Dialect::Ansi => {
                self.depends_on_dialect = true;
                line_comment(token, input, at)
            }
            Dialect::MySql => single(token, Kind::Operator, input, at),
        }
    }
}

/// A token of the byte at `at`.
fn single(token: &mut Token, kind: Kind, input: &[u8], at: usize) -> usize {
    token.set_byte(kind, input[at]);
    at + 1
}

/// A token of the bytes from `at` to `end`.
fn spanning(token: &mut Token, kind: Kind, input: &[u8], at: usize, end: usize) -> usize {
    token.set(kind, &input[at..end]);
    end
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

fn line_comment(token: &mut Token, input: &[u8], at: usize) -> usize {
    match bytes::find_byte(input, at, b'\n') {
        Some(end) => spanning(token, Kind::Comment, input, at, end) + 1,
        None => spanning(token, Kind::Comment, input, at, input.len()),
    }
}

/// `/`, or a comment `/*…*/`. Evil are comments in comments, which only some databases nest, and
/// `/*!…`, whose content MySQL executes.
fn slash(token: &mut Token, input: &[u8], at: usize) -> usize {
    if input.get(at + 1) != Some(&b'*') {
        return single(token, Kind::Operator, input, at);
    }
    let content = at + 2;
    let close = bytes::find_pair(input, content, *b"*/");
    // The `*` of the closing mark may be that of an inner opening mark.
    let nests = close.is_some_and(|close| bytes::find_pair(&input[..=close], content, *b"/*").is_some());
    let executes = input.get(content) == Some(&b'!');
    let end = close.map_or(input.len(), |close| close + 2);
    let kind = if nests || executes { Kind::Evil } else { Kind::Comment };
    spanning(token, kind, input, at, end)
}

/// `\N` is NULL in MySQL.
fn backslash(token: &mut Token, input: &[u8], at: usize) -> usize {
    match input.get(at + 1) {
        Some(b'N') => spanning(token, Kind::Number, input, at, at + 2),
        _ => single(token, Kind::Backslash, input, at),
    }
}

fn operator(token: &mut Token, input: &[u8], at: usize) -> usize {
    let byte = input[at];
    let Some(pair) = input.get(at..at + 2) else {
        return single(token, Kind::Operator, input, at);
    };
    if input[at..].starts_with(b"<=>") {
        return spanning(token, Kind::Operator, input, at, at + 3);
    }
    if let Some(kind) = words::kind_of(pair) {
        return spanning(token, kind, input, at, at + 2);
    }
    let kind = if byte == b':' { Kind::Colon } else { Kind::Operator };
    single(token, kind, input, at)
}

/// A name of Transact-SQL in brackets, which are part of the value.
fn bracket(token: &mut Token, input: &[u8], at: usize) -> usize {
    let end = bytes::find_byte(input, at, b']').map_or(input.len(), |close| close + 1);
    spanning(token, Kind::Bareword, input, at, end)
}

/// A name of MySQL in backticks: a function when it is listed as one.
fn backtick(token: &mut Token, input: &[u8], at: usize) -> usize {
    let end = literals::string(token, input, at, b'`');
    let is_function = words::kind_of(token.value()) == Some(Kind::Function);
    token.kind = if is_function { Kind::Function } else { Kind::Bareword };
    end
}

fn variable(token: &mut Token, input: &[u8], at: usize) -> usize {
    let sigils = if input.get(at + 1) == Some(&b'@') { 2 } else { 1 };
    let name = at + sigils;
    let end = match input.get(name) {
        Some(&quote @ (b'`' | b'\'' | b'"')) => literals::string(token, input, name, quote),
        _ => spanning(token, Kind::Variable, input, name, bytes::VARIABLE_END.find(input, name)),
    };
    token.kind = Kind::Variable;
    token.sigils = sigils as u8;
    end
}

/// A word. It ends early, before a dot or a backtick, when what stands before is listed: as in
/// `SELECT.1` and ``SELECT`column` ``.
///
/// Only the bytes that fit a value are looked at before that is known, so that a long row of
/// such words is not read to its end for each of them.
fn word(token: &mut Token, input: &[u8], at: usize) -> usize {
    let window = &input[..input.len().min(at + Value::CAPACITY)];
    let head_end = bytes::WORD_END.find(window, at);
    let head = &input[at..head_end];
    for (length, _) in head.iter().enumerate().filter(|(_, byte)| matches!(byte, b'.' | b'`')) {
        let prefix = &head[..length];
        if let Some(kind) = words::kind_of(prefix)
            && kind != Kind::Bareword
        {
            return spanning(token, kind, input, at, at + length);
        }
    }
    let end = bytes::WORD_END.find(input, head_end);
    let listed = if end == head_end { words::kind_of(head) } else { None };
    token.set(listed.unwrap_or(Kind::Bareword), head);
    end
}
