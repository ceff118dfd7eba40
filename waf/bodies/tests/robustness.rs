//! No input makes a processor panic, hang or grow out of proportion.

#![allow(clippy::disallowed_methods)]

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "../../../tests/src/processor_time.rs"]
mod processor_time;

use hop3_bodies::{Limits, cookies, form, json, multipart, xml};
use std::hint::black_box;
use std::time::{Duration, Instant};

const TYPE: &[u8] = b"multipart/form-data; boundary=\"00--00\"";
const MIB: usize = 1 << 20;

/// Xorshift: reproducible, and enough to shuffle bytes with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// What one pass of all processors over the same bytes produced, in bytes.
fn run_all(body: &[u8], limits: &Limits) -> usize {
    let form = form::parse(body, b'&', limits);
    let cookies = cookies::parse(body);
    let pairs = form.arguments.iter().chain(&cookies).map(|a| a.name.len() + a.value.len());
    let mut produced: usize = pairs.sum();
    for content_type in [TYPE, body] {
        let parts = multipart::parse(content_type, body, limits);
        produced += parts.parts.iter().map(|p| p.name.len() + p.content.len()).sum::<usize>();
        produced += parts.part_headers.iter().map(|h| h.line.len()).sum::<usize>();
        assert!(parts.no_files_length <= body.len());
        assert!(parts.files_combined_size() <= body.len());
        assert!(parts.strict_error() || parts.error.is_none());
    }
    for naming in [json::Naming::Plain, json::Naming::ModSecurity3] {
        let json = json::parse(body, &json::Options { limits: *limits, naming });
        assert_eq!(json.arguments().count(), json.len());
        produced += json.arguments().map(|a| a.name.len() + a.value.len()).sum::<usize>();
    }
    let xml = xml::parse(body, limits);
    produced + xml.text.len() + xml.attributes.iter().map(|a| a.len()).sum::<usize>()
}

const SEEDS: &[&[u8]] = &[
    b"a=1&b=%41+%zz&&=x&c;d",
    b"a=b; c = d; =x; foo; bar=\"q;r\"",
    b"--00--00\r\nContent-Disposition: form-data; name=\"a\\\"b\"\r\n\r\nvalue\r\n--00--00\r\n\
      Content-Disposition: form-data;\r\n name='f'; filename=\"x.txt\"; filename*=UTF-8''x%20y\r\nContent-Type: text/plain\r\n\r\n\
      --other\r\ndata -- 00--00\n--00--00--\r\nepilogue",
    br#"{"a":[1,-2.5e+7,true,null,{"b\u00e9\ud83d\ude00":"c\\\"d"}],"":"\u0000","z":[[],{}]}"#,
    b"<?xml version='1.0' encoding='ISO-8859-1'?><!DOCTYPE a [<!ENTITY e 'x'>]><a b='&lt;&e;' c=\"d\"><!-- x -->t&#65;<![CDATA[y]]><e/></a>",
    b"multipart/form-data; boundary=00--00; charset=\"utf-8\"",
];

const TOKENS: &[&[u8]] = &[
    b"&",
    b"=",
    b"%",
    b"%4",
    b"+",
    b";",
    b"\r\n",
    b"\n",
    b"--",
    b"--00--00",
    b"--00--00--\r\n",
    b"\"",
    b"'",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"-",
    b"0",
    b"1e",
    b"true",
    b"<",
    b">",
    b"</",
    b"/>",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"<!DOCTYPE",
    b"<?xml",
    b"?>",
    b"&#",
    b"&amp;",
    b"\0",
    b"\xFF",
    b"\xC3\xA9",
    b" ",
    b"\t",
    b"Content-Disposition: form-data; name=",
    b"boundary",
    b"filename*=",
];

#[test]
fn mutated_input_never_panics_and_yields_bounded_output() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let limits = Limits::default();
    for round in 0..40_000 {
        let mut body = SEEDS[random.below(SEEDS.len())].to_vec();
        for _ in 0..=random.below(6) {
            let at = random.below(body.len() + 1);
            match random.below(4) {
                0 => body.truncate(at),
                1 => {
                    let token = TOKENS[random.below(TOKENS.len())];
                    body.splice(at..at, token.iter().copied());
                }
                2 if at < body.len() => body[at] = random.next() as u8,
                _ => {
                    let end = (at + random.below(8)).min(body.len());
                    body.drain(at..end);
                }
            }
        }
        let produced = run_all(&body, &limits);
        // Flattened names are the only output that outgrows its input.
        assert!(produced <= 40 * body.len() + 1024, "round {round}: {produced} bytes from {:?}", body);
    }
}

