//! The Content-Disposition of a part: `form-data; name="…"; filename="…"`.

use super::Flags;
use std::borrow::Cow;

/// What is wrong with a Content-Disposition. The numbers in the texts are the
/// ones ModSecurity's log uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The type is not `form-data`.
    #[error("-1")]
    NotFormData,
    /// Something else than a semicolon follows the type.
    #[error("-2")]
    NoSemicolon,
    /// White space follows the last semicolon.
    #[error("-3")]
    NothingAfterSemicolon,
    /// A parameter has no `=`.
    #[error("-4")]
    NoEquals,
    /// A parameter ends after its name and white space.
    #[error("-5")]
    NothingAfterName,
    /// A parameter has no value.
    #[error("-6")]
    NoValue,
    /// A value is one quote.
    #[error("-7")]
    NothingAfterQuote,
    /// A value ends in a backslash.
    #[error("-8")]
    NothingAfterBackslash,
    /// A quoted value has no closing quote.
    #[error("-10")]
    UnclosedQuote,
    /// A parameter other than `name`, `filename` and `filename*`.
    #[error("-11")]
    UnknownParameter,
    /// Something else than a semicolon follows a value.
    #[error("-12")]
    TextAfterValue,
    /// Something else than `=` follows a parameter's name.
    #[error("-13")]
    TextAfterName,
    /// Two names.
    #[error("-14")]
    DuplicateName,
    /// Two file names.
    #[error("-15")]
    DuplicateFilename,
    /// `filename*` without a charset.
    #[error("-16")]
    ExtendedCharset,
    /// `filename*` without an end of its language.
    #[error("-17")]
    ExtendedLanguage,
    /// `filename*` with a `%` that starts no escape.
    #[error("-18")]
    ExtendedEscape,
    /// `filename*` with a byte that must be escaped.
    #[error("-19")]
    ExtendedCharacter,
    /// Two `filename*`.
    #[error("-20")]
    DuplicateExtended,
    /// `filename*` without `filename`.
    #[error("-21")]
    ExtendedAlone,
}

/// The parameters read so far; also meaningful after a [`Fault`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition<'a> {
    pub(super) name: Option<Cow<'a, [u8]>>,
    pub(super) filename: Option<Cow<'a, [u8]>>,
    pub(super) extended_filename: Option<Cow<'a, [u8]>>,
}

impl Disposition<'_> {
    /// The same, free of the header it was read from.
    pub(super) fn into_owned(self) -> Disposition<'static> {
        let own = |text: Option<Cow<'_, [u8]>>| text.map(|text| Cow::Owned(text.into_owned()));
        Disposition {
            name: own(self.name),
            filename: own(self.filename),
            extended_filename: own(self.extended_filename),
        }
    }
}

/// Reads `value`, records quoting that only some applications accept in
/// `flags`, and fills `disposition` as far as it gets.
pub(super) fn parse<'a>(
    value: &'a [u8],
    disposition: &mut Disposition<'a>,
    flags: &mut Flags,
) -> Result<(), Fault> {
    let mut rest = skip_blanks(value.strip_prefix(b"form-data").ok_or(Fault::NotFormData)?);
    if rest.is_empty() {
        return Ok(());
    }
    rest = rest.strip_prefix(b";").ok_or(Fault::NoSemicolon)?;
    while !rest.is_empty() {
        rest = parameter(rest, disposition, flags)?;
    }
    if disposition.extended_filename.is_some() && disposition.filename.is_none() {
        return Err(Fault::ExtendedAlone);
    }
    Ok(())
}

