//! Content codings: any bytes decode to no more than the limit, or say why not.

use hop3_codings::{Coding, decode, parse};

/// Limits of decoded bytes: one that streams reach, and one that few do.
const LIMITS: [usize; 2] = [100, 1 << 16];

/// The first line is the value of Content-Encoding, the rest the body.
pub(super) fn undo(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (list, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let codings = match parse(list) {
        Ok(codings) => codings,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let [short, long] = LIMITS.map(|limit| {
        let decoded = decode(&codings, body, limit);
        assert!(decoded.bytes.len() <= limit, "{} bytes, the limit is {limit}", decoded.bytes.len());
        decoded
    });
    if codings.is_empty() {
        assert_eq!(long.bytes, &body[..body.len().min(LIMITS[1])]);
    }
    // A bare deflate stream may be taken for zlib's up to any point: which of both tells more depends on the limit.
    if !codings.contains(&Coding::Deflate) {
        // A damaged stage of several gives what came in whole pieces before the damage, and where pieces end depends on the limit.
        if codings.len() == 1 || long.error.is_none() {
            assert!(long.bytes.starts_with(&short.bytes), "a larger limit changes what comes first");
        }
        assert!(
            short.over_limit || codings.len() > 1 || short == long,
            "the limit changes what it does not reach"
        );
    }
}
