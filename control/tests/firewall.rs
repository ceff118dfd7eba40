//! The firewall's commands over the real executable: check, test and explain; and what happens without rules.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::fs;

use server::{End, Server, folder, run};

const RULES: &str = "# own rules\nSecRule ARGS \"@rx union\\s+select\" \\\n    \
                     \"id:100,phase:2,deny,status:403,log,capture,t:none,t:urlDecodeUni,t:lowercase,msg:'SQL'\"\n";

#[test]
fn rule_files_are_checked_without_a_server() {
    let files = folder(&[
        ("good.conf", RULES),
        (
            "odd.conf",
            "SecRule ARGS \"@rx a(?=b)\" \"id:1,phase:2,pass,skipAfter:NOWHERE\"\nSecAction \"id:2,setvar:tx.a=1\"\n",
        ),
        ("bad.conf", "SecRule ARGS \"@contain x\" \"id:1,phase:2,deny\"\nSecAction \"id:1,pass\"\n"),
    ]);
    let path = |name: &str| files.path().join(name).display().to_string();
    let good = run(&["waf", "check", &path("good.conf")]);
    assert_eq!((good.code, good.stdout.as_str()), (0, "✓ 1 rule, 0 errors, 0 warnings\n"), "{good:?}");

    let odd = run(&["waf:check", &path("odd.conf")]);
    let file = path("odd.conf");
    assert_eq!(
        odd.stdout.replace(&file, "odd.conf"),
        "warning: odd.conf:1:14: the pattern of rule 1 has look-around: it runs on the backtracking engine\n   \
         1 | SecRule ARGS \"@rx a(?=b)\" \"id:1,phase:2,pass,skipAfter:NOWHERE\"\n     |              ^^^^^^^^^^^^\n\
         hint: its steps are limited, and running out of them counts as a match; write it without if you can\n\
         [pcre-only]\n\n\
         warning: odd.conf:1:46: there is no marker `NOWHERE`: the rest of the phase is skipped\n   \
         1 | SecRule ARGS \"@rx a(?=b)\" \"id:1,phase:2,pass,skipAfter:NOWHERE\"\n     |                                              ^^^^^^^^^^^^^^^^^\n\
         hint: add `SecMarker NOWHERE` where the phase should go on\n[unknown-marker]\n\n\
         ✓ 2 rules, 0 errors, 2 warnings, 1 note (-v shows them)\n"
    );
    assert_eq!(odd.code, 0);
    assert!(run(&["waf", "check", "-v", &file]).stdout.contains("info: "), "notes are shown when asked for");

    let bad = run(&["waf", "check", "--json", &path("bad.conf")]);
    assert_eq!(bad.code, 2);
    assert_eq!(bad.stderr, "", "everything is on stdout");
    let report: serde_json::Value = serde_json::from_str(&bad.stdout).unwrap();
    assert_eq!((&report["errors"], &report["rules"]), (&2.into(), &serde_json::Value::Null));
    assert_eq!(report["findings"][0]["hint"], "did you mean `@contains`?");
    assert_eq!(report["findings"][1]["line"], 2);
    // Together they are one ruleset.
    let twice = run(&["waf", "check", &path("good.conf"), &path("good.conf")]);
    assert_eq!(twice.code, 2, "{twice:?}");
    assert!(twice.stdout.contains("100"), "{twice:?}");
    assert_eq!(run(&["waf", "check", &path("none.conf")]).code, 3);
}

#[test]
fn formatting_rewrites_what_has_no_errors() {
    let files = folder(&[("a.conf", "# why\nsecaction id:1,pass\n"), ("b.conf", "SecRule\n")]);
    let (a, b) = (files.path().join("a.conf"), files.path().join("b.conf"));
    let wanted = "# why\nSecAction \\\n    \"id:1,\\\n    pass\"\n";
    let shown = run(&["waf", "check", "--format", a.to_str().unwrap()]);
    assert_eq!((shown.code, shown.stdout.as_str()), (0, wanted), "{shown:?}");
    let both = run(&["waf", "check", "--format", "--write", a.to_str().unwrap(), b.to_str().unwrap()]);
    assert_eq!(both.code, 2, "{both:?}");
    assert!(fs::read_to_string(&a).unwrap().contains("secaction"), "one error, nothing written");
    assert_eq!(run(&["waf", "check", "--format", "--write", a.to_str().unwrap()]).code, 0);
    assert_eq!(fs::read_to_string(&a).unwrap(), wanted);
}

