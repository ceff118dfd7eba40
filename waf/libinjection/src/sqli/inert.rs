//! A quick look at a value that tells most values of real traffic from those worth tokenizing.
//!
//! A value is injection when, in one of its readings, the row of its folded tokens' kinds is listed
//! or one of the tokens is evil. So two things are enough to clear a reading, and both show in its
//! outline.
//!
//! **Its kinds.** A folded row has no kinds but those of the tokens and those that folding makes of
//! them, which the outline tells. There are sets of kinds of which no listed fingerprint consists,
//! [`HARMLESS`]: names, numbers, operators and commas, say, or names joined by `and`.
//!
//! **Its opening.** Folding never changes or removes the first tokens when all of them are fixed
//! ([`Part::Fixed`]) and no two of the same string, parenthesis or semicolon stand together: every
//! rule that does is about an operator, a comma, a dot, a brace, a type or a listed word among the
//! first two of its tokens, or drops tokens behind them. An operator or a comma between two
//! operands goes with the second, as soon as that is read, and leaves what was before. So when no
//! listed fingerprint begins with the opening, the reading is cleared whatever follows: three words
//! of prose suffice. Only evil tokens, which count wherever they are, need a look at the rest.
//!
//! The tests hold both against the full reading.

use memchr::{memchr, memchr3};

use super::bytes;
use super::fingerprint::Fingerprint;
use super::kind::{Kind, KindSet};
use super::outline::{Outline, Part};

/// Sets of kinds of which no listed fingerprint consists.
const HARMLESS: [KindSet; 7] = {
    use Kind::{
        Bareword, Colon, Comma, Dot, Function, LeftBrace, LeftParen, LogicOperator, Number, Operator,
        RightBrace, RightParen, Semicolon, Text, Unknown,
    };
    // No listed fingerprint has one of these.
    const NEVER: KindSet = KindSet::of(&[Dot, Unknown, LeftBrace, RightBrace]);
    [
        KindSet::of(&[Bareword, Number, Operator, Function, Comma, Colon, Semicolon]).union(NEVER),
        KindSet::of(&[Bareword, Operator, LogicOperator, Comma, Colon, Semicolon]).union(NEVER),
        KindSet::of(&[Bareword, Number, LeftParen, RightParen, Colon, Semicolon]).union(NEVER),
        KindSet::of(&[Bareword, Number, LeftParen, Comma, Colon, Semicolon]).union(NEVER),
        KindSet::of(&[Bareword, Text, Function, RightParen, Comma, Colon, Semicolon]).union(NEVER),
        KindSet::of(&[Bareword, Text, LeftParen, Comma, Colon, Semicolon]).union(NEVER),
        KindSet::of(&[Bareword, Number, Text, Function, RightParen, Comma, Colon]).union(NEVER),
    ]
};

/// The longest value that is followed for its kinds alone. The full reading needs only the first
/// tokens, mostly, so that it is soon the faster one.
const LONGEST: usize = 160;

/// Bytes of a value that is short.
const SHORT: usize = 64;

/// Whether `input` is known to be no injection, in whatever reading.
pub(super) fn is_inert(input: &[u8]) -> bool {
    if is_word_or_figures(input) {
        return true;
    }
    let plain = clear(Outline::new(input), None);
    if plain == Clearance::Unknown {
        return false;
    }
    // Most values have no such mark: one look for all.
    let is_mark = |byte: u8| (byte == b'\'') | (byte == b'"') | (byte == b'`');
    let is_marked = match input.len() {
        // Sooner read than searched.
        ..=SHORT => input.iter().fold(false, |found, &byte| found | is_mark(byte)),
        _ => memchr3(b'\'', b'"', b'`', input).is_some(),
    };
    if !is_marked {
        return plain == Clearance::Kinds || !may_be_evil(input);
    }
    let [single, double] = [b'\'', b'"'].map(|quote| match memchr(quote, input) {
        None => Clearance::Kinds,
        Some(_) => clear(Outline::inside(input, quote), Some(Kind::Text)),
    });
    match (plain, single, double) {
        (_, Clearance::Unknown, _) | (_, _, Clearance::Unknown) => false,
        (Clearance::Kinds, Clearance::Kinds, Clearance::Kinds) => true,
        _ => !may_be_evil(input),
    }
}

