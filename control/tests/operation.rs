//! What an operator does to a running server: replaces its executable, watches it through systemd, rotates its logs.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;
use server::{Server, executable, folder};

const PATIENCE: Duration = Duration::from_secs(180);

/// As many as a year of releases brings.
const UPGRADES: usize = 20;

/// Answers with the release, and slowly below `/slow`.
const PROGRAM: &str = "import os, time, http.server as h\nclass H(h.BaseHTTPRequestHandler):\n    \
    protocol_version = 'HTTP/1.1'\n    def do_GET(self):\n        \
    if self.path == '/slow':\n            open('slow', 'w').close()\n            time.sleep(3)\n        \
    body = os.environ['HOP3_RELEASE'].encode()\n        self.send_response(200)\n        \
    self.send_header('Content-Length', str(len(body)))\n        self.end_headers()\n        self.wfile.write(body)\n    \
    def log_message(self, *a):\n        pass\n\
    class S(h.ThreadingHTTPServer):\n    request_queue_size = 256\n\
    S(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n";

fn deploy(server: &Server) {
    let app = folder(&[("Procfile", "web: python3 serve.py\n"), ("serve.py", PROGRAM)]);
    server.ok(&["deploy", "web", app.path().to_str().unwrap()]);
}

fn json(server: &Server, arguments: &[&str]) -> Value {
    serde_json::from_str(&server.ok(&[arguments, &["--json"]].concat())).unwrap()
}

fn app_pid(server: &Server) -> Option<u64> {
    json(server, &["app:status", "web"])["instances"][0]["pid"].as_u64()
}

/// A connection that is used until the server asks to close it.
struct KeptAlive {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl KeptAlive {
    fn get(&mut self) -> Result<String, std::io::Error> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                none.insert(BufReader::new(stream))
            }
        };
        stream
            .get_mut()
            .write_all(b"GET / HTTP/1.1\r\nHost: web.localhost\r\nUser-Agent: t\r\nAccept: */*\r\n\r\n")?;
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let begin = head.len();
            if stream.read_line(&mut head)? == 0 {
                return Err(std::io::Error::other(format!("closed instead of an answer: {head:?}")));
            }
            let line = head[begin..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        if head.to_ascii_lowercase().contains("connection: close") {
            self.stream = None;
        }
        Ok(format!("{} {}", &head[9..12], String::from_utf8_lossy(&body)))
    }
}

/// What came of a load on the server.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    served: AtomicUsize,
    secured: AtomicUsize,
}

impl Load {
    /// Asks until it is over; every answer must be the app's. `kept` keeps its connections.
    fn run(&self, address: SocketAddr, kept: bool) {
        let mut client = KeptAlive { address, stream: None };
        while !self.over.load(Ordering::Relaxed) {
            let answer = client.get().unwrap_or_else(|error| panic!("a request failed: {error}"));
            assert_eq!(answer, "200 v1");
            self.served.fetch_add(1, Ordering::Relaxed);
            if !kept {
                client.stream = None;
            }
        }
    }

