//! The list of transformations: names and dispatch. What each does is in the
//! module named after its noun; what can be said before is in `prediction`.

use crate::{
    UnicodeMap, base64, command_line, comments, css, escape_sequence, hash, hex, html_entity, js, length,
    letter_case, nulls, parity, path, php_argument_name, url_decode, url_encode, utf8, white_space,
};

/// One transformation function of SecLang (ModSecurity Reference Manual,
/// "Transformation functions"). `t:none` is not among them: it is an
/// instruction to whoever builds the list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Transformation {
    /// `base64Decode`: strict Base64.
    Base64Decode,
    /// `base64DecodeExt`: Base64 that ignores what it does not know.
    Base64DecodeExt,
    /// `base64Encode`.
    Base64Encode,
    /// `cmdLine`: one spelling for shell commands.
    CmdLine,
    /// `compressWhitespace`: each run of white space is one space.
    CompressWhitespace,
    /// `cssDecode`: CSS 2 escapes.
    CssDecode,
    /// `escapeSeqDecode`: ANSI C escapes.
    EscapeSeqDecode,
    /// `hexDecode`.
    HexDecode,
    /// `hexEncode`.
    HexEncode,
    /// `htmlEntityDecode`.
    HtmlEntityDecode,
    /// `jsDecode`: JavaScript escapes.
    JsDecode,
    /// `length`: the number of bytes.
    Length,
    /// `lowercase`.
    Lowercase,
    /// `md5`: the raw digest.
    Md5,
    /// `normalizePath`, also `normalisePath`.
    NormalizePath,
    /// `normalizePathWin`, also `normalisePathWin`.
    NormalizePathWin,
    /// `parityEven7bit`.
    ParityEven7bit,
    /// `parityOdd7bit`.
    ParityOdd7bit,
    /// `parityZero7bit`.
    ParityZero7bit,
    /// `phpArgsNames`: argument names as PHP spells them.
    PhpArgsNames,
    /// `removeComments`.
    RemoveComments,
    /// `removeCommentsChar`: the marks only.
    RemoveCommentsChar,
    /// `removeNulls`.
    RemoveNulls,
    /// `removeWhitespace`.
    RemoveWhitespace,
    /// `replaceComments`: each `/* … */` is one space.
    ReplaceComments,
    /// `replaceNulls`: by spaces.
    ReplaceNulls,
    /// `sha1`: the raw digest.
    Sha1,
    /// `sqlHexDecode`: `0x414243`.
    SqlHexDecode,
    /// `trim`.
    Trim,
    /// `trimLeft`.
    TrimLeft,
    /// `trimRight`.
    TrimRight,
    /// `uppercase`.
    Uppercase,
    /// `urlDecode`: `%HH` and `+`.
    UrlDecode,
    /// `urlDecodeUni`: also `%uHHHH`.
    UrlDecodeUni,
    /// `urlEncode`.
    UrlEncode,
    /// `utf8toUnicode`: UTF-8 as `%uHHHH`.
    Utf8ToUnicode,
}

use Transformation as T;

/// What a transformation may consult besides its input.
#[derive(Clone, Copy, Default, Debug)]
pub struct Context<'a> {
    /// The table of `SecUnicodeMapFile`, for `urlDecodeUni`.
    pub unicode_map: Option<&'a UnicodeMap>,
}

