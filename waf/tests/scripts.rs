//! Lua scripts of rules: what they see and set, and that they fail closed.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use hop3_seclang::loader::MemoryLoader;
use hop3_waf::{EngineMode, Ruleset, Transaction, Verdict};

const SCRIPTS: &[(&str, &str)] = &[
    (
        "score.lua",
        "function main()\n  local n = tonumber(m.getvar('TX.n') or '0')\n  m.setvar('tx.n', n + #m.getvars('ARGS'))\nend",
    ),
    ("root.lua", "function main(value)\n  if value == 'root' then return 'found ' .. value end\nend"),
    (
        "header.lua",
        "function main()\n  return m.getvar('REQUEST_HEADERS.X-Kind', {'lowercase', 'trim'}) == 'bad' and 'bad kind' or nil\nend",
    ),
    ("ip.lua", "function main()\n  m.setvar('ip.seen', m.getvar('REMOTE_ADDR'))\nend"),
    ("endless.lua", "function main()\n  while true do end\nend"),
    ("wrong.lua", "function main()\n  return nothing.at.all\nend"),
];

fn ruleset(rules: &str) -> Result<Arc<Ruleset>, String> {
    let loader = SCRIPTS.iter().fold(MemoryLoader::new(), |loader, (name, text)| loader.with(name, *text));
    let loader = loader.with("broken.lua", "function main(");
    let text = format!("SecRuleEngine On\n{rules}");
    let document =
        hop3_seclang::parse_str("test.conf", &text, &loader).map_err(|errors| errors.to_string())?;
    Ruleset::compile(&document).map(Arc::new).map_err(|error| error.to_string())
}

fn run(rules: &str, target: &str) -> (Verdict, Transaction) {
    let mut transaction = support::transaction(&ruleset(rules).unwrap());
    transaction.set_request_line(b"GET", target.as_bytes(), b"HTTP/1.1");
    transaction.add_request_header(b"X-Kind", b" BAD ");
    let _ = transaction.process_request_headers();
    (transaction.process_request_body(), transaction)
}

fn is_refused(rules: &str, target: &str) -> bool {
    matches!(run(rules, target).0, Verdict::Interrupt(_))
}

#[test]
fn scripts_read_and_set_variables() {
    // The comparison is certain without the script, so nothing may be decided at load.
    let rules = "SecAction \"id:1,phase:2,pass,nolog,setvar:tx.n=1\"\n\
        SecRuleScript score.lua \"id:2,phase:2,pass,nolog\"\n\
        SecRule TX:n \"@gt 2\" \"id:3,phase:2,deny\"";
    assert!(is_refused(rules, "/?a=1&b=2"));
    assert!(!is_refused(rules, "/?a=1"));
    let rules = "SecRuleScript header.lua \"id:1,phase:2,deny\"";
    assert!(is_refused(rules, "/"));
    let rules = "SecRule ARGS \"@rx .\" \"id:1,phase:2,pass,nolog,exec:ip.lua\"\n\
        SecRule IP:seen \"@streq 127.0.0.1\" \"id:2,phase:2,deny\"";
    assert!(is_refused(rules, "/?a=1"));
    assert!(!is_refused(rules, "/"));
}

#[test]
fn inspect_file_is_asked_about_each_value() {
    let rules = "SecRule ARGS \"@inspectFile root.lua\" \"id:1,phase:2,deny,t:lowercase\"";
    assert!(is_refused(rules, "/?a=1&b=ROOT"));
    assert!(!is_refused(rules, "/?a=1&b=2"));
    assert!(!is_refused(&rules.replace("\"@", "\"!@").replace("ARGS", "ARGS:b"), "/?b=root"));
}

#[test]
fn scripts_that_fail_match_and_say_why() {
    for (script, reason) in [("endless.lua", "too many instructions"), ("wrong.lua", "wrong.lua:2")] {
        let (verdict, transaction) =
            run(&format!("SecRuleScript {script} \"id:1,phase:2,deny,logdata:'%{{MATCHED_VAR}}'\""), "/");
        assert!(matches!(verdict, Verdict::Interrupt(_)), "{script}");
        let data = &transaction.matches()[0].data;
        assert!(data.contains(reason) && data.contains("failed"), "{data}");
        let rules = format!("SecAction \"id:1,phase:2,pass,nolog,exec:{script}\"");
        let (verdict, transaction) = run(&rules, "/");
        assert!(
            matches!(verdict, Verdict::Interrupt(interruption) if interruption.status == 500),
            "{script}"
        );
        assert!(transaction.matches().iter().any(|found| found.logged && found.message.contains(reason)));
        let (verdict, transaction) = run(&format!("SecRuleEngine DetectionOnly\n{rules}"), "/");
        assert_eq!((verdict, transaction.engine()), (Verdict::Pass, EngineMode::DetectionOnly));
        assert!(transaction.matches().iter().any(|found| found.message.contains(reason)));
    }
}

#[test]
fn scripts_that_do_not_compile_are_errors_at_load() {
    for rule in [
        "SecRuleScript broken.lua \"id:1\"",
        "SecRule ARGS \"@inspectFile broken.lua\" \"id:1\"",
        "SecAction \"id:1,exec:broken.lua\"",
    ] {
        let error = ruleset(rule).unwrap_err();
        assert!(
            error.contains("`broken.lua` cannot be compiled") && error.contains("test.conf:2:"),
            "{error}"
        );
    }
}
