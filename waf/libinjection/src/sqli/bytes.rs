//! What each byte means to the SQL tokenizer: the class of token it may begin, and the sets in
//! which the rest of a token is sought.

/// How a token which begins with a byte is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Between tokens.
    White,
    /// An operator of one byte.
    Operator,
    /// An operator which may have a second byte.
    LongOperator,
    /// A token by itself, of the kind with the same letter.
    Punctuation,
    /// Nothing in SQL.
    Unknown,
    /// A quoted string.
    Quote,
    /// A name in backticks.
    Backtick,
    /// A name in brackets.
    Bracket,
    /// `\`
    Backslash,
    /// `#`: an operator or a comment.
    Hash,
    /// `-`: an operator or a comment.
    Dash,
    /// `/`: an operator or a comment.
    Slash,
    /// `$`: money, a parameter or a dollar-quoted string.
    Dollar,
    /// `@`
    Variable,
    /// A digit or a dot.
    Number,
    /// A word.
    Word,
    /// A word, or `b'01'`.
    BinaryOrWord,
    /// A word, or `x'1f'`.
    HexOrWord,
    /// A word, or `e'…'`.
    EscapedOrWord,
    /// A word, or `n'…'`, or `nq'(…)'`.
    NationalOrWord,
    /// A word, or `q'(…)'`.
    DelimitedOrWord,
    /// A word, or `u&'…'`.
    UnicodeOrWord,
}

/// The class of each byte.
pub(super) static CLASSES: [Class; 256] = {
    let mut classes = [Class::Word; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = class_of(byte as u8);
        byte += 1;
    }
    classes
};

const fn class_of(byte: u8) -> Class {
    match byte {
        0..=b' ' | 0x7f | 0xa0 => Class::White,
        b'%' | b'+' | b'^' | b'~' => Class::Operator,
        b'!' | b'&' | b'*' | b':' | b'<' | b'=' | b'>' | b'|' => Class::LongOperator,
        b'(' | b')' | b',' | b';' | b'{' | b'}' => Class::Punctuation,
        b'?' | b']' => Class::Unknown,
        b'"' | b'\'' => Class::Quote,
        b'`' => Class::Backtick,
        b'[' => Class::Bracket,
        b'\\' => Class::Backslash,
        b'#' => Class::Hash,
        b'-' => Class::Dash,
        b'/' => Class::Slash,
        b'$' => Class::Dollar,
        b'@' => Class::Variable,
        b'0'..=b'9' | b'.' => Class::Number,
        b'b' | b'B' => Class::BinaryOrWord,
        b'x' | b'X' => Class::HexOrWord,
        b'e' | b'E' => Class::EscapedOrWord,
        b'n' | b'N' => Class::NationalOrWord,
        b'q' | b'Q' => Class::DelimitedOrWord,
        b'u' | b'U' => Class::UnicodeOrWord,
        _ => Class::Word,
    }
}

/// A set of bytes.
#[derive(Clone, Copy)]
pub(super) struct Set(u8);

/// Ends a word.
pub(super) const WORD_END: Set = Set(1);
/// Ends the name of a variable.
pub(super) const VARIABLE_END: Set = Set(1 << 1);
/// White space where it decides about what stands before it.
pub(super) const WHITE: Set = Set(1 << 2);
/// A decimal digit.
pub(super) const DIGIT: Set = Set(1 << 3);
// libinjection seeks the next four with `strchr`, for which the NUL that ends the list of wanted
// bytes is wanted too: so NUL belongs to each.
/// A binary digit, or NUL.
pub(super) const BINARY: Set = Set(1 << 4);
/// A hexadecimal digit, or NUL.
pub(super) const HEX: Set = Set(1 << 5);
/// Part of an amount of money, or NUL.
pub(super) const AMOUNT: Set = Set(1 << 6);
/// An ASCII letter, or NUL.
pub(super) const LETTER: Set = Set(1 << 7);

static SETS: [u8; 256] = {
    let mut sets = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        sets[byte] = sets_of(byte as u8);
        byte += 1;
    }
    sets
};

const fn sets_of(byte: u8) -> u8 {
    let mut sets = 0;
    let white = matches!(byte, 0 | b'\t'..=b'\r' | b' ' | 0xa0);
    let operator = matches!(
        byte,
        b'<' | b'>'
            | b':'
            | b'\\'
            | b'?'
            | b'='
            | b'@'
            | b'!'
            | b'#'
            | b'~'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'&'
    ) || matches!(byte, b'|' | b'^' | b'%' | b'(' | b')' | b',' | b'\'' | b';' | b'"');
    if white || operator || matches!(byte, b'[' | b']' | b'{' | b'}') {
        sets |= WORD_END.0;
    }
    if white && byte != 0xa0 || operator || byte == b'`' {
        sets |= VARIABLE_END.0;
    }
    if white {
        sets |= WHITE.0;
    }
    if byte.is_ascii_digit() {
        sets |= DIGIT.0;
    }
    if matches!(byte, 0 | b'0' | b'1') {
        sets |= BINARY.0;
    }
    if byte == 0 || byte.is_ascii_hexdigit() {
        sets |= HEX.0;
    }
    if matches!(byte, 0 | b'0'..=b'9' | b'.' | b',') {
        sets |= AMOUNT.0;
    }
    if byte == 0 || byte.is_ascii_alphabetic() {
        sets |= LETTER.0;
    }
    sets
}

impl Set {
    /// Whether the set has the byte.
    pub(super) fn has(self, byte: u8) -> bool {
        SETS[usize::from(byte)] & self.0 != 0
    }

    /// Where the run of the set's bytes that begins at `from` ends.
    pub(super) fn skip(self, input: &[u8], from: usize) -> usize {
        let rest = input.get(from..).unwrap_or_default();
        from + rest.iter().position(|&byte| !self.has(byte)).unwrap_or(rest.len())
    }

    /// Where the first of the set's bytes stands from `from` on; the end of `input` without one.
    pub(super) fn find(self, input: &[u8], from: usize) -> usize {
        let rest = input.get(from..).unwrap_or_default();
        from + rest.iter().position(|&byte| self.has(byte)).unwrap_or(rest.len())
    }
}

/// Where the first byte stands, from `from` on, that ends a word or may end it before: a dot or a
/// backtick; the end of `input` without one.
pub(super) fn find_word_stop(input: &[u8], from: usize) -> usize {
    static STOPS: [bool; 256] = {
        let mut stops = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            stops[byte] = SETS[byte] & WORD_END.0 != 0 || matches!(byte as u8, b'.' | b'`');
            byte += 1;
        }
        stops
    };
    let rest = input.get(from..).unwrap_or_default();
    from + rest.iter().position(|&byte| STOPS[usize::from(byte)]).unwrap_or(rest.len())
}

/// Where `byte` first stands from `from` on.
pub(super) fn find_byte(input: &[u8], from: usize, byte: u8) -> Option<usize> {
    memchr::memchr(byte, input.get(from..)?).map(|at| from + at)
}

/// Where `pair` first stands from `from` on.
pub(super) fn find_pair(input: &[u8], mut from: usize, pair: [u8; 2]) -> Option<usize> {
    loop {
        let at = find_byte(input, from, pair[0])?;
        if *input.get(at + 1)? == pair[1] {
            return Some(at);
        }
        from = at + 1;
    }
}
