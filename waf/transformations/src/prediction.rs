//! What can be told of a result before it is computed: that nothing changes,
//! and which bytes may be in it. Engines spare themselves most of the work with
//! that; every answer errs on the safe side.

use Transformation as T;

use crate::{
    ByteSet, Transformation, base64, command_line, comments, css, escape_sequence, hex, html_entity,
    letter_case, nulls, parity, path, php_argument_name, url_decode, url_encode, utf8, white_space,
};

/// The digits of numbers that spell a byte.
const HEX_DIGITS: ByteSet =
    ByteSet::range(b'0', b'9').union(ByteSet::range(b'a', b'f')).union(ByteSet::range(b'A', b'F'));

/// The digits that encoders write.
const WRITTEN_DIGITS: ByteSet = ByteSet::of(hex::DIGITS);

impl Transformation {
    /// Whether every text without a space that occurs in the result of `cmdLine` occurs in the input, too, but for case.
    /// `slashes` and `brackets` say whether the texts may hold `/` and `(` elsewhere than in front.
    #[must_use]
    pub fn cmd_line_keeps_texts(input: &[u8], slashes: bool, brackets: bool) -> bool {
        command_line::keeps_texts(input, slashes, brackets)
    }

    /// Bytes of which at least one must be in the input for [`apply`] to
    /// change anything; [`ByteSet::ALL`] when no byte is needed (then even the
    /// empty value may change, as with `length`).
    ///
    /// [`apply`]: Self::apply
    #[must_use]
    pub const fn triggers(self) -> ByteSet {
        match self {
            T::Base64Decode | T::Base64DecodeExt | T::Base64Encode => ByteSet::ALL,
            T::HexDecode | T::HexEncode => ByteSet::ALL,
            T::Length | T::Md5 | T::Sha1 => ByteSet::ALL,
            T::CmdLine => ByteSet::of(b"\"'\\^,; \t\r\n").union(ByteSet::range(b'A', b'Z')),
            T::CompressWhitespace => white_space::WHITE_SPACE,
            T::Trim | T::TrimLeft | T::TrimRight => white_space::WHITE_SPACE,
            T::RemoveWhitespace => white_space::REMOVED,
            T::CssDecode | T::EscapeSeqDecode | T::JsDecode => ByteSet::of(b"\\"),
            T::HtmlEntityDecode => ByteSet::of(b"&"),
            T::Lowercase => ByteSet::range(b'A', b'Z'),
            T::Uppercase => ByteSet::range(b'a', b'z'),
            T::NormalizePath => ByteSet::of(b"/."),
            T::NormalizePathWin => ByteSet::of(b"/.\\"),
            T::ParityEven7bit => parity::EVEN_CHANGES,
            T::ParityOdd7bit => parity::ODD_CHANGES,
            T::ParityZero7bit => ByteSet::range(0x80, 0xff),
            T::PhpArgsNames => php_argument_name::SPECIAL,
            T::RemoveComments | T::RemoveCommentsChar => comments::MARKS,
            T::ReplaceComments => ByteSet::of(b"*"),
            T::RemoveNulls | T::ReplaceNulls => ByteSet::of(b"\0"),
            T::SqlHexDecode => ByteSet::of(b"xX"),
            T::UrlDecode | T::UrlDecodeUni => ByteSet::of(b"%+"),
            T::UrlEncode => url_encode::ENCODED,
            T::Utf8ToUnicode => utf8::REWRITTEN,
        }
    }

    /// Whether a value that holds exactly the bytes `present` may change;
    /// `false` is certain. Made for engines that keep one set for each value.
    #[must_use]
    pub fn may_change(self, present: ByteSet) -> bool {
        let triggers = self.triggers();
        triggers == ByteSet::ALL || triggers.intersects(present) && self.may_change_with_trigger(present)
    }

