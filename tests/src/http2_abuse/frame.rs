//! Frames (RFC 9113 section 4), any type, any flags, any payload.

/// The frame types of RFC 9113 section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum Kind {
    Data = 0,
    Headers = 1,
    Priority = 2,
    RstStream = 3,
    Settings = 4,
    PushPromise = 5,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
}

/// The flags of RFC 9113 section 6.
#[expect(missing_docs, reason = "the names are the standard's")]
pub mod flags {
    pub const NONE: u8 = 0;
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Type, as a number: unknown ones must be possible.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream, 31 bits.
    pub stream: u32,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame of a known type.
    pub fn new(kind: Kind, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind: kind as u8, flags, stream, payload: payload.into() }
    }

    /// A complete header block in one frame.
    pub fn headers(stream: u32, end_stream: bool, block: impl Into<Vec<u8>>) -> Self {
        Self::new(Kind::Headers, flags::END_HEADERS | u8::from(end_stream), stream, block)
    }

    /// A piece of a body.
    pub fn data(stream: u32, end_stream: bool, data: impl Into<Vec<u8>>) -> Self {
        Self::new(Kind::Data, u8::from(end_stream), stream, data)
    }

    /// A settings frame with these identifiers and values.
    pub fn settings(values: &[(u16, u32)]) -> Self {
        let mut payload = Vec::with_capacity(values.len() * 6);
        for (identifier, value) in values {
            payload.extend_from_slice(&identifier.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        Self::new(Kind::Settings, flags::NONE, 0, payload)
    }

    /// A reset with an error code.
    pub fn reset(stream: u32, code: u32) -> Self {
        Self::new(Kind::RstStream, flags::NONE, stream, code.to_be_bytes())
    }

    /// A window update.
    pub fn window(stream: u32, increment: u32) -> Self {
        Self::new(Kind::WindowUpdate, flags::NONE, stream, increment.to_be_bytes())
    }

    /// Whether it is of this type.
    pub const fn is(&self, kind: Kind) -> bool {
        self.kind == kind as u8
    }

    /// Whether these flags are set.
    pub const fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// The big-endian number at this place of the payload; 0 where the payload is too short.
    pub fn number(&self, at: usize) -> u32 {
        let bytes = self.payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    }

    /// Appends the frame as bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.payload.len() as u32).to_be_bytes()[1..]);
        out.extend_from_slice(&[self.kind, self.flags]);
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(&self.payload);
    }

    /// Takes a complete frame off the front of `buffer`.
    pub fn take(buffer: &mut Vec<u8>) -> Option<Self> {
        let head: [u8; 9] = buffer.get(..9)?.try_into().ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = buffer.get(9..9 + length)?.to_vec();
        buffer.drain(..9 + length);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Some(Self { kind: head[3], flags: head[4], stream, payload })
    }
}
