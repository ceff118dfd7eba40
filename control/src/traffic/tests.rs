use std::fs;
use std::path::Path;

use hop3_proxy::{Balancing, HashKey, Protocol};
use hop3_runtimes::manifest::Manifest;

use super::*;
use crate::model::{Secret, Variables};

/// bcrypt of "secret" with the least cost.
const HASH: &str = "$2y$04$ZNWkTVd7q72eXLB/pXCHUO61vdOqaigSDSyDn.Eh9A6R7ymo/M4K.";

fn made(text: &str, folder: &Path, variables: &Variables) -> Result<Traffic, Fault> {
    let hop3 = Manifest::parse_hop3_toml(Path::new("hop3.toml"), text).unwrap();
    let hosts = vec!["shop.test".to_owned(), "*.shop.test".to_owned()];
    let subject = Subject {
        name: "shop",
        hosts: &hosts,
        files: Files::Inside(folder),
        passwords: Passwords::Configuration(variables),
        rate_limit: None,
    };
    Traffic::new(&hop3.proxy, &subject)
}

#[test]
fn every_key_reaches_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("public")).unwrap();
    fs::write(folder.path().join("sorry.html"), "sorry").unwrap();
    let variables = Variables::from([("ALICE".parse().unwrap(), Secret::new(HASH.to_owned()))]);
    let text = r#"
[proxy]
path-prefix = "/shop/"
max-body-size = "1m"
request-buffering = true
response-buffering = "3MiB"
headers = { X-Frame-Options = "DENY", Server = "" }
allow = ["10.0.0.0/8"]
deny = ["10.1.0.0/16"]
hold = "7s"
protocol = "fastcgi"
fastcgi = { root = "public", index = "main.php", front = false }
redirect = { "/shop/old" = "/shop/new", "www.shop.test" = { to = "https://shop.test", status = 302 } }
static = { "/shop/assets" = "public" }
cache = { "/shop" = "1m", "/shop/news" = "5s" }
cache-limits = { max-size = "2m", max-entry = "1m" }
compression = { codings = ["gzip"], min-size = 10, types = ["text/plain"] }
basic-auth = { realm = "Shop", users = { alice = "ALICE" } }
rate-limit = { requests = 5, per = "1m", burst = 2, key = "header:X-Key" }
concurrency = { requests = 3, queue = 4, patience = "2s" }
maintenance = { page = "sorry.html", retry-after = "1m", allow = ["127.0.0.1"] }
error-pages = { 404 = "sorry.html", 5xx = "sorry.html" }
cors = { origins = ["https://a.test"], methods = ["PUT"], credentials = true, max-age = "1h" }
files = { index = "home.html", max-age = "1h", precompressed = false, listing = true }
request-headers = { set = { X-From = "hop3", Host = "legacy.test:8080" }, remove = ["X-Debug"], add = { X-More = "1" } }
canary = { app = "shop-next", percent = 10, header = "X-Canary: yes" }
[proxy.timeouts]
connect = "1s"
read = "2s"
write = "4s"
idle = "5s"
[proxy.balancing]
method = "hash-cookie:sid"
sticky = { cookie = "where", max-age = "1h" }
slow-start = "30s"
max-connections = 7
max-idle-time = "4s"
max-idle = 8
retries = 1
[proxy.breaker]
aside-after = 3
first-pause = "2s"
longest-pause = "20s"
open-after = 9
[proxy.health-check]
path = "/well"
status = 204
interval = "3s"
timeout = "1s"
fall = 4
rise = 5
[[proxy.paths]]
prefix = "/shop/admin"
allow = ["192.0.2.0/24"]
max-body-size = "9m"
client-certificates = "require"
[tls]
client-ca = "ca.pem"
"#;
    let traffic = made(text, folder.path(), &variables).unwrap();
    assert_eq!((&*traffic.prefix, &*traffic.paths[0].prefix), ("/shop", "/shop/admin"));
    assert_eq!(traffic.folders[0].0, "/shop/assets");
    let Rules { policy, limits } = &traffic.rules;
    assert_eq!(limits.max_body, 1 << 20);
    let seconds = [
        limits.connect_timeout,
        limits.read_timeout,
        limits.response_timeout,
        limits.write_timeout,
        limits.tunnel_timeout,
    ];
    assert_eq!(seconds.map(|time| time.as_secs()), [1, 2, 2, 4, 5]);
    assert_eq!((policy.addresses.allow.len(), policy.addresses.deny.len()), (1, 1));
    assert_eq!(policy.maintenance.as_ref().unwrap().page.as_deref(), Some(&b"sorry"[..]));
    let rate = policy.rate_limit.as_ref().unwrap();
    assert_eq!((rate.requests, rate.period.as_secs(), rate.burst), (5, 60, 2));
    assert_eq!(rate.key, hop3_proxy::RateKey::Header("x-key".into()));
    assert_eq!(policy.redirects.len(), 2);
    assert!(policy.cors.as_ref().unwrap().credentials && policy.basic_auth.is_some());
    assert_eq!(policy.basic_auth.as_ref().unwrap().challenge().matches("Shop").count(), 1);
    assert_eq!(policy.concurrency.as_ref().unwrap().patience.as_secs(), 2);
    assert!(!policy.request_headers.is_empty() && !policy.response_headers.is_empty());
    assert_eq!(policy.compression.as_ref().unwrap().codings, [hop3_proxy::Coding::Gzip]);
    assert_eq!(policy.cache.as_ref().unwrap().default_life(b"/shop/news/1").unwrap().as_secs(), 5);
    assert_eq!(policy.cache.as_ref().unwrap().max_size, 2 << 20);
    assert_eq!((policy.error_pages.exact.len(), policy.error_pages.classes.len()), (1, 1));
    assert_eq!(policy.hold.unwrap().as_secs(), 7);
    assert!(policy.request_buffering && !policy.strip_prefix);
    let pool = &traffic.pool;
    assert_eq!(pool.balancing, Balancing::Hash(HashKey::Cookie("sid".into())));
    assert_eq!(pool.sticky.as_ref().unwrap().name, "where");
    assert_eq!((pool.max_idle_time.as_secs(), pool.response_buffering), (4, 3 << 20));
    assert_eq!((pool.slow_start.as_secs(), pool.max_connections, pool.max_idle, pool.retries), (30, 7, 8, 1));
    let breaker = pool.breaker;
    assert_eq!((breaker.aside_after, breaker.open_after, breaker.longest_pause.as_secs()), (3, 9, 20));
    let check = pool.health_check.as_ref().unwrap();
    assert_eq!((check.path.as_str(), check.host.as_str(), check.status), ("/well", "shop.test", Some(204)));
    assert_eq!((check.fall, check.rise, check.interval.as_secs()), (4, 5, 3));
    let Protocol::FastCgi(fastcgi) = &pool.protocol else { panic!("{:?}", pool.protocol) };
    let scripts = fastcgi.scripts.as_ref().unwrap();
    assert_eq!((scripts.index.as_str(), scripts.front.as_deref()), ("main.php", None));
    assert_eq!(
        (traffic.files.max_age, traffic.files.listing, traffic.files.precompressed),
        (Some(3600), true, false)
    );
    let (_, canary) = traffic.canary.as_ref().unwrap();
    assert_eq!((canary.percent, canary.header.clone()), (10, Some(("x-canary".into(), "yes".into()))));
    let path = &traffic.paths[0];
    assert_eq!(path.rules.limits.max_body, 9 << 20);
    assert!(path.rules.policy.basic_auth.is_some(), "what a path does not say holds for it too");
    assert!(path.client_certificates.is_some());
}

