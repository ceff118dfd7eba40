//! Apache's blocks around directives: only `<IfModule>` has a meaning here.

use super::Parser;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::text::Text;

/// The blocks that are open in one file.
#[derive(Default)]
pub(super) struct Blocks {
    open: Vec<Block>,
}

struct Block {
    name: String,
    span: Span,
    skips: bool,
}

impl Blocks {
    /// Whether directives are left out here.
    pub fn skipping(&self) -> bool {
        self.open.iter().any(|block| block.skips)
    }
}

impl Parser<'_> {
    /// Opens or closes a block.
    pub(super) fn block(&mut self, blocks: &mut Blocks, line: &Text) {
        let span = line.span;
        let text = line.lossy();
        let inside = text.trim_start_matches('<').trim_end_matches('>').trim();
        if let Some(name) = inside.strip_prefix('/') {
            match blocks.open.pop() {
                Some(block) if block.name.eq_ignore_ascii_case(name.trim()) => {}
                Some(block) => {
                    let message = format!("`{text}` closes `<{}>`", block.name);
                    self.report(Diagnostic::error(span, message).label(block.span, "opened here"));
                }
                None => self.error(span, format!("`{text}` closes nothing")),
            }
            return;
        }
        let (name, condition) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        if !name.eq_ignore_ascii_case("IfModule") && !blocks.skipping() {
            self.report(Diagnostic::error(span, format!("the block `<{name}>` has no meaning here")).hint(
                "write a rule on REQUEST_FILENAME or SERVER_NAME with `ctl`, or tune the app's own rules",
            ));
        }
        let condition = condition.trim().to_ascii_lowercase();
        let ours = condition.trim_start_matches('!').contains("security");
        let skips = name.eq_ignore_ascii_case("IfModule") && ours == condition.starts_with('!');
        blocks.open.push(Block { name: name.to_owned(), span, skips });
    }

    /// Complains about blocks that the file leaves open.
    pub(super) fn unclosed(&mut self, blocks: Blocks) {
        for block in blocks.open {
            self.error(block.span, format!("`<{}>` is never closed", block.name));
        }
    }
}
