//! Requests whose line, headers or lengths are odd.

use crate::ftw::request::Request;

use super::body;
use super::dice::Dice;
use super::{benign, mutate, payloads};

/// An odd request.
pub(super) fn request(dice: &mut Dice) -> Request {
    let mut request = benign::request(dice);
    for _ in 0..1 + dice.below(2) {
        match dice.below(7) {
            0 => line(dice, &mut request),
            1 => target(dice, &mut request),
            2 => lengths(dice, &mut request),
            3 => types(dice, &mut request),
            4 => hosts(dice, &mut request),
            _ => headers(dice, &mut request),
        }
    }
    request
}

fn line(dice: &mut Dice, request: &mut Request) {
    const METHODS: &[&str] =
        &["TRACE", "CONNECT", "get", "PROPFIND", "DELETE", "PURGE", "G3T", "X", "TRACK", "MOVE", "PATCH"];
    match dice.below(2) {
        0 => request.method = dice.pick(METHODS).as_bytes().to_vec(),
        _ => {
            request.protocol = dice
                .pick(&["HTTP/1.0", "HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/4", "HTTP/1.2"])
                .as_bytes()
                .to_vec()
        }
    }
}

fn target(dice: &mut Dice, request: &mut Request) {
    const TARGETS: &[&str] = &[
        "http://shop.example/a?b=1",
        "http://shop.example",
        "*",
        "shop.example:443",
        "//evil.example/x",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/a#fragment",
        "/a?b#c=d",
        "/a?b=%",
        "/a?b=%4",
        "/a?b=%zz&c=1",
        "/a?%u0041=%u0042",
        "/?&&a=1&&",
        "/?=x&y",
        "/?a=1;b=2",
        "/?a==b=c",
        "/?a[]=1&a[]=2",
        "/.git/config",
        "/wp-config.php.bak",
        "/index.php/x/y?z",
        "/a%00b",
        "/a\\b\\c",
        "/%c0%ae%c0%ae/",
        "/~root",
        "/cgi-bin/test.sh",
        "/a?b=\u{ff1c}script\u{ff1e}",
        "/%ff%fe",
        "/?q=%00",
        "/x.asa",
        "/admin/.htpasswd",
        "a/b",
        "",
        "/a?x=1?y=2",
        "/a?jsessionid=AB12",
        "/a;jsessionid=AB12",
        "/?%61=%2525",
        "/a%2fb%5cc",
        "/web.config",
        "/a/?b=/etc/passwd%00.png",
    ];
    match dice.below(4) {
        0 => {
            let many: Vec<_> =
                (0..200 + dice.below(120)).map(|number| format!("a{number}={number}")).collect();
            request.target = format!("/many?{}", many.join("&")).into_bytes();
        }
        1 => {
            request.target =
                format!("/long?{}={}", "n".repeat(1 + dice.below(150)), "v".repeat(dice.below(700)))
                    .into_bytes()
        }
        _ => request.target = dice.pick(TARGETS).as_bytes().to_vec(),
    }
}

fn lengths(dice: &mut Dice, request: &mut Request) {
    match dice.below(6) {
        0 => body::set(request, "Content-Length", b"abc"),
        1 => body::set(request, "Content-Length", b"-1"),
        2 => body::remove(request, "Content-Length"),
        3 => request.headers.push((b"Transfer-Encoding".to_vec(), b"chunked".to_vec())),
        4 => {
            let length = request.body.len().to_string().into_bytes();
            request.headers.push((b"Content-Length".to_vec(), length));
        }
        _ => body::set(request, "Content-Length", b"0"),
    }
}

fn types(dice: &mut Dice, request: &mut Request) {
    const TYPES: &[&str] = &[
        "application/json-patch+json",
        "application/x-php",
        "text/html",
        "multipart/mixed; boundary=x",
        "multipart/form-data",
        "application/x-www-form-urlencoded; charset=ibm037",
        "application/json; charset=utf-7",
        "text/plain;charset=utf-8; x=y",
        "application/x-www-form-urlencoded;boundary=\"x\"",
        "application/xml, application/json",
        "x",
        "",
        "a/b; charset=utf-8; charset=utf-16",
        "application/soap+xml",
        "application/cloudevents+json",
        "APPLICATION/X-WWW-FORM-URLENCODED",
        "application/json\t; a=b",
    ];
    body::set(request, "Content-Type", dice.pick(TYPES).as_bytes());
    if dice.percent(20) {
        request.headers.push((b"Content-Type".to_vec(), b"text/xml".to_vec()));
    }
}

fn hosts(dice: &mut Dice, request: &mut Request) {
    const HOSTS: &[&str] = &[
        "",
        "10.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "a b",
        "shop.example, evil.example",
        "LOCALHOST",
        "shop.example:443",
    ];
    if dice.percent(30) {
        body::remove(request, ["Host", "User-Agent", "Accept"][dice.below(3)]);
    } else {
        body::set(request, "Host", dice.pick(HOSTS).as_bytes());
    }
}

fn headers(dice: &mut Dice, request: &mut Request) {
    const HEADERS: &[(&str, &str)] = &[
        ("Range", "bytes=0-1,2-3,4-5,6-7,8-9,10-11,12-13"),
        ("Range", "bytes=5-1"),
        ("Request-Range", "bytes=0-"),
        ("Connection", "keep-alive, close"),
        ("Connection", "keep-alive, keep-alive"),
        ("Proxy", "http://evil.example"),
        ("Lock-Token", "x"),
        ("Content-Encoding", "gzip"),
        ("Expect", "100-continue"),
        ("If", "(<x>)"),
        ("Accept", ""),
        ("Accept", "text/html;level=1, */*"),
        ("Accept-Charset", "utf-7"),
        ("User-Agent", ""),
        ("User-Agent", "sqlmap/1.8#stable"),
        ("User-Agent", "Nikto/2.5.0"),
        ("User-Agent", "() { :;}; /bin/id"),
        ("X-Forwarded-For", "1.2.3.4, 5.6.7.8"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X.Middleware-Subrequest", "a:a:a"),
        ("Cookie", "a=1; =2; b; c=\"x;y\"; d=%00; a=3"),
        ("Cookie", "$Version=1; sid=x"),
        ("Cookie", ";;; a ;b= ;"),
        ("Referer", "https://evil.example/'><script>"),
        ("Accept-Encoding", "*"),
        ("Accept-Encoding", "x-evil"),
        ("Content-Transfer-Encoding", "base64"),
        ("X-Up-Devcap-Post-Charset", "ibm500"),
        ("Authorization", "Basic !!!"),
        ("Authorization", "Bearer eyJhbGciOi.J9.x"),
        ("Sec-Fetch-User", "?1"),
        ("Sec-CH-UA-Mobile", "?0"),
        ("Upgrade", "h2c"),
        ("Cache-Control", "max-age=0; x"),
        ("X-Filename", "a.php"),
        ("Max-Forwards", "x"),
    ];
    if dice.percent(20) {
        let payload = dice.pick(payloads::CLASSES).1;
        let value = mutate::header(dice.pick(payload).as_bytes());
        request.headers.push((mutate::header(dice.name().as_bytes()), value));
        return;
    }
    let (name, value) = *dice.pick(HEADERS);
    if dice.percent(70) {
        body::set(request, name, value.as_bytes());
    } else {
        request.headers.push((name.into(), value.into()));
    }
}
