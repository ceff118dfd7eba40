//! What firewalls write beside the server's own log: audit and debug logs, persistent collections; over the executable.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use server::{End, Server, folder};

/// An app with a page and these rules.
fn site(rules: &str, waf: &str) -> tempfile::TempDir {
    let manifest = format!("[waf]\n{waf}\n[[waf.rules]]\nposition = 'after'\nseclang = '''\n{rules}'''\n");
    folder(&[("Procfile", "static: .\n"), ("index.html", "hello"), ("hop3.toml", &manifest)])
}

fn deploy(server: &Server, app: &tempfile::TempDir) {
    server.ok(&["deploy", "site", app.path().to_str().unwrap()]);
}

const EVIL: &str =
    "SecRule ARGS:q \"@contains evil\" \"id:100,phase:2,deny,status:403,log,auditlog,msg:'Evil'\"\n";

#[test]
fn an_app_has_its_audit_log_which_may_be_rotated() {
    let server = Server::start();
    let rules = format!("SecAuditEngine RelevantOnly\nSecAuditLog audit.log\nSecAuditLogParts ABHZ\n{EVIL}");
    deploy(&server, &site(&rules, ""));
    assert_eq!(server.get("site.localhost", "/?q=good").0, 200);
    assert_eq!(server.get("site.localhost", "/?q=evil&token=abcdef").0, 403);
    let log = server.data().join("apps/site/logs/waf/audit.log");
    let read = |path: &Path| fs::read_to_string(path).ok().filter(|text| text.contains("-Z--\n"));
    let text = server.eventually(|| read(&log));
    assert!(text.contains("GET /?q=evil&token=******** HTTP/1.1\nHost: site.localhost"), "{text}");
    assert!(text.contains("[file \"hop3.toml\"] [line \"9\"] [id \"100\"]"), "{text}");
    assert!(!text.contains("good") && !text.contains("abcdef"), "{text}");
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    // As logrotate does it.
    let old = log.with_extension("log.1");
    fs::rename(&log, &old).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(server.get("site.localhost", "/?q=evil2").0, 403);
    let text = server.eventually(|| read(&log));
    assert!(text.contains("evil2"), "{text}");
    assert!(!fs::read_to_string(&old).unwrap().contains("evil2"));
}

