//! TLS as testssl.sh sees it: no finding at LOW or worse, over the real front. It waits more than it works, for a minute or
//! more, and so runs with `make conformance` alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite ends at the first surprise of its own set-up"
)]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hop3_proxy::{
    Backend, CertificateOrigin, CertificatePem, CertificateStore as _, Endpoint, Route, RouteTable,
};
use hop3_tests::clients::on_path;
use hop3_tests::framing::recorder::Recorder;
use hop3_tests::front::Front;
use hop3_tests::report::Report;
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde::Deserialize;
use tokio::process::Command;

const HOST: &str = "shop.test";
const DAY: Duration = Duration::from_secs(24 * 3600);
/// What is looked at, each by a process of its own: protocols, ciphers and forward secrecy; preferences, certificate and
/// header fields; known vulnerabilities.
const PARTS: [&[&str]; 3] = [&["-p", "-s", "-f"], &["-P", "-S", "-h"], &["-U"]];
/// Findings that are no fault, each with the reason.
const ALLOWED: [(&str, &str); 1] = [("security_headers", "they are the app's to choose")];
/// Some of what must have been looked at.
const JUDGED: [&str; 12] = [
    "SSLv2",
    "SSLv3",
    "TLS1",
    "TLS1_1",
    "TLS1_2",
    "TLS1_3",
    "PFS",
    "cipher_order",
    "cert_chain_of_trust",
    "HSTS_time",
    "heartbleed",
    "ROBOT",
];

/// A line of testssl's report.
#[derive(Debug, Deserialize)]
struct Finding {
    id: String,
    severity: String,
    finding: String,
}

/// A certificate such as public authorities issue, for 90 days, and the authority's own, in PEM.
fn issued() -> (CertificatePem, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = |moment: Duration| rcgen::date_time_ymd(1970, 1, 1) + moment;
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, HOST);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    // Named, never fetched.
    params.crl_distribution_points =
        vec![CrlDistributionPoint { uris: vec!["http://authority.test/list.crl".to_owned()] }];
    (params.not_before, params.not_after) = (at(now - DAY), at(now + 89 * DAY));
    let chain = params.signed_by(&key, &Issuer::new(root, root_key)).unwrap().pem();
    (CertificatePem { chain, key: key.serialize_pem(), origin: CertificateOrigin::Imported }, root_pem)
}

/// Runs one part; what it found.
async fn look(program: &Path, part: &[&str], port: u16, folder: &Path) -> Vec<Finding> {
    let report = folder.join(format!("report{}.json", part.concat()));
    let ended = Command::new(program)
        .args([
            "--quiet",
            "--warnings",
            "off",
            "--color",
            "0",
            "--fast",
            "--nodns",
            "none",
            "--ip",
            "127.0.0.1",
        ])
        .arg("--add-ca")
        .arg(folder.join("root.pem"))
        .arg("--jsonfile")
        .arg(&report)
        .args(part)
        .arg(format!("{HOST}:{port}"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(Duration::from_secs(1200), ended).await.expect("an end").unwrap();
    let text = std::fs::read(&report).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        panic!("{part:?} left no report ({error}):\n{}", String::from_utf8_lossy(&ended.stdout))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn testssl_finds_nothing() {
    let mut report = Report::new("testssl");
    if std::env::var_os("HOP3_CONFORMANCE").is_none() {
        report.skip("all", "it takes a minute; `make conformance` runs it");
        return report.print();
    }
    let Some(program) = on_path("testssl") else {
        report.skip("all", "testssl.sh is not installed; `tests/setup/install test` does it");
        return report.print();
    };
    let folder = tempfile::tempdir().unwrap();
    let (certificate, root) = issued();
    std::fs::write(folder.path().join("root.pem"), root).unwrap();
    let front = Front::start(|_| {});
    front.certificates.save(HOST, &certificate).unwrap();
    let back_end = Recorder::start().await;
    let mut shop =
        Route::new("shop", vec![HOST.parse().unwrap()], Backend::http([Endpoint::Tcp(back_end.address)]));
    shop.tls.strict_transport_security = Some("max-age=31536000; includeSubDomains".into());
    front.handle.publish(RouteTable::new(vec![shop]).unwrap());
    let (port, folder) = (front.https().port(), folder.path());
    let [protocols, preferences, vulnerabilities] = PARTS.map(|part| look(&program, part, port, folder));
    let found = tokio::join!(protocols, preferences, vulnerabilities);
    let findings: Vec<Finding> = [found.0, found.1, found.2].into_iter().flatten().collect();
    for Finding { id, severity, finding } in &findings {
        let allowed = ALLOWED.iter().find(|(allowed, _)| allowed == id);
        match (severity.as_str(), allowed) {
            ("OK" | "INFO", _) => report.pass(),
            ("WARN", _) => report.skip(id, format!("testssl cannot tell: {finding}")),
            (_, Some((_, reason))) => report.skip(id, *reason),
            (severity, None) => report.fail(id, format!("{severity}: {finding}")),
        }
    }
    for id in JUDGED {
        if !findings.iter().any(|finding| finding.id == id) {
            report.fail(id, "was not looked at");
        }
    }
    report.print();
    assert_eq!(report.failed(), []);
}
