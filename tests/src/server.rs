//! A real `hop3` process on free ports with a data directory of its own, and the command line against it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::pebble::free_port;

/// Longest wait for the server to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running server; stopped, and its data removed, when dropped.
#[derive(Debug)]
pub struct Server {
    data: TempDir,
    process: Option<Child>,
    settings: String,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; -1 after a signal.
    pub code: i32,
    /// Standard output, then standard error.
    pub text: String,
}

impl Ran {
    /// The output of a command that must succeed.
    ///
    /// # Panics
    /// When it failed.
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, 0, "{}", self.text);
        self.text
    }

    /// The output of a command that must fail with `code`.
    ///
    /// # Panics
    /// When it ended otherwise.
    pub fn failed_with(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}", self.text);
        self.text
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = [output.stdout, output.stderr].concat();
        Self { code: output.status.code().unwrap_or(-1), text: String::from_utf8_lossy(&text).into_owned() }
    }
}

impl Server {
    /// Starts on free loopback ports with a fresh data directory; `settings` is added to `hop3-server.toml`.
    ///
    /// # Panics
    /// When the server does not come up.
    pub fn start(settings: &str) -> Self {
        Self::start_at([0; 3], settings)
    }

    /// The same on ports that stay over [`Server::resume`], for programs that are told of them.
    ///
    /// # Panics
    /// When the server does not come up.
    pub fn start_on_kept_ports(settings: &str) -> Self {
        Self::start_at([free_port(), free_port(), free_port()], settings)
    }

    fn start_at([http, https, admin]: [u16; 3], settings: &str) -> Self {
        let data = tempfile::Builder::new().prefix("hop3-test-").tempdir().expect("a temporary folder");
        let listen = format!(
            "[server.listen]\nhttp = \"127.0.0.1:{http}\"\nhttps = \"127.0.0.1:{https}\"\n\
             admin = \"127.0.0.1:{admin}\"\n"
        );
        let mut server = Self { data, process: None, settings: format!("{listen}\n{settings}") };
        server.resume();
        server
    }

    /// Starts the process again on the same data.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn resume(&mut self) {
        assert!(self.process.is_none(), "the server already runs");
        let config = self.path("hop3-server.toml");
        fs::write(&config, &self.settings).expect("settings are written");
        // A run that was killed leaves its file behind.
        let _ = fs::remove_file(self.path("run/addresses.json"));
        let log =
            File::options().create(true).append(true).open(self.path("server.log")).expect("a log file");
        let mut process = Command::new(executable())
            .args(["serve", "--config"])
            .arg(&config)
            .arg("--data")
            .arg(self.data.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("hop3 starts");
        let ready = || self.path("run/addresses.json").metadata().is_ok_and(|file| file.len() > 0);
        wait_until("the server listens", || {
            if let Some(status) = process.try_wait().expect("the process can be asked") {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            ready()
        });
        self.process = Some(process);
    }

    /// Ends the process with SIGTERM and waits for it.
    ///
    /// # Panics
    /// When it does not end cleanly in time.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        signal(&process, "TERM");
        let deadline = Instant::now() + PATIENCE;
        loop {
            match process.try_wait().expect("the process can be asked") {
                Some(status) => {
                    return assert!(status.success(), "the server ended with {status}:\n{}", self.log());
                }
                None if Instant::now() > deadline => {
                    let _ = process.kill();
                    panic!("the server did not end:\n{}", self.log());
                }
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Ends the process with SIGKILL, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Sends a signal, e.g. `HUP`.
    pub fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            signal(process, name);
        }
    }

    /// The process's id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn process(&self) -> u32 {
        self.process.as_ref().expect("the server runs").id()
    }

    /// Replaces what follows `[server.listen]` in `hop3-server.toml`, for [`Server::signal`] or [`Server::resume`].
    pub fn configure(&mut self, settings: &str) {
        let listen = self.settings.split("\n\n").next().unwrap_or_default().to_owned();
        self.settings = format!("{listen}\n\n{settings}");
        fs::write(self.path("hop3-server.toml"), &self.settings).expect("settings are written");
    }

