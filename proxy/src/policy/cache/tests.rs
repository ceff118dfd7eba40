//! What is kept, for whom, and for how much memory.

use super::*;
use crate::http1::response::ResponseHead;
use crate::http1::target::Scheme;

fn request(target: &str, host: &str, lines: &str) -> Request {
    let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
    crate::http1::request::parse_request(head.into(), Scheme::Http, 100).unwrap()
}

fn answer(fields: &[(&'static str, &'static str)]) -> ResponseHead {
    let mut head = ResponseHead::new(200);
    fields.iter().for_each(|(name, value)| head.headers.push(*name, *value));
    head
}

fn key(request: &Request) -> CacheKey {
    CacheKey::of(request, Origin::default())
}

fn put(
    cache: &Cache,
    request: &Request,
    fields: &[(&'static str, &'static str)],
    body: &'static [u8],
) -> bool {
    let Some(mut recording) = Recording::begin(
        cache.rules(),
        request,
        || request.headers.clone(),
        key(request),
        &answer(fields),
        SystemTime::now(),
        &crate::budget::Budget::of_server(1 << 20),
    ) else {
        return false;
    };
    recording.piece(&bytes::Bytes::from_static(body));
    recording.finish(cache);
    true
}

fn found(cache: &Cache, key: &CacheKey, request: &Request, now: SystemTime) -> Option<Vec<u8>> {
    let seen = LazyCell::new(|| request.headers.clone());
    cache.find(key, request, &seen, now).map(|entry| entry.body.to_vec())
}

fn got(cache: &Cache, request: &Request) -> Option<Vec<u8>> {
    found(cache, &key(request), request, SystemTime::now())
}

#[test]
fn answers_are_found_by_host_path_and_what_they_vary_by() {
    let cache = Cache::new(CacheRules::default());
    let fresh = ("cache-control", "max-age=60");
    let plain = request("/a?b", "x.org", "");
    assert!(put(&cache, &plain, &[fresh], b"plain"));
    assert_eq!(got(&cache, &plain).as_deref(), Some(&b"plain"[..]));
    assert_eq!(got(&cache, &request("/a?b", "X.org", "")).as_deref(), Some(&b"plain"[..]));
    for other in [
        request("/a?c", "x.org", ""),
        request("/a?b", "y.org", ""),
        request("/a?b", "x.org", "Range: bytes=0-1\r\n"),
        request("/a?b", "x.org", "Authorization: Basic eA==\r\n"),
    ] {
        assert_eq!(got(&cache, &other), None, "{:?}", other.headers);
    }
    for other in [
        Origin { secure: true, ..Origin::default() },
        Origin { canary: true, ..Origin::default() },
        Origin { told_host: Some(b"y.org"), ..Origin::default() },
        Origin { told_port: Some(b"81"), ..Origin::default() },
    ] {
        assert_eq!(found(&cache, &CacheKey::of(&plain, other), &plain, SystemTime::now()), None, "{other:?}");
    }
    let german = request("/v", "x.org", "Accept-Language: de\r\n");
    let english = request("/v", "x.org", "Accept-Language: en\r\n");
    assert!(put(&cache, &german, &[fresh, ("vary", "Accept-Language")], b"hallo"));
    assert_eq!(got(&cache, &english), None);
    assert!(put(&cache, &english, &[fresh, ("vary", "accept-language")], b"hello"));
    assert_eq!(got(&cache, &german).as_deref(), Some(&b"hallo"[..]));
    assert_eq!(got(&cache, &english).as_deref(), Some(&b"hello"[..]));
    assert_eq!(cache.usage().0, 3);
    assert_eq!(cache.purge(Some("/v")), 2);
    assert_eq!(got(&cache, &german), None);
    for other in ["/a", "/a?bc", "/b"] {
        cache.invalidate(other.as_bytes());
    }
    assert!(put(&cache, &request("/a?b", "y.org", ""), &[fresh], b"another host's"));
    assert_eq!(cache.usage().0, 2);
    cache.invalidate(b"/a?b");
    assert_eq!(cache.usage(), (0, 0), "whatever the host");
}

#[test]
fn memory_is_bounded_and_the_least_used_goes_first() {
    let rules = CacheRules { max_size: 20_000, max_entry: 5_000, ..CacheRules::default() };
    let cache = Cache::new(rules);
    let fresh = [("cache-control", "max-age=60")];
    static BODY: [u8; 4_000] = [b'x'; 4_000];
    let page = |number: usize| request(&format!("/{number}"), "x.org", "");
    for number in 0..100 {
        assert!(put(&cache, &page(number), &fresh, &BODY));
        let _ = got(&cache, &page(0));
        assert!(cache.usage().1 <= 20_000);
    }
    assert!(got(&cache, &page(0)).is_some(), "what is used stays");
    assert!(got(&cache, &page(50)).is_none());
    assert_eq!(cache.purge(None), cache.usage().0.max(4));
    static LARGE: [u8; 6_000] = [b'x'; 6_000];
    put(&cache, &page(1), &fresh, &LARGE);
    assert!(got(&cache, &page(1)).is_none());
}