    /// The same over TLS, with a handshake for each request.
    fn run_secured(&self, port: u16) {
        let url = format!("https://web.localhost:{port}/");
        let place = format!("web.localhost:{port}:127.0.0.1");
        while !self.over.load(Ordering::Relaxed) {
            let mut curl = Command::new("curl");
            curl.args(["-sSk", "--max-time", "170", "-w", " %{http_code}", "--resolve", &place, &url]);
            let output = curl.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(text, "v1 200", "{}", String::from_utf8_lossy(&output.stderr));
            self.secured.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Over<'l>(&'l Load);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn upgrades_under_load_lose_no_request_and_no_app() {
    let mut server = Server::start();
    deploy(&server);
    let (pid, address, first) = (app_pid(&server), server.address("http"), server.pid());
    let attack = "/?id=1%20UNION%20SELECT%20password%20FROM%20users--";
    let load = Load::default();
    std::thread::scope(|scope| {
        let over = Over(&load);
        let clients: Vec<_> = [false, false, true, true]
            .into_iter()
            .map(|kept| {
                let load = &load;
                scope.spawn(move || load.run(address, kept))
            })
            .collect();
        let (load, port) = (&load, server.port("https"));
        let secured = scope.spawn(move || load.run_secured(port));
        let slow = scope.spawn(|| server.get("web.localhost", "/slow"));
        let begun = server.data().join("apps/web/releases/v1/artifact/src/slow");
        server.eventually(|| begun.exists().then_some(()));
        let done = json(&server, &["upgrade"]);
        assert_eq!(done["before"]["pid"], first);
        let second = u32::try_from(done["now"]["pid"].as_u64().unwrap()).unwrap();
        assert_ne!(second, first);
        assert_eq!(server.holder(), second);
        assert_eq!(slow.join().unwrap(), (200, "v1".to_owned()), "the old process answers what it has begun");
        assert_eq!(server.get("web.localhost", attack).0, 403);
        // And by the signal, from one that was a successor itself.
        for _ in 1..UPGRADES {
            let before = server.holder();
            assert!(Command::new("kill").args(["-USR2", &before.to_string()]).status().unwrap().success());
            server.eventually(|| {
                let status = server.command(&["status", "--json"]);
                let status: Value = serde_json::from_str(&status.stdout).ok()?;
                (status["pid"].as_u64()? != u64::from(before)).then_some(())
            });
        }
        drop(over);
        for client in clients.into_iter().chain([secured]) {
            client.join().unwrap();
        }
    });
    let [served, secured] = [&load.served, &load.secured].map(|count| count.load(Ordering::Relaxed));
    println!("{served} requests and {secured} over TLS during {UPGRADES} upgrades, none failed");
    assert!(served > 100 && secured > 10, "{served} {secured}");
    server.wait_replaced();
    assert_eq!(app_pid(&server), pid, "the app is adopted, not started again");
    assert!(server.ok(&["audit", "--verify"]).contains("hold together"));
    server.eventually(|| (json(&server, &["waf", "logs", "web"]).as_array()?.len() == 1).then_some(()));
    let log = server.log();
    assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
    // The last one rules the app like the first one did.
    server.ok(&["app:restart", "web"]);
    assert_ne!(app_pid(&server), pid);
    // Its first parent is gone; where nobody collects orphans it stays as a zombie.
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.unwrap())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "the adopted process was ended: {stat}");
}

/// A back end whose connections last: a WebSocket that says again what it hears, and events that tell a number.
struct LongLived {
    address: SocketAddr,
    number: Arc<AtomicUsize>,
}

impl LongLived {
    fn start() -> LongLived {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, number) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let told = number.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let told = told.clone();
                // It ends with its client.
                std::thread::spawn(move || drop(Self::serve(stream.unwrap(), &told)));
            }
        });
        LongLived { address, number }
    }

    fn serve(mut stream: TcpStream, told: &AtomicUsize) -> std::io::Result<()> {
        let (mut reader, mut head) = (BufReader::new(stream.try_clone()?), String::new());
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        if head.starts_with("GET /events ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")?;
            loop {
                stream.write_all(format!("data: {}\n\n", told.load(Ordering::Relaxed)).as_bytes())?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )?;
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            stream.write_all(line.as_bytes())?;
            line.clear();
        }
        Ok(())
    }
}

/// A WebSocket and a stream of events through a server.
struct Visits<'b> {
    back_end: &'b LongLived,
    socket: BufReader<TcpStream>,
    events: BufReader<TcpStream>,
}

impl Visits<'_> {
    fn begin<'b>(server: &Server, back_end: &'b LongLived) -> Visits<'b> {
        let ask = |target: &str, lines: &str, status: &str| {
            let mut stream = TcpStream::connect(server.address("http")).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
                .write_all(format!("GET {target} HTTP/1.1\r\nHost: live.test\r\n{lines}\r\n").as_bytes())
                .unwrap();
            let (mut stream, mut head) = (BufReader::new(stream), String::new());
            while !head.ends_with("\r\n\r\n") {
                assert!(stream.read_line(&mut head).unwrap() > 0, "{target}: {head:?}");
            }
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            stream
        };
        let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        Visits { back_end, socket: ask("/socket", lines, "101"), events: ask("/events", "", "200") }
    }

    /// Something new passes on both.
    fn go_on(&mut self, what: &str) {
        let number = self.back_end.number.fetch_add(1, Ordering::Relaxed) + 1;
        let (said, mut heard) = (format!("{what} {number}\n"), String::new());
        self.socket.get_mut().write_all(said.as_bytes()).unwrap();
        self.socket.read_line(&mut heard).unwrap();
        assert_eq!(heard, said, "{what}");
        let (event, mut line) = (format!("data: {number}\n"), String::new());
        while line != event {
            line.clear();
            assert!(self.events.read_line(&mut line).unwrap() > 0, "{what}: the events end");
        }
    }

    /// Both end without our doing.
    fn are_cut(mut self) {
        for stream in [&mut self.socket, &mut self.events] {
            // A reset is an end as well, and silence is none.
            if let Err(error) = stream.read_to_end(&mut Vec::new()) {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            }
        }
    }
}

