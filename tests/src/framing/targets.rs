//! Request targets (RFC 9112 section 3.2) and `Host`, alone and against each other.

use crate::framing::{Message, Probe, shown};

/// All of them.
pub fn probes() -> Vec<Probe> {
    [targets(), absolute_forms(), hosts(), host_counts()].concat()
}

fn with_target(method: &str, target: &[u8]) -> Vec<u8> {
    [method.as_bytes(), b" ", target, b" HTTP/1.1\r\nHost: shop.test\r\n\r\n"].concat()
}

fn targets() -> Vec<Probe> {
    let mut probes = Vec::new();
    for byte in (0..=b' ').chain(*b"#\x7f") {
        for (place, target) in
            [("path", [b"/a", &[byte][..], b"b"].concat()), ("query", [b"/a?b", &[byte][..], b"c"].concat())]
        {
            probes.push(Probe::refused(
                format!("{} in a {place}", shown(&[byte])),
                with_target("GET", &target),
                400,
            ));
        }
    }
    for target in [
        &b"probe"[..],
        b"\\probe",
        b"?a",
        b"*",
        b".",
        b"..",
        b"shop.test",
        b"shop.test:80",
        b"%2fprobe",
        b"\xc3\xa4",
        b"&",
        b":80",
        b"@",
    ] {
        probes.push(Probe::refused(format!("target {}", shown(target)), with_target("GET", target), 400));
    }
    for byte in *b"\"<>\\^`{|}\x80\xff" {
        let target = [b"/a", &[byte][..], b"b?c", &[byte][..]].concat();
        let line = format!("GET /a%{byte:02X}b?c%{byte:02X} HTTP/1.1");
        probes.push(Probe::served(
            format!("{} in a target", shown(&[byte])),
            with_target("GET", &target),
            Message::new(line, ""),
        ));
    }
    for target in [
        "/",
        "//",
        "//evil.test/",
        "/a/../b",
        "/a/./b",
        "/%2e%2e/",
        "/%00",
        "/%0d%0a",
        "/a;b=c",
        "/a?b?c",
        "/?",
        "/a:b@c",
        "/[x]",
        "/a%2Fb",
        "/http://evil.test/",
    ] {
        let line = format!("GET {target} HTTP/1.1");
        probes.push(Probe::served(
            format!("target {target}"),
            with_target("GET", target.as_bytes()),
            Message::new(line, ""),
        ));
    }
    probes.push(Probe::served(
        "OPTIONS *",
        with_target("OPTIONS", b"*"),
        Message::new("OPTIONS * HTTP/1.1", ""),
    ));
    probes.push(Probe::refused("OPTIONS **", with_target("OPTIONS", b"**"), 400));
    probes.push(Probe::refused("CONNECT host:port", with_target("CONNECT", b"shop.test:80"), 405));
    probes.push(Probe::refused("CONNECT host", with_target("CONNECT", b"shop.test"), 400));
    probes.push(Probe::refused("TRACE path", with_target("TRACE", b"/probe"), 405));
    probes
}

fn absolute_forms() -> Vec<Probe> {
    let mut probes = Vec::new();
    for target in [
        "http://evil.test/",
        "http://shop.test:81/",
        "http://shop.test@evil.test/",
        "http://evil.test@shop.test/",
        "http://user:pw@shop.test/",
        "https://shop.test/",
        "ftp://shop.test/",
        "file:///etc/passwd",
        "http:///",
        "http://",
        "http:/shop.test/",
        "http:shop.test",
        "//shop.test",
        "http://shop.test\\evil.test/",
        "http://shop.test#/",
        "http://[::1/",
        "http://shop.test:x/",
        "http://shop.test:/probe",
        "ws://shop.test/",
        "unix:/x",
        "javascript:1",
        "http//shop.test/",
        "http://shop.test%00/",
        "http://shop.test\u{e4}/",
        "http://shop..test/",
        "http://:80/",
    ] {
        if target == "//shop.test" {
            // That is origin form with an empty first segment.
            continue;
        }
        probes.push(Probe::refused(
            format!("absolute {}", target.escape_debug()),
            with_target("GET", target.as_bytes()),
            400,
        ));
    }
    for (target, path) in [
        ("http://shop.test/probe", "/probe"),
        ("HTTP://shop.test/probe", "/probe"),
        ("http://SHOP.test/probe?a", "/probe?a"),
        ("http://shop.test", "/"),
        ("http://shop.test?a", "/?a"),
    ] {
        let line = format!("GET {path} HTTP/1.1");
        probes.push(Probe::served(
            format!("absolute {target}"),
            with_target("GET", target.as_bytes()),
            Message::new(line, ""),
        ));
    }
    let line = Message::new("OPTIONS * HTTP/1.1", "");
    probes.push(Probe::served("OPTIONS absolute", with_target("OPTIONS", b"http://shop.test"), line));
    probes.push(Probe::refused("absolute without Host", "GET http://shop.test/ HTTP/1.1\r\n\r\n", 400));
    probes.push(Probe::last(
        "absolute in HTTP/1.0",
        "GET http://shop.test/ HTTP/1.0\r\n\r\n",
        Message::new("GET / HTTP/1.1", ""),
    ));
    probes
}

