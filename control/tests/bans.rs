//! The dynamic firewall of the real executable: attacks, restarts, operators, the kernel.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use serde_json::Value;
use server::{End, Server, folder};

/// Loopback is not spared here, unlike by default.
const SETTINGS: &str = "[server.waf.bans]\nthreshold = 3\n[server.bans]\nallow = []\n";
const ATTACK: &str = "/?id=1%20UNION%20SELECT%20password%20FROM%20users--";

/// A server with one site, `shop.test`.
fn serving(more: &str, through: &[&str]) -> (Server, tempfile::TempDir) {
    let site = folder(&[("index.html", "shop")]);
    let route = format!("[[route]]\nhosts = ['shop.test']\nstatic = '{}'\n", site.path().display());
    (Server::start_through(&format!("{SETTINGS}{more}{route}"), through), site)
}

/// The status that curl gets from an address; 0 when the connection is refused, reset, closed or never made.
fn status(server: &Server, from: &str, target: &str, inside: bool) -> u16 {
    status_within("30", server, from, target, inside)
}

/// The same, with the seconds that a connection may take: few where none is to be made.
fn status_within(seconds: &str, server: &Server, from: &str, target: &str, inside: bool) -> u16 {
    let url = format!("http://{}{target}", server.address("http"));
    let pid = server.pid().to_string();
    let namespace = format!("--net=/proc/{pid}/ns/net");
    let mut words = if inside { vec!["nsenter", &namespace, "curl"] } else { vec!["curl"] };
    words.extend(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: shop.test", "-A", "test/1.0"]);
    words.extend(["--connect-timeout", seconds, "--max-time", "120", "--interface", from, &url]);
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn bans(server: &Server) -> Value {
    serde_json::from_str(&server.ok(&["waf", "bans", "list", "--json"])).unwrap()
}

#[test]
fn attackers_are_banned_over_a_restart_until_somebody_clears_them() {
    let (mut server, _site) = serving("", &[]);
    for _ in 0..3 {
        assert_eq!(status(&server, "127.0.0.1", ATTACK, false), 403);
    }
    assert_eq!(status(&server, "127.0.0.1", "/", false), 0, "turned away");
    assert_eq!(status(&server, "127.0.0.2", "/", false), 200, "nobody else is");

    let listed = bans(&server);
    let ban = &listed["bans"][0];
    assert_eq!(
        (ban["network"].as_str(), ban["reason"].as_str()),
        (Some("127.0.0.1"), Some("firewall")),
        "{listed}"
    );
    assert_eq!(ban["app"], "shop.test");
    let hour = ban["until"].as_u64().unwrap() - ban["since"].as_u64().unwrap();
    assert_eq!(hour, 3_600_000, "{ban}");
    // The note is the transaction, and that can be explained.
    server.eventually(|| {
        let explained = server.command(&["waf", "explain", ban["note"].as_str().unwrap()]);
        (explained.code == 0).then_some(())
    });
    let shown = server.ok(&["waf:bans:list"]);
    assert!(shown.contains("127.0.0.1") && shown.contains("firewall"), "{shown}");
    let (_, metrics) = server.get_admin("/metrics");
    assert!(metrics.contains("\nhop3_bans 1\n"), "{metrics}");

    server.restart(End::Terminate);
    assert_eq!(status(&server, "127.0.0.1", "/", false), 0, "the ban outlives the server");
    assert_eq!(bans(&server)["bans"][0], *ban);
    server.restart(End::Kill);
    assert_eq!(bans(&server)["bans"][0], *ban, "also one that is killed");

    // What rules do to somebody is in the audit chain as what people do, with the ban itself.
    let audit = server.ok(&["audit", "--verify"]);
    let line = audit.lines().find(|line| line.contains("waf:bans:add")).unwrap();
    assert!(line.contains("system") && line.contains("127.0.0.1") && line.contains("firewall"), "{audit}");
    assert_eq!(audit.matches("waf:bans:add").count(), 1, "{audit}");

    let cleared = server.ok(&["waf", "bans", "clear", "127.0.0.1"]);
    assert_eq!(cleared, "✓ 127.0.0.1 is banned no longer.\n");
    assert_eq!(status(&server, "127.0.0.1", "/", false), 200);
    server.restart(End::Terminate);
    assert_eq!(status(&server, "127.0.0.1", "/", false), 200, "cleared for good");
    let audit = server.ok(&["audit", "--verify"]);
    assert!(audit.contains("waf:bans:clear") && audit.contains("hold together"), "{audit}");
}

#[test]
fn a_network_of_attackers_is_banned_and_the_audit_log_stays_short() {
    let (server, _site) = serving("network-after = 4\n", &[]);
    for last in 1..=4 {
        for _ in 0..3 {
            assert_eq!(status(&server, &format!("127.0.7.{last}"), ATTACK, false), 403, "{last}");
        }
    }
    assert_eq!(
        status(&server, "127.0.7.77", "/", false),
        0,
        "who did nothing is turned away with the others"
    );
    assert_eq!(status(&server, "127.0.8.1", "/", false), 200);
    let listed = bans(&server);
    let listed = listed["bans"].as_array().unwrap();
    let network = listed.iter().find(|ban| ban["network"] == "127.0.7.0/24").unwrap();
    assert_eq!((network["reason"].as_str(), listed.len()), (Some("network"), 5), "{listed:?}");
    // However they were gathered, each is named once.
    let named = |audit: &str| audit.matches(" 127.0.7.").count();
    let audit =
        server.eventually(|| Some(server.ok(&["audit", "--verify"])).filter(|audit| named(audit) >= 5));
    assert!(named(&audit) == 5 && audit.contains("hold together"), "{audit}");
    server.ok(&["waf", "bans", "clear", "127.0.7.0/24"]);
    assert_eq!(status(&server, "127.0.7.77", "/", false), 200);
}

#[test]
fn operators_ban_networks_with_reasons_and_get_clear_answers() {
    let (mut server, _site) = serving("", &[]);
    let added =
        server.ok(&["waf", "bans", "add", "127.0.0.8/30", "--for", "2h", "--reason", "scanners", "--json"]);
    let added: Value = serde_json::from_str(&added).unwrap();
    assert_eq!((added["network"].as_str(), added["reason"].as_str()), (Some("127.0.0.8/30"), Some("manual")));
    assert_eq!(added["note"], "scanners");
    assert_eq!(server.ok(&["waf:bans:add", "2001:db8::7"]), "✓ 2001:db8::7 is banned until it is cleared.\n");
    for (from, expected) in [("127.0.0.9", 0), ("127.0.0.11", 0), ("127.0.0.12", 200)] {
        assert_eq!(status(&server, from, "/", false), expected, "{from}");
    }
    let refused = |arguments: &[&str], code: i32, said: &str| {
        let ended = server.command(&[&["waf", "bans"], arguments].concat());
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.stderr.contains(said), "{ended:?}");
    };
    refused(&["add", "10.0.0.0/33"], 2, "is no address or network; write");
    refused(&["add", "10.0.0.1", "--for", "0s"], 2, "at least a second");
    refused(&["add", "10.0.0.1", "--for", "soon"], 2, "--for");
    refused(
        &["clear", "127.0.0.9"],
        3,
        "hint: `127.0.0.8/30` is banned and holds it: hop3 waf bans clear 127.0.0.8/30",
    );
    refused(&["clear", "10.9.9.9"], 3, "`10.9.9.9` is not banned");
    refused(&["clear"], 2, "required");
    assert_eq!(bans(&server)["bans"].as_array().unwrap().len(), 2, "what is refused changes nothing");

    let file = server.data().join("hop3-server.toml");
    let settings = fs::read_to_string(&file).unwrap();
    fs::write(&file, settings.replace("allow = []", "allow = ['127.0.0.10']")).unwrap();
    server.signal("HUP");
    server.eventually(|| (status(&server, "127.0.0.10", "/", false) == 200).then_some(()));
    assert_eq!(status(&server, "127.0.0.9", "/", false), 0);
    let ended = server.command(&["waf", "bans", "add", "127.0.0.10"]);
    assert_eq!(ended.code, 6, "{ended:?}");
    assert!(ended.stderr.contains("which is never banned"), "{ended:?}");

    assert_eq!(server.ok(&["waf", "bans", "clear", "--all"]), "✓ 2 bans were lifted.\n");
    assert_eq!(status(&server, "127.0.0.9", "/", false), 200);
    assert_eq!(server.ok(&["waf", "bans", "list"]), "Nobody is banned.\n");
    let audit = server.ok(&["audit", "--verify"]);
    assert!(
        audit.contains("waf:bans:add") && audit.contains("scanners") && audit.contains("2 bans"),
        "{audit}"
    );
    server.restart(End::Terminate);
    assert_eq!(bans(&server)["bans"].as_array().unwrap().len(), 0);
}

#[test]
fn apps_choose_when_they_ban() {
    let server = Server::start_through("[server.bans]\nallow = []\n", &[]);
    for (name, bans) in [("calm", ""), ("strict", "[waf.bans]\nthreshold = 1\nduration = '10m'\n")] {
        let files = [("Procfile", "static: .\n"), ("index.html", name), ("hop3.toml", bans)];
        let app = folder(&files);
        let shown = server.ok(&["deploy", name, app.path().to_str().unwrap()]);
        assert!(!shown.contains("nobody is banned"), "{shown}");
    }
    let attack = |host: &str| server.get(host, ATTACK).0;
    for _ in 0..12 {
        assert_eq!(attack("calm.localhost"), 403);
    }
    assert_eq!(attack("strict.localhost"), 403);
    let listed = bans(&server);
    assert_eq!(listed["bans"][0]["app"], "strict", "{listed}");
    assert_eq!(status(&server, "127.0.0.1", "/", false), 0, "the ban is the whole server's");
}

/// Why nothing can be tried in the kernel here; `None` when it can.
fn kernel_missing() -> Option<&'static str> {
    let works = |script: &str| {
        let shell =
            Command::new("unshare").args(["--net", "sh", "-c", script]).stderr(Stdio::null()).status();
        shell.is_ok_and(|status| status.success())
    };
    if !works("ip link set lo up") {
        return Some("this process may not make network namespaces, or there is no `ip`");
    }
    (!works("PATH=$PATH:/usr/sbin nft add table inet hop3_probe")).then_some("there is no nftables")
}

