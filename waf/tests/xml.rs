//! Rules that read more of XML bodies than their text and attributes.

#![allow(clippy::unwrap_used)]

mod support;

use hop3_seclang::loader::MemoryLoader;
use hop3_waf::{Ruleset, Verdict};

const HEAD: &str = "SecRuleEngine On\n\
    SecAction \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"\n";

/// Whether the rules refuse an XML body.
fn refused(rules: &str, body: &str) -> bool {
    let ruleset = support::ruleset(&format!("{HEAD}{rules}"));
    let mut transaction = support::transaction(&ruleset);
    transaction.set_request_line(b"POST", b"/", b"HTTP/1.1");
    let _ = transaction.process_request_headers();
    let _ = transaction.append_request_body(body.as_bytes());
    matches!(transaction.process_request_body(), Verdict::Interrupt(_))
}

#[test]
fn xpath_chooses_what_a_rule_reads() {
    let user = "SecRule XML:/a/user[@kind='x'] \"@streq root\" \"id:2,phase:2,deny\"";
    assert!(refused(user, "<a><user kind='x'>root</user></a>"));
    assert!(!refused(user, "<a><user kind='y'>root</user></a>"));
    assert!(!refused(user, "<a><b><user kind='x'>root</user></b></a>"));
    let soap = "SecRule XML:/s:E/s:B \"@contains x\" \"id:2,phase:2,deny,xmlns:s=urn:soap\"";
    assert!(refused(soap, "<q:E xmlns:q='urn:soap'><q:B>axb</q:B></q:E>"));
    assert!(!refused(soap, "<s:E xmlns:s='urn:other'><s:B>axb</s:B></s:E>"));
    let count = "SecRule &XML:/a/b \"@gt 2\" \"id:2,phase:2,deny\"";
    assert!(refused(count, "<a><b/><b/><b/></a>"));
    assert!(!refused(count, "<a><b/><b/></a>"));
}

#[test]
fn a_body_that_is_not_well_formed_is_looked_at_whole() {
    let rule = "SecRule XML:/a/b \"@contains root\" \"id:2,phase:2,deny\"";
    assert!(!refused(rule, "<a><c>root</c></a>"));
    assert!(refused(rule, "<a><c>root</c>"));
    assert!(refused(rule, "<a><c d='root'/></x>"));
}

#[test]
fn exclusions_mean_the_expression_they_name() {
    let rule = "SecRule XML:/a/b|XML:/a/c \"@streq root\" \"id:2,phase:2,deny\"";
    let body = "<a><b>root</b></a>";
    assert!(refused(rule, body));
    let without = |path: &str| format!("{rule}\nSecRuleUpdateTargetById 2 !XML:{path}");
    assert!(!refused(&without("/a/b"), body));
    assert!(refused(&without("/a/c"), body));
    let control = |path: &str| {
        format!("SecAction \"id:3,phase:1,pass,nolog,ctl:ruleRemoveTargetById=2;XML:{path}\"\n{rule}")
    };
    assert!(!refused(&control("/a/b"), body));
    assert!(refused(&control("/a/c"), body));
}

#[test]
fn expressions_that_are_not_supported_are_shown_with_their_place() {
    let rules = "SecRule XML:/a/preceding::b \"x\" \"id:2\"\nSecRule XML:/s:a \"x\" \"id:3\"";
    let document = hop3_seclang::parse_str("test.conf", rules, &MemoryLoader::new()).unwrap();
    let error = Ruleset::compile(&document).unwrap_err().to_string();
    assert!(error.contains("axis `preceding` is not supported"), "{error}");
    assert!(error.contains("test.conf:1:16"), "{error}");
    assert!(error.contains("prefix `s` has no namespace"), "{error}");
    assert!(error.contains("test.conf:2:14"), "{error}");
}

const DTD: &str = "<!ELEMENT a (b*)><!ELEMENT b (#PCDATA)><!ATTLIST b kind (x|y) #REQUIRED>";
const XSD: &str = "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'><xs:element name='a'><xs:complexType><xs:sequence>\
    <xs:element name='b' type='xs:int' maxOccurs='3'/></xs:sequence></xs:complexType></xs:element></xs:schema>";

fn validated(rule: &str, body: &str) -> Result<Option<String>, String> {
    let loader = MemoryLoader::new()
        .with("a.dtd", DTD)
        .with("a.xsd", XSD)
        .with("bad.dtd", "<!ELEMENT")
        .with("bad.xsd", "<a/>");
    let text = format!("{HEAD}SecXmlExternalEntity On\n{rule}");
    let document = hop3_seclang::parse_str("test.conf", &text, &loader).map_err(|error| error.to_string())?;
    let ruleset = std::sync::Arc::new(Ruleset::compile(&document).map_err(|error| error.to_string())?);
    let mut transaction = support::transaction(&ruleset);
    transaction.set_request_line(b"POST", b"/", b"HTTP/1.1");
    let _ = transaction.process_request_headers();
    let _ = transaction.append_request_body(body.as_bytes());
    let verdict = transaction.process_request_body();
    let data = transaction.matches().first().map(|found| found.data.clone());
    Ok(data.filter(|_| matches!(verdict, Verdict::Interrupt(_))))
}

#[test]
fn bodies_are_held_against_definitions() {
    let dtd = "SecRule XML \"@validateDTD a.dtd\" \"id:2,phase:2,deny,logdata:'%{MATCHED_VAR}'\"";
    assert_eq!(validated(dtd, "<a><b kind='x'>1</b></a>"), Ok(None));
    assert_eq!(validated(dtd, ""), Ok(None));
    for (body, reason) in [
        ("<a><c/></a>", "No declaration for element c"),
        ("<a><b/></a>", "does not carry attribute kind"),
        ("<a><b kind='x'>1</b>", "not well formed"),
        ("<a><b kind='x'>&amp;&nothing;</b></a>", "not well formed"),
    ] {
        let found = validated(dtd, body).unwrap();
        assert!(found.as_ref().is_some_and(|found| found.contains(reason)), "{body}: {found:?}");
    }
    let schema = "SecRule XML \"@validateSchema a.xsd\" \"id:2,phase:2,deny,logdata:'%{MATCHED_VAR}'\"";
    assert_eq!(validated(schema, "<a><b> 1 </b></a>"), Ok(None));
    let found = validated(schema, "<a><b>x</b></a>").unwrap().unwrap();
    assert!(found.contains("'x' is not a valid value of the atomic type 'xs:int'"), "{found}");
}

#[test]
fn definitions_that_cannot_be_used_are_errors_at_load() {
    for (rule, reason) in [
        ("SecRule XML \"@validateDTD bad.dtd\" \"id:2\"", "the DTD `bad.dtd` cannot be used"),
        ("SecRule XML \"@validateSchema bad.xsd\" \"id:2\"", "the schema `bad.xsd` cannot be used"),
        ("SecRule XML:/* \"@validateDTD a.dtd\" \"id:2\"", "has to be `XML`"),
        (
            "SecXmlExternalEntity Off\nSecRule XML \"@validateDTD a.dtd\" \"id:2\"",
            "SecXmlExternalEntity is Off",
        ),
    ] {
        let error = validated(rule, "").unwrap_err();
        assert!(error.contains(reason), "{rule}: {error}");
    }
}