fn hosts() -> Vec<Probe> {
    let mut probes = Vec::new();
    let head = |host: &[u8]| [b"GET /probe HTTP/1.1\r\nHost: ", host, b"\r\n\r\n"].concat();
    for host in [
        &b""[..],
        b" ",
        b"shop.test:x",
        b"shop.test:99999",
        b"shop.test:80:80",
        b"shop.test:-1",
        b"shop.test:+80",
        b"shop.test: 80",
        b"shop.test :80",
        b"shop.test/",
        b"shop.test/x",
        b"shop.test?x",
        b"shop.test#x",
        b"shop.test,evil.test",
        b"shop.test evil.test",
        b"shop.test;x",
        b"user@shop.test",
        b"http://shop.test",
        b"shop.test\\evil.test",
        b"shop.test\0",
        b"shop.test\x0b",
        b"shop.test\x7f",
        b"[::1",
        b"::1]",
        b"[::1]x",
        b"[zz]",
        b"[::1]:x",
        b".shop.test",
        b"shop..test",
        b"..",
        b"sh\xc3\xb6p.test",
        b"\xffshop.test",
        b"\"shop.test\"",
        b"<shop.test>",
        b"shop.test%00",
        b"%73hop.test",
        b":80",
        b"shop.test\tx",
        b"*",
        b"shop.test'",
        b"(shop.test)",
        b"shop.test|x",
        b"shop.test\r",
    ] {
        probes.push(Probe::refused(format!("Host {}", shown(host)), head(host), 400));
    }
    let long = [b'a'; 300];
    probes.push(Probe::refused("Host of 300 bytes", head(&long), 400));
    for host in [
        "shop.test",
        "SHOP.TEST",
        "shop.test.",
        "shop.test:80",
        "shop.test:8080",
        "shop.test:",
        " \tshop.test\t ",
        "127.0.0.1",
        "[::1]:80",
    ] {
        probes.push(Probe::served(
            format!("Host {}", host.escape_debug()),
            head(host.as_bytes()),
            crate::framing::got(),
        ));
    }
    probes
}

fn host_counts() -> Vec<Probe> {
    let mut probes = vec![
        Probe::refused("no Host", "GET /probe HTTP/1.1\r\n\r\n", 400),
        Probe::refused("no Host but another field", "GET /probe HTTP/1.1\r\nX-Host: shop.test\r\n\r\n", 400),
        Probe::refused(
            "Host with a space before its colon",
            "GET /probe HTTP/1.1\r\nHost : shop.test\r\n\r\n",
            400,
        ),
        Probe::refused("an underscore for Host", "GET /probe HTTP/1.1\r\nHo_st: shop.test\r\n\r\n", 400),
    ];
    for (first, second) in [
        ("shop.test", "shop.test"),
        ("shop.test", "evil.test"),
        ("evil.test", "shop.test"),
        ("shop.test", ""),
        ("", "shop.test"),
    ] {
        for name in ["Host", "host", "HOST"] {
            for version in ["HTTP/1.1", "HTTP/1.0"] {
                let bytes = format!("GET /probe {version}\r\nHost: {first}\r\n{name}: {second}\r\n\r\n");
                probes.push(Probe::refused(format!("Host {first}, {name} {second}, {version}"), bytes, 400));
            }
        }
    }
    probes
}
