//! The whole product over real sockets: deploy, attack, block, failed deploys, restarts, crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::path::Path;

use hop3_tests::apps;
use hop3_tests::server::{Server, wait_until};

const UNION: &str = "/?id=1%20UNION%20SELECT%20password%20FROM%20users--";

fn deploy(server: &Server, app: &str, dir: &Path) -> String {
    server.hop3(&["deploy", app, dir.to_str().unwrap()]).succeeded()
}

/// An application of two files that answers every request with `text`.
fn answering(text: &str) -> tempfile::TempDir {
    let program = format!(
        "import http.server, os\n\
         class Handler(http.server.BaseHTTPRequestHandler):\n\
         \x20   def do_GET(self):\n\
         \x20       body = {text:?}.encode()\n\
         \x20       self.send_response(200)\n\
         \x20       self.send_header('Content-Length', str(len(body)))\n\
         \x20       self.end_headers()\n\
         \x20       self.wfile.write(body)\n\
         \x20   do_POST = do_GET\n\
         http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()\n"
    );
    apps::folder(&[("Procfile", "web: python3 serve.py\n"), ("serve.py", &program)])
}

#[test]
fn a_flask_application_behind_the_core_rule_set() {
    let server = Server::start("");
    server.install_crs();
    let app = apps::flask_hello();
    let said = deploy(&server, "flask-hello", app.path());
    for line in [
        "> Starting deployment for app 'flask-hello'",
        "-> Using builder",
        "Healthy after",
        "finished successfully",
    ] {
        assert!(said.contains(line), "{said}");
    }

    let host = "flask-hello.localhost";
    let page = server.curl(host, "/?name=Ann", &[]);
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("Hello, Ann!"), "{}", page.text);
    let posted = server.curl(host, "/notes", &["--json", r#"{"text":"Tea & biscuits at 4 o'clock"}"#]);
    assert_eq!(posted.status, 200, "{}", posted.text);
    assert!(posted.text.contains("biscuits"), "{}", posted.text);

    for (path, arguments) in [
        (UNION, &[][..]),
        ("/?q=%3Cscript%3Ealert(1)%3C/script%3E", &[]),
        ("/notes", &["--data", "file=../../../../etc/passwd"]),
        ("/notes", &["--json", r#"{"text":"1' OR '1'='1' -- "}"#]),
    ] {
        let refused = server.curl(host, path, arguments);
        assert_eq!(refused.status, 403, "{path} {}", refused.text);
        let body = refused.text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap();
        assert!(!body.contains("94") || !body.contains("SQL"), "the page says too much: {body}");
    }

    wait_until("the refusals are logged", || {
        server.hop3(&["waf", "logs", "flask-hello"]).succeeded().contains("942100")
    });
    let status = server.hop3(&["waf", "status"]).succeeded();
    assert!(status.contains("owasp-crs"), "{status}");
    let metrics = server.metrics();
    for series in ["hop3_waf_verdicts_total", "hop3_waf_rule_matches_total", "hop3_http_requests_total"] {
        let counted = |line: &str| line.starts_with(series) && line.contains("flask-hello");
        assert!(metrics.lines().any(counted), "{series} is missing in\n{metrics}");
    }
    assert!(server.hop3(&["app:status", "flask-hello"]).succeeded().contains("RUNNING"));
    assert!(server.hop3(&["app:ping", "flask-hello"]).succeeded().contains("200"));
    assert!(server.hop3(&["app:logs", "flask-hello"]).succeeded().contains("==> web.1 <=="));
}

#[test]
fn a_failed_deploy_leaves_the_running_version_alone() {
    let server = Server::start("");
    let first = answering("first version");
    deploy(&server, "demo", first.path());
    let serves_first = || server.curl("demo.localhost", "/", &[]).text.contains("first version");
    assert!(serves_first());

    let crashing = apps::folder(&[("Procfile", "web: python3 -c \"raise SystemExit('no such table')\"\n")]);
    let said = server.hop3(&["deploy", "demo", crashing.path().to_str().unwrap()]).failed_with(8);
    assert!(said.contains("no such table"), "the output of the application is missing: {said}");
    assert!(serves_first());

    let unbuildable = apps::folder(&[
        ("Procfile", "web: python3 app.py\n"),
        ("app.py", ""),
        ("requirements.txt", "--no-index\nno-such-package-anywhere==1.0\n"),
    ]);
    let said = server.hop3(&["deploy", "demo", unbuildable.path().to_str().unwrap()]).failed_with(8);
    assert!(said.contains("no-such-package-anywhere"), "{said}");
    assert!(serves_first());

    let failing = apps::folder(&[
        ("Procfile", "web: python3 -m http.server --bind 127.0.0.1 $PORT\n"),
        ("hop3.toml", "[run]\nstart-timeout = \"20s\"\n[healthcheck]\npath = \"/missing\"\nstatus = 200\n"),
    ]);
    let said = server.hop3(&["deploy", "demo", failing.path().to_str().unwrap()]).failed_with(8);
    assert!(said.contains("404"), "the probe's answer is missing: {said}");
    assert!(serves_first());

    let second = answering("second version");
    deploy(&server, "demo", second.path());
    assert!(server.curl("demo.localhost", "/", &[]).text.contains("second version"));
}

#[test]
fn applications_come_back_after_a_restart_and_after_a_crash() {
    let mut server = Server::start("");
    let app = answering("still here");
    deploy(&server, "demo", app.path());
    server.hop3(&["config:set", "demo", "GREETING=good morning"]).succeeded();
    let serves = |server: &Server| {
        wait_until("the application answers", || {
            server.curl("demo.localhost", "/", &[]).text.contains("still here")
        });
    };
    serves(&server);

    server.stop();
    server.resume();
    serves(&server);

    for _ in 0..3 {
        server.kill();
        server.resume();
        serves(&server);
        let shown = server.hop3(&["config:show", "demo", "--reveal"]).succeeded();
        assert!(shown.contains("good morning"), "{shown}");
        assert_eq!(server.curl("demo.localhost", UNION, &[]).status, 403, "the firewall is back as well");
    }
    let status = server.hop3(&["app:status", "demo"]).succeeded();
    assert!(status.contains("RUNNING"), "{status}");
}

#[test]
fn a_ruleset_that_is_not_installed_refuses_the_deploy_with_the_command_to_type() {
    let server = Server::start("");
    let app = answering("hello");
    fs::write(app.path().join("hop3.toml"), "[waf]\nruleset = \"owasp-crs\"\n").unwrap();
    let ran = server.hop3(&["deploy", "demo", app.path().to_str().unwrap()]);
    assert_ne!(ran.code, 0);
    assert!(ran.text.contains("hop3 rules install owasp-crs"), "{}", ran.text);
}

#[test]
fn broken_own_rules_are_refused_with_their_place_and_the_old_rules_stay() {
    let server = Server::start("");
    let app = answering("hello");
    let own = |operator: &str| {
        format!(
            "[[waf.rules]]\nname = \"no-tea\"\nseclang = '''\nSecRule ARGS:q \"@{operator} tea\" \"id:100,phase:2,deny,status:403\"\n'''\n"
        )
    };
    fs::write(app.path().join("hop3.toml"), own("streq")).unwrap();
    deploy(&server, "demo", app.path());
    assert_eq!(server.curl("demo.localhost", "/?q=tea", &[]).status, 403);
    assert_eq!(server.curl("demo.localhost", "/?q=coffee", &[]).status, 200);

    fs::write(app.path().join("hop3.toml"), own("streql")).unwrap();
    let ran = server.hop3(&["deploy", "demo", app.path().to_str().unwrap()]);
    assert_ne!(ran.code, 0);
    for part in ["unknown operator `@streql`", "^^^^", "did you mean `@streq`?"] {
        assert!(ran.text.contains(part), "{}", ran.text);
    }
    assert_eq!(server.curl("demo.localhost", "/?q=tea", &[]).status, 403);
}

#[test]
fn modes_and_levels_follow_the_application() {
    let server = Server::start("");
    for (waf, status) in [("mode = \"detect\"", 200), ("enabled = false", 200), ("mode = \"block\"", 403)] {
        let app = answering("hello");
        fs::write(app.path().join("hop3.toml"), format!("[waf]\n{waf}\n")).unwrap();
        deploy(&server, "demo", app.path());
        assert_eq!(server.curl("demo.localhost", UNION, &[]).status, status, "{waf}");
    }
}

#[test]
fn a_second_server_on_the_same_data_is_refused_with_the_holders_pid() {
    let server = Server::start("");
    let config = server.path("hop3-server.toml");
    let data = server.path("");
    let ran = server.hop3(&["serve", "--data", data.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    assert_eq!(ran.code, 6, "{}", ran.text);
    assert!(ran.text.contains("process "), "{}", ran.text);
}
