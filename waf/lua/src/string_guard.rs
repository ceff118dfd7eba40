//! Bounds for functions of `string` that run in one call: searching with
//! patterns, whose cost is a power of the length, and repeating.

use mlua::{Function, Lua, MultiValue, Result, Table, Value};

/// Most steps that a search may take at worst.
const STEPS: u64 = 20_000_000;
/// Most copies of a repetition.
const COPIES: i64 = 1 << 20;

/// Replaces the functions by guarded ones.
pub(crate) fn install(lua: &Lua) -> Result<()> {
    let string: Table = lua.globals().get("string")?;
    for name in ["find", "match", "gmatch", "gsub"] {
        let original: Function = string.get(name)?;
        let guarded = lua.create_function(move |_, arguments: MultiValue| {
            check_search(name, &arguments)?;
            original.call::<MultiValue>(arguments)
        })?;
        string.set(name, guarded)?;
    }
    let repeat: Function = string.get("rep")?;
    let guarded = lua.create_function(move |_, arguments: MultiValue| {
        let copies =
            arguments.get(1).and_then(|copies| copies.as_i64().or(copies.as_f64().map(|n| n as i64)));
        if copies.is_some_and(|copies| copies > COPIES) {
            return Err(mlua::Error::runtime(format!("string.rep: at most {COPIES} copies")));
        }
        repeat.call::<MultiValue>(arguments)
    })?;
    string.set("rep", guarded)
}

/// An error when a search could take too long.
fn check_search(name: &str, arguments: &MultiValue) -> Result<()> {
    let bytes = |index: usize| match arguments.get(index) {
        Some(Value::String(text)) => text.as_bytes().to_vec(),
        _ => Vec::new(),
    };
    let is_plain = name == "find"
        && arguments.get(3).is_some_and(|plain| !matches!(plain, Value::Nil | Value::Boolean(false)));
    let length = match arguments.front() {
        Some(Value::String(text)) => text.as_bytes().len(),
        // A number becomes a short text.
        _ => 32,
    };
    if is_plain || worst_case(&bytes(1), length) <= STEPS {
        return Ok(());
    }
    Err(mlua::Error::runtime(format!("string.{name}: this pattern may take too long on {length} bytes")))
}

/// The steps of a search at worst: each repeated part may end anywhere, and the search may begin anywhere.
fn worst_case(pattern: &[u8], length: usize) -> u64 {
    let length = length as u64 + 1;
    let mut steps = if pattern.first() == Some(&b'^') { 1 } else { length };
    let mut at = 0;
    while let Some(byte) = pattern.get(at) {
        let factor = match byte {
            b'*' | b'+' | b'-' => length,
            b'?' => 2,
            // `%b`, `%1` look at many bytes at once.
            b'%' => match pattern.get(at + 1) {
                Some(b'b' | b'0'..=b'9') => length,
                _ => 1,
            },
            _ => 1,
        };
        steps = steps.saturating_mul(factor);
        at += if *byte == b'%' { 2 } else { 1 };
    }
    steps.saturating_mul(pattern.len() as u64 / 16 + 1)
}

#[cfg(test)]
mod tests {
    use super::worst_case;

    #[test]
    fn costs() {
        assert_eq!(worst_case(b"abc", 99), 100);
        assert_eq!(worst_case(b"^abc", 99), 1);
        assert_eq!(worst_case(b"a*b+", 99), 1_000_000);
        assert_eq!(worst_case(b"^%*a?", 99), 2);
        assert_eq!(worst_case(b"%b()", 9), 100);
        assert_eq!(worst_case(b"a*a*a*a*a*a*a*a*a*a*a*a*a*a*", 1 << 30), u64::MAX);
    }
}
