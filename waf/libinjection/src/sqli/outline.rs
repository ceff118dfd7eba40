//! The outline of a value: its SQL tokens without their text, read several times faster than
//! `tokenizer` reads them. What takes more care to read ends the outline.

use super::bytes::{self, CLASSES, Class};
use super::kind::{Kind, KindSet};
use super::literals;
use super::words;

/// What follows in the outline of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A token that is of this kind and stays so, whatever stands beside it. It is not white, no
    /// operator, comma, dot or brace; and if it is a word, it begins no phrase.
    Fixed(Kind),
    /// An operator sign or a comma; whether it may stand before a single operand.
    Joint {
        /// A comma between operands makes a list, an operator a calculation.
        kind: Kind,
        /// `+`, `-`, `!` or `~`.
        unary: bool,
    },
    /// A token which others may change, to one of these kinds or its own.
    Loose(KindSet),
    /// Something the outline cannot tell.
    Opaque,
}

/// Reads the outline of a value.
pub(super) struct Outline<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Outline<'a> {
    /// The outline of `input` as it stands.
    pub(super) fn new(input: &'a [u8]) -> Outline<'a> {
        Outline { input, position: 0 }
    }

    /// The outline of `input` as it stands inside quotes: it begins with the rest of a string.
    pub(super) fn inside(input: &'a [u8], delimiter: u8) -> Outline<'a> {
        Outline { input, position: literals::string_extent(input, 0, delimiter).1 }
    }

    /// How many bytes the value has.
    pub(super) fn length(&self) -> usize {
        self.input.len()
    }

    /// The next token; `None` at the end of the value.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Part> {
        while let Some(&byte) = self.input.get(self.position) {
            let class = CLASSES[usize::from(byte)];
            if class != Class::White {
                return Some(self.read(class, byte));
            }
            self.position += 1;
        }
        None
    }

    fn read(&mut self, class: Class, byte: u8) -> Part {
        match class {
            Class::Word => self.word(),
            // A quote may make a literal of the letter.
            Class::BinaryOrWord | Class::HexOrWord => self.word_unless(b"'"),
            Class::EscapedOrWord | Class::DelimitedOrWord => self.word_unless(b"'"),
            Class::NationalOrWord => self.word_unless(b"'qQ"),
            Class::UnicodeOrWord => self.word_unless(b"&"),
            Class::Number => self.number(),
            Class::Punctuation => self.punctuation(byte),
            Class::Operator => self.joint(1, Kind::Operator, matches!(byte, b'+' | b'~')),
            Class::LongOperator => self.long_operator(byte),
            Class::Dash if self.peek(1) != Some(b'-') => self.joint(1, Kind::Operator, true),
            Class::Slash if self.peek(1) != Some(b'*') => self.joint(1, Kind::Operator, false),
            Class::Quote => {
                self.position = literals::string_extent(self.input, self.position + 1, byte).1;
                Part::Fixed(Kind::Text)
            }
            Class::Bracket => {
                let close = bytes::find_byte(self.input, self.position, b']');
                self.position = close.map_or(self.input.len(), |close| close + 1);
                Part::Fixed(Kind::Bareword)
            }
            Class::Variable => self.variable(),
            Class::Unknown => {
                self.position += 1;
                Part::Fixed(Kind::Unknown)
            }
            // Comments, and what has many notations.
            Class::Dash | Class::Slash | Class::Hash | Class::Dollar => Part::Opaque,
            Class::Backslash | Class::Backtick | Class::White => Part::Opaque,
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.input.get(self.position + ahead).copied()
    }

    fn joint(&mut self, length: usize, kind: Kind, unary: bool) -> Part {
        self.position += length;
        Part::Joint { kind, unary }
    }

    /// A word, unless one of `marks` follows its first letter.
    fn word_unless(&mut self, marks: &[u8]) -> Part {
        match self.peek(1) {
            Some(next) if marks.contains(&next) => Part::Opaque,
            _ => self.word(),
        }
    }

    /// A word, which ends before a dot when what stands there is listed.
    fn word(&mut self) -> Part {
        let (input, at) = (self.input, self.position);
        let mut end = bytes::find_word_stop(input, at);
        while let Some(&stop @ (b'.' | b'`')) = input.get(end) {
            let listed = words::entry_for(input, at, end).and_then(|entry| entry.kind);
            if stop == b'`' || listed.is_some_and(|kind| kind != Kind::Bareword) {
                return Part::Opaque;
            }
            end = bytes::find_word_stop(input, end + 1);
        }
        self.position = end;
        let Some(entry) = words::entry_for(input, at, end) else { return Part::Fixed(Kind::Bareword) };
        match entry.kind {
            Some(kind) if !entry.begins_phrase && entry.effects == kind.alone() && is_fixed(kind) => {
                Part::Fixed(kind)
            }
            _ => Part::Loose(entry.effects),
        }
    }

    fn number(&mut self) -> Part {
        let (kind, end) = literals::number_extent(self.input, self.position);
        self.position = end;
        if kind == Kind::Dot { Part::Loose(kind.alone()) } else { Part::Fixed(kind) }
    }

    fn punctuation(&mut self, byte: u8) -> Part {
        self.position += 1;
        match byte {
            b'(' => Part::Fixed(Kind::LeftParen),
            b')' => Part::Loose(Kind::RightParen.alone()),
            b',' => Part::Joint { kind: Kind::Comma, unary: false },
            b';' => Part::Fixed(Kind::Semicolon),
            b'{' => Part::Loose(Kind::LeftBrace.alone()),
            _ => Part::Loose(Kind::RightBrace.alone()),
        }
    }

    /// An operator of up to three bytes.
    fn long_operator(&mut self, byte: u8) -> Part {
        let second = self.peek(1);
        if byte == b'<' && second == Some(b'=') && self.peek(2) == Some(b'>') {
            return self.joint(3, Kind::Operator, false);
        }
        let pair = self.input.get(self.position..self.position + 2);
        // Few bytes are the second of a pair.
        let may_be_pair = second.is_some_and(|next| b"!&*/:<=>@|".contains(&next));
        match pair.filter(|_| may_be_pair).and_then(words::kind_of) {
            Some(Kind::Operator) => self.joint(2, Kind::Operator, false),
            Some(kind) => {
                self.position += 2;
                Part::Loose(kind.alone())
            }
            None if byte == b':' && second.is_some() => {
                self.position += 1;
                Part::Fixed(Kind::Colon)
            }
            None => self.joint(1, Kind::Operator, byte == b'!'),
        }
    }

    /// `@name` or `@@name`.
    fn variable(&mut self) -> Part {
        let name = self.position + if self.peek(1) == Some(b'@') { 2 } else { 1 };
        if matches!(self.input.get(name), Some(b'`' | b'\'' | b'"')) {
            return Part::Opaque;
        }
        let end = bytes::VARIABLE_END.find(self.input, name);
        if words::entry_for(self.input, name, end).is_some() {
            return Part::Opaque;
        }
        self.position = end;
        Part::Fixed(Kind::Variable)
    }
}

/// Whether no rule of folding is about a token of this kind before a token that is fixed.
const fn is_fixed(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bareword
            | Kind::Number
            | Kind::Variable
            | Kind::Function
            | Kind::Keyword
            | Kind::Expression
            | Kind::Union
            | Kind::Group
            | Kind::Tsql
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqli::tokenizer::{Context, Dialect, Quote, tokens};
    use crate::sqli::{samples, words};

    /// The outline says of each token what the tokenizer says, in both dialects.
    #[test]
    fn agrees_with_the_tokenizer() {
        let mut parts = 0;
        let mut random = samples::Random::new(3);
        for _ in 0..200_000 {
            let input = random.value();
            for (quote, dialect) in [(Quote::None, Dialect::Ansi), (Quote::Single, Dialect::MySql)] {
                if quote == Quote::Single && input.is_empty() {
                    continue;
                }
                let mut tokens = tokens(&input, Context { quote, dialect });
                let mut outline = Outline::new(&input);
                if quote == Quote::Single {
                    outline = Outline::inside(&input, b'\'');
                    assert_eq!(tokens.next().map(|token| token.kind), Some(Kind::Text));
                }
                loop {
                    let (part, token) = (outline.next(), tokens.next());
                    let agrees = match (part, token) {
                        (Some(Part::Opaque), _) => break,
                        (None, None) => break,
                        (Some(Part::Fixed(kind)), Some(token)) => token.kind == kind,
                        (Some(Part::Joint { kind, unary }), Some(token)) => {
                            token.kind == kind && (!unary || token.is_unary_operator())
                        }
                        (Some(Part::Loose(kinds)), Some(token)) => token.kind.alone().is_subset(kinds),
                        _ => false,
                    };
                    assert!(agrees, "{part:?} for {token:?} of {}", input.escape_ascii());
                    parts += 1;
                }
            }
        }
        assert!(parts > 500_000, "only {parts} tokens are compared");
    }

    /// What is fixed as a word begins no phrase; what is loose names all the kinds of its phrases.
    #[test]
    fn words_name_the_kinds_of_their_phrases() {
        for phrase in words::all().filter(|phrase| phrase.bytes().contains(&b' ')) {
            let text = phrase.bytes();
            let Some(space) = text.iter().position(|&byte| byte == b' ') else { continue };
            let kind = words::kind_of(text).map_or(KindSet::EMPTY, Kind::alone);
            let part = Outline::new(&text[..space]).next();
            assert!(
                matches!(part, Some(Part::Loose(kinds)) if kind.is_subset(kinds)),
                "{part:?} for the first word of {phrase:?}"
            );
        }
    }
}
