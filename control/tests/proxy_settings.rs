//! `[proxy]` of apps and routes through the real executable: each key changes what clients get.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use server::{Server, folder, free_port};

/// bcrypt of "secret".
const HASH: &str = "$2y$04$ZNWkTVd7q72eXLB/pXCHUO61vdOqaigSDSyDn.Eh9A6R7ymo/M4K.";
/// ann:secret
const ANN: &str = "Authorization: Basic YW5uOnNlY3JldA==\r\n";

/// Answers with its name, a counter, what it was asked and the header fields it saw.
const ECHO: &str = r#"
import os, http.server as h
count = 0
class H(h.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        global count
        count += 1
        body = f"{os.environ['APP']} {count} {self.path} {self.headers}".encode()
        if self.path.endswith('/long'):
            body = b'long ' * 2000
        self.send_response(200)
        self.send_header('Content-Type', 'text/plain')
        self.send_header('Content-Length', str(len(body)))
        self.send_header('X-Powered-By', 'python')
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.do_GET()
    def log_message(self, *a): pass
h.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()
"#;

fn app(hop3: &str) -> tempfile::TempDir {
    let app = folder(&[("Procfile", "web: python3 serve.py\n"), ("serve.py", ECHO), ("hop3.toml", hop3)]);
    fs::create_dir(app.path().join("public")).unwrap();
    fs::write(app.path().join("public/style.css"), "body{}").unwrap();
    fs::write(app.path().join("sorry.html"), "<p>sorry {status}</p>").unwrap();
    app
}

/// An app without a process.
fn static_site() -> tempfile::TempDir {
    let site = folder(&[]);
    fs::create_dir(site.path().join("public")).unwrap();
    fs::write(site.path().join("public/index.html"), "site").unwrap();
    site
}

fn deploy(server: &Server, name: &str, folder: &Path) {
    server.ok(&["deploy", name, folder.to_str().unwrap()]);
}

#[test]
fn an_app_has_its_rules() {
    let server = Server::start();
    let shop = app(r#"
[proxy]
headers = { X-Frame-Options = "DENY", X-Powered-By = "" }
request-headers = { set = { X-From = "hop3" }, remove = ["X-Debug"] }
redirect = { "/old" = "/new", "/docs/*" = { to = "https://docs.test/", status = 302 } }
static = { "/assets" = "public" }
files = { max-age = "1h" }
error-pages = { 404 = "sorry.html", 4xx = "sorry.html" }
compression = { codings = ["gzip"] }
cache = { "/kept" = "1h" }
cors = { origins = ["https://a.test"] }
[[proxy.paths]]
prefix = "/inside"
allow = ["192.0.2.0/24"]
[[proxy.paths]]
prefix = "/members"
basic-auth = { realm = "Club", users = { ann = "ANN" } }
[[proxy.paths]]
prefix = "/few"
rate-limit = { requests = 2, per = "1h" }
[[proxy.paths]]
prefix = "/small"
max-body-size = 10
[[proxy.paths]]
prefix = "/closed"
maintenance = { page = "sorry.html", retry-after = "1m" }
"#);
    let path = shop.path().to_str().unwrap();

    // A password that is not there is missed before anything is made.
    let refused = server.command(&["deploy", "shop", path]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("hop3.toml:17:"), "{refused:?}");
    assert!(refused.stderr.contains("configuration has no `ANN`"), "{refused:?}");
    server.ok(&["deploy", "shop", path, "--env", &format!("ANN={HASH}")]);
    let raw = |target: &str, headers: &str| server.raw("shop.localhost", target, headers);
    let get = |target: &str| server.get("shop.localhost", target);

    let answer = raw("/x", "X-Debug: 1\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let lower = answer.to_ascii_lowercase();
    assert!(lower.contains("x-frame-options: deny") && !lower.contains("x-powered-by"), "{answer}");
    assert!(lower.contains("x-from: hop3") && !lower.contains("x-debug"), "{answer}");
    assert!(
        raw("/old", "").contains("301 ") && raw("/old", "").to_ascii_lowercase().contains("location: /new")
    );
    let docs = raw("/docs/a?b", "").to_ascii_lowercase();
    assert!(docs.contains("302 ") && docs.contains("location: https://docs.test/a?b"), "{docs}");
    let style = raw("/assets/style.css", "");
    assert!(style.ends_with("body{}") && style.to_ascii_lowercase().contains("max-age=3600"), "{style}");
    assert_eq!(get("/assets/none"), (404, "<p>sorry 404</p>".into()));
    let long = raw("/long", "Accept-Encoding: gzip\r\n").to_ascii_lowercase();
    assert!(long.contains("content-encoding: gzip") && long.len() < 2000, "{long}");
    let marked = raw("/x", "Origin: https://a.test\r\n").to_ascii_lowercase();
    assert!(marked.contains("access-control-allow-origin: https://a.test"), "{marked}");

    // Kept until it is purged.
    let first = get("/kept/a").1;
    assert_eq!(get("/kept/a").1, first);
    assert_ne!(get("/kept/b").1, first);
    assert!(server.ok(&["cache", "purge", "shop", "/kept/a"]).contains("One kept answer"));
    assert_ne!(get("/kept/a").1, first);
    assert!(server.ok(&["cache:purge", "shop"]).contains("2 kept answers"));
    assert_eq!(server.command(&["cache:purge", "nobody"]).code, 3);
    assert_eq!(server.command(&["cache:purge", "shop", "x"]).code, 2);

    assert_eq!(get("/inside/x"), (403, "<p>sorry 403</p>".into()));
    assert!(raw("/members", "").contains("401 "));
    assert!(raw("/members", ANN).contains("200 "), "{}", raw("/members", ANN));
    assert_eq!([get("/few").0, get("/few").0, get("/few").0], [200, 200, 429]);
    assert!(raw("/few", "").to_ascii_lowercase().contains("retry-after: "));
    let closed = raw("/closed", "");
    assert!(closed.contains("503 ") && closed.ends_with("<p>sorry {status}</p>"), "{closed}");
    let port = server.port("http");
    let post = |path: &str| {
        let url = format!("http://shop.localhost:{port}{path}");
        let output = std::process::Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", "more than ten bytes", "--resolve"])
            .args([&format!("shop.localhost:{port}:127.0.0.1"), &url])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!((post("/small").as_str(), post("/large").as_str()), ("413", "200"));

    // What protects the app cannot be taken away by mistake.
    let unset = server.command(&["config:unset", "shop", "ANN"]);
    assert_eq!(unset.code, 2, "{unset:?}");
    assert!(raw("/members", "").contains("401 "));
}

#[test]
fn faults_are_placed_and_change_nothing() {
    let server = Server::start();
    let good = app("");
    deploy(&server, "shop", good.path());
    let cases = [
        ("[proxy]\nallow = ['here']\n", "hop3.toml:2:10: [proxy] allow.0: `here` is no address or network"),
        ("[proxy]\ncompresion = true\n", "hop3.toml:2:1: unknown key `compresion`"),
        ("[proxy.balancing]\nmethod = 'dice'\n", "hop3.toml:2:10: `dice` is no way to choose an instance"),
        ("[proxy]\nerror-pages = { 404 = '../../x' }\n", "hop3.toml:2:23: [proxy] error-pages.404:"),
    ];
    for (text, message) in cases {
        fs::write(good.path().join("hop3.toml"), text).unwrap();
        let refused = server.command(&["deploy", "shop", good.path().to_str().unwrap()]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains(message), "{text}: {refused:?}");
    }
    // Only after the build is it known that a folder is missing: the deployment fails, the old release stays.
    fs::write(good.path().join("hop3.toml"), "[proxy]\nstatic = { '/made' = 'made' }\n").unwrap();
    let failed = server.command(&["deploy", "shop", good.path().to_str().unwrap()]);
    assert_ne!(failed.code, 0, "{failed:?}");
    assert!(failed.stderr.contains("`made` cannot be found"), "{failed:?}");
    fs::write(
        good.path().join("hop3.toml"),
        "[build]\nbuild = 'mkdir made && echo yes > made/it'\n[proxy]\nstatic = { '/made' = 'made' }\n",
    )
    .unwrap();
    assert_eq!(server.get("shop.localhost", "/").0, 200);
    deploy(&server, "shop", good.path());
    assert_eq!(server.get("shop.localhost", "/made/it").1, "yes\n");
    let file = server.data().join("hop3-server.toml");
    let before = fs::read_to_string(&file).unwrap();
    let route =
        "\n[[route]]\nhosts = ['a.test']\nupstream = 'http://127.0.0.1:1'\n[route.proxy]\ndeny = ['x']\n";
    fs::write(&file, format!("{before}{route}")).unwrap();
    server.signal("HUP");
    server.eventually(|| server.log().contains("[proxy] deny.0: `x` is no address or network").then_some(()));
}

#[test]
fn a_folder_below_a_protected_path_is_protected_as_well() {
    let server = Server::start();
    let paths = format!(
        "[proxy]\nstatic = {{ '/admin/files' = 'public', '/admin/open/files' = 'public', '/files' = 'public' }}\n\
         [[proxy.paths]]\nprefix = '/admin'\nbasic-auth = {{ users = {{ ann = '{HASH}' }} }}\n\
         [[proxy.paths]]\nprefix = '/admin/open'\nmax-body-size = '1k'\n\
         [[proxy.paths]]\nprefix = '/admin/files/secret'\ndeny = ['0.0.0.0/0']\n"
    );
    let shop = app(&paths);
    deploy(&server, "shop", shop.path());
    let status = |target: &str, headers: &str| server.get_with("shop.localhost", target, headers).0;
    assert_eq!(status("/files/style.css", ""), 200);
    assert_eq!(status("/admin/files/style.css", ""), 401);
    assert_eq!(status("/admin/files/style.css", ANN), 200);
    assert_eq!(status("/admin/open/files/style.css", ""), 200, "of two paths around it the inner one counts");
    assert_eq!(status("/admin/files/secret/x", ANN), 403);
}

#[test]
fn an_app_that_changes_its_folders_is_served_nothing_else() {
    let server = Server::start();
    let secret = folder(&[("style.css", "secret"), ("index.html", "secret")]);
    let shop = app("[proxy]\nstatic = { '/files' = 'public' }\nerror-pages = { 404 = 'sorry.html' }\n");
    deploy(&server, "shop", shop.path());
    let site = static_site();
    deploy(&server, "site", site.path());
    let get = |app: &str, target: &str| server.get(&format!("{app}.localhost"), target);
    assert_eq!(get("shop", "/files/style.css"), (200, "body{}".to_owned()));
    assert_eq!(get("site", "/"), (200, "site".to_owned()));
    for (app, target) in [("shop", "/files/style.css"), ("site", "/")] {
        // What a process of any app could do, since all run as one account.
        let built = server.data().join("apps").join(app).join("releases/v1/artifact/src");
        fs::rename(built.join("public"), built.join("moved")).unwrap();
        std::os::unix::fs::symlink(secret.path(), built.join("public")).unwrap();
        assert_eq!(get(app, target).0, 404, "{app}");
        fs::rename(&built, built.with_extension("old")).unwrap();
        fs::create_dir(secret.path().join("public")).unwrap();
        fs::copy(secret.path().join("style.css"), secret.path().join("public/style.css")).unwrap();
        fs::copy(secret.path().join("index.html"), secret.path().join("public/index.html")).unwrap();
        std::os::unix::fs::symlink(secret.path(), &built).unwrap();
        assert_eq!(get(app, target).0, 404, "{app}");
        fs::remove_dir_all(secret.path().join("public")).unwrap();
    }

    // What was read when it was deployed stays in force, whoever else restarts or is deployed.
    let other = app("");
    deploy(&server, "other", other.path());
    let (status, page) = get("shop", "/files/none");
    assert!(status == 404 && page.contains("sorry 404"), "{status} {page}");
    assert!(get("shop", "/x").1.starts_with("shop "));
}

#[test]
fn apps_share_a_host_and_requests() {
    let server = Server::start();
    let main = app("domains = ['shop.test']\n[proxy]\ncanary = { app = 'next', header = 'X-Canary: yes' }\n");
    let blog =
        app("domains = ['shop.test']\n[proxy]\npath-prefix = '/blog'\nstrip-prefix = true\nhold = '1m'\n");
    deploy(&server, "shop", main.path());
    deploy(&server, "blog", blog.path());
    let clash = server.command(&["deploy", "third", blog.path().to_str().unwrap()]);
    assert_eq!(clash.code, 6, "{clash:?}");
    assert!(clash.stderr.contains("host `shop.test/blog` belongs to app 'blog'"), "{clash:?}");
    let get = |target: &str, headers: &str| server.get_with("shop.test", target, headers).1;
    assert!(get("/a", "").starts_with("shop ") && get("/blog/b", "").starts_with("blog "));
    assert!(get("/blog/b", "").contains(" /b "), "the prefix is taken off: {}", get("/blog/b", ""));

    // The canary is served by the other app once that is there and agrees: it may have passwords of its own.
    assert!(get("/a", "X-Canary: yes\r\n").starts_with("shop "));
    let next = app("[proxy]\ncanary-of = ['blog']\n");
    deploy(&server, "next", next.path());
    assert!(get("/a", "X-Canary: yes\r\n").starts_with("shop "));
    let refused = server.command(&["deploy", "shop", main.path().to_str().unwrap()]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("'next' does not agree to be the canary of 'shop'"), "{refused:?}");
    fs::write(next.path().join("hop3.toml"), "[proxy]\ncanary-of = ['blog', 'shop']\n").unwrap();
    deploy(&server, "next", next.path());
    assert!(get("/a", "X-Canary: yes\r\n").starts_with("next "));
    assert!(get("/a", "X-Canary: no\r\n").starts_with("shop ") && get("/a", "").starts_with("shop "));

    // Requests are held while an app restarts.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut statuses = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                statuses.push(server.get("shop.test", "/blog/").0);
            }
            statuses
        });
        {
            let _over = Over(&stop);
            server.ok(&["app:restart", "blog"]);
        }
        let statuses = reader.join().unwrap();
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    });
}

