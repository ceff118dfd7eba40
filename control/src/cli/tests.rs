//! The grammar: both spellings of every verb parse to the same command.

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<String, clap::Error> {
    let words = line.split(' ').map(OsString::from).collect();
    Cli::try_parse_from(spelling::separate(words)).map(|cli| format!("{:?} {:?}", cli.command, cli.global))
}

#[test]
fn clap_finds_no_fault_in_the_grammar() {
    Cli::command().debug_assert();
}

#[test]
fn both_spellings_mean_the_same() {
    let verbs = [
        ("app", &["list", "status", "ping", "logs", "start", "stop", "restart", "destroy", "create"][..], ""),
        ("config", &["show"], ""),
        ("env", &["show"], ""),
        ("config", &["get", "unset"], " KEY"),
        ("config", &["set"], " KEY=VALUE"),
        ("waf", &["status", "logs"], ""),
        ("waf", &["check"], " a.conf"),
        ("waf", &["test"], " /x"),
        ("waf", &["explain"], " ID"),
        ("certs", &["list", "renew", "remove"], ""),
        ("cert", &["status"], ""),
        ("certs", &["add"], " demo chain.pem key.pem"),
        ("rules", &["list", "install", "use", "verify"], ""),
    ];
    for (group, names, rest) in verbs {
        for verb in names {
            let colon = parse(&format!("hop3 {group}:{verb}{rest}")).unwrap();
            assert_eq!(colon, parse(&format!("hop3 {group} {verb}{rest}")).unwrap(), "{group} {verb}");
        }
    }
    assert_eq!(parse("hop3 env:set A=1").unwrap(), parse("hop3 config set A=1").unwrap());
    assert_eq!(parse("hop3 waf:rules:list").unwrap(), parse("hop3 waf rules list").unwrap());
}

#[test]
fn what_the_reference_shows_is_understood() {
    for line in [
        "hop3 serve --data /tmp/x --config a.toml",
        "hop3 deploy demo-app ./app-dir --env A=1 --env B=2 --dry-run",
        "hop3 deploy",
        "hop3 app:status demo",
        "hop3 app status --app demo",
        "hop3 app status -a demo --json",
        "hop3 app:logs demo -n 5 -f --grep x --process web --build",
        "hop3 config:set demo APP_NAME=Hop3Demo ENVIRONMENT=production",
        "hop3 --data /tmp/x app:list -q",
        "hop3 app:destroy demo -y --no-input",
        "hop3 waf logs demo -n 5",
        "hop3 waf check a.conf b --json -v",
        "hop3 waf check --format --write a.conf",
        "hop3 waf test /?q=1 --app demo",
        "hop3 waf test --app demo --request -",
        "hop3 waf:test --ruleset base --paranoia 2 -H A:b --body x /login",
        "hop3 waf:explain 0190a",
        "hop3 rules install owasp-crs --version 4.28.0 --from /tmp/crs",
        "hop3 rules use owasp-crs 4.28.0",
        "hop3 rollback demo --to v2",
        "hop3 releases demo",
        "hop3 audit --verify",
        "hop3 status",
        "hop3 version",
        "hop3 completion bash",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    for line in [
        "hop3 waf check",
        "hop3 waf check --write a.conf",
        "hop3 waf test",
        "hop3 waf test /x --request f",
        "hop3 waf test /x --app a --ruleset base",
        "hop3 waf test /x --paranoia 5",
        "hop3 waf explain",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn the_executable_answers_to_both_names() {
    for (called, name) in
        [("hop", "hop"), ("/usr/bin/hop", "hop"), ("hop3", "hop3"), ("./other", "hop3"), ("", "hop3")]
    {
        assert_eq!(program(&[called.into()]), name, "{called}");
    }
    let help = grammar("hop").render_help().to_string();
    assert!(help.contains("Usage: hop ") && help.contains("`hop app:status demo`"), "{help}");
    assert!(!help.contains("`hop3 "), "{help}");
}
