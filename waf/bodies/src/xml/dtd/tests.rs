//! Definitions, and what is valid by them.

use super::Dtd;
use crate::Limits;
use crate::xml::parse_tree;

const LETTER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- > a letter -->
<!ELEMENT letter (head?, (p | list)+, end)>
<!ELEMENT head EMPTY>
<!ELEMENT p (#PCDATA | em)*>
<!ELEMENT em (#PCDATA)>
<!ELEMENT list (item, item*)>
<!ELEMENT item ANY>
<!ELEMENT end (#PCDATA)>
<!ATTLIST letter kind (formal|private) #REQUIRED
                 version CDATA #FIXED "1">
<!ATTLIST item id ID #IMPLIED see IDREF #IMPLIED all IDREFS #IMPLIED key NMTOKEN "k">
<!ATTLIST end xmlns CDATA #IMPLIED>
<!ENTITY unused "x">
<!NOTATION n SYSTEM "n">
"#;

fn verdict(body: &str) -> Result<(), String> {
    let (_, tree) = parse_tree(body.as_bytes(), &Limits::default());
    assert!(tree.is_whole(), "{body}");
    Dtd::parse(LETTER.as_bytes()).unwrap().validate(&tree)
}

#[test]
fn documents_are_valid_or_not() {
    let valid = [
        "<letter kind='formal'><p>a<em>b</em></p><end/></letter>",
        "<letter kind=' private ' version='1'>\n <head></head><list><item id='a'/><item see='a' all=' a  a'><p/></item></list><p/> <end>x</end></letter>",
        "<em/>",
        "<end xmlns='http://a'/>",
    ];
    for body in valid {
        assert_eq!(verdict(body), Ok(()), "{body}");
    }
    let invalid = [
        ("<b/>", "No declaration for element b"),
        ("<letter kind='formal'><b/></letter>", "No declaration for element b"),
        ("<letter kind='formal'><end/></letter>", "expecting (head | p | list), got end"),
        ("<letter kind='formal'><p/></letter>", "expecting (p | list | end), got its end"),
        ("<letter kind='formal'>x<p/><end/></letter>", "text is not expected"),
        ("<letter><p/><end/></letter>", "does not carry attribute kind"),
        ("<letter kind='other'><p/><end/></letter>", "\"other\" for attribute kind"),
        ("<letter kind='formal' version='2'><p/><end/></letter>", "different from default \"1\""),
        ("<head> </head>", "EMPTY"),
        ("<p><end/></p>", "Element end is not declared in p list"),
        ("<em em='x'/>", "No declaration for attribute em of element em"),
        ("<em xmlns:a='x'/>", "No declaration for attribute xmlns:a"),
        ("<list><item id='a'/><item id='a'/></list>", "ID a already defined"),
        ("<list><item id='1'/></list>", "Syntax of value for attribute id"),
        ("<item see='none'/>", "unknown ID \"none\""),
        ("<item see='a b'/>", "Syntax of value for attribute see"),
        ("<item key='a b'/>", "Syntax of value for attribute key"),
    ];
    for (body, expected) in invalid {
        let found = verdict(body).unwrap_err();
        assert!(found.contains(expected), "{body}: {found}");
    }
}

#[test]
fn definitions_that_cannot_be_used_are_refused_with_their_place() {
    let cases = [
        ("<!ATLIST id type CDATA #REQUIRED>", 0, "a declaration is expected"),
        ("<!ELEMENT a (b,c|d)>", 17, "mixed"),
        ("<!ELEMENT a ((b,c)|(b,d))>", 12, "ambiguous"),
        ("<!ELEMENT a (#PCDATA|b)>", 23, "`*` is expected"),
        ("<!ELEMENT a ANY><!ELEMENT a ANY>", 32, "declared twice"),
        ("<!ENTITY % p 'x'>", 9, "parameter entities"),
        ("<!ELEMENT a %p;>", 12, "`(` is expected"),
        ("<!ELEMENT a (%p;)>", 13, "parameter entities"),
        ("<![INCLUDE[<!ELEMENT a ANY>]]>", 0, "conditional"),
        ("<!ATTLIST a b TEXT #IMPLIED>", 18, "no type"),
        ("<!-- never closed", 4, "`-->` is missing"),
        ("", 0, "no element"),
    ];
    for (text, offset, reason) in cases {
        let error = Dtd::parse(text.as_bytes()).unwrap_err();
        assert!(error.reason.contains(reason), "{text}: {error}");
        assert_eq!(error.offset, offset, "{text}");
    }
    let deep = format!("<!ELEMENT a {}b{}>", "(".repeat(500), ")".repeat(500));
    assert!(Dtd::parse(deep.as_bytes()).unwrap_err().reason.contains("too deep"));
    assert!(Dtd::parse(b"<!ELEMENT a ANY>\xFF").is_err());
}

#[test]
fn damaged_definitions_never_panic() {
    for cut in 0..LETTER.len() {
        if LETTER.is_char_boundary(cut) {
            let _ = Dtd::parse(&LETTER.as_bytes()[..cut]);
        }
        let mut bytes = LETTER.as_bytes().to_vec();
        bytes[cut] = bytes[cut].wrapping_add(13);
        let _ = Dtd::parse(&bytes);
    }
}
