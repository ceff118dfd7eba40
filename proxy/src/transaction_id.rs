//! Ids of transactions: unique over restarts and machines, sortable by time; or those that a trusted proxy chose.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::headers::Headers;

/// Lengths of ids that are taken over. They name files, and stand in logs and pages as they are.
const LENGTHS: std::ops::RangeInclusive<usize> = 20..=128;

/// Makes ids: 11 hexadecimal digits of milliseconds since 1970, 8 of a counter with a random start, 8 that are random
/// for this process. 27 characters.
#[derive(Debug)]
pub struct TransactionIds {
    process: u32,
    counter: AtomicU32,
}

impl TransactionIds {
    /// A generator with a random part of its own.
    pub fn new(random: u64) -> Self {
        Self { process: (random >> 32) as u32, counter: AtomicU32::new(random as u32) }
    }

    /// The next id, at this time since 1970.
    pub fn next(&self, now: Duration) -> String {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        // A step by an odd constant visits every value once, and neighbours do not look alike.
        let spread = counter.wrapping_mul(0x9E37_79B1);
        let mut id = String::with_capacity(27);
        push_hexadecimal(&mut id, now.as_millis() as u64, 11);
        push_hexadecimal(&mut id, u64::from(spread), 8);
        push_hexadecimal(&mut id, u64::from(self.process), 8);
        id
    }
}

/// The lowest digits of a number. Every request has some, and formatting machinery would cost as much as its routing.
fn push_hexadecimal(out: &mut String, number: u64, digits: u32) {
    let digit = |place: u32| char::from_digit((number >> (4 * place)) as u32 & 15, 16).unwrap_or_default();
    out.extend((0..digits).rev().map(digit));
}

/// The id that a proxy before us chose: the one `X-Request-Id` of 20 to 128 letters, digits and `+=._-`.
pub fn chosen_before(headers: &Headers) -> Option<String> {
    let mut all = headers.all("x-request-id");
    let (only, None) = (all.next()?, all.next()) else { return None };
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"+=._-".contains(byte);
    let text = str::from_utf8(only).ok()?;
    (LENGTHS.contains(&text.len()) && only.iter().all(legal)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_of_others_are_taken_over_where_they_are_harmless() {
        let chosen = |values: &[&str]| {
            let mut headers = Headers::default();
            values.iter().for_each(|value| headers.push("X-Request-ID", (*value).to_owned()));
            chosen_before(&headers)
        };
        let longest = "a".repeat(128);
        for good in ["0af7651916cd43dd8448eb211c80319c", "b5f0a1c6-5e5d-4a3c-8f0e-1234567890ab", &longest] {
            assert_eq!(chosen(&[good]).as_deref(), Some(good));
        }
        let long = "a".repeat(129);
        for bad in [
            "",
            "short",
            &long,
            "../../../../../../etc/passwd",
            "<b>0af7651916cd43dd8448eb21</b>",
            "0af7651916cd43dd 8448eb21",
        ] {
            assert_eq!(chosen(&[bad]), None, "{bad}");
        }
        assert_eq!(chosen(&[]), None);
        assert_eq!(chosen(&[&longest, &longest]), None);
    }

    #[test]
    fn ids_are_unique_and_long_enough() {
        let ids = TransactionIds::new(7 << 40 | 3);
        let made: HashSet<_> =
            (0..10_000).map(|_| ids.next(Duration::from_millis(1_700_000_000_000))).collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().all(|id| id.starts_with("18bcfe56800") && id.ends_with("00000700")));
        assert!(made.iter().all(|id| id.len() == 27 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
}
