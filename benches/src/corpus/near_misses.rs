//! Bodies of 100 KB that look dangerous to every literal filter and match no rule: the worst that can be sent for the price.

use serde_json::json;

use super::random::Random;
use super::words::{self, form_encoded};
use super::{Request, headers};

/// Most bytes of the value; encoding adds some.
const LENGTH: usize = 98_000;

/// Prose around words that many rules look for.
const SQL: &[&str] = &[
    "please select one of the rooms",
    "the onion soup",
    "where to go from here",
    "an order by phone",
    "a group of visitors",
    "a haven of peace",
    "values and limits",
    "insert the key",
    "update your address",
    "delete the old file",
    "a table for two",
    "drop in any day",
    "the database of birds",
    "like or not",
    "between the trees",
    "create a new account",
    "a set of tools",
    "as if nothing happened",
    "sleep well",
];
const SHELL: &[&str] = &[
    "the cat is asleep",
    "a timely reply",
    "who is there",
    "find a place",
    "more or less",
    "make it short",
    "head and tail of the list",
    "kill two birds",
    "an echo in the valley",
    "sort them by name",
    "a python in the zoo",
    "the perl of the ocean",
    "touch wood",
    "the envelope",
    "less is more",
    "the bash was fun",
    "cut the grass",
];
const SCRIPT: &[&str] = &[
    "the script of the play",
    "an alert driver",
    "the style of the house",
    "a form to fill in",
    "on load and off load",
    "the object of desire",
    "an image of the harbour",
    "a frame around it",
    "the link between them",
    "a base of stone",
    "java and other islands",
    "the evaluation",
    "the document on the desk",
    "window seats",
    "a body of water",
    "meta level",
];

/// Each kind twice.
pub fn all(random: &mut Random) -> Vec<Request> {
    let mut requests = Vec::new();
    for _ in 0..2 {
        let kinds = [
            form("near-miss: SQL words", &phrases(random, SQL), random),
            form("near-miss: shell words", &phrases(random, SHELL), random),
            form("near-miss: script words", &phrases(random, SCRIPT), random),
            form("near-miss: numbers and commas", &numbers(random), random),
            form("near-miss: escapes", &escapes(random), random),
            form("near-miss: one letter", &"a".repeat(LENGTH), random),
            form("near-miss: paths and dots", &paths(random), random),
            one_json_string(random),
        ];
        requests.extend(kinds);
    }
    requests
}

fn form(label: &'static str, value: &str, random: &mut Random) -> Request {
    let mut encoded = form_encoded(value);
    if encoded.len() > 128_000 {
        encoded.truncate(128_000);
        // Not within an escape.
        while encoded.len() > 2 && encoded.as_bytes()[encoded.len() - 2..].contains(&b'%') {
            encoded.pop();
        }
    }
    let body = format!("title={}&text={encoded}", form_encoded(&words::product(random)));
    Request::new(label, "POST", "/notes".to_owned(), headers::page(random))
        .with_body("application/x-www-form-urlencoded", body.into_bytes())
}

fn one_json_string(random: &mut Random) -> Request {
    let body = json!({"title": words::product(random), "text": words::prose(random, LENGTH)});
    Request::new("near-miss: one JSON text", "POST", "/api/v2/notes".to_owned(), headers::script(random))
        .with_body("application/json", body.to_string().into_bytes())
}

/// Words that start matches, in prose that ends them.
fn phrases(random: &mut Random, of: &[&str]) -> String {
    // The first words decide what libinjection makes of it.
    let text = joined(random, " ", |random| {
        let (phrase, other) = (random.one(of), random.one(of));
        format!("{phrase} and {other}.")
    });
    format!("Dear all, thank you for the notes of the last meeting. {text}")
}

fn numbers(random: &mut Random) -> String {
    joined(random, ", ", |random| format!("{}.{}", random.between(1, 9_999), random.below(100)))
}

/// Characters that each transformation has to look at.
fn escapes(random: &mut Random) -> String {
    joined(random, " ", |random| match random.below(4) {
        0 => format!("{}%", random.between(1, 100)),
        1 => format!("{} & {}", words::city(random), words::city(random)),
        2 => format!("Größe {} m²", random.between(10, 300)),
        _ => format!("{} + {}", random.between(1, 9), random.between(1, 9)),
    })
}

fn paths(random: &mut Random) -> String {
    joined(random, " ", |random| {
        format!(
            "photos/{}/{}.v{}.jpg...",
            words::city(random).to_lowercase(),
            random.hex(4),
            random.between(1, 9)
        )
    })
}

fn joined(random: &mut Random, separator: &str, mut next: impl FnMut(&mut Random) -> String) -> String {
    let mut text = String::with_capacity(LENGTH + 100);
    while text.len() < LENGTH {
        if !text.is_empty() {
            text.push_str(separator);
        }
        text.push_str(&next(random));
    }
    text
}
