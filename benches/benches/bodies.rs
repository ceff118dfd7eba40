//! The body parsers on the bodies of the corpus, and the cookie parser.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use hop3_benches::corpus::{self, Request, SEED};
use hop3_bodies::{Limits, cookies, form, json, multipart, xml};

fn main() {
    divan::main();
}

/// The first request of a class.
fn request(label: &str) -> Option<Request> {
    corpus::all(SEED).into_iter().find(|request| request.label == label)
}

fn header<'r>(request: &'r Request, wanted: &str) -> &'r [u8] {
    let found = request.headers.iter().find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.as_bytes()).unwrap_or_default()
}

#[divan::bench(args = ["form POST, 0.5 KB", "near-miss: escapes"])]
fn urlencoded(bencher: Bencher, label: &str) {
    let Some(Request { body, .. }) = request(label) else { return };
    let limits = Limits::default();
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench_local(|| form::parse(black_box(&body), b'&', &limits).arguments.len());
}

#[divan::bench(args = ["JSON 1 KB", "JSON 10 KB", "JSON 100 KB", "near-miss: one JSON text"])]
fn json_leaves(bencher: Bencher, label: &str) {
    let Some(Request { body, .. }) = request(label) else { return };
    let options = json::Options::default();
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench_local(|| json::parse(black_box(&body), &options).len());
}

#[divan::bench(args = ["multipart 1 MB"])]
fn multipart_parts(bencher: Bencher, label: &str) {
    let Some(request) = request(label) else { return };
    let (limits, content_type) = (Limits::default(), header(&request, "Content-Type"));
    bencher
        .counter(BytesCount::of_slice(&request.body))
        .bench_local(|| multipart::parse(content_type, black_box(&request.body), &limits).files().count());
}

#[divan::bench]
fn xml_text(bencher: Bencher) {
    let body = format!(
        "<order>{}</order>",
        "<item sku='a1b2'><title>Backpack &amp; tent</title></item>".repeat(180)
    );
    let limits = Limits::default();
    bencher
        .counter(BytesCount::of_str(&body))
        .bench_local(|| xml::parse(black_box(body.as_bytes()), &limits).error.is_none());
}

#[divan::bench(args = ["short GET", "many headers and cookies"])]
fn cookie_header(bencher: Bencher, label: &str) {
    let Some(request) = request(label) else { return };
    let value = header(&request, "Cookie");
    bencher.counter(BytesCount::of_slice(value)).bench_local(|| cookies::parse(black_box(value)).len());
}
