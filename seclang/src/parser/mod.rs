//! From text to the tree: files, includes, errors, and what must hold over all files.
//!
//! One [`Parser`] reads several files in order, so that ids are unique and
//! settings are in sequence over the engine's configuration, the rule set and
//! the app's own tuning. Each kind of argument has its own module.

mod actions;
mod arguments;
mod blocks;
mod chain;
mod ctl;
mod directive;
mod fragment;
mod include;
mod items;
mod operator;
mod rule;
mod setting;
mod setvar;
mod target;
mod update;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use fragment::Fragment;

use crate::ast::{Directive, DirectiveKind, Document, IdRange, Phase, RemoteRulesFailAction};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::loader::Loader;
use crate::source::{Sources, Span};

/// Errors after which reading stops: more would not help anyone.
const MOST_ERRORS: usize = 100;
/// Warnings that are kept.
const MOST_WARNINGS: usize = 1000;

/// How strict the reader is where ModSecurity v3 accepts what cannot be meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Every rule has one id, every chain an end.
    #[default]
    Strict,
    /// As ModSecurity v3: a `SecAction` may lack an id (it gets 0), the last of two ids counts, and a chain
    /// without an end is left out. Each is a warning. For running v3's own tests.
    ModSecurity3,
}

/// Reads files in order into one document.
pub struct Parser<'l> {
    loader: &'l dyn Loader,
    dialect: Dialect,
    sources: Sources,
    directives: Vec<Directive>,
    findings: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    /// Where each rule id was used.
    ids: BTreeMap<u64, Span>,
    /// Ids that were given free again.
    removed: Vec<IdRange>,
    /// Where each phase's default action was set.
    defaults: HashMap<Phase, Span>,
    /// Data files already read.
    data: HashMap<PathBuf, Arc<[u8]>>,
    /// `SecRemoteRulesFailAction` so far.
    remote_rules_fail_action: RemoteRulesFailAction,
    /// The files that are being read, outermost first.
    open: Vec<PathBuf>,
    /// Files opened so far.
    opened: usize,
    /// Bytes of all of them.
    read: usize,
    /// What was read before and is still to be put in.
    fragment: Option<&'l Fragment>,
}

impl<'l> Parser<'l> {
    /// With nothing read yet.
    pub fn new(loader: &'l dyn Loader) -> Self {
        Self {
            loader,
            dialect: Dialect::default(),
            sources: Sources::default(),
            directives: Vec::new(),
            findings: Vec::new(),
            errors: 0,
            warnings: 0,
            ids: BTreeMap::new(),
            removed: Vec::new(),
            defaults: HashMap::new(),
            data: HashMap::new(),
            remote_rules_fail_action: RemoteRulesFailAction::Abort,
            open: Vec::new(),
            opened: 0,
            read: 0,
            fragment: None,
        }
    }

    /// With another strictness.
    #[must_use]
    pub fn dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// Reads a file and everything it includes.
    pub fn file(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.read_file(path.as_ref(), None);
        self
    }

    /// Reads text as if it were a file of that name.
    pub fn text(&mut self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) -> &mut Self {
        self.read_text(name.as_ref(), text.as_ref().into(), None);
        self
    }

    /// The document, or everything that is wrong with it.
    pub fn finish(self) -> Result<Document, Diagnostics> {
        let sources = Arc::new(self.sources);
        if self.errors > 0 {
            return Err(Diagnostics { list: self.findings, sources });
        }
        Ok(Document { directives: self.directives, sources, warnings: self.findings })
    }

    /// Whether so much is wrong that reading on is pointless.
    fn stopped(&self) -> bool {
        self.errors >= MOST_ERRORS
    }

    /// Keeps a finding, within bounds.
    fn report(&mut self, diagnostic: Diagnostic) {
        let (count, most) = match diagnostic.severity {
            Severity::Error => (&mut self.errors, MOST_ERRORS),
            Severity::Warning | Severity::Info => (&mut self.warnings, MOST_WARNINGS),
        };
        if *count >= most {
            return;
        }
        *count += 1;
        self.findings.push(diagnostic);
        if self.errors == MOST_ERRORS {
            self.errors += 1;
            let stopped = Diagnostic::error(None, "too many errors; reading stopped here");
            self.findings
                .push(stopped.hint("correct those above first, and check that these are rule files"));
        }
    }

    /// Reports what only the strict dialect refuses.
    fn report_strict(&mut self, mut error: Diagnostic) {
        if self.dialect == Dialect::ModSecurity3 {
            error.severity = Severity::Warning;
        }
        self.report(error);
    }

    fn error(&mut self, span: Span, message: impl Into<String>) {
        self.report(Diagnostic::error(span, message));
    }

    fn warn(&mut self, span: Span, message: impl Into<String>) {
        self.report(Diagnostic::warning(span, message));
    }

    fn emit(&mut self, span: Span, kind: DirectiveKind) {
        self.directives.push(Directive { span, kind });
    }

    /// A path as the file that is being read means it: relative to its folder.
    fn resolve(&self, path: &str) -> PathBuf {
        match self.open.last().and_then(|file| file.parent()) {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }

    /// The bytes of a data file, read once.
    fn data_file(&mut self, path: &Path, span: Span) -> Option<Arc<[u8]>> {
        if let Some(bytes) = self.data.get(path) {
            return Some(bytes.clone());
        }
        match self.loader.read(path) {
            Ok(bytes) => {
                let bytes: Arc<[u8]> = bytes.into();
                self.data.insert(path.to_owned(), bytes.clone());
                Some(bytes)
            }
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                self.report(Diagnostic::error(span, message).hint(next_step(&error)));
                None
            }
        }
    }
}

/// What to do about a file that cannot be read.
fn next_step(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "put it into the folder of the rules, where the owner of the rules may read it"
        }
        std::io::ErrorKind::NotFound => "relative paths start at the folder of the file that names them",
        _ => "name a regular file",
    }
}

/// `did you mean …?`, when a name is near.
fn did_you_mean<'a>(
    diagnostic: Diagnostic,
    wrong: &str,
    prefix: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    match crate::names::nearest(wrong, names) {
        Some(name) => diagnostic.hint(format!("did you mean `{prefix}{name}`?")),
        None => diagnostic,
    }
}
/// As [`did_you_mean`]; where no name is near, that there is none.
fn unknown_name<'a>(
    diagnostic: Diagnostic,
    wrong: &str,
    prefix: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let diagnostic = did_you_mean(diagnostic, wrong, prefix, names);
    if diagnostic.hint.is_some() {
        return diagnostic;
    }
    diagnostic.hint("neither ModSecurity nor Coraza has one of that name: correct it, or remove it")
}
