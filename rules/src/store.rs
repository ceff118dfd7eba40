//! Installed rulesets on disk, and the one document that an application's engine reads.
//!
//! Layout below the store's root:
//!
//! ```text
//! owasp-crs/current           the version in use, one line
//! owasp-crs/4.28.0/           crs-setup.conf[.example], rules/, plugins/, manifest.json
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hop3_seclang::Parser;
use hop3_seclang::ast::Document;
use hop3_seclang::loader::{Files, MemoryLoader};

use crate::error::RulesError;
use crate::install::{self, Installed, Source};
use crate::parsed::{Kept, Parsed};
use crate::selection::{RulesetName, Selection};
use crate::{Version, base, digest, setup};

const MANIFEST: &str = "manifest.json";

/// The rulesets of one server.
#[derive(Clone, Debug)]
pub struct Store {
    crs: PathBuf,
    /// What assembling leaves for the next application, when it is to.
    kept: Option<Arc<Kept>>,
}

/// A ruleset's document with what it is called.
#[derive(Debug)]
pub struct Assembled {
    /// All directives, ready to be compiled.
    pub document: Document,
    /// `base`, `owasp-crs` or a path.
    pub name: String,
    /// Version of the ruleset, where it has one.
    pub version: Option<String>,
}

/// The outcome of comparing an installed version with what was installed.
#[derive(Debug)]
pub struct Verification {
    /// What was installed.
    pub installed: Installed,
    /// Each changed, missing or additional file in words; empty when all is well.
    pub changes: Vec<String>,
}

impl Store {
    /// Opens the store below `root`, which is made when it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, RulesError> {
        let crs = root.as_ref().join("owasp-crs");
        fs::create_dir_all(&crs).map_err(RulesError::file("create", &crs))?;
        Ok(Self { crs, kept: None })
    }

    /// From now on the Core Rule Set that was assembled last stays parsed, some 6 MB, until [`Store::forget`]: for those
    /// who assemble the documents of many applications.
    #[must_use]
    pub fn keeping(self) -> Self {
        Self { kept: Some(Arc::default()), ..self }
    }

    /// Gives up what [`Store::keeping`] has kept so far.
    pub fn forget(&self) {
        if let Some(kept) = &self.kept {
            kept.forget();
        }
    }

    /// Installed versions, oldest first.
    ///
    /// # Errors
    /// When a folder or manifest cannot be read.
    pub fn installed(&self) -> Result<Vec<Installed>, RulesError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.crs).map_err(RulesError::file("read", &self.crs))? {
            let entry = entry.map_err(RulesError::file("read", &self.crs))?;
            if entry.file_name().to_str().is_some_and(|name| name.parse::<Version>().is_ok()) {
                found.push(self.manifest(&entry.path())?);
            }
        }
        found.sort_by(|a, b| a.version.cmp(&b.version));
        Ok(found)
    }

    /// The version that `ruleset = "owasp-crs"` means.
    ///
    /// # Errors
    /// When the file that names it cannot be read.
    pub fn current(&self) -> Result<Option<Version>, RulesError> {
        let path = self.crs.join("current");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RulesError::file("read", path)(error)),
        }
    }

    /// Switches to an installed version, after it was verified and parsed whole.
    ///
    /// # Errors
    /// When it is not installed, was changed, or has errors; the version in use stays.
    pub fn use_version(&self, version: &Version) -> Result<(), RulesError> {
        let verification = self.verify(version)?;
        if !verification.changes.is_empty() {
            return Err(RulesError::Changed { version: version.clone(), changes: verification.changes });
        }
        parse_crs(&Parsed::read(&self.folder(version))?, &Selection::new(RulesetName::OwaspCrs(None)))?;
        let path = self.crs.join("current");
        write_atomically(&path, format!("{version}\n").as_bytes()).map_err(RulesError::file("write", path))
    }

    /// Compares every file of an installed version with its SHA-256.
    ///
    /// # Errors
    /// When the version is not installed or a file cannot be read.
    pub fn verify(&self, version: &Version) -> Result<Verification, RulesError> {
        let folder = self.folder(version);
        if !folder.is_dir() {
            let installed = self.installed()?.into_iter().map(|installed| installed.version).collect();
            return Err(RulesError::UnknownVersion { version: version.clone(), installed });
        }
        let installed = self.manifest(&folder)?;
        let tree = crate::tree::Tree::read(&folder)?;
        let mut changes = Vec::new();
        for (path, expected) in &installed.files {
            match tree.files.get(path) {
                None => changes.push(format!("{path} is missing")),
                Some(bytes) if digest::file(bytes) != *expected => {
                    changes.push(format!("{path} was changed"))
                }
                Some(_) => {}
            }
        }
        let known = |path: &String| installed.files.iter().any(|(known, _)| known == path);
        changes.extend(tree.files.keys().filter(|path| !known(path)).map(|path| format!("{path} was added")));
        Ok(Verification { installed, changes })
    }

    /// Installs a Core Rule Set beside those that are there; the first one is also put to use.
    ///
    /// Nothing becomes visible before all of it was unpacked and parsed. Says
    /// what was installed and which sources were tried in vain before.
    ///
    /// # Errors
    /// See [`RulesError`]; what was installed and in use stays as it was.
    pub fn install(&self, source: &Source, now: SystemTime) -> Result<(Installed, Vec<String>), RulesError> {
        let found = install::obtain(source, now)?;
        let version = found.installed.version.clone();
        let folder = self.folder(&version);
        if folder.is_dir() {
            let present = self.manifest(&folder)?;
            if present.digest != found.installed.digest {
                return Err(RulesError::Conflict(version));
            }
        } else {
            self.put(&folder, &found)?;
        }
        if self.current()?.is_none() {
            self.use_version(&version)?;
        }
        Ok((found.installed, found.passed_over))
    }

    /// The document of one application: engine settings, set-up, ruleset, the application's own rules.
    ///
    /// # Errors
    /// When the ruleset is not installed or any file has an error.
    pub fn assemble(&self, selection: &Selection) -> Result<Assembled, RulesError> {
        match &selection.ruleset {
            RulesetName::Base => Ok(Assembled {
                document: parse_base(selection)?,
                name: "base".to_owned(),
                version: Some(base::VERSION.to_owned()),
            }),
            RulesetName::OwaspCrs(asked) => {
                let version = match asked {
                    Some(version) => version.clone(),
                    None => self.current()?.ok_or(RulesError::NotInstalled)?,
                };
                let folder = self.folder(&version);
                if !folder.is_dir() {
                    let installed =
                        self.installed()?.into_iter().map(|installed| installed.version).collect();
                    return Err(RulesError::UnknownVersion { version, installed });
                }
                let parsed = match &self.kept {
                    Some(kept) => kept.release(&folder)?,
                    None => Arc::new(Parsed::read(&folder)?),
                };
                Ok(Assembled {
                    document: parse_crs(&parsed, selection)?,
                    name: "owasp-crs".to_owned(),
                    version: Some(version.to_string()),
                })
            }
            RulesetName::File(path) => Ok(Assembled {
                document: parse_file(path, selection)?,
                name: path.display().to_string(),
                version: None,
            }),
        }
    }

    fn folder(&self, version: &Version) -> PathBuf {
        self.crs.join(version.to_string())
    }

    fn manifest(&self, folder: &Path) -> Result<Installed, RulesError> {
        let path = folder.join(MANIFEST);
        let text = fs::read(&path).map_err(RulesError::file("read", &path))?;
        serde_json::from_slice(&text).map_err(|error| RulesError::file("read", &path)(error.into()))
    }

    /// Writes a ruleset to a folder beside its place, parses it there, and moves it in.
    fn put(&self, folder: &Path, found: &install::Found) -> Result<(), RulesError> {
        let staging = self.crs.join(format!(".{}.{}", found.installed.version, std::process::id()));
        let outcome = self.stage(&staging, found).and_then(|()| {
            parse_crs(&Parsed::read(&staging)?, &Selection::new(RulesetName::OwaspCrs(None)))?;
            fs::rename(&staging, folder).map_err(RulesError::file("create", folder))
        });
        if outcome.is_err() {
            // Best effort: a left-over staging folder is never read.
            let _ = fs::remove_dir_all(&staging);
        }
        outcome
    }

    fn stage(&self, staging: &Path, found: &install::Found) -> Result<(), RulesError> {
        for (inner, bytes) in &found.tree.files {
            let path = staging.join(inner);
            let parent = path.parent().unwrap_or(staging);
            fs::create_dir_all(parent).map_err(RulesError::file("create", parent))?;
            fs::write(&path, bytes).map_err(RulesError::file("write", &path))?;
        }
        let path = staging.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&found.installed).map_err(|error| error.into());
        text.and_then(|text| write_atomically(&path, &text)).map_err(RulesError::file("write", path))
    }
}