#[test]
fn requests_are_tried_without_a_server() {
    let files = folder(&[
        ("own.conf", RULES),
        (
            "request",
            "POST /s HTTP/1.1\nHost: a\nContent-Type: application/x-www-form-urlencoded\n\nq=Union+Select\n",
        ),
    ]);
    let rules = files.path().join("own.conf").display().to_string();
    let told = run(&["waf", "test", "--ruleset", &rules, "GET /s?q=%2555NION SELECT"]);
    assert_eq!(told.code, 0, "{told:?}");
    // How many rules the engine's own settings have is theirs to say.
    let count = told.stdout.lines().nth(2).unwrap().to_owned();
    assert!(count.ends_with(" rules"), "{count}");
    let shown = told.stdout.replace(&count, "RULES").replace(&rules, "own.conf");
    let wanted = "REFUSED with status 403: SQL [id \"100\"]\nGET /s?q=%2555NION%20SELECT\nRULES\n\n   \
                  100  SQL  ← refused here\n        own.conf:2, phase 2\n        @rx union\\s+select\n        \
                  ARGS:q = %55NION SELECT\n          t:urlDecodeUni → UNION SELECT\n          \
                  t:lowercase → union select\n          matched: union select\n\n\
                  If this is no attack, these lines in hop3.toml silence it:\n\n    [[waf.tuning]]\n    \
                  path = \"/s\"\n    disable = [100]\n    targets = [\"ARGS:q\"]\n    reason = \"false positive\"\n\n\
                  Tried: with them the request is passed.\n";
    assert_eq!(shown, wanted);
    let request = files.path().join("request").display().to_string();
    let posted = run(&["waf", "test", "--ruleset", &rules, "--request", &request, "--json"]);
    let posted: serde_json::Value = serde_json::from_str(&posted.stdout).unwrap();
    assert_eq!(posted["outcome"]["action"], "deny");
    assert_eq!(posted["rules"][0]["values"][0]["variable"], "ARGS:q");
    let base = run(&["waf", "test", "--ruleset", "base", "/?id=1 UNION SELECT password FROM users--"]);
    assert!(base.stdout.starts_with("REFUSED with status 403, score "), "{base:?}");
    assert!(base.stdout.contains("Tried: with them the request is passed, score 0 of 5."), "{base:?}");
    let absent =
        run(&["waf", "test", "--ruleset", "owasp-crs", "/", "--data", files.path().to_str().unwrap()]);
    assert_eq!(absent.code, 6, "{absent:?}");
    assert!(absent.stderr.contains("hop3 rules install owasp-crs"), "{absent:?}");
}

#[test]
fn a_refusal_is_explained_from_the_log() {
    let server = Server::start();
    let site = folder(&[("Procfile", "static: .\n"), ("index.html", "hello")]);
    server.ok(&["deploy", "site", site.path().to_str().unwrap()]);
    let attack = "/s?id=1%20UNION%20SELECT%20password%20FROM%20users--&token=hunter2&card=4111111111111111";
    assert_eq!(server.get("site.localhost", attack).0, 403);
    let event = server.eventually(|| {
        let events: serde_json::Value =
            serde_json::from_str(&server.ok(&["waf", "logs", "site", "--json"])).unwrap();
        events.get(0).cloned()
    });
    let id = event["transaction"].as_str().unwrap();
    let told = server.ok(&["waf", "explain", id]);
    assert!(told.contains("ARGS:id = 1 UNION SELECT password FROM users--"), "{told}");
    assert!(told.contains("t:lowercase → "), "steps are worked out again: {told}");
    assert!(told.contains("targets = [\"ARGS:id\"]"), "{told}");
    assert!(told.contains("Tried: with them the request is passed"), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("41111111"), "a secret was shown: {told}");
    assert!(!event.to_string().contains("41111111"), "{event}");
    assert!(told.starts_with("REFUSED with status 403, score 10 of 5: "), "as `waf test` says it: {told}");
    let tried = server.ok(&["waf", "test", "--app", "site", "GET /?id=1 UNION SELECT password FROM users--"]);
    assert!(tried.starts_with("REFUSED with status 403, score "), "{tried}");
    assert!(server.ok(&["waf", "test", "--app", "site", "/", "--paranoia", "4"]).starts_with("PASSED"));
    assert_eq!(server.command(&["waf", "explain", "nothing"]).code, 3);
    assert_eq!(server.command(&["waf", "test", "--app", "sit", "/"]).code, 3);
}

