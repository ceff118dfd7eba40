//! Simple types: what a text must be like to be a value of one.

use regex_automata::meta::Regex;

use super::{Schema, Type, TypeId};

/// A simple type.
#[derive(Debug)]
pub(super) struct SimpleType {
    /// `None` for one that has no name.
    pub(super) name: Option<String>,
    pub(super) variety: Variety,
    pub(super) white_space: WhiteSpace,
    pub(super) facets: Vec<Facet>,
}

#[derive(Debug)]
pub(super) enum Variety {
    Builtin(Builtin),
    /// A restriction of another type.
    Of(TypeId),
    List(TypeId),
    Union(Vec<TypeId>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhiteSpace {
    Preserve,
    Replace,
    Collapse,
}

/// A built-in type, as far as its values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builtin {
    Text,
    Boolean,
    Decimal,
    /// Whole numbers within bounds that are written as text; `None` is no bound.
    Integer(Option<i128>, Option<i128>),
    Float,
    Name,
    NcName,
    Token,
    Tokens,
    NcNames,
    Language,
    QName,
    Hex,
    Base64,
    /// Pattern of letters: `Y` year, `0` digit, others themselves; a time zone may follow.
    Date(&'static str),
    Duration,
}

/// The built-in types that are supported.
pub(super) const BUILTINS: &[(&str, Builtin, WhiteSpace)] = {
    use Builtin as B;
    use WhiteSpace::{Collapse, Preserve, Replace};
    &[
        ("string", B::Text, Preserve),
        ("anySimpleType", B::Text, Preserve),
        ("normalizedString", B::Text, Replace),
        ("token", B::Text, Collapse),
        ("anyURI", B::Text, Collapse),
        ("boolean", B::Boolean, Collapse),
        ("decimal", B::Decimal, Collapse),
        ("float", B::Float, Collapse),
        ("double", B::Float, Collapse),
        ("integer", B::Integer(None, None), Collapse),
        ("nonNegativeInteger", B::Integer(Some(0), None), Collapse),
        ("positiveInteger", B::Integer(Some(1), None), Collapse),
        ("nonPositiveInteger", B::Integer(None, Some(0)), Collapse),
        ("negativeInteger", B::Integer(None, Some(-1)), Collapse),
        ("long", B::Integer(Some(i64::MIN as i128), Some(i64::MAX as i128)), Collapse),
        ("int", B::Integer(Some(i32::MIN as i128), Some(i32::MAX as i128)), Collapse),
        ("short", B::Integer(Some(i16::MIN as i128), Some(i16::MAX as i128)), Collapse),
        ("byte", B::Integer(Some(i8::MIN as i128), Some(i8::MAX as i128)), Collapse),
        ("unsignedLong", B::Integer(Some(0), Some(u64::MAX as i128)), Collapse),
        ("unsignedInt", B::Integer(Some(0), Some(u32::MAX as i128)), Collapse),
        ("unsignedShort", B::Integer(Some(0), Some(u16::MAX as i128)), Collapse),
        ("unsignedByte", B::Integer(Some(0), Some(u8::MAX as i128)), Collapse),
        ("Name", B::Name, Collapse),
        ("NCName", B::NcName, Collapse),
        ("ID", B::NcName, Collapse),
        ("IDREF", B::NcName, Collapse),
        ("IDREFS", B::NcNames, Collapse),
        ("NMTOKEN", B::Token, Collapse),
        ("NMTOKENS", B::Tokens, Collapse),
        ("language", B::Language, Collapse),
        ("QName", B::QName, Collapse),
        ("hexBinary", B::Hex, Collapse),
        ("base64Binary", B::Base64, Collapse),
        ("dateTime", B::Date("Y-00-00T00:00:00."), Collapse),
        ("date", B::Date("Y-00-00"), Collapse),
        ("time", B::Date("00:00:00."), Collapse),
        ("gYear", B::Date("Y"), Collapse),
        ("gYearMonth", B::Date("Y-00"), Collapse),
        ("gMonth", B::Date("--00"), Collapse),
        ("gMonthDay", B::Date("--00-00"), Collapse),
        ("gDay", B::Date("---00"), Collapse),
        ("duration", B::Duration, Collapse),
    ]
};

#[derive(Debug)]
pub(super) enum Facet {
    OneOf(Vec<String>),
    /// One of them must fit.
    Patterns(Vec<Regex>),
    Length(usize, usize),
    /// Bounds of numbers, and whether they are values themselves.
    Least(Decimal, bool),
    Most(Decimal, bool),
    TotalDigits(usize),
    FractionDigits(usize),
}

/// A number, exactly: sign, digits before and after the point without needless zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    is_negative: bool,
    whole: String,
    fraction: String,
}

impl Decimal {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self {
            is_negative: text.starts_with('-') && !is_zero,
            whole: whole.to_owned(),
            fraction: fraction.to_owned(),
        })
    }

    fn is_below(&self, other: &Self) -> bool {
        let size = |number: &Self| (number.whole.len(), number.whole.clone(), number.fraction.clone());
        match (self.is_negative, other.is_negative) {
            (true, false) => true,
            (false, true) => false,
            (false, false) => size(self) < size(other),
            (true, true) => size(other) < size(self),
        }
    }
}

