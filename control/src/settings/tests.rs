//! Files that must load, and files that must not, each with the place its error names.

use super::*;

fn parse(text: &str) -> Result<Settings, Diagnostic> {
    Settings::parse(Path::new("/etc/hop3/hop3-server.toml"), text)
}

#[test]
fn the_empty_file_means_the_defaults() {
    let settings = parse("").unwrap();
    assert_eq!(settings.domain.as_str(), "localhost");
    assert!(settings.routes.is_empty());
    assert!(settings.threads >= 1);
    let unprivileged = ListenOptions::default().resolve(false);
    assert_eq!(unprivileged.http, Some("0.0.0.0:8080".parse().unwrap()));
    assert_eq!(unprivileged.https, Some("0.0.0.0:8443".parse().unwrap()));
    assert_eq!(unprivileged.admin, Some("127.0.0.1:9180".parse().unwrap()));
}

#[test]
fn a_full_file_loads() {
    let settings = parse(
        r#"
[server]
threads = 2
domain = "apps.example.org"
drain = "90s"
upgrade-drain = "2h"
[server.listen]
http = ["[::1]:0", 8080]
https = "127.0.0.1:8443"
public-https = 443
admin = false
[server.clients]
trusted-proxies = ["10.0.0.0/8"]
forwarding = "forwarded"
proxy-protocol = ["192.0.2.1"]
max-connections-per-address = 7
head-timeout = "5s"
min-rate = 100
body-memory = "64m"
[server.traces]
endpoint = "http://collector.test:4318"
sample = 10
headers = { Authorization = "Bearer x" }
[server.log]
level = "debug"
format = "json"
[server.log.requests]
file = "requests.log"
format = "combined"
sample = 10
[server.waf]
paranoia-level = 2
[[route]]
hosts = ["shop.example.org", "*.shop.example.org"]
upstream = "http://127.0.0.1:18080"
[route.waf]
mode = "detect"
[[route]]
hosts = ["shop.example.org"]
path-prefix = "/files"
static = "public"
"#,
    )
    .unwrap();
    assert_eq!(settings.threads, 2);
    let clients = &settings.clients;
    assert!(clients.trusted_proxies[0].holds("10.1.2.3".parse().unwrap()));
    assert_eq!((clients.trusted_proxies.len(), clients.proxy_protocol.len()), (1, 1));
    assert_eq!(clients.forwarding, hop3_proxy::ForwardingFields::Forwarded);
    assert_eq!(clients.limits.max_connections_per_client, 7);
    assert_eq!(clients.limits.head_timeout, std::time::Duration::from_secs(5));
    assert_eq!((clients.limits.min_body_rate, clients.limits.min_write_rate), (100, 100));
    assert_eq!(clients.limits.body_memory, 64 << 20);
    let requests = settings.log_requests.as_ref().unwrap();
    assert_eq!((requests.file.to_str(), requests.sample), (Some("/etc/hop3/requests.log"), 10));
    assert_eq!(requests.format, hop3_proxy::AccessLogFormat::Combined);
    let traces = settings.traces.as_ref().unwrap();
    assert_eq!(
        (traces.collector.to_string().as_str(), &traces.path[..]),
        ("collector.test:4318", "/v1/traces")
    );
    assert_eq!((traces.sample, &traces.service[..]), (10, "hop3"));
    assert_eq!(traces.headers, [("authorization".to_owned(), "Bearer x".to_owned())]);
    assert_eq!((settings.drain.as_secs(), settings.upgrade_drain.as_secs()), (90, 7200));
    assert_eq!(settings.listen.http, Some("[::1]:0".parse().unwrap()));
    assert_eq!(settings.listen.admin, None);
    assert_eq!(settings.listen.further, [(hop3_proxy::Purpose::Http, "0.0.0.0:8080".parse().unwrap())]);
    let first = &settings.routes[0];
    assert_eq!(first.target, Target::Upstream(vec!["127.0.0.1:18080".parse().unwrap()]));
    assert!(first.waf.paranoia_level.is_some(), "the server's default reaches the route");
    assert_eq!(first.name(), "shop.example.org");
    assert_eq!(settings.routes[1].name(), "shop.example.org/files", "firewalls are told apart by name");
    assert_eq!(settings.routes[1].target, Target::Folder("/etc/hop3/public".into()));
}

