//! Undoes codings, the last applied one first, each within the same limit.

use std::io::{ErrorKind, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::{Coding, Error};

/// Largest window of a zstd frame, in bytes; what receivers of HTTP have to
/// support and senders must not exceed (RFC 9659).
const ZSTD_WINDOW: u64 = 8 << 20;
/// Bytes that are decoded at a time.
const PIECE: usize = 16 * 1024;

/// What a body decodes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The bytes, at most as many as the limit; after an error those before it.
    pub bytes: Vec<u8>,
    /// Whether there would have been more bytes than the limit.
    pub over_limit: bool,
    /// Why the bytes are not all there is.
    pub error: Option<Error>,
}

impl Decoded {
    /// Appends what fits; whether all did.
    fn take(&mut self, piece: &[u8], limit: usize) -> bool {
        let room = limit.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        self.over_limit = piece.len() > room;
        !self.over_limit
    }
}

/// Undoes `codings` (in the order they were applied) on `body`. No stage
/// yields more than `limit` bytes, so time and memory are bounded by the sizes
/// of `body` and `limit`, whatever the content.
pub fn decode(codings: &[Coding], body: &[u8], limit: usize) -> Decoded {
    let Some((last, earlier)) = codings.split_last() else { return identity(body, limit) };
    let mut before = undo(*last, body, limit);
    for coding in earlier.iter().rev() {
        let mut stage = undo(*coding, &before.bytes, limit);
        // A stage that was cut makes all that follow incomplete: its own fault, not theirs.
        if before.over_limit || before.error.is_some() {
            stage.error = None;
        }
        stage.over_limit |= before.over_limit;
        stage.error = before.error.or(stage.error);
        before = stage;
    }
    before
}

fn identity(body: &[u8], limit: usize) -> Decoded {
    let bytes = body[..body.len().min(limit)].to_vec();
    Decoded { over_limit: bytes.len() < body.len(), bytes, error: None }
}

fn undo(coding: Coding, input: &[u8], limit: usize) -> Decoded {
    let mut decoded = Decoded::default();
    let whole = match coding {
        Coding::Gzip => {
            let mut rest = input;
            read(MultiGzDecoder::new(&mut rest), limit, &mut decoded) && rest.is_empty()
        }
        Coding::Deflate => return deflate(input, limit),
        Coding::Brotli => brotli(input, limit, &mut decoded),
        Coding::Zstd => zstd(input, limit, &mut decoded),
    };
    decoded.error = (!whole && !decoded.over_limit).then_some(Error::Damaged(coding));
    decoded
}

/// The standard means zlib's format; a stream that is none is read as bare
/// deflate, as browsers and servers do.
fn deflate(input: &[u8], limit: usize) -> Decoded {
    let mut zlib = Decoded::default();
    let mut rest = input;
    let whole = read(ZlibDecoder::new(&mut rest), limit, &mut zlib) && rest.is_empty();
    if whole || zlib.over_limit {
        return zlib;
    }
    let mut bare = Decoded::default();
    let mut rest = input;
    let whole = read(DeflateDecoder::new(&mut rest), limit, &mut bare) && rest.is_empty();
    if whole || bare.over_limit {
        return bare;
    }
    let mut longer = if bare.bytes.len() > zlib.bytes.len() { bare } else { zlib };
    longer.error = Some(Error::Damaged(Coding::Deflate));
    longer
}

/// Through the decoder's own interface: its reader does not tell what follows the stream.
fn brotli(input: &[u8], limit: usize, decoded: &mut Decoded) -> bool {
    let mut state =
        BrotliState::new(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
    let (mut left, mut at, mut total) = (input.len(), 0, 0);
    let mut piece = [0; PIECE];
    loop {
        let (mut room, mut filled) = (PIECE, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            input,
            &mut room,
            &mut filled,
            &mut piece,
            &mut total,
            &mut state,
        );
        if !decoded.take(&piece[..filled], limit) {
            return false;
        }
        match result {
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultSuccess => return left == 0,
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => return false,
        }
    }
}

/// Frames one after the other; skippable ones hold no content.
fn zstd(input: &[u8], limit: usize, decoded: &mut Decoded) -> bool {
    let mut rest = input;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(ZSTD_WINDOW);
    while !rest.is_empty() {
        match StreamingDecoder::new_with_decoder(&mut rest, &mut decoder) {
            Ok(frame) => {
                if !read(frame, limit, decoded) {
                    return false;
                }
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => match rest.get(length as usize..) {
                Some(after) => rest = after,
                None => return false,
            },
            Err(_) => return false,
        }
    }
    // Not even one frame is no stream.
    !input.is_empty()
}

/// Appends what `source` yields, up to the limit; whether it ended well.
fn read(mut source: impl Read, limit: usize, decoded: &mut Decoded) -> bool {
    let mut piece = [0; PIECE];
    loop {
        match source.read(&mut piece) {
            Ok(0) => return true,
            Ok(length) => {
                if !decoded.take(&piece[..length], limit) {
                    return false;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}