/// Ends what reads in the background, also when the test fails.
struct Over<'s>(&'s AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_route_balances_checks_and_breaks() {
    let server = Server::start();
    let folder = folder(&[("serve.py", ECHO)]);
    let start = |name: &str, port: u16| {
        let child = std::process::Command::new("python3")
            .arg(folder.path().join("serve.py"))
            .env("APP", name)
            .env("PORT", port.to_string())
            .spawn()
            .unwrap();
        server.eventually(|| std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        child
    };
    let (one, two) = (free_port(), free_port());
    let mut first = start("one", one);
    let mut second = start("two", two);
    let upstream = format!("upstream = ['http://127.0.0.1:{one}', '127.0.0.1:{two}']");
    server.configure(&format!(
        "[[route]]\nhosts = ['sticky.test']\n{upstream}\n[route.proxy.balancing]\nsticky = {{ cookie = 'where' }}\n\
         weights = {{ 'http://127.0.0.1:{two}' = 0 }}\n\
         [[route]]\nhosts = ['hash.test']\n{upstream}\n[route.proxy.balancing]\nmethod = 'hash-header:X-Key'\n\
         [route.proxy.health-check]\npath = '/well'\ninterval = '100ms'\nfall = 1\nrise = 1\n\
         [[route]]\nhosts = ['club.test']\n{upstream}\n[route.proxy.basic-auth]\nusers = {{ ann = '{HASH}' }}\n"
    ));
    // Weight 0 gets no new clients, only those that name it.
    for _ in 0..4 {
        assert!(server.get("sticky.test", "/").1.starts_with("one "));
    }
    let cookie = server.raw("sticky.test", "/", "");
    assert!(cookie.to_ascii_lowercase().contains("set-cookie: where="), "{cookie}");
    let by_key =
        |key: &str| server.get_with("hash.test", "/", &format!("X-Key: {key}\r\n")).1[..3].to_owned();
    let keys: Vec<String> = (0..20).map(|key| key.to_string()).collect();
    let before: Vec<String> = keys.iter().map(|key| by_key(key)).collect();
    assert!(before.contains(&"one".into()) && before.contains(&"two".into()), "{before:?}");
    assert_eq!(before, keys.iter().map(|key| by_key(key)).collect::<Vec<_>>());
    assert!(server.raw("club.test", "/", "").contains("401 "));
    assert!(server.raw("club.test", "/", ANN).contains("200 "));

    // One dies: no request fails, and the check tells.
    second.kill().unwrap();
    second.wait().unwrap();
    assert!(keys.iter().all(|key| by_key(key) == "one"));
    server.eventually(|| {
        let metrics = server.get_admin("/metrics").1;
        let down = |line: &str| line.contains(&format!("127.0.0.1:{two}")) && line.ends_with(" 0");
        metrics.lines().any(|line| line.starts_with("hop3_upstream_up") && down(line)).then_some(())
    });
    first.kill().unwrap();
    first.wait().unwrap();
    assert!([502, 503].contains(&server.get("hash.test", "/").0));
    let mut second = start("two", two);
    server.eventually(|| (server.get("hash.test", "/").0 == 200).then_some(()));
    second.kill().unwrap();
    second.wait().unwrap();
}
