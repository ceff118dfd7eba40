//! The real executable over real sockets: what an operator sees of a server's life.

#![expect(clippy::unwrap_used, reason = "a machine that refuses fails the test")]

mod server;

use std::fs;

use server::{Server, folder};

#[test]
fn a_data_directory_has_one_server() {
    let server = Server::start();
    let second = server.command(&["serve"]);
    assert_eq!(second.code, 6, "{second:?}");
    assert!(second.stderr.contains(&format!("process {} holds", server.pid())), "{second:?}");
    assert_eq!(server.ok(&["app:list", "--json"]).trim(), "[]");
    let addresses = fs::read_to_string(server.data().join("run/addresses.json")).unwrap();
    let addresses: serde_json::Value = serde_json::from_str(&addresses).unwrap();
    for name in ["http", "https", "admin"] {
        let address: std::net::SocketAddr = addresses[name].as_str().unwrap().parse().unwrap();
        assert_ne!(address.port(), 0, "{name}");
    }
    assert_eq!(server.get_admin("/readyz").0, 200);
}

#[test]
fn faults_in_the_configuration_are_named_before_anything_starts() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("hop3-server.toml");
    fs::write(&file, "[server]\nthread = 2\n").unwrap();
    let data = root.path().join("data");
    let ended = server::run(&["serve", "--data", data.to_str().unwrap(), "--config", file.to_str().unwrap()]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.starts_with("error: hop3-server.toml:2:1: unknown key `thread`\n"), "{ended:?}");
    assert!(ended.stderr.contains("hint: did you mean `threads`?"), "{ended:?}");
    assert!(!data.exists(), "nothing was made");
}

#[test]
fn without_a_server_the_command_line_says_how_to_start_one() {
    let root = tempfile::tempdir().unwrap();
    let ended = server::run(&["app:list", "--data", root.path().to_str().unwrap()]);
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(ended.stderr.contains("hint: start it with `hop3 serve`"), "{ended:?}");
}

#[test]
fn a_site_is_served_attacked_and_destroyed() {
    let server = Server::start();
    let site = folder(&[("Procfile", "static: .\n"), ("index.html", "<h1>hello</h1>")]);
    let shown = server.ok(&["deploy", "site", site.path().to_str().unwrap()]);
    assert!(
        shown.starts_with("> Starting deployment for app 'site'\n-> Using builder: 'static'\n"),
        "{shown}"
    );
    assert!(shown.ends_with("> Deployment v1 of 'site' finished successfully.\n"), "{shown}");
    assert_eq!(server.get("site.localhost", "/"), (200, "<h1>hello</h1>".to_owned()));

    let attack = "/?id=1%20UNION%20SELECT%20password%20FROM%20users--&token=hunter2";
    assert_eq!(server.get("site.localhost", attack).0, 403);
    let events = server.eventually(|| {
        let events: serde_json::Value =
            serde_json::from_str(&server.ok(&["waf", "logs", "site", "--json"])).unwrap();
        events.as_array().is_some_and(|events| !events.is_empty()).then_some(events)
    });
    assert_eq!(events[0]["status"], 403);
    assert_eq!(events[0]["blocked"], true);
    assert!(!events[0]["rules"].as_array().unwrap().is_empty());
    assert!(!events.to_string().contains("hunter2"), "a secret reached the log: {events}");
    assert!(server.ok(&["waf:status", "site"]).contains("block"));

    assert_eq!(server.command(&["app:destroy", "site", "--no-input"]).code, 10);
    assert_eq!(server.command(&["app:status", "sit"]).code, 3);
    server.ok(&["app:destroy", "site", "-y"]);
    assert_eq!(server.command(&["app:status", "site"]).code, 3);
    assert!(!server.data().join("apps/site").exists());
    assert_ne!(server.get("site.localhost", "/").0, 200);
    assert!(server.ok(&["audit", "--verify"]).contains("hold together"));
}