    /// Whether [`apply`](Self::apply) would leave `value` as it is; `true` is
    /// certain. Looks at the bytes and their neighbours, writes nothing, and
    /// takes a small part of the time of a change; worth asking where
    /// [`may_change`](Self::may_change) does not rule a change out.
    #[must_use]
    pub fn certainly_unchanged(self, value: &[u8]) -> bool {
        match self {
            T::Base64Decode | T::Base64DecodeExt | T::Base64Encode => value.is_empty(),
            T::HexDecode | T::HexEncode => value.is_empty(),
            T::Length | T::Md5 | T::Sha1 => false,
            T::CmdLine => command_line::is_normalized(value),
            T::CompressWhitespace => white_space::is_compressed(value),
            T::CssDecode => css::is_decoded(value),
            T::EscapeSeqDecode | T::JsDecode => escape_sequence::is_decoded(value),
            T::HtmlEntityDecode => html_entity::is_decoded(value),
            T::Lowercase => letter_case::is_lower(value),
            T::NormalizePath => path::is_normalized(value),
            T::NormalizePathWin => path::is_windows_normalized(value),
            T::ParityEven7bit => parity::is_even(value),
            T::ParityOdd7bit => parity::is_odd(value),
            T::ParityZero7bit => parity::is_zero(value),
            T::PhpArgsNames => php_argument_name::is_plain(value),
            T::RemoveComments => comments::are_removed(value),
            T::RemoveCommentsChar => comments::are_marks_removed(value),
            T::RemoveNulls | T::ReplaceNulls => nulls::are_absent(value),
            T::RemoveWhitespace => white_space::is_removed(value),
            T::ReplaceComments => comments::is_replaced(value),
            T::SqlHexDecode => hex::is_sql_decoded(value),
            T::Trim => white_space::trim(value).len() == value.len(),
            T::TrimLeft => white_space::trim_left(value).len() == value.len(),
            T::TrimRight => white_space::trim_right(value).len() == value.len(),
            T::Uppercase => letter_case::is_upper(value),
            T::UrlDecode => url_decode::is_decoded(value),
            T::UrlDecodeUni => url_decode::is_unicode_decoded(value),
            T::UrlEncode => url_encode::is_plain(value),
            T::Utf8ToUnicode => utf8::is_plain(value),
        }
    }

    /// Whether [`apply`](Self::apply) would at most make capitals of `value`
    /// small; `true` is certain, and the answer for the value in lower case too.
    #[must_use]
    pub fn certainly_folds_at_most(self, value: &[u8]) -> bool {
        match self {
            T::CmdLine => command_line::is_folded_at_most(value),
            T::Lowercase => true,
            T::CompressWhitespace
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
            | T::Utf8ToUnicode => self.certainly_unchanged(value),
            // What is decoded may depend on the case of a letter.
            _ => false,
        }
    }

    /// A length that the result does not exceed, the same for a value and the
    /// value in lower case; `None` when nothing is known at little cost.
    #[must_use]
    pub fn longest_result(self, value: &[u8]) -> Option<usize> {
        match self {
            T::Base64Decode => Some(base64::longest_decoded(value)),
            _ => None,
        }
    }

