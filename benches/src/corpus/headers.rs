//! Header fields as browsers and programs send them.

use super::random::Random;

/// Header fields in order.
pub type Headers = Vec<(String, String)>;

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/18.5 Mobile/15E148 Safari/604.1";
/// Where all requests go.
pub const HOST: &str = "shop.example.org";

/// A page that somebody opens.
pub fn page(random: &mut Random) -> Headers {
    let mut headers = browser(random);
    headers.extend(fields(&[
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("Upgrade-Insecure-Requests", "1"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", "same-origin"),
    ]));
    headers.push(("Cookie".to_owned(), session(random)));
    headers
}

/// What a page's script asks.
pub fn script(random: &mut Random) -> Headers {
    let mut headers = browser(random);
    headers.extend(fields(&[
        ("Accept", "application/json, text/plain, */*"),
        ("Origin", "https://shop.example.org"),
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "cors"),
        ("Sec-Fetch-Site", "same-origin"),
    ]));
    headers.push(("X-CSRF-Token".to_owned(), random.token(32)));
    headers.push(("Cookie".to_owned(), session(random)));
    headers
}

/// A program that speaks to an API.
pub fn program(random: &mut Random) -> Headers {
    let agent =
        random.one(&["okhttp/4.12.0", "ShopApp/5.3.1 (Android 15)", "Dalvik/2.1.0 (Linux; U; Android 15)"]);
    let mut headers = fields(&[("Host", HOST), ("User-Agent", agent), ("Accept", "application/json")]);
    headers.push(("Accept-Encoding".to_owned(), "gzip".to_owned()));
    headers.push(("Authorization".to_owned(), format!("Bearer {}", random.token(40))));
    headers.push(("X-Request-Id".to_owned(), random.uuid()));
    headers
}

/// A page behind proxies, for somebody with many cookies.
pub fn crowded(random: &mut Random) -> Headers {
    let mut headers = page(random);
    headers.pop();
    let (address, uuid) = (format!("198.51.100.{}", random.between(1, 254)), random.uuid());
    headers.extend(fields(&[
        ("Referer", "https://shop.example.org/category/outdoor?sort=price&page=2"),
        ("Cache-Control", "max-age=0"),
        ("X-Forwarded-For", &address),
        ("X-Real-IP", &address),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", HOST),
        ("X-Forwarded-Port", "443"),
        ("X-Request-Id", &uuid),
        ("Traceparent", &format!("00-{}-{}-01", random.hex(32), random.hex(16))),
        ("Priority", "u=0, i"),
        ("DNT", "1"),
        ("Sec-GPC", "1"),
        ("Save-Data", "on"),
        ("Viewport-Width", "1512"),
        ("If-None-Match", &format!("W/\"{}\"", random.hex(24))),
        ("If-Modified-Since", "Mon, 02 Nov 2026 08:12:31 GMT"),
    ]));
    let mut cookies = vec![session(random)];
    for name in ["_ga", "_gid", "_fbp", "ab_checkout", "ab_search", "cart", "currency", "last_seen", "theme"]
    {
        let value = match name {
            "_ga" => format!(
                "GA1.1.{}.17{}",
                random.between(100_000_000, 999_999_999),
                random.between(10_000_000, 99_999_999)
            ),
            "_fbp" => format!(
                "fb.1.17{}.{}",
                random.between(10_000_000_000, 99_999_999_999),
                random.between(100_000_000, 999_999_999)
            ),
            "cart" => random.uuid(),
            "currency" => "EUR".to_owned(),
            "theme" => "dark".to_owned(),
            _ => random.token(12),
        };
        cookies.push(format!("{name}={value}"));
    }
    cookies.push(format!("jwt={}.{}.{}", random.token(36), random.token(120), random.token(43)));
    cookies.push(format!("prefs={}", random.token(64)));
    headers.push(("Cookie".to_owned(), cookies.join("; ")));
    headers
}

/// Type and length of a body.
pub fn body(headers: &mut Headers, content_type: &str, length: usize) {
    headers.push(("Content-Type".to_owned(), content_type.to_owned()));
    headers.push(("Content-Length".to_owned(), length.to_string()));
}

fn browser(random: &mut Random) -> Headers {
    let mut headers = fields(&[("Host", HOST)]);
    match random.below(3) {
        0 => headers.extend(fields(&[
            ("User-Agent", CHROME),
            ("sec-ch-ua", "\"Not)A;Brand\";v=\"8\", \"Chromium\";v=\"138\", \"Google Chrome\";v=\"138\""),
            ("sec-ch-ua-mobile", "?0"),
            ("sec-ch-ua-platform", "\"Windows\""),
        ])),
        1 => headers.extend(fields(&[("User-Agent", FIREFOX)])),
        _ => headers.extend(fields(&[("User-Agent", SAFARI)])),
    }
    let language =
        random.one(&["en-GB,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "fr-FR,fr;q=0.8,en-US;q=0.5,en;q=0.3"]);
    headers.extend(fields(&[
        ("Accept-Language", language),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Connection", "keep-alive"),
    ]));
    headers
}

fn session(random: &mut Random) -> String {
    format!(
        "session={}; consent=necessary.statistics; lang={}",
        random.token(32),
        random.one(&["en", "de", "fr"])
    )
}

fn fields(fields: &[(&str, &str)]) -> Headers {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