/// The release between what is the application's own.
fn parse_crs(parsed: &Parsed, selection: &Selection) -> Result<Document, RulesError> {
    let loader = Files::beneath([&parsed.folder]);
    parse(Parser::around(&loader, &parsed.fragment), selection, |parser| {
        parser.put();
    })
}

fn parse_base(selection: &Selection) -> Result<Document, RulesError> {
    let mut loader = MemoryLoader::new();
    for (path, text) in base::RULES.iter().chain(base::DATA) {
        loader = loader.with(path, text.as_bytes());
    }
    parse(Parser::new(&loader), selection, |parser| {
        for (path, _) in base::RULES {
            parser.file(Path::new(path));
        }
    })
}

fn parse_file(path: &Path, selection: &Selection) -> Result<Document, RulesError> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let loader = Files::beneath([folder]);
    parse(Parser::new(&loader), selection, |parser| {
        parser.file(path);
    })
}

/// Engine settings, the selection's set-up and snippets around what `ruleset` adds.
fn parse<'l>(
    mut parser: Parser<'l>,
    selection: &Selection,
    ruleset: impl FnOnce(&mut Parser<'l>),
) -> Result<Document, RulesError> {
    let (name, text) = base::ENGINE;
    parser.text(name, text);
    parser.text("hop3/setup.conf", setup::directives(selection));
    for snippet in &selection.before {
        parser.text(&snippet.name, &snippet.text);
    }
    ruleset(&mut parser);
    for snippet in &selection.after {
        parser.text(&snippet.name, &snippet.text);
    }
    parser.finish().map_err(RulesError::Syntax)
}

/// Writes beside the file, syncs, and renames, so that a crash leaves the old or the new content.
fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staging = path.with_extension("new");
    let mut file = fs::File::create(&staging)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    fs::rename(&staging, path)
}
