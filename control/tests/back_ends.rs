//! Real application servers behind the real executable: uWSGI and PHP-FPM, over Unix and TCP sockets.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use server::{Server, folder, free_port};

/// Ends with the test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Program {
        Program(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status();
        let _ended = self.0.wait();
    }
}

fn program(names: &[&str]) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = folders.iter().flat_map(|folder| names.iter().map(move |name| Path::new(folder).join(name)));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        println!("SKIP back_ends: {} is not installed; run tests/setup/install test", names[0]);
    }
    found
}

fn php_fpm() -> Option<PathBuf> {
    program(&["php-fpm8.2", "php-fpm8.4", "php-fpm8.3", "php-fpm8.1", "php-fpm7.4", "php-fpm"])
}

/// Body of the answer to a POST of `length` bytes, chunked when that is wanted; after the status.
fn post(server: &Server, host: &str, path: &str, length: usize, chunked: bool) -> String {
    let port = server.port("http");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), vec![b'x'; length]).unwrap();
    let mut curl = Command::new("curl");
    curl.args(["-s", "-w", " %{http_code}", "-H", "Content-Type: application/octet-stream", "-H", "Expect:"]);
    if chunked {
        curl.args(["-H", "Transfer-Encoding: chunked"]);
    }
    curl.arg("--data-binary").arg(format!("@{}", file.path().display()));
    curl.args(["--resolve", &format!("{host}:{port}:127.0.0.1"), &format!("http://{host}:{port}{path}")]);
    String::from_utf8(curl.output().unwrap().stdout).unwrap()
}

#[test]
fn uwsgi_over_both_kinds_of_sockets() {
    let Some(uwsgi) = program(&["uwsgi"]) else { return };
    let application = "def application(environ, start):\n    body = environ['wsgi.input'].read()\n    \
        start('201 Made' if body else '200 OK', [('Content-Type', 'text/plain'), ('X-Server', 'uwsgi')])\n    \
        text = f\"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {environ['QUERY_STRING']} \"\\\n        \
        f\"{environ['REMOTE_ADDR']} {environ['HTTP_HOST'].split(':')[0]} {len(body)}\"\n    return [text.encode()]\n";
    let site = folder(&[("shop.py", application)]);
    let (socket, port) = (site.path().join("uwsgi.sock"), free_port());
    let mut command = Command::new(uwsgi);
    if Path::new("/usr/lib/uwsgi/plugins/python3_plugin.so").exists() {
        command.args(["--plugin", "python3"]);
    }
    command.args(["--master", "--die-on-term", "--processes", "2", "--need-app", "--socket"]).arg(&socket);
    command.args(["--socket", &format!("127.0.0.1:{port}"), "--module", "shop", "--pythonpath"]);
    let _uwsgi = Program::start(command.arg(site.path()));
    let server = Server::start();
    server.eventually(|| std::os::unix::net::UnixStream::connect(&socket).ok());
    let route = |host: &str, upstream: &str| {
        format!("[[route]]\nhosts = ['{host}']\nupstream = '{upstream}'\n[route.proxy]\nprotocol = 'uwsgi'\n")
    };
    let unix = format!("unix:{}", socket.display());
    server.configure(&[route("unix.test", &unix), route("tcp.test", &format!("127.0.0.1:{port}"))].concat());
    for host in ["unix.test", "tcp.test"] {
        assert_eq!(server.get(host, "/a%20b?c=d"), (200, format!("GET /a b c=d 127.0.0.1 {host} 0")));
        assert!(server.raw(host, "/", "").contains("X-Server: uwsgi"));
        for chunked in [false, true] {
            let answer = post(&server, host, "/", 300_000, chunked);
            assert_eq!(answer, format!("POST /  127.0.0.1 {host} 300000 201"));
        }
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| assert_eq!(server.get("unix.test", "/").0, 200)));
        }
    });
    // Above its own bound, 4 KiB here, uWSGI closes without an answer. That takes it from nobody.
    let large = format!("X-Large: {}\r\n", "a".repeat(5000));
    for _ in 0..25 {
        assert_eq!(server.get_with("tcp.test", "/", &large).0, 502);
    }
    assert_eq!(server.get("tcp.test", "/").0, 200);
}

