//! Header fields that clients send alike by the million, and what the rules have to say about them: mostly nothing,
//! whoever sends them. That is found out once, when the rules are compiled, by scanning each of these values; those
//! in which no test matches are not scanned again.
//!
//! The names and values are those of the static tables of HTTP/2 and HTTP/3 (RFC 7541 appendix A, RFC 9204 appendix A),
//! of Fetch Metadata and Client Hints, and what browsers send by default. Which of them traffic has changes nothing.

use std::sync::LazyLock;

/// Names of header fields, as HTTP/1.1 spells them, with values.
const FIELDS: &[(&str, &[&str])] = &[
    ("Host", &[]),
    ("User-Agent", &[]),
    (
        "Accept",
        &[
            "*/*",
            "text/html",
            "text/plain",
            "text/event-stream",
            "application/json",
            "application/dns-message",
            "application/json, text/plain, */*",
            "application/json, text/javascript, */*; q=0.01",
            "text/css,*/*;q=0.1",
            "image/webp,*/*",
            "image/avif,image/webp,*/*",
            "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
            "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/png,image/svg+xml,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
             application/signed-exchange;v=b3;q=0.7",
        ],
    ),
    ("Accept-Charset", &["utf-8"]),
    (
        "Accept-Encoding",
        &[
            "gzip",
            "gzip, deflate",
            "gzip, deflate, br",
            "gzip, deflate, br, zstd",
            "gzip,deflate",
            "identity",
            "br",
            "*",
        ],
    ),
    (
        "Accept-Language",
        &[
            "*",
            "en",
            "en-US",
            "en-US,en;q=0.5",
            "en-US,en;q=0.9",
            "en-GB,en;q=0.5",
            "en-GB,en;q=0.9",
            "en-GB,en-US;q=0.9,en;q=0.8",
            "de",
            "de,en-US;q=0.7,en;q=0.3",
            "de-DE,de;q=0.9",
            "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
            "fr,fr-FR;q=0.8,en-US;q=0.5,en;q=0.3",
            "fr-FR,fr;q=0.9",
            "fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7",
            "es-ES,es;q=0.9",
            "es-ES,es;q=0.8,en-US;q=0.5,en;q=0.3",
            "it-IT,it;q=0.9",
            "it-IT,it;q=0.8,en-US;q=0.5,en;q=0.3",
            "nl-NL,nl;q=0.9",
            "pl-PL,pl;q=0.9",
            "pt-BR,pt;q=0.9",
        ],
    ),
    ("Accept-Ranges", &["bytes"]),
    ("Authorization", &[]),
    ("Cache-Control", &["no-cache", "no-store", "max-age=0", "only-if-cached"]),
    ("Connection", &["keep-alive", "Keep-Alive", "close", "upgrade", "Upgrade", "keep-alive, Upgrade"]),
    ("Content-Encoding", &[]),
    ("Content-Length", &["0"]),
    (
        "Content-Type",
        &[
            "application/json",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=UTF-8",
            "application/xml",
            "text/plain",
            "text/plain;charset=UTF-8",
            "text/xml",
        ],
    ),
    ("Cookie", &[]),
    ("DNT", &["1"]),
    ("Device-Memory", &[]),
    ("Expect", &[]),
    ("Forwarded", &[]),
    ("If-Match", &[]),
    ("If-Modified-Since", &[]),
    ("If-None-Match", &[]),
    ("If-Range", &[]),
    ("If-Unmodified-Since", &[]),
    ("Keep-Alive", &[]),
    ("Origin", &[]),
    ("Pragma", &["no-cache"]),
    ("Priority", &["u=0", "u=0, i", "u=1", "u=1, i", "u=2", "u=2, i", "u=3", "u=4", "u=5", "u=6", "i"]),
    ("Purpose", &["prefetch"]),
    ("Range", &[]),
    ("Referer", &[]),
    ("Save-Data", &["on"]),
    ("Sec-CH-UA", &[]),
    ("Sec-CH-UA-Mobile", &["?0", "?1"]),
    ("Sec-CH-UA-Platform", &["\"Windows\"", "\"macOS\"", "\"Linux\"", "\"Android\"", "\"iOS\""]),
    (
        "Sec-Fetch-Dest",
        &["document", "empty", "font", "iframe", "image", "manifest", "script", "style", "video", "worker"],
    ),
    ("Sec-Fetch-Mode", &["cors", "navigate", "no-cors", "same-origin", "websocket"]),
    ("Sec-Fetch-Site", &["cross-site", "same-origin", "same-site", "none"]),
    ("Sec-Fetch-User", &["?1"]),
    ("Sec-GPC", &["1"]),
    ("Sec-Purpose", &["prefetch"]),
    ("TE", &["trailers"]),
    ("Upgrade", &["websocket"]),
    ("Upgrade-Insecure-Requests", &["1"]),
    ("Via", &[]),
    ("X-Forwarded-For", &[]),
    ("X-Forwarded-Host", &[]),
    ("X-Forwarded-Proto", &["http", "https"]),
    ("X-Real-IP", &[]),
    ("X-Request-ID", &[]),
    ("X-Requested-With", &["XMLHttpRequest", "fetch"]),
];