    /// A path below the data directory.
    pub fn path(&self, inner: &str) -> PathBuf {
        self.data.path().join(inner)
    }

    /// Everything the server logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    /// The port of a listener: `http`, `https` or `admin`.
    ///
    /// # Panics
    /// When the server has not written it.
    pub fn port(&self, listener: &str) -> u16 {
        let text = fs::read_to_string(self.path("run/addresses.json")).expect("addresses");
        let addresses: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let address = addresses[listener].as_str().unwrap_or_else(|| panic!("no {listener} in {text}"));
        address
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
            .unwrap_or_else(|| panic!("{address}"))
    }

    /// Runs `hop3 ARGUMENTS` against this server.
    pub fn hop3(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(executable());
        command.args(arguments).env("HOP3_DATA", self.data.path()).stdin(Stdio::null());
        command.output().expect("hop3 runs").into()
    }

    /// Installs the Core Rule Set on this machine: the test data's, else Debian's package.
    ///
    /// # Panics
    /// When it cannot be installed.
    pub fn install_crs(&self) {
        let source = crate::data::suite("crs").unwrap_or_else(|| "/usr/share/modsecurity-crs".into());
        let mut arguments = vec!["rules", "install", "owasp-crs"];
        if source.join("crs-setup.conf.example").is_file() {
            arguments.extend(["--from", source.to_str().expect("a path in UTF-8")]);
        }
        self.hop3(&arguments).succeeded();
    }

    /// A request to `https://HOST/PATH` with curl and further curl arguments.
    pub fn curl(&self, host: &str, path: &str, arguments: &[&str]) -> Answer {
        let port = self.port("https");
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--insecure", "--max-time", "120", "--include"])
            .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
            .args(arguments)
            .arg(format!("https://{host}:{port}{path}"));
        Answer::from(Ran::from(command.output().expect("curl runs")))
    }

    /// The metrics text.
    pub fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.port("admin"));
        let output = Command::new("curl").args(["--silent", "--fail", &url]).output().expect("curl runs");
        Ran::from(output).succeeded()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gently first, so that the applications end as well.
        if let Some(mut process) = self.process.take() {
            signal(&process, "TERM");
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                if let Ok(Some(_)) = process.try_wait() {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// An HTTP answer as curl saw it.
#[derive(Debug)]
pub struct Answer {
    /// Status code; 0 when there was no answer.
    pub status: u16,
    /// Head and body.
    pub text: String,
}

impl From<Ran> for Answer {
    fn from(ran: Ran) -> Self {
        let status = ran.text.split_whitespace().nth(1).and_then(|code| code.parse().ok());
        Self { status: if ran.code == 0 { status.unwrap_or(0) } else { 0 }, text: ran.text }
    }
}

/// Waits for something that takes a moment, polling it.
///
/// # Panics
/// When it does not come true in time.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until a program answers; `false` when it ends before.
///
/// # Panics
/// When it does neither in time.
pub fn comes_up(what: &str, process: &mut Child, mut answers: impl FnMut() -> bool) -> bool {
    let (mut up, mut ended) = (false, false);
    wait_until(what, || {
        // In this order: what answers may be another program that has the port.
        ended = !matches!(process.try_wait(), Ok(None));
        up = !ended && answers();
        up || ended
    });
    up
}

/// The executable that `cargo test --workspace` built beside the tests.
///
/// # Panics
/// When it is not there.
pub fn executable() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    let hop3 = test.ancestors().nth(2).unwrap_or(Path::new(".")).join("hop3");
    assert!(hop3.is_file(), "{} is missing; run `cargo build -p hop3` first", hop3.display());
    hop3
}

fn signal(process: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIG{name} was not sent");
}