#[test]
fn concurrent_logs_are_files_and_an_index_and_nothing_is_lost_at_the_end() {
    let mut server = Server::start();
    let rules = format!(
        "SecAuditEngine RelevantOnly\nSecAuditLogRelevantStatus \"^404$\"\nSecAuditLogType Concurrent\n\
         SecAuditLogFormat JSON\nSecAuditLog index.log\nSecAuditLogStorageDir records\n{EVIL}"
    );
    deploy(&server, &site(&rules, ""));
    for target in ["/?q=evil", "/none", "/"] {
        server.get("site.localhost", target);
    }
    server.restart(End::Terminate);
    let logs = server.data().join("apps/site/logs/waf");
    let index = fs::read_to_string(logs.join("index.log")).unwrap();
    let statuses: Vec<&str> =
        index.lines().map(|line| line.split("HTTP/1.1\" ").nth(1).unwrap().get(..3).unwrap()).collect();
    assert_eq!(statuses, ["403", "404"], "{index}");
    for line in index.lines() {
        let path = line.split(' ').find(|word| word.contains("/records/")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(record["transaction"]["request"]["method"], "GET");
        assert!(line.contains(record["transaction"]["unique_id"].as_str().unwrap()), "{line}");
    }
}

#[test]
fn the_debug_log_is_written_at_its_level() {
    let server = Server::start();
    deploy(&server, &site(&format!("SecDebugLog debug.log\nSecDebugLogLevel 4\n{EVIL}"), "ruleset = 'base'"));
    assert_eq!(server.get("site.localhost", "/?q=evil").0, 403);
    let log = server.data().join("apps/site/logs/waf/debug.log");
    let text = server.eventually(|| fs::read_to_string(&log).ok().filter(|text| text.contains("LOGGING")));
    assert!(
        text.contains("] [/] [4] (Rule: 100) Executing operator \"Contains\" with param \"evil\""),
        "{text}"
    );
    assert!(text.contains("Running (disruptive)"), "{text}");
    assert!(!text.contains("] [9] "), "{text}");
}

#[test]
fn logs_are_written_only_where_they_may() {
    let mut server = Server::start();
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("audit.log").display().to_string();
    let app = site(&format!("SecAuditEngine RelevantOnly\nSecAuditLog {path}\n{EVIL}"), "");
    let refused = server.command(&["deploy", "site", app.path().to_str().unwrap()]);
    assert_ne!(refused.code, 0);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("`SecAuditLog` names a file that the rules may not write"), "{said}");
    assert!(said.contains("`log-folders` in [server.firewall] of hop3-server.toml"), "{said}");
    // Not even the server's own.
    let key = server.data().join("key").display().to_string();
    let app = site(&format!("SecAuditEngine On\nSecAuditLog {key}\n"), "");
    assert_ne!(server.command(&["deploy", "site", app.path().to_str().unwrap()]).code, 0);

    let settings = server.data().join("hop3-server.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let allowed = format!("{text}\n[server.firewall]\nlog-folders = ['{}']\n", outside.path().display());
    fs::write(&settings, allowed).unwrap();
    server.restart(End::Terminate);
    let app = site(&format!("SecAuditEngine RelevantOnly\nSecAuditLog {path}\n{EVIL}"), "");
    deploy(&server, &app);
    assert_eq!(server.get("site.localhost", "/?q=evil").0, 403);
    server.eventually(|| fs::read_to_string(&path).ok().filter(|text| text.contains("[id \"100\"]")));
}

/// Counts requests of each client for one page, and refuses the fourth.
const COUNTING: &str = "SecAction \"id:200,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"\n\
    SecRule REQUEST_FILENAME \"!@streq /index.html\" \"id:201,phase:1,pass,nolog,skipAfter:END_COUNTING\"\n\
    SecAction \"id:202,phase:1,pass,nolog,setvar:ip.count=+1\"\n\
    SecRule IP:count \"@gt 3\" \"id:203,phase:1,deny,status:429,log,msg:'Too many'\"\n\
    SecMarker END_COUNTING\n";

#[test]
fn collections_outlive_reloads_and_when_stored_the_server() {
    let mut server = Server::start();
    let count = |server: &Server| server.get("site.localhost", "/index.html").0;
    // What is asked until the app is there is not counted.
    let serves = |server: &Server| {
        server.eventually(|| (server.get("site.localhost", "/").0 == 200).then_some(()));
    };
    deploy(&server, &site(COUNTING, "collections = 'stored'"));
    // The request by which the deployment looks whether the app answers does not pass the firewall.
    assert_eq!([count(&server), count(&server)], [200, 200]);
    deploy(&server, &site(&format!("{COUNTING}# another release\n"), "collections = 'stored'"));
    assert_eq!(count(&server), 200);
    server.restart(End::Terminate);
    serves(&server);
    assert_eq!(count(&server), 429);

    let mut fresh = Server::start();
    deploy(&fresh, &site(COUNTING, ""));
    assert_eq!([count(&fresh), count(&fresh), count(&fresh), count(&fresh)], [200, 200, 200, 429]);
    fresh.restart(End::Terminate);
    serves(&fresh);
    assert_eq!(count(&fresh), 200);
}

#[test]
fn block_lists_are_asked_only_when_allowed_and_never_waited_for() {
    let mut server = Server::start();
    let rules = "SecRule ARGS:name \"@rbl bl.invalid\" \"id:300,phase:1,deny,status:403,log\"\n";
    deploy(&server, &site(rules, ""));
    assert_eq!(server.get("site.localhost", "/").0, 200);
    let settings = server.data().join("hop3-server.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{text}\n[server.firewall]\nrbl = true\n")).unwrap();
    server.restart(End::Terminate);
    server.eventually(|| (server.get("site.localhost", "/").0 == 200).then_some(()));
    // The least of several, and less than a look-up may take.
    let took = |name: usize| {
        let started = std::time::Instant::now();
        let status = server.get("site.localhost", &format!("/?name=name{name}")).0;
        assert_eq!(status, 200, "nobody is listed below .invalid");
        started.elapsed()
    };
    let least = (0..5).map(took).min().unwrap();
    assert!(least < std::time::Duration::from_millis(4500), "{least:?}");
}