/// Reads one parameter and the semicolon after it; returns what follows.
fn parameter<'a>(
    text: &'a [u8],
    disposition: &mut Disposition<'a>,
    flags: &mut Flags,
) -> Result<&'a [u8], Fault> {
    let text = skip_blanks(text);
    if text.is_empty() {
        return Err(Fault::NothingAfterSemicolon);
    }
    let name_end = text.iter().position(|b| matches!(b, b'=' | b' ' | b'\t')).ok_or(Fault::NoEquals)?;
    let (name, rest) = text.split_at(name_end);
    let rest = skip_blanks(rest);
    if rest.is_empty() {
        return Err(Fault::NothingAfterName);
    }
    let rest = skip_blanks(rest.strip_prefix(b"=").ok_or(Fault::TextAfterName)?);
    if rest.is_empty() {
        return Err(Fault::NoValue);
    }
    let rest = match name {
        b"filename*" => {
            let (value, rest) = extended_value(rest)?;
            if disposition.extended_filename.replace(Cow::Borrowed(value)).is_some() {
                return Err(Fault::DuplicateExtended);
            }
            rest
        }
        b"name" => {
            let (value, rest) = plain_value(rest, flags)?;
            if disposition.name.is_some() {
                return Err(Fault::DuplicateName);
            }
            disposition.name = Some(value);
            rest
        }
        b"filename" => {
            let (value, rest) = plain_value(rest, flags)?;
            if disposition.filename.is_some() {
                return Err(Fault::DuplicateFilename);
            }
            disposition.filename = Some(value);
            rest
        }
        _ => return Err(Fault::UnknownParameter),
    };
    after_value(rest, flags)
}

/// Steps over the semicolon after a value.
fn after_value<'a>(rest: &'a [u8], flags: &mut Flags) -> Result<&'a [u8], Fault> {
    match skip_blanks(rest) {
        [] => Ok(&[]),
        [b';', rest @ ..] => Ok(rest),
        [b'"' | b'\'', ..] => {
            flags.invalid_quoting = true;
            Err(Fault::TextAfterValue)
        }
        _ => Err(Fault::TextAfterValue),
    }
}

/// A value in double quotes, in single quotes (flagged) or bare.
fn plain_value<'a>(text: &'a [u8], flags: &mut Flags) -> Result<(Cow<'a, [u8]>, &'a [u8]), Fault> {
    let (value, rest) = match text {
        [quote @ (b'"' | b'\''), inside @ ..] => quoted_value(inside, *quote)?,
        bare => {
            let end = bare.iter().position(|&b| !is_token(b)).unwrap_or(bare.len());
            (Cow::Borrowed(&bare[..end]), &bare[end..])
        }
    };
    // Inside double quotes an apostrophe is a character like any other.
    if text[0] == b'\'' || (text[0] != b'"' && value.contains(&b'\'')) {
        flags.invalid_quoting = true;
    }
    Ok((value, rest))
}

/// The text up to the closing quote, with `\"` and `\\` resolved. Before other
/// characters a backslash stays, as old browsers send Windows paths.
fn quoted_value(inside: &[u8], quote: u8) -> Result<(Cow<'_, [u8]>, &[u8]), Fault> {
    if inside.is_empty() {
        return Err(Fault::NothingAfterQuote);
    }
    let mut value = Cow::Borrowed(&inside[..0]);
    let mut copied = 0;
    let mut at = 0;
    loop {
        at += memchr::memchr2(quote, b'\\', &inside[at..]).ok_or(Fault::UnclosedQuote)?;
        if inside[at] == quote {
            break;
        }
        let next = *inside.get(at + 1).ok_or(Fault::NothingAfterBackslash)?;
        if next == quote || next == b'\\' {
            value.to_mut().extend_from_slice(&inside[copied..at]);
            copied = at + 1;
            at += 1;
        }
        at += 1;
    }
    if copied == 0 {
        value = Cow::Borrowed(&inside[..at]);
    } else {
        value.to_mut().extend_from_slice(&inside[copied..at]);
    }
    Ok((value, &inside[at + 1..]))
}

/// `charset'language'value` (RFC 5987, section 3.2); returns the value, still
/// encoded.
fn extended_value(text: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let is_charset = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&+-^_`{}~".contains(b);
    let charset = text.iter().position(|b| !is_charset(b)).unwrap_or(text.len());
    let language = match &text[charset..] {
        [b'\'', rest @ ..] if charset > 0 => rest,
        _ => return Err(Fault::ExtendedCharset),
    };
    let language_end = memchr::memchr(b'\'', language).ok_or(Fault::ExtendedLanguage)?;
    let value = &language[language_end + 1..];
    let mut at = 0;
    loop {
        match &value[at..] {
            [] | [b';', ..] => return Ok(value.split_at(at)),
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => at += 3,
            [b'%', ..] => return Err(Fault::ExtendedEscape),
            [byte, ..] if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`~".contains(byte) => at += 1,
            _ => return Err(Fault::ExtendedCharacter),
        }
    }
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(text.len());
    &text[start..]
}

