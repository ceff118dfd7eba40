//! An attack behind padding is blocked or answered 413, never passed: over real sockets, with the product's limits.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use hop3_rules::{RulesetName, Selection, Source, Store};
use hop3_tests::data;
use hop3_tests::ftw::http::{BackEnd, FrontEnd};
use hop3_waf::Ruleset;

/// Bytes before the attack; none shows that the attack itself is refused.
const PADDINGS: [usize; 5] = [0, 128 << 10, 1000 << 10, 1 << 20, 12 << 20];
/// The attack, as a form sends it and as it reads in JSON and multipart.
const ATTACK: [&str; 2] =
    ["1%27+UNION+SELECT+password+FROM+users--+", "1' UNION SELECT password FROM users-- "];
/// A refusal: by the rules, as a body that cannot be inspected whole, as too large.
const REFUSED: [u16; 3] = [403, 400, 413];
/// Longest time for one request, in a build that is optimised only a little and beside other tests.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn the_base_ruleset_sees_through_padding() {
    let root = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    padding(ruleset(root.path(), RulesetName::Base)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_core_rule_set_sees_through_padding() {
    let Some(crs) = data::suite("crs") else { return };
    let root = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let store = Store::open(root.path()).unwrap_or_else(|error| panic!("{error}"));
    store.install(&Source::Path(crs), SystemTime::now()).unwrap_or_else(|error| panic!("{error}"));
    padding(ruleset(root.path(), RulesetName::OwaspCrs(None))).await;
}

/// As an app gets it that names a ruleset and nothing else: blocking at paranoia level 1.
fn ruleset(root: &Path, name: RulesetName) -> Arc<Ruleset> {
    let store = Store::open(root).unwrap_or_else(|error| panic!("{error}"));
    let assembled = store.assemble(&Selection::new(name)).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(Ruleset::compile(&assembled.document).unwrap_or_else(|error| panic!("{error}")))
}

async fn padding(ruleset: Arc<Ruleset>) {
    let back_end = BackEnd::start().await.unwrap_or_else(|error| panic!("{error}"));
    let mut front_end = FrontEnd::start(ruleset, &back_end, Duration::from_secs(30))
        .unwrap_or_else(|error| panic!("{error}"));
    for size in PADDINGS {
        for body in [Body::Form, Body::Json, Body::Field, Body::File] {
            for chunked in [false, true] {
                let what = format!("{body:?} behind {size} bytes, chunked {chunked}");
                let bytes = body.request(size, ATTACK, chunked);
                let exchange = tokio::time::timeout(PATIENCE, front_end.send(&bytes)).await;
                let seen = exchange.unwrap_or_else(|_| panic!("{what}: no answer within {PATIENCE:?}"));
                let seen = seen.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(seen.status.is_some_and(|status| REFUSED.contains(&status)), "{what}: {seen:?}");
                let inspected = size == 0 || matches!(body, Body::File) || size < 1 << 20;
                if inspected {
                    assert_eq!(seen.status, Some(403), "{what}: {seen:?}");
                }
                assert_eq!(back_end.served.load(Ordering::Relaxed), 0, "{what} reached the back end");
            }
        }
    }
    // Size alone is no offence.
    for (number, (body, size)) in
        [(Body::Form, 1000 << 10), (Body::Json, 1000 << 10), (Body::File, 12 << 20)].into_iter().enumerate()
    {
        let bytes = body.request(size, ["shoes", "shoes"], false);
        let seen = front_end.send(&bytes).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(seen.status, Some(200), "harmless {body:?} of {size} bytes: {seen:?}");
        assert_eq!(back_end.served.load(Ordering::Relaxed), number + 1);
    }
}

/// Where padding and attack stand.
#[derive(Clone, Copy, Debug)]
enum Body {
    /// Two arguments of a form.
    Form,
    /// Two members of a JSON object.
    Json,
    /// Two fields of a multipart form.
    Field,
    /// A file and a field of a multipart form.
    File,
}

impl Body {
    fn request(self, size: usize, [encoded, plain]: [&str; 2], chunked: bool) -> Vec<u8> {
        let padding = "a ".repeat(size / 2);
        let (content_type, body) = match self {
            Self::Form => (
                "application/x-www-form-urlencoded",
                format!("pad={}&q={encoded}", padding.replace(' ', "+")),
            ),
            Self::Json => ("application/json", format!("{{\"pad\":\"{padding}\",\"q\":\"{plain}\"}}")),
            Self::Field | Self::File => {
                let file = if matches!(self, Self::File) {
                    "; filename=\"a.txt\"\r\nContent-Type: text/plain"
                } else {
                    ""
                };
                let part = "--limit\r\nContent-Disposition: form-data; name=";
                let body = format!(
                    "{part}\"pad\"{file}\r\n\r\n{padding}\r\n{part}\"q\"\r\n\r\n{plain}\r\n--limit--\r\n"
                );
                ("multipart/form-data; boundary=limit", body)
            }
        };
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\
             Content-Type: {content_type}\r\n"
        );
        if !chunked {
            return format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
        }
        let mut bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for piece in body.as_bytes().chunks(60_000) {
            bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }
}
