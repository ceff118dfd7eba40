//! Where in a request a payload stands.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ftw::request::Request;

use super::body::{self, Fields};
use super::dice::Dice;
use super::{benign, mutate};

/// A request with the payload in some place.
pub(super) fn request(dice: &mut Dice, payload: &[u8]) -> Request {
    match dice.below(24) {
        0..6 => get(&with(dice, payload)),
        6 => raw_query(dice, payload),
        7 => body::request("GET", [b"/", &mutate::raw_target(payload)[..]].concat(), None),
        8..11 => post(body::form(&with(dice, payload))),
        11..14 => {
            let fields = with(dice, payload);
            post(body::json(dice, &fields))
        }
        14 => {
            let fields = with(dice, payload);
            post(body::xml(dice, &fields))
        }
        15 => {
            let fields = with(dice, payload);
            post(body::multipart(dice, &fields, &[]))
        }
        16 => upload(dice, payload),
        17 => named(dice, payload),
        18 => raw_body(dice, payload),
        19 => cookie(dice, payload),
        20 => authorization(payload),
        _ => header(dice, payload),
    }
}

/// Ordinary fields, one of which has the payload as its value.
fn with(dice: &mut Dice, payload: &[u8]) -> Fields {
    let mut fields = benign::fields(dice);
    fields.truncate(2);
    let at = dice.below(fields.len() + 1);
    fields.insert(at, (dice.name().into_bytes(), payload.to_vec()));
    if dice.percent(8) {
        let twin = fields[at].clone();
        fields.push(twin);
    }
    fields
}

fn get(fields: &Fields) -> Request {
    body::request("GET", [b"/search?", &body::query(fields)[..]].concat(), None)
}

fn post(body: body::Body) -> Request {
    body::request("POST", b"/api/save".to_vec(), Some(body))
}

/// The payload unencoded in the query string.
fn raw_query(dice: &mut Dice, payload: &[u8]) -> Request {
    let start = format!("/{}?{}=", dice.name(), dice.name()).into_bytes();
    body::request("GET", [start, mutate::raw_target(payload)].concat(), None)
}

/// The payload as the name of an argument.
fn named(dice: &mut Dice, payload: &[u8]) -> Request {
    let fields = vec![(payload.to_vec(), b"1".to_vec())];
    match dice.below(4) {
        0 => get(&fields),
        1 => post(body::form(&fields)),
        2 => post(body::json(dice, &fields)),
        _ => post(body::multipart(dice, &fields, &[])),
    }
}

/// The payload unencoded as the body, under various types.
fn raw_body(dice: &mut Dice, payload: &[u8]) -> Request {
    let kind = *dice.pick(&[
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/octet-stream",
        "application/json",
        "text/xml",
        "application/x-www-form-urlencoded; charset=utf-8",
    ]);
    let bytes = if dice.percent(50) { [b"a=", payload].concat() } else { payload.to_vec() };
    post((kind.to_owned(), bytes))
}

fn upload(dice: &mut Dice, payload: &[u8]) -> Request {
    let file = match dice.below(3) {
        0 => (b"file".to_vec(), payload.to_vec(), "application/octet-stream", b"content".to_vec()),
        1 => (payload.to_vec(), b"a.txt".to_vec(), "text/plain", b"content".to_vec()),
        _ => (b"file".to_vec(), b"photo.jpg".to_vec(), "image/jpeg", payload.to_vec()),
    };
    let fields = benign::fields(dice);
    post(body::multipart(dice, &fields, &[file]))
}

fn cookie(dice: &mut Dice, payload: &[u8]) -> Request {
    let mut request = body::request("GET", b"/account".to_vec(), None);
    let mut value = format!("sid={}; theme=dark; {}=", dice.name(), dice.name()).into_bytes();
    let encoded = if dice.percent(50) { mutate::encode(payload) } else { mutate::header(payload) };
    value.extend(encoded);
    body::set(&mut request, "Cookie", &value);
    request
}

fn authorization(payload: &[u8]) -> Request {
    let mut request = body::request("GET", b"/admin".to_vec(), None);
    let credentials = STANDARD.encode([payload, b":secret"].concat());
    body::set(&mut request, "Authorization", format!("Basic {credentials}").as_bytes());
    request
}

fn header(dice: &mut Dice, payload: &[u8]) -> Request {
    const NAMES: &[&str] = &[
        "User-Agent",
        "User-Agent",
        "Referer",
        "Referer",
        "X-Forwarded-For",
        "X-Api-Version",
        "Accept",
        "Accept-Language",
        "If-Match",
        "Origin",
        "X-Filename",
        "Range",
    ];
    let mut request = body::request("GET", b"/".to_vec(), None);
    let value = mutate::header(payload);
    let name = *dice.pick(NAMES);
    let value = if name == "Referer" && dice.percent(60) {
        [b"https://shop.example/?q=", &mutate::encode(&value)[..]].concat()
    } else {
        value
    };
    body::set(&mut request, name, &value);
    request
}
