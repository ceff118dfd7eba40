//! Phrases of the rule set under test, so that its phrase lists are exercised too.

use std::fs;
use std::io;
use std::path::Path;

/// The phrases of one list.
#[derive(Debug)]
pub struct List {
    /// The file's name without its ending.
    pub name: String,
    /// Its phrases.
    pub phrases: Vec<Vec<u8>>,
}

/// The phrase lists of a rule set.
#[derive(Debug)]
pub struct Words {
    /// Lists that rules for requests read.
    pub request: Vec<List>,
    /// Lists that rules for responses read.
    pub response: Vec<List>,
}

/// Lists that speak about responses.
const RESPONSE: &[&str] =
    &["asp-dotnet-errors", "iis-errors", "php-errors", "ruby-errors", "sql-errors", "web-shells"];

impl Words {
    /// Reads the lists in the folder `rules`.
    ///
    /// # Errors
    /// When a list cannot be read, or there is none of a kind.
    pub fn read(rules: &Path) -> io::Result<Self> {
        let mut files: Vec<_> = fs::read_dir(rules)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "data"))
            .collect();
        files.sort();
        let mut words = Self { request: Vec::new(), response: Vec::new() };
        for path in files {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let phrases = phrases(&fs::read(&path)?);
            if phrases.is_empty() {
                continue;
            }
            let is_response = RESPONSE.iter().any(|start| name.starts_with(start));
            let lists = if is_response { &mut words.response } else { &mut words.request };
            lists.push(List { name, phrases });
        }
        if words.request.is_empty() || words.response.is_empty() {
            return Err(io::Error::other(format!("no phrase lists in {}", rules.display())));
        }
        Ok(words)
    }
}

fn phrases(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(<[u8]>::to_vec)
        .collect()
}
