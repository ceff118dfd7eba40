//! RFC 9113 and RFC 7541 as h2spec sees them: every case, strictly, over TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite ends at the first surprise of its own set-up"
)]

use std::path::PathBuf;
use std::time::Duration;

use hop3_tests::framing::recorder::Recorder;
use hop3_tests::front::Front;
use hop3_tests::report::Report;
use tokio::process::Command;

/// Cases of h2spec 2.2: fewer would mean that a part did not run.
const LEAST: usize = 146;

/// Where `tests/setup/install test` puts it.
fn program() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let installed = cache?.join("hop3/bin/h2spec");
    installed.is_file().then_some(installed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_of_h2spec_passes_over_tls() {
    let mut report = Report::new("h2spec");
    let Some(program) = program() else {
        report.skip("all", "h2spec is not installed; `tests/setup/install test` does it where Go is at hand");
        return report.print();
    };
    let front = Front::start(|_| {});
    let back_end = Recorder::start().await;
    front.lead_to(back_end.address);
    let address = front.https();
    let run = Command::new(program)
        .args(["--strict", "--tls", "--insecure", "--timeout", "15", "--path", "/", "--host"])
        .arg(address.ip().to_string())
        .args(["--port", &address.port().to_string()])
        .output();
    let output = tokio::time::timeout(Duration::from_secs(900), run).await.expect("an end").unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let summary = text.lines().rev().find(|line| line.contains(" tests, ")).expect("a summary");
    let count = |what: &str| -> usize {
        let part = summary.split(", ").find(|part| part.contains(what)).expect("a count");
        part.split(' ').next().unwrap().parse().unwrap()
    };
    (0..count("passed")).for_each(|_| report.pass());
    if count("failed") > 0 {
        report.fail("h2spec", text.split("Failures:").nth(1).unwrap_or(&text));
    }
    (0..count("skipped")).for_each(|case| report.skip(case.to_string(), "by h2spec"));
    report.print();
    assert_eq!((count("failed"), count("skipped")), (0, 0), "{summary}");
    assert!(report.passed() >= LEAST, "{summary}");
}
