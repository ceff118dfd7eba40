//! Whether a test may match at all in what becomes of a text from a step of the tree on: then no
//! form of a long value is made in vain.
//!
//! Most transformations only take bytes away, or make spaces, slashes or dots of them. What decodes makes any byte, but
//! only of a few. So the bytes of a text tell which bytes its forms can have.

use hop3_transformations::{ByteClasses, ByteSet, Transformation};

use super::literals::WatchId;
use super::needs::Texts;
use crate::rarity;

/// Shortest text of which it is worth asking.
pub(super) const LONG: usize = 512;
/// Ways in which tests may match that are remembered of a step; where there are more, one of them is nearly always open.
const MOST: usize = 16;
/// Bytes that are made of others by what does not decode. The zero stands where a comment was removed.
const MADE: ByteSet = ByteSet::of(b" /.\0");

/// What the tests at and below a step wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prospect {
    /// Bytes of which new ones may be made, from the step on.
    decoded: ByteSet,
    /// At least one of these watches has to be open; one for each way in which tests may match.
    ways: Box<[WatchId]>,
}

/// What a text must have for a test to match in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Classes of which a text must have a byte each.
    pub(super) classes: u128,
    /// Bytes of which it must have one.
    pub(super) bytes: ByteSet,
}

impl Prospect {
    /// Of the step with the first of these transformations, with those below it; `None` when nothing can be told of it.
    pub(super) fn of(
        mut transformations: impl Iterator<Item = Transformation>,
        watches: impl Iterator<Item = (WatchId, Way)>,
    ) -> Option<Self> {
        let decoded = transformations
            .try_fold(ByteSet::EMPTY, |all, transformation| Some(all.union(decoded(transformation)?)))?;
        let mut kept: Vec<(WatchId, Way)> = Vec::new();
        for (number, way) in watches {
            if way == Way::OPEN || kept.len() == MOST {
                return None;
            }
            if !kept.iter().any(|(_, known)| way.needs_all_of(known)) {
                kept.retain(|(_, known)| !known.needs_all_of(&way));
                kept.push((number, way));
            }
        }
        Some(Self { decoded, ways: kept.into_iter().map(|(number, _)| number).collect() })
    }

    /// Whether a test may match in what becomes of a text with these bytes.
    pub(super) fn is_open(&self, bytes: ByteSet, classes: &ByteClasses, ways: &[Way]) -> bool {
        if self.decoded.intersects(bytes) {
            return true;
        }
        let bytes = possible(bytes);
        let classes = classes.present_in(bytes);
        self.ways.iter().filter_map(|watch| ways.get(*watch as usize)).any(|way| way.is_open(classes, bytes))
    }
}

impl Way {
    /// Needs nothing.
    pub(super) const OPEN: Self = Self { classes: 0, bytes: ByteSet::ALL };

    /// With the classes, and one of the texts if there are some.
    pub(super) fn new(classes: u128, texts: Option<&Texts>) -> Self {
        let bytes = texts.map_or(ByteSet::ALL, |texts| {
            let rarest = texts.iter().map(rarity::rarest_byte);
            // A text without bytes is everywhere.
            rarest.fold(ByteSet::EMPTY, |set, byte| byte.map_or(ByteSet::ALL, |byte| set.with(byte)))
        });
        Self { classes, bytes: bytes.fold_case() }
    }

    /// Whether a text with these classes of bytes, and these bytes in either case, has what is needed.
    pub(super) fn is_open(&self, classes: u128, bytes: ByteSet) -> bool {
        self.classes & classes == self.classes && self.bytes.intersects(bytes)
    }

    fn needs_all_of(&self, other: &Self) -> bool {
        self.classes & other.classes == other.classes && self.bytes.is_subset(other.bytes)
    }
}

/// The bytes that may occur in what transformations that do not decode make of a text with these.
pub(super) fn possible(bytes: ByteSet) -> ByteSet {
    bytes.fold_case().union(MADE)
}

/// The bytes of which a transformation makes any others; `None` when that may be all.
fn decoded(transformation: Transformation) -> Option<ByteSet> {
    use Transformation as T;
    match transformation {
        T::CmdLine
        | T::CompressWhitespace
        | T::Lowercase
        | T::NormalizePath
        | T::NormalizePathWin
        | T::RemoveComments
        | T::RemoveCommentsChar
        | T::RemoveNulls
        | T::RemoveWhitespace
        | T::ReplaceComments
        | T::ReplaceNulls
        | T::Trim
        | T::TrimLeft
        | T::TrimRight
        | T::Uppercase => Some(ByteSet::EMPTY),
        T::CssDecode
        | T::EscapeSeqDecode
        | T::HtmlEntityDecode
        | T::JsDecode
        | T::SqlHexDecode
        | T::UrlDecode
        | T::UrlDecodeUni
        | T::Utf8ToUnicode => Some(transformation.triggers()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hop3_transformations::Context;

    /// What takes bytes away makes no others, whatever it is given.
    #[test]
    fn no_other_bytes_are_made() {
        let mut random = 7u32;
        let mut next = |end: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize % end
        };
        let pieces: [&[u8]; 16] = [
            b"a",
            b"Z",
            b"/",
            b"\\",
            b"..",
            b"./",
            b"*/",
            b"/*",
            b"--",
            b"#",
            b" ",
            b"\t\n",
            b"\0",
            b"<!--",
            b"\xa0\xc2",
            b"^\"';,(",
        ];
        for &transformation in Transformation::ALL {
            let Some(decoded) = decoded(transformation) else { continue };
            for _ in 0..3_000 {
                let value: Vec<u8> =
                    (0..next(12)).flat_map(|_| pieces[next(pieces.len())].to_vec()).collect();
                let bytes = ByteSet::of(&value);
                let mut result = Vec::new();
                if decoded.intersects(bytes)
                    || !transformation.apply(&value, &mut result, &Context::default())
                {
                    continue;
                }
                let made = ByteSet::of(&result);
                assert!(made.is_subset(possible(bytes)), "{transformation:?} of {}", value.escape_ascii());
            }
        }
    }

    #[test]
    fn what_tests_wait_for_has_to_be_possible() {
        let sets = [ByteSet::of(b"<"), ByteSet::of(b"(x")];
        let classes = ByteClasses::new(&sets);
        let texts = Texts::Single(b"eval("[..].into());
        let ways = [Way::new(0b11, None), Way::new(0b01, Some(&texts))];
        let numbered = || (0..).zip(ways);
        let prospect = Prospect::of([Transformation::RemoveWhitespace].into_iter(), numbered()).unwrap();
        let is_open = |prospect: &Prospect, text: &[u8]| prospect.is_open(ByteSet::of(text), &classes, &ways);
        assert!(is_open(&prospect, b"a <X"), "as small letters it may be both sets");
        assert!(is_open(&prospect, b"< ("));
        assert!(!is_open(&prospect, b"eval <"));
        assert!(!is_open(&prospect, b"&x("));
        let decoding = [Transformation::RemoveWhitespace, Transformation::HtmlEntityDecode];
        assert!(is_open(&Prospect::of(decoding.into_iter(), numbered()).unwrap(), b"&x("));
        assert_eq!(Prospect::of([Transformation::HexDecode].into_iter(), numbered()), None);
        let open = [(0, Way::new(0, None))].into_iter();
        assert_eq!(Prospect::of([Transformation::RemoveNulls].into_iter(), open), None);
        // What another way allows anyway is not remembered.
        let both = [(0, Way::new(0b11, None)), (1, Way::new(0b1, None))].into_iter();
        assert_eq!(*Prospect::of([].into_iter(), both).unwrap().ways, [1]);
    }
}