#[test]
fn a_failed_deployment_leaves_the_old_one_serving() {
    let server = Server::start();
    let good = web_app("one");
    server.ok(&["deploy", "web", good.path().to_str().unwrap()]);
    let bad = folder(&[("Procfile", "web: python3 -c \"print('boom'); raise SystemExit(3)\"\n")]);
    let failed = server.command(&["deploy", "web", bad.path().to_str().unwrap()]);
    assert_eq!(failed.code, 8, "{failed:?}");
    assert!(failed.stderr.contains("boom") && failed.stderr.contains("exit code 3"), "{failed:?}");
    assert_eq!(server.get("web.localhost", "/"), (200, "one".to_owned()));

    let unknown = folder(&[("Procfile", "web: x\n"), ("hop3.toml", "[waf]\nruleset = 'owasp-crs'\n")]);
    let refused = server.command(&["deploy", "web", unknown.path().to_str().unwrap()]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.stderr.contains("hint: run `hop3 rules install owasp-crs`"), "{refused:?}");
    let faulty = folder(&[("hop3.toml", "[waf]\nparanoia-levl = 2\n")]);
    let refused = server.command(&["deploy", "web", faulty.path().to_str().unwrap()]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("hop3.toml:2:1: unknown key `paranoia-levl`"), "{refused:?}");

    assert!(server.ok(&["app:logs", "web", "--grep", "boom"]).contains("\nboom\n"));
    assert!(server.ok(&["app:ping", "web"]).starts_with("✓ App 'web' is responding"));
    let states = server.ok(&["releases", "web", "--json"]);
    let states: serde_json::Value = serde_json::from_str(&states).unwrap();
    let states: Vec<&str> =
        states.as_array().unwrap().iter().filter_map(|one| one["state"].as_str()).collect();
    assert_eq!(states, ["current", "failed"]);
}

#[test]
fn configuration_is_sealed_applied_and_rolled_back() {
    let server = Server::start();
    let program = "import os, http.server as h\nif 'CRASH' in os.environ: raise SystemExit(4)\n\
                   class H(h.BaseHTTPRequestHandler):\n    def do_GET(self):\n        \
                   self.send_response(200)\n        self.end_headers()\n        \
                   self.wfile.write(os.environ.get('GREETING', 'none').encode())\n\
                   h.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n";
    let app = folder(&[("Procfile", "web: python3 serve.py\n"), ("serve.py", program)]);
    server.ok(&["deploy", "web", app.path().to_str().unwrap()]);
    assert_eq!(server.get("web.localhost", "/").1, "none");
    let set = server.ok(&["config:set", "web", "GREETING=correct-horse"]);
    assert!(set.contains("applied by release v2"), "{set}");
    assert_eq!(server.get("web.localhost", "/").1, "correct-horse");
    assert!(!server.ok(&["env", "show", "--app", "web"]).contains("correct-horse"));
    assert_eq!(server.ok(&["config:get", "web", "GREETING"]), "correct-horse\n");
    let store = fs::read(server.data().join("store.redb")).unwrap();
    assert!(!store.windows(13).any(|window| window == b"correct-horse"), "stored in the clear");
    let failed = server.command(&["config:set", "web", "CRASH=1"]);
    assert_eq!(failed.code, 8, "{failed:?}");
    assert!(!server.ok(&["config:show", "web"]).contains("CRASH"), "what did not work does not stay");
    assert_eq!(server.get("web.localhost", "/").1, "correct-horse");
    server.ok(&["rollback", "web"]);
    assert_eq!(server.get("web.localhost", "/").1, "none");
    server.ok(&["app", "stop", "web"]);
    assert_eq!(server.get("web.localhost", "/").0, 503);
    assert_eq!(server.command(&["app:start", "web"]).code, 0);
    server.ok(&["app:restart", "web"]);
    assert_eq!(server.get("web.localhost", "/").0, 200);
}

