//! Requests of ordinary users, in the classes of the table.

use serde_json::{Value, json};

use super::random::Random;
use super::words::{self, form_encoded};
use super::{Request, headers};

/// Makes one request of a class.
type Make = fn(&mut Random) -> Request;

/// All of them, from cheap to dear.
pub fn benign(random: &mut Random) -> Vec<Request> {
    let classes: [(usize, Make); 8] = [
        (70, short_get),
        (45, ten_arguments),
        (45, form),
        (30, many_headers),
        (45, json_1k),
        (20, json_10k),
        (6, json_100k),
        (4, multipart),
    ];
    let mut requests = Vec::new();
    for (count, make) in classes {
        requests.extend((0..count).map(|_| make(random)));
    }
    requests
}

/// A body of that size as JSON, as a form and as an upload.
pub fn of_size(random: &mut Random, name: &str, length: usize) -> [Request; 3] {
    let json =
        json!({"title": words::product(random), "text": words::prose(random, length - 60)}).to_string();
    let form = format!(
        "title={}&text={}",
        form_encoded(&words::product(random)),
        form_encoded(&words::prose(random, length - 60))
    );
    let (mut upload, boundary) = (multipart(random), "----WebKitFormBoundary0123456789abcdef");
    upload.headers.retain(|(name, _)| !name.starts_with("Content-"));
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"IMG_0001.jpg\"\r\n\
         Content-Type: image/jpeg\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(&random.bytes(length));
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let post =
        |kind: &str, headers| Request::new(format!("{kind} {name}"), "POST", "/notes".to_owned(), headers);
    [
        post("JSON text", headers::script(random)).with_body("application/json", json.into_bytes()),
        post("form field", headers::page(random))
            .with_body("application/x-www-form-urlencoded", form.into_bytes()),
        post("upload", upload.headers).with_body(&format!("multipart/form-data; boundary={boundary}"), body),
    ]
}

fn short_get(random: &mut Random) -> Request {
    let target = match random.below(6) {
        0 => "/".to_owned(),
        1 => format!("/products?page={}", random.between(1, 90)),
        2 => format!("/products/{}", words::slug(random)),
        3 => format!("/static/app.{}.js", random.hex(8)),
        4 => format!("/category/outdoor?q={}", form_encoded(&words::product(random))),
        _ => format!("/images/{}/{}.webp", random.between(1, 400), random.hex(12)),
    };
    Request::new("short GET", "GET", target, headers::page(random))
}

fn ten_arguments(random: &mut Random) -> Request {
    let arguments = [
        ("q", words::product(random)),
        ("category", random.one(&["outdoor", "office", "kitchen", "garden"]).to_owned()),
        ("colour", random.one(&["blue", "dark green", "red", "natural"]).to_owned()),
        ("price_min", random.between(1, 20).to_string()),
        ("price_max", random.between(40, 400).to_string()),
        ("sort", random.one(&["price", "name", "newest", "rating"]).to_owned()),
        ("page", random.between(1, 30).to_string()),
        ("city", words::city(random).to_owned()),
        ("ref", random.token(12)),
        ("utm_campaign", format!("autumn_{}", random.between(1, 52))),
    ];
    let target = format!("/search?{}", encoded(&arguments));
    Request::new("GET, 10 arguments", "GET", target, headers::page(random))
}

fn form(random: &mut Random) -> Request {
    let person = words::person(random);
    let fields = [
        ("name", person),
        ("email", words::email(random)),
        ("street", words::street(random)),
        ("city", words::city(random).to_owned()),
        ("postcode", random.between(10_000, 99_999).to_string()),
        ("phone", format!("+44 20 7946 0{}", random.between(100, 999))),
        ("message", words::prose(random, 180)),
        ("newsletter", "yes".to_owned()),
        ("terms", "I have read the terms of sale and agree to them.".to_owned()),
        ("csrf_token", random.token(32)),
    ];
    let target = random.one(&["/contact", "/checkout/address", "/account/profile", "/register"]).to_owned();
    Request::new("form POST, 0.5 KB", "POST", target, headers::page(random))
        .with_body("application/x-www-form-urlencoded", encoded(&fields).into_bytes())
}

fn many_headers(random: &mut Random) -> Request {
    let target = format!("/account/orders?year=2026&tab={}", random.one(&["open", "sent", "returned"]));
    Request::new("many headers and cookies", "GET", target, headers::crowded(random))
}

fn json_1k(random: &mut Random) -> Request {
    json_of("JSON 1 KB", 950, "/api/v2/orders", random, |random| {
        json!({"sku": random.hex(10), "title": words::product(random), "quantity": random.between(1, 9),
               "price": price(random), "gift": random.below(4) == 0})
    })
}

fn json_10k(random: &mut Random) -> Request {
    json_of("JSON 10 KB", 10_000, "/api/v2/catalogue", random, |random| {
        json!({"id": random.between(1, 1_000_000), "title": words::product(random), "slug": words::slug(random),
               "price": price(random), "updated_at": words::timestamp(random),
               "description": words::prose(random, 90), "tags": ["new", random.one(&["sale", "winter", "gift"])]})
    })
}

/// Articles with long texts: below the 1,000 arguments that engines accept.
fn json_100k(random: &mut Random) -> Request {
    json_of("JSON 100 KB", 98_000, "/api/v2/articles/import", random, |random| {
        json!({"id": random.uuid(), "author": words::person(random), "email": words::email(random),
               "published": words::timestamp(random), "body": words::prose(random, 700)})
    })
}

/// An object with a list that grows until the text has `length` bytes.
fn json_of(
    label: &'static str,
    length: usize,
    target: &str,
    random: &mut Random,
    item: impl Fn(&mut Random) -> Value,
) -> Request {
    let mut items: Vec<Value> = Vec::new();
    let mut order = json!({"customer": words::person(random), "email": words::email(random), "currency": "EUR",
        "address": {"street": words::street(random), "city": words::city(random)}});
    let mut size = order.to_string().len();
    while size < length.saturating_sub(60) {
        let next = item(random);
        size += next.to_string().len() + 1;
        items.push(next);
    }
    order["items"] = Value::Array(items);
    let headers = if random.below(3) == 0 { headers::program(random) } else { headers::script(random) };
    Request::new(label, "POST", target.to_owned(), headers)
        .with_body("application/json", order.to_string().into_bytes())
}

/// Two fields and a picture of 1 MB.
fn multipart(random: &mut Random) -> Request {
    let boundary = format!("----WebKitFormBoundary{}", random.token(16));
    let mut body = Vec::new();
    for (name, value) in [("title", words::product(random)), ("comment", words::prose(random, 120))] {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .as_bytes(),
        );
    }
    let file = format!("IMG_{:04}.jpg", random.below(10_000));
    body.extend_from_slice(
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"{file}\"\r\n\
             Content-Type: image/jpeg\r\n\r\n"
        )
        .as_bytes(),
    );
    // What a picture begins with, then what compression leaves: bytes without structure.
    body.extend_from_slice(b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00");
    body.extend_from_slice(&random.bytes(1 << 20));
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Request::new("multipart 1 MB", "POST", "/account/photos".to_owned(), headers::page(random))
        .with_body(&format!("multipart/form-data; boundary={boundary}"), body)
}

fn price(random: &mut Random) -> f64 {
    (random.between(199, 39_900) as f64) / 100.0
}

fn encoded(fields: &[(&str, String)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", form_encoded(value))).collect();
    pairs.join("&")
}