/// All names with their values; each name as HTTP/1.1 spells it and as HTTP/2 does.
pub(super) fn fields() -> impl Iterator<Item = (&'static [u8], &'static [&'static str])> {
    FIELDS.iter().map(|(name, values)| (name.as_bytes(), *values))
}

/// Names as they are sent, in the spelling of HTTP/1.1 or in small letters.
pub(super) fn names() -> impl Iterator<Item = &'static [u8]> {
    KNOWN.texts[..KNOWN.names].iter().map(|text| &**text)
}

/// A set of these texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WellKnown {
    /// One bit each; empty as long as there is none.
    words: Box<[u64]>,
}

impl WellKnown {
    /// Adds a text, if it is one of them.
    pub(super) fn insert(&mut self, text: &[u8]) {
        if let Some(number) = KNOWN.number(text) {
            if self.words.is_empty() {
                self.words = vec![0; KNOWN.texts.len().div_ceil(64)].into();
            }
            self.words[number / 64] |= 1 << (number % 64);
        }
    }

    /// Whether the text is in the set.
    #[inline]
    pub(super) fn contains(&self, text: &[u8]) -> bool {
        !self.words.is_empty()
            && KNOWN.number(text).is_some_and(|number| self.words[number / 64] >> (number % 64) & 1 == 1)
    }
}

/// The texts, numbered.
struct Known {
    texts: Vec<Box<[u8]>>,
    /// The first texts are names.
    names: usize,
    /// Number and one of a text, at the place of its mark or behind it.
    places: Box<[u16; PLACES]>,
    longest: usize,
}

const PLACES: usize = 2048;

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut texts: Vec<Box<[u8]>> = Vec::new();
    let mut add = |text: &[u8]| {
        if !texts.iter().any(|known| **known == *text) {
            texts.push(text.into());
        }
        texts.len()
    };
    let mut names = 0;
    for (name, _) in FIELDS {
        add(name.as_bytes());
        names = add(name.to_ascii_lowercase().as_bytes());
    }
    for value in FIELDS.iter().flat_map(|(_, values)| *values) {
        add(value.as_bytes());
    }
    let mut places = Box::new([0; PLACES]);
    for (number, text) in texts.iter().enumerate() {
        let mut place = mark(text);
        while places[place] != 0 {
            place = (place + 1) % PLACES;
        }
        places[place] = number as u16 + 1;
    }
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    Known { texts, names, places, longest }
});

/// Out of the length and five bytes: most other texts are told apart by that.
#[inline]
fn mark(text: &[u8]) -> usize {
    let last = text.len().saturating_sub(1);
    let sum = [0, last / 4, last / 2, last / 2 + last / 4, last]
        .into_iter()
        .fold(text.len(), |sum, at| sum.wrapping_mul(37) + usize::from(text.get(at).copied().unwrap_or(0)));
    (sum ^ sum >> 11) % PLACES
}

impl Known {
    #[inline]
    fn number(&self, text: &[u8]) -> Option<usize> {
        if text.len() > self.longest {
            return None;
        }
        let mut place = mark(text);
        loop {
            let number = usize::from(self.places[place]).checked_sub(1)?;
            if *self.texts[number] == *text {
                return Some(number);
            }
            place = (place + 1) % PLACES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_a_number_of_its_own() {
        for (number, text) in KNOWN.texts.iter().enumerate() {
            assert_eq!(KNOWN.number(text), Some(number));
        }
        assert!(KNOWN.texts.len() > 200 && KNOWN.texts.len() * 4 < PLACES);
        assert_eq!(KNOWN.number(b"Accept-Languages"), None);
        assert_eq!(KNOWN.number(b""), None);
        assert_eq!(KNOWN.number(&[b'a'; 300]), None);
    }

    #[test]
    fn a_set_has_what_was_added() {
        let mut set = WellKnown::default();
        assert!(!set.contains(b"keep-alive"));
        set.insert(b"keep-alive");
        set.insert(b"unheard of");
        assert!(set.contains(b"keep-alive"));
        assert!(!set.contains(b"close") && !set.contains(b"unheard of"));
    }
}
