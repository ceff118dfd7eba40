//! Streams that the framing layer resets as malformed before anybody hears of their requests: seen in the frames that it
//! writes.

use h2::Reason;

/// Bytes of a frame's header, and of a RST_STREAM frame (RFC 9113 sections 4.1 and 6.4).
const HEADER: usize = 9;
const RESET: usize = HEADER + 4;
/// The type of a RST_STREAM frame.
const RST_STREAM: u8 = 3;

/// Follows the frames of one direction, however they are cut into writes.
#[derive(Debug, Default)]
pub struct Resets {
    /// The frame's first bytes.
    head: [u8; RESET],
    filled: usize,
    /// Bytes of its payload that are still to pass.
    payload: usize,
}

impl Resets {
    /// How many streams end as malformed with these further bytes.
    pub fn follow(&mut self, mut bytes: &[u8]) -> usize {
        let mut malformed = 0;
        while !bytes.is_empty() {
            if self.payload > 0 {
                let passed = self.payload.min(bytes.len());
                self.payload -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let wanted = if self.filled < HEADER { HEADER } else { RESET };
            let taken = (wanted - self.filled).min(bytes.len());
            let (now, later) = bytes.split_at(taken);
            self.head[self.filled..self.filled + taken].copy_from_slice(now);
            self.filled += taken;
            bytes = later;
            let [l1, l2, l3, kind, .., c1, c2, c3, c4] = self.head;
            match self.filled {
                // One of any other length would be followed like one that is no reset.
                HEADER if kind != RST_STREAM || [l1, l2, l3] != [0, 0, 4] => {
                    self.payload = u32::from_be_bytes([0, l1, l2, l3]) as usize;
                    self.filled = 0;
                }
                RESET => {
                    let reason = Reason::from(u32::from_be_bytes([c1, c2, c3, c4]));
                    malformed += usize::from(reason == Reason::PROTOCOL_ERROR);
                    self.filled = 0;
                }
                _ => {}
            }
        }
        malformed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn resets_are_found_however_frames_are_cut() {
        let malformed = frame(RST_STREAM, &[0, 0, 0, 1]);
        let frames = [
            frame(0, &malformed.repeat(30)),
            malformed.clone(),
            frame(RST_STREAM, &[0, 0, 0, 8]),
            frame(4, &[]),
            frame(1, &[3; 300]),
            malformed.clone(),
            malformed,
        ]
        .concat();
        for size in 1..=frames.len() {
            let mut resets = Resets::default();
            let found: usize = frames.chunks(size).map(|piece| resets.follow(piece)).sum();
            assert_eq!(found, 3, "in pieces of {size}");
        }
    }
}