/// The two commonest values, told without an outline. A single word without dot, backtick or quote
/// is one token, and the only listed fingerprints of one letter are those of comments and of evil.
/// And digits with `.`, `,`, `:`, single `-` and spaces are numbers, operators and punctuation.
fn is_word_or_figures(input: &[u8]) -> bool {
    match input {
        [] => true,
        [b'0'..=b'9', rest @ ..] => {
            let figures = |&byte: &u8| matches!(byte, b'0'..=b'9' | b' ' | b'.' | b',' | b':' | b'-');
            rest.iter().all(figures) && !rest.windows(2).any(|pair| pair == b"--")
        }
        [b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0x9f | 0xa1.., ..] => {
            bytes::find_word_stop(input, 1) == input.len()
        }
        _ => false,
    }
}

/// What clears a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clearance {
    /// Nothing that is known here.
    Unknown,
    /// The kinds of all its tokens.
    Kinds,
    /// Its first tokens, unless one that follows is evil.
    Opening,
}

/// Clears a reading that begins with a token of the kind `first` and goes on with `outline`.
fn clear(mut outline: Outline<'_>, first: Option<Kind>) -> Clearance {
    let mut kinds = first.map_or(KindSet::EMPTY, Kind::alone);
    let mut opening = Opening::new(first);
    let mut progress = Progress::Open;
    while let Some(part) = outline.next() {
        kinds = kinds.union(match part {
            Part::Opaque => return Clearance::Unknown,
            Part::Fixed(kind) | Part::Joint { kind, .. } => kind.alone(),
            Part::Loose(kinds) => kinds,
        });
        if progress == Progress::Open {
            progress = opening.follow(part);
        }
        match progress {
            Progress::Open => {}
            Progress::Cleared => return Clearance::Opening,
            Progress::Lost if outline.length() > LONGEST || !are_harmless(kinds) => {
                return Clearance::Unknown;
            }
            Progress::Lost => {}
        }
    }
    if are_harmless(kinds) { Clearance::Kinds } else { Clearance::Unknown }
}

fn are_harmless(kinds: KindSet) -> bool {
    HARMLESS.iter().any(|&harmless| kinds.is_subset(harmless))
}

/// Whether a token may be evil: of a comment in a comment or one that MySQL executes, or of a brace
/// before a name in backticks that is empty.
fn may_be_evil(input: &[u8]) -> bool {
    let begins_comment = |star: usize| star > 0 && input[star - 1] == b'/';
    memchr::memchr_iter(b'*', input).any(begins_comment)
        || memchr(b'`', input).is_some() && memchr(b'{', input).is_some()
}

/// The first tokens of a reading as folding leaves them.
struct Opening {
    kinds: [Kind; Self::LONGEST],
    length: u8,
    /// The operator or comma behind them, which goes with the token that follows.
    joint: Option<Kind>,
}

/// What can be told of the opening so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No listed fingerprint begins like that.
    Cleared,
    /// More is needed to tell.
    Open,
    /// What follows is not known to leave the first tokens alone, or they are those of a listed one.
    Lost,
}

impl Opening {
    /// More tokens than that clear hardly any more values.
    const LONGEST: usize = 3;

    fn new(first: Option<Kind>) -> Opening {
        let kinds = [first.unwrap_or(Kind::Unknown); Self::LONGEST];
        Opening { kinds, length: u8::from(first.is_some()), joint: None }
    }

    fn so_far(&self) -> &[Kind] {
        &self.kinds[..usize::from(self.length).min(Self::LONGEST)]
    }

    fn follow(&mut self, part: Part) -> Progress {
        let last = self.so_far().last().copied();
        match (part, self.joint.take(), last) {
            (Part::Fixed(kind), Some(joint), _) if joins(joint, kind) => Progress::Open,
            (Part::Fixed(kind), None, last) => self.push(kind, last),
            (Part::Joint { unary: true, .. }, None, None) => Progress::Open,
            (Part::Joint { kind, .. }, None, Some(last)) if may_be_joined(last, kind) => {
                self.joint = Some(kind);
                Progress::Open
            }
            _ => Progress::Lost,
        }
    }

