//! What a value must hold for an operator to match in it.

use std::sync::Arc;

use hop3_transformations::ByteSet;

use crate::operators::{Operator, PhraseSet};
use crate::rarity;
use crate::regex::{Requirement, ShortText};

/// Necessary, not sufficient: a value that lacks something of this cannot match.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    /// One of these texts, in any case; each at least two bytes long.
    pub(super) literals: Option<Texts>,
    /// A byte of each of these sets.
    pub(super) sets: Vec<ByteSet>,
    /// So many bytes.
    pub(super) length: usize,
}

/// Texts where they lie, be they of a pattern, of a list, or a single one.
#[derive(Clone, Debug)]
pub(super) enum Texts {
    OfPattern(Arc<[ShortText]>),
    Phrases(Arc<PhraseSet>),
    Single(Box<[u8]>),
}

impl Texts {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::OfPattern(texts) => texts.len(),
            Self::Phrases(phrases) => phrases.len(),
            Self::Single(_) => 1,
        }
    }

    /// One by one, as they are spelled.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let (of_pattern, phrases, single) = match self {
            Self::OfPattern(texts) => (Some(texts.iter().map(|text| &**text)), None, None),
            Self::Phrases(phrases) => (None, Some(phrases.iter()), None),
            Self::Single(text) => (None, None, Some(&**text)),
        };
        of_pattern.into_iter().flatten().chain(phrases.into_iter().flatten()).chain(single)
    }
}

impl Needs {
    /// The part of ordinary values, roughly, that has all of it.
    pub(super) fn chance(&self) -> f32 {
        let texts = self.literals.iter().map(|texts| rarity::of_texts(texts.iter()) * rarity::VALUE_LENGTH);
        let sets = self.sets.iter().map(|set| rarity::of_set(*set));
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
            Operator::Phrases(phrases) => Self::of_texts(Texts::Phrases(phrases.clone())),
            Operator::BeginsWith(_)
            | Operator::EndsWith(_)
            | Operator::Contains(_)
            | Operator::ContainsWord(_)
            | Operator::StrEq(_) => Self::of_texts(Texts::Single(argument?.into())),
            Operator::Within(_) | Operator::Compare(..) => argument.map(|_| Self::default())?,
            Operator::ByteRange(range) => {
                Self { sets: vec![range.violating()], length: 1, ..Self::default() }
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
            literals: required.literals.clone().map(Texts::OfPattern),
            sets: required.sets.to_vec(),
            length: required.length,
        }
    }

    /// One of the texts, case ignored.
    fn of_texts(texts: Texts) -> Self {
        let length = texts.iter().map(<[u8]>::len).min().unwrap_or(0);
        match length {
            0 => Self::default(),
            // A text of one byte is looked for as a byte, and so are the others then.
            1 => {
                let bytes = texts.iter().filter_map(rarity::rarest_byte);
                let set = bytes.fold(ByteSet::EMPTY, |set, byte| {
                    set.with(byte.to_ascii_lowercase()).with(byte.to_ascii_uppercase())
                });
                Self { sets: vec![set], length, ..Self::default() }
            }
            _ => Self { literals: Some(texts), length, ..Self::default() },
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