    /// The bytes that may be in the result, changed or not, for a value that
    /// holds no byte outside `present`; `None` when it may be any byte.
    ///
    /// So answers can be chained along a pipeline without a look at a value.
    #[must_use]
    pub fn output_bytes(self, present: ByteSet) -> Option<ByteSet> {
        if !self.may_change(present) {
            return Some(present);
        }
        let has = |bytes: &[u8]| present.intersects(ByteSet::of(bytes));
        Some(match self {
            T::Base64Decode | T::Base64DecodeExt | T::HexDecode | T::Md5 | T::Sha1 => return None,
            T::Base64Encode => ByteSet::of(base64::ALPHABET).with(b'='),
            T::HexEncode => WRITTEN_DIGITS,
            T::Length => ByteSet::range(b'0', b'9'),
            T::CmdLine => {
                let blank = if has(b" ,;\t\r\n") { ByteSet::of(b" ") } else { ByteSet::EMPTY };
                lower(present.without(ByteSet::of(b"\"'\\^,;\t\r\n"))).union(blank)
            }
            T::CompressWhitespace => present.without(white_space::WHITE_SPACE).with(b' '),
            T::CssDecode => present.union(code_units(present)).union(nibbles(present)),
            T::EscapeSeqDecode => {
                let hex = if has(b"xX") { pairs(present) } else { ByteSet::EMPTY };
                present.union(controls(present)).union(octal(present)).union(hex)
            }
            T::JsDecode => {
                let long = if has(b"u") { code_units(present) } else { ByteSet::EMPTY };
                let hex = if has(b"x") { pairs(present) } else { ByteSet::EMPTY };
                present.union(controls(present)).union(octal(present)).union(hex).union(long)
            }
            // Of a number of any length the low byte counts.
            T::HtmlEntityDecode if has(b"#") && present.intersects(HEX_DIGITS) => return None,
            T::HtmlEntityDecode => present.union(html_entity::NAMED),
            T::Lowercase => lower(present),
            T::Uppercase => mapped(present, |byte| byte.to_ascii_uppercase()),
            T::Trim | T::TrimLeft | T::TrimRight | T::NormalizePath => present,
            T::NormalizePathWin => present.without(ByteSet::of(b"\\")).with(b'/'),
            T::ParityEven7bit => mapped(present, parity::even_byte),
            T::ParityOdd7bit => mapped(present, parity::odd_byte),
            T::ParityZero7bit => mapped(present, |byte| byte & 0x7f),
            T::PhpArgsNames => present.with(b'_'),
            T::RemoveComments => present.with(b' ').with(0),
            T::RemoveCommentsChar => present.without(ByteSet::of(b"#")),
            T::RemoveNulls => present.without(ByteSet::of(b"\0")),
            T::RemoveWhitespace => present.without(white_space::REMOVED),
            T::ReplaceComments => present.with(b' '),
            T::ReplaceNulls => present.without(ByteSet::of(b"\0")).with(b' '),
            T::SqlHexDecode => present.union(pairs(present)),
            T::UrlDecode | T::UrlDecodeUni => {
                let plain = if has(b"+") { present.without(ByteSet::of(b"+")).with(b' ') } else { present };
                match self {
                    _ if !has(b"%") => plain,
                    // The map, or full-width ASCII.
                    T::UrlDecodeUni if has(b"uU") && present.intersects(HEX_DIGITS) => return None,
                    _ => plain.union(pairs(present)),
                }
            }
            T::UrlEncode => {
                let plain = present.intersection(url_encode::PLAIN);
                plain.union(WRITTEN_DIGITS).with(b'%').with(b'+')
            }
            T::Utf8ToUnicode => present.union(WRITTEN_DIGITS).with(b'%').with(b'u'),
        })
    }

    /// Whether a value with a trigger may change: whether the other bytes that
    /// a change needs are there too.
    fn may_change_with_trigger(self, present: ByteSet) -> bool {
        let has = |bytes: &[u8]| present.intersects(ByteSet::of(bytes));
        match self {
            T::ReplaceComments => has(b"/"),
            T::SqlHexDecode => has(b"0"),
            // "quot", "lt" and "gt" have a "t", "amp" and "nbsp" a "p".
            T::HtmlEntityDecode => has(b"tTpP") || has(b"#") && present.intersects(HEX_DIGITS),
            T::UrlDecode | T::UrlDecodeUni => has(b"+") || present.intersects(HEX_DIGITS),
            T::RemoveComments | T::RemoveCommentsChar => has(b"-#/"),
            _ => true,
        }
    }
}

/// What becomes of the members, one by one.
fn mapped(present: ByteSet, change: impl Fn(u8) -> u8) -> ByteSet {
    present.iter().fold(ByteSet::EMPTY, |set, byte| set.with(change(byte)))
}

/// [`mapped`] to lower case: the letters are in one word, 32 bits apart.
const fn lower(present: ByteSet) -> ByteSet {
    const UPPER: u64 = ByteSet::range(b'A', b'Z').words()[1];
    let mut words = present.words();
    words[1] = words[1] & !UPPER | (words[1] & UPPER) << 32;
    ByteSet::from_words(words)
}

/// The control characters that escaped letters of `present` stand for.
fn controls(present: ByteSet) -> ByteSet {
    mapped(present.intersection(ByteSet::of(b"abfnrtv")), escape_sequence::control)
}