/// A token character of RFC 2045, section 5.1.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &'static str) -> (Result<(), Fault>, Disposition<'static>, bool) {
        let mut disposition = Disposition::default();
        let mut flags = Flags::default();
        let result = parse(value.as_bytes(), &mut disposition, &mut flags);
        (result, disposition, flags.invalid_quoting)
    }

    #[test]
    fn reads_names() {
        let cases: &[(&str, Option<&str>, Option<&str>, bool)] = &[
            ("form-data", None, None, false),
            ("form-data;", None, None, false),
            ("form-data; name=\"a\"", Some("a"), None, false),
            ("form-data; name=\"a\";", Some("a"), None, false),
            ("form-data ;\tname = \"a\" ; filename= b.txt", Some("a"), Some("b.txt"), false),
            ("form-data; name=\"a;b\\\"c\\\\d\\e\"", Some("a;b\"c\\d\\e"), None, false),
            ("form-data; name=\"file'data\"; filename=\"\"", Some("file'data"), Some(""), false),
            ("form-data; name=file'data", Some("file'data"), None, true),
            ("form-data; name='a'", Some("a"), None, true),
            ("form-data; name='a\\'b'", Some("a'b"), None, true),
            ("form-data; name=\"C:\\dir\\f\"", Some("C:\\dir\\f"), None, false),
        ];
        for (value, name, filename, quoting) in cases {
            let (result, disposition, invalid_quoting) = read(value);
            assert_eq!(result, Ok(()), "{value}");
            assert_eq!(disposition.name.as_deref(), name.map(str::as_bytes), "{value}");
            assert_eq!(disposition.filename.as_deref(), filename.map(str::as_bytes), "{value}");
            assert_eq!(invalid_quoting, *quoting, "{value}");
        }
    }

    #[test]
    fn names_each_fault() {
        use Fault::*;
        let cases: &[(&str, Fault)] = &[
            ("attachment; name=a", NotFormData),
            ("Form-Data; name=a", NotFormData),
            ("form-data name=\"a\"", NoSemicolon),
            ("form-datax", NoSemicolon),
            ("form-data; ", NothingAfterSemicolon),
            ("form-data; name", NoEquals),
            ("form-data; name ", NothingAfterName),
            ("form-data; name=", NoValue),
            ("form-data; name=\"", NothingAfterQuote),
            ("form-data; name=\"a\\", NothingAfterBackslash),
            ("form-data; name=\"a", UnclosedQuote),
            ("form-data; Name=\"a\"", UnknownParameter),
            ("form-data; name=\"a\" x", TextAfterValue),
            ("form-data; name=\"a\"\"b\"", TextAfterValue),
            ("form-data; name a=b", TextAfterName),
            ("form-data; name=a; name=b", DuplicateName),
            ("form-data; name=a; filename=\"\"; filename=b", DuplicateFilename),
            ("form-data; filename*='en'x", ExtendedCharset),
            ("form-data; filename*=UTF-8", ExtendedCharset),
            ("form-data; filename*=UTF-8'en", ExtendedLanguage),
            ("form-data; filename*=UTF-8''%4", ExtendedEscape),
            ("form-data; filename*=UTF-8''a b", ExtendedCharacter),
            ("form-data; filename*=a''b; filename*=a''c", DuplicateExtended),
            ("form-data; name=a; filename*=UTF-8''b", ExtendedAlone),
        ];
        for (value, fault) in cases {
            assert_eq!(read(value).0, Err(*fault), "{value}");
        }
    }

    #[test]
    fn keeps_the_extended_filename_encoded() {
        let (result, disposition, _) =
            read("form-data; name=a; filename=\"f\"; filename*=UTF-8'en'%e2%82%ac.txt");
        assert_eq!(result, Ok(()));
        assert_eq!(disposition.extended_filename.as_deref(), Some(&b"%e2%82%ac.txt"[..]));
    }

    #[test]
    fn single_quotes_cannot_hide_a_second_name() {
        let (result, disposition, invalid_quoting) = read("form-data; name=';filename=\"dummy';name=b;\"");
        assert_eq!((result, invalid_quoting), (Err(Fault::DuplicateName), true));
        assert_eq!(disposition.name.as_deref(), Some(&b";filename=\"dummy"[..]));
    }
}