#[test]
fn a_path_counts_alone_what_it_says_itself() {
    let text = "[proxy]\nrate-limit = { requests = 3, per = '1m' }\nconcurrency = { requests = 5 }\n\
        [[proxy.paths]]\nprefix = '/up'\nmax-body-size = '1m'\n\
        [[proxy.paths]]\nprefix = '/login'\nrate-limit = { requests = 3, per = '1m' }\n";
    let folder = tempfile::tempdir().unwrap();
    let traffic = made(text, folder.path(), &Variables::new()).unwrap();
    let counted = |rules: &super::Rules| {
        let policy = &rules.policy;
        (
            policy.rate_limit_of.as_deref().map(str::to_owned),
            policy.concurrency_of.as_deref().map(str::to_owned),
        )
    };
    assert_eq!(counted(&traffic.rules), (None, None));
    assert_eq!(counted(&traffic.paths[0].rules), (None, None));
    assert_eq!(counted(&traffic.paths[1].rules), (Some("/login".into()), None));
    assert_eq!(traffic.paths[1].rules.policy.concurrency, traffic.rules.policy.concurrency);
}

#[test]
fn faults_are_named_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("public")).unwrap();
    std::os::unix::fs::symlink("/etc", folder.path().join("etc")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("page.html")).unwrap();
    let cases = [
        ("allow = ['10.0.0.0/8', 'here']", "2:24", "`here` is no address or network"),
        ("path-prefix = 'shop'", "2:15", "is no path prefix"),
        ("path-prefix = '/a/../b'", "2:15", "is no path prefix"),
        ("redirect = {'/a' = '/a'}", "2:20", "redirects to itself"),
        ("redirect = {'/a' = {to = '/b', status = 200}}", "2:13", "200 is no status of a redirect"),
        ("redirect = {'other.test' = 'https://a.test/'}", "2:28", "no host of 'shop'"),
        ("[proxy.headers]\n'Content-Length' = '1'", "3:20", "belongs to the connection"),
        ("[proxy.response-headers.set]\nHost = 'a.test'", "3:8", "belongs to the connection"),
        ("[proxy.request-headers]\nadd = {Host = 'a.test'}", "3:15", "belongs to the connection"),
        ("[proxy.request-headers.set]\nHost = 'http://a.test'", "3:8", "is no host"),
        ("[proxy.response-headers.set]\nX = \"a\\nb\"", "3:5", "control characters"),
        ("static = {'/x' = 'nothing'}", "2:18", "cannot be found"),
        ("static = {'/x' = 'etc'}", "2:18", "lies outside of the app"),
        ("static = {'/x' = '../..'}", "2:18", "lies outside of the app"),
        ("error-pages = {404 = 'page.html'}", "2:22", "lies outside of the app"),
        ("error-pages = {200 = 'public'}", "2:22", "is no file"),
        ("maintenance = {page = '/etc/passwd'}", "2:23", "lies outside of the app"),
        ("[proxy.basic-auth]\nusers = {bob = 'BOB'}", "3:16", "configuration has no `BOB`"),
        ("[proxy.basic-auth]\nusers = {bob = '$1$x'}", "2:8", "no bcrypt hash"),
        ("[proxy.basic-auth]\n", "2:8", "there is no user"),
        ("[proxy.cors]\norigins = ['*']\ncredentials = true", "2:8", "cannot be combined"),
        ("rate-limit = {requests = 0}", "2:26", "must be at least 1"),
        ("concurrency = {requests = 0}", "2:27", "must be at least 1"),
        ("[proxy.timeouts]\nread = 0", "3:8", "no time"),
        ("[proxy.cache-limits]\nmax-size = 1\n[proxy.cache]\n'/' = '1s'", "2:8", "larger than `max-size`"),
        ("fastcgi = {root = 'public'}", "2:1", "protocol = \"fastcgi\""),
        ("protocol = 'uwsgi'\nupstream-tls = {}", "3:1", "`protocol = \"http\"` alone"),
        ("upstream-tls = {ca = 'none.pem'}", "2:22", "cannot be found"),
        ("canary = {percent = 10}", "2:1", "needs `app`"),
        ("canary = {upstream = 'unix:/run/hop3.sock', percent = 10}", "2:22", "for a [[route]] alone"),
        ("canary = {app = 'b', percent = 101}", "2:32", "between 0 and 100"),
        ("[proxy.balancing]\nsticky = {cookie = 'a b'}", "3:20", "no name of a cookie"),
        ("[proxy.breaker]\nfirst-pause = '20s'", "2:8", "at most `longest-pause`"),
        ("[[proxy.paths]]\nprefix = '/'", "3:10", "these are all paths"),
        ("[[proxy.paths]]\nprefix = '/a'\n[[proxy.paths]]\nprefix = '/a/'", "5:10", "has rules already"),
        ("[[proxy.paths]]\nprefix = '/a'\nallow = ['x']", "4:10", "`x` is no address or network"),
        ("path-prefix = '/shop'\nstatic = {'/x' = 'public'}", "3:18", "does not lie below"),
    ];
    let mut wrong = Vec::new();
    for (keys, place, message) in cases {
        let text = if keys.starts_with('[') { format!("\n{keys}") } else { format!("[proxy]\n{keys}") };
        match made(&text, folder.path(), &Variables::new()) {
            Ok(_) => wrong.push(format!("accepted: {text}")),
            Err(fault) => {
                let shown = fault.at(Path::new("hop3.toml"), &text, &["proxy"]).to_string();
                if !shown.starts_with(&format!("hop3.toml:{place}: [proxy] ")) || !shown.contains(message) {
                    wrong.push(format!("{text}\ngave {shown}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_key_is_in_the_reference() {
    let reference = include_str!("../../../proxy/SETTINGS.md");
    // A value of each type, so that none of its keys is hidden by being absent.
    let full = serde_json::json!({
        "fastcgi": {}, "upstream-tls": {}, "health-check": {}, "canary": {}, "cors": {}, "basic-auth": {},
        "compression": true, "maintenance": true, "concurrency": {"requests": 1},
        "rate-limit": {"requests": 1}, "balancing": {"sticky": {"cookie": "a"}}, "paths": [{}],
    });
    let proxy: Proxy = serde_json::from_value(full).unwrap();
    let mut missing = Vec::new();
    collect(&serde_json::to_value(&proxy).unwrap(), &mut |key| {
        if !reference.contains(&format!("`{key}`")) {
            missing.push(key.to_owned());
        }
    });
    assert!(missing.is_empty(), "proxy/SETTINGS.md does not name {missing:?}");
}

fn collect(value: &serde_json::Value, found: &mut impl FnMut(&str)) {
    match value {
        serde_json::Value::Object(keys) => keys.iter().for_each(|(key, value)| {
            found(key);
            collect(value, found);
        }),
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}
