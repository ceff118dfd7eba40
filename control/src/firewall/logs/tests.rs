//! Rules that ask for logs, and the files that come of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use hop3_seclang::loader::MemoryLoader;
use hop3_waf::{Connection, Transaction, TransactionStart};

use super::file::OpenFiles;
use super::*;

fn document(rules: &str) -> Document {
    hop3_seclang::parse_str("t.conf", rules, &MemoryLoader::new()).unwrap()
}

fn ruleset(rules: &str) -> Arc<Ruleset> {
    Arc::new(Ruleset::compile(&document(rules)).unwrap())
}

/// What a request leaves in the logs of rules in `folder`.
fn logged(folder: &Path, rules: &str, id: &str) {
    let ruleset = ruleset(rules);
    let files = LogFiles::of(&ruleset, &LogPlace::new(folder.to_owned(), &[])).unwrap();
    let writer = LogWriter::start().unwrap();
    let texts = rule_texts(&document(rules), &ruleset);
    let log = files.open(texts.as_ref(), &writer).unwrap();
    let start = TransactionStart { id: id.into(), unix_time: Duration::from_secs(1_700_000_000), entropy: 0 };
    let connection =
        Connection { client: ([192, 0, 2, 1], 4000).into(), server: ([127, 0, 0, 1], 80).into() };
    let mut transaction = Transaction::new(ruleset, start, connection);
    let debug_log = log.debug_log();
    if let Some(debug_log) = &debug_log {
        transaction = transaction.with_trace(debug_log.clone());
    }
    transaction.set_request_line(b"POST", b"/login?q=evil&token=abcdef", b"HTTP/1.1");
    transaction.add_request_header(b"Host", b"shop.test");
    transaction.add_request_header(b"Content-Type", b"application/x-www-form-urlencoded");
    let _ = transaction.process_request_headers();
    let _ = transaction.append_request_body(b"user=me&password=hunter2");
    let _ = transaction.process_request_body();
    transaction.process_logging();
    if log.wants_audit() && transaction.audit_relevant() {
        let (_, parts) = transaction.audit();
        log.audit(transaction.audit_record(), parts).unwrap();
    }
    if let Some(debug_log) = &debug_log {
        log.debug(debug_log.take(id, "/login")).unwrap();
    }
    writer.finish();
}

const RULE: &str = "SecRuleEngine On\nSecAuditEngine RelevantOnly\n\
    SecRule ARGS:q \"@contains evil\" \"id:1,phase:2,deny,status:403,log,auditlog,msg:'Evil'\"\n";

#[test]
fn records_follow_each_other_in_a_serial_log() {
    let folder = tempfile::tempdir().unwrap();
    let rules = format!("{RULE}SecAuditLog audit/serial.log\nSecAuditLogParts ABCFHZ\n");
    logged(folder.path(), &rules, "one");
    logged(folder.path(), &rules, "two");
    let path = folder.path().join("audit/serial.log");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("-A--\n[14/Nov/2023:22:13:20 +0000] ").count(), 2, "{text}");
    assert!(text.find(" one ").unwrap() < text.find(" two ").unwrap(), "{text}");
    for part in
        ["-B--\nPOST /login?q=evil&token=******** HTTP/1.1\nHost: shop.test\n", "[id \"1\"]", "-Z--\n"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("hunter2") && !text.contains("abcdef"), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn each_record_has_its_file_in_a_concurrent_log() {
    let folder = tempfile::tempdir().unwrap();
    let rules = format!(
        "{RULE}SecAuditLogType Concurrent\nSecAuditLog index\nSecAuditLogStorageDir records\n\
         SecAuditLogFormat JSON\nSecAuditLogFileMode 0640\nSecAuditLogDirMode 0750\n"
    );
    logged(folder.path(), &rules, "one");
    let record = folder.path().join("records/20231114/20231114-2213/20231114-221320-one");
    let text = fs::read_to_string(&record).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["transaction"]["unique_id"], "one");
    assert_eq!(json["transaction"]["messages"][0]["details"]["ruleId"], "1");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&record), mode(record.parent().unwrap())), (0o640, 0o750));
    let index = fs::read_to_string(folder.path().join("index")).unwrap();
    let expected = format!(
        "shop.test 192.0.2.1 - [14/Nov/2023:22:13:20 +0000] \"POST /login?q=evil&token=******** HTTP/1.1\" 403 0 - \
         \"-\" one - {} 0 {} md5:",
        record.display(),
        text.len()
    );
    assert!(index.starts_with(&expected), "{index}\n{expected}");
    assert_eq!(index.trim_end().rsplit(':').next().unwrap().len(), 32);
}

#[test]
fn what_nobody_asked_for_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let place = LogPlace::new(folder.path().to_owned(), &[]);
    let files = |rules: &str| LogFiles::of(&ruleset(rules), &place).unwrap();
    assert_eq!(files("SecRuleEngine On"), LogFiles::default());
    assert_eq!(files("SecDebugLog d.log"), LogFiles::default(), "at level 0");
    assert!(files("SecAuditEngine On").audit.is_some(), "without a file there is a default one");
    assert!(files("SecDebugLog d\nSecAction \"id:1,phase:1,pass,ctl:debugLogLevel=4\"").debug.is_some());
}

