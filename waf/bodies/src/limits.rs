//! The bounds that keep a hostile body from costing more than its own size.

/// Bounds shared by all processors. Crossing one is always visible in the
/// result of the processor, never silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most arguments one body may yield: form pairs, multipart fields, JSON
    /// leaves, XML attributes (`SecArgumentsLimit`, less those already held).
    pub arguments: usize,
    /// Most bytes all flattened JSON names may take together. Names repeat the
    /// path of their parents, so they can outgrow the body many times: see
    /// [`Limits::names_of`].
    pub name_bytes: usize,
    /// Deepest nesting of JSON containers or XML elements, the outermost
    /// counted as 1 (`SecRequestBodyJsonDepthLimit`).
    pub depth: usize,
    /// Most uploaded files in one multipart body (`SecUploadFileLimit`).
    pub files: usize,
}

/// What names of JSON values may take for each permitted argument.
const NAME_BYTES_OF_ARGUMENT: usize = 256;
/// What they may take for each byte of the body.
const NAME_BYTES_OF_BYTE: usize = 2;
/// What they may take in any case.
const MOST_NAME_BYTES: usize = 16 << 20;

impl Default for Limits {
    /// The values of ModSecurity's recommended configuration: 1000 arguments,
    /// depth 512, 100 files; and 16 MiB of JSON names.
    fn default() -> Self {
        Self { arguments: 1000, name_bytes: MOST_NAME_BYTES, depth: 512, files: 100 }
    }
}

impl Limits {
    /// A bound on names that hostile bodies meet and documents do not: 256 bytes
    /// for each permitted argument and two for each byte of the body, 16 MiB at
    /// most. It takes a thousand values whose paths are 256 bytes long each, in a
    /// body half as long as its names, to meet it. Without it 8 KiB, of which
    /// half are a key over a thousand values, make 4 MB of names to inspect.
    #[must_use]
    pub const fn names_of(arguments: usize, body: usize) -> usize {
        let names = arguments.saturating_mul(NAME_BYTES_OF_ARGUMENT);
        let names = names.saturating_add(body.saturating_mul(NAME_BYTES_OF_BYTE));
        if names < MOST_NAME_BYTES { names } else { MOST_NAME_BYTES }
    }

    /// Bounds that only memory enforces, for callers that limit elsewhere.
    pub const UNBOUNDED: Self =
        Self { arguments: usize::MAX, name_bytes: usize::MAX, depth: usize::MAX, files: usize::MAX };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_by_the_body_and_by_what_is_permitted() {
        assert_eq!(Limits::names_of(1000, 0), 256_000);
        assert_eq!(Limits::names_of(1000, 8192), 272_384);
        assert_eq!(Limits::names_of(usize::MAX, 8192), 16 << 20);
        assert_eq!(Limits::names_of(1000, usize::MAX), 16 << 20);
    }
}
