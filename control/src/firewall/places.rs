//! Where rules that are written in a configuration file stand in it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// Rules from a configuration file, so laid out that their lines are the file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The file, as messages name it.
    pub file: String,
    /// The rules after as many empty lines, and blanks before their first line, as stand before them in the file.
    pub text: String,
}

/// Finds `seclang` as the value of a key of that name in one of the files. `None` when it is in none of them, or when
/// escapes in the string make its lines others than the file's.
pub fn place(seclang: &str, files: &[PathBuf]) -> Option<Placed> {
    files.iter().find_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        let padded = padded(seclang, &text)?;
        let file = path.file_name().map_or(path.as_path(), Path::new).display().to_string();
        Some(Placed { file, text: padded })
    })
}

fn padded(seclang: &str, text: &str) -> Option<String> {
    let document = DeTable::parse(text).ok()?;
    let span = find(document.get_ref(), seclang)?;
    let written = text.get(span.clone())?;
    // Between the quotes; the line end after `'''` is no part of the value.
    let quotes = if written.starts_with("'''") || written.starts_with("\"\"\"") { 3 } else { 1 };
    let inner = written.get(quotes..written.len() - quotes)?;
    let skipped = match (quotes, inner) {
        (3, inner) if inner.starts_with("\r\n") => 2,
        (3, inner) if inner.starts_with('\n') => 1,
        _ => 0,
    };
    let before = &text[..span.start + quotes + skipped];
    if inner[skipped..].matches('\n').count() != seclang.matches('\n').count() {
        return None;
    }
    let lines = before.matches('\n').count();
    let columns = before.rsplit('\n').next().unwrap_or_default().chars().count();
    Some(format!("{}{}{seclang}", "\n".repeat(lines), " ".repeat(columns)))
}

/// The place of the first value of a key `seclang` that is this text.
fn find(table: &DeTable<'_>, seclang: &str) -> Option<Range<usize>> {
    for (key, value) in table {
        let found = match value.get_ref() {
            DeValue::String(text) if key.get_ref() == "seclang" && text == seclang => Some(value.span()),
            other => find_in(other, seclang),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn find_in(value: &DeValue<'_>, seclang: &str) -> Option<Range<usize>> {
    match value {
        DeValue::Table(table) => find(table, seclang),
        DeValue::Array(values) => values.iter().find_map(|value| find_in(value.get_ref(), seclang)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line and column of `@bad` in the padded text.
    fn at(text: &str) -> Option<(usize, usize)> {
        let parsed: toml::Table = text.parse().unwrap();
        let seclang = parsed["waf"]["rules"][0]["seclang"].as_str().unwrap();
        let padded = padded(seclang, text)?;
        let offset = padded.find("@bad").unwrap();
        let line = padded[..offset].matches('\n').count() + 1;
        Some((line, offset - padded[..offset].rfind('\n').map_or(0, |at| at + 1) + 1))
    }

    #[test]
    fn lines_are_those_of_the_file() {
        for (text, expected) in [
            ("[[waf.rules]]\nseclang = '@bad'\n", Some((2, 12))),
            ("# é\n[[waf.rules]]\nseclang = '''\na\n  @bad'''\n", Some((5, 3))),
            ("[[waf.rules]]\r\nseclang = '''\r\n@bad'''\n", Some((3, 1))),
            ("[[waf.rules]]\nseclang = '''a\n@bad'''\n", Some((3, 1))),
            ("[waf]\nrules = [ { seclang = '@bad' } ]\n", Some((2, 24))),
            ("[[waf.rules]]\nseclang = \"\"\"\na \\\\\n@bad\"\"\"\n", Some((4, 1))),
            // The line ends are not where they are in the file.
            ("[[waf.rules]]\nseclang = \"a\\n@bad\"\n", None),
            ("[[waf.rules]]\nseclang = \"\"\"\na \\\n  @bad\"\"\"\n", None),
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
    }

    #[test]
    fn only_rules_are_found() {
        let text = "seclangs = 'x'\n[a]\nb = 'x'\n";
        assert_eq!(padded("x", text), None);
        assert_eq!(padded("x", "not toml ="), None);
        assert_eq!(place("x", &["/nowhere".into()]), None);
    }
}
