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
    let runs_script = if memchr::memchr(END, input).is_none() { runs_script } else { runs_script_slowly };
    // Without `<` a page has nothing but text; without the quote, the whole input is the value of an
    // attribute nobody named.
    let ends_quotes_and_runs_script =
        |quote, start| memchr::memchr(quote, input).is_some() && runs_script(input, start);
    memchr::memchr(b'<', input).is_some() && runs_script(input, Html5Start::Data)
        || runs_script(input, Html5Start::Tag)
        || ends_quotes_and_runs_script(b'\'', Html5Start::SingleQuoted)
        || ends_quotes_and_runs_script(b'"', Html5Start::DoubleQuoted)
        || ends_quotes_and_runs_script(b'`', Html5Start::BackQuoted)
}

/// The byte that ends a tag for libinjection, because there it is -1.
const END: u8 = 0xff;

/// Whether `input`, without [`END`], runs script where `start` says it stands.
fn runs_script(input: &[u8], start: Html5Start) -> bool {
    let mut tokens = Html5Tokens::new(input, start);
    let mut after_name = false;
    any_runs_script(std::iter::from_fn(|| {
        // Where one name has no value there are often more: that is text rather than a tag.
        if after_name {
            tokens.pass_names_without_value();
        }
        let token = tokens.next();
        after_name = token.is_some_and(|token| token.kind == Html5Kind::AttributeName);
        token
    }))
}

/// [`runs_script`], reading every token.
fn runs_script_slowly(input: &[u8], start: Html5Start) -> bool {
    any_runs_script(Html5Tokens::new(input, start))
}

/// Whether one of the tokens, which are in a row, runs script.
fn any_runs_script<'a>(mut tokens: impl Iterator<Item = Html5Token<'a>>) -> bool {
    // Few attributes have a value, so a name is looked up only before one.
    let mut name: &[u8] = &[];
    tokens.any(|token| {
        let attribute = std::mem::take(&mut name);
        match token.kind {
            Html5Kind::Doctype => true,
            Html5Kind::TagOpen => names::is_active_tag(token.text),
            Html5Kind::AttributeName => {
                name = token.text;
                false
            }
            Html5Kind::AttributeValue => is_active_value(names::attribute(attribute), token),
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

    /// Passing names changes no answer, wherever a value begins.
    #[test]
    fn both_ways_to_read_agree() {
        const PIECES: [&str; 38] = [
            "a",
            "b",
            "onload",
            "href",
            "src",
            "style",
            "x",
            " ",
            " ",
            "  ",
            "\t",
            "\0",
            "/",
            "/>",
            "/ >",
            ">",
            ">",
            "=",
            "=",
            " = ",
            "'",
            "\"",
            "`",
            "<",
            "<a",
            "</a",
            "</a ",
            "<a ",
            "<script",
            "<!--",
            "-->",
            "javascript:",
            "<svg",
            "<b/",
            "<!",
            "<%",
            "&#x6a;",
            "0",
        ];
        let mut random = 1_u64;
        let mut next = |end: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % end
        };
        let mut active = 0;
        for _ in 0..300_000 {
            let input: Vec<u8> = (0..next(16)).flat_map(|_| PIECES[next(PIECES.len())].bytes()).collect();
            for start in [
                Html5Start::Data,
                Html5Start::Tag,
                Html5Start::SingleQuoted,
                Html5Start::DoubleQuoted,
                Html5Start::BackQuoted,
            ] {
                let expected = runs_script_slowly(&input, start);
                active += usize::from(expected);
                assert_eq!(runs_script(&input, start), expected, "{start:?} {}", input.escape_ascii());
            }
        }
        assert!(active > 50_000, "only {active} run script");
    }
}
