//! Each lint on rules that deserve it and rules that do not.

use crate::loader::MemoryLoader;

/// `name line` of each finding.
fn lints(rules: &str) -> Vec<String> {
    let document =
        crate::parse_str("t.conf", rules, &MemoryLoader::new()).unwrap_or_else(|error| panic!("{error}"));
    let line = |lint: &super::Lint| {
        let place = lint.diagnostic.span.and_then(|span| document.sources.locate(span));
        format!("{} {}", lint.name, place.map_or(0, |(_, at)| at.line))
    };
    super::lint(&document).iter().map(line).collect()
}

#[test]
fn findings() {
    let cases: &[(&str, &[&str])] = &[
        // Jumps.
        ("SecAction \"id:1,phase:1,pass,skipAfter:END\"\nSecMarker END", &[]),
        (
            "SecRule ARGS a \"id:1,phase:1,pass,skipAfter:ENDE\"\nSecMarker END",
            &["unknown-marker 1", "unused-marker 2"],
        ),
        ("SecMarker A\nSecRule ARGS a \"id:1,phase:1,pass,skipAfter:A\"", &["unknown-marker 2"]),
        ("SecRule ARGS a \"id:1,phase:1,pass,skipAfter:2\"\nSecAction \"id:2,phase:1,pass\"", &[]),
        // Unreachable rules.
        (
            "SecAction \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:1,pass\"\nSecAction \"id:3,phase:1,pass\"",
            &["unreachable-rule 2"],
        ),
        (
            "SecAction \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:4,pass\"\nSecAction \"id:3,phase:5,pass\"",
            &["unreachable-rule 2"],
        ),
        ("SecAction \"id:1,phase:2,deny\"\nSecAction \"id:2,phase:1,pass\"", &[]),
        ("SecRule ARGS a \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:1,pass\"", &[]),
        (
            "SecAction \"id:1,phase:1,pass,skipAfter:A\"\nSecAction \"id:2,phase:1,pass\"\nSecMarker A\nSecAction \"id:3,phase:1,pass\"",
            &["unreachable-rule 2"],
        ),
        (
            "SecRule ARGS a \"id:9,phase:1,pass,skip:1\"\nSecAction \"id:1,phase:1,pass,skipAfter:A\"\nSecAction \"id:2,phase:1,pass\"\nSecMarker A",
            &[],
        ),
        ("SecAction \"id:1,phase:1,pass,skipAfter:A\"\nSecAction \"id:2,phase:2,pass\"\nSecMarker A", &[]),
        (
            "SecRule REQUEST_URI \"@unconditionalMatch\" \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:1,pass\"",
            &["unreachable-rule 2"],
        ),
        (
            "SecDefaultAction \"phase:1,deny\"\nSecAction \"id:1,phase:1,block\"\nSecAction \"id:2,phase:1,pass\"",
            &["unreachable-rule 3"],
        ),
        ("SecAction \"id:1,phase:1,block\"\nSecAction \"id:2,phase:1,pass\"", &[]),
        (
            "SecAction \"id:1,phase:1,allow:phase\"\nSecAction \"id:2,phase:1,pass\"\nSecAction \"id:3,phase:2,pass\"",
            &["unreachable-rule 2"],
        ),
        (
            "SecAction \"id:1,phase:1,allow:request\"\nSecAction \"id:3,phase:2,pass\"\nSecAction \"id:4,phase:3,pass\"",
            &["unreachable-rule 2"],
        ),
        // Whoever may be removed at run time closes nothing.
        (
            "SecRule ARGS a \"id:9,phase:1,pass,ctl:ruleRemoveById=1\"\nSecAction \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:1,pass\"",
            &[],
        ),
        ("SecAction \"id:1,phase:1,deny,tag:x\"\nSecAction \"id:2,phase:1,pass\"\nSecRuleRemoveByTag x", &[]),
        (
            "SecRuleRemoveById 1\nSecAction \"id:1,phase:1,deny\"\nSecAction \"id:2,phase:1,pass\"",
            &["removed-rule 2"],
        ),
        // Conditions.
        ("SecRule ARGS|!ARGS a \"id:1\"", &["never-matches 1"]),
        ("SecRule ARGS:a|!ARGS:A a \"id:1\"", &["never-matches 1"]),
        ("SecRule ARGS|!ARGS:a a \"id:1\"", &[]),
        ("SecRule REQUEST_URI|!ARGS:a a \"id:1\"", &["useless-exclusion 1"]),
        ("SecRule REQUEST_BODY a \"id:1,phase:1\"", &["no-value-yet 1"]),
        ("SecRule REQUEST_BODY|ARGS a \"id:1,phase:1\"", &[]),
        ("SecRule &REQUEST_BODY \"@eq 0\" \"id:1,phase:1\"", &[]),
        ("SecRule RESPONSE_BODY a \"id:1,phase:3\"", &["no-value-yet 1"]),
        ("SecRule ARGS \"@eq abc\" \"id:1\"", &["not-a-number 1"]),
        ("SecRule ARGS \"@eq -12\" \"id:1\"\nSecRule ARGS \"@gt %{tx.0}\" \"id:2\"", &[]),
        ("SecRule ARGS \"@streq Abc\" \"id:1,t:lowercase\"", &["never-matches 1"]),
        ("SecRule ARGS \"@streq Abc\" \"id:1,t:lowercase,t:urlDecode\"", &[]),
        ("SecRule ARGS \"@streq Abc\" \"id:1,t:lowercase,multiMatch\"", &[]),
        (
            "SecRule ARGS \"!@unconditionalMatch\" \"id:1\"\nSecRule ARGS \"@noMatch\" \"id:2\"",
            &["never-matches 1", "never-matches 2"],
        ),
        (
            "SecDefaultAction \"phase:2,pass,t:lowercase\"\nSecRule ARGS a \"id:1,t:trim\"",
            &["inherited-transformations 2"],
        ),
        (
            "SecDefaultAction \"phase:2,pass,t:lowercase\"\nSecRule ARGS a \"id:1,t:none,t:trim\"\nSecRule ARGS a \"id:2\"",
            &[],
        ),
        // Patterns.
        (
            "SecRule ARGS \"@rx [a&&b]\" \"id:1\"\nSecRule ARGS:/a\\<b/ a \"id:2\"",
            &["ambiguous-pattern 1", "ambiguous-pattern 2"],
        ),
        // Variables.
        ("SecAction \"id:1,setvar:tx.a=1\"", &["unread-variable 1"]),
        ("SecRule TX:a \"@eq 1\" \"id:1\"", &["unset-variable 1"]),
        ("SecAction \"id:1,setvar:tx.A=1\"\nSecRule TX:a \"@eq 1\" \"id:2\"", &[]),
        (
            "SecAction \"id:1,setvar:tx.a=1,setvar:tx.b=%{tx.a}\"\nSecRule ARGS \"@gt %{tx.b}\" \"id:2,capture,msg:'%{tx.0}'\"",
            &[],
        ),
        ("SecAction \"id:1,setvar:tx.a_%{rule.id}=1\"\nSecRule TX:a_1 \"@eq 1\" \"id:2\"", &[]),
        (
            "SecAction \"id:1,setvar:tx.a_1=1,setvar:tx.b=1\"\nSecRule TX:/^a_/ \"@eq 1\" \"id:2\"",
            &["unread-variable 1"],
        ),
        ("SecRule ARGS a \"id:1,setvar:tx.x=1\"\nSecRule TX a \"id:2\"", &[]),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .map(|(rules, expected)| (rules, expected, lints(rules)))
        .filter(|(_, expected, found)| found != *expected)
        .map(|(rules, expected, found)| format!("{rules}\n  expected {expected:?}\n  found    {found:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_name_is_in_the_table() {
    assert!(super::LINTS.is_sorted());
    let mut sources = [
        include_str!("flow.rs"),
        include_str!("condition.rs"),
        include_str!("pattern.rs"),
        include_str!("variables.rs"),
    ]
    .join("\n");
    sources.retain(|character| character != '\n');
    for (name, _) in super::LINTS {
        assert!(sources.contains(&format!("\"{name}\"")), "nothing reports {name}");
    }
}
