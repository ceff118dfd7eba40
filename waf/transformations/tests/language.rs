//! Runs the transformation files of ModSecurity's SecLang language tests
//! (`secrules-language-tests/transformations` below `HOP3_TEST_DATA`).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hop3_transformations::{Context, Transformation};

/// Cases that are judged as v3's own runner does, whose texts are C strings: up to the first NUL. File and index.
///
/// This one expects one of two spaces after an escaped NUL to go, which neither v2 nor v3 does.
const UP_TO_NUL: &[(&str, usize)] = &[("cssDecode.json", 3)];

/// One case of a file: `{type: "tfn", name, input, output, ret}`.
struct Case {
    name: String,
    input: Vec<u8>,
    output: Vec<u8>,
}

#[test]
fn secrules_transformations() {
    let folder = test_data().join("modsecurity-tests/secrules-language-tests/transformations");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("suite=secrules-transformations skipped: {} is missing (HOP3_TEST_DATA)", folder.display());
        return;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let (mut cases, mut failed, mut failures) = (0, 0, String::new());
    for file in &files {
        for (index, case) in read_cases(file).iter().enumerate() {
            cases += 1;
            let whole = !UP_TO_NUL.iter().any(|known| file.ends_with(known.0) && index == known.1);
            if let Err(reason) = judge(case, whole) {
                failed += 1;
                println!("FAIL {} case {index}: {reason}", file.display());
                let _ = writeln!(failures, "{} case {index}: {reason}", file.display());
            }
        }
    }
    println!(
        "suite=secrules-transformations cases={cases} passed={} failed={failed} skipped=0",
        cases - failed
    );
    assert!(cases > 0, "no case in {}", folder.display());
    assert_eq!(failed, 0, "failed cases:\n{failures}");
}

/// `ret` is not judged: the files disagree with each other on it, and v3's own
/// runner ignores it. The verdict must tell whether the value changed.
fn judge(case: &Case, whole: bool) -> Result<(), String> {
    let compared = |text: &[u8]| match text.iter().position(|byte| *byte == 0) {
        Some(end) if !whole => text[..end].to_vec(),
        _ => text.to_vec(),
    };
    let transformation = Transformation::from_name(&case.name).ok_or(format!("no t:{}", case.name))?;
    let mut output = Vec::new();
    let changed = transformation.apply(&case.input, &mut output, &Context::default());
    let result = if changed { &output } else { &case.input };
    if compared(result) != compared(&case.output) {
        return Err(format!(
            "`{}` gave `{}`, expected `{}`",
            case.input.escape_ascii(),
            result.escape_ascii(),
            case.output.escape_ascii()
        ));
    }
    if changed != (case.input != case.output) {
        return Err(format!("`{}`: wrong verdict {changed}", case.input.escape_ascii()));
    }
    Ok(())
}

fn read_cases(file: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).unwrap();
    let values: Vec<serde_json::Value> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let field = |value: &serde_json::Value, key: &str| {
        value[key].as_str().unwrap_or_else(|| panic!("{}: no {key}", file.display())).to_owned()
    };
    values
        .iter()
        .map(|value| Case {
            name: field(value, "name"),
            input: unescape(field(value, "input").as_bytes()),
            output: unescape(field(value, "output").as_bytes()),
        })
        .collect()
}

/// Replaces each literal `\xHH` by that byte and each `\uHHHH` by its low byte.
///
/// As in v3's runner any letters and digits may stand for the `H`: the cases
/// with `\xag` and `\xga` were recorded that way.
fn unescape(text: &[u8]) -> Vec<u8> {
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

/// The low byte of the hexadecimal number that begins the first `count`
/// letters and digits.
fn low_byte(digits: &[u8], count: usize) -> Option<u8> {
    let digits = digits.get(..count).filter(|digits| digits.iter().all(u8::is_ascii_alphanumeric))?;
    let values = digits.iter().map_while(|&digit| char::from(digit).to_digit(16));
    Some(values.fold(0, |value, digit| value << 4 | digit) as u8)
}

/// `HOP3_TEST_DATA`, taken relative to the workspace's root.
fn test_data() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join(std::env::var_os("HOP3_TEST_DATA").unwrap_or_else(|| "../shared".into()))
}