/// Has the server read its settings anew, with another `upgrade-drain`.
fn reload_with_upgrade_drain(server: &Server, drain: &str) {
    let file = server.data().join("hop3-server.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("[server]\n", &format!("[server]\nupgrade-drain = '{drain}'\n"), 1))
        .unwrap();
    server.signal("HUP");
    server.eventually(|| server.log().contains("the configuration was loaded anew").then_some(()));
}

#[test]
fn websockets_and_events_go_on_over_reloads_and_upgrades_as_long_as_upgrade_drain_says() {
    let back_end = LongLived::start();
    let route = format!("[[route]]\nhosts = ['live.test']\nupstream = 'http://{}'\n", back_end.address);
    let mut server = Server::start_with(&route, executable());
    let mut visits = Visits::begin(&server, &back_end);
    visits.go_on("as it began");
    reload_with_upgrade_drain(&server, "1h");
    visits.go_on("after a reload");
    server.ok(&["upgrade"]);
    assert_ne!(server.holder(), server.pid());
    visits.go_on("after an upgrade, in the old process");
    Visits::begin(&server, &back_end).go_on("in the new process");
    visits.go_on("beside each other");
    // With its last client, and long before the hour is over.
    drop(visits);
    server.wait_replaced();

    let mut server = Server::start_with(&route, executable());
    let drain = Duration::from_secs(3);
    let mut visits = Visits::begin(&server, &back_end);
    reload_with_upgrade_drain(&server, "3s");
    visits.go_on("after a reload");
    let before = Instant::now();
    server.ok(&["upgrade"]);
    visits.are_cut();
    assert!(before.elapsed() >= drain, "cut after {:?}", before.elapsed());
    server.wait_replaced();
    Visits::begin(&server, &back_end).go_on("in the new process");
}

/// A server whose executable can be replaced.
fn replaceable() -> (Server, tempfile::TempDir) {
    let place = tempfile::Builder::new().prefix("hop3-bin-").tempdir().unwrap();
    let path = place.path().join("hop3");
    fs::copy(executable().get_program(), &path).unwrap();
    let mut command = Command::new(&path);
    command.env_remove("HOP3_APP").env_remove("HOP3_DATA");
    (Server::start_with("", command), place)
}

fn replace(place: &Path, text: &str) {
    let beside = place.join("new");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(beside, place.join("hop3")).unwrap();
}

#[test]
fn a_successor_that_gives_up_changes_nothing() {
    let (mut server, place) = replaceable();
    deploy(&server);
    let (pid, holder) = (app_pid(&server), server.holder());
    let settings = server.data().join("hop3-server.toml");
    let good = fs::read_to_string(&settings).unwrap();
    let original = place.path().join("original");
    fs::rename(place.path().join("hop3"), &original).unwrap();

    let unchanged = |what: &str| {
        assert_eq!(server.holder(), holder, "{what}");
        assert_eq!(server.get("web.localhost", "/"), (200, "v1".to_owned()), "{what}");
        assert_eq!(app_pid(&server), pid, "{what}");
        assert!(server.ok(&["audit", "--verify"]).contains("hold together"), "{what}");
    };
    let refused = server.command(&["upgrade"]);
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(refused.stderr.contains("cannot start"), "{refused:?}");
    unchanged("without an executable");

    replace(place.path(), "#!/bin/sh\nexit 3\n");
    let refused = server.command(&["upgrade"]);
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(refused.stderr.contains("it ended: exit status: 3"), "{refused:?}");
    unchanged("an executable that ends");

    // It is given everything, and dies.
    let greedy = "#!/usr/bin/env python3\nimport socket\ns = socket.socket(fileno=0)\n\
        s.sendall(b'{\"hello\":{\"version\":\"9\"}}\\n')\ns.recv(1 << 16)\nraise SystemExit(4)\n";
    replace(place.path(), greedy);
    let refused = server.command(&["upgrade"]);
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(refused.stderr.contains("it ended: exit status: 4"), "{refused:?}");
    unchanged("one that dies with everything in its hands");
    server.ok(&["app:restart", "web"]);
    let pid = app_pid(&server);

    fs::rename(&original, place.path().join("hop3")).unwrap();
    fs::write(&settings, format!("{good}[sever]\n")).unwrap();
    let refused = server.command(&["upgrade"]);
    assert!(refused.stderr.contains("unknown key `sever`"), "{refused:?}");
    fs::write(&settings, &good).unwrap();
    server.ok(&["upgrade"]);
    assert_ne!(server.holder(), holder);
    assert_eq!(app_pid(&server), pid);
    assert_eq!(server.get("web.localhost", "/").0, 200);
    server.wait_replaced();
}

#[test]
fn a_server_that_is_told_to_stop_breaks_an_upgrade_off() {
    let (mut server, place) = replaceable();
    deploy(&server);
    // It is given everything, and keeps its silence.
    let reached = place.path().join("reached");
    let silent = format!(
        "#!/usr/bin/env python3\nimport socket, time\ns = socket.socket(fileno=0)\n\
         s.sendall(b'{{\"hello\":{{\"version\":\"9\"}}}}\\n')\ns.recv(1 << 16)\n\
         open('{}', 'w').close()\ntime.sleep(3600)\n",
        reached.display()
    );
    replace(place.path(), &silent);
    server.signal("USR2");
    server.eventually(|| reached.exists().then_some(()));
    assert_eq!(server.get("web.localhost", "/").0, 200, "it serves on meanwhile");
    server.signal("TERM");
    // Long before the successor's time is over.
    server.wait_replaced();
    assert!(server.log().contains("the upgrade is broken off"), "{}", server.log());
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[test]
fn an_upgrade_starts_what_the_link_leads_to_by_now() {
    let place = tempfile::Builder::new().prefix("hop3-bin-").tempdir().unwrap();
    let (link, started) = (place.path().join("hop3"), place.path().join("started"));
    let real = PathBuf::from(executable().get_program());
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let mut command = Command::new(&link);
    command.env_remove("HOP3_APP").env_remove("HOP3_DATA");
    let mut server = Server::start_with("", command);
    let next = format!("#!/bin/sh\ntouch {}\nexec {} \"$@\"\n", started.display(), real.display());
    replace(place.path(), &next);
    assert!(!started.exists());
    server.ok(&["upgrade"]);
    server.wait_replaced();
    assert!(started.exists(), "the old executable was started again");
}

fn messages(socket: UnixDatagram) -> mpsc::Receiver<String> {
    let (sender, messages) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.recv(&mut buffer) {
            if sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                return;
            }
        }
    });
    messages
}

