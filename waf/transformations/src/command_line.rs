//! `cmdLine`: one spelling for the many ways to write a shell command.

use crate::scan;

/// Deletes `\`, `"`, `'` and `^`; makes each run of blanks, commas and
/// semicolons one space; deletes the space before `/` and `(`; lower-cases
/// ASCII. v3, v2 and Coraza agree.
pub(crate) fn normalize(input: &[u8], output: &mut Vec<u8>) -> bool {
    // Spelled without `match`, which the compiler does not turn into vector
    // instructions; 0xfd makes one of `\\` and `^`.
    let rewritten = |byte: u8| {
        byte.is_ascii_uppercase()
            | (byte & 0xfd == b'\\')
            | (byte == b'"')
            | (byte == b'\'')
            | (byte == b',')
            | (byte == b';')
            | (byte == b'\t')
            | (byte == b'\n')
            | (byte == b'\r')
    };
    let pair_rewritten =
        |first: u8, second: u8| (first == b' ') & ((second == b' ') | (second == b'/') | (second == b'('));
    if !scan::any(input, rewritten) && !scan::any_pair(input, pair_rewritten) {
        return false;
    }
    output.reserve(input.len());
    let mut after_space = false;
    for &byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !after_space {
                    output.push(b' ');
                }
                after_space = true;
            }
            b'/' | b'(' => {
                if after_space {
                    output.pop();
                }
                output.push(byte);
                after_space = false;
            }
            _ => {
                output.push(byte.to_ascii_lowercase());
                after_space = false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::Transformation::CmdLine;
    use crate::transformation::tests::check;

    #[test]
    fn normalizes_commands() {
        check(
            CmdLine,
            &[
                ("", ""),
                ("a plain one", "a plain one"),
                ("C^OMMAND \"/c\" DIR", "command/c dir"),
                ("cat ,;\t\r\n  x", "cat x"),
                ("c'a't  '/etc'", "cat/etc"),
                ("echo ^ ^ (x)", "echo(x)"),
                ("a /b", "a/b"),
                ("a b ", "a b "),
                (" (", "("),
                ("tab\u{b}\u{a0}é", "tab\u{b}\u{a0}é"),
            ],
        );
    }
}