const NAMESPACE: [&str; 6] = ["unshare", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"];

/// What the packet filter holds in the server's network namespace.
fn sets(server: &Server) -> String {
    nft(server, &["list", "ruleset"])
}

/// What `nft` says in the server's network namespace.
fn nft(server: &Server, words: &[&str]) -> String {
    let namespace = format!("--net=/proc/{}/ns/net", server.holder());
    let output = Command::new("nsenter").args([&namespace, "/usr/sbin/nft"]).args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a datagram from this address arrives in the server's network namespace.
fn datagram_arrives(server: &Server, from: &str) -> bool {
    let script = "import socket, sys\n\
                  sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]\n\
                  sockets[0].bind((sys.argv[1], 0)); sockets[1].bind(('127.0.0.1', 0))\n\
                  sockets[1].settimeout(20)\n\
                  sockets[0].sendto(b'x', sockets[1].getsockname()); sockets[1].recv(1)";
    let namespace = format!("--net=/proc/{}/ns/net", server.pid());
    let mut command = Command::new("nsenter");
    command.args([&namespace, "python3", "-c", script, from]).stderr(Stdio::null());
    command.status().unwrap().success()
}

#[test]
fn the_kernel_drops_what_banned_clients_send() {
    if let Some(reason) = kernel_missing() {
        println!("skipped: {reason}");
        return;
    }
    let (server, _site) = serving("nftables = true\n", &NAMESPACE);
    let sets = || sets(&server);
    for _ in 0..3 {
        assert_eq!(status(&server, "127.0.0.1", ATTACK, true), 403);
    }
    server.ok(&["waf", "bans", "add", "2001:db8::/48"]);
    let text = server.eventually(|| {
        Some(sets()).filter(|text| text.contains("127.0.0.1") && text.contains("2001:db8::/48"))
    });
    assert!(text.contains("timeout"), "{text}");
    assert_eq!(status_within("3", &server, "127.0.0.1", "/", true), 0);
    assert_eq!(status(&server, "127.0.0.2", "/", true), 200);
    assert!(datagram_arrives(&server, "127.0.0.1"), "only the server's ports are closed to it: {text}");
    let dropped = |text: &str| {
        text.contains("@banned4 counter packets") && !text.contains("@banned4 counter packets 0 ")
    };
    assert!(dropped(&sets()), "the kernel dropped it, not the proxy: {}", sets());
    let listed = bans(&server);
    assert_eq!(listed["nftables"]["state"], "on", "{listed}");

    server.ok(&["waf", "bans", "add", "192.0.2.55"]);
    let text = server.eventually(|| Some(sets()).filter(|text| text.contains("192.0.2.55")));
    assert!(dropped(&text), "one element was added, and nothing made anew: {text}");

    server.ok(&["waf", "bans", "clear", "127.0.0.1"]);
    server.eventually(|| (status(&server, "127.0.0.1", "/", true) == 200).then_some(()));
    assert!(dropped(&sets()) && sets().contains("192.0.2.55"), "one element was taken away: {}", sets());
    nft(&server, &["flush", "ruleset"]);
    server.ok(&["waf", "bans", "add", "192.0.2.56"]);
    server.eventually(|| {
        let text = sets();
        (text.contains("192.0.2.55") && text.contains("192.0.2.56")).then_some(())
    });
    // Nothing else happens, and it is noticed all the same.
    nft(&server, &["flush", "ruleset"]);
    server.eventually(|| Some(sets()).filter(|text| text.contains("192.0.2.55")));
    without_nftables(&server);
    server.signal("HUP");
    server.eventually(|| (!sets().contains("hop3_")).then_some(()));
    assert_eq!(bans(&server)["nftables"]["state"], "off");
}

#[test]
fn a_successor_that_is_not_to_use_the_kernel_takes_its_predecessors_sets_away() {
    if let Some(reason) = kernel_missing() {
        println!("skipped: {reason}");
        return;
    }
    let (mut server, _site) = serving("nftables = true\n", &NAMESPACE);
    server.ok(&["waf", "bans", "add", "192.0.2.1"]);
    server.eventually(|| sets(&server).contains("192.0.2.1").then_some(()));
    without_nftables(&server);
    server.ok(&["upgrade"]);
    server.wait_replaced();
    server.eventually(|| (!sets(&server).contains("hop3_")).then_some(()));
    assert_eq!(bans(&server)["bans"][0]["network"], "192.0.2.1", "the proxy goes on");
}

/// Changes the configuration; it is not read yet.
fn without_nftables(server: &Server) {
    let file = server.data().join("hop3-server.toml");
    let settings = fs::read_to_string(&file).unwrap();
    fs::write(&file, settings.replace("nftables = true", "nftables = false")).unwrap();
}

#[test]
fn without_permission_the_proxy_bans_alone_and_says_so() {
    let unprivileged = ["setpriv", "--bounding-set", "-net_admin"];
    let mut dropping = Command::new(unprivileged[0]);
    let can_drop = dropping.args(&unprivileged[1..]).arg("true").stderr(Stdio::null()).status();
    let through: &[&str] = if can_drop.is_ok_and(|status| status.success()) { &unprivileged } else { &[] };
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if through.is_empty() && is_root {
        println!("skipped: root cannot give up its right to change the packet filter here");
        return;
    }
    let (server, _site) = serving("nftables = true\n", through);
    let listed =
        server.eventually(|| Some(bans(&server)).filter(|listed| listed["nftables"]["state"] == "failed"));
    let message = listed["nftables"]["failure"]["message"].as_str().unwrap();
    assert!(message.contains("cannot be put into nftables"), "{listed}");
    assert!(listed["nftables"]["failure"]["hint"].is_string(), "{listed}");
    assert!(server.ok(&["waf", "bans", "list"]).contains("! bans cannot be put into nftables"));
    for _ in 0..3 {
        assert_eq!(status(&server, "127.0.0.1", ATTACK, false), 403);
    }
    assert_eq!(status(&server, "127.0.0.1", "/", false), 0);
}