#[test]
fn the_service_manager_hears_how_the_server_is() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("notify");
    let heard = messages(UnixDatagram::bind(&path).unwrap());
    let mut command = executable();
    command.env("NOTIFY_SOCKET", &path);
    let mut server = Server::start_with("", command);
    let next = || heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), "READY=1");
    server.signal("HUP");
    let reloading = next();
    let microseconds = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(microseconds.parse::<u64>().unwrap() > 0);
    assert_eq!(next(), "READY=1");
    server.ok(&["upgrade"]);
    assert_eq!(next(), format!("MAINPID={}", server.holder()), "and no STOPPING=1: the service goes on");
    server.wait_replaced();
    drop(server);
    assert_eq!(next(), "STOPPING=1");

    let name = format!("hop3-test-{}", std::process::id());
    let address = UnixAddress::from_abstract_name(&name).unwrap();
    let heard = messages(UnixDatagram::bind_addr(&address).unwrap());
    let mut command = executable();
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    let _server = Server::start_with("", command);
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), "READY=1");
}

/// Starts what follows as systemd does, with two listening sockets, and writes their ports to a file.
const ACTIVATOR: &str = "import os, socket, sys\n\
    made = [socket.socket() for _ in range(2)]\n\
    for each in made:\n    each.bind(('127.0.0.1', 0)); each.listen(64)\n\
    high = [os.dup(each.fileno()) for each in made for _ in range(4)][3::4]\n\
    ports = [each.getsockname()[1] for each in made]\n\
    for place, each in enumerate(high):\n    os.dup2(each, 3 + place, inheritable=True)\n\
    open(sys.argv[1], 'w').write(' '.join(map(str, ports)))\n\
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='http:https')\n\
    os.execv(sys.argv[2], sys.argv[2:])\n";

