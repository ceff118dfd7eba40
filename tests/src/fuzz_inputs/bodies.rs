//! Body processors: results lie within the body, stay in proportion to it, and
//! mean the same when they are written out and read again.

use std::fmt::Write as _;

use hop3_bodies::{
    Argument, Limits, cookies, form as forms, json as jsons, multipart as multiparts, xml as xmls,
};

/// Query strings, form bodies and cookies.
pub(super) fn form(input: &[u8]) {
    let few = Limits { arguments: 3, ..Limits::default() };
    for (separator, limits) in [(b'&', Limits::default()), (b';', few)] {
        let form = forms::parse(input, separator, &limits);
        assert!(form.arguments.len() <= limits.arguments);
        assert!(bytes(&form.arguments) <= input.len());
        let encoded: Vec<u8> = form.arguments.iter().flat_map(|pair| percent(pair, separator)).collect();
        let again = forms::parse(&encoded, separator, &limits);
        assert_eq!(again.arguments, form.arguments);
        assert!(!again.invalid_encoding && !again.over_limit);
    }
    let jar = cookies::parse(input);
    assert!(bytes(&jar) <= input.len());
    let header: Vec<u8> =
        jar.iter().flat_map(|cookie| [&cookie.name[..], b"=", &cookie.value, b";"].concat()).collect();
    assert_eq!(cookies::parse(&header), jar);
}

/// The first line is the Content-Type, the rest the body.
pub(super) fn multipart(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (content_type, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let announced = multiparts::boundary(content_type);
    for limits in [Limits::default(), Limits { arguments: 2, files: 1, ..Limits::default() }] {
        let parsed = multiparts::parse(content_type, body, &limits);
        for part in &parsed.parts {
            assert_eq!(body.get(part.offset..part.offset + part.content.len()), Some(part.content));
        }
        let contents: usize = parsed.parts.iter().map(|part| part.content.len()).sum();
        assert!(contents <= body.len());
        assert!(parsed.parts.iter().map(|part| part.name.len()).sum::<usize>() <= body.len());
        // The name of its part stands beside each of the part's headers, of which there are few.
        assert!(parsed.part_headers.iter().map(|header| header.line.len()).sum::<usize>() <= body.len());
        assert!(parsed.no_files_length <= body.len());
        assert!(parsed.files_combined_size() <= body.len());
        assert_eq!(parsed.fields().count() + parsed.files().count(), parsed.parts.len());
        assert!(parsed.strict_error() || parsed.error.is_none());
        assert!(parsed.error.is_some() || body.is_empty() || announced.is_ok(), "no boundary, no error");
    }
}

/// JSON, against serde_json's opinion of what is JSON.
pub(super) fn json(input: &[u8]) {
    let few = Limits { arguments: 5, name_bytes: 100, depth: 4, ..Limits::default() };
    for (naming, limits) in [(jsons::Naming::Plain, Limits::default()), (jsons::Naming::ModSecurity3, few)] {
        let parsed = jsons::parse(input, &jsons::Options { limits, naming });
        assert_eq!(parsed.arguments().count(), parsed.len());
        assert!(parsed.len() <= limits.arguments);
        let names: usize = parsed.arguments().map(|leaf| leaf.name.len()).sum();
        assert!(names <= limits.name_bytes, "{names} bytes of names");
        // Invalid bytes may be replaced by U+FFFD, three bytes each.
        let values: usize = parsed.arguments().map(|leaf| leaf.value.len()).sum();
        assert!(values <= 3 * input.len(), "{values} bytes of values from {}", input.len());
        if let Some(error) = &parsed.error {
            assert!(error.offset <= input.len());
            assert!(!error.to_string().is_empty());
        }
    }
    let limits = Limits { arguments: usize::MAX, ..Limits::default() };
    let options = jsons::Options { limits, ..jsons::Options::default() };
    let parsed = jsons::parse(input, &options);
    if input.is_empty() || input.len() > 4096 {
        return;
    }
    match serde_json::from_slice::<serde_json::Value>(input) {
        Ok(_) => assert_eq!(parsed.error, None, "serde_json accepts it"),
        Err(error) => {
            let text = error.to_string();
            // Its own bounds: depth 128, numbers that fit an f64, and surrogates in pairs (RFC 8259 section
            // 8.2 lets them stand alone; ours become U+FFFD).
            let bounds =
                ["recursion limit", "number out of range", "surrogate", "unexpected end of hex escape"];
            let own = bounds.iter().any(|bound| text.contains(bound));
            assert!(own || parsed.error.is_some(), "serde_json refuses it: {text}");
        }
    }
}

/// XML, written out again from what was found.
pub(super) fn xml(input: &[u8]) {
    for limits in [Limits::default(), Limits { arguments: 2, depth: 3, ..Limits::default() }] {
        let parsed = xmls::parse(input, &limits);
        assert!(parsed.attributes.len() <= limits.arguments);
        // UTF-16 and Latin-1 grow when they become UTF-8.
        let produced = parsed.text.len() + parsed.attributes.iter().map(|value| value.len()).sum::<usize>();
        let most = 3 * input.len() + 64 + xmls::ENTITIES_LIMIT;
        assert!(produced <= most, "{produced} bytes from {}", input.len());
        tree(input, &limits, &parsed);
        if let Some(error) = &parsed.error {
            assert!(!error.to_string().is_empty());
            continue;
        }
        let written = document(&parsed);
        let again = xmls::parse(written.as_bytes(), &Limits::UNBOUNDED);
        assert_eq!(again.error, None, "{written:?}");
        assert_eq!(again.text, parsed.text, "{written:?}");
        assert_eq!(again.attributes, parsed.attributes, "{written:?}");
    }
}

/// The tree says the same, and paths and definitions are answered about any document.
fn tree(input: &[u8], limits: &Limits, parsed: &xmls::Xml<'_>) {
    let (again, tree) = xmls::parse_tree(input, limits);
    assert_eq!(again, *parsed);
    assert!(tree.is_whole() || parsed.error.is_some() || input.is_empty());
    assert!(tree.len() <= 2 * input.len() + 1);
    for text in ["//node()", "//*[position() = last()]/@*", "//*[contains(., 'a')]//text()"] {
        if let Ok(path) = xmls::xpath::XPath::parse(text, &|_| None)
            && let Ok(nodes) = path.select(&tree)
        {
            assert!(nodes.is_sorted() && nodes.len() <= tree.len());
        }
    }
}

/// A document with the same text and attributes, every byte that could mean something as a reference.
fn document(parsed: &xmls::Xml<'_>) -> String {
    let mut out = "<r>".to_owned();
    for value in &parsed.attributes {
        out.push_str("<e a=\"");
        escape(&mut out, &String::from_utf8_lossy(value));
        out.push_str("\"/>");
    }
    escape(&mut out, &String::from_utf8_lossy(&parsed.text));
    out.push_str("</r>");
    out
}

fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' => out.push(character),
            other => {
                // Writing to a string cannot fail.
                let _ = write!(out, "&#{};", u32::from(other));
            }
        }
    }
}

fn bytes(arguments: &[Argument<'_>]) -> usize {
    arguments.iter().map(|argument| argument.name.len() + argument.value.len()).sum()
}

/// `name=value` with every byte encoded, and the separator.
fn percent(argument: &Argument<'_>, separator: u8) -> Vec<u8> {
    let encode = |text: &[u8]| text.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let mut pair = format!("{}={}", encode(&argument.name), encode(&argument.value)).into_bytes();
    pair.push(separator);
    pair
}
