//! The cache on real sockets: what is given to whom, and what nobody can make of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use hop3_proxy::{
    Backend, CacheRules, Canary, Endpoint, HeaderRules, Policy, Pool, Protocol, RouteTable, StickyCookie,
};
use support::{
    Client, Received, Reply, backend, behind_a_proxy, get, keep_all, keeping, ok, response, start, with,
};

/// Whether an answer was kept, and is younger than those here live.
fn is_kept(answer: &support::Response) -> bool {
    answer.header("age").is_some_and(|age| age.parse::<u64>().is_ok_and(|age| age < 600))
}

#[tokio::test]
async fn kept_answers_are_given_until_they_are_purged() {
    fn answer(request: &Received) -> Reply {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let fields = match request.line().split(' ').nth(1).unwrap() {
            "/private" => "Cache-Control: private, max-age=600\r\n",
            "/cookie" => "Cache-Control: max-age=600\r\nSet-Cookie: a=b\r\n",
            "/assets/x" => "",
            _ => "Cache-Control: max-age=600\r\nVary: Accept-Language\r\nETag: \"v\"\r\n",
        };
        Reply::Keep(response("200 OK", fields, format!("{count}")))
    }
    let backend = backend(answer).await;
    let prefixes = vec![("/assets".to_owned(), Duration::from_secs(600))];
    let cache = Some(CacheRules { prefixes, ..CacheRules::default() });
    let proxy = start(vec![with(&backend, Policy { cache, ..Policy::default() })]);
    let mut client = Client::connect(proxy.http).await;
    let first = client.get("/page").await;
    let again = client.get("/page").await;
    assert_eq!((again.text(), is_kept(&again)), (first.text(), true));
    let german = client.request("GET", "/page", "Accept-Language: de\r\n", b"").await;
    assert_ne!(german.text(), first.text());
    let known = client.request("GET", "/page", "If-None-Match: W/\"v\"\r\n", b"").await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let head = client.request("HEAD", "/page", "", b"").await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some(first.body.len().to_string().as_str()))
    );
    for path in ["/private", "/cookie"] {
        assert_ne!(client.get(path).await.text(), client.get(path).await.text(), "{path}");
    }
    assert_eq!(client.get("/assets/x").await.text(), client.get("/assets/x").await.text());
    let session = ("Cookie: session=1\r\n", "a client whom the app may know");
    assert!(!is_kept(&client.request("GET", "/assets/x", session.0, b"").await), "{}", session.1);
    assert!(
        is_kept(&client.request("GET", "/page", session.0, b"").await),
        "it says itself that it is for all"
    );
    // An unsafe request to the same resource makes the kept answer void.
    assert_eq!(client.request("POST", "/page", "", b"x").await.status, 200);
    let changed = client.get("/page").await;
    assert_ne!(changed.text(), first.text());
    assert_eq!(proxy.handle.purge_cache("shop", Some("/page")), 1);
    assert_ne!(client.get("/page").await.text(), changed.text());
    assert!(proxy.handle.purge_cache("shop", None) >= 2);
    assert!(proxy.handle.metrics().contains("hop3_cache_requests_total{app=\"shop\",result=\"hit\"}"));
}

/// Changes that set one field.
fn setting(name: &str, value: &str) -> HeaderRules {
    let mut rules = HeaderRules::default();
    rules.set(name, value).unwrap();
    rules
}

/// Tells the languages that reached it.
fn in_its_language(request: &Received) -> Reply {
    let language = request.header("accept-language").unwrap_or("default");
    Reply::Keep(response("200 OK", "Vary: Accept-Language\r\n", language))
}