#[test]
fn sockets_of_the_service_manager_are_served() {
    let place = tempfile::tempdir().unwrap();
    let ports = place.path().join("ports");
    let mut command = Command::new("python3");
    command.env_remove("HOP3_APP").env_remove("HOP3_DATA");
    command.args(["-c", ACTIVATOR]).arg(&ports).arg(executable().get_program());
    let mut server = Server::start_with("", command);
    let text = fs::read_to_string(&ports).unwrap();
    let ports: Vec<u16> = text.split(' ').map(|port| port.parse().unwrap()).collect();
    assert_eq!([server.address("http").port(), server.address("https").port()], ports[..]);
    deploy(&server);
    assert_eq!(server.get("web.localhost", "/").0, 200);
    // An app that held the socket would keep the port after the server's end.
    let inode = listening_inode(ports[0]);
    let (own, app) = (server.pid(), u32::try_from(app_pid(&server).unwrap()).unwrap());
    assert!(holds(own, &inode), "otherwise the next line would prove nothing");
    assert!(!holds(app, &inode), "an app has the server's socket");
    server.ok(&["upgrade"]);
    server.wait_replaced();
    assert_eq!(server.address("http").port(), ports[0]);
    assert_eq!(server.get("web.localhost", "/").0, 200);
}

fn listening_inode(port: u16) -> String {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let wanted = format!("0100007F:{port:04X}");
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = fields.filter(|fields| fields[1] == wanted && fields[3] == "0A");
    found.next().unwrap()[9].to_owned()
}

fn holds(pid: u32, inode: &str) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.into_iter().any(|target| target.to_str() == Some(&format!("socket:[{inode}]")))
}

#[test]
fn low_ports_need_a_capability_and_the_error_says_which() {
    let start = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if start.trim() != "1024" || !root {
        println!("skipped: every account may open port 80 here, or this is no root account");
        return;
    }
    // Where an ordinary account reaches it.
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("hop3");
    fs::copy(executable().get_program(), &path).unwrap();
    for reached in [place.path(), &path] {
        fs::set_permissions(reached, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let data = place.path().join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(65534), Some(65534)).unwrap();
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.63", *port)).is_ok();
    let address = format!("127.0.0.63:{}", (700..1024).find(is_free).unwrap());
    let listen = format!("[server.listen]\nhttp = '{address}'\nhttps = false\nadmin = false\n");
    fs::write(data.join("hop3-server.toml"), listen).unwrap();
    let ordinary = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let serve = |capabilities: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(ordinary).args(capabilities).arg(&path).args(["serve", "--data"]).arg(&data);
        command.env_remove("HOP3_APP").env_remove("HOP3_DATA").env("HOME", place.path());
        command
    };
    let refused = serve(&[]).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(7), "{text}");
    assert!(text.contains(&address) && text.contains("hint: ports below 1024 need"), "{text}");

    let given = ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"];
    let mut server = serve(&given).spawn().unwrap();
    let started = std::time::Instant::now();
    let answered = loop {
        if let Ok(mut stream) = TcpStream::connect(&address) {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            break answer.starts_with("HTTP/1.1 404");
        }
        if started.elapsed() > PATIENCE || server.try_wait().unwrap().is_some() {
            break false;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap_or_default();
    let ambient = status.lines().find(|line| line.starts_with("CapAmb:")).unwrap_or_default().to_owned();
    let _sent = Command::new("kill").arg(server.id().to_string()).status();
    let _ended = server.wait();
    assert!(answered, "an ordinary account with the capability serves a low port");
    assert!(ambient.ends_with("0000000000000000"), "apps inherit nothing: {ambient}");
}

#[test]
fn requests_are_written_to_a_file_that_may_be_rotated() {
    let site = folder(&[("index.html", "shop")]);
    let settings = |format: &str| {
        format!(
            "[server.log.requests]\nfile = 'requests.log'\nformat = '{format}'\n\
             [[route]]\nhosts = ['shop.test']\nstatic = '{}'\n",
            site.path().display()
        )
    };
    let server = Server::start_with(&settings("combined"), executable());
    let path = server.data().join("requests.log");
    let lines = |path: &Path, wanted: &str| {
        server.eventually(|| {
            let text = fs::read_to_string(path).ok()?;
            text.contains(wanted).then_some(text)
        })
    };
    assert_eq!(server.get("shop.test", "/?token=hunter2&q=1").0, 200);
    let text = lines(&path, "q=1");
    assert!(text.contains("\"GET /?token=***&q=1 HTTP/1.1\" 200 4 \"-\" \"test/1.0\"\n"), "{text}");
    fs::rename(&path, path.with_extension("old")).unwrap();
    // The new file may be opened between a request and the look.
    server.eventually(|| {
        server.get("shop.test", "/later");
        fs::read_to_string(&path).ok().filter(|text| text.contains("/later"))
    });
    let file = server.data().join("hop3-server.toml");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, before.replace("'combined'", "'json'")).unwrap();
    server.signal("HUP");
    // What was asked for before may still be on its way to the file.
    let line = server.eventually(|| {
        server.get("shop.test", "/json");
        let text = fs::read_to_string(&path).ok()?;
        text.lines().find(|line| line.starts_with('{') && line.contains("/json")).map(str::to_owned)
    });
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["target"], &line["status"]), (&"/json".into(), &404.into()));
    assert!(!server.log().contains("\"target\":\"access\""), "the server's log is not filled with requests");
}