#[test]
fn the_debug_log_tells_steps_and_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "SecRuleEngine On\nSecDebugLog debug.log\nSecDebugLogLevel 9\n\
        SecRule ARGS \"@rx ^(hunt|evil)\" \"id:1,phase:2,pass,capture,t:lowercase,msg:'Found'\"\n\
        SecRule MATCHED_VARS \"@contains hunter\" \"id:2,phase:2,pass\"\n";
    logged(folder.path(), rules, "one");
    let text = fs::read_to_string(folder.path().join("debug.log")).unwrap();
    for line in [
        "[one] [/login] [4] Starting phase REQUEST_BODY. (SecRules 2)\n",
        "[one] [/login] [4] (Rule: 1) Executing operator \"Rx\" with param \"^(hunt|evil)\" against ARGS.\n",
        "[one] [/login] [9]  T (0) t:lowercase: \"evil\"\n",
        "[one] [/login] [9] Target value: \"evil\" (Variable: ARGS:q)\n",
        "[one] [/login] [7] Added regex subexpression TX.1: evil\n",
        "Target value: \"********\" (Variable: ARGS:password)\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("hunter2") && !text.contains("abcdef"), "{text}");
    let quiet = tempfile::tempdir().unwrap();
    logged(
        quiet.path(),
        "SecRuleEngine On\nSecDebugLog debug.log\n\
         SecRule ARGS:q \"@contains evil\" \"id:1,phase:1,pass,ctl:debugLogLevel=4\"\n\
         SecRule ARGS:q \"@contains x\" \"id:2,phase:2,pass\"\n",
        "two",
    );
    let text = fs::read_to_string(quiet.path().join("debug.log")).unwrap();
    assert!(!text.contains("Rule: 1)") && text.contains("(Rule: 2) Executing"), "{text}");
    assert!(!text.contains("[9]"), "{text}");
}

#[test]
fn rules_write_only_where_they_may() {
    let folder = tempfile::tempdir().unwrap();
    let place = LogPlace::new(folder.path().join("own"), &["/var/log/hop3".into()]);
    let own = folder.path().join("own/a.log").display().to_string();
    for allowed in ["a.log", "./a/b.log", "/var/log/hop3/a.log", &own] {
        assert!(place.find("SecAuditLog", allowed).is_ok(), "{allowed}");
    }
    let outside = folder.path().join("key").display().to_string();
    for refused in [
        "",
        ".",
        "../key",
        "a/../../key",
        "/etc/passwd",
        "/var/log/hop3/../x",
        "/var/log/hop3x",
        "|/bin/sh",
        &outside,
    ] {
        let failure = place.find("SecAuditLog", refused).unwrap_err();
        assert!(failure.message.contains("SecAuditLog") && failure.hint.is_some(), "{refused}: {failure:?}");
    }
    let failure = place.find("SecDebugLog", "/var/log/modsec.log").unwrap_err();
    assert!(failure.hint.unwrap().contains("add \"/var/log\" to `log-folders`"));
    let syslog = ruleset("SecAuditEngine On\nSecAuditLogType Syslog");
    assert!(LogFiles::of(&syslog, &place).unwrap_err().hint.unwrap().contains("Serial"));
    let ocsf = ruleset("SecAuditEngine On\nSecAuditLogFormat OCSF");
    assert!(LogFiles::of(&ocsf, &place).unwrap_err().hint.unwrap().contains("JSON"));
}

#[test]
fn links_and_pipes_are_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("own");
    fs::create_dir(&own).unwrap();
    fs::write(root.path().join("secret"), "s").unwrap();
    std::os::unix::fs::symlink(root.path().join("secret"), own.join("link.log")).unwrap();
    std::os::unix::fs::symlink(root.path(), own.join("folder")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        own.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let place = LogPlace::new(own, &[]);
    let mut files = OpenFiles::default();
    for name in ["link.log", "folder/secret", "pipe"] {
        let path = place.find("SecAuditLog", name).unwrap();
        assert!(files.append(&path, Modes::default(), b"x", Instant::now()).is_err(), "{name}");
    }
    assert_eq!(fs::read_to_string(root.path().join("secret")).unwrap(), "s");
}

#[test]
fn a_rotated_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = LogPlace::new(folder.path().to_owned(), &[]).find("SecAuditLog", "a.log").unwrap();
    let (mut files, start) = (OpenFiles::default(), Instant::now());
    let mut write = |text: &str, seconds| {
        files.append(&path, Modes::default(), text.as_bytes(), start + Duration::from_secs(seconds)).unwrap();
    };
    write("1", 0);
    fs::rename(folder.path().join("a.log"), folder.path().join("a.log.1")).unwrap();
    write("2", 2);
    fs::remove_file(folder.path().join("a.log")).unwrap();
    write("3", 4);
    write("4", 4);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!((read("a.log.1").as_str(), read("a.log").as_str()), ("1", "34"));
}
