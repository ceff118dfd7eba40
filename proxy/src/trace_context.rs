//! W3C Trace Context, level 1: a `traceparent` that came is passed on as it is when it is valid, and replaced by a new
//! one when it is not (section 3.2.2 of the recommendation).

use bytes::Bytes;

use crate::headers::Headers;

/// The one valid `traceparent`, as sent. Several, or a malformed one, are none.
pub fn traceparent(headers: &Headers) -> Option<&Bytes> {
    let mut all = headers.all("traceparent");
    let only = all.next().filter(|value| is_valid(value));
    only.filter(|_| all.next().is_none())
}

/// A new trace in version 00, not sampled: the back end decides.
pub fn new_traceparent(entropy: [u64; 3]) -> String {
    // Zero is no id.
    let [high, low, span] = entropy.map(|random| random | 1);
    format!("00-{high:016x}{low:016x}-{span:016x}-00")
}

/// `version "-" trace-id "-" parent-id "-" trace-flags`, lower-case hexadecimal, no id of zeros. Later versions may carry
/// more behind the flags.
fn is_valid(value: &[u8]) -> bool {
    let hexadecimal = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let not_zero = |part: &[u8]| part.iter().any(|byte| *byte != b'0');
    let Some((fixed, rest)) = value.split_at_checked(55) else { return false };
    let (version, trace, parent, flags) = (&fixed[..2], &fixed[3..35], &fixed[36..52], &fixed[53..55]);
    let dashes = [fixed[2], fixed[35], fixed[52]] == [b'-'; 3];
    let ends = match version {
        b"00" => rest.is_empty(),
        b"ff" => false,
        _ => rest.is_empty() || rest[0] == b'-',
    };
    dashes
        && ends
        && [version, trace, parent, flags].into_iter().all(hexadecimal)
        && not_zero(trace)
        && not_zero(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_and_invalid_parents() {
        let good = [
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ];
        let bad = [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01what",
            "00-0af7651916cd43dd8448eb211c80319x-b7ad6b7169203331-01",
        ];
        for (texts, valid) in [(&good[..], true), (&bad[..], false)] {
            for text in texts {
                let mut headers = Headers::default();
                headers.push("TraceParent", *text);
                assert_eq!(traceparent(&headers).is_some(), valid, "{text}");
                headers.push("traceparent", *text);
                assert!(traceparent(&headers).is_none(), "twice");
            }
        }
        assert!(is_valid(new_traceparent([0, 0, 0]).as_bytes()));
        assert!(is_valid(new_traceparent([u64::MAX, 5, 1 << 60]).as_bytes()));
    }
}