impl Transformation {
    /// Every transformation, in the order of the names.
    pub const ALL: &'static [Self] = &[
        T::Base64Decode,
        T::Base64DecodeExt,
        T::Base64Encode,
        T::CmdLine,
        T::CompressWhitespace,
        T::CssDecode,
        T::EscapeSeqDecode,
        T::HexDecode,
        T::HexEncode,
        T::HtmlEntityDecode,
        T::JsDecode,
        T::Length,
        T::Lowercase,
        T::Md5,
        T::NormalizePath,
        T::NormalizePathWin,
        T::ParityEven7bit,
        T::ParityOdd7bit,
        T::ParityZero7bit,
        T::PhpArgsNames,
        T::RemoveComments,
        T::RemoveCommentsChar,
        T::RemoveNulls,
        T::RemoveWhitespace,
        T::ReplaceComments,
        T::ReplaceNulls,
        T::Sha1,
        T::SqlHexDecode,
        T::Trim,
        T::TrimLeft,
        T::TrimRight,
        T::Uppercase,
        T::UrlDecode,
        T::UrlDecodeUni,
        T::UrlEncode,
        T::Utf8ToUnicode,
    ];

    /// The transformation of that name, in any case, either spelling of
    /// "normalize", and v3's older `cmd_line` and `compress_whitespace`; `none`
    /// has none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        const ALIASES: [(&str, T); 4] = [
            ("normalisePath", T::NormalizePath),
            ("normalisePathWin", T::NormalizePathWin),
            ("cmd_line", T::CmdLine),
            ("compress_whitespace", T::CompressWhitespace),
        ];
        let mut names = Self::ALL.iter().map(|known| (known.name(), *known)).chain(ALIASES);
        names.find_map(|(known, found)| known.eq_ignore_ascii_case(name).then_some(found))
    }

    /// The name as the manual writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            T::Base64Decode => "base64Decode",
            T::Base64DecodeExt => "base64DecodeExt",
            T::Base64Encode => "base64Encode",
            T::CmdLine => "cmdLine",
            T::CompressWhitespace => "compressWhitespace",
            T::CssDecode => "cssDecode",
            T::EscapeSeqDecode => "escapeSeqDecode",
            T::HexDecode => "hexDecode",
            T::HexEncode => "hexEncode",
            T::HtmlEntityDecode => "htmlEntityDecode",
            T::JsDecode => "jsDecode",
            T::Length => "length",
            T::Lowercase => "lowercase",
            T::Md5 => "md5",
            T::NormalizePath => "normalizePath",
            T::NormalizePathWin => "normalizePathWin",
            T::ParityEven7bit => "parityEven7bit",
            T::ParityOdd7bit => "parityOdd7bit",
            T::ParityZero7bit => "parityZero7bit",
            T::PhpArgsNames => "phpArgsNames",
            T::RemoveComments => "removeComments",
            T::RemoveCommentsChar => "removeCommentsChar",
            T::RemoveNulls => "removeNulls",
            T::RemoveWhitespace => "removeWhitespace",
            T::ReplaceComments => "replaceComments",
            T::ReplaceNulls => "replaceNulls",
            T::Sha1 => "sha1",
            T::SqlHexDecode => "sqlHexDecode",
            T::Trim => "trim",
            T::TrimLeft => "trimLeft",
            T::TrimRight => "trimRight",
            T::Uppercase => "uppercase",
            T::UrlDecode => "urlDecode",
            T::UrlDecodeUni => "urlDecodeUni",
            T::UrlEncode => "urlEncode",
            T::Utf8ToUnicode => "utf8toUnicode",
        }
    }

    /// Transforms `input` and says whether the value changed (what v2 calls
    /// `ret`; v3 says "changed" also when the result is the same bytes).
    ///
    /// `output` is cleared first. When nothing changed it is left empty, and
    /// the caller goes on with `input`; nothing was copied then. The time is
    /// linear in the length of `input`; `output` may need up to four times it.
    pub fn apply(self, input: &[u8], output: &mut Vec<u8>, context: &Context<'_>) -> bool {
        output.clear();
        if self.certainly_unchanged(input) {
            return false;
        }
        self.write(input, output, context);
        let changed = output != input;
        if !changed {
            output.clear();
        }
        changed
    }

    /// Writes the result to the empty `output`.
    fn write(self, input: &[u8], output: &mut Vec<u8>, context: &Context<'_>) {
        match self {
            T::Base64Decode => base64::decode(input, output),
            T::Base64DecodeExt => base64::decode_forgiving(input, output),
            T::Base64Encode => base64::encode(input, output),
            T::CmdLine => command_line::normalize(input, output),
            T::CompressWhitespace => white_space::compress(input, output),
            T::CssDecode => css::decode(input, output),
            T::EscapeSeqDecode => escape_sequence::decode(input, output),
            T::HexDecode => hex::decode(input, output),
            T::HexEncode => hex::encode(input, output),
            T::HtmlEntityDecode => html_entity::decode(input, output),
            T::JsDecode => js::decode(input, output),
            T::Length => length::count(input, output),
            T::Lowercase => letter_case::lower(input, output),
            T::Md5 => hash::md5(input, output),
            T::NormalizePath => path::normalize(input, output),
            T::NormalizePathWin => path::normalize_windows(input, output),
            T::ParityEven7bit => parity::even(input, output),
            T::ParityOdd7bit => parity::odd(input, output),
            T::ParityZero7bit => parity::zero(input, output),
            T::PhpArgsNames => php_argument_name::normalize(input, output),
            T::RemoveComments => comments::remove(input, output),
            T::RemoveCommentsChar => comments::remove_marks(input, output),
            T::RemoveNulls => nulls::remove(input, output),
            T::RemoveWhitespace => white_space::remove(input, output),
            T::ReplaceComments => comments::replace(input, output),
            T::ReplaceNulls => nulls::replace(input, output),
            T::Sha1 => hash::sha1(input, output),
            T::SqlHexDecode => hex::decode_sql(input, output),
            T::Trim => output.extend_from_slice(white_space::trim(input)),
            T::TrimLeft => output.extend_from_slice(white_space::trim_left(input)),
            T::TrimRight => output.extend_from_slice(white_space::trim_right(input)),
            T::Uppercase => letter_case::upper(input, output),
            T::UrlDecode => url_decode::decode(input, output),
            T::UrlDecodeUni => url_decode::decode_unicode(input, output, context.unicode_map),
            T::UrlEncode => url_encode::encode(input, output),
            T::Utf8ToUnicode => utf8::to_unicode(input, output),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Context, Transformation};

    /// Checks result and verdict of each (input, output) pair.
    #[track_caller]
    pub(crate) fn check(transformation: Transformation, cases: &[(&str, &str)]) {
        for (input, expected) in cases {
            check_one(transformation, input.as_bytes(), expected.as_bytes());
        }
    }

    /// [`check`] for values that are not UTF-8.
    #[track_caller]
    pub(crate) fn check_bytes(transformation: Transformation, cases: &[(&[u8], &[u8])]) {
        for (input, expected) in cases {
            check_one(transformation, input, expected);
        }
    }

    #[track_caller]
    fn check_one(transformation: Transformation, input: &[u8], expected: &[u8]) {
        // What an earlier value left in the buffer must not show.
        let mut output = b"left over".to_vec();
        let changed = transformation.apply(input, &mut output, &Context::default());
        let result = if changed { &output[..] } else { input };
        assert_eq!(
            result.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{} of {}",
            transformation.name(),
            input.escape_ascii()
        );
        assert_eq!(changed, input != expected, "verdict on {}", input.escape_ascii());
        assert!(changed || output.is_empty(), "output left for {}", input.escape_ascii());
    }

    #[test]
    fn names_are_found_in_any_case() {
        for &transformation in Transformation::ALL {
            let name = transformation.name();
            assert_eq!(Transformation::from_name(name), Some(transformation));
            assert_eq!(Transformation::from_name(&name.to_uppercase()), Some(transformation));
        }
        assert_eq!(Transformation::from_name("normalisepath"), Some(Transformation::NormalizePath));
        assert_eq!(Transformation::from_name("NormalisePathWin"), Some(Transformation::NormalizePathWin));
        for unknown in ["none", "", "lowercase ", "urlDecodeUnicode"] {
            assert_eq!(Transformation::from_name(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn all_lists_each_once_in_order() {
        assert!(Transformation::ALL.is_sorted_by(|a, b| a < b));
        assert_eq!(Transformation::ALL.len(), Transformation::Utf8ToUnicode as usize + 1);
    }
}