/// The values of the hexadecimal digits of `present`, bit by value.
const fn digits(present: ByteSet) -> u64 {
    let words = present.words();
    let letters = words[1] >> 1 | words[1] >> 33;
    words[0] >> 48 & 0x3ff | (letters & 0x3f) << 10
}

/// The bytes that one hexadecimal digit of `present` spells.
const fn nibbles(present: ByteSet) -> ByteSet {
    ByteSet::from_words([digits(present), 0, 0, 0])
}

/// The bytes that two hexadecimal digits of `present` spell.
fn pairs(present: ByteSet) -> ByteSet {
    let digits = digits(present);
    let mut words = [0; 4];
    for high in (0..16).filter(|high| digits >> high & 1 == 1) {
        words[high / 4] |= digits << (16 * (high % 4));
    }
    ByteSet::from_words(words)
}

/// The bytes that four hexadecimal digits of `present` spell as [`hex::code_unit`]
/// has it: those of two digits, and those moved 0x20 up.
fn code_units(present: ByteSet) -> ByteSet {
    let pairs = pairs(present);
    let [first, second, ..] = pairs.words();
    pairs.union(ByteSet::from_words([first << 32, second << 32 | first >> 32, 0, 0]))
}

/// The bytes that one to three octal digits of `present` spell. A word of the
/// set is what two digits spell, and the third is the number of the word.
fn octal(present: ByteSet) -> ByteSet {
    let digits = digits(present) & 0xff;
    let pairs =
        (0..8).filter(|digit| digits >> digit & 1 == 1).fold(0, |pairs, digit| pairs | digits << (8 * digit));
    let mut words = [0, 1, 2, 3].map(|word| if (digits | digits >> 4) >> word & 1 == 1 { pairs } else { 0 });
    words[0] |= digits | pairs;
    ByteSet::from_words(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_predicted_closely() {
        let cases: [(T, &[u8], &[u8]); 21] = [
            (T::Lowercase, b"AZ@[z", b"@[az"),
            (T::Uppercase, b"AZ@{z", b"@AZ{"),
            (T::RemoveNulls, b"\0a", b"a"),
            (T::RemoveWhitespace, b" \t\xa0a", b"a"),
            (T::CompressWhitespace, b"\ta", b" a"),
            (T::ReplaceComments, b"*a", b"*a"),
            (T::ReplaceComments, b"*/a", b" */a"),
            (T::CmdLine, b"^A,", b" a"),
            (T::CmdLine, b"\"a", b"a"),
            (T::UrlDecode, b"a+", b" a"),
            (T::UrlDecode, b"%z", b"%z"),
            (T::UrlDecodeUni, b"%27", b"\x22%'27rw"),
            (T::HtmlEntityDecode, b"&xyz", b"&xyz"),
            (T::HtmlEntityDecode, b"&t", b"\"&<>t\xa0"),
            (T::JsDecode, b"\\nq", b"\n\\nq"),
            (T::JsDecode, b"\\1", b"\x01\t1I\\"),
            (T::EscapeSeqDecode, b"\\x41", b"\x01\x04\t\x0c\x11\x14!$14ADILad\\x"),
            (T::CssDecode, b"\\z", b"\\z"),
            (T::CssDecode, b"\\f", b"\x0f\\f\xff"),
            (T::NormalizePathWin, b"\\a", b"/a"),
            (T::HexEncode, b"a", b"0123456789abcdef"),
        ];
        for (transformation, present, expected) in cases {
            let actual = transformation.output_bytes(ByteSet::of(present));
            assert_eq!(
                actual,
                Some(ByteSet::of(expected)),
                "{transformation:?} of {}",
                present.escape_ascii()
            );
        }
        let anything: [(T, &[u8]); 3] =
            [(T::UrlDecodeUni, b"%u27"), (T::HtmlEntityDecode, b"&#1"), (T::Sha1, b"a")];
        for (transformation, present) in anything {
            assert_eq!(transformation.output_bytes(ByteSet::of(present)), None, "{transformation:?}");
        }
    }
}
