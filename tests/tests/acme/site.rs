//! A server with a static site, an authority, and the DNS between them.

use std::fs;
use std::path::Path;
use std::process::Command;

use hop3_tests::pebble::{ChallengeDns, Doors, Pebble, Peculiarities};
use hop3_tests::server::{Ran, Server, wait_until};

/// The site's usual host.
pub const SHOP: &str = "shop.hop3.test";
/// Its other one.
pub const WWW: &str = "www.hop3.test";

/// All of it.
pub struct Site {
    pub server: Server,
    pub dns: ChallengeDns,
    pebble: Option<Pebble>,
    hosts: Vec<String>,
}

impl Site {
    /// A site without an authority yet: `hosts` show self-signed certificates.
    pub fn start(hosts: &[&str]) -> Self {
        Self::start_with(hosts, Peculiarities::default())
    }

    /// The same with a peculiar authority.
    pub fn start_with(hosts: &[&str], peculiarities: Peculiarities) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let server = Server::start_on_kept_ports(&route(&hosts));
        fs::create_dir_all(server.path("site")).unwrap();
        fs::write(server.path("site/index.html"), "<p>the site</p>").unwrap();
        let dns = ChallengeDns::start();
        let doors = Doors { http: server.port("http"), https: server.port("https") };
        let pebble = Some(Pebble::start(doors, dns.port, peculiarities));
        Self { server, dns, pebble, hosts }
    }

    /// The authority.
    pub fn pebble(&self) -> &Pebble {
        self.pebble.as_ref().unwrap()
    }

    /// Ends the authority, then starts another.
    pub fn replace_pebble(&mut self, start: impl FnOnce() -> Pebble) {
        self.pebble = None;
        self.pebble = Some(start());
    }

    /// Names the authority to the running server; `more` are further keys of `[server.acme]` and sections after it.
    pub fn order(&mut self, more: &str) {
        self.order_from(&self.pebble().directory(), more);
    }

    /// The same with another directory.
    pub fn order_from(&mut self, directory: &str, more: &str) {
        let acme = format!(
            "[server.acme]\nterms-agreed = true\nemail = \"ops@hop3.test\"\ndirectory = \"{directory}\"\n\
             ca = \"{}\"\n{more}\n",
            self.pebble().ca().display()
        );
        self.server.configure(&format!("{acme}\n{}", route(&self.hosts)));
        let log = self.server.log();
        self.server.signal("HUP");
        let loaded = |log: &str| log.matches("the configuration was loaded anew").count();
        let site = &self;
        wait_until("the configuration is loaded", || loaded(&site.server.log()) > loaded(&log));
    }

    /// Whether a client that trusts the authority alone gets the page over HTTPS.
    pub fn is_trusted(&self, host: &str) -> bool {
        trusted(&self.server, &self.pebble().root(), host, "/").is_some()
    }

    /// Waits until that is so.
    pub fn wait_for(&self, host: &str) {
        let root = self.pebble().root();
        let holds = || trusted(&self.server, &root, host, "/").is_some();
        let mut tries = 0;
        wait_until(&format!("{host} is trusted"), || {
            tries += 1;
            // The last words before the wait is given up.
            if tries == 400 {
                eprintln!("{}\n{}", self.server.log(), self.pebble().log());
            }
            holds()
        });
    }

    /// `certs list --json` of the first owner.
    pub fn status(&self) -> serde_json::Value {
        let text = self.server.hop3(&["certs", "list", "--json"]).succeeded();
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        all[0].clone()
    }

    /// The problems in it, joined.
    pub fn problems(&self) -> String {
        self.status()["problems"].to_string()
    }

    /// The serial number of the certificate shown for a host.
    pub fn serial(&self, host: &str) -> String {
        serial(&self.server, host)
    }
}

/// The body that a client gets which trusts `root` alone; `None` when it does not trust what it is shown.
pub fn trusted(server: &Server, root: &Path, host: &str, path: &str) -> Option<String> {
    let port = server.port("https");
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "60", "--cacert"])
        .arg(root)
        .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
        .arg(format!("https://{host}:{port}{path}"))
        .output()
        .unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The serial number of the certificate shown for a host.
pub fn serial(server: &Server, host: &str) -> String {
    let at = format!("127.0.0.1:{}", server.port("https"));
    let shown = Command::new("openssl")
        .args(["s_client", "-connect", &at, "-servername", host])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let begin = text.find("-----BEGIN CERTIFICATE").unwrap_or_else(|| panic!("no certificate: {text}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cert.pem");
    fs::write(&file, &text[begin..]).unwrap();
    let output =
        Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(file).output().unwrap();
    Ran::from(output).succeeded()
}

fn route(hosts: &[String]) -> String {
    format!("[[route]]\nhosts = {}\nstatic = \"site\"\n", serde_json::Value::from(hosts.to_vec()))
}