#[test]
fn php_scripts_over_a_unix_socket() {
    let Some(fpm) = php_fpm() else { return };
    let scripts = "<?php\nhttp_response_code(isset($_GET['code']) ? (int)$_GET['code'] : 200);\n\
        header('X-Server: php');\n\
        echo $_SERVER['REQUEST_METHOD'], ' ', $_SERVER['SCRIPT_NAME'], ' ', ($_SERVER['PATH_INFO'] ?? '') ?: '-', ' ', \
        $_SERVER['REQUEST_URI'], ' ', strlen(file_get_contents('php://input'));\n";
    let site =
        folder(&[("index.php", scripts), ("page.php", scripts), ("style.css", "body{}"), (".secret", "s")]);
    let socket = site.path().join("php.sock");
    let _fpm = Program::start(Command::new(fpm).args(["-F", "-R", "-n", "-y"]).arg(fpm_conf(&site, &socket)));
    let server = Server::start();
    server.eventually(|| std::os::unix::net::UnixStream::connect(&socket).ok());
    server.configure(&format!(
        "[[route]]\nhosts = ['php.test']\nupstream = 'unix:{}'\n[route.proxy]\nprotocol = 'fastcgi'\n\
         max-body-size = '4m'\n[route.proxy.fastcgi]\nroot = '{}'\n",
        socket.display(),
        site.path().display()
    ));
    let get = |target: &str| server.get("php.test", target);
    assert_eq!(get("/"), (200, "GET /index.php - / 0".into()));
    assert_eq!(get("/page.php/rest?a=b"), (200, "GET /page.php /rest /page.php/rest?a=b 0".into()));
    assert_eq!(get("/nice/address"), (200, "GET /index.php - /nice/address 0".into()));
    assert_eq!(get("/?code=418").0, 418);
    assert_eq!(get("/style.css"), (200, "body{}".into()));
    assert_eq!(get("/style.css/x.php").0, 404, "no picture becomes a program");
    assert!(!get("/.secret").1.contains('s') || get("/.secret").1.contains("index.php"));
    assert!(server.raw("php.test", "/", "").to_ascii_lowercase().contains("x-server: php"));
    for chunked in [false, true] {
        assert_eq!(
            post(&server, "php.test", "/page.php", 2_000_000, chunked),
            "POST /page.php - /page.php 2000000 200"
        );
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| assert_eq!(get("/page.php").0, 200)));
        }
    });
}

#[test]
fn a_php_app_is_deployed() {
    let Some(fpm) = php_fpm() else { return };
    let site = folder(&[
        ("Procfile", &format!("web: {} -F -R -n -y fpm.conf\n", fpm.display())),
        ("hop3.toml", "[proxy]\nprotocol = 'fastcgi'\n[proxy.fastcgi]\nroot = 'public'\nfront = false\n"),
        ("fpm.conf", &conf("127.0.0.1:${PORT}", "/dev/null")),
    ]);
    fs::create_dir(site.path().join("public")).unwrap();
    fs::write(site.path().join("public/index.php"), "<?php echo 'php says ', 6 * 7;\n").unwrap();
    let server = Server::start();
    server.ok(&["deploy", "blog", site.path().to_str().unwrap()]);
    assert_eq!(server.get("blog.localhost", "/"), (200, "php says 42".into()));
    assert_eq!(server.get("blog.localhost", "/missing").0, 404);
    // It stays healthy, though it answers no HTTP.
    assert!(server.ok(&["app:status", "blog"]).contains("RUNNING"));
}

fn fpm_conf(site: &tempfile::TempDir, socket: &Path) -> PathBuf {
    let path = site.path().join("fpm.conf");
    fs::write(&path, conf(&socket.display().to_string(), &site.path().join("log").display().to_string()))
        .unwrap();
    path
}

fn conf(listen: &str, log: &str) -> String {
    let id = |kind: &str| String::from_utf8(Command::new("id").arg(kind).output().unwrap().stdout).unwrap();
    format!(
        "[global]\nerror_log = {log}\ndaemonize = no\n[www]\nlisten = {listen}\nuser = {}group = {}pm = static\n\
         pm.max_children = 3\n",
        id("-un"),
        id("-gn")
    )
}
