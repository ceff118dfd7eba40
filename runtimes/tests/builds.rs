//! Real builds without network: a virtual environment with a local wheel, a static site, a plain app, failures.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail")]

mod support;

use std::path::Path;
use std::time::Duration;

use hop3_runtimes::artifact::ArtifactKind;
use hop3_runtimes::build::log::BuildLog;
use hop3_runtimes::build::{BuildError, BuildRequest, Built, DEFAULT_BUILD_TIMEOUT, build_app};
use hop3_runtimes::environment::HostEnvironment;
use hop3_runtimes::instance::Exit;
use hop3_runtimes::manifest::ProcessCommand;
use hop3_runtimes::names::AppName;
use hop3_runtimes::source_tree::SourceTree;
use support::{scratch, spec, supervisor, write};

/// Writes a wheel (PEP 427) of a module that says hello.
const WHEEL: &str = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    info = "greeting-1.0.dist-info/"
    wheel.writestr("greeting.py", "TEXT = 'hello from the wheel'\n")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "greeting.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n")
"#;

fn request(folder: &Path) -> BuildRequest {
    BuildRequest {
        app: AppName::new("demo").unwrap(),
        tree: SourceTree::open(folder.join("source")).unwrap(),
        work: folder.join("v1"),
        home: folder.join("home"),
        config: [("SETTING".to_owned(), "from config".to_owned())].into(),
        host: HostEnvironment::read(),
        user: None,
        timeout: DEFAULT_BUILD_TIMEOUT,
    }
}

