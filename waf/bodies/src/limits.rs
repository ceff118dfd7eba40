//! The bounds that keep a hostile body from costing more than its own size.

/// Bounds shared by all processors. Crossing one is always visible in the
/// result of the processor, never silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most arguments one body may yield: form pairs, multipart fields, JSON
    /// leaves, XML attributes (`SecArgumentsLimit`, less those already held).
    pub arguments: usize,
    /// Most bytes all flattened JSON names may take together. Names repeat the
    /// path of their parents, so they can outgrow the body many times.
    pub name_bytes: usize,
    /// Deepest nesting of JSON containers or XML elements, the outermost
    /// counted as 1 (`SecRequestBodyJsonDepthLimit`).
    pub depth: usize,
    /// Most uploaded files in one multipart body (`SecUploadFileLimit`).
    pub files: usize,
}

impl Default for Limits {
    /// The values of ModSecurity's recommended configuration: 1000 arguments,
    /// depth 512, 100 files; and 16 MiB of JSON names.
    fn default() -> Self {
        Self { arguments: 1000, name_bytes: 16 << 20, depth: 512, files: 100 }
    }
}

impl Limits {
    /// Bounds that only memory enforces, for callers that limit elsewhere.
    pub const UNBOUNDED: Self =
        Self { arguments: usize::MAX, name_bytes: usize::MAX, depth: usize::MAX, files: usize::MAX };
}
