//! Files: opening them, and `Include`.

use std::path::Path;
use std::sync::Arc;

use super::blocks::Blocks;
use super::chain::Chain;
use super::{Parser, next_step};
use crate::diagnostic::Diagnostic;
use crate::lexer::{Head, Lexer};
use crate::source::Span;
use crate::text::Text;

/// How deep files may include one another.
const DEEPEST: usize = 32;
/// How many files may be opened for one document, repeated ones counted each time.
const MOST_FILES: usize = 4096;
/// How many bytes of rules one document may have: the Core Rule Set has one million, and a rule in memory is some
/// fifty times its text.
const MOST_BYTES: usize = 16 << 20;

impl Parser<'_> {
    /// Reads a file; `from` is the argument of the `Include` that named it.
    pub(super) fn read_file(&mut self, path: &Path, from: Option<Span>) {
        match self.loader.read(path) {
            Ok(bytes) => self.read_text(path, bytes.into(), from),
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                self.report(Diagnostic::error(from, message).hint(next_step(&error)));
            }
        }
    }

    /// Reads the text of a file.
    pub(super) fn read_text(&mut self, path: &Path, text: Arc<[u8]>, from: Option<Span>) {
        if let Some((problem, hint)) = self.not_to_open(path, &text) {
            self.report(Diagnostic::error(from, problem).hint(hint));
            return;
        }
        let file = self.sources.add(path, text.clone());
        self.opened += 1;
        self.read += text.len();
        self.open.push(path.to_owned());
        let mut lexer = Lexer::new(file, &text);
        let mut chain = Chain::default();
        let mut blocks = Blocks::default();
        while let Some(head) = lexer.head() {
            if self.stopped() {
                break;
            }
            match head {
                Head::Block(line) => self.block(&mut blocks, &line),
                Head::Directive(_) if blocks.skipping() => lexer.skip_line(),
                Head::Directive(name) => self.directive(&name, &mut lexer, &mut chain),
            }
            for warning in lexer.warnings.drain(..) {
                self.report(warning);
            }
        }
        for warning in lexer.warnings.drain(..) {
            self.report(warning);
        }
        self.unfinished(&mut chain);
        self.unclosed(blocks);
        self.open.pop();
    }

    /// Why a file is not opened, and what to do about it.
    fn not_to_open(&self, path: &Path, text: &[u8]) -> Option<(String, &'static str)> {
        let shown = path.display();
        if self.open.iter().any(|open| open == path) {
            let hint = "remove this Include, or narrow its pattern so that it leaves the file out";
            return Some((format!("`{shown}` includes itself"), hint));
        }
        if self.open.len() >= DEEPEST {
            let hint = "include it from a file that is less deep";
            return Some((format!("`{shown}` is included more than {DEEPEST} files deep"), hint));
        }
        if self.opened >= MOST_FILES {
            let hint = "put the rules into fewer files";
            return Some((format!("more than {MOST_FILES} files are included"), hint));
        }
        if self.read + text.len() > MOST_BYTES {
            let hint =
                "leave out what is no rule file; lists belong into files of @pmFromFile or @ipMatchFromFile";
            return Some((
                format!("with `{shown}` there are more than {} MiB of rules", MOST_BYTES >> 20),
                hint,
            ));
        }
        None
    }

    /// `Include` and `IncludeOptional`.
    pub(super) fn include(&mut self, argument: &Text, optional: bool) {
        let span = argument.all().span();
        let path = self.resolve(&argument.lossy());
        let pattern = path.to_string_lossy().into_owned();
        if !crate::glob::is_pattern(&pattern) {
            if !optional || self.exists(&path) {
                self.read_file(&path, Some(span));
            }
            return;
        }
        match self.loader.glob(&pattern) {
            Ok(paths) if paths.is_empty() && !optional => self.report(
                Diagnostic::error(span, format!("no file matches `{pattern}`"))
                    .hint(
                        "only files in the folders of the rules are seen; use `IncludeOptional` when that is fine",
                    ),
            ),
            Ok(paths) => paths.iter().for_each(|path| self.read_file(path, Some(span))),
            Err(error) => self.error(span, format!("cannot list `{pattern}`: {error}")),
        }
    }

    /// Whether an optional file is there; one that is there and cannot be read is an error.
    fn exists(&self, path: &Path) -> bool {
        !matches!(self.loader.read(path), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
    }
}