#[tokio::test]
async fn what_varies_is_chosen_by_what_the_back_end_saw() {
    let backend = backend(in_its_language).await;
    let proxy = start(vec![keeping(&backend)]);
    let (english, withheld) =
        ("Accept-Language: en\r\n", "Connection: close, accept-language\r\nAccept-Language: en\r\n");
    let ask = async |fields: &str| Client::connect(proxy.http).await.request("GET", "/", fields, b"").await;
    assert_eq!(ask(withheld).await.text(), "default", "the back end does not see it");
    assert_eq!(ask(english).await.text(), "en");
    assert_eq!(ask(withheld).await.text(), "default");
    assert_eq!(ask("").await.text(), "default");
    let again = ask(english).await;
    assert_eq!((again.text().as_str(), is_kept(&again)), ("en", true));

    // A field that the route sets is the same for everybody.
    let request_headers = setting("Accept-Language", "fr");
    let proxy =
        start(vec![with(&backend, Policy { cache: Some(keep_all()), request_headers, ..Policy::default() })]);
    let reached = backend.count();
    for language in ["en", "de", "it"] {
        let fields = format!("Accept-Language: {language}\r\n");
        assert_eq!(Client::connect(proxy.http).await.request("GET", "/", &fields, b"").await.text(), "fr");
    }
    assert_eq!(backend.count(), reached + 1);
}

#[tokio::test]
async fn a_client_address_may_choose_among_answers() {
    fn to_whom(request: &Received) -> Reply {
        Reply::Keep(response(
            "200 OK",
            "Vary: X-Forwarded-For\r\n",
            request.header("x-forwarded-for").unwrap(),
        ))
    }
    let backend = backend(to_whom).await;
    let proxy = behind_a_proxy(vec![keeping(&backend)]);
    for _ in 0..2 {
        for address in ["192.0.2.1", "192.0.2.2"] {
            let fields = format!("X-Forwarded-For: {address}\r\n");
            let answer = Client::connect(proxy.http).await.request("GET", "/", &fields, b"").await;
            assert_eq!(answer.text(), format!("{address}, 127.0.0.1"));
        }
    }
    assert_eq!(backend.count(), 2);
}

#[tokio::test]
async fn the_canarys_answers_are_for_those_it_takes() {
    let ordinary = backend(|_| Reply::Keep(ok("ordinary"))).await;
    let new = backend(|_| Reply::Keep(ok("new"))).await;
    let pool = Arc::new(Pool::new(Protocol::Http, [Endpoint::Tcp(new.address)]));
    let canary = Some(Canary { pool, percent: 0, header: Some(("x-canary".into(), String::new())) });
    let policy = Policy { canary, cache: Some(keep_all()), ..Policy::default() };
    let proxy = start(vec![with(&ordinary, policy)]);
    let mut client = Client::connect(proxy.http).await;
    for _ in 0..2 {
        assert_eq!(client.request("GET", "/first", "X-Canary: 1\r\n", b"").await.text(), "new");
        assert_eq!(client.get("/first").await.text(), "ordinary");
        assert_eq!(client.get("/second").await.text(), "ordinary");
        assert_eq!(client.request("GET", "/second", "X-Canary: 1\r\n", b"").await.text(), "new");
    }
    assert_eq!((ordinary.count(), new.count()), (2, 2), "both are kept, apart");
}

#[tokio::test]
async fn what_was_kept_for_strangers_is_not_given_to_those_who_are_known() {
    fn greets(request: &Received) -> Reply {
        let fields = match request.line().split(' ').nth(1).unwrap() {
            "/varies" => "Vary: Cookie\r\n",
            _ => "",
        };
        Reply::Keep(response("200 OK", fields, request.header("cookie").unwrap_or("stranger")))
    }
    let backend = backend(greets).await;
    let proxy = start(vec![keeping(&backend)]);
    let mut client = Client::connect(proxy.http).await;
    for path in ["/", "/varies"] {
        let known = ["a", "b"].map(|name| format!("session={name}"));
        for _ in 0..2 {
            assert_eq!(client.get(path).await.text(), "stranger", "{path}");
            for cookie in &known {
                let fields = format!("Cookie: {cookie}\r\n");
                let answer = client.request("GET", path, &fields, b"").await;
                assert_eq!((answer.text(), is_kept(&answer)), (cookie.clone(), false), "{path}");
            }
        }
        assert!(is_kept(&client.get(path).await), "{path}");
    }
}

