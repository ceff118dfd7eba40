//! Certificates of the operator's, and what `[tls]` of an app does.

use std::fs;
use std::path::Path;
use std::process::Command;

use hop3_tests::apps;
use hop3_tests::server::{Ran, Server};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use crate::site::trusted;

/// An authority of the operator's own, in a folder with `root.pem`.
struct Office {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Office {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "the office");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(folder.path().join("root.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn issue(&self, name: &str, hosts: &[&str], usage: ExtendedKeyUsagePurpose) {
        let key = KeyPair::generate().unwrap();
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.extended_key_usages = vec![usage];
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        fs::write(self.path(&format!("{name}.pem")), chain).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn deploy(server: &Server, toml: &str, office: &Office) {
    let ca = fs::read_to_string(office.path("root.pem")).unwrap();
    let app = apps::folder(&[("hop3.toml", toml), ("public/index.html", "<p>hello</p>"), ("ca.pem", &ca)]);
    server.hop3(&["deploy", "demo", app.path().to_str().unwrap()]).succeeded();
}

#[test]
fn an_imported_certificate_is_checked_shown_kept_and_forgotten() {
    let mut server = Server::start("");
    let office = Office::open();
    let root = office.path("root.pem");
    let root = Path::new(&root);
    deploy(
        &server,
        "domains = [\"a.demo.test\", \"b.demo.test\"]\n[build]\nstatic-dir = \"public\"\n",
        &office,
    );
    office.issue("good", &["a.demo.test"], ExtendedKeyUsagePurpose::ServerAuth);
    office.issue("other", &["c.demo.test"], ExtendedKeyUsagePurpose::ServerAuth);
    let add =
        |chain: &str, key: &str| server.hop3(&["certs:add", "demo", &office.path(chain), &office.path(key)]);
    for (chain, key, said) in [
        ("good.pem", "other.key", "not the key of the certificate"),
        ("other.pem", "other.key", "it names c.demo.test, the app answers for a.demo.test, b.demo.test"),
        ("good.key", "good.key", "holds no certificate"),
        ("good.pem", "good.pem", "the key of"),
    ] {
        let refused = add(chain, key).failed_with(2);
        assert!(refused.contains(said), "{chain} {key}: {refused}");
    }
    assert_eq!(trusted(&server, root, "a.demo.test", "/"), None, "what was refused changed nothing");
    let added = add("good.pem", "good.key").succeeded();
    assert!(added.contains("in force: a.demo.test, until 2090-01-01"), "{added}");
    assert!(added.contains("! it does not name b.demo.test"), "{added}");
    assert!(trusted(&server, root, "a.demo.test", "/").unwrap().contains("hello"));
    let listed = server.hop3(&["certs", "list", "demo"]).succeeded();
    assert!(listed.contains("imported") && listed.contains("no authority is configured"), "{listed}");
    let log = server.log() + &server.hop3(&["audit"]).succeeded();
    assert!(!log.contains("PRIVATE KEY") && log.contains("certs:add"));

    server.stop();
    server.resume();
    assert!(trusted(&server, root, "a.demo.test", "/").is_some(), "kept");
    server.hop3(&["certs", "remove", "demo", "--no-input"]).failed_with(10);
    server.hop3(&["certs", "remove", "demo", "-y"]).succeeded();
    assert_eq!(trusted(&server, root, "a.demo.test", "/"), None);
    server.hop3(&["certs", "remove", "demo", "-y"]).failed_with(6);
    server.hop3(&["certs", "renew"]).failed_with(6);
    server
        .hop3(&["certs", "add", "nobody", &office.path("good.pem"), &office.path("good.key")])
        .failed_with(3);
}

#[test]
fn an_app_may_ask_for_client_certificates_hsts_and_redirects() {
    let server = Server::start("");
    let office = Office::open();
    let toml = "domains = [\"a.demo.test\"]\n[build]\nstatic-dir = \"public\"\n[tls]\nredirect = true\n\
                hsts = {max-age = '30d', include-subdomains = true}\nclient-ca = \"ca.pem\"\n";
    deploy(&server, toml, &office);
    office.issue("client", &["client"], ExtendedKeyUsagePurpose::ClientAuth);
    assert_eq!(server.curl("a.demo.test", "/", &[]).status, 403);
    let (cert, key) = (office.path("client.pem"), office.path("client.key"));
    let answer = server.curl("a.demo.test", "/", &["--cert", &cert, "--key", &key]);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let policy = "strict-transport-security: max-age=2592000; includeSubDomains";
    assert!(answer.text.to_lowercase().contains(&policy.to_lowercase()), "{}", answer.text);
    let port = server.port("http");
    let plain = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}"])
        .args(["--resolve", &format!("a.demo.test:{port}:127.0.0.1"), &format!("http://a.demo.test:{port}/")])
        .output()
        .unwrap();
    assert_eq!(Ran::from(plain).succeeded(), "301");

    // An authority that cannot be read refuses the deployment; the release in force stays.
    let broken = toml.replace("ca.pem", "hop3.toml");
    let ca = fs::read_to_string(office.path("root.pem")).unwrap();
    let app = apps::folder(&[("hop3.toml", &broken), ("public/index.html", "new"), ("ca.pem", &ca)]);
    let refused = server.hop3(&["deploy", "demo", app.path().to_str().unwrap()]);
    assert_ne!(refused.code, 0, "{}", refused.text);
    assert!(refused.text.contains("client-ca"), "{}", refused.text);
    let answer = server.curl("a.demo.test", "/", &["--cert", &cert, "--key", &key]);
    assert!(answer.text.contains("hello"), "{}", answer.text);
}
