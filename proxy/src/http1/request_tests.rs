//! The table of heads: what is accepted, and what is refused for which reason.

use bytes::Bytes;

use super::parse_request;
use crate::http1::field::HeadScanner;
use crate::http1::framing::{BodyLength, Refusal};
use crate::http1::target::Scheme;
use crate::request::Request;

/// As the connection does it: find the end, then parse.
fn parse(head: &str) -> Result<Request, Refusal> {
    let bytes = Bytes::copy_from_slice(head.as_bytes());
    let end = HeadScanner::default().scan(&bytes).map_err(Refusal::Field)?.expect("a complete head");
    parse_request(bytes.slice(..end), Scheme::Http, 100)
}

/// A GET with these header lines after a valid Host.
fn with(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn refused_heads() {
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(33_000));
    let many = with(&"A: b\r\n".repeat(100));
    let whole: Vec<(&str, &str)> = vec![
        ("GET /\r\nHost: a\r\n\r\n", "request_line"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("GET / a HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "method"),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "method"),
        ("GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", "request_line"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGH / HTTP/1.1\r\nHost: a\r\n\r\n", "method"),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "request_line"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "version"),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "version"),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", "request_line"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", "request_line"),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", "request_line"),
        ("GET / FTP/1.1\r\nHost: a\r\n\r\n", "request_line"),
        ("\r\n\r\n", "request_line"),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "request_line"),
        ("GET / HTTP/1.1\nHost: a\n\n", "bare_lf"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", "bare_lf"),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\n", "bare_lf"),
        ("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", "bare_cr"),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", "nul"),
        ("GET foo HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("GET \\x HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "authority_mismatch"),
        ("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", "authority_mismatch"),
        ("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "authority_mismatch"),
        ("GET http://a/ HTTP/1.1\r\n\r\n", "host_missing"),
        ("GET / HTTP/1.1\r\n\r\n", "host_missing"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "host_repeated"),
        ("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", "host_repeated"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "host"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "host"),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "host"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "host"),
        ("GET / HTTP/1.1\r\nHost: x@a\r\n\r\n", "host"),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", "host"),
        ("GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", "host"),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "folded_header"),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "method_not_allowed"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "method_not_allowed"),
        ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer_encoding_in_http10"),
        (&long_target, "target_too_long"),
        (&many, "too_many_headers"),
    ];
    for (head, reason) in whole {
        let refused = parse(head).expect_err(&head.escape_debug().to_string());
        assert_eq!(refused.reason(), reason, "{}", head.escape_debug());
    }
}

