//! How a certificate is had: by each way of proving a name, without a request lost, and kept over restarts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hop3_tests::name_server::{NameServer, SECRET};
use hop3_tests::pebble::{Pebble, Peculiarities, installed};
use hop3_tests::server::{Ran, wait_until};

use crate::site::{SHOP, Site, WWW, serial, trusted};

/// What pebble logs when it looks for a http-01 proof.
const BY_HTTP: &str = "Attempting to validate w/ HTTP";

/// Ends what reads in the background.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn one_certificate_for_all_names_while_requests_go_on() {
    if !installed() {
        return;
    }
    let mut site = Site::start(&[SHOP, WWW]);
    assert!(!site.is_trusted(SHOP), "self-signed until issued");
    assert_eq!(site.server.curl(SHOP, "/", &[]).status, 200, "but served");
    assert_eq!(site.status()["hosts"][0]["origin"], "self-signed");

    // Somebody reads the site all the time.
    let (stop, failed, asked) =
        (Arc::new(AtomicBool::default()), Arc::new(AtomicUsize::default()), Arc::new(AtomicUsize::default()));
    // A test that fails must end it as well.
    let _over = Over(stop.clone());
    let reader = {
        let (stop, failed, asked) = (stop.clone(), failed.clone(), asked.clone());
        let port = site.server.port("https");
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let output = Command::new("curl")
                    .args(["-sfk", "-o", "/dev/null", "--resolve", &format!("{SHOP}:{port}:127.0.0.1")])
                    .arg(format!("https://{SHOP}:{port}/"))
                    .status();
                asked.fetch_add(1, Ordering::SeqCst);
                if !output.is_ok_and(|status| status.success()) {
                    failed.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
    };
    site.order("");
    site.wait_for(SHOP);
    site.wait_for(WWW);
    stop.store(true, Ordering::SeqCst);
    reader.join().unwrap();
    assert!(asked.load(Ordering::SeqCst) > 3);
    assert_eq!(failed.load(Ordering::SeqCst), 0, "of {} requests", asked.load(Ordering::SeqCst));
    assert_eq!(site.serial(SHOP), site.serial(WWW), "one certificate");
    assert_eq!(site.pebble().orders(), 1);
    assert!(site.pebble().log().contains(BY_HTTP), "the first way that fits: {}", site.pebble().log());

    // Visible: list, metrics, audit; plain HTTP now leads to HTTPS.
    let listed = site.server.hop3(&["certs"]);
    assert_eq!(listed.code, 2, "a group needs a verb: {}", listed.text);
    let listed = site.server.hop3(&["cert:list"]).succeeded();
    assert!(listed.contains(SHOP) && listed.contains("acme") && listed.contains("Pebble"), "{listed}");
    let metrics = site.server.metrics();
    let gauge = format!("hop3_certificate_expiry_seconds{{app=\"{SHOP}\",host=\"{WWW}\",origin=\"acme\"}} ");
    let seconds = metrics.lines().find_map(|line| line.strip_prefix(&gauge)).expect("the gauge");
    assert!(seconds.parse::<f64>().unwrap() > 86_400.0, "{seconds}");
    assert!(site.server.hop3(&["audit"]).succeeded().contains("certs:issue"));
    assert!(!site.server.hop3(&["status"]).succeeded().contains('!'), "nothing to warn about");
    let port = site.server.port("http");
    let plain = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"])
        .args(["--resolve", &format!("{SHOP}:{port}:127.0.0.1"), &format!("http://{SHOP}:{port}/x?y")])
        .output()
        .unwrap();
    let expected = format!("301 https://{SHOP}:{}/x?y", site.server.port("https"));
    assert_eq!(Ran::from(plain).succeeded(), expected);

    // A restart shows it at once, with no authority to ask, and orders nothing.
    let serial_before = site.serial(SHOP);
    let root = site.pebble().root();
    let orders = site.pebble().orders();
    site.server.stop();
    site.server.resume();
    assert!(trusted(&site.server, &root, SHOP, "/").is_some());
    assert_eq!(site.serial(SHOP), serial_before);
    assert_eq!(site.pebble().orders(), orders);
}

#[test]
fn a_host_that_two_share_is_ordered_once() {
    if !installed() {
        return;
    }
    let mut site = Site::start(&[SHOP]);
    let name = format!("{SHOP}/part");
    let part = format!("[[route]]\nhosts = [\"{SHOP}\"]\npath-prefix = \"/part\"\nstatic = \"site\"\n");
    site.order(&part);
    site.wait_for(SHOP);
    let root = site.pebble().root();
    assert!(trusted(&site.server, &root, SHOP, "/part/").is_some());
    let listed = site.server.hop3(&["certs", "list", &name, "--json"]).succeeded();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let host = &listed[0]["hosts"][0];
    assert_eq!((&host["origin"], &host["holder"]), (&"acme".into(), &SHOP.into()), "{listed}");
    let refused = site.server.hop3(&["certs", "renew", &name]).failed_with(6);
    assert!(refused.contains(&format!("name '{SHOP}' in place of '{name}'")), "{refused}");
    let first = site.serial(SHOP);
    site.server.hop3(&["certs", "renew"]).succeeded();
    wait_until("another certificate is shown", || serial(&site.server, SHOP) != first);
    assert_eq!(site.pebble().orders(), 2, "one, and one more");

    // The other goes: what it had is shown until the part has a certificate of its own.
    let file = site.server.path("hop3-server.toml");
    let settings = fs::read_to_string(&file).unwrap();
    let (before, _) = settings.rsplit_once("[[route]]").unwrap();
    fs::write(&file, before).unwrap();
    site.server.signal("HUP");
    wait_until("the part alone is served", || site.server.curl(SHOP, "/", &[]).status == 404);
    assert!(trusted(&site.server, &root, SHOP, "/part/").is_some(), "without a gap");
    wait_until("the part has its own", || site.pebble().orders() == 3);
}

