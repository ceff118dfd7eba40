//! A server of its own for each test, on free ports and a temporary data directory.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SETTINGS: &str = "[server]\nthreads = 1\n\
                        [server.listen]\nhttp = '127.0.0.1:0'\nhttps = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\n";
const PATIENCE: Duration = Duration::from_secs(180);

/// How a server ends.
#[derive(Clone, Copy)]
pub enum End {
    Terminate,
    Kill,
}

/// What a command led to.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub struct Server {
    root: tempfile::TempDir,
    child: Child,
    /// A program that starts the server, with its arguments.
    through: Vec<String>,
}

impl Server {
    pub fn start() -> Server {
        Server::start_with("", executable())
    }

    /// With further settings, started by another program (which becomes the server: the process stays the same).
    pub fn start_through(settings: &str, program: &[&str]) -> Server {
        let program: Vec<String> = program.iter().map(|&word| word.to_owned()).collect();
        let mut server = Server::start_with(settings, through(&program));
        server.through = program;
        server
    }

    /// With further settings, and by a command that ends in `hop3`.
    pub fn start_with(settings: &str, command: Command) -> Server {
        let root = tempfile::Builder::new().prefix("hop3-").tempdir().unwrap();
        let data = root.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("hop3-server.toml"), format!("{SETTINGS}{settings}")).unwrap();
        let mut server = Server { child: spawn(command, &data), root, through: Vec::new() };
        server.wait_ready();
        server
    }

    /// Waits until the process that was started first has ended, because another one took its place.
    pub fn wait_replaced(&mut self) {
        let started = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < PATIENCE, "the old process does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process that holds the data directory now.
    pub fn holder(&self) -> u32 {
        fs::read_to_string(self.data().join("lock")).unwrap().trim().parse().unwrap()
    }

    pub fn restart(&mut self, end: End) {
        match end {
            End::Kill => self.child.kill().unwrap(),
            End::Terminate => self.signal("TERM"),
        }
        self.child.wait().unwrap();
        self.child = spawn(through(&self.through), &self.data());
        self.wait_ready();
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.data().join("server.log")).unwrap_or_default()
    }

    /// Runs a command against this server.
    pub fn command(&self, arguments: &[&str]) -> Ended {
        let data = self.data();
        run(&[arguments, &["--data", data.to_str().unwrap()]].concat())
    }

    /// The output of a command that must succeed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.command(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}\n{}", self.log());
        ended.stdout
    }

    pub fn get(&self, host: &str, target: &str) -> (u16, String) {
        get(self.address("http"), host, target)
    }

    /// With further header lines, each with its line end.
    pub fn get_with(&self, host: &str, target: &str, headers: &str) -> (u16, String) {
        get_with(self.address("http"), host, target, headers)
    }

    /// The whole answer to a GET on a connection of its own: head and body, chunks as they came.
    pub fn raw(&self, host: &str, target: &str, headers: &str) -> String {
        exchange(self.address("http"), host, target, headers)
    }

    /// Adds text to `hop3-server.toml` as it was at the start, and waits until it is in force.
    pub fn configure(&self, more: &str) {
        fs::write(self.data().join("hop3-server.toml"), format!("{SETTINGS}{more}")).unwrap();
        let loaded = |log: &str| log.matches("the configuration was loaded anew").count();
        let before = loaded(&self.log());
        self.signal("HUP");
        self.eventually(|| (loaded(&self.log()) > before).then_some(()));
    }

    /// The port of a listener.
    pub fn port(&self, name: &str) -> u16 {
        self.address(name).port()
    }

    pub fn get_admin(&self, target: &str) -> (u16, String) {
        get(self.address("admin"), "localhost", target)
    }

    /// What `look` finds, as soon as it finds it.
    pub fn eventually<T>(&self, look: impl Fn() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(started.elapsed() < PATIENCE, "it did not happen\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn address(&self, name: &str) -> SocketAddr {
        let text = fs::read_to_string(self.data().join("run/addresses.json")).unwrap();
        let addresses: serde_json::Value = serde_json::from_str(&text).unwrap();
        addresses[name].as_str().unwrap().parse().unwrap()
    }

    fn wait_ready(&mut self) {
        let started = Instant::now();
        let ready = |data: &Path| {
            data.join("run/addresses.json").exists()
                && run(&["status", "--data", data.to_str().unwrap()]).code == 0
        };
        while !ready(&self.data()) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended: {status}\n{}", self.log());
            }
            assert!(started.elapsed() < PATIENCE, "the server does not answer\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.signal("TERM");
            let _ended = self.child.wait();
        }
        // One that took its place is nobody's child.
        let holder = fs::read_to_string(self.data().join("lock")).unwrap_or_default();
        let place = PathBuf::from(format!("/proc/{}", holder.trim()));
        let ours = |place: &Path| {
            let line = fs::read(place.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(self.data().to_str().unwrap_or("?"))
        };
        if holder.trim().parse::<u32>().is_ok() && ours(&place) {
            let _sent = Command::new("kill").args(["-TERM", holder.trim()]).status();
            let started = Instant::now();
            while ours(&place) && started.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    hop3_runtimes::ports::free_port().unwrap()
}

/// A folder with these files.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// Runs the executable to its end.
pub fn run(arguments: &[&str]) -> Ended {
    let output = executable().args(arguments).stdin(Stdio::null()).output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn executable() -> Command {
    through(&[])
}

/// The executable, started by another program.
fn through(program: &[String]) -> Command {
    let executable = env!("CARGO_BIN_EXE_hop3").to_owned();
    let mut words = program.iter().chain([&executable]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).env_remove("HOP3_APP").env_remove("HOP3_DATA");
    command
}

fn spawn(mut command: Command, data: &Path) -> Child {
    let log = fs::File::options().append(true).create(true).open(data.join("server.log")).unwrap();
    command
        .args(["serve", "-v", "--data", data.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    // An executable that was just written is busy while the process that another test starts at this moment has the
    // file open, which it does until its own program begins.
    loop {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(10));
            }
            started => return started.unwrap(),
        }
    }
}

fn get(address: SocketAddr, host: &str, target: &str) -> (u16, String) {
    get_with(address, host, target, "")
}

fn exchange(address: SocketAddr, host: &str, target: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}User-Agent: test/1.0\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get_with(address: SocketAddr, host: &str, target: &str, headers: &str) -> (u16, String) {
    let answer = exchange(address, host, target, headers);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    (status, if chunked { unchunked(body) } else { body.to_owned() })
}

/// RFC 9112 section 7.1, for answers that are known to be well formed.
fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        text.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    text
}
