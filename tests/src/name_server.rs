//! A real DNS server (BIND's `named`) with one zone that takes signed updates, on a free loopback port.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::pebble::{STARTS, free_port};
use crate::server::comes_up;

/// The secret of the key `hop3-key` (hmac-sha256), base64.
pub const SECRET: &str = "c2VjcmV0IG9mIGEgdGVzdCwga25vd24gdG8gYWxsISE=";

/// A running server for the zone `zone.test`; ended when dropped.
#[derive(Debug)]
pub struct NameServer {
    _folder: TempDir,
    process: Child,
    /// Where it answers.
    pub port: u16,
}

/// Where Debian puts it.
fn program() -> Option<PathBuf> {
    ["/usr/sbin/named", "/usr/bin/named"].map(PathBuf::from).into_iter().find(|path| path.is_file())
}

impl NameServer {
    /// Starts one; `None`, with a word about it, when it is not installed.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            println!("SKIP acme: named is not installed; run tests/setup/install test");
            return None;
        };
        for _ in 0..STARTS {
            let mut server = Self::begin(&program);
            let port = server.port;
            let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
            if comes_up("named answers", &mut server.process, answers) {
                return Some(server);
            }
        }
        panic!("named ends");
    }

    fn begin(program: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("named-").tempdir().expect("a temporary folder");
        let port = free_port();
        let at = folder.path().display();
        let zone = "$TTL 1\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\n@ A 127.0.0.1\nns A 127.0.0.1\n\
                    * A 127.0.0.1\n";
        fs::write(folder.path().join("zone.test"), zone).expect("written");
        let config = format!(
            "options {{ directory \"{at}\"; pid-file none; listen-on port {port} {{ 127.0.0.1; }}; \
               listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; session-keyfile none; }};\n\
             controls {{ }};\n\
             key hop3-key {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
             zone zone.test {{ type primary; file \"{at}/zone.test\"; allow-update {{ key hop3-key; }}; }};\n"
        );
        fs::write(folder.path().join("named.conf"), config).expect("written");
        let log = fs::File::create(folder.path().join("log")).expect("a log file");
        let process = Command::new(program)
            .args(["-g", "-c"])
            .arg(folder.path().join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("named starts");
        Self { _folder: folder, process, port }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
