//! Operators: one transformed value in, a match or none out.
//!
//! Everything that can be prepared is prepared at load; what depends on macros
//! comes in expanded. Operators know neither variables nor actions.

mod byte_range;
mod check_digits;
mod fuzzy_hash;
mod injection;
mod ip_match;
mod number;
mod phrases;
mod rbl;
mod rest_path;
mod rx_template;
mod text;
mod url_encoding;
mod utf8;

use std::sync::Arc;

pub(crate) use byte_range::ByteRange;
pub(crate) use check_digits::CheckDigits;
pub(crate) use fuzzy_hash::FuzzyHashes;
pub(crate) use ip_match::Networks;
pub(crate) use number::{Comparison, number};
pub(crate) use phrases::{PhraseSet, parse_phrases, phrases_of_file};
pub(crate) use rbl::BlockList;
pub use rbl::{BlockLists, Listing};
pub(crate) use rest_path::PathTemplate;
pub(crate) use rx_template::RxTemplate;
pub(crate) use text::word_at;

use crate::geo::Places;
use crate::inspection::Inspection;
use crate::regex::{GROUPS, LimitExceeded, Pattern, Spans};
use crate::template::Template;

/// Most matches that `rxGlobal` looks at in one value.
const GLOBAL_MATCHES: usize = 1000;

/// A test, ready to run.
#[derive(Debug)]
pub(crate) enum Operator {
    /// `@rx`.
    Rx(Arc<Pattern>),
    /// `@rx` with macros.
    RxTemplate(Box<RxTemplate>),
    /// `@rxGlobal`.
    RxGlobal(Arc<Pattern>),
    /// `@pm`, `@pmFromFile`.
    Phrases(Arc<PhraseSet>),
    /// `@beginsWith`.
    BeginsWith(Template),
    /// `@endsWith`.
    EndsWith(Template),
    /// `@contains`, `@strmatch`.
    Contains(Template),
    /// `@containsWord`.
    ContainsWord(Template),
    /// `@streq`.
    StrEq(Template),
    /// `@within`.
    Within(Template),
    /// `@eq`, `@ge`, `@gt`, `@le`, `@lt`.
    Compare(Comparison, Template),
    /// `@ipMatch`, `@ipMatchFromFile`.
    IpMatch(Arc<Networks>),
    /// `@validateByteRange`.
    ByteRange(ByteRange),
    /// `@validateUrlEncoding`.
    UrlEncoding,
    /// `@validateUtf8Encoding`.
    Utf8Encoding,
    /// `@verifyCC`, `@verifyCPF`, `@verifySSN`, `@verifySVNR`.
    CheckDigits(CheckDigits, Arc<Pattern>),
    /// `@detectSQLi`.
    DetectSqli,
    /// `@detectXSS`.
    DetectXss,
    /// `@unconditionalMatch`.
    Always,
    /// `@geoLookup`.
    GeoLookup(Arc<Places>),
    /// What looks at the whole transaction; the evaluator asks `State::inspect`.
    Inspection(Inspection),
    /// `@rbl`: only the host can answer it.
    Rbl(BlockList),
    /// `@noMatch`.
    Never,
}

/// What a match leaves for `TX:0` to `TX:9`.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    /// Parts of the value.
    pub(crate) spans: Spans,
    /// Text for `TX:0` that is no part of the value: phrase, fingerprint.
    pub(crate) text: Option<Vec<u8>>,
}

impl Captures {
    /// A part of the value as `TX:0`.
    fn part(&mut self, start: usize, end: usize) {
        *self = Self::default();
        self.spans[0] = Some((start, end));
    }

    /// Another text as `TX:0`.
    fn text(&mut self, text: Vec<u8>) {
        *self = Self { text: Some(text), ..Self::default() };
    }
}

/// Of operators that rulesets share; what has to be looked up elsewhere, or asks the whole transaction, is only the
/// same as itself.
impl PartialEq for Operator {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rx(own), Self::Rx(other)) | (Self::RxGlobal(own), Self::RxGlobal(other)) => own == other,
            (Self::Phrases(own), Self::Phrases(other)) => own == other,
            (Self::BeginsWith(own), Self::BeginsWith(other))
            | (Self::EndsWith(own), Self::EndsWith(other))
            | (Self::Contains(own), Self::Contains(other))
            | (Self::ContainsWord(own), Self::ContainsWord(other))
            | (Self::StrEq(own), Self::StrEq(other))
            | (Self::Within(own), Self::Within(other)) => own == other,
            (Self::Compare(own, argument), Self::Compare(other, with)) => own == other && argument == with,
            (Self::IpMatch(own), Self::IpMatch(other)) => own == other,
            (Self::ByteRange(own), Self::ByteRange(other)) => own == other,
            (Self::CheckDigits(own, pattern), Self::CheckDigits(other, with)) => {
                own == other && pattern == with
            }
            (Self::UrlEncoding, Self::UrlEncoding)
            | (Self::Utf8Encoding, Self::Utf8Encoding)
            | (Self::DetectSqli, Self::DetectSqli)
            | (Self::DetectXss, Self::DetectXss)
            | (Self::Always, Self::Always)
            | (Self::Never, Self::Never) => true,
            _ => std::ptr::eq(self, other),
        }
    }
}