#[test]
fn sequences_of_tokens_never_panic() {
    let mut random = Random(42);
    for _ in 0..20_000 {
        let mut body = Vec::new();
        for _ in 0..random.below(40) {
            body.extend_from_slice(TOKENS[random.below(TOKENS.len())]);
        }
        run_all(&body, &Limits::default());
    }
}

#[test]
fn truncation_of_valid_input_never_panics_and_is_noticed() {
    for seed in SEEDS {
        for end in 0..seed.len() {
            run_all(&seed[..end], &Limits::default());
        }
    }
    let json = SEEDS[3];
    for end in 1..json.len() {
        assert!(json::parse(&json[..end], &json::Options::default()).error.is_some(), "{end}");
    }
    let xml = b"<a b='c'>t<d/></a>";
    for end in 1..xml.len() {
        assert!(xml::parse(&xml[..end], &Limits::default()).error.is_some(), "{end}");
    }
}

fn repeat(unit: &[u8], size: usize) -> Vec<u8> {
    unit.iter().copied().cycle().take(size).collect()
}

fn wrap(before: &[u8], middle: &[u8], after: &[u8]) -> Vec<u8> {
    [before, middle, after].concat()
}

/// Bodies meant to make a careless parser quadratic.
fn nasty(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let head: &[u8] = b"--00--00\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";
    let long_key = wrap(&wrap(b"{\"", &repeat(b"k", size / 2), b"\":["), &repeat(b"1,", size / 2), b"1]}");
    vec![
        ("&", repeat(b"&", size)),
        ("%", repeat(b"%", size)),
        ("a=%", repeat(b"a=%&", size)),
        ("a&", repeat(b"a&", size)),
        ("=", repeat(b"=", size)),
        (";", repeat(b"; ", size)),
        ("[", repeat(b"[", size)),
        ("{", repeat(b"{\"a\":", size)),
        ("[[]", repeat(b"[[],", size)),
        ("open string", wrap(b"\"", &repeat(b"a", size), b"")),
        ("backslashes", wrap(b"[\"", &repeat(b"\\", size), b"")),
        ("escapes", wrap(b"[\"", &repeat(b"\\u", size), b"\"]")),
        ("control characters", wrap(b"[\"", &repeat(b"\x01", size), b"\"]")),
        ("invalid UTF-8 strings", wrap(b"[", &repeat(b"\"\xFF\",", size), b"1]")),
        ("digits", repeat(b"1", size)),
        ("long key, many leaves", long_key),
        ("white space", repeat(b" ", size)),
        ("dashes", wrap(head, &repeat(b"-", size), b"")),
        ("dashed lines", wrap(head, &repeat(b"--\n", size), b"")),
        ("almost boundaries", wrap(head, &repeat(b"--00--0\r\n", size), b"")),
        ("boundaries in lines", wrap(head, &repeat(b" --00--00", size), b"")),
        ("boundaries in many lines", wrap(head, &repeat(b" --00--00\n", size), b"")),
        ("boundaries", repeat(b"--00--00\r\n", size)),
        ("spaced boundary", wrap(head, &wrap(b"--", &repeat(b" ", size), b"\r\n"), b"")),
        ("line feeds", wrap(head, &repeat(b"\n", size), b"")),
        ("headers", wrap(b"--00--00\r\n", &repeat(b"a:b\r\n", size), b"")),
        ("folded headers", wrap(b"--00--00\r\na:b\r\n", &repeat(b" x\r\n", size), b"")),
        ("empty parts", repeat(head, size)),
        ("elements", repeat(b"<a>", size)),
        ("empty elements", wrap(b"<r>", &repeat(b"<a/>", size), b"</r>")),
        (
            "attributes",
            wrap(
                b"<a ",
                &(0..size / 12).flat_map(|i| format!("a{i:06}='' ").into_bytes()).collect::<Vec<_>>(),
                b"/>",
            ),
        ),
        ("&amp;", wrap(b"<r>", &repeat(b"&amp;", size), b"</r>")),
        ("ampersands", wrap(b"<r>", &repeat(b"&", size), b"</r>")),
        ("ampersands in a value", wrap(b"<r a='", &repeat(b"&", size), b"'/>")),
        ("carriage returns", wrap(b"<r>", &repeat(b"\r", size), b"</r>")),
        ("less than", repeat(b"<", size)),
        ("open comments", wrap(b"<r>", &repeat(b"<!--", size), b"")),
        ("open CDATA", wrap(b"<r>", &repeat(b"<![CDATA[", size), b"")),
        ("open doctypes", repeat(b"<!DOCTYPE a [", size)),
        ("open quotes", wrap(b"<r ", &repeat(b"a='", size), b"")),
        ("entity declarations", wrap(b"<!DOCTYPE a [", &repeat(b"<!ENTITY a '&a;'>", size), b"]><a/>")),
    ]
}