impl WhiteSpace {
    pub(super) fn apply(self, text: &str) -> String {
        match self {
            Self::Preserve => text.to_owned(),
            Self::Replace => text.replace(['\t', '\n', '\r'], " "),
            Self::Collapse => text
                .split([' ', '\t', '\n', '\r'])
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
        }
    }
}

impl Schema {
    /// Whether a text is a value of a simple type; of a type that is none, no text is.
    pub(super) fn is_value(&self, of: TypeId, text: &str) -> bool {
        let Type::Simple(simple) = &self.types[of] else { return matches!(self.types[of], Type::Any) };
        let text = simple.white_space.apply(text);
        let fits = match &simple.variety {
            Variety::Builtin(builtin) => builtin.admits(&text),
            Variety::Of(base) => self.is_value(*base, &text),
            Variety::List(item) => {
                text.split(' ').filter(|word| !word.is_empty()).all(|word| self.is_value(*item, word))
            }
            Variety::Union(members) => members.iter().any(|member| self.is_value(*member, &text)),
        };
        fits && simple.facets.iter().all(|facet| self.holds(facet, of, &text))
    }

    fn holds(&self, facet: &Facet, of: TypeId, text: &str) -> bool {
        let number = || Decimal::parse(text);
        match facet {
            Facet::OneOf(values) => values.iter().any(|value| value == text),
            Facet::Patterns(patterns) => patterns.iter().any(|pattern| pattern.is_match(text)),
            Facet::Length(least, most) => {
                let length = match self.primitive(of) {
                    None | Some(Builtin::Tokens | Builtin::NcNames) => {
                        text.split(' ').filter(|word| !word.is_empty()).count()
                    }
                    Some(Builtin::Hex) => text.len() / 2,
                    Some(Builtin::Base64) => {
                        let letters = text.bytes().filter(|byte| !matches!(byte, b' ' | b'=')).count();
                        letters * 3 / 4
                    }
                    _ => text.chars().count(),
                };
                (*least..=*most).contains(&length)
            }
            Facet::Least(bound, inclusive) => number().is_some_and(|number| match inclusive {
                true => !number.is_below(bound),
                false => bound.is_below(&number),
            }),
            Facet::Most(bound, inclusive) => number().is_some_and(|number| match inclusive {
                true => !bound.is_below(&number),
                false => number.is_below(bound),
            }),
            Facet::TotalDigits(most) => {
                number().is_some_and(|number| number.whole.len() + number.fraction.len() <= *most)
            }
            Facet::FractionDigits(most) => number().is_some_and(|number| number.fraction.len() <= *most),
        }
    }