#[test]
fn faults_are_named_with_their_place() {
    let route = "[[route]]\nhosts = [\"a.b\"]\n";
    let cases = [
        ("[server]\nthread = 2", "2:1", "unknown key `thread`"),
        ("[sever]\n", "1:2", "unknown key `sever`"),
        ("[server]\nthreads = 0", "2:11", "between 1 and 1024"),
        ("[server.listen]\nhttp = 70000", "2:8", "70000 is not a port"),
        ("[server.listen]\npublic-https = 0", "2:16", "expected a nonzero u16"),
        ("[server.listen]\nhttps = false\npublic-https = 443", "3:16", "which is off"),
        ("[server.listen]\nhttp = \"localhost\"", "2:8", "`localhost` is not an address"),
        ("[server.listen]\nhttp = true", "2:8", "true"),
        ("[server.log]\nlevel = \"loud\"", "2:9", "unknown value `loud`"),
        ("[server.log.requests]\nsample = 0", "2:10", "at least 1"),
        ("[server.log.requests]\nsample = 2\nformat = \"json\"", "3:10", "`format` needs `file`"),
        ("[server.log.requests]\nmask = [\"a\"]", "2:8", "`mask` needs `file`"),
        ("[server]\ndomain = \"a b\"", "2:10", "`a b` is not a host name"),
        ("[server.bans]\nmax-duration = \"11y\"", "1:1", "at most 10 years"),
        ("[[route]]\nupstream = \"http://a\"", "1:1", "needs `hosts`"),
        (route, "1:1", "needs `upstream` or `static`"),
        (&format!("{route}upstream = \"ftp://a\""), "3:12", "`ftp://a` is no endpoint"),
        (&format!("{route}upstream = \"http://a\"\nstatic = \"x\""), "1:1", "not both"),
        (
            &format!(
                "{route}upstream = \"http://a\"\n[route.proxy.balancing]\nweights = {{\"http://b\" = 2}}"
            ),
            "1:1",
            "names `http://b`, which is not in `upstream`",
        ),
        (&format!("{route}static = \"x\"\npath-prefix = \"x\""), "1:1", "must begin with `/`"),
        (&format!("{route}static = \"x\"\n{route}static = \"y\""), "4:1", "already routed"),
        (
            &format!(
                "{route}static = \"x\"\npath-prefix = \"/p\"\n{route}static = \"y\"\npath-prefix = \"/p/\""
            ),
            "5:1",
            "already routed",
        ),
        (
            &format!("{route}static = \"x\"\n[route.waf]\nparanoia-levl = 1"),
            "5:1",
            "unknown key `paranoia-levl`",
        ),
        (
            &format!("{route}static = \"x\"\n[route.waf]\nparanoia-level = 3\ndetection-paranoia-level = 1"),
            "1:1",
            "lower than",
        ),
    ];
    let mut wrong = Vec::new();
    for (text, place, message) in cases {
        match parse(text) {
            Ok(_) => wrong.push(format!("accepted: {text:?}")),
            Err(fault) => {
                let shown = fault.to_string();
                if !shown.starts_with(&format!("hop3-server.toml:{place}: ")) || !shown.contains(message) {
                    wrong.push(format!("{text:?} gave {shown}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_nearest_key_is_offered() {
    let failure = diagnosed(&parse("[server]\nthread = 2").unwrap_err());
    assert_eq!(
        failure.to_string(),
        "error: hop3-server.toml:2:1: unknown key `thread`\n    2 | thread = 2\n      | ^^^^^^\n\
         hint: did you mean `threads`?"
    );
}

#[test]
fn an_authority_is_asked_only_when_its_terms_are_accepted() {
    assert_eq!(parse("").unwrap().acme, None);
    assert_eq!(parse("[server.acme]\nenabled = false").unwrap().acme, None);
    let acme = parse("[server.acme]\nterms-agreed = true").unwrap().acme.unwrap();
    assert!(acme.public && acme.directory.contains("letsencrypt.org"));
    assert_eq!(acme.challenges, [ChallengeKind::Http01, ChallengeKind::TlsAlpn01]);
    let closed = "[server.listen]\nhttp = false\n[server.acme]\nterms-agreed = true\n";
    assert_eq!(parse(closed).unwrap().acme.unwrap().challenges, [ChallengeKind::TlsAlpn01]);
    let agreed = "[server.acme]\nterms-agreed = true\n";
    let wrong = [
        ("[server.acme]\n", "terms-agreed = true"),
        ("[server.acme]\nterms-agreed = true\ndirectory = \"http://ca.example/\"", "is no directory"),
        ("[server.acme]\nterms-agreed = true\nca = \"/nonexistent\"", "cannot read `/nonexistent`"),
        ("[server.acme]\nterms-agreed = true\nemail = \"me\"", "is not an e-mail address"),
        (&format!("{agreed}challenges = [\"dns-01\"]"), "needs [server.acme.dns]"),
        (&format!("{agreed}challenges = [\"dns-02\"]"), "unknown value `dns-02`"),
        (&format!("{agreed}[server.acme.dns]"), "needs `hook` or `server`"),
        (&format!("{agreed}[server.acme.dns]\nhook = [\"x\"]\nserver = \"192.0.2.1\""), "not both"),
        (&format!("{agreed}[server.acme.dns]\nserver = \"a b:53:1\""), "is not a server"),
        (&format!("{agreed}[server.acme.dns]\nserver = \"192.0.2.1\"\nkey-name = \"k\""), "go together"),
        ("[server.tls]\nmin-version = \"1.1\"", "unknown value `1.1`"),
        (
            "[[route]]\nhosts = [\"a.b\"]\nstatic = \"x\"\n[route.tls]\nclient-certificates = \"require\"",
            "client-ca",
        ),
    ];
    for (text, message) in wrong {
        let fault = parse(text).map(drop).map_err(|fault| fault.to_string());
        assert!(fault.as_ref().is_err_and(|fault| fault.contains(message)), "{text:?} gave {fault:?}");
    }
}

#[test]
fn an_update_server_has_an_address_and_perhaps_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hop3-server.toml");
    std::fs::write(folder.path().join("tsig"), "c2VjcmV0\n").unwrap();
    let dns = |keys: &str| {
        let text = format!("[server.acme]\nterms-agreed = true\n[server.acme.dns]\n{keys}\n");
        Settings::parse(&file, &text).map(|settings| settings.acme.unwrap().dns.unwrap())
    };
    for (written, address) in
        [("192.0.2.1", "192.0.2.1:53"), ("::1", "[::1]:53"), ("ns.a.org", "ns.a.org:53"), ("a:5", "a:5")]
    {
        let DnsProvider::Update(server) = dns(&format!("server = \"{written}\"")).unwrap().provider else {
            panic!("no update")
        };
        assert_eq!((server.address.as_str(), server.key), (address, None));
    }
    let keyed =
        dns("server = \"192.0.2.1\"\nkey-name = \"k\"\nkey-file = \"tsig\"\npropagation = \"1m\"").unwrap();
    assert_eq!(keyed.propagation.as_secs(), 60);
    let slow = dns("server = \"192.0.2.1\"\npropagation = \"20m\"").unwrap_err();
    assert!(format!("{slow:?}").contains("at most 10m"), "{slow:?}");
    let DnsProvider::Update(DnsServer { key: Some((name, algorithm, secret)), .. }) = keyed.provider else {
        panic!("no key")
    };
    assert_eq!((name.as_str(), algorithm), ("k", TsigAlgorithm::Sha256));
    assert_eq!(secret.reveal(), b"secret");
    std::fs::write(folder.path().join("tsig"), "not base64!").unwrap();
    assert!(dns("server = \"192.0.2.1\"\nkey-name = \"k\"\nkey-file = \"tsig\"").is_err());
}