impl Operator {
    /// Whether it may read and write any TX variable, as scripts may.
    pub(crate) fn touches_tx(&self) -> bool {
        matches!(self, Operator::Inspection(inspection) if inspection.touches_tx())
    }

    /// The part of the argument that has to be expanded before each test.
    pub(crate) fn argument(&self) -> Option<&Template> {
        match self {
            Operator::BeginsWith(argument)
            | Operator::EndsWith(argument)
            | Operator::Contains(argument)
            | Operator::ContainsWord(argument)
            | Operator::StrEq(argument)
            | Operator::Within(argument)
            | Operator::Compare(_, argument) => Some(argument),
            Operator::RxTemplate(rx) => Some(&rx.pattern),
            _ => None,
        }
    }

    /// Builds what is otherwise built at the first test.
    pub(crate) fn prepare(&self) {
        match self {
            Operator::Rx(pattern) | Operator::RxGlobal(pattern) | Operator::CheckDigits(_, pattern) => {
                pattern.prepare();
            }
            Operator::Phrases(phrases) => phrases.prepare(),
            _ => {}
        }
    }

    /// Whether a match leaves something for `TX:0` to `TX:9`.
    pub(crate) fn captures(&self) -> bool {
        matches!(
            self,
            Operator::Rx(_)
                | Operator::RxTemplate(_)
                | Operator::RxGlobal(_)
                | Operator::Phrases(_)
                | Operator::CheckDigits(..)
                | Operator::DetectSqli
                | Operator::DetectXss
                | Operator::Rbl(_)
        )
    }

    /// Tests a value. `argument` is the expansion of [`Operator::argument`];
    /// `captures` is filled anew on a match when it is given, and means nothing otherwise.
    pub(crate) fn test(
        &self,
        value: &[u8],
        argument: &[u8],
        budget: u64,
        captures: Option<&mut Captures>,
    ) -> Result<bool, LimitExceeded> {
        Ok(match self {
            Operator::Rx(pattern) => match captures {
                Some(captures) => pattern.captures(value, 0, budget, &mut captures.spans)?,
                None => pattern.is_match(value, budget)?,
            },
            Operator::RxTemplate(rx) => {
                let pattern = rx.compiled(argument)?;
                match captures {
                    Some(captures) => pattern.captures(value, 0, budget, &mut captures.spans)?,
                    None => pattern.is_match(value, budget)?,
                }
            }
            Operator::RxGlobal(pattern) => return global(pattern, value, budget, captures),
            Operator::Phrases(phrases) => match phrases.find(value) {
                Some(phrase) => {
                    if let Some(captures) = captures {
                        captures.text(phrase.to_vec());
                    }
                    true
                }
                None => false,
            },
            Operator::BeginsWith(_) => value.starts_with(argument),
            Operator::EndsWith(_) => value.ends_with(argument),
            Operator::Contains(_) => text::contains(value, argument),
            Operator::ContainsWord(_) => text::contains_word(value, argument),
            Operator::StrEq(_) => value == argument,
            Operator::Within(_) => text::contains(argument, value),
            Operator::Compare(comparison, _) => comparison.holds(number(value), number(argument)),
            Operator::IpMatch(networks) => networks.contain(value),
            Operator::ByteRange(range) => range.is_violated_by(value),
            Operator::UrlEncoding => url_encoding::is_invalid(value),
            Operator::Utf8Encoding => utf8::is_invalid(value),
            Operator::CheckDigits(kind, pattern) => match kind.find(pattern, value, budget)? {
                Some((start, end)) => {
                    if let Some(captures) = captures {
                        captures.part(start, end);
                    }
                    true
                }
                None => false,
            },
            Operator::DetectSqli => match injection::sqli(value) {
                Some(fingerprint) => {
                    if let Some(captures) = captures {
                        captures.text(fingerprint);
                    }
                    true
                }
                None => false,
            },
            Operator::DetectXss => {
                let found = injection::xss(value);
                if let Some(captures) = captures.filter(|_| found) {
                    captures.part(0, value.len());
                }
                found
            }
            Operator::Always => true,
            Operator::GeoLookup(places) => places.find(value).is_some(),
            Operator::Inspection(_) | Operator::Rbl(_) | Operator::Never => false,
        })
    }
}

/// `rxGlobal`: all matches one after the other; `TX:0`… are their groups in a row.
fn global(
    pattern: &Pattern,
    value: &[u8],
    budget: u64,
    captures: Option<&mut Captures>,
) -> Result<bool, LimitExceeded> {
    let Some(captures) = captures else { return pattern.is_match(value, budget) };
    *captures = Captures::default();
    let mut spans = Spans::default();
    let mut filled = 0;
    let mut from = 0;
    for _ in 0..GLOBAL_MATCHES {
        if from > value.len() || filled >= GROUPS || !pattern.captures(value, from, budget, &mut spans)? {
            break;
        }
        let Some((start, end)) = spans[0] else { break };
        // Patterns such as `[a-z]*` match the empty text everywhere; only the
        // first match may be empty.
        if end > start || filled == 0 {
            for span in &spans[..pattern.visible_groups().min(GROUPS - filled)] {
                captures.spans[filled] = *span;
                filled += 1;
            }
        }
        from = if end > start { end } else { end + 1 };
    }
    Ok(filled > 0)
}

#[cfg(test)]
mod tests;