    fn push(&mut self, kind: Kind, last: Option<Kind>) -> Progress {
        match last {
            // Parentheses are skipped at the beginning.
            None if kind == Kind::LeftParen => return Progress::Open,
            Some(Kind::Text | Kind::LeftParen | Kind::Semicolon) if last == Some(kind) => {
                return Progress::Lost;
            }
            _ => {}
        }
        let Some(place) = self.kinds.get_mut(usize::from(self.length)) else { return Progress::Lost };
        *place = kind;
        self.length += 1;
        if !Fingerprint::some_listed_begins_with(self.so_far()) {
            Progress::Cleared
        } else if self.so_far().len() == Self::LONGEST {
            Progress::Lost
        } else {
            Progress::Open
        }
    }
}

/// Whether folding takes `joint` away from behind a token of kind `last` when the right token follows.
fn may_be_joined(last: Kind, joint: Kind) -> bool {
    last.is_operand() && (joint == Kind::Comma || last != Kind::Text)
}

/// Whether that is a token of kind `next`.
fn joins(joint: Kind, next: Kind) -> bool {
    match joint {
        Kind::Comma => next.is_operand(),
        _ => matches!(next, Kind::Number | Kind::Bareword),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqli::{read_all, samples, words};

    /// Values of all sorts of pieces: whatever is inert is no injection when it is read.
    #[test]
    fn inert_values_are_no_injection_when_read() {
        let mut random = samples::Random::new(1);
        let [mut inert, mut injections] = [0; 2];
        for _ in 0..1_000_000 {
            let input = random.value();
            let found = read_all(&input);
            injections += usize::from(found.is_some());
            if is_inert(&input) {
                inert += 1;
                assert_eq!(found, None, "{}", input.escape_ascii());
            }
        }
        assert!(inert > 200_000 && injections > 30_000, "{inert} are inert, {injections} injections");
    }

    /// Each word alone, and each pair of words.
    #[test]
    fn listed_words_are_inert_only_when_read_as_none() {
        for first in words::all() {
            assert!(!is_inert(first.bytes()) || read_all(first.bytes()).is_none(), "{first:?}");
            for second in words::all() {
                let pair = [first.bytes(), b" ", second.bytes()].concat();
                assert!(!is_inert(&pair) || read_all(&pair).is_none(), "{}", pair.escape_ascii());
            }
        }
    }

    /// What the sets rest on, asked of the table itself.
    #[test]
    fn no_listed_fingerprint_is_of_harmless_kinds() {
        let mut listed = 0;
        for fingerprint in Fingerprint::all_listed() {
            listed += 1;
            // The letter stands for two kinds; neither is harmless.
            let kinds = fingerprint.bytes().map(|letter| letter.to_ascii_lowercase());
            let kinds = kinds.filter_map(|letter| {
                Kind::from_letter(letter).or_else(|| Kind::from_letter(letter.to_ascii_uppercase()))
            });
            let kinds = kinds.fold(KindSet::EMPTY, |set, kind| set.union(kind.alone()));
            assert!(!are_harmless(kinds), "{fingerprint}");
        }
        assert!(listed > 8_000);
    }

    #[test]
    fn values_of_ordinary_requests_are_inert() {
        for input in [
            "",
            "username",
            "12.5",
            "2024-05-17T08:30:00Z",
            "3fa85f64-5717-4562-b3fc-2c963f66afa6",
            "jane.doe@mail.example",
            "Jane O'Neill",
            "12 Main St, Apt. 4 (rear), 90210 Springfield",
            "/static/js/app.bundle.min.js",
            "https://www.shop.example/search?q=shoes&page=2&sort=price",
            "Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0",
            "The quick brown fox jumps over the dogs.",
            "Salt and pepper, or sugar",
            "She said \"it wasn't me\" and left.",
            "json.items.0.name",
        ] {
            assert!(is_inert(input.as_bytes()), "{input}");
        }
    }
}
