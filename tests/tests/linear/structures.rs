//! Requests whose structure, not their text, is meant to be costly.

use super::requests::{Request, fill};

/// Builds a request of about so many bytes.
type Build = fn(usize) -> Request;

/// Those that lie in the request line or the headers, of which servers take some KiB only.
pub const IN_THE_HEAD: &[(&str, Build)] = &[
    ("many arguments in the query", |size| Request::get([b"/?".to_vec(), fill(b"a=1&", size)].concat())),
    ("many headers", |size| {
        let mut request = Request::get(b"/".to_vec());
        request.headers.extend((0..size / 16).map(|_| ("X-Header", b"value 1".to_vec())));
        request
    }),
    ("many cookies", |size| {
        Request::get(b"/".to_vec()).and("Cookie", numbered(size, |n| format!("c{n}=v{n}; ")))
    }),
    ("many ranges", |size| {
        Request::get(b"/".to_vec()).and("Range", [b"bytes=".to_vec(), fill(b"0-1,", size)].concat())
    }),
    ("many languages", |size| Request::get(b"/".to_vec()).and("Accept-Language", fill(b"en;q=0.1,", size))),
    ("many encodings", |size| Request::get(b"/".to_vec()).and("Accept-Encoding", fill(b"gzip, ", size))),
    ("long Accept", |size| Request::get(b"/".to_vec()).and("Accept", fill(b"text/html;a=b,", size))),
    ("long Content-Type", |size| {
        Request::post(&format!("text/html{}", "; a=b".repeat(size / 5)), b"a".to_vec())
    }),
    ("long Referer", |size| {
        Request::get(b"/".to_vec()).and("Referer", [b"http://a/?".to_vec(), fill(b"a=<b>&", size)].concat())
    }),
    ("long path", |size| Request::get(fill(b"/a", size))),
    ("path that climbs", |size| Request::get([b"/".to_vec(), fill(b"a/../", size)].concat())),
    ("path with many dots", |size| Request::get([b"/".to_vec(), fill(b"a.", size)].concat())),
    ("query with many question marks", |size| Request::get([b"/".to_vec(), fill(b"?a=/", size)].concat())),
];

/// Those that lie in the body.
pub const IN_THE_BODY: &[(&str, Build)] = &[
    ("many arguments", |size| Request::form(fill(b"a=1&", size))),
    ("many arguments, each another", |size| Request::form(numbered(size, |n| format!("n{n}=v{n}&")))),
    ("many attacks", |size| Request::form(numbered(size, |n| format!("n{n}=1' or {n}={n}--&")))),
    ("many scripts", |size| Request::form(numbered(size, |n| format!("n{n}=<script>{n}</script>&")))),
    ("many long arguments", |size| {
        Request::form(numbered(size, |n| format!("n{n}={}&", "ab c".repeat(250))))
    }),
    ("ampersands", |size| Request::form(fill(b"&", size))),
    ("equals signs", |size| Request::form(fill(b"=&", size))),
    ("deep JSON", |size| json([fill(b"[", size / 2), fill(b"]", size / 2)].concat())),
    ("deep JSON objects", |size| json(fill(b"{\"a\":", size))),
    ("deep JSON within limits", |size| {
        let depth = 500.min(size / 8);
        let text = fill(b"select ", size.saturating_sub(6 * depth));
        json([b"{\"a\":".repeat(depth), b"\"".to_vec(), text, b"\"".to_vec(), b"}".repeat(depth)].concat())
    }),
    ("JSON with a long key over many leaves", |size| {
        let (key, leaves) = (fill(b"k", size / 2), fill(b"1,", size / 2));
        json([b"{\"".to_vec(), key, b"\":[".to_vec(), leaves, b"1]}".to_vec()].concat())
    }),
    ("many JSON leaves", |size| json(rows(size, |n| format!("{{\"id\":{n},\"name\":\"item {n}\"}}")))),
    ("many JSON attacks", |size| json(rows(size, |n| format!("\"{n}' or 1=1--\"")))),
    ("JSON numbers", |size| json([b"[".to_vec(), fill(b"1,", size), b"1]".to_vec()].concat())),
    ("JSON without an end", |size| json([b"[\"".to_vec(), fill(b"\\", size)].concat())),
    ("many parts", |size| {
        let part = |n| format!("--B\r\nContent-Disposition: form-data; name=\"n{n}\"\r\n\r\nv{n}\r\n");
        multipart(numbered(size, part))
    }),
    ("many files", |size| {
        let part = |n| {
            format!(
                "--B\r\nContent-Disposition: form-data; name=\"n{n}\"; filename=\"{n}.php.jpg\"\r\n\r\n<?php\r\n"
            )
        };
        multipart(numbered(size, part))
    }),
    ("one long file", |size| {
        let head = b"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\n\r\n";
        multipart([head.to_vec(), fill(b"<?php system('id'); ?> ", size), b"\r\n".to_vec()].concat())
    }),
    ("one long part", |size| {
        let head = b"--B\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n";
        multipart([head.to_vec(), fill(b"<a ", size), b"\r\n".to_vec()].concat())
    }),
    ("almost boundaries", |size| {
        let head = b"--B\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n";
        multipart([head.to_vec(), fill(b"\r\n--\r\n--A", size)].concat())
    }),
    ("many part headers", |size| multipart([b"--B\r\n".to_vec(), fill(b"X-A: b\r\n", size)].concat())),
    ("many elements", |size| xml([b"<r>".to_vec(), fill(b"<a>b</a>", size), b"</r>".to_vec()].concat())),
    ("deep elements", |size| xml([fill(b"<a>", size / 2), fill(b"</a>", size / 2)].concat())),
    ("many attributes", |size| {
        let attributes = numbered(size, |n| format!(" a{n}='<{n}'"));
        xml([b"<r".to_vec(), attributes, b"/>".to_vec()].concat())
    }),
    ("many attributes of many elements", |size| {
        xml([b"<r>".to_vec(), numbered(size, |n| format!("<a b='{n} or 1=1'/>")), b"</r>".to_vec()].concat())
    }),
    ("long XML text", |size| xml([b"<r>".to_vec(), fill(b"union select ", size), b"</r>".to_vec()].concat())),
    ("text of no known type", |size| Request::post("text/plain", fill(b"' or 1=1 ", size))),
];

/// Lines made with growing numbers, up to `size` bytes.
fn numbered(size: usize, line: impl Fn(usize) -> String) -> Vec<u8> {
    let mut out = Vec::with_capacity(size);
    let mut number = 0;
    while out.len() < size {
        out.extend(line(number).bytes());
        number += 1;
    }
    out
}

fn rows(size: usize, row: impl Fn(usize) -> String) -> Vec<u8> {
    let mut out = b"[".to_vec();
    out.extend(numbered(size, |number| format!("{},", row(number))));
    out.extend(b"0]");
    out
}

fn json(body: Vec<u8>) -> Request {
    Request::post("application/json", body)
}

fn xml(body: Vec<u8>) -> Request {
    Request::post("text/xml", body)
}

fn multipart(parts: Vec<u8>) -> Request {
    Request::post("multipart/form-data; boundary=B", [parts, b"--B--\r\n".to_vec()].concat())
}
