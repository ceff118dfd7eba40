//! A Core Rule Set in memory: only the files that an engine reads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::Version;
use crate::error::RulesError;

/// Largest file accepted, in bytes; the largest of release 4.28 has 110 KB.
pub(crate) const MAX_FILE: u64 = 8 << 20;
/// Largest sum of files accepted, in bytes.
pub(crate) const MAX_TOTAL: u64 = 64 << 20;

/// Files by their path below the ruleset's root, with `/` between the parts.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Tree {
    /// Whether a path below the root belongs to a ruleset.
    pub(crate) fn wants(path: &str) -> bool {
        match path.split_once('/') {
            None => path == "crs-setup.conf" || path == "crs-setup.conf.example",
            Some(("rules", name)) => {
                plain(name) && [".conf", ".data", ".conf.example"].iter().any(|end| name.ends_with(end))
            }
            Some(("plugins", name)) => plain(name) && (name.ends_with(".conf") || name.ends_with(".data")),
            Some(_) => false,
        }
    }

    /// Reads the ruleset below `root`.
    ///
    /// # Errors
    /// The first file that cannot be read, or a file beyond [`MAX_FILE`].
    pub(crate) fn read(root: &Path) -> Result<Self, RulesError> {
        let mut tree = Self::default();
        for folder in ["", "rules", "plugins"] {
            tree.read_folder(&root.join(folder), folder)?;
        }
        Ok(tree)
    }

    /// Adds the wanted files of one folder under `prefix`.
    pub(crate) fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<(), RulesError> {
        if !folder.is_dir() {
            return Ok(());
        }
        for entry in fs::read_dir(folder).map_err(RulesError::file("read", folder))? {
            let path = entry.map_err(RulesError::file("read", folder))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let inner = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            if !Self::wants(&inner) || !path.is_file() {
                continue;
            }
            let size = path.metadata().map_err(RulesError::file("read", &path))?.len();
            if size > MAX_FILE {
                return Err(RulesError::NotARuleset {
                    place: path.display().to_string(),
                    cause: format!("the file has {size} bytes, at most {MAX_FILE} are read"),
                });
            }
            self.files.insert(inner, fs::read(&path).map_err(RulesError::file("read", &path))?);
        }
        Ok(())
    }

    /// The version that the files state.
    ///
    /// # Errors
    /// When the set-up file or the rules are missing, or no version is stated.
    pub(crate) fn version(&self, place: &str) -> Result<Version, RulesError> {
        let wrong =
            |cause: &str| RulesError::NotARuleset { place: place.to_owned(), cause: cause.to_owned() };
        if !self.files.keys().any(|path| path.starts_with("crs-setup.conf")) {
            return Err(wrong("crs-setup.conf.example is missing"));
        }
        let mut rules =
            self.files.iter().filter(|(path, _)| path.starts_with("rules/") && path.ends_with(".conf"));
        if rules.clone().count() == 0 {
            return Err(wrong("there is no rules/*.conf"));
        }
        rules
            .find_map(|(_, text)| Version::in_text(&String::from_utf8_lossy(text)))
            .ok_or_else(|| wrong("no rule file states its version (OWASP_CRS/X.Y.Z)"))
    }
}

fn plain(name: &str) -> bool {
    !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}