#[test]
fn tls_alpn_01_alone() {
    if !installed() {
        return;
    }
    let mut site = Site::start(&[SHOP]);
    site.order("challenges = [\"tls-alpn-01\"]");
    site.wait_for(SHOP);
    assert!(!site.pebble().log().contains(BY_HTTP), "{}", site.pebble().log());
}

#[test]
fn dns_01_by_a_program_gives_wildcards() {
    if !installed() {
        return;
    }
    let mut site = Site::start(&["*.hop3.test", "hop3.test"]);
    let (hook, calls) = (site.server.path("hook"), site.server.path("calls"));
    let script = format!(
        "#!/bin/sh\necho \"$1 $2\" >> {calls}\ncase $1 in\n\
         present) exec curl -sf -d '{{\"host\":\"'\"$2\"'\",\"value\":\"'\"$3\"'\"}}' {dns}/set-txt ;;\n\
         cleanup) exec curl -sf -d '{{\"host\":\"'\"$2\"'\"}}' {dns}/clear-txt ;;\nesac\nexit 1\n",
        calls = calls.display(),
        dns = site.dns.management(),
    );
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let dns = format!("[server.acme.dns]\nhook = [\"{}\"]\npropagation = 0", hook.display());
    site.order(&dns);
    site.wait_for("any.hop3.test");
    site.wait_for("hop3.test");
    let calls = fs::read_to_string(calls).unwrap();
    assert!(calls.contains("present _acme-challenge.hop3.test."), "{calls}");
    wait_until("the record is removed", || {
        fs::read_to_string(site.server.path("calls")).unwrap().contains("cleanup _acme-challenge.hop3.test.")
    });
}

#[test]
fn dns_01_by_an_update_of_the_zone() {
    let Some(name_server) = NameServer::start().filter(|_| installed()) else { return };
    let mut site = Site::start(&["*.zone.test"]);
    // The authority asks the zone's own server.
    let doors =
        hop3_tests::pebble::Doors { http: site.server.port("http"), https: site.server.port("https") };
    site.replace_pebble(|| Pebble::start(doors, name_server.port, Peculiarities::default()));
    fs::write(site.server.path("tsig"), SECRET).unwrap();
    let dns = |key: &str| {
        format!(
            "[server.acme.dns]\nserver = \"127.0.0.1:{}\"\nkey-name = \"{key}\"\nkey-file = \"tsig\"\n\
             propagation = 0",
            name_server.port
        )
    };
    site.order(&dns("other-key"));
    wait_until("the wrong key is refused", || site.problems().contains("did not update zone `zone.test`"));
    site.order(&dns("hop3-key"));
    site.server.hop3(&["certs", "renew"]).succeeded();
    site.wait_for("any.zone.test");
    let asked = Command::new("dig")
        .args([
            "+short",
            "@127.0.0.1",
            "-p",
            &name_server.port.to_string(),
            "TXT",
            "_acme-challenge.zone.test",
        ])
        .output()
        .unwrap();
    assert_eq!(Ran::from(asked).succeeded().trim(), "", "the record is gone");
}

#[test]
fn renewal_by_hand_changes_the_certificate_and_not_the_account() {
    if !installed() {
        return;
    }
    let mut site = Site::start(&[SHOP]);
    site.order("");
    site.wait_for(SHOP);
    let first = site.serial(SHOP);
    site.server.hop3(&["certs", "renew", "--app", "nobody"]).failed_with(3);
    site.server.hop3(&["certs", "renew", SHOP]).succeeded();
    wait_until("another certificate is shown", || serial(&site.server, SHOP) != first);
    assert!(site.is_trusted(SHOP));
    assert_eq!(site.server.log().matches("registered with the authority").count(), 1);
}

#[test]
fn a_short_lived_certificate_is_renewed_by_itself() {
    if !installed() {
        return;
    }
    // Half a minute of life: renewed after half of it.
    let peculiarities = Peculiarities { validity: 30, ..Peculiarities::default() };
    let mut site = Site::start_with(&[SHOP], peculiarities);
    site.order("");
    site.wait_for(SHOP);
    let first = site.serial(SHOP);
    wait_until("it is renewed", || serial(&site.server, SHOP) != first);
    assert!(site.is_trusted(SHOP));
}
