//! What a value must hold for an operator to match in it.

use std::sync::Arc;

use hop3_transformations::ByteSet;

use crate::operators::Operator;
use crate::rarity;
use crate::regex::{self, Requirement};

/// Necessary, not sufficient: a value that lacks something of this cannot match.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    /// One of these texts, in any case; each at least two bytes long, in lower case.
    pub(super) literals: Option<Arc<[Box<[u8]>]>>,
    /// A byte of each of these sets.
    pub(super) sets: Vec<ByteSet>,
    /// So many bytes.
    pub(super) length: usize,
}

impl Needs {
    /// The part of ordinary values, roughly, that has all of it.
    pub(super) fn chance(&self) -> f32 {
        let texts = self.literals.iter().map(|texts| rarity::of_literals(texts) * rarity::VALUE_LENGTH);
        let sets = self.sets.iter().map(|set| rarity::of_bytes(*set));
        texts.chain(sets).fold(1.0, f32::min)
    }

    /// What the operator needs: one of these; `None` when its answer depends on
    /// more than the value, or it does more than answer.
    pub(super) fn of(operator: &Operator, negated: bool, argument: Option<&[u8]>) -> Option<Vec<Self>> {
        let needs = match operator {
            Operator::Rx(pattern) | Operator::RxGlobal(pattern) | Operator::CheckDigits(_, pattern) => {
                pattern.required().iter().map(Self::of_requirement).collect()
            }
            other => vec![Self::of_match(other, argument)?],
        };
        Some(if negated { vec![Self::default()] } else { needs })
    }

    fn of_match(operator: &Operator, argument: Option<&[u8]>) -> Option<Self> {
        Some(match operator {
            Operator::Phrases(phrases) => Self::of_texts(phrases.phrases()),
            Operator::BeginsWith(_)
            | Operator::EndsWith(_)
            | Operator::Contains(_)
            | Operator::ContainsWord(_)
            | Operator::StrEq(_) => Self::of_texts(&[argument?.to_vec()]),
            Operator::Within(_) | Operator::Compare(..) => argument.map(|_| Self::default())?,
            Operator::ByteRange(range) => {
                Self { sets: vec![words(range.violating())], length: 1, ..Self::default() }
            }
            Operator::UrlEncoding => Self { sets: vec![ByteSet::of(b"%")], length: 1, ..Self::default() },
            Operator::Utf8Encoding => {
                Self { sets: vec![ByteSet::range(0x80, 0xff)], length: 1, ..Self::default() }
            }
            // libinjection holds only tags and attributes with values against a text.
            Operator::DetectXss => Self { sets: vec![ByteSet::of(b"<=")], length: 1, ..Self::default() },
            Operator::IpMatch(_) | Operator::DetectSqli => Self { length: 1, ..Self::default() },
            _ => return None,
        })
    }

    fn of_requirement(required: &Requirement) -> Self {
        Self {
            literals: required.literals.clone(),
            sets: required.sets.iter().copied().map(words).collect(),
            length: required.length,
        }
    }

    /// One of the texts, case ignored.
    fn of_texts(texts: &[Vec<u8>]) -> Self {
        let length = texts.iter().map(Vec::len).min().unwrap_or(0);
        match length {
            0 => Self::default(),
            // A text of one byte is looked for as a byte, and so are the others then.
            1 => {
                let bytes = texts.iter().filter_map(|text| {
                    text.iter().copied().min_by(|left, right| {
                        rarity::of_text(&[*left]).total_cmp(&rarity::of_text(&[*right]))
                    })
                });
                let set = bytes.fold(ByteSet::EMPTY, |set, byte| {
                    set.with(byte.to_ascii_lowercase()).with(byte.to_ascii_uppercase())
                });
                Self { sets: vec![set], length, ..Self::default() }
            }
            _ => Self {
                literals: Some(texts.iter().map(|text| text.to_ascii_lowercase().into()).collect()),
                length,
                ..Self::default()
            },
        }
    }
}

/// Whether an operator does nothing but answer, and always answers.
pub(crate) fn answers_only(operator: &Operator) -> bool {
    match operator {
        Operator::Rx(pattern) | Operator::RxGlobal(pattern) | Operator::CheckDigits(_, pattern) => {
            pattern.pcre_only().is_none()
        }
        Operator::Phrases(_)
        | Operator::BeginsWith(_)
        | Operator::EndsWith(_)
        | Operator::Contains(_)
        | Operator::ContainsWord(_)
        | Operator::StrEq(_)
        | Operator::Within(_)
        | Operator::Compare(..)
        | Operator::IpMatch(_)
        | Operator::ByteRange(_)
        | Operator::UrlEncoding
        | Operator::Utf8Encoding
        | Operator::DetectSqli
        | Operator::DetectXss
        | Operator::Always
        | Operator::Never => true,
        _ => false,
    }
}

/// The same set in the type of the transformations.
fn words(set: regex::ByteSet) -> ByteSet {
    (0..=255u8).filter(|byte| set.contains(*byte)).fold(ByteSet::EMPTY, ByteSet::with)
}
