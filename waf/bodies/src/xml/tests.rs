//! What an XML body yields, case by case.

use super::*;

fn read(body: &[u8]) -> (String, Vec<String>, Option<Reason>) {
    let xml = parse(body, &Limits::default());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let attributes = xml.attributes.iter().map(|value| text(value)).collect();
    (text(&xml.text), attributes, xml.error.map(|e| e.reason))
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

#[test]
fn yields_text_and_attributes() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("<a/>", "", &[]),
        ("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n  <a x='1' y = \"2\"/>\n", "", &["1", "2"]),
        ("<r> a<b>c</b>\n<d>e</d></r>", " ac\ne", &[]),
        ("<r>a&lt;b&#62;&#x26;&apos;&quot;&amp;amp;</r>", "a<b>&'\"&amp;", &[]),
        ("<r><![CDATA[<script>&amp;]]>x</r>", "<script>&amp;x", &[]),
        ("<r>a<!-- no -->b<?pi no?>c</r>", "abc", &[]),
        ("<r>a\r\nb\rc\n</r>", "a\nb\nc\n", &[]),
        ("<r x='a&lt;&#10;b' y='c\r\n\td'/>", "", &["a<\nb", "c  d"]),
        ("<s:E xmlns:s='urn:x' xmlns='urn:y' s:style='z'><s:B/></s:E>", "", &["z"]),
        ("\u{FEFF}<a>é</a>", "é", &[]),
        ("<!DOCTYPE a SYSTEM \"http://evil/x.dtd\"><a>t</a>", "t", &[]),
        ("<!DOCTYPE a [<!ENTITY e \"]>\"><!-- > ]> --><!NOTATION n SYSTEM 'x>'>]><a>t</a>", "t", &[]),
        ("<a title='x > y'>t</a>", "t", &["x > y"]),
        ("", "", &[]),
    ];
    for (body, text, attributes) in cases {
        assert_eq!(read(body.as_bytes()), (text.to_string(), strings(attributes), None), "{body}");
    }
}

#[test]
fn reports_errors_and_keeps_what_was_read() {
    use Reason::*;
    let cases: &[(&[u8], &str, &[&str], Reason)] = &[
        (b" ", "", &[], NoElement),
        (b"<?xml version='1.0'?>", "", &[], NoElement),
        (b"<!-- only -->", "", &[], NoElement),
        (b"just text' OR 1=1", "just text' OR 1=1", &[], OutsideRoot),
        (b"<a>1</a>2", "12", &[], OutsideRoot),
        (b"<a>1</a><b>2</b>", "12", &[], OutsideRoot),
        (b"<a/><![CDATA[x]]>", "x", &[], OutsideRoot),
        (b"<a>1<b>2", "12", &[], Unclosed(2)),
        (b" <?xml version='1.0'?><a/>", "", &[], LateDeclaration),
        (b"<a><!DOCTYPE a></a>", "", &[], LateDoctype),
        (b"<!DOCTYPE a><!DOCTYPE a><a/>", "", &[], LateDoctype),
        (b"<!DOCTYPE a [<!ATTLIST a b CDATA 'hidden'>]><a>t</a>", "t", &[], Declarations),
        (b"<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://evil/'>%p;]><a>t</a>", "t", &[], Declarations),
        (b"<a>&js;</a>", "&js;", &[], Entity),
        (b"<a b='&js;'/>", "", &["&js;"], Entity),
        (b"<a>&#0;&#xD800;x</a>", "&#0;&#xD800;x", &[], Reference),
        (b"<a>&#+60;</a>", "&#+60;", &[], Reference),
        (b"<a b='x & y'/>", "", &["x & y"], Reference),
        (b"<a b='1' b='2'/>", "", &["1", "2"], DuplicateAttribute),
        (b"<a b='1'c='2'/>", "", &["1", "c='2'"], Attribute),
        (b"<a b=1>t</a>", "t", &["b=1"], Attribute),
        (b"<a b>t</a>", "t", &["b"], Attribute),
        (b"<a b='<'/>", "", &["<"], Attribute),
        (b"< a>t</ a>", "t</ a>", &["a"], ElementName),
        (b"<1a/>", "", &[], ElementName),
        (b"<a>x\0y</a>", "x\0y", &[], ControlCharacter),
        (b"<a>ok</a><b>\xFF</b>", "ok", &[], InvalidUtf8),
        (b"<?xml version='1.0' encoding='UTF-7'?><a>+ADw-</a>", "+ADw-", &[], Encoding("utf-7".to_owned())),
        (b"\xFF\xFE<\0a\0>\0", "", &[], InvalidUtf8),
        (b"<\0a\0/\0>\0", "", &[], ControlCharacter),
    ];
    for (body, text, attributes, reason) in cases {
        let (found_text, found_attributes, found_reason) = read(body);
        let shown = String::from_utf8_lossy(body);
        assert_eq!(found_reason.as_ref(), Some(reason), "{shown}");
        if !body.contains(&0) {
            assert_eq!((found_text.as_str(), found_attributes), (*text, strings(attributes)), "{shown}");
        }
    }
}