#[test]
fn apps_come_back_after_a_restart_and_after_a_kill() {
    let mut server = Server::start();
    let app = web_app("steady");
    server.ok(&["deploy", "web", app.path().to_str().unwrap()]);
    let pid = |server: &Server| {
        let shown: serde_json::Value =
            serde_json::from_str(&server.ok(&["app:status", "web", "--json"])).unwrap();
        shown["instances"][0]["pid"].as_u64()
    };
    let first = pid(&server).unwrap();
    server.restart(server::End::Terminate);
    server.eventually(|| (server.get("web.localhost", "/") == (200, "steady".to_owned())).then_some(()));
    let second = pid(&server).unwrap();
    assert_ne!(first, second, "SIGTERM stops the apps, the next start starts them");
    assert!(!std::path::Path::new(&format!("/proc/{first}")).exists(), "the old process is gone");

    server.restart(server::End::Kill);
    server.eventually(|| (server.get("web.localhost", "/") == (200, "steady".to_owned())).then_some(()));
    assert_eq!(pid(&server), Some(second), "after a kill the living process is adopted, not doubled");
    assert!(server.ok(&["audit", "--verify"]).contains("hold together"));
    server.ok(&["app:stop", "web"]);
    server.restart(server::End::Terminate);
    assert!(server.ok(&["app:status", "web"]).contains("STOPPED"), "what was stopped stays stopped");
}

fn web_app(text: &str) -> tempfile::TempDir {
    folder(&[("Procfile", "web: python3 -m http.server $PORT --bind 127.0.0.1\n"), ("index.html", text)])
}

#[test]
fn a_slow_request_outlives_the_swap_of_its_release() {
    let server = Server::start();
    let program = "import os, time, http.server as h\nclass H(h.BaseHTTPRequestHandler):\n    def do_GET(self):\n        \
                   if self.path == '/slow':\n            time.sleep(1.5)\n        \
                   self.send_response(200)\n        self.end_headers()\n        \
                   self.wfile.write(os.environ['HOP3_RELEASE'].encode())\n\
                   h.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n";
    let app = folder(&[("Procfile", "web: python3 serve.py\n"), ("serve.py", program)]);
    let path = app.path().to_str().unwrap();
    server.ok(&["deploy", "web", path]);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| server.get("web.localhost", "/slow"));
        std::thread::sleep(std::time::Duration::from_millis(200));
        server.ok(&["deploy", "web", path]);
        assert_eq!(server.get("web.localhost", "/"), (200, "v2".to_owned()));
        assert_eq!(slow.join().unwrap(), (200, "v1".to_owned()));
    });
    server.eventually(|| (!server.ok(&["app:status", "web"]).contains("draining")).then_some(()));
}

#[test]
fn static_routes_are_reloaded_and_keep_their_own_firewalls() {
    let server = Server::start();
    let site = folder(&[("index.html", "shop")]);
    let file = server.data().join("hop3-server.toml");
    let before = fs::read_to_string(&file).unwrap();
    let routes = format!(
        "{before}\n[[route]]\nhosts = ['shop.test']\nstatic = '{0}'\n[route.waf]\nmode = 'detect'\n\
         [[route]]\nhosts = ['shop.test']\npath-prefix = '/files'\nstatic = '{0}'\n",
        site.path().display()
    );
    fs::write(&file, &routes).unwrap();
    server.signal("HUP");
    server.eventually(|| (server.get("shop.test", "/").0 == 200).then_some(()));
    assert_eq!(server.get("shop.test", "/files/").1, "shop");
    let attack = "?id=1%20UNION%20SELECT%20password%20FROM%20users--";
    assert_eq!(server.get("shop.test", &format!("/{attack}")).0, 200, "this one only detects");
    assert_eq!(server.get("shop.test", &format!("/files/{attack}")).0, 403, "this one blocks");
    fs::write(&file, format!("{routes}\n[sever]\n")).unwrap();
    server.signal("HUP");
    server.eventually(|| server.log().contains("the old configuration stays in force").then_some(()));
    assert_eq!(server.get("shop.test", "/").0, 200);
    let logs = server.eventually(|| {
        let logs = server.ok(&["waf", "logs", "--route", "shop.test/files"]);
        logs.contains("BLOCKED").then_some(logs)
    });
    assert!(logs.contains("/files/"), "{logs}");
}
