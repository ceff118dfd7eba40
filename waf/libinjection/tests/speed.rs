//! What the two questions cost, printed for whoever works on them; nothing is asserted, since a
//! shared machine keeps no time. Run with
//! `cargo test -p hop3-libinjection --test speed -- --ignored --nocapture`.

#![allow(clippy::disallowed_methods, reason = "the engine has no clock; what measures it does")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use hop3_libinjection::{is_sqli, is_xss};

/// Values of ordinary requests, and a few that are none.
#[rustfmt::skip]
const VALUES: [(&str, &str, usize); 22] = [
    ("empty", "", 0),
    ("word", "username", 8),
    ("number", "1234567", 7),
    ("uuid", "3fa85f64-5717-4562-b3fc-2c963f66afa6", 36),
    ("date", "2024-05-17T08:30:00Z", 20),
    ("mail", "jane.doe@mail.example", 21),
    ("name", "Jane O'Neill", 12),
    ("address", "12 Main St, Apt. 4 (rear), 90210 Springfield", 44),
    ("path", "/static/js/app.bundle.min.js", 28),
    ("url", "https://www.shop.example/search?q=shoes&page=2&sort=price#top", 61),
    ("agent", "Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0", 70),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 63),
    ("token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U", 92),
    ("sentence", "The quick brown fox jumps over the dogs.", 40),
    ("prose 500", "It was the best of times; it was the worst of times, and we had everything before us (or nothing). ", 500),
    ("prose 10 k", "It was the best of times; it was the worst of times, and we had everything before us (or nothing). ", 10_000),
    ("quoted 10 k", "\"It was the best of times,\" she said; it wasn't. And 3 < 4, or a = b - c. ", 10_000),
    ("html 500", "<p class=\"lead\">Hello <b>world</b>, see <a href=\"/about\">us</a> &amp; more.</p>\n", 500),
    ("json 500", "{\"id\": 17, \"name\": \"Widget\", \"tags\": [\"a\", \"b\"], \"price\": 9.99}, ", 500),
    ("assign 500", "name=value; other=thing; third=12345; ", 500),
    ("attack sql", "1' UNION SELECT password, 2 FROM users WHERE 'a'='a' -- ", 56),
    ("attack xss", "\"><img src=x onerror=alert(document.cookie)>", 44),
];

#[test]
#[ignore = "measures"]
fn questions() {
    println!("{:12} {:>12} {:>12} {:>12} {:>12}", "", "sqli ns", "MB/s", "xss ns", "MB/s");
    for (name, text, length) in VALUES {
        let value: Vec<u8> = text.bytes().cycle().take(length).collect();
        let sqli = least_time(|| {
            black_box(is_sqli(black_box(&value)));
        });
        let xss = least_time(|| {
            black_box(is_xss(black_box(&value)));
        });
        let rate = |time: f64| length as f64 * 1e3 / time;
        println!("{name:12} {sqli:12.1} {:12.0} {xss:12.1} {:12.0}", rate(sqli), rate(xss));
    }
}

/// Nanoseconds per call, the least of several rounds: others on the machine only ever add.
fn least_time(mut work: impl FnMut()) -> f64 {
    let mut calls = 1_u32;
    let enough = Duration::from_micros(300);
    while time(calls, &mut work) < enough && calls < 1 << 20 {
        calls *= 2;
    }
    let least = (0..20).map(|_| time(calls, &mut work)).min().unwrap_or_default();
    least.as_nanos() as f64 / f64::from(calls)
}

fn time(calls: u32, work: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        work();
    }
    start.elapsed()
}
