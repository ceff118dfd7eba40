//! The files of the suite: lists of `{type, name, param, input, output, ret, re_groups, resource}`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// One case, its texts as the JSON holds them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Case {
    /// `op` or `tfn`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The operator or transformation.
    pub name: String,
    /// The operator's argument.
    pub param: String,
    /// What it is given; [`bytes`] decodes it.
    pub input: String,
    /// What a transformation makes of it.
    pub output: String,
    /// An operator's answer: 1 when it matches. The files disagree on what it means for transformations, and v3's own
    /// runner does not look at it there.
    pub ret: i64,
    /// The groups that an operator captures, the whole match first.
    pub re_groups: Vec<Option<String>>,
    /// The library that v3 has to be built with.
    pub resource: String,
}

/// Every `.json` in `folder`, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    Ok(files)
}

/// The cases of a file, each by itself: what is wrong with one says nothing of the next.
///
/// # Errors
/// When the file cannot be read or is no list.
pub fn load(file: &Path) -> Result<Vec<Result<Case, String>>, String> {
    let text = fs::read(file).map_err(|error| error.to_string())?;
    let list: Vec<Value> = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    Ok(list.into_iter().map(|value| Case::deserialize(value).map_err(|error| error.to_string())).collect())
}

/// Replaces each literal `\xHH` by that byte and each `\uHHHH` by its low byte.
///
/// As in v3's runner any letters and digits may stand for the `H`: the cases with `\xag` and `\xga` were recorded that way.
pub fn bytes(text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, taken) = match rest {
            [b'\\', b'x', digits @ ..] => low_byte(digits, 2).map_or((first, 1), |byte| (byte, 4)),
            [b'\\', b'u', digits @ ..] => low_byte(digits, 4).map_or((first, 1), |byte| (byte, 6)),
            _ => (first, 1),
        };
        bytes.push(byte);
        rest = &after[taken - 1..];
    }
    bytes
}

/// The text as v3's runner has it: its JSON library gives out C strings, so that a NUL of the JSON text itself
/// (`\u0000`; not the escapes that [`bytes`] decodes) ends it.
pub fn as_c_string(text: &str) -> &str {
    text.split('\0').next().unwrap_or_default()
}

/// The low byte of the hexadecimal number that begins the first `count` letters and digits.
fn low_byte(digits: &[u8], count: usize) -> Option<u8> {
    let digits = digits.get(..count).filter(|digits| digits.iter().all(u8::is_ascii_alphanumeric))?;
    let values = digits.iter().map_while(|&digit| char::from(digit).to_digit(16));
    Some(values.fold(0, |value, digit| value << 4 | digit) as u8)
}