#[test]
fn malformed_markup_is_an_error_and_the_rest_is_kept_as_text() {
    let cases = [
        ("<a>1</b>rest", "1</b>rest"),
        ("<a>1<rest", "1<rest"),
        ("<a>1</a", "1</a"),
        ("<a>1<!-- rest", "1<!-- rest"),
        ("<a>1<!-- re--st --></a>", "1<!-- re--st --></a>"),
        ("<a>1& rest</a>", "1& rest</a>"),
        ("<a>1</a></rest>", "1</rest>"),
    ];
    for (body, expected) in cases {
        let (text, _, reason) = read(body.as_bytes());
        assert!(matches!(reason, Some(Reason::Syntax(_))), "{body}: {reason:?}");
        assert_eq!(text, expected, "{body}");
    }
}

#[test]
fn one_byte_encodings_are_read_as_latin_1() {
    let (text, attributes, reason) =
        read(b"<?xml version='1.0' encoding = \"ISO-8859-1\"?><a b='\xE4'>\xE9</a>");
    assert_eq!((text.as_str(), attributes, reason), ("é", vec!["ä".to_owned()], None));
}

#[test]
fn entities_are_never_expanded() {
    let laughs = b"<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;\">]><l>&c;</l>";
    let xml = parse(laughs, &Limits::default());
    assert!(xml.doctype.is_some_and(|doctype| doctype.starts_with(b"l [<!ENTITY a")));
    assert_eq!(&*xml.text, b"&c;");
    assert_eq!(xml.error.map(|e| e.reason), Some(Reason::Entity));
}

#[test]
fn limits_end_the_walk() {
    let deep = format!("{}{}", "<a>".repeat(6), "</a>".repeat(6));
    let limits = |depth, arguments| Limits { depth, arguments, ..Limits::default() };
    assert_eq!(parse(deep.as_bytes(), &limits(6, 1)).error, None);
    assert_eq!(parse(deep.as_bytes(), &limits(5, 1)).error.map(|e| e.reason), Some(Reason::Depth(5)));
    let many = b"<a b='1' c='2'><d e='3'/></a>";
    assert_eq!(parse(many, &limits(9, 3)).error, None);
    let over = parse(many, &limits(9, 2));
    assert_eq!((over.attributes.len(), over.error.map(|e| e.reason)), (2, Some(Reason::Attributes(2))));
}

#[test]
fn many_attributes_are_checked_for_duplicates_too() {
    let names: String = (0..100).map(|i| format!(" a{i}=''")).collect();
    assert_eq!(read(format!("<a{names}/>").as_bytes()).2, None);
    let (_, attributes, reason) = read(format!("<a{names} a50=''/>").as_bytes());
    assert_eq!((attributes.len(), reason), (101, Some(Reason::DuplicateAttribute)));
}

#[test]
fn a_single_text_is_borrowed() {
    assert!(matches!(parse(b"<a>text</a>", &Limits::default()).text, Cow::Borrowed(_)));
}
