//! One SQL token.

use super::kind::Kind;
use super::value::Value;

/// A token of SQL: its kind and its text.
///
/// The text is without the quotes of a string and without the `@` of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) kind: Kind,
    pub(crate) open: u8,
    pub(crate) close: u8,
    pub(crate) sigils: u8,
    pub(crate) value: Value,
}

impl Token {
    /// A place for a token.
    pub(crate) const EMPTY: Token =
        Token { kind: Kind::Unknown, open: 0, close: 0, sigils: 0, value: Value::EMPTY };

    // Tokens are written where they stay: to move one just written would make the processor wait
    // for it, which took a third of the time.

    /// Becomes a token with the first bytes of `text` as its value.
    pub(crate) fn set(&mut self, kind: Kind, text: &[u8]) {
        (self.kind, self.open, self.close, self.sigils) = (kind, 0, 0, 0);
        self.value.set(text);
    }

    /// Becomes a token of one byte.
    pub(crate) fn set_byte(&mut self, kind: Kind, byte: u8) {
        (self.kind, self.open, self.close, self.sigils) = (kind, 0, 0, 0);
        self.value = Value::byte(byte);
    }

    /// What the token is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its text, as written, at most [`Value::CAPACITY`] bytes of it.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.value.bytes()
    }

    /// The mark that opened a quoted text: `'`, `"` or a backtick, `$` for a dollar-quoted string,
    /// `q` and `u` for the strings with these prefixes. `None` when there was no mark, as where a
    /// value is read as if it stood inside quotes.
    #[must_use]
    pub fn opening_quote(&self) -> Option<u8> {
        (self.open != 0).then_some(self.open)
    }

    /// The mark that closed a quoted text; `None` when it runs to the end of the input.
    #[must_use]
    pub fn closing_quote(&self) -> Option<u8> {
        (self.close != 0).then_some(self.close)
    }

    /// How many `@` stood before a variable: 0, 1 or 2.
    #[must_use]
    pub fn sigils(&self) -> u8 {
        self.sigils
    }

    /// Whether this operator can stand before a single operand.
    pub(crate) fn is_unary_operator(&self) -> bool {
        self.kind == Kind::Operator
            && match self.value.bytes() {
                [b'+' | b'-' | b'!' | b'~'] | [b'!', b'!'] => true,
                word => word.eq_ignore_ascii_case(b"NOT"),
            }
    }

    /// Whether this operator is one of `* / - + %`.
    pub(crate) fn is_arithmetic_operator(&self) -> bool {
        self.kind == Kind::Operator && matches!(self.value.bytes(), [b'*' | b'/' | b'-' | b'+' | b'%'])
    }
}
