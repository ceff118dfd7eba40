//! From an archive, a folder or a package to an installed version.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::RulesError;
use crate::release::{PINNED, Release};
use crate::tree::Tree;
use crate::{Version, archive, debian, digest, download};

/// Where a Core Rule Set comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The official release of that version (the pinned one when `None`), else Debian's package.
    Release(Option<Version>),
    /// A folder or a `.tar.gz` on this machine.
    Path(PathBuf),
    /// A `.tar.gz` behind an `https://` address.
    Url(String),
}

impl Source {
    /// Reads `--from`: an address when it has a scheme, else a path.
    pub fn from_argument(text: &str) -> Self {
        if text.contains("://") { Self::Url(text.to_owned()) } else { Self::Path(text.into()) }
    }
}

/// An installed version and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The version that its files state.
    pub version: Version,
    /// Path, address or package.
    pub source: String,
    /// Whether the content is that of the official release, by SHA-256.
    pub official: bool,
    /// SHA-256 over all files.
    pub digest: String,
    /// When, in seconds since 1970-01-01 UTC.
    pub installed_at: u64,
    /// SHA-256 of each file by its path below the version's folder.
    pub files: Vec<(String, String)>,
}

/// A ruleset that was found but is not installed yet.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) tree: Tree,
    pub(crate) installed: Installed,
    /// Sources that were tried before and did not serve.
    pub(crate) passed_over: Vec<String>,
}

/// Gets the ruleset from `source` into memory and checks what it claims to be.
///
/// # Errors
/// See [`RulesError`]; with [`Source::Release`] the reasons of all sources together.
pub(crate) fn obtain(source: &Source, now: SystemTime) -> Result<Found, RulesError> {
    match source {
        Source::Path(path) => describe(from_path(path)?, path.display().to_string(), now),
        Source::Url(url) => describe(archive::unpack(&download::fetch(url)?, url)?, url.clone(), now),
        Source::Release(version) => from_release(version.as_ref(), now),
    }
}

fn from_path(path: &Path) -> Result<Tree, RulesError> {
    if path.is_dir() {
        return Tree::read(path);
    }
    let bytes = fs::read(path).map_err(RulesError::file("read", path))?;
    archive::unpack(&bytes, &path.display().to_string())
}

/// The official release, else Debian's package; only when no version, or just that one, was asked for.
fn from_release(asked: Option<&Version>, now: SystemTime) -> Result<Found, RulesError> {
    let pinned = || PINNED.version.parse().ok();
    let mut tried = Vec::new();
    if let Some(version) = asked.cloned().or_else(pinned) {
        let url = Release::url(&version);
        match download::fetch(&url) {
            Ok(bytes) => return describe(archive::unpack(&bytes, &url)?, url, now),
            Err(error) => tried.push(error.to_string()),
        }
    }
    match debian::tree()? {
        None => tried.push(format!("{} is not installed", debian::PLACE)),
        Some(tree) => {
            let mut found = describe(tree, debian::PLACE.to_owned(), now)?;
            if asked.is_none_or(|version| *version == found.installed.version) {
                found.passed_over = tried;
                return Ok(found);
            }
            tried.push(format!("{} holds version {}", debian::PLACE, found.installed.version));
        }
    }
    Err(RulesError::NothingFound { tried })
}

fn describe(tree: Tree, place: String, now: SystemTime) -> Result<Found, RulesError> {
    let version = tree.version(&place)?;
    let digest = digest::tree(&tree);
    let known = Release::known(&version);
    if let (Some(release), true) = (known, place.starts_with("https://"))
        && release.digest != digest
    {
        let expected = release.digest.to_owned();
        return Err(RulesError::Digest { place, version, found: digest, expected });
    }
    let official = known.is_some_and(|release| release.digest == digest);
    let files = tree.files.iter().map(|(path, bytes)| (path.clone(), digest::file(bytes))).collect();
    let installed_at = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let installed = Installed { version, source: place, official, digest, installed_at, files };
    Ok(Found { tree, installed, passed_over: Vec::new() })
}
