//! Cases of transformations.

use hop3_transformations::{Context, Transformation};

use super::case::{Case, as_c_string, bytes};

/// How a case passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Every byte of the output is the expected one.
    Whole,
    /// Only as v3's own runner reads the case: input and output up to the first NUL that the JSON text itself has.
    ///
    /// v3's `UnitTest::from_yajl_node` takes each text as a `const char *`. So a case whose output no engine gives for
    /// the whole input (a file of `cssDecode` expects that one of two blanks after an escaped NUL goes, which neither
    /// v2 nor v3 does) passes there for what comes before the NUL.
    UpToNul,
}

/// Judges one case.
///
/// # Errors
/// Why it fails.
pub fn judge(case: &Case) -> Result<Passed, String> {
    let transformation = Transformation::from_name(&case.name).ok_or(format!("no t:{}", case.name))?;
    let whole = compare(transformation, &case.input, &case.output);
    let Err(why) = whole else { return Ok(Passed::Whole) };
    if !case.input.contains('\0') {
        return Err(why);
    }
    compare(transformation, as_c_string(&case.input), as_c_string(&case.output))
        .map(|()| Passed::UpToNul)
        .map_err(|_| why)
}

/// The output must be the expected one, and the verdict tell whether the value changed.
fn compare(transformation: Transformation, input: &str, expected: &str) -> Result<(), String> {
    let (input, expected) = (bytes(input), bytes(expected));
    let mut output = Vec::new();
    let changed = transformation.apply(&input, &mut output, &Context::default());
    let result = if changed { &output } else { &input };
    let shown = input.escape_ascii();
    if *result != expected {
        let (result, expected) = (result.escape_ascii(), expected.escape_ascii());
        return Err(format!("`{shown}` gave `{result}`, expected `{expected}`"));
    }
    if changed != (input != expected) {
        return Err(format!("`{shown}`: wrong verdict {changed}"));
    }
    Ok(())
}
