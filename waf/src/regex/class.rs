//! Character classes and byte escapes of patterns.

use hop3_transformations::ByteSet;

use super::syntax::PatternError;

/// Parses the class that starts with `[` at `start`; returns its bytes and the
/// offset after `]`.
pub(super) fn parse(pattern: &[u8], start: usize, fold: bool) -> Result<(ByteSet, usize), PatternError> {
    let mut at = start + 1;
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut set = ByteSet::EMPTY;
    let mut first = true;
    loop {
        let Some(&byte) = pattern.get(at) else {
            return Err(PatternError::new("a character class is not closed", start));
        };
        if byte == b']' && !first {
            at += 1;
            break;
        }
        first = false;
        let (item, end) = item(pattern, at)?;
        at = end;
        let low = match item {
            Item::Nothing => continue,
            Item::Set(members) => {
                set = set.union(members);
                continue;
            }
            Item::Byte(low) => low,
        };
        match range_end(pattern, at)? {
            Some((high, end)) if high >= low => {
                set = set.union(ByteSet::range(low, high));
                at = end;
            }
            Some(_) => return Err(PatternError::new("a range of a character class is out of order", at)),
            None => set = set.with(low),
        }
    }
    if fold {
        set = set.fold_case();
    }
    Ok((if negated { set.complement() } else { set }, at))
}

/// `\d`, `\w`, `\s`, `\h`, `\v`, `\N` and their negations.
pub(super) fn shorthand(letter: u8) -> Option<ByteSet> {
    let set = match letter.to_ascii_lowercase() {
        b'd' => ByteSet::matching(|byte| byte.is_ascii_digit()),
        b'w' => ByteSet::matching(is_word),
        b's' => ByteSet::matching(|byte| matches!(byte, b' ' | 0x09..=0x0d)),
        b'h' => ByteSet::matching(|byte| matches!(byte, b' ' | b'\t' | 0xa0)),
        b'v' => ByteSet::matching(|byte| matches!(byte, 0x0a..=0x0d | 0x85)),
        b'n' if letter == b'N' => ByteSet::of(b"\n"),
        _ => return None,
    };
    Some(if letter.is_ascii_uppercase() { set.complement() } else { set })
}

/// Letters, digits and `_`.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The byte that an escape stands for; `at` is after the backslash. Returns the
/// offset after the escape.
pub(super) fn escaped_byte(pattern: &[u8], at: usize) -> Result<(u8, usize), PatternError> {
    let Some(&letter) = pattern.get(at) else {
        return Err(PatternError::new("the pattern ends in a backslash", at));
    };
    let plain = |byte| Ok((byte, at + 1));
    match letter {
        b'a' => plain(0x07),
        b'e' => plain(0x1b),
        b'f' => plain(0x0c),
        b'n' => plain(b'\n'),
        b'r' => plain(b'\r'),
        b't' => plain(b'\t'),
        b'0'..=b'7' => octal(pattern, at),
        b'x' => hexadecimal(pattern, at + 1),
        b'c' => match pattern.get(at + 1) {
            Some(&control) => Ok((control.to_ascii_uppercase() ^ 0x40, at + 2)),
            None => Err(PatternError::new("`\\c` ends the pattern", at)),
        },
        other => plain(other),
    }
}

/// Up to three octal digits at `at`.
pub(super) fn octal(pattern: &[u8], at: usize) -> Result<(u8, usize), PatternError> {
    let digits = pattern[at..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    let value =
        pattern[at..at + digits].iter().fold(0u32, |value, &digit| value * 8 + u32::from(digit - b'0'));
    match u8::try_from(value) {
        Ok(byte) if digits > 0 => Ok((byte, at + digits)),
        Ok(_) => Ok((pattern[at], at + 1)),
        Err(_) => Err(PatternError::new("an octal number is above \\377", at)),
    }
}

/// `HH`, `H` or `{H…}` after `\x`.
fn hexadecimal(pattern: &[u8], at: usize) -> Result<(u8, usize), PatternError> {
    let braced = pattern.get(at) == Some(&b'{');
    let from = at + usize::from(braced);
    let digits = pattern.get(from..).unwrap_or_default();
    let length =
        digits.iter().take(if braced { 8 } else { 2 }).take_while(|byte| byte.is_ascii_hexdigit()).count();
    if braced && (digits.get(length) != Some(&b'}') || length == 0) {
        return Err(PatternError::new("`\\x{…}` is not a hexadecimal number", at));
    }
    let value = digits[..length].iter().fold(0u64, |value, &digit| value * 16 + u64::from(hex_value(digit)));
    match u8::try_from(value) {
        Ok(byte) => Ok((byte, from + length + usize::from(braced))),
        Err(_) => Err(PatternError::new("patterns work on bytes: `\\x{…}` is above ff", at)),
    }
}

enum Item {
    Byte(u8),
    Set(ByteSet),
    Nothing,
}

/// One member of a class.
fn item(pattern: &[u8], at: usize) -> Result<(Item, usize), PatternError> {
    match pattern[at] {
        b'[' => {
            Ok(posix(pattern, at)?.map_or((Item::Byte(b'['), at + 1), |(set, end)| (Item::Set(set), end)))
        }
        b'\\' => {
            let Some(&letter) = pattern.get(at + 1) else {
                return Err(PatternError::new("the pattern ends in a backslash", at));
            };
            match letter {
                b'Q' | b'E' => Ok((Item::Nothing, at + 2)),
                b'b' => Ok((Item::Byte(0x08), at + 2)),
                b'p' | b'P' | b'X' | b'R' => {
                    Err(PatternError::new(format!("`\\{}` is not supported in a class", letter as char), at))
                }
                _ => match shorthand(letter) {
                    Some(set) => Ok((Item::Set(set), at + 2)),
                    None => escaped_byte(pattern, at + 1).map(|(byte, end)| (Item::Byte(byte), end)),
                },
            }
        }
        byte => Ok((Item::Byte(byte), at + 1)),
    }
}

/// The upper end of a range, when `at` is at a `-` that makes one.
fn range_end(pattern: &[u8], at: usize) -> Result<Option<(u8, usize)>, PatternError> {
    if pattern.get(at) != Some(&b'-') || matches!(pattern.get(at + 1), None | Some(b']')) {
        return Ok(None);
    }
    match item(pattern, at + 1)? {
        (Item::Byte(high), end) => Ok(Some((high, end))),
        // `[a-\d]`: the hyphen is a literal.
        _ => Ok(None),
    }
}

/// `[:alpha:]` and the like; `None` when it is no such class.
fn posix(pattern: &[u8], at: usize) -> Result<Option<(ByteSet, usize)>, PatternError> {
    if pattern.get(at + 1) != Some(&b':') {
        return Ok(None);
    }
    let rest = &pattern[at + 2..];
    let letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'^').count();
    if !rest[letters..].starts_with(b":]") {
        return Ok(None);
    }
    let (negated, name) = match &rest[..letters] {
        [b'^', name @ ..] => (true, name),
        name => (false, name),
    };
    let test: fn(u8) -> bool = match name {
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"space" => |byte| matches!(byte, b' ' | 0x09..=0x0d),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"punct" => |byte| byte.is_ascii_punctuation(),
        b"print" => |byte| matches!(byte, 0x20..=0x7e),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        b"word" => is_word,
        b"ascii" => |byte| byte.is_ascii(),
        _ => return Err(PatternError::new("an unknown class between `[:` and `:]`", at)),
    };
    let set = ByteSet::matching(test);
    Ok(Some((if negated { set.complement() } else { set }, at + 2 + letters + 2)))
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}
