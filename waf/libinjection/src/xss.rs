//! Script injection: the places of a page a value may stand in, and what in it runs script there.

pub(crate) mod html5;
mod names;
mod url;

use html5::{Html5Kind, Html5Start, Html5Token, Html5Tokens};
use names::Attribute;

/// Whether `input` is script injection in any place of a page.
///
/// The answer is that of libinjection 3.10's `libinjection_xss`. It takes time linear in the
/// length of `input`, and allocates nothing.
#[must_use]
pub fn is_xss(input: &[u8]) -> bool {
    // Tags, comments and declarations need `<`, and the value of an attribute that has a name
    // needs `=`; nothing else is ever held against a value.
    if memchr::memchr2(b'<', b'=', input).is_none() {
        return false;
    }
    runs_script(input, Html5Start::Data)
        || runs_script(input, Html5Start::Tag)
        || ends_quotes_and_runs_script(input, b'\'', Html5Start::SingleQuoted)
        || ends_quotes_and_runs_script(input, b'"', Html5Start::DoubleQuoted)
        || ends_quotes_and_runs_script(input, b'`', Html5Start::BackQuoted)
}

/// Without the quote, the whole input is the value of an attribute nobody named.
fn ends_quotes_and_runs_script(input: &[u8], quote: u8, start: Html5Start) -> bool {
    memchr::memchr(quote, input).is_some() && runs_script(input, start)
}

/// Whether `input` runs script where `start` says it stands.
fn runs_script(input: &[u8], start: Html5Start) -> bool {
    let mut named = Attribute::Harmless;
    Html5Tokens::new(input, start).any(|token| {
        let attribute = std::mem::replace(&mut named, Attribute::Harmless);
        match token.kind {
            Html5Kind::Doctype => true,
            Html5Kind::TagOpen => names::is_active_tag(token.text),
            Html5Kind::AttributeName => {
                named = names::attribute(token.text);
                false
            }
            Html5Kind::AttributeValue => is_active_value(attribute, token),
            Html5Kind::Comment => is_active_comment(token.text),
            Html5Kind::Text | Html5Kind::TagEnd | Html5Kind::TagSelfClose | Html5Kind::TagClose => false,
        }
    })
}

fn is_active_value(attribute: Attribute, value: Html5Token<'_>) -> bool {
    match attribute {
        Attribute::Harmless => false,
        Attribute::Active => true,
        Attribute::Url => url::is_active(value.text),
        Attribute::Reference => names::attribute(value.text) != Attribute::Harmless,
    }
}

/// Whether old browsers find something in the comment to execute: Internet Explorer ends tags at
/// a backtick, has conditional comments and `<?import`; and `<!ENTITY` defines what is expanded.
fn is_active_comment(text: &[u8]) -> bool {
    let begins_with = |word: &str| names::starts_with(text, word);
    memchr::memchr(b'`', text).is_some()
        || text.len() > 3 && (begins_with("[if") || begins_with("xml"))
        || begins_with("import")
        || begins_with("entity")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_script_from_text() {
        let cases: [(&str, bool); 14] = [
            ("", false),
            ("a < b and c > d", false),
            ("<b>bold</b>", false),
            ("<img src=/logo.png>", false),
            ("name=value", false),
            ("<script>alert(1)</script>", true),
            ("<a href=\"javascript:alert(1)\">", true),
            ("<a href=\"&#x6a;ava&#115;cript:1\">", true),
            ("' onmouseover='alert(1)", true),
            ("x onerror=alert(1)", true),
            ("<!doctype html>", true),
            ("<!--[if IE]>", true),
            ("<svg/onload=1>", true),
            ("<set attributeName=onload to=1>", true),
        ];
        for (input, expected) in cases {
            assert_eq!(is_xss(input.as_bytes()), expected, "{input}");
        }
    }
}