    /// The built-in type that a type restricts; `None` for lists and unions.
    pub(super) fn primitive(&self, of: TypeId) -> Option<Builtin> {
        match &self.types[of] {
            Type::Simple(simple) => match &simple.variety {
                Variety::Builtin(builtin) => Some(*builtin),
                Variety::Of(base) => self.primitive(*base),
                Variety::List(_) | Variety::Union(_) => None,
            },
            _ => None,
        }
    }

    /// Whether each value of a built-in type is one of `from`, as far as numbers and texts go.
    pub(super) fn is_derived(&self, builtin: Builtin, from: TypeId) -> bool {
        let Type::Simple(SimpleType { variety: Variety::Builtin(wider), name: Some(name), .. }) =
            &self.types[from]
        else {
            return false;
        };
        match (builtin, *wider) {
            _ if name == "xs:anySimpleType" => true,
            (Builtin::Integer(..), Builtin::Decimal) => true,
            (Builtin::Integer(least, most), Builtin::Integer(wider_least, wider_most)) => {
                wider_least.is_none_or(|wider| least.is_some_and(|least| least >= wider))
                    && wider_most.is_none_or(|wider| most.is_some_and(|most| most <= wider))
            }
            (Builtin::Name | Builtin::NcName | Builtin::Token | Builtin::Language, Builtin::Text) => true,
            (Builtin::NcName, Builtin::Name) => true,
            (own, wider) => own == wider,
        }
    }

    /// `the atomic type 'name'`.
    pub(super) fn described(&self, of: TypeId) -> String {
        let Type::Simple(simple) = &self.types[of] else { return "the type".to_owned() };
        let kind = match (self.primitive(of), &simple.variety) {
            (Some(_), _) => "atomic",
            (None, Variety::Union(_)) => "union",
            _ => "list",
        };
        match &simple.name {
            Some(name) => format!("the {kind} type '{name}'"),
            None => format!("the local {kind} type"),
        }
    }
}

impl Builtin {
    fn admits(self, text: &str) -> bool {
        let name = crate::xml::attribute::is_name;
        let nc_name = |text: &str| name(text) && !text.contains(':');
        let token = |text: &str| !text.is_empty() && name(&format!("_{text}"));
        match self {
            Self::Text => true,
            Self::Boolean => matches!(text, "true" | "false" | "1" | "0"),
            Self::Decimal => Decimal::parse(text).is_some(),
            Self::Integer(least, most) => {
                let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return false;
                }
                let Some(number) = Decimal::parse(text) else { return false };
                let bound = |bound: Option<i128>| bound.and_then(|bound| Decimal::parse(&bound.to_string()));
                bound(least).is_none_or(|least| !number.is_below(&least))
                    && bound(most).is_none_or(|most| !most.is_below(&number))
            }
            Self::Float => {
                let is_number = |text: &str| {
                    text.parse::<f64>().is_ok()
                        && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
                };
                matches!(text, "INF" | "-INF" | "NaN") || is_number(text)
            }
            Self::Name => name(text),
            Self::NcName => nc_name(text),
            Self::NcNames => !text.is_empty() && text.split(' ').all(nc_name),
            Self::Token => token(text),
            Self::Tokens => !text.is_empty() && text.split(' ').all(token),
            Self::Language => text.split('-').enumerate().all(|(index, part)| {
                (1..=8).contains(&part.len())
                    && part
                        .bytes()
                        .all(|byte| byte.is_ascii_alphabetic() || (index > 0 && byte.is_ascii_digit()))
            }),
            Self::QName => {
                let parts: Vec<&str> = text.split(':').collect();
                parts.len() <= 2 && parts.into_iter().all(nc_name)
            }
            Self::Hex => text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
            Self::Base64 => {
                let letters: String = text.split(' ').collect();
                let padding = letters.len() - letters.trim_end_matches('=').len();
                let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
                letters.len().is_multiple_of(4)
                    && padding <= 2
                    && letters[..letters.len() - padding].bytes().all(is_letter)
            }
            Self::Date(pattern) => is_date(text, pattern),
            Self::Duration => is_duration(text),
        }
    }
}