async fn build(folder: &Path) -> Result<Built, BuildError> {
    build_app(request(folder), BuildLog::to_file(&folder.join("build.log")).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtualenv_is_built_and_its_app_answers() {
    let (folder, owner) = scratch("venv");
    let root = folder.path();
    let wheel = root.join("source/greeting-1.0-py3-none-any.whl");
    write(root, "make.py", WHEEL);
    write(root, "source/requirements.txt", "./greeting-1.0-py3-none-any.whl\n");
    let made = std::process::Command::new("python3").arg(root.join("make.py")).arg(&wheel).status().unwrap();
    assert!(made.success());
    let app = "import greeting, http.server, os\nclass H(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n        \
               self.send_response(200); self.end_headers(); self.wfile.write(greeting.TEXT.encode())\n\
               http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n";
    write(root, "source/app.py", app);
    write(
        root,
        "source/Procfile",
        "web: python app.py\npostbuild: echo \"$SETTING\" > built; which python >> built\n",
    );
    let built = build(root).await.unwrap_or_else(|e| panic!("{e}\n{}", e.tail().join("\n")));
    assert_eq!(built.evidence, "requirements.txt found");
    let ArtifactKind::Virtualenv { folder: venv } = &built.artifact.kind else {
        panic!("{:?}", built.artifact)
    };
    let venv_python = venv.join("bin/python");
    let expected = format!("from config\n{}\n", venv_python.display());
    assert_eq!(std::fs::read_to_string(built.artifact.root.join("built")).unwrap(), expected);
    let log = std::fs::read_to_string(root.join("build.log")).unwrap();
    for line in
        ["-> Using builder: 'python' (requirements.txt found)", "-> install requirements.txt", "Artifact: "]
    {
        assert!(log.contains(line), "{log}");
    }
    let stored = serde_json::to_string(&built.artifact).unwrap();
    let artifact = serde_json::from_str(&stored).unwrap();

    let mut spec = spec(root, &owner, "web", "x");
    spec.artifact = artifact;
    spec.command = ProcessCommand::Command("python app.py".into());
    spec.health_check.contains = Some("hello from the wheel".into());
    let supervisor = supervisor();
    supervisor.start(spec.clone()).await.unwrap();
    if let Err(failure) = supervisor.wait_healthy(&spec.id).await {
        panic!("{failure}\n{}", failure.tail().join("\n"));
    }
    supervisor.stop(&spec.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_install_says_step_exit_and_last_lines() {
    let (folder, _) = scratch("badreq");
    write(folder.path(), "source/requirements.txt", "./does-not-exist.whl\n");
    write(folder.path(), "source/Procfile", "web: python app.py\n");
    let error = build(folder.path()).await.unwrap_err();
    assert!(error.to_string().starts_with("step `install requirements.txt` failed: exit code "), "{error}");
    assert!(error.tail().iter().any(|line| line.contains("does-not-exist")), "{:?}", error.tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_command_of_the_app_stops_the_build() {
    let (folder, _) = scratch("badcmd");
    write(
        folder.path(),
        "source/Procfile",
        "web: ./run\nprebuild: echo first; echo second >&2; exit 4\npostbuild: touch done\n",
    );
    let error = build(folder.path()).await.unwrap_err();
    let BuildError::Step { step, problem, exit, tail } = error else { panic!("{error}") };
    assert_eq!(step, "before-build: echo first; echo second >&2; exit 4");
    assert_eq!((problem.as_str(), exit), ("exit code 4", Some(Exit::Code(4))));
    assert_eq!(tail, ["first", "second"]);
    assert!(!folder.path().join("v1/src/done").exists());
    assert!(!folder.path().join("source/done").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_takes_too_long_is_killed_with_all_it_started() {
    let (folder, owner) = scratch("slow");
    write(
        folder.path(),
        "source/Procfile",
        &format!("web: ./run\nprebuild: sleep 1000 & sleep 1000 # {owner}\n"),
    );
    let request = BuildRequest { timeout: Duration::from_millis(300), ..request(folder.path()) };
    let error = build_app(request, BuildLog::in_memory()).await.unwrap_err();
    assert!(error.to_string().ends_with("it took too long and was killed"), "{error}");
    assert_eq!(support::with_text(&owner), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_do_not_wait_for_what_they_leave_in_the_background() {
    let (folder, owner) = scratch("background");
    write(
        folder.path(),
        "source/Procfile",
        &format!("web: ./run\nprebuild: sh -c 'sleep 1000' {owner} & echo left\n"),
    );
    let start = std::time::Instant::now();
    build(folder.path()).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(300));
    assert_eq!(support::with_text(&owner), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn static_sites_plain_or_built() {
    let (folder, owner) = scratch("static");
    write(folder.path(), "source/index.html", "hello");
    let built = build(folder.path()).await.unwrap();
    assert_eq!(built.evidence, "index.html found");
    assert!(
        matches!(&built.artifact.kind, ArtifactKind::Static { site } if site.join("index.html").is_file())
    );
    let mut spec = spec(folder.path(), &owner, "web", "x");
    spec.artifact = built.artifact;
    let supervisor = supervisor();
    supervisor.start(spec.clone()).await.unwrap();
    supervisor.wait_healthy(&spec.id).await.unwrap();
    supervisor.stop(&spec.id).await.unwrap();

    write(
        folder.path(),
        "source/hop3.toml",
        "[build]\nstatic-dir = 'out'\nbuild = 'mkdir out && cp index.html out/'\n",
    );
    let built = build(folder.path()).await.unwrap();
    assert!(matches!(&built.artifact.kind, ArtifactKind::Static { site } if site.ends_with("v1/src/out")));
    write(folder.path(), "source/hop3.toml", "[build]\nstatic-dir = 'out'\nbuild = 'ln -s /etc out'\n");
    let error = build(folder.path()).await.unwrap_err().to_string();
    assert_eq!(error, "the static folder `out` does not exist in the app after the build");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_built_is_said_before_anything_is_run() {
    for (files, message) in [
        (
            vec![("readme", "x")],
            "no builder understands this folder: static: no index.html, python: no requirements.txt",
        ),
        (vec![("requirements.txt", "")], "nothing to start: add `web: COMMAND`"),
        (
            vec![("hop3.toml", "[build]\nbuilder = 'pyhton'\n")],
            "there is no builder `pyhton`; did you mean `python`?",
        ),
        (vec![("hop3.toml", "[build]\nbuilder = 'docker'\n")], "builder `docker` is not available yet"),
        (
            vec![("requirements.txt", ""), ("hop3.toml", "[run]\nstart = 'x'\n[build]\npython = '9.9'\n")],
            "python9.9 is needed but was not found",
        ),
    ] {
        let (folder, _) = scratch("refused");
        for (name, text) in files {
            write(folder.path(), &format!("source/{name}"), text);
        }
        // Nothing may be run, so nothing needs to be found.
        let host = HostEnvironment { path: "/nonexistent".into(), ..HostEnvironment::default() };
        let request = BuildRequest { host, ..request(folder.path()) };
        let error = build_app(request, BuildLog::in_memory()).await.unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}
