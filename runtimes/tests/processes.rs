//! Real processes: environment, health, early exit, trees that resist, crash and restart.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail")]

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use hop3_runtimes::instance::Endpoint;
use hop3_runtimes::launch::RestartPolicy;
use hop3_runtimes::logs::read::{Query, render, tail};
use hop3_runtimes::manifest::ProcessCommand;
use hop3_runtimes::runtime::{Runtime, RuntimeError};
use hop3_runtimes::supervisor::event::Change;
use support::{read_when_there, runtime, scratch, spec, supervisor, wait_until, with_text, write};

const SERVER: &str = "python3 -m http.server --bind 127.0.0.1 $PORT";

#[tokio::test(flavor = "multi_thread")]
async fn a_web_process_gets_a_clean_environment_and_becomes_healthy() {
    let (folder, owner) = scratch("env");
    let root = folder.path();
    write(root, "index.html", "hello");
    let mut spec = spec(root, &owner, "web", &format!("env > seen.tmp && mv seen.tmp seen; {SERVER}"));
    spec.config.insert("GREETING".into(), "a b$c".into());
    spec.config.insert("HOME".into(), "/nowhere".into());
    spec.public_url = Some("https://demo.example".into());
    let supervisor = supervisor();
    let record = supervisor.start(spec.clone()).await.unwrap();
    supervisor.wait_healthy(&spec.id).await.unwrap();
    let Endpoint::Http(address) = record.endpoint else { panic!("no address") };
    let seen = read_when_there(&root.join("seen"));
    let mut names: Vec<_> =
        seen.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    // What the shell itself adds, and what the machine may have.
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_", "TZ", "LC_CTYPE"].contains(name));
    names.sort_unstable();
    let expected = [
        "APP",
        "GREETING",
        "HOME",
        "HOP3_INSTANCE",
        "HOP3_PUBLIC_URL",
        "HOP3_RELEASE",
        "LANG",
        "PATH",
        "PORT",
        "PROC_TYPE",
    ];
    assert_eq!(names, expected);
    for line in [
        "APP=demo".to_owned(),
        "GREETING=a b$c".to_owned(),
        format!("HOME={}", root.display()),
        "HOP3_RELEASE=v7".to_owned(),
        "PROC_TYPE=web".to_owned(),
        format!("PORT={}", address.port()),
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line}");
    }
    let stats = supervisor.stats(&spec.id).await;
    assert!(stats.processes >= 1 && stats.memory > 1 << 20, "{stats:?}");
    supervisor.stop(&spec.id).await.unwrap();
    assert!(hop3_runtimes::ports::is_free(address.port()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_exit_is_told_with_code_and_last_lines() {
    let (folder, owner) = scratch("exit");
    let mut spec = spec(folder.path(), &owner, "web", "echo loading; echo no database >&2; exit 3");
    spec.restart = RestartPolicy::OnceHealthy;
    spec.start_timeout = Duration::from_secs(300);
    let supervisor = supervisor();
    let start = Instant::now();
    supervisor.start(spec.clone()).await.unwrap();
    let failure = supervisor.wait_healthy(&spec.id).await.unwrap_err();
    assert_eq!(failure.to_string(), "it ended before it was healthy: exit code 3");
    assert_eq!(failure.tail(), ["loading", "no database"]);
    assert!(start.elapsed() < spec.start_timeout / 2, "noticed at once, not at the deadline");
    supervisor.stop(&spec.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_never_listens_is_told_as_refused() {
    let (folder, owner) = scratch("deaf");
    let mut spec = spec(folder.path(), &owner, "web", "echo still thinking; sleep 1000");
    spec.start_timeout = Duration::from_secs(3);
    let supervisor = supervisor();
    supervisor.start(spec.clone()).await.unwrap();
    let failure = supervisor.wait_healthy(&spec.id).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "not healthy within 3 s; the last probe: connection refused: nothing listens on the port"
    );
    assert_eq!(failure.tail(), ["still thinking"]);
    supervisor.stop(&spec.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_exist_starts_nothing() {
    let (folder, owner) = scratch("absent");
    let error =
        runtime(false).start(&spec(folder.path(), &owner, "web", "no-such-program")).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Spawn { .. }), "{error}");
    assert_eq!(error.to_string(), "cannot start `no-such-program`");
}

/// Double-forks, calls setsid, ignores SIGTERM, and one of them even clears its environment.
const TREE: &str = r#"
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def hide(clear):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            if clear:
                os.execve(sys.executable, [sys.executable, "-c", "import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)", sys.argv[1]], {})
            time.sleep(1000)
        os._exit(0)
    os.wait()
hide(False)
if sys.argv[2] == "clear":
    hide(True)
open("ready", "w").write("ready")
time.sleep(1000)
"#;

/// `HOP3_STOP_ROUNDS=1000` measures the promise of 0 orphans in 1,000 stops.
async fn no_orphans(cgroups: bool, mode: &str) {
    let (folder, owner) = scratch(&format!("tree{cgroups}"));
    write(folder.path(), "tree.py", TREE);
    let runtime = runtime(cgroups);
    if cgroups && !runtime.has_cgroups() {
        eprintln!("skipped: no writable cgroup2 hierarchy on this machine");
        return;
    }
    let mark = format!("orphan-{owner}");
    let expected = if mode == "clear" { 3 } else { 2 };
    let rounds = std::env::var("HOP3_STOP_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    for _round in 0..rounds {
        let spec = spec(folder.path(), &owner, "worker", &format!("python3 tree.py {mark} {mode}"));
        let running = runtime.start(&spec).await.unwrap();
        read_when_there(&folder.path().join("ready"));
        wait_until(|| with_text(&mark).len() >= expected);
        let stopped = runtime.stop(&running.record, Duration::from_millis(150)).await.unwrap();
        assert!(stopped.killed);
        assert_eq!(with_text(&mark), Vec::<i32>::new(), "orphans");
        assert!(running.record.cgroup.is_none_or(|group| !group.exists()), "the group is removed");
        std::fs::remove_file(folder.path().join("ready")).unwrap();
        let _exit = running.exit.await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resisting_tree_leaves_no_orphans_with_cgroups() {
    no_orphans(true, "clear").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resisting_tree_leaves_no_orphans_without_cgroups() {
    no_orphans(false, "keep").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_restarted_within_a_second_without_doubling() {
    let (folder, owner) = scratch("crash");
    let mark = format!("crash-{owner}");
    write(folder.path(), "app.sh", "echo $$ >> starts\nsleep 1000 &\nwait\n");
    let spec = spec(folder.path(), &owner, "worker", &format!("sh app.sh {mark}"));
    let supervisor = supervisor();
    let mut events = supervisor.events();
    let first = supervisor.start(spec.clone()).await.unwrap();
    read_when_there(&folder.path().join("starts"));
    assert!(first.leader.as_ref().unwrap().signal(rustix::process::Signal::KILL));
    // What the supervisor decides is asserted; how soon the machine gets to it is not ours to promise.
    let mut pause = None;
    let restarted = async {
        loop {
            match events.recv().await.unwrap().change {
                Change::Restarting { after } => pause = Some(after),
                Change::Started { record, .. } if record.marker != first.marker => break record,
                _ => {}
            }
        }
    };
    let second = tokio::time::timeout(Duration::from_secs(60), restarted).await.unwrap();
    assert!(pause.is_some_and(|pause| pause < Duration::from_secs(1)), "{pause:?}");
    assert_ne!(first.leader, second.leader);
    wait_until(|| with_text(&mark).len() == 1);
    supervisor.stop(&spec.id).await.unwrap();
    assert_eq!(with_text(&mark), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_captured_in_a_file_that_can_be_read_back() {
    let (folder, owner) = scratch("logs");
    let spec = spec(folder.path(), &owner, "worker", "echo out; echo err >&2; sleep 1000");
    let supervisor = supervisor();
    supervisor.start(spec.clone()).await.unwrap();
    supervisor.wait_healthy(&spec.id).await.unwrap();
    let query = Query { lines: 2, ..Query::default() };
    wait_until(|| render(&tail(&spec.log_dir, &query).unwrap_or_default()) == "==> worker.1 <==\nout\nerr\n");
    supervisor.stop(&spec.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wsgi_runs_under_uwsgi_or_says_what_is_missing() {
    let (folder, owner) = scratch("wsgi");
    let app = "def app(env, start):\n    start('200 OK', [('Content-Type', 'text/plain')])\n    return [b'wsgi ' + env['PATH_INFO'].encode()]\n";
    write(folder.path(), "site_app.py", app);
    let mut spec = spec(folder.path(), &owner, "web", "x");
    spec.command = ProcessCommand::Wsgi("site_app:app".to_owned().try_into().unwrap());
    spec.health_check.contains = Some("wsgi /".into());
    spec.stop_timeout = Duration::from_secs(240);
    if runtime(false)
        .start(&spec)
        .await
        .is_err_and(|error| matches!(error, RuntimeError::NoWsgiServer { .. }))
    {
        eprintln!("skipped: no uwsgi on this machine");
        return;
    }
    runtime(false).end_strays(&owner, &[], Duration::from_secs(5)).await.unwrap();
    let supervisor = supervisor();
    let record = supervisor.start(spec.clone()).await.unwrap();
    if let Err(failure) = supervisor.wait_healthy(&spec.id).await {
        panic!("{failure}\n{}", failure.tail().join("\n"));
    }
    // A browser with many cookies.
    let Endpoint::Http(address) = record.endpoint else { panic!("no address") };
    let mut client = std::net::TcpStream::connect(address).unwrap();
    let cookies = format!("GET /big HTTP/1.1\r\nHost: x\r\nCookie: a={}\r\n\r\n", "b".repeat(20_000));
    client.write_all(cookies.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("wsgi /big"), "{answer}");
    let start = Instant::now();
    supervisor.stop(&spec.id).await.unwrap();
    assert!(
        start.elapsed() < spec.stop_timeout / 2,
        "uWSGI ends on SIGTERM, also while a worker still loads"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn as_root_an_app_can_run_as_another_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let (folder, owner) = scratch("user");
    let mut spec = spec(folder.path(), &owner, "worker", "id -u; id -G; sleep 1000");
    spec.user = hop3_runtimes::app_user::AppUser::find("nobody:x:65534:65534::/:/bin/false", "nobody");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let supervisor = supervisor();
    supervisor.start(spec.clone()).await.unwrap();
    supervisor.wait_healthy(&spec.id).await.unwrap();
    let query = Query { lines: 2, ..Query::default() };
    let lines = || tail(&spec.log_dir, &query).ok()?.into_iter().next().map(|part| part.lines);
    wait_until(|| lines().is_some_and(|lines| lines.len() == 2));
    assert_eq!(lines().unwrap(), ["65534", "65534"], "neither root nor root's groups");
    supervisor.stop(&spec.id).await.unwrap();
}
