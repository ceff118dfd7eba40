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
fn entities_are_expanded_when_they_are_plain_text_and_small() {
    let doctype = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\"><!ENTITY x SYSTEM 'file:///etc/passwd'><!ENTITY m '<b/>'>]>";
    let cases = [
        ("<l t='&b;\n'>&b;!</l>", "haha!", "haha ", None),
        ("<l t=''>&x;</l>", "&x;", "", Some(Reason::Entity)),
        ("<l t='&m;'>&m;</l>", "&m;", "&m;", Some(Reason::Entity)),
        ("<l t=''>&c;</l>", "&c;", "", Some(Reason::Entity)),
    ];
    for (body, text, attribute, reason) in cases {
        let found = read(format!("{doctype}{body}").as_bytes());
        assert_eq!(found, (text.to_owned(), vec![attribute.to_owned()], reason), "{body}");
    }
    let mut laughs = String::from("<!DOCTYPE l [<!ENTITY e0 'ha'>");
    for level in 1..10 {
        let inner = format!("&e{};", level - 1).repeat(10);
        laughs.push_str(&format!("<!ENTITY e{level} '{inner}'>"));
    }
    laughs.push_str("]><l>&e9;</l>");
    let (text, _, reason) = read(laughs.as_bytes());
    assert_eq!((text.as_str(), reason), ("&e9;", Some(Reason::Entity)));
}

#[test]
fn trees_know_names_and_namespaces() {
    let body = "<s:e xmlns:s='urn:s' xmlns='urn:d' a='1' s:b='2'><f>x<!-- -->y<![CDATA[z]]></f><xml:g xmlns:s='urn:t'><s:h/></xml:g></s:e>";
    let (xml, tree) = parse_tree(body.as_bytes(), &Limits::default());
    assert_eq!((xml.error, tree.is_whole()), (None, true));
    let described: Vec<String> = (0..tree.len() as NodeId)
        .map(|node| match tree.name(node) {
            Some(name) => {
                format!("{{{}}}{}={}", name.namespace, name.local, String::from_utf8_lossy(tree.value(node)))
            }
            None => String::from_utf8_lossy(tree.value(node)).into_owned(),
        })
        .collect();
    let expected = [
        "xyz",
        "{urn:s}e=xyz",
        "{}a=1",
        "{urn:s}b=2",
        "{urn:d}f=xyz",
        "x",
        "yz",
        "{http://www.w3.org/XML/1998/namespace}g=",
        "{urn:t}h=",
    ];
    assert_eq!(described, expected);
    let root = tree.root().unwrap();
    assert_eq!(tree.namespace(root, "s"), Some("urn:s"));
    assert_eq!(tree.namespace(8, "s"), Some("urn:t"));
    assert_eq!(tree.namespace(8, ""), Some("urn:d"));
    assert_eq!(tree.namespace(8, "none"), None);
    assert_eq!(tree.children(root).collect::<Vec<_>>(), [4, 7]);
    assert_eq!(tree.attributes(root).collect::<Vec<_>>(), [2, 3]);
    for (body, is_whole) in
        [("<a><b></a>", false), ("<a>", false), ("text", false), ("", false), ("<a>&x;</a>", true)]
    {
        assert_eq!(parse_tree(body.as_bytes(), &Limits::default()).1.is_whole(), is_whole, "{body}");
    }
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