#[test]
fn only_what_says_so_is_kept() {
    let rules =
        CacheRules { prefixes: vec![("/assets".into(), Duration::from_secs(60))], ..CacheRules::default() };
    let kept = |target: &str, lines: &str, fields: &[(&'static str, &'static str)]| {
        let cache = Cache::new(rules.clone());
        let request = request(target, "x.org", lines);
        put(&cache, &request, fields, b"x") && got(&cache, &request).is_some()
    };
    let cc = |value: &'static str| [("cache-control", value)];
    assert!(kept("/", "", &cc("public, max-age=60")));
    assert!(kept("/", "Cookie: a=b\r\n", &cc("public, max-age=60")));
    assert!(kept("/assets/x", "", &[]));
    assert!(kept("/assets/x", "Cache-Control: no-cache\r\n", &[]));
    assert!(!kept("/assetsx", "", &[]));
    assert!(!kept("/assets/x", "Cookie: a=b\r\n", &[]));
    assert!(!kept("/assets/x", "Cache-Control: no-store\r\n", &[]));
    assert!(!kept("/", "", &[]));
    for refused in [
        "max-age=0",
        "no-store, max-age=60",
        "private, max-age=60",
        "no-cache, max-age=60",
        "max-age=60, s-maxage=0",
        "max-age=x",
        "max-age=-1",
    ] {
        assert!(!kept("/", "", &cc(refused)), "{refused}");
    }
    assert!(kept("/", "", &cc("max-age=0, s-maxage=60")));
    assert!(!kept("/", "", &[("cache-control", "max-age=60"), ("set-cookie", "a=b")]));
    assert!(!kept("/", "", &[("cache-control", "max-age=60"), ("vary", "*")]));
    assert!(!kept("/", "", &[("cache-control", "max-age=60"), ("age", "100")]));
    assert!(!kept("/", "", &[("expires", "Thu, 01 Jan 1970 00:00:00 GMT")]));
    assert!(kept("/", "", &[("expires", "Thu, 01 Jan 2099 00:00:00 GMT")]));
}

#[test]
fn what_answers_vary_by_is_small_and_counted() {
    let cache = Cache::new(CacheRules::default());
    let fields = [("cache-control", "max-age=60"), ("vary", "Accept-Language")];
    let asked = |language: &str| request("/", "x.org", &format!("Accept-Language: {language}\r\n"));
    assert!(put(&cache, &asked("de"), &fields, b"x"));
    let small = cache.usage().1;
    cache.purge(None);
    assert!(put(&cache, &asked(&"d".repeat(802)), &fields, b"x"));
    assert_eq!(cache.usage().1, small + 800);
    assert!(!put(&cache, &asked(&"d".repeat(40_000)), &fields, b"x"));
    for unique in ["X-Request-Id", "Traceparent"] {
        assert!(!put(&cache, &asked("de"), &[fields[0], ("vary", unique)], b"x"), "{unique}");
    }
}

#[test]
fn what_is_kept_keeps_nothing_else_in_memory() {
    let buffer = bytes::Bytes::from(vec![b'a'; 60_000]);
    let mut head = ResponseHead::new(200);
    head.headers.push(buffer.slice(10..14), buffer.slice(20..24));
    head.reason = buffer.slice(0..2);
    let entry = Entry::new(
        Selection::default(),
        &head,
        bytes::Bytes::new(),
        Life { time: Duration::from_secs(1), told: true },
        SystemTime::now(),
    );
    drop(head);
    assert!(buffer.is_unique(), "the buffer that the head came in is free");
    assert_eq!(
        (&entry.head.reason[..], &entry.head.headers.get("AAAA").unwrap()[..]),
        (&b"aa"[..], &b"aaaa"[..])
    );
}

#[test]
fn a_stale_answer_hides_no_fresh_one_and_the_youngest_is_given() {
    let cache = Cache::new(CacheRules::default());
    let page = request("/", "x.org", "Accept-Language: de\r\n");
    assert!(put(&cache, &page, &[("cache-control", "max-age=10"), ("vary", "accept-language")], b"short"));
    assert!(put(&cache, &page, &[("cache-control", "max-age=60")], b"long"));
    assert_eq!(got(&cache, &page).as_deref(), Some(&b"long"[..]));
    let later = SystemTime::now() + Duration::from_secs(30);
    assert_eq!(found(&cache, &key(&page), &page, later).as_deref(), Some(&b"long"[..]));
    assert_eq!(cache.usage().0, 1, "what is stale goes");
    let much_later = SystemTime::now() + Duration::from_secs(120);
    assert_eq!(found(&cache, &key(&page), &page, much_later), None);
    assert_eq!(cache.usage(), (0, 0));
}

#[test]
fn variants_that_are_in_use_are_not_flushed_by_others() {
    let cache = Cache::new(CacheRules::default());
    let fields = [("cache-control", "max-age=60"), ("vary", "accept-language")];
    let asked = |language: &str| request("/", "x.org", &format!("Accept-Language: {language}\r\n"));
    assert!(put(&cache, &asked("de"), &fields, b"x"));
    for number in 0..100 {
        assert!(got(&cache, &asked("de")).is_some(), "{number}");
        assert!(put(&cache, &asked(&number.to_string()), &fields, b"x"));
    }
    assert_eq!(cache.usage().0, MAX_VARIANTS);
}
