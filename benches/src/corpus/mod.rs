//! The requests that are measured: the same for every engine and in every run.
//!
//! About 300 requests over the classes of the published table, one in twenty
//! an attack, and the worst that a body of 100 KB can do to a rule set. Values
//! look like those of real sites. The same seed gives the same bytes.

mod attacks;
mod classes;
mod headers;
mod near_misses;
pub mod random;
pub mod words;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use headers::Headers;
use random::Random;

/// The seed of the published numbers.
pub const SEED: u64 = 20_261_123;

/// Requests of the mix for measurements through the proxy.
pub const SMALL: usize = 400;

/// Which answer is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It is no attack.
    Pass,
    /// It is one.
    Block,
}

/// One request as a client sends it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Class of the table.
    pub label: Cow<'static, str>,
    /// The right answer.
    pub expect: Expect,
    /// Method.
    pub method: &'static str,
    /// Target.
    pub target: String,
    /// Header fields in order, `Host` among them.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
}

/// All requests, class by class.
pub fn all(seed: u64) -> Vec<Request> {
    let random = &mut Random::new(seed);
    let mut requests = classes::benign(random);
    requests.extend(attacks::all(random));
    requests.extend(near_misses::all(random));
    requests
}

/// What the measurements through the proxy send: benign requests with bodies
/// up to 1 KB, and `attacks` of them in a hundred.
pub fn small(seed: u64, count: usize, attacks: usize) -> Vec<Request> {
    let random = &mut Random::new(seed);
    let benign: Vec<_> =
        classes::benign(random).into_iter().filter(|request| request.body.len() <= 1_100).collect();
    let bad = attacks::all(random);
    let pick = |from: &[Request], index: usize| from.get(index % from.len().max(1)).cloned();
    (0..count)
        .filter_map(|index| {
            // Spread evenly: every twentieth for five in a hundred.
            let is_attack = attacks > 0 && (index * attacks) % 100 < attacks;
            if is_attack {
                pick(&bad, index * attacks / 100)
            } else {
                pick(&benign, random.below(benign.len()))
            }
        })
        .collect()
}

/// Bodies that grow tenfold from 1 KB to 10 MB: a JSON text and a form field of prose, and an upload.
pub fn sizes(seed: u64) -> Vec<Request> {
    let random = &mut Random::new(seed);
    [("1 KB", 1_000), ("10 KB", 10_000), ("100 KB", 100_000), ("1 MB", 1_000_000), ("10 MB", 10_000_000)]
        .into_iter()
        .flat_map(|(name, length)| classes::of_size(random, name, length))
        .collect()
}

impl Request {
    fn new(
        label: impl Into<Cow<'static, str>>,
        method: &'static str,
        target: String,
        headers: Headers,
    ) -> Self {
        Self { label: label.into(), expect: Expect::Pass, method, target, headers, body: Vec::new() }
    }

    fn with_body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        headers::body(&mut self.headers, content_type, body.len());
        self.body = body;
        self
    }

    /// A line of a corpus, as `hop3 waf bench` reads it, without its end.
    pub fn line(&self, id: &str) -> String {
        json!({
            "id": id,
            "label": self.label,
            "expect": if self.expect == Expect::Block { "block" } else { "pass" },
            "method": self.method,
            "uri": self.target,
            "version": "HTTP/1.1",
            "headers": self.headers,
            "body": STANDARD.encode(&self.body),
        })
        .to_string()
    }

    /// The request on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_corpus_has_every_class_and_one_attack_in_twenty() {
        let requests = all(SEED);
        let mut sizes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for request in &requests {
            sizes.entry(&request.label).or_default().push(request.body.len());
        }
        assert!((280..=320).contains(&requests.len()), "{}", requests.len());
        let attacks = requests.iter().filter(|request| request.expect == Expect::Block).count();
        assert_eq!(attacks, 15);
        let within = |label: &str, least: usize, most: usize| {
            let found = &sizes[label];
            assert!(found.iter().all(|size| (least..=most).contains(size)), "{label}: {found:?}");
        };
        within("short GET", 0, 0);
        within("form POST, 0.5 KB", 400, 700);
        within("JSON 1 KB", 900, 1_100);
        within("JSON 10 KB", 9_500, 11_000);
        within("JSON 100 KB", 95_000, 110_000);
        within("multipart 1 MB", 1 << 20, (1 << 20) + 2_000);
        assert!(sizes.keys().filter(|label| label.starts_with("near-miss")).count() >= 6);
        for (label, found) in sizes.iter().filter(|(label, _)| label.starts_with("near-miss")) {
            assert!(found.iter().all(|size| (95_000..=130_000).contains(size)), "{label}: {found:?}");
        }
        let lines = |requests: Vec<Request>| requests.iter().map(|r| r.line("x")).collect::<Vec<_>>();
        assert_eq!(lines(all(SEED)), lines(requests.clone()));
    }

    #[test]
    fn the_small_mix_has_its_share_of_attacks() {
        let requests = small(SEED, 400, 5);
        assert_eq!(requests.len(), 400);
        assert_eq!(requests.iter().filter(|request| request.expect == Expect::Block).count(), 20);
        assert!(requests.iter().all(|request| request.body.len() <= 1_100));
        assert!(small(SEED, 100, 0).iter().all(|request| request.expect == Expect::Pass));
    }
}
