//! Streams of each coding: whole, cut, damaged, nested, and bombs.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[allow(dead_code, reason = "each file of tests uses a part")]
#[path = "../../../tests/src/processor_time.rs"]
mod processor_time;

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use hop3_codings::{Coding, Error, decode, parse};

const LIMIT: usize = 1 << 20;
/// Most time of a processor for a bomb, unless a smaller one takes as long.
const MOST: Duration = Duration::from_secs(2);

/// Brotli of `hello, brotli! ` eight times, by the reference encoder.
const BROTLI: &[u8] = include_bytes!("data/hello.br");

fn text() -> Vec<u8> {
    (0..3000_u32)
        .flat_map(|number| format!("line {number}: id=1' OR {}\n", number * 7919 % 1009).into_bytes())
        .collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bare(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Each coding with a stream of it and its content.
fn streams() -> Vec<(Coding, Vec<u8>, Vec<u8>)> {
    let text = text();
    vec![
        (Coding::Gzip, gzip(&text), text.clone()),
        (Coding::Deflate, zlib(&text), text.clone()),
        (Coding::Deflate, bare(&text), text.clone()),
        (Coding::Zstd, zstd(&text), text.clone()),
        (Coding::Brotli, BROTLI.to_vec(), b"hello, brotli! ".repeat(8)),
    ]
}

#[test]
fn whole_streams() {
    for (coding, stream, content) in streams() {
        let decoded = decode(&[coding], &stream, LIMIT);
        assert_eq!((decoded.error, decoded.over_limit), (None, false), "{coding}");
        assert!(decoded.bytes == content, "{coding}");
        // Exactly the limit is within the limit.
        let decoded = decode(&[coding], &stream, content.len());
        assert_eq!((decoded.error, decoded.over_limit), (None, false), "{coding}");
        let decoded = decode(&[coding], &stream, content.len() - 1);
        assert_eq!((decoded.error, decoded.over_limit), (None, true), "{coding}");
        assert!(decoded.bytes == content[..content.len() - 1], "{coding}");
    }
    let decoded = decode(&[], b"abc", 2);
    assert_eq!((decoded.bytes.as_slice(), decoded.over_limit), (&b"ab"[..], true));
}

#[test]
fn cut_and_damaged_streams_are_errors() {
    for (coding, stream, content) in streams() {
        for length in (0..stream.len()).step_by(1 + stream.len() / 97) {
            let decoded = decode(&[coding], &stream[..length], LIMIT);
            assert!(decoded.error == Some(Error::Damaged(coding)), "{coding} cut at {length}");
            assert!(content.starts_with(&decoded.bytes), "{coding} cut at {length}");
        }
        let half = decode(&[coding], &stream[..stream.len() / 2], LIMIT);
        assert!(coding == Coding::Brotli || coding == Coding::Zstd || !half.bytes.is_empty(), "{coding}");
        let followed = [stream.as_slice(), b"rest of another request"].concat();
        let decoded = decode(&[coding], &followed, LIMIT);
        assert_eq!(decoded.error, Some(Error::Damaged(coding)), "{coding}");
        for at in (0..stream.len()).step_by(1 + stream.len() / 499) {
            let mut damaged = stream.clone();
            damaged[at] ^= 0x55;
            // Whatever comes out, it comes without a panic and within the limit.
            assert!(decode(&[coding], &damaged, LIMIT).bytes.len() <= LIMIT);
        }
        assert_eq!(decode(&[coding], b"id=1", LIMIT).error, Some(Error::Damaged(coding)), "{coding}");
    }
}

#[test]
fn several_codings_and_several_members() {
    let codings = parse(b"deflate, zstd, gzip").unwrap();
    let stream = gzip(&zstd(&zlib(b"id=1")));
    assert_eq!(decode(&codings, &stream, LIMIT).bytes, b"id=1");
    let wrong_order = parse(b"gzip, zstd, deflate").unwrap();
    assert_eq!(decode(&wrong_order, &stream, LIMIT).error, Some(Error::Damaged(Coding::Deflate)));
    let members = [gzip(b"id="), gzip(b""), gzip(b"1")].concat();
    assert_eq!(decode(&[Coding::Gzip], &members, LIMIT).bytes, b"id=1");
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9][..], &zstd(b"id="), &zstd(b"1")].concat();
    assert_eq!(decode(&[Coding::Zstd], &skippable, LIMIT).bytes, b"id=1");
}

#[test]
fn bombs_stop_at_the_limit() {
    let zeros = vec![0; 64 << 20];
    let bombs = |zeros: &[u8]| {
        [
            (Coding::Gzip, gzip(zeros)),
            (Coding::Deflate, zlib(zeros)),
            (Coding::Deflate, bare(zeros)),
            (Coding::Zstd, zstd(zeros)),
        ]
    };
    for ((coding, stream), (_, eighth)) in bombs(&zeros).iter().zip(bombs(&zeros[..8 << 20])) {
        let decoded = decode(&[*coding], stream, LIMIT);
        assert_eq!((decoded.bytes.len(), decoded.over_limit, decoded.error), (LIMIT, true, None), "{coding}");
        let cost = |stream: &[u8]| processor_time::of(MOST, || drop(decode(&[*coding], stream, LIMIT)));
        let took = cost(stream);
        assert!(took < MOST || took < cost(&eighth) * 4, "{coding} took {took:?}");
    }
    let nested = gzip(&gzip(&gzip(&zeros)));
    let decoded = decode(&[Coding::Gzip; 3], &nested, LIMIT);
    assert!(decoded.over_limit && decoded.bytes.len() <= LIMIT);
}

#[test]
fn noise_never_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..4000 {
        let mut noise: Vec<u8> = (0..round % 300)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        for (coding, magic) in [
            (Coding::Gzip, &[0x1f, 0x8b, 8, 0][..]),
            (Coding::Deflate, &[0x78, 0x9c]),
            (Coding::Brotli, &[]),
            (Coding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd]),
        ] {
            assert!(decode(&[coding], &noise, LIMIT).bytes.len() <= LIMIT);
            noise.splice(0..0, magic.iter().copied());
            assert!(decode(&[coding], &noise, LIMIT).bytes.len() <= LIMIT);
            noise.drain(..magic.len());
        }
    }
}
