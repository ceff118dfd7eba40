//! Folding: the first tokens of a value with everything removed that does not change what kind of
//! SQL it is, so that few fingerprints stand for many values.
//!
//! The tokens pass through a window of six. Its first tokens are settled; the two, then the three
//! tokens behind them are tried against the rules. A rule that fires shortens the window, and
//! mostly everything in it is tried again.

use super::kind::Kind;
use super::names::NAMES_OR_FUNCTIONS;
use super::token::Token;
use super::tokenizer::{Context, Tokens, tokens};
use super::value::Value;
use super::words;

/// The most tokens that count; one more is read to learn what the last of them is.
const MOST_TOKENS: usize = 5;

/// The folded tokens of a value.
#[derive(Clone, Copy, Debug)]
pub struct Folded {
    window: [Token; MOST_TOKENS + 1],
    length: usize,
    read: usize,
    depends_on_dialect: bool,
}

impl Folded {
    /// The tokens that are left: at most five, or six when the last is [`Kind::Evil`].
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.window[..self.length]
    }

    /// How many tokens were read to get there.
    pub(super) fn read(&self) -> usize {
        self.read
    }

    /// Whether the other dialect might read the value in another way.
    pub(super) fn depends_on_dialect(&self) -> bool {
        self.depends_on_dialect
    }

    /// MySQL takes an unclosed backtick at the end for a comment.
    pub(super) fn end_in_comment(&mut self) {
        if self.length > 2 {
            let last = &mut self.window[self.length - 1];
            if last.kind == Kind::Bareword && last.open == b'`' && last.close == 0 && last.value.is_empty() {
                last.kind = Kind::Comment;
            }
        }
    }
}

/// Reads and folds the tokens of `input`, as many as it needs.
#[must_use]
pub fn fold(input: &[u8], context: Context) -> Folded {
    let mut window = Window {
        tokens: tokens(input, context),
        kept: [Token { kind: Kind::Unknown, open: 0, close: 0, sigils: 0, value: Value::EMPTY };
            MOST_TOKENS + 1],
        filled: 0,
        settled: 0,
        more: true,
        last_comment: None,
    };
    let length = window.fold();
    Folded {
        window: window.kept,
        length,
        read: window.tokens.read(),
        depends_on_dialect: window.tokens.depends_on_dialect(),
    }
}

struct Window<'a> {
    tokens: Tokens<'a>,
    kept: [Token; MOST_TOKENS + 1],
    /// How many tokens are in the window: where the next goes.
    filled: usize,
    /// How many of them are done with.
    settled: usize,
    more: bool,
    /// The comment after the last token, if there is one.
    last_comment: Option<Token>,
}

/// What the rules made of the tokens they were tried against.
enum Outcome {
    /// A rule fired: begin again with the window as it is now.
    Changed,
    /// No rule fired.
    Kept,
    /// Nobody can tell what this is; its last token says so.
    Evil,
}

