//! Why a document does not compile.

use std::fmt;
use std::sync::Arc;

use hop3_seclang::diagnostic::Diagnostic;
use hop3_seclang::source::Sources;

/// All errors of a document, with their places.
#[derive(Clone, Debug)]
pub struct CompileError {
    /// At least one, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The files they speak about.
    pub sources: Arc<Sources>,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            f.write_str(&diagnostic.render(&self.sources))?;
        }
        Ok(())
    }
}

impl std::error::Error for CompileError {}
