//! Ordinary traffic: pages, searches, forms, JSON and XML interfaces, uploads, many scripts.

use crate::ftw::backend::Response;
use crate::ftw::request::Request;

use super::body::{self, Fields};
use super::dice::Dice;

const PATHS: &[&str] = &[
    "/",
    "/index.html",
    "/about-us",
    "/shop/cart",
    "/api/v2/orders/1042",
    "/static/app.3fa9.js",
    "/img/logo.svg",
    "/blog/2024/05/my-first-post/",
    "/wiki/Main_Page",
    "/caf%C3%A9/men%C3%BC",
    "/%D0%B3%D0%BB%D0%B0%D0%B2%D0%BD%D0%B0%D1%8F",
    "/user/profile.php",
    "/download/report%202024.pdf",
    "/a/./b/../c",
    "//double//slash",
    "/x;v=1.2/y",
    "/feed.xml",
];

const NAMES: &[&str] = &[
    "q",
    "page",
    "id",
    "user",
    "email",
    "name",
    "comment",
    "title",
    "lang",
    "sort",
    "filter[price]",
    "items[]",
    "csrf_token",
    "redirect",
    "date",
    "user.name",
    "first-name",
    "Straße",
    "имя",
];

const VALUES: &[&str] = &[
    "1",
    "42",
    "",
    "hello world",
    "anna@mail.example",
    "2024-05-17T10:00:00Z",
    "Blue T-shirt, size M (2 pcs)",
    "It's a nice day; isn't it?",
    "https://www.example.com/path?x=1&y=2",
    "C'est la vie",
    "O'Reilly & Sons",
    "Select the best option from the list",
    "Добрый день, как дела?",
    "こんにちは世界",
    "مرحبا بالعالم",
    "안녕하세요",
    "Zażółć gęślą jaźń",
    "😀 great 👍",
    "a+b=c",
    "100% cotton",
    "50 < 60 > 40",
    "price: $9.99",
    "-1.5e10",
    "true",
    "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "dGhpcyBpcyBhIHRlc3Q=",
    "line one\nline two",
    "tab\tseparated",
    "for (let i = 0; i < 3; i++) { total += i; }",
    "<b>bold</b> and <i>italic</i>",
    "union of the two sets, or else",
    "SELECT a plan that suits you",
    "drop me a line",
    "../images/cat.png",
    "C:\\Users\\anna\\notes.txt",
    "%7Bnot encoded%7D",
    "~user",
    "null",
    "a=1; b=2",
    "{\"a\": 1}",
    "[1, 2, 3]",
    "#1 seller!",
    "(c) 2024",
    "@anna hi",
];

const AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "okhttp/4.12.0",
    "Googlebot/2.1 (+http://www.google.com/bot.html)",
    "PostmanRuntime/7.39.0",
];

/// One to four fields of a form.
pub(super) fn fields(dice: &mut Dice) -> Fields {
    let count = 1 + dice.below(4);
    let field =
        |dice: &mut Dice| (dice.pick(NAMES).as_bytes().to_vec(), dice.pick(VALUES).as_bytes().to_vec());
    (0..count).map(|_| field(dice)).collect()
}

/// An ordinary request.
pub(super) fn request(dice: &mut Dice) -> Request {
    let path = dice.pick(PATHS).as_bytes().to_vec();
    let fields = fields(dice);
    let mut request = match dice.below(12) {
        0..2 => body::request(["GET", "HEAD", "OPTIONS"][dice.below(3)], path, None),
        2..6 => body::request("GET", [&path[..], b"?", &body::query(&fields)].concat(), None),
        6..8 => body::request("POST", path, Some(body::form(&fields))),
        8..10 => {
            let json = body::json(dice, &fields);
            body::request(["POST", "PUT", "PATCH"][dice.below(3)], path, Some(json))
        }
        10 => {
            let xml = body::xml(dice, &fields);
            body::request("POST", path, Some(xml))
        }
        _ => {
            let content = dice.pick(VALUES).as_bytes().repeat(1 + dice.below(5));
            let name =
                dice.pick(&["photo.jpg", "Résumé.pdf", "notes.txt", "my file (1).docx", "a.b.c.tar.gz"]);
            let file = (b"upload".to_vec(), name.as_bytes().to_vec(), "application/octet-stream", content);
            let form = body::multipart(dice, &fields, &[file]);
            body::request("POST", path, Some(form))
        }
    };
    more_headers(dice, &mut request);
    request
}

fn more_headers(dice: &mut Dice, request: &mut Request) {
    if dice.percent(40) {
        body::set(request, "User-Agent", dice.pick(AGENTS).as_bytes());
    }
    if dice.percent(30) {
        let cookie =
            format!("session={}; cart={}%7C2; _ga=GA1.2.{}.17", dice.name(), dice.name(), dice.below(99_999));
        body::set(request, "Cookie", cookie.as_bytes());
    }
    if dice.percent(20) {
        body::set(request, "Referer", b"https://shop.example/list?page=2&sort=price");
    }
    if dice.percent(20) {
        body::set(request, "Accept-Encoding", b"gzip, deflate, br");
        body::set(request, "X-Requested-With", b"XMLHttpRequest");
    }
    if dice.percent(10) {
        for number in 0..dice.below(40) {
            body::set(request, &format!("X-Trace-{number}"), dice.name().as_bytes());
        }
    }
}

/// An ordinary response.
pub(super) fn response(dice: &mut Dice) -> Response {
    let (kind, body): (&str, &[u8]) = match dice.below(4) {
        0 => ("text/html; charset=utf-8", b"<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>"),
        1 => ("application/json", b"{\"ok\":true}"),
        2 => ("image/png", b"\x89PNG\r\n"),
        _ => return Response { status: 204, headers: Vec::new(), body: Vec::new() },
    };
    answer(200, kind, body.to_vec())
}

/// A response of a type.
pub(super) fn answer(status: u16, kind: &str, body: Vec<u8>) -> Response {
    let length = body.len().to_string().into_bytes();
    let headers = vec![(b"Content-Type".to_vec(), kind.into()), (b"Content-Length".to_vec(), length)];
    Response { status, headers, body }
}