impl Window<'_> {
    /// Folds until the window is settled and returns how many tokens of it count.
    fn fold(&mut self) -> usize {
        if !self.take_first() {
            return 0;
        }
        loop {
            if self.filled >= MOST_TOKENS {
                self.restart_from_operand();
            }
            if !self.more || self.settled >= MOST_TOKENS {
                break;
            }
            if !self.fill(2) {
                self.settled = self.filled;
                continue;
            }
            match self.fold_two() {
                Outcome::Changed => continue,
                Outcome::Evil => return self.settled + 2,
                Outcome::Kept => {}
            }
            if !self.fill(3) {
                self.settled = self.filled;
                continue;
            }
            if !self.fold_three() {
                self.settled += 1;
            }
        }
        self.finish()
    }

    /// Takes the first token behind all leading comments, parentheses, types and unary operators.
    fn take_first(&mut self) -> bool {
        while self.tokens.read_into(&mut self.kept[0]) {
            let token = &self.kept[0];
            let skipped = matches!(token.kind, Kind::Comment | Kind::LeftParen | Kind::SqlType);
            if !skipped && !token.is_unary_operator() {
                self.filled = 1;
                return true;
            }
        }
        false
    }

    /// Reads until `wanted` tokens are unsettled; false when the input or the window ends before.
    fn fill(&mut self, wanted: usize) -> bool {
        while self.more && self.filled <= MOST_TOKENS && self.filled - self.settled < wanted {
            let place = &mut self.kept[self.filled];
            self.more = self.tokens.read_into(place);
            if !self.more {
                break;
            }
            if place.kind == Kind::Comment {
                self.last_comment = Some(*place);
            } else {
                self.last_comment = None;
                self.filled += 1;
            }
        }
        self.filled - self.settled >= wanted
    }

    /// A comment at the end counts when there is room for it; a sixth token does not.
    fn finish(&mut self) -> usize {
        let mut length = self.filled;
        if let Some(comment) = self.last_comment
            && length < MOST_TOKENS
        {
            self.kept[length] = comment;
            length += 1;
        }
        length.min(MOST_TOKENS)
    }

    /// Five tokens that are one calculation become its first operand.
    fn restart_from_operand(&mut self) {
        use Kind::{Bareword, Comma, LeftParen, Number, Operator, RightParen};
        let kinds = [0, 1, 2, 3, 4].map(|place: usize| self.kept[place].kind);
        let is_calculation = matches!(
            kinds,
            [Number, Operator | Comma, LeftParen, Number, RightParen]
                | [Bareword, Operator, LeftParen, Bareword | Number, RightParen]
                | [Number, RightParen, Comma, LeftParen, Number]
                | [Bareword, RightParen, Operator, LeftParen, Bareword]
        );
        if !is_calculation {
            return;
        }
        if self.filled > MOST_TOKENS {
            self.kept[1] = self.kept[MOST_TOKENS];
            self.filled = 2;
        } else {
            self.filled = 1;
        }
        self.settled = 0;
    }

    /// Drops the last `count` tokens.
    fn drop_last(&mut self, count: usize) {
        self.filled -= count;
    }

    /// Drops the last `count` tokens and tries the whole window again.
    fn restart_without(&mut self, count: usize) {
        self.filled -= count;
        self.settled = 0;
    }

    /// Tries one more settled token again.
    fn step_back(&mut self) {
        self.settled = self.settled.saturating_sub(1);
    }

    fn fold_two(&mut self) -> Outcome {
        if self.drop_second() || self.merge_phrase() {
            return Outcome::Changed;
        }
        self.decide_by_second()
    }

    /// The rules by which the second of two tokens adds nothing.
    fn drop_second(&mut self) -> bool {
        let (first, second) = (&self.kept[self.settled], &self.kept[self.settled + 1]);
        match (first.kind, second.kind) {
            (Kind::Text, Kind::Text) | (Kind::Semicolon, Kind::Semicolon) => self.drop_last(1),
            (Kind::Operator | Kind::LogicOperator, Kind::SqlType) => self.restart_without(1),
            (Kind::Operator | Kind::LogicOperator, _) if second.is_unary_operator() => {
                self.restart_without(1)
            }
            (Kind::LeftParen, _) if second.is_unary_operator() => {
                self.drop_last(1);
                self.step_back();
            }
            _ => return false,
        }
        true
    }

    /// Two words which are listed as a phrase become one token.
    fn merge_phrase(&mut self) -> bool {
        let (first, second) = (&self.kept[self.settled], &self.kept[self.settled + 1]);
        if !first.kind.begins_phrase() || !second.kind.continues_phrase() {
            return false;
        }
        let Some((phrase, kind)) = words::kind_of_phrase(&first.value, &second.value) else { return false };
        let first = &mut self.kept[self.settled];
        first.kind = kind;
        first.value = phrase;
        self.drop_last(1);
        self.step_back();
        true
    }

    /// The rules by which the second token tells what the first is, and the rest about two.
    fn decide_by_second(&mut self) -> Outcome {
        let place = self.settled;
        let (first, second) = (&self.kept[place], &self.kept[place + 1]);
        let before_paren = second.kind == Kind::LeftParen;
        match (first.kind, second.kind) {
            // A statement in Transact-SQL, else a function.
            (Kind::Semicolon, Kind::Function) if second.value.starts_with("IF") => {
                self.kept[place + 1].kind = Kind::Tsql;
            }
            (Kind::Bareword | Kind::Variable, Kind::LeftParen) if is_name_or_function(&first.value) => {
                self.kept[place].kind = Kind::Function;
            }
            (Kind::Keyword, _) if first.value.is("IN") || first.value.is("NOT IN") => {
                self.kept[place].kind = if before_paren { Kind::Operator } else { Kind::Bareword };
            }
            (Kind::Operator, _) if first.value.is("LIKE") || first.value.is("NOT LIKE") => {
                if before_paren {
                    self.kept[place].kind = Kind::Function;
                }
                return Outcome::Kept;
            }
            (Kind::SqlType, kind) if is_typed(kind) => {
                self.kept[place] = *second;
                self.restart_without(1);
            }
            // There are too many collations to list; they have an underscore.
            (Kind::Collate, Kind::Bareword) => {
                if text_of(&second.value).contains(&b'_') {
                    self.kept[place + 1].kind = Kind::SqlType;
                    self.settled = 0;
                }
                return Outcome::Kept;
            }
            // In Transact-SQL `\%1` is a calculation with zero, and `\1` is 1.
            (Kind::Backslash, _) if second.is_arithmetic_operator() => {
                self.kept[place].kind = Kind::Number;
                self.settled = 0;
            }
            (Kind::Backslash, _) => {
                self.kept[place] = *second;
                self.restart_without(1);
            }
            (Kind::LeftParen, Kind::LeftParen) | (Kind::RightParen, Kind::RightParen) => {
                self.restart_without(1)
            }
            // `{foo expression}` is the expression, but what {`` is, only MySQL knows.
            (Kind::LeftBrace, Kind::Bareword) if second.value.is_empty() => {
                self.kept[place + 1].kind = Kind::Evil;
                return Outcome::Evil;
            }
            (Kind::LeftBrace, Kind::Bareword) => self.restart_without(2),
            (_, Kind::RightBrace) => self.restart_without(1),
            _ => return Outcome::Kept,
        }
        Outcome::Changed
    }

    /// The rules about three tokens; false when none fires.
    fn fold_three(&mut self) -> bool {
        let place = self.settled;
        let [first, second, third] = [0, 1, 2].map(|offset| &self.kept[place + offset]);
        let unary = second.is_unary_operator();
        match (first.kind, second.kind, third.kind) {
            (Kind::Operator, kind, Kind::Operator) if kind != Kind::LeftParen => self.restart_without(2),
            (Kind::LogicOperator, _, Kind::LogicOperator) => self.restart_without(2),
            (Kind::Variable, Kind::Operator, Kind::Variable) => self.restart_without(2),
            (
                Kind::Variable | Kind::Bareword | Kind::Number,
                Kind::Operator,
                Kind::Number | Kind::Bareword,
            ) => {
                self.restart_without(2);
            }
            (kind, Kind::Operator, Kind::SqlType) if kind.is_operand() && second.value.is("::") => {
                self.restart_without(2);
            }
            (kind, Kind::Comma, other) if kind.is_operand() && other.is_operand() => self.restart_without(2),
            (Kind::Comma, _, kind) if unary && kind.is_operand() => self.restart_without(3),
            (Kind::Comma, _, Kind::LeftParen | Kind::Function) if unary => self.replace_second_by_third(),
            (Kind::Expression | Kind::Group, _, Kind::LeftParen) if unary => self.replace_second_by_third(),
            (Kind::Keyword | Kind::Expression | Kind::Group, _, kind)
                if unary && (kind.is_operand() || kind == Kind::Function) =>
            {
                self.replace_second_by_third();
            }
            (Kind::Bareword, Kind::Dot, Kind::Bareword) => self.restart_without(2),
            (Kind::Expression, Kind::Dot, Kind::Bareword) => self.replace_second_by_third(),
            // USER() is a function, USER(foo) is not.
            (Kind::Function, Kind::LeftParen, kind) if kind != Kind::RightParen && first.value.is("USER") => {
                self.kept[place].kind = Kind::Bareword;
                return false;
            }
            _ => return false,
        }
        true
    }

    fn replace_second_by_third(&mut self) {
        self.kept[self.settled + 1] = self.kept[self.settled + 2];
        self.restart_without(1);
    }
}

fn is_name_or_function(value: &Value) -> bool {
    NAMES_OR_FUNCTIONS.iter().any(|name| value.is(name))
}

/// Whether a type before a token of this kind says nothing more than the token.
fn is_typed(kind: Kind) -> bool {
    kind.is_operand() || matches!(kind, Kind::SqlType | Kind::LeftParen | Kind::Function)
}

/// A value up to its first NUL: libinjection seeks in values as in C strings.
fn text_of(value: &Value) -> &[u8] {
    let bytes = value.bytes();
    &bytes[..bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len())]
}