/// What systemd says against units; an empty text when nothing.
fn verified(units: &Path) -> Option<String> {
    let files: Vec<_> = fs::read_dir(units).unwrap().map(|entry| entry.unwrap().path()).collect();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(files).output();
    let Ok(output) = output else {
        println!("SKIP units: there is no systemd-analyze; run tests/setup/install test");
        return None;
    };
    // What it thinks of other units of this machine is not our business.
    let said = String::from_utf8_lossy(&output.stderr);
    let ours = said.lines().filter(|line| line.contains("hop3") || line.contains(&*units.to_string_lossy()));
    Some(ours.collect::<Vec<_>>().join("\n"))
}

#[test]
fn systemd_understands_the_printed_units() {
    // Not `nobody`, which systemd advises against.
    let accounts: [&[&str]; 2] = [&[], &["--user", "daemon"]];
    for account in accounts {
        let units = tempfile::tempdir().unwrap();
        let print = |arguments: &[&str]| {
            let all = [&["unit", "--json", "--data", "/srv/my data/100%"], arguments].concat();
            let printed: Value = serde_json::from_str(&server::run(&all).stdout).unwrap();
            let file = units.path().join(printed["file"].as_str().unwrap());
            fs::write(&file, printed["text"].as_str().unwrap()).unwrap();
            file
        };
        let service = print(account);
        for purpose in ["http", "https", "admin"] {
            print(&["--socket", purpose]);
        }
        let Some(said) = verified(units.path()) else { return };
        assert_eq!(said, "");
        // It does look: what it does not know is named.
        let text = fs::read_to_string(&service).unwrap();
        fs::write(&service, text.replace("KillMode=", "KilMode=")).unwrap();
        let said = verified(units.path()).unwrap();
        assert!(said.contains("KilMode"), "{said}");
    }
}

#[test]
fn units_are_printed_without_a_server() {
    let ended = server::run(&["unit", "--user", "hop3", "--data", "/srv/hop3"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stdout.contains("serve --data /srv/hop3\n") && ended.stdout.contains("User=hop3\n"),
        "{ended:?}"
    );
    let socket = server::run(&["unit", "--socket", "https", "--json"]);
    let socket: Value = serde_json::from_str(&socket.stdout).unwrap();
    assert_eq!(socket["file"], "hop3-https.socket");
    assert_eq!(server::run(&["unit", "--user", "a b"]).code, 2);
}
