//! What compiles, and what is refused where.

use hop3_seclang::loader::MemoryLoader;

use crate::ruleset::Ruleset;

fn compile(rules: &str) -> Result<Ruleset, String> {
    let loader =
        MemoryLoader::new().with("words.data", "# comment\r\nfoo bar\r\n\r\nbaz\n").with("empty.data", "#\n");
    let document =
        hop3_seclang::parse_str("t.conf", rules, &loader).map_err(|error| format!("parse: {error}"))?;
    Ruleset::compile(&document).map_err(|error| error.to_string())
}

#[test]
fn errors_show_the_place() {
    let error = compile("SecAction \"id:1,phase:1,pass\"\nSecRule ARGS \"@rx (a\" \"id:2,phase:2,pass\"\n")
        .unwrap_err();
    assert!(error.starts_with("error: t.conf:2:"), "{error}");
    assert!(error.contains("a group is not closed") && error.contains("^"), "{error}");
}

#[test]
fn every_error_is_reported() {
    let rules = "SecRule ARGS \"@rx (a\" \"id:1,phase:2,pass\"\n\
        SecRule XML \"@validateDTD words.data\" \"id:2,phase:2,pass\"\n\
        SecRule ARGS:/(/ \"@rx a\" \"id:3,phase:2,pass\"\n\
        SecRule XML:/a/preceding::b \"@rx a\" \"id:4,phase:2,pass\"\n";
    let error = compile(rules).unwrap_err();
    for line in 1..=4 {
        assert!(error.contains(&format!("t.conf:{line}:")), "line {line} in {error}");
    }
}

#[test]
fn what_is_not_supported_says_why() {
    for (rule, reason) in [
        ("SecRule XML \"@validateDTD words.data\" \"id:1,phase:2,pass\"", "SecXmlExternalEntity is Off"),
        ("SecRule XML \"@validateSchema words.data\" \"id:1,phase:2,pass\"", "SecXmlExternalEntity is Off"),
    ] {
        let error = compile(rule).unwrap_err();
        assert!(error.contains(reason), "{rule}: {error}");
    }
}

#[test]
fn warnings() {
    for (rules, expected) in [
        ("SecRule REMOTE_ADDR \"@rbl x.example\" \"id:1,phase:1,pass\"", "never matches"),
        ("SecRule REMOTE_ADDR \"@geoLookup\" \"id:1,phase:1,pass\"", "no SecGeoLookupDb"),
        ("SecRule ARGS \"@pmFromFile empty.data\" \"id:1,phase:2,pass\"", "no phrase"),
        ("SecRuleUpdateTargetById 7 \"!ARGS:a\"", "no rule with this id"),
        ("SecRuleRemoveById 7", "no rule"),
        ("SecAction \"id:1,phase:5,deny\"", "cannot interrupt"),
    ] {
        let ruleset = compile(rules).unwrap();
        let warnings: Vec<&str> = ruleset.warnings().iter().map(|warning| warning.message.as_str()).collect();
        assert!(warnings.iter().any(|warning| warning.contains(expected)), "{rules}: {warnings:?}");
    }
}

#[test]
fn patterns_that_need_backtracking_are_listed() {
    let rules =
        "SecRule ARGS \"@rx a(?=b)\" \"id:1,phase:2,pass\"\nSecRule ARGS \"@rx ab\" \"id:2,phase:2,pass\"\n";
    let ruleset = compile(rules).unwrap();
    let ids: Vec<u64> = ruleset.fallbacks().iter().map(|fallback| fallback.rule_id).collect();
    assert_eq!(ids, [1]);
}

#[test]
fn settings() {
    let ruleset = compile(
        "SecRuleEngine On\nSecRequestBodyLimit 1000\nSecResponseBodyMimeType text/css\n\
         SecResponseBodyMimeType (null)\nSecComponentSignature \"a/1\"\nSecPcreMatchLimit 1000\n",
    )
    .unwrap();
    let settings = ruleset.settings();
    assert_eq!(settings.engine, crate::EngineMode::On);
    assert_eq!(settings.request_body_limit, 1000);
    assert_eq!(settings.response_body_mime_types, ["text/css", ""]);
    assert_eq!(ruleset.component_signatures(), ["a/1"]);
    assert_eq!(ruleset.rule_count(), 0);
    assert!(settings.pcre_match_limit >= 100_000);
}
