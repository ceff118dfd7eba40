//! HTTPS through the real executable: `[tls]` towards clients, `https://` towards instances.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::fs;
use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use server::{Server, folder};

/// Head and body over HTTPS; empty when the handshake fails.
fn https(server: &Server, host: &str, path: &str, more: &[&str]) -> String {
    let port = server.port("https");
    let output = Command::new("curl")
        .args(["-sik", "--resolve", &format!("{host}:{port}:127.0.0.1")])
        .args(more)
        .arg(format!("https://{host}:{port}{path}"))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Writes `NAME-ca.pem`, `NAME.pem` and `NAME.key`: an authority and a certificate of it.
fn authority(folder: &Path, name: &str) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("{name} authority"));
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(folder.join(format!("{name}-ca.pem")), issuer.pem()).unwrap();
    fs::write(folder.join(format!("{name}.pem")), own.pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[test]
fn an_app_asks_for_client_certificates_on_some_paths() {
    let server = Server::start();
    let site = folder(&[
        ("Procfile", "static: .\n"),
        ("index.html", "hello"),
        (
            "hop3.toml",
            "[tls]\nredirect = true\nhsts = { max-age = '2d', include-subdomains = true }\nclient-ca = 'good-ca.pem'\n\
             client-certificates = 'request'\n[[proxy.paths]]\nprefix = '/inside'\nclient-certificates = 'require'\n",
        ),
    ]);
    fs::create_dir(site.path().join("inside")).unwrap();
    fs::write(site.path().join("inside/index.html"), "inside").unwrap();
    authority(site.path(), "good");
    authority(site.path(), "bad");
    server.ok(&["deploy", "site", site.path().to_str().unwrap()]);
    let with = |name: &str, path: &str| {
        let file = |end: &str| site.path().join(format!("{name}.{end}")).display().to_string();
        https(&server, "site.localhost", path, &["--cert", &file("pem"), "--key", &file("key")])
    };
    let open = https(&server, "site.localhost", "/", &[]).to_ascii_lowercase();
    assert!(open.contains(" 200") && open.ends_with("hello"), "{open}");
    assert!(open.contains("strict-transport-security: max-age=172800; includesubdomains"), "{open}");
    assert!(https(&server, "site.localhost", "/inside/", &[]).contains(" 403"));
    let inside = with("good", "/inside/");
    assert!(inside.contains(" 200") && inside.ends_with("inside"), "{inside}");
    let stranger = with("bad", "/inside/");
    assert!(!stranger.contains(" 200"), "{stranger}");
    // Over plain HTTP there is no way around it.
    let plain = server.raw("site.localhost", "/inside/", "").to_ascii_lowercase();
    assert!(plain.contains(" 301") && plain.contains("location: https://site.localhost"), "{plain}");
    assert!(!plain.contains("strict-transport-security"), "{plain}");

    // One certificate for all its routes.
    let listed: serde_json::Value = serde_json::from_str(&server.ok(&["certs", "list", "--json"])).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");

    fs::write(site.path().join("good-ca.pem"), "nothing").unwrap();
    let refused = server.command(&["deploy", "site", site.path().to_str().unwrap()]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("client-ca"), "{refused:?}");
    assert!(with("good", "/inside/").contains(" 200"), "the old release stays");
}

#[test]
fn instances_are_spoken_to_over_tls_and_checked() {
    let server = Server::start();
    let serve = "import http.server as h, ssl, sys\nc = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
        c.load_cert_chain('own.pem', 'own.key')\ns = h.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), \
        h.SimpleHTTPRequestHandler)\ns.socket = c.wrap_socket(s.socket, server_side=True)\ns.serve_forever()\n";
    let site = folder(&[("serve.py", serve), ("index.html", "over TLS")]);
    authority(site.path(), "own");
    authority(site.path(), "other");
    let port = hop3_runtimes::ports::free_port().unwrap();
    let mut child = Command::new("python3")
        .args(["serve.py", &port.to_string()])
        .current_dir(site.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    server.eventually(|| std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let route = |host: &str, keys: &str| {
        format!(
            "[[route]]\nhosts = ['{host}']\nupstream = 'https://localhost:{port}'\n[route.proxy.upstream-tls]\n{keys}\n"
        )
    };
    let ca = |name: &str| format!("ca = '{}'", site.path().join(format!("{name}-ca.pem")).display());
    let settings = [
        route("good.test", &ca("own")),
        route("stranger.test", &ca("other")),
        route("name.test", &format!("{}\nserver-name = 'elsewhere.test'", ca("own"))),
        route("blind.test", "verify = false"),
    ];
    server.configure(&settings.concat());
    assert_eq!(server.get("good.test", "/index.html"), (200, "over TLS".into()));
    assert_eq!(server.get("stranger.test", "/index.html").0, 502, "its authority is not believed");
    assert_eq!(server.get("name.test", "/index.html").0, 502, "its name is another");
    assert_eq!(server.get("blind.test", "/index.html").0, 200);
    child.kill().unwrap();
    child.wait().unwrap();
}
