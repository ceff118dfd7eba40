//! What goes wrong between an authority and us, and that the site is served all the while.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hop3_tests::gate::{Gate, Manners};
use hop3_tests::pebble::{Doors, Pebble, Peculiarities, free_port, installed};
use hop3_tests::server::wait_until;

use crate::site::{SHOP, Site, WWW, serial};

#[test]
fn an_authority_that_is_away_is_waited_for() {
    if !installed() {
        return;
    }
    let mut site = Site::start(&[SHOP]);
    let port = free_port();
    site.order_from(&format!("https://127.0.0.1:{port}/dir"), "");
    wait_until("it is noticed", || site.problems().contains("out of reach"));
    let status = site.server.hop3(&["status"]).succeeded();
    assert!(status.contains("! 'shop.hop3.test': the authority is out of reach"), "{status}");
    assert_eq!(site.server.curl(SHOP, "/", &[]).status, 200);
    // It comes back, with another root for its own TLS: the file that is named follows.
    let doors = Doors { http: site.server.port("http"), https: site.server.port("https") };
    let dns = site.dns.port;
    site.replace_pebble(|| Pebble::start(doors, dns, Peculiarities { port, validity: 0 }));
    site.order("");
    site.server.hop3(&["certs", "renew"]).succeeded();
    site.wait_for(SHOP);
    assert_eq!(site.problems(), "[]");
}

#[test]
fn a_name_that_cannot_be_proved_holds_up_no_other() {
    if !installed() {
        return;
    }
    let mut site = Site::start(&[SHOP, WWW]);
    // Nobody listens there.
    site.dns.point(WWW, "127.0.0.3");
    site.order("challenges = [\"http-01\"]");
    site.wait_for(SHOP);
    assert!(!site.is_trusted(WWW));
    assert_eq!(site.server.curl(WWW, "/", &[]).status, 200, "self-signed, but served");
    let problems = site.problems();
    assert!(problems.contains(WWW) && problems.contains("http-01") && !problems.contains(SHOP), "{problems}");
    assert_eq!(site.pebble().orders(), 2, "one for both, one for the good name");
    // The name points here now.
    site.dns.point(WWW, "127.0.0.1");
    let pointed = std::process::Command::new("curl")
        .args([
            "-sf",
            "-d",
            &format!("{{\"host\":\"{WWW}.\"}}"),
            &format!("{}/clear-a", site.dns.management()),
        ])
        .status();
    assert!(pointed.unwrap().success());
    site.server.hop3(&["certs", "renew", SHOP]).succeeded();
    site.wait_for(WWW);
    assert_eq!(site.problems(), "[]");
    assert_eq!(site.serial(SHOP), site.serial(WWW));
}

#[test]
fn a_rate_limit_is_obeyed_to_the_second() {
    if !installed() {
        return;
    }
    let mut site = Site::start(&[SHOP]);
    let manners = Manners { refuse_orders: Some(7200), window: None };
    let gate = Gate::start(&site.pebble().directory(), manners);
    site.order_from(&gate.directory(), "");
    wait_until("it is noticed", || site.problems().contains("too many orders recently (rateLimited)"));
    let orders = |gate: &Gate| gate.requests().iter().filter(|line| line.starts_with("POST /order")).count();
    assert_eq!(orders(&gate), 1);
    // Not even by hand, nor by a restart, before the two hours have passed.
    site.server.hop3(&["certs", "renew", SHOP]).succeeded();
    std::thread::sleep(std::time::Duration::from_secs(1));
    site.server.stop();
    site.server.resume();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(orders(&gate), 1, "{:?}", gate.requests());
    assert_eq!(site.server.curl(SHOP, "/", &[]).status, 200);
    assert!(site.problems().contains("not tried before"));
}

#[test]
fn the_authority_may_ask_for_an_early_renewal() {
    if !installed() {
        return;
    }
    let mut site = Site::start(&[SHOP]);
    let far = ("2093-01-01T00:00:00Z".to_owned(), "2093-01-02T00:00:00Z".to_owned());
    let past = ("2020-01-01T00:00:00Z".to_owned(), "2020-01-02T00:00:00Z".to_owned());
    let gate = Gate::start(&site.pebble().directory(), Manners { window: Some(past), ..Manners::default() });
    site.order_from(&gate.directory(), "");
    site.wait_for(SHOP);
    let first = site.serial(SHOP);
    // Its window has passed, as when certificates must be replaced at once. Only once, then all is well.
    wait_until("it is replaced", || {
        let replaced = serial(&site.server, SHOP) != first;
        if replaced {
            gate.behave(|manners| manners.window = Some(far.clone()));
        }
        replaced
    });
    assert!(
        gate.requests().iter().any(|line| line.starts_with("GET /renewal-info/")),
        "{:?}",
        gate.requests()
    );
    assert!(site.is_trusted(SHOP));
    let listed = site.server.hop3(&["certs", "list"]).succeeded();
    assert!(listed.contains("https://authority.test/why"), "{listed}");
}

#[test]
fn a_crash_in_the_middle_of_an_order_loses_nothing() {
    if !installed() {
        return;
    }
    let mut site = Site::start(&["*.hop3.test"]);
    let (hook, go) = (site.server.path("hook"), site.server.path("go"));
    let script = format!(
        "#!/bin/sh\n[ $1 = present ] || exit 0\n: > {began}\nwhile [ ! -e {go} ]; do sleep 0.1; done\n\
         exec curl -sf -d '{{\"host\":\"'\"$2\"'\",\"value\":\"'\"$3\"'\"}}' {dns}/set-txt\n",
        began = site.server.path("began").display(),
        go = go.display(),
        dns = site.dns.management(),
    );
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    site.order(&format!("[server.acme.dns]\nhook = [\"{}\"]\npropagation = 0", hook.display()));
    wait_until("the order is under way", || site.server.path("began").exists());
    site.server.kill();
    fs::write(go, "").unwrap();
    site.server.resume();
    site.wait_for("any.hop3.test");
    assert_eq!(site.pebble().orders(), 1, "the order that was begun is gone on with");
    assert!(site.server.log().contains("going on with the order that was begun"));
}

#[test]
fn an_authority_that_forgot_everything_gets_to_know_us_again() {
    if !installed() {
        return;
    }
    let port = free_port();
    let mut site = Site::start_with(&[SHOP], Peculiarities { port, validity: 0 });
    site.order("");
    site.wait_for(SHOP);
    let first = site.serial(SHOP);
    let doors = Doors { http: site.server.port("http"), https: site.server.port("https") };
    // The old one must be gone before the new one takes its port.
    let dns = site.dns.port;
    site.replace_pebble(|| Pebble::start(doors, dns, Peculiarities { port, validity: 0 }));
    site.order("");
    site.server.hop3(&["certs", "renew"]).succeeded();
    wait_until("it is noticed", || site.server.log().contains("accountDoesNotExist"));
    assert_eq!(site.serial(SHOP), first, "the certificate in force stays");
    site.server.hop3(&["certs", "renew"]).succeeded();
    site.wait_for(SHOP);
    assert_ne!(site.serial(SHOP), first);
    assert_eq!(site.server.log().matches("registered with the authority").count(), 2);
}