/// Dates and times in the form of `pattern`, with the ranges of their parts.
fn is_date(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    let (mut year, mut parts) = (None, Vec::new());
    let mut letters = pattern;
    while let Some(letter) = letters.chars().next() {
        match letter {
            'Y' => {
                let unsigned = rest.strip_prefix('-').unwrap_or(rest);
                let length = unsigned.bytes().take_while(u8::is_ascii_digit).count();
                if length < 4 || (length > 4 && unsigned.starts_with('0')) || length > 9 {
                    return false;
                }
                year = unsigned[..length].parse::<u32>().ok();
                rest = &unsigned[length..];
                letters = &letters[1..];
            }
            '0' => {
                let Some(number) = rest.get(..2).filter(|two| two.bytes().all(|byte| byte.is_ascii_digit()))
                else {
                    return false;
                };
                parts.push(number.parse::<u32>().unwrap_or(99));
                rest = &rest[2..];
                letters = &letters[2..];
            }
            '.' => {
                if let Some(fraction) = rest.strip_prefix('.') {
                    let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
                    if length == 0 {
                        return false;
                    }
                    rest = &fraction[length..];
                }
                letters = &letters[1..];
            }
            other => {
                let Some(after) = rest.strip_prefix(other) else { return false };
                rest = after;
                letters = &letters[1..];
            }
        }
    }
    has_parts_in_range(pattern, year, &parts) && is_zone(rest)
}

fn has_parts_in_range(pattern: &str, year: Option<u32>, parts: &[u32]) -> bool {
    let (date, time) = match pattern {
        "---00" => return (1..=31).contains(&parts[0]),
        _ if pattern.starts_with("00:") => (&[][..], parts),
        _ => parts.split_at(parts.len().min(2)),
    };
    let leap = year.is_none_or(|year| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    let days = |month: u32| match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let date_fits = match *date {
        [] => true,
        [month] => (1..=12).contains(&month),
        [month, day, ..] => (1..=12).contains(&month) && (1..=days(month)).contains(&day),
    };
    let time_fits = match *time {
        [hour, minute, second, ..] => {
            (hour < 24 && minute < 60 && second < 60) || (hour, minute, second) == (24, 0, 0)
        }
        _ => true,
    };
    date_fits && time_fits
}

/// Nothing, `Z` or `+hh:mm`.
fn is_zone(text: &str) -> bool {
    let Some(zone) = text.strip_prefix(['+', '-']) else { return text.is_empty() || text == "Z" };
    let number = |part: Option<&str>| {
        part.filter(|part| part.bytes().all(|b| b.is_ascii_digit())).and_then(|part| part.parse::<u32>().ok())
    };
    match (number(zone.get(..2)), zone.get(2..3), number(zone.get(3..))) {
        (Some(hours), Some(":"), Some(minutes)) => {
            zone.len() == 5 && (hours < 14 && minutes < 60 || (hours, minutes) == (14, 0))
        }
        _ => false,
    }
}

/// `P1Y2M3DT4H5M6.7S`.
fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('-').unwrap_or(text).strip_prefix('P') else { return false };
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (rest, None),
    };
    let parts = |text: &str, units: &str| {
        let (mut rest, mut units, mut count) = (text, units, 0);
        while !rest.is_empty() {
            let length = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
            let (number, after) = rest.split_at(length);
            let unit = after.chars().next()?;
            units = &units[units.find(unit)? + 1..];
            if Decimal::parse(number).is_none()
                || (number.contains('.') && (unit != 'S' || number.ends_with('.')))
            {
                return None;
            }
            rest = &after[1..];
            count += 1;
        }
        Some(count)
    };
    match (parts(date, "YMD"), time.map(|time| parts(time, "HMS"))) {
        (Some(date), None) => date > 0,
        (Some(_), Some(Some(time))) => time > 0,
        _ => false,
    }
}
