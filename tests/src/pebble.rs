//! A real ACME authority (`pebble`) and the DNS it asks (`pebble-challtestsrv`), on free loopback ports.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::server::{Ran, comes_up};

/// How often a program is started: another one may take a port between the look and the start.
pub(crate) const STARTS: usize = 5;

/// Where the authority looks for proofs.
#[derive(Clone, Copy, Debug)]
pub struct Doors {
    /// http-01.
    pub http: u16,
    /// tls-alpn-01.
    pub https: u16,
}

/// A running authority; ended when dropped.
#[derive(Debug)]
pub struct Pebble {
    folder: TempDir,
    process: Child,
    port: u16,
    management: u16,
}

/// A DNS server that says what it is told; ended when dropped.
#[derive(Debug)]
pub struct ChallengeDns {
    process: Child,
    /// Where it answers questions.
    pub port: u16,
    management: u16,
}

/// How an authority differs from the usual one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peculiarities {
    /// Port for the directory; any free one when 0.
    pub port: u16,
    /// Seconds that its certificates are valid; pebble's five years when 0.
    pub validity: u64,
}

/// Whether the programs are installed; says so when they are not.
pub fn installed() -> bool {
    let there = |program: &str| {
        let tried = Command::new(program).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok()
    };
    let installed = there("pebble") && there("pebble-challtestsrv");
    if !installed {
        println!("SKIP acme: pebble is not installed; run tests/setup/install test");
    }
    installed
}

/// A port that nobody listens on, and that is given to nobody who asks for any.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    hop3_runtimes::ports::free_port().expect("a free port")
}

impl Pebble {
    /// Starts one that looks behind `doors` and asks the DNS server on port `dns`.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(doors: Doors, dns: u16, peculiarities: Peculiarities) -> Self {
        let mut last = String::new();
        for _ in 0..STARTS {
            let mut pebble = Self::begin(doors, dns, peculiarities);
            let directory = pebble.directory();
            let answers = || {
                let asked = Command::new("curl").args(["-sfk", "-o", "/dev/null", &directory]).status();
                asked.is_ok_and(|status| status.success())
            };
            if comes_up("pebble answers", &mut pebble.process, answers) {
                return pebble;
            }
            last = pebble.log();
        }
        panic!("pebble ends: {last}");
    }

    fn begin(doors: Doors, dns: u16, peculiarities: Peculiarities) -> Self {
        let folder = tempfile::Builder::new().prefix("pebble-").tempdir().expect("a temporary folder");
        let port = if peculiarities.port == 0 { free_port() } else { peculiarities.port };
        let management = free_port();
        let key = KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).and_then(|params| params.self_signed(&key));
        let path = |name: &str| folder.path().join(name);
        fs::write(path("cert.pem"), certificate.expect("a certificate").pem()).expect("written");
        fs::write(path("key.pem"), key.serialize_pem()).expect("written");
        let mut settings = serde_json::json!({
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": path("cert.pem"),
            "privateKey": path("key.pem"),
            "httpPort": doors.http,
            "tlsPort": doors.https,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        });
        if peculiarities.validity > 0 {
            settings["certificateValidityPeriod"] = peculiarities.validity.into();
        }
        let config = serde_json::json!({ "pebble": settings });
        fs::write(path("config.json"), config.to_string()).expect("written");
        let log = fs::File::create(path("log")).expect("a log file");
        let process = Command::new("pebble")
            .arg("-config")
            .arg(path("config.json"))
            .args(["-dnsserver", &format!("127.0.0.1:{dns}")])
            .env("PEBBLE_VA_NOSLEEP", "1")
            // Proofs are shown each time, not remembered.
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("pebble starts");
        Self { folder, process, port, management }
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// The PEM file under which its directory is trusted.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The PEM file of the root of the certificates it issues; made anew with each start.
    ///
    /// # Panics
    /// When it does not tell.
    pub fn root(&self) -> PathBuf {
        let url = format!("https://127.0.0.1:{}/roots/0", self.management);
        let output = Command::new("curl").args(["-sfk", &url]).output().expect("curl runs");
        let path = self.folder.path().join("root.pem");
        fs::write(&path, Ran::from(output).succeeded()).expect("written");
        path
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// How many orders it was given.
    pub fn orders(&self) -> usize {
        self.log().matches("Added order").count()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl ChallengeDns {
    /// Starts one that says `127.0.0.1` for every name.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Self {
        for _ in 0..STARTS {
            let mut dns = Self::begin();
            let (port, management) = (dns.port, dns.management);
            let answers =
                || [port, management].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok());
            if comes_up("pebble-challtestsrv answers", &mut dns.process, answers) {
                return dns;
            }
        }
        panic!("pebble-challtestsrv ends");
    }

    fn begin() -> Self {
        let (port, management) = (free_port(), free_port());
        let process = Command::new("pebble-challtestsrv")
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-dns01", &format!("127.0.0.1:{port}")])
            .args(["-management", &format!("127.0.0.1:{management}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble-challtestsrv starts");
        Self { process, port, management }
    }

    /// Where it is told what to say.
    pub fn management(&self) -> String {
        format!("http://127.0.0.1:{}", self.management)
    }

    /// Says `address` for one name.
    ///
    /// # Panics
    /// When it does not take that.
    pub fn point(&self, name: &str, address: &str) {
        let body = serde_json::json!({ "host": format!("{name}."), "addresses": [address] });
        let url = format!("{}/add-a", self.management());
        let output = Command::new("curl").args(["-sf", "-d", &body.to_string(), &url]).output();
        Ran::from(output.expect("curl runs")).succeeded();
    }
}

impl Drop for ChallengeDns {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