#[test]
fn headers_are_kept_so_that_they_can_be_explained() {
    let server = Server::start();
    let rules = "SecRule REQUEST_HEADERS:X-Probe \"@rx evil\" \\\n  \
                 \"id:100,phase:1,deny,status:403,log,capture,t:none,t:lowercase,msg:'Probe'\"\n";
    let manifest = format!("[[waf.rules]]\nseclang = \'\'\'\n{rules}\'\'\'\n");
    let site = folder(&[("Procfile", "static: .\n"), ("index.html", "hello"), ("hop3.toml", &manifest)]);
    server.ok(&["deploy", "site", site.path().to_str().unwrap()]);
    let headers = "X-Probe: EVIL\r\nAuthorization: Bearer abcdef\r\nCookie: sid=123456\r\n";
    assert_eq!(server.get_with("site.localhost", "/", headers).0, 403);
    let event = server.eventually(|| {
        let events = server.ok(&["waf", "logs", "site", "--json"]);
        serde_json::from_str::<serde_json::Value>(&events).unwrap().get(0).cloned()
    });
    let shown = event.to_string();
    assert!(!shown.contains("abcdef") && !shown.contains("123456"), "{shown}");
    assert_eq!(event["headers"][1], serde_json::json!(["X-Probe", "EVIL"]));
    let told = server.ok(&["waf", "explain", event["transaction"].as_str().unwrap()]);
    for part in [
        "REQUEST_HEADERS:X-Probe = EVIL\n          t:lowercase → evil\n          matched: evil\n",
        "hop3.toml:3, phase 1",
        "Tried: with them the request is passed",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn responses_are_tried_with_their_requests() {
    let server = Server::start();
    let site = folder(&[("Procfile", "static: .\n"), ("index.html", "hello")]);
    server.ok(&["deploy", "site", site.path().to_str().unwrap()]);
    let leak = "HTTP/1.1 200 OK\nContent-Type: text/html\n\n\
                <b>Fatal error</b>: Uncaught PDOException: SQLSTATE[42000]: Syntax error or access violation: 1064 \
                You have an error in your SQL syntax; check the manual that corresponds to your MySQL server\n";
    let files = folder(&[
        ("leak", leak),
        ("plain", "HTTP/1.1 200 OK\nContent-Type: text/html\n\nhello\n"),
        ("bad", "hello\n"),
    ]);
    let path = |name: &str| files.path().join(name).display().to_string();
    let withheld = server.ok(&["waf", "test", "--app", "site", "/", "--response", &path("leak")]);
    assert!(withheld.starts_with("REFUSED with status "), "{withheld}");
    assert!(withheld.contains(", phase 4") && withheld.contains("RESPONSE_BODY = "), "{withheld}");
    let plain = server.ok(&["waf", "test", "--app", "site", "/", "--response", &path("plain")]);
    assert!(plain.starts_with("PASSED, score 0 of 5\n"), "{plain}");
    let here = run(&["waf", "test", "--ruleset", "base", "/", "--response", &path("leak")]);
    assert!(here.stdout.starts_with("REFUSED with status "), "{here:?}");
    let bad = run(&["waf", "test", "--ruleset", "base", "/", "--response", &path("bad")]);
    assert!(bad.code == 2 && bad.stderr.contains("begin with a line like `HTTP/1.1 200 OK`"), "{bad:?}");
}

#[test]
fn faults_in_own_rules_are_placed_in_the_manifest() {
    let server = Server::start();
    let manifest = "# é\n[waf]\nmode = 'block'\n\n[[waf.rules]]\nname = 'mine'\nseclang = \'\'\'\n\
                    SecAction \"id:1,phase:1,pass\"\n  SecRule ARGS \"@contain x\" \"id:2,phase:2,deny\"\n\'\'\'\n";
    let site = folder(&[("Procfile", "static: .\n"), ("index.html", "hello"), ("hop3.toml", manifest)]);
    let refused = server.command(&["deploy", "site", site.path().to_str().unwrap()]);
    assert_eq!(refused.code, 2, "{refused:?}");
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("hop3.toml:9:17: "), "{said}");
    assert!(said.contains("9 |   SecRule ARGS \"@contain x\""), "{said}");
}

#[test]
fn without_its_rules_an_app_answers_503_and_says_so() {
    let mut server = Server::start();
    let app = folder(&[
        ("Procfile", "static: .\n"),
        ("index.html", "hello"),
        ("own.conf", RULES),
        ("hop3.toml", "[[waf.rules]]\nfile = 'own.conf'\n"),
    ]);
    server.ok(&["deploy", "site", app.path().to_str().unwrap()]);
    assert_eq!(server.get("site.localhost", "/").0, 200);
    let own = server.data().join("apps/site/releases/v1/source/own.conf");
    fs::write(&own, "SecRule ARGS \"@nonsense\" \"id:100\"\n").unwrap();
    server.restart(End::Terminate);
    assert_eq!(server.get("site.localhost", "/").0, 503, "never forwarded unseen");
    let status = server.ok(&["app:status", "site"]);
    assert!(status.contains("│ FAILED "), "{status}");
    assert!(status.contains("closed: every request is answered 503: "), "{status}");
    let status = server.ok(&["waf:status", "site"]);
    assert!(status.contains("│ closed ") && status.contains("own.conf"), "{status}");
    fs::write(&own, RULES).unwrap();
    server.restart(End::Terminate);
    server.eventually(|| (server.get("site.localhost", "/").0 == 200).then_some(()));
}
