//! `hop3 doctor` beside a server, without one, and with things that are wrong.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use server::{Server, folder, run};

/// Nobody in the world is asked for the time.
const DOCTOR: [&str; 4] = ["doctor", "--json", "--time-server", "none"];

/// The findings of a check, as `state: message`.
fn found(diagnosis: &Value, check: &str) -> Vec<String> {
    let findings =
        diagnosis["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    let text = |finding: &Value| {
        format!("{}: {}", finding["state"].as_str().unwrap(), finding["message"].as_str().unwrap())
    };
    findings.map(text).collect()
}

fn has(diagnosis: &Value, check: &str, part: &str) {
    let findings = found(diagnosis, check);
    assert!(findings.iter().any(|finding| finding.contains(part)), "{part} is missing in {findings:#?}");
}

#[test]
fn a_server_in_order_and_what_is_wrong_around_it() {
    let site = folder(&[("index.html", "shop")]);
    // Taken, so that nobody else listens there.
    let mute = tokio::net::TcpSocket::new_v4().unwrap();
    mute.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = mute.local_addr().unwrap();
    let routes = format!(
        "[[route]]\nhosts = ['shop.localhost']\nstatic = '{}'\n[[route]]\nhosts = ['dead.test']\nupstream = 'http://{closed}'\n",
        site.path().display()
    );
    let server = Server::start_through(&routes, &[]);
    let app = folder(&[("Procfile", "static: .\n"), ("index.html", "hello")]);
    server.ok(&["deploy", "hello", app.path().to_str().unwrap()]);

    fs::set_permissions(server.data(), fs::Permissions::from_mode(0o700)).unwrap();
    let ended = server.command(&DOCTOR);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("check"), "{ended:?}");
    let diagnosis: Value = serde_json::from_str(&ended.stdout).unwrap();
    has(&diagnosis, "server", &format!("ok: hop3 {} runs (pid {}", env!("CARGO_PKG_VERSION"), server.pid()));
    for purpose in ["http", "https", "admin"] {
        has(&diagnosis, "ports", &format!("ok: {purpose} answers on 127.0.0.1:"));
    }
    has(&diagnosis, "certificates", "warn: shop.localhost: the certificate is self-signed");
    has(&diagnosis, "certificates", "warn: hello.localhost: the certificate is self-signed");
    has(&diagnosis, "store", "ok: 1 apps are readable; all ");
    has(&diagnosis, "rules", "no OWASP Core Rule Set is in use");
    has(&diagnosis, "rules", "ok: hello stands behind ");
    has(&diagnosis, "apps", "ok: hello runs");
    has(&diagnosis, "routes", "ok: shop.localhost: files of ");
    has(&diagnosis, "routes", &format!("fail: dead.test: {closed} does not answer"));
    has(&diagnosis, "bans", "ok: 0 bans are in force");
    has(&diagnosis, "clock", "ok: the clock is later than all records");
    has(&diagnosis, "settings", "ok: ");
    has(&diagnosis, "data", "ok: ");
    for check in ["limits", "memory", "disk"] {
        assert_eq!(found(&diagnosis, check).len(), 1, "{check}");
    }
    let count = |state: &str| {
        diagnosis["findings"].as_array().unwrap().iter().filter(|finding| finding["state"] == state).count()
            as u64
    };
    assert_eq!(diagnosis["ok"].as_u64(), Some(count("ok")));
    assert_eq!(diagnosis["warnings"].as_u64(), Some(count("warn")));
    assert_eq!(diagnosis["failures"].as_u64(), Some(count("fail")));
    for finding in diagnosis["findings"].as_array().unwrap() {
        assert!(finding["state"] == "ok" || finding["hint"].is_string(), "without a next step: {finding}");
    }

    let shown = server.command(&["doctor", "--time-server", "none"]);
    assert!(shown.stdout.contains("\n✗ fail  routes        dead.test: "), "{shown:?}");
    assert!(shown.stdout.contains("hint: start it, or correct `upstream` of the [[route]]"), "{shown:?}");

    let file = server.data().join("hop3-server.toml");
    let settings = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{settings}[sever]\n")).unwrap();
    fs::set_permissions(server.data().join("key"), fs::Permissions::from_mode(0o644)).unwrap();
    let ended = server.command(&DOCTOR);
    let diagnosis: Value = serde_json::from_str(&ended.stdout).unwrap();
    has(&diagnosis, "settings", "fail: hop3-server.toml:");
    has(&diagnosis, "data", "fail: others may reach ");
}

#[test]
fn without_a_server_ports_and_settings_are_looked_at() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = root.path().join("hop3-server.toml");
    let settings = |http: &str| {
        let text = format!("[server.listen]\nhttp = '{http}'\nhttps = '127.0.0.1:0'\nadmin = false\n");
        fs::write(&file, text).unwrap();
        let words = ["--data", data.to_str().unwrap(), "--config", file.to_str().unwrap()];
        run(&[&DOCTOR[..], &words].concat())
    };
    let address = taken.local_addr().unwrap().to_string();
    let ended = settings(&address);
    assert_eq!(ended.code, 1, "{ended:?}");
    let diagnosis: Value = serde_json::from_str(&ended.stdout).unwrap();
    has(&diagnosis, "server", "warn: no server runs");
    has(&diagnosis, "ports", &format!("fail: http cannot listen on {address}"));
    has(&diagnosis, "ports", "ok: 127.0.0.1:0 is free for https");
    assert_eq!(found(&diagnosis, "permissions").len(), 1);
    drop(taken);
    let ended = settings("127.0.0.1:0");
    let diagnosis: Value = serde_json::from_str(&ended.stdout).unwrap();
    let wrong: Vec<_> =
        diagnosis["findings"].as_array().unwrap().iter().filter(|one| one["state"] == "fail").collect();
    // A machine that is short of memory or disk fails for that alone.
    assert!(wrong.iter().all(|one| one["check"] == "memory" || one["check"] == "disk"), "{wrong:#?}");
    assert_eq!(ended.code == 0, wrong.is_empty());
    assert!(!data.exists(), "looking changes nothing");
}

#[test]
fn the_file_that_the_server_uses_is_looked_at() {
    let elsewhere = "mv \"$4/hop3-server.toml\" \"$4/elsewhere.toml\" && cd \"$4\" && exec \"$0\" \"$@\" --config elsewhere.toml";
    let server = Server::start_through("", &["sh", "-c", elsewhere]);
    let file = server.data().join("elsewhere.toml");
    let settings = |words: &[&str]| {
        let ended = server.command(&[&DOCTOR[..], words].concat());
        let diagnosis: Value = serde_json::from_str(&ended.stdout).unwrap();
        found(&diagnosis, "settings")
    };
    assert_eq!(settings(&[]), [format!("ok: {} is understood", file.display())]);
    let other = server.data().join("other.toml");
    fs::write(&other, "").unwrap();
    let given = settings(&["--config", other.to_str().unwrap()]);
    assert_eq!(given, [format!("warn: {} is understood", other.display())]);
    fs::write(&file, "[sever]\n").unwrap();
    assert!(settings(&[])[0].starts_with("fail: "), "what a reload would refuse");
}
