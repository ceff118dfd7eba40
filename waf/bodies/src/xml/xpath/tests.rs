//! What expressions select, and which are refused.

use super::XPath;
use crate::Limits;
use crate::xml::parse_tree;

const SHOP: &str = r#"<?xml version="1.0"?>
<shop xmlns:p="urn:price"><book category="cooking" id="1"><title lang="en">Everyday</title>
<p:price>30.00</p:price></book><book category="web"><title>XML &amp; <![CDATA[<b>]]></title><p:price>39.95</p:price>
<note>a<!-- -->b</note></book><q xmlns="urn:q"><book>hidden</book></q></shop>"#;

fn known(prefix: &str) -> Option<String> {
    [("p", "urn:price"), ("x", "urn:q")]
        .iter()
        .find(|known| known.0 == prefix)
        .map(|known| known.1.to_owned())
}

fn select(body: &str, path: &str) -> Vec<String> {
    let (_, tree) = parse_tree(body.as_bytes(), &Limits::default());
    let path = XPath::parse(path, &known).unwrap_or_else(|error| panic!("{path}: {error:?}"));
    let nodes = path.select(&tree).unwrap();
    nodes.iter().map(|node| String::from_utf8_lossy(tree.value(*node)).into_owned()).collect()
}

#[test]
fn paths_select_as_in_xpath() {
    let cases: &[(&str, &[&str])] = &[
        ("/shop/book/title", &["Everyday", "XML & <b>"]),
        ("/shop/book/p:price[text()]", &["30.00", "39.95"]),
        ("/shop/book/price", &[]),
        ("/shop/book/@category", &["cooking", "web"]),
        ("/shop/book[@id]/@*", &["cooking", "1"]),
        ("//book", &["Everyday\n30.00", "XML & <b>39.95\nab"]),
        ("//x:book", &["hidden"]),
        ("//x:*", &["hidden", "hidden"]),
        ("//title/@lang", &["en"]),
        ("//note/text()", &["a", "b"]),
        ("/shop/book[2]/title", &["XML & <b>"]),
        ("/shop/book[last()]/title", &["XML & <b>"]),
        ("/shop/book[position() < 2]/title", &["Everyday"]),
        ("/shop/book[p:price > 35]/title", &["XML & <b>"]),
        ("/shop/book[p:price=30]/title", &["Everyday"]),
        ("/shop/book[@category = 'web']/title", &["XML & <b>"]),
        ("/shop/book[@category != \"web\" and title]/@id", &["1"]),
        ("/shop/book[@id=2 or contains(title, 'XML')]/note", &["ab"]),
        ("/shop/book[not(@id)]/note", &["ab"]),
        ("//*[local-name()='book'][starts-with(., 'hid')]", &["hidden"]),
        ("//*[namespace-uri()='urn:price' and string-length() = 5]", &["30.00", "39.95"]),
        ("/*/book[count(title) = 1][1]/@id", &["1"]),
        ("//title[normalize-space(.)='Everyday']/../@id", &["1"]),
        ("/child::shop/descendant::note", &["ab"]),
        ("//p:price[. = '39.95']/parent::book/note", &["ab"]),
        ("/shop//@id[. = 1]", &["1"]),
        ("//book[title][2]/note", &["ab"]),
        ("//book[@id]/self::node()/title", &["Everyday"]),
        ("/shop/book[true()][false() or number(@id) = 1]/@id", &["1"]),
        ("//*[name()='p:price']", &["30.00", "39.95"]),
        ("/shop/nothing", &[]),
    ];
    for (path, expected) in cases {
        assert_eq!(select(SHOP, path), *expected, "{path}");
    }
}

#[test]
fn positions_count_within_each_parent() {
    let body = "<r><a><b>1</b><b>2</b></a><a><b>3</b><a><b>4</b></a></a></r>";
    assert_eq!(select(body, "//b[1]"), ["1", "3", "4"]);
    assert_eq!(select(body, "//a//b"), ["1", "2", "3", "4"]);
    assert_eq!(select(body, "/descendant::b[1]"), ["1"]);
    assert_eq!(select(body, "//a[b]//b[last()]"), ["2", "3", "4"]);
}

#[test]
fn what_is_not_supported_is_refused_with_its_place() {
    let cases = [
        ("book", 0, "has to begin"),
        ("/", 1, "a name, `*`"),
        ("/a/", 3, "a name, `*`"),
        ("/a|/b", 2, "`|`"),
        ("/soap:a", 1, "prefix `soap` has no namespace"),
        ("/p:", 3, "behind the prefix"),
        ("/following::a", 1, "axis `following`"),
        ("/comment()", 1, "`comment()`"),
        ("/a[substring(., 1)]", 3, "function `substring()`"),
        ("/a[-1]", 3, "arithmetic"),
        ("/a[b", 4, "`]` is expected"),
        ("/a['b]", 3, "never closed"),
        ("/a[count('x')]", 3, "does not take"),
        ("/a[contains(b)]", 3, "does not take"),
        ("/a b", 3, "`b` is not expected"),
        ("/a[b + 1]", 5, "`]` is expected"),
        ("/a[1.2.3]", 3, "no number"),
        ("/a[$x]", 3, "a name, `*`"),
    ];
    for (path, offset, reason) in cases {
        let error = XPath::parse(path, &known).unwrap_err();
        assert!(error.reason.contains(reason), "{path}: {error:?}");
        assert_eq!(error.offset, offset, "{path}: {error:?}");
    }
    for path in [format!("/a{}", "[a".repeat(1000)), format!("/{}", "a".repeat(5000))] {
        assert!(XPath::parse(&path, &known).is_err());
    }
}

#[test]
fn work_is_bounded_by_the_size_of_the_document() {
    let deep = format!("{}{}{}", "<a>".repeat(500), "x".repeat(5000), "</a>".repeat(500));
    let (_, tree) = parse_tree(deep.as_bytes(), &Limits::default());
    assert_eq!(XPath::parse("//a//a//a", &known).unwrap().select(&tree).unwrap().len(), 498);
    let expensive = "//a[.//a[.//a[contains(., 'y')]]]";
    assert!(XPath::parse(expensive, &known).unwrap().select(&tree).is_err());
}

#[test]
fn damaged_paths_never_panic() {
    let path = "/shop/p:book[@id='é' and contains(a, \"x\")]//x:*[2]/text()";
    for (cut, _) in path.char_indices() {
        let _ = XPath::parse(&path[..cut], &known);
        let _ = XPath::parse(&path[cut..], &known);
        let _ = XPath::parse(&format!("/{}", &path[cut..]), &known);
    }
}
