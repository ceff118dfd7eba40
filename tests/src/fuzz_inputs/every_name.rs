//! Rules that use every variable, operator and transformation there is.
//!
//! Made from the tables of the parser, so that a new name is fuzzed without
//! anyone thinking of it. A rule that does not compile by itself, because its
//! variable takes no selector or its operator not this argument, is left out.

use std::fmt::Write as _;
use std::sync::Arc;

use hop3_seclang::ast::{OperatorName, Variable};
use hop3_seclang::loader::MemoryLoader;
use hop3_seclang::parse_str;
use hop3_transformations::Transformation;
use hop3_waf::Ruleset;

const START: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
    SecParseXmlIntoArgs On\nSecDataset words `\none\ntwo\n`\n\
    SecDefaultAction \"phase:1,log,auditlog,pass\"\nSecDefaultAction \"phase:2,log,auditlog,pass\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"xml\" \"id:1,phase:1,nolog,ctl:requestBodyProcessor=XML\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"json\" \"id:2,phase:1,nolog,ctl:requestBodyProcessor=JSON\"\n\
    SecRule REQUEST_HEADERS:Content-Type \"^$|plain\" \"id:3,phase:1,nolog,ctl:forceRequestBodyVariable=On\"\n\
    SecAction \"id:4,phase:1,nolog,initcol:ip=%{REMOTE_ADDR},initcol:global=g,setsid:%{REQUEST_COOKIES.s},\
    setuid:%{ARGS.u},setvar:ip.n=+1,setvar:'session.%{ARGS.k}=%{ARGS.v}',expirevar:ip.n=60\"\n";

/// Decides, so that verdicts differ: on a chain, a score and a removal at run time.
const END: &str = "SecRule ARGS:remove \"@rx ^[0-9]+$\" \"id:9000,phase:1,pass,nolog,\
    ctl:ruleRemoveTargetById=100-999;ARGS:/^a/,ctl:ruleRemoveById=300-320\"\n\
    SecRule ARGS \"@contains chain\" \"id:9001,phase:2,deny,status:406,chain,setvar:tx.c=+1\"\n\
    SecRule MATCHED_VARS_NAMES|MATCHED_VAR \"@rx (a)(.)\" \"capture,chain\"\n\
    SecRule TX:c \"@ge %{tx.1}\" \"t:none\"\n\
    SecRule TX:score \"@ge 150\" \"id:9002,phase:4,deny,msg:'%{tx.score} %{MATCHED_VAR_NAME}'\"\n";

/// The least number of rules; fewer would mean that something no longer compiles.
const LEAST_RULES: usize = 250;

/// Arguments for operators: each takes those it can use.
const ARGUMENTS: [&str; 14] = [
    "",
    "a",
    "1",
    "a b one %",
    "%{TX.score}",
    "10.0.0.0/8,127.0.0.1,2001:db8::/32",
    "words.data",
    "networks.data",
    "words",
    "/a/{id}/b",
    "9,10,13,32-126",
    "us \\d{3}-?\\d{2}-?\\d{4}",
    "\\d{3}[\\d-]{3,16}",
    "(?i)(a+)b|^(?:[^x]*?\\bor\\b)+",
];

/// The rules, compiled.
pub(super) fn ruleset() -> Arc<Ruleset> {
    let mut text = START.to_owned();
    let mut id = 100;
    for rule in candidates() {
        let rule = rule.replace("ID", &id.to_string());
        if compile(&rule).is_ok() {
            text.push_str(&rule);
            id += 1;
        }
    }
    text.push_str(END);
    let ruleset = compile(&text).unwrap_or_else(|error| panic!("{error}"));
    assert!(ruleset.rule_count() >= LEAST_RULES, "only {} rules", ruleset.rule_count());
    Arc::new(ruleset)
}

fn candidates() -> Vec<String> {
    let mut rules = Vec::new();
    for variable in Variable::ALL {
        for target in [format!("{variable}"), format!("&{variable}"), format!("{variable}:/^[aj]/")] {
            // Phase 4 knows the response too.
            rules.push(format!("SecRule {target} \"@rx [a-f0-9]\" \"id:ID,phase:4,pass,nolog\"\n"));
        }
    }
    for path in ["XML:/*", "XML://@*"] {
        rules.push(format!("SecRule {path} \"@contains a\" \"id:ID,phase:2,pass\"\n"));
    }
    for operator in OperatorName::ALL {
        for argument in ARGUMENTS {
            let mut rule = "SecRule ARGS|ARGS_NAMES|REQUEST_HEADERS|REQUEST_BODY|XML:/* ".to_owned();
            // Writing to a string cannot fail.
            let _ = write!(
                rule,
                "\"@{operator} {argument}\" \"id:ID,phase:2,pass,capture,t:none,t:urlDecodeUni,"
            );
            rule.push_str(
                "setvar:tx.score=+1,msg:'%{MATCHED_VAR_NAME}',logdata:'%{TX.0} %{MATCHED_VAR}'\"\n",
            );
            rules.push(rule);
        }
    }
    for transformation in Transformation::ALL {
        let name = transformation.name();
        let steps = format!("t:none,t:{name},t:lowercase,t:{name}");
        rules.push(format!(
            "SecRule ARGS|FILES|REQUEST_COOKIES \"@rx ^.\" \"id:ID,phase:2,pass,nolog,multiMatch,{steps}\"\n"
        ));
    }
    rules
}

fn compile(text: &str) -> Result<Ruleset, String> {
    let loader = MemoryLoader::new()
        .with("words.data", "one\ntwo words\n# comment\n")
        .with("networks.data", "192.0.2.0/24\n2001:db8::/32\n");
    let document = parse_str("every.conf", text, &loader).map_err(|error| error.to_string())?;
    Ruleset::compile(&document).map_err(|error| error.to_string())
}