#[tokio::test]
async fn the_cookie_that_names_an_instance_is_none_of_the_apps() {
    fn answer(request: &Received) -> Reply {
        let fields = match request.line().split(' ').nth(1).unwrap() {
            "/own" => "Set-Cookie: id=1\r\n",
            "/varies" => "Vary: Cookie\r\n",
            _ => "",
        };
        Reply::Keep(response("200 OK", fields, "x"))
    }
    let backend = backend(answer).await;
    let mut pool = Pool::new(Protocol::Http, [Endpoint::Tcp(backend.address)]);
    pool.sticky = Some(StickyCookie { name: "seat".into(), max_age: Some(Duration::from_secs(60)) });
    let policy = Some(Arc::new(Policy { cache: Some(keep_all()), ..Policy::default() }));
    let route = support::route(Backend::Pool(Arc::new(pool)));
    let proxy = start(vec![hop3_proxy::Route { policy, ..route }]);
    let mut client = Client::connect(proxy.http).await;
    let mut seat = String::new();
    for path in ["/", "/varies"] {
        let first = client.get(path).await;
        let cookie = first.header("set-cookie").expect("the instance is named");
        seat = cookie.split(';').next().unwrap().to_owned();
        assert!(seat.starts_with("seat="), "{cookie}");
        for fields in [String::new(), format!("Cookie: {seat}\r\n")] {
            let again = client.request("GET", path, &fields, b"").await;
            assert_eq!((is_kept(&again), again.header("set-cookie")), (true, None), "{path} {fields}");
        }
    }
    for cookies in ["session=1".to_owned(), format!("session=1; {seat}")] {
        let known = client.request("GET", "/", &format!("Cookie: {cookies}\r\n"), b"").await;
        assert!(!is_kept(&known), "{cookies}");
        assert!(backend.last().header("cookie").unwrap().contains("session=1"));
    }
    for fields in [String::new(), format!("Cookie: {seat}\r\n")] {
        let answer = client.request("GET", "/own", &fields, b"").await;
        assert!(!is_kept(&answer) && answer.head.contains("id=1"), "{}", answer.head);
    }
    // A visitor who brings our cookie alone is a stranger to the app.
    let brought = client.request("GET", "/later", &format!("Cookie: {seat}\r\n"), b"").await;
    assert!(!is_kept(&brought) && is_kept(&client.get("/later").await));
}

#[tokio::test]
async fn misses_are_requests_that_could_have_been_hits() {
    let backend = backend(|_| Reply::Keep(ok("x"))).await;
    let proxy = start(vec![keeping(&backend)]);
    let mut client = Client::connect(proxy.http).await;
    client.request("POST", "/", "", b"x").await;
    client.request("GET", "/", "Authorization: Basic eA==\r\n", b"").await;
    client.get("/").await;
    client.get("/").await;
    let metrics = proxy.handle.metrics();
    for line in ["result=\"hit\"} 1", "result=\"miss\"} 1"] {
        assert!(metrics.contains(&format!("hop3_cache_requests_total{{app=\"shop\",{line}\n")), "{metrics}");
    }
}

#[tokio::test]
async fn kept_answers_outlive_a_new_table_unless_they_would_be_others() {
    fn seen(request: &Received) -> Reply {
        Reply::Keep(ok(request.header("x-kind").unwrap_or("plain")))
    }
    let backend = backend(seen).await;
    let part = hop3_proxy::Route { path_prefix: "/part".into(), ..keeping(&backend) };
    let proxy = start(vec![keeping(&backend), part.clone()]);
    assert_eq!(
        (get(proxy.http, "/").await.text(), get(proxy.http, "/part").await.text()),
        ("plain".into(), "plain".into())
    );
    proxy.handle.publish(RouteTable::new(vec![keeping(&backend), part]).unwrap());
    assert!(is_kept(&get(proxy.http, "/").await) && is_kept(&get(proxy.http, "/part").await));
    let request_headers = setting("X-Kind", "new");
    let changed = Policy { cache: Some(keep_all()), request_headers, ..Policy::default() };
    proxy.handle.publish(RouteTable::new(vec![with(&backend, changed)]).unwrap());
    assert_eq!(
        (get(proxy.http, "/").await.text(), get(proxy.http, "/part").await.text()),
        ("new".into(), "new".into())
    );
}