#[test]
fn nasty_input_of_one_mebibyte_is_read_in_linear_time() {
    // Quadratic work over a MiB takes minutes. Twice: with ordinary limits,
    // and with none but on names.
    const LIMIT: Duration = Duration::from_secs(2);
    let generous = Limits { name_bytes: 64 * MIB, ..Limits::UNBOUNDED };
    for limits in [Limits::default(), generous] {
        for ((what, body), (_, eighth)) in nasty(MIB).into_iter().zip(nasty(MIB / 8)) {
            let produced = run_all(&body, &limits);
            let cost = |body: &[u8]| processor_time::of(LIMIT, || _ = black_box(run_all(body, &limits)));
            let taken = cost(&body);
            println!("{what:30} {taken:10.2?} {produced:10} bytes");
            let linear = || processor_time::is_linear(|| cost(&eighth), || cost(&body));
            assert!(taken < LIMIT || linear(), "{what}: {taken:?}");
            assert!(produced <= 12 * body.len() + 2 * limits.name_bytes, "{what}: {produced} bytes");
        }
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -p hop3-bodies --test robustness -- --ignored --nocapture"]
fn throughput() {
    let prose = "The quick brown fox jumps over the lazy dog near the bank. ".repeat(16);
    let form =
        format!("name=Jane+Doe&comment={}&id=12345&email=jane%40example.org&", prose.replace(' ', "+"))
            .repeat(1000);
    let plain_form = "session=0123456789abcdef0123456789abcdef&field=value&page=12&".repeat(16_000);
    let rows: Vec<String> = (0..8000)
        .map(|i| {
            format!(r#"{{"id":{i},"name":"item {i}","tags":["alpha","beta"],"text":"{}"}}"#, &prose[..60])
        })
        .collect();
    let json_rows = format!("[{}]", rows.join(","));
    let json_text = format!("{{\"text\":\"{}\"}}", prose.repeat(1000));
    let xml_rows: String = (0..8000)
        .map(|i| format!("<row id=\"{i}\"><name>item {i}</name><text>{}</text></row>", &prose[..60]))
        .collect();
    let xml = format!("<rows>{xml_rows}</rows>");
    let head = "--00--00\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.bin\"\r\n\r\n";
    let mut random = Random(7);
    let binary: Vec<u8> = (0..MIB).map(|_| random.next() as u8).collect();
    let upload = wrap(head.as_bytes(), &binary, b"\r\n--00--00--\r\n");
    let fields = "--00--00\r\nContent-Disposition: form-data; name=\"field\"\r\n\r\nsome value\r\n"
        .repeat(10_000)
        + "--00--00--\r\n";

    let unbounded = Limits::UNBOUNDED;
    let options = json::Options { limits: unbounded, ..json::Options::default() };
    measure("form, prose", form.as_bytes(), |b| form::parse(b, b'&', &unbounded).arguments.len());
    measure("form, short values", plain_form.as_bytes(), |b| {
        form::parse(b, b'&', &unbounded).arguments.len()
    });
    measure("json, rows", json_rows.as_bytes(), |b| json::parse(b, &options).len());
    let page = format!("[{}]", rows[..80].join(","));
    measure("json, 80 rows", page.as_bytes(), |b| json::parse(b, &options).len());
    measure("json, one text", json_text.as_bytes(), |b| json::parse(b, &options).len());
    measure("xml, rows", xml.as_bytes(), |b| xml::parse(b, &unbounded).attributes.len());
    measure("multipart, upload", &upload, |b| multipart::parse(TYPE, b, &unbounded).parts.len());
    measure("multipart, fields", fields.as_bytes(), |b| multipart::parse(TYPE, b, &unbounded).parts.len());
}

fn measure(what: &str, body: &[u8], parse: impl Fn(&[u8]) -> usize) {
    let items = parse(body);
    let mut best = Duration::MAX;
    for _ in 0..200 {
        let started = Instant::now();
        assert_eq!(parse(std::hint::black_box(body)), items);
        best = best.min(started.elapsed());
    }
    let rate = body.len() as f64 / best.as_secs_f64() / 1e9;
    println!("{what:20} {:8} bytes {items:7} items {best:10.2?} {rate:6.2} GB/s", body.len());
}
