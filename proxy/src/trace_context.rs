//! W3C Trace Context, level 1: a `traceparent` that came is passed on as it is when it is valid, and replaced by a new
//! one when it is not (section 3.2.2 of the recommendation). Where traces are exported, the proxy is a span of its own.

use bytes::Bytes;

use crate::headers::Headers;

/// The one valid `traceparent`, as sent. Several, or a malformed one, are none.
pub fn traceparent(headers: &Headers) -> Option<&Bytes> {
    let mut all = headers.all("traceparent");
    let only = all.next().filter(|value| is_valid(value));
    only.filter(|_| all.next().is_none())
}

/// The proxy's part of a sampled trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceSpan {
    /// The trace, not 0.
    pub trace: u128,
    /// The proxy's span, not 0.
    pub span: u64,
    /// The client's span; none when the trace begins here.
    pub parent: Option<u64>,
}

impl TraceSpan {
    /// The proxy's span of the trace that a request belongs to; `None` when that is not sampled, or there is none.
    pub fn continuing(headers: &Headers, entropy: u64) -> Option<Self> {
        let text = str::from_utf8(traceparent(headers)?).ok()?;
        let part = |range| u64::from_str_radix(text.get::<std::ops::Range<usize>>(range)?, 16).ok();
        let trace = u128::from_str_radix(text.get(3..35)?, 16).ok()?;
        let sampled = part(53..55)? & 1 == 1;
        // Zero is no id.
        sampled.then_some(Self { trace, span: entropy | 1, parent: Some(part(36..52)?) })
    }

    /// The beginning of a trace.
    pub fn beginning(entropy: [u64; 3]) -> Self {
        let [high, low, span] = entropy;
        Self { trace: u128::from(high) << 64 | u128::from(low) | 1, span: span | 1, parent: None }
    }

    /// What a back end is told.
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace, self.span)
    }
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
    fn spans_continue_sampled_traces_only() {
        let parent = |text: &str| {
            let mut headers = Headers::default();
            headers.push("traceparent", text.to_owned());
            TraceSpan::continuing(&headers, 8)
        };
        let span = parent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!(span.traceparent(), "00-0af7651916cd43dd8448eb211c80319c-0000000000000009-01");
        assert_eq!(span.parent, Some(0xb7ad_6b71_6920_3331));
        assert_eq!(parent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"), None);
        assert!(parent("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-x").is_some());
        assert_eq!(parent("00-forged"), None);
        assert!(is_valid(TraceSpan::beginning([0, 0, 0]).traceparent().as_bytes()));
        assert_eq!(
            TraceSpan::beginning([1, 2, 4]),
            TraceSpan { trace: (1 << 64) | 3, span: 5, parent: None }
        );
    }

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