#[test]
fn refused_header_lines() {
    let lines = [
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "content_length_and_transfer_encoding"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "content_length_and_transfer_encoding"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "content_length_and_transfer_encoding"),
        ("Content-Length: 2\r\nContent-Length: 2\r\n", "content_length_repeated"),
        ("Content-Length: 2\r\ncontent-length: 3\r\n", "content_length_repeated"),
        ("Content-Length: 2,2\r\n", "content_length_repeated"),
        ("Content-Length: 2, 3\r\n", "content_length_repeated"),
        ("Content-Length: +2\r\n", "content_length"),
        ("Content-Length: -2\r\n", "content_length"),
        ("Content-Length: 0x2\r\n", "content_length"),
        ("Content-Length: 2 2\r\n", "content_length"),
        ("Content-Length: 1e3\r\n", "content_length"),
        ("Content-Length:\r\n", "content_length"),
        ("Content-Length: 9999999999999999999999\r\n", "content_length"),
        ("Content-Length: \u{662}\r\n", "content_length"),
        ("Content-Length : 2\r\n", "header_name"),
        ("Transfer-Encoding : chunked\r\n", "header_name"),
        ("Transfer-Encoding: xchunked\r\n", "transfer_encoding"),
        ("Transfer-Encoding: gzip, chunked\r\n", "transfer_encoding"),
        ("Transfer-Encoding: identity, chunked\r\n", "transfer_encoding"),
        ("Transfer-Encoding: chunked, identity\r\n", "transfer_encoding"),
        ("Transfer-Encoding: chunked, chunked\r\n", "transfer_encoding"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "transfer_encoding"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "transfer_encoding"),
        ("Transfer-Encoding: \"chunked\"\r\n", "transfer_encoding"),
        ("Transfer-Encoding: identity\r\n", "transfer_encoding"),
        ("Transfer-Encoding:\r\n", "transfer_encoding"),
        ("Transfer-Encoding: chunked;a=b\r\n", "transfer_encoding"),
        ("Transfer-Encoding: \x0bchunked\r\n", "control_character"),
        ("Transfer-Encoding:\r\n chunked\r\n", "folded_header"),
        ("A: b\r\n c\r\n", "folded_header"),
        ("A: b\r\n\tc\r\n", "folded_header"),
        ("A: b\rC: d\r\n", "bare_cr"),
        ("A: b\0\r\n", "nul"),
        ("A\0: b\r\n", "nul"),
        ("A: \x1b\r\n", "control_character"),
        ("A b: c\r\n", "header_name"),
        ("A\u{e4}: c\r\n", "header_name"),
        (": c\r\n", "header_name"),
        ("A\r\n", "header_name"),
        ("A(b): c\r\n", "header_name"),
        ("Expect: 200-ok\r\n", "expectation"),
        ("Expect: 100-continue\r\nExpect: 100-continue\r\n", "expectation"),
    ];
    for (line, reason) in lines {
        let refused = parse(&with(line)).expect_err(&line.escape_debug().to_string());
        assert_eq!(refused.reason(), reason, "{}", line.escape_debug());
    }
}

#[test]
fn accepted_heads() {
    let cases: [(&str, &str, &str, BodyLength, bool); 14] = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "/", "a", BodyLength::Empty, true),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "/", "a", BodyLength::Empty, true),
        ("GET / HTTP/1.1\r\nhost:a\r\n\r\n", "/", "a", BodyLength::Empty, true),
        ("GET /x?y=%00 HTTP/1.1\r\nHost: A.b:80\r\n\r\n", "/x?y=%00", "a.b", BodyLength::Empty, true),
        ("GET http://a/x HTTP/1.1\r\nHost: A\r\n\r\n", "/x", "a", BodyLength::Empty, true),
        ("GET http://a/x HTTP/1.0\r\n\r\n", "/x", "a", BodyLength::Empty, false),
        ("GET / HTTP/1.0\r\n\r\n", "/", "", BodyLength::Empty, false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "/", "", BodyLength::Empty, true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n", "/", "a", BodyLength::Empty, false),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*", "a", BodyLength::Empty, true),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n", "/", "a", BodyLength::Known(12), true),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "/", "a", BodyLength::Empty, true),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
            "/",
            "a",
            BodyLength::Streamed,
            true,
        ),
        ("GET /?q=<\"> HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "/?q=<\">", "[::1]", BodyLength::Empty, true),
    ];
    for (head, path, host, body, keep_alive) in cases {
        let request = parse(head).unwrap_or_else(|error| panic!("{}: {error}", head.escape_debug()));
        assert_eq!(&request.path_and_query[..], path.as_bytes(), "{}", head.escape_debug());
        assert_eq!(&*request.host, host, "{}", head.escape_debug());
        assert_eq!(request.body, body, "{}", head.escape_debug());
        assert_eq!(request.keep_alive, keep_alive, "{}", head.escape_debug());
    }
}

#[test]
fn websocket_handshakes() {
    let handshake = |method: &str, extra: &str| {
        let head = format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{extra}\r\n"
        );
        parse(&head).unwrap().websocket
    };
    assert!(handshake("GET", ""));
    assert!(!handshake("POST", ""));
    assert!(!handshake("GET", "Content-Length: 3\r\n"));
    let other = parse(&with("Connection: upgrade\r\nUpgrade: h2c\r\n")).unwrap();
    assert!(!other.websocket);
}
