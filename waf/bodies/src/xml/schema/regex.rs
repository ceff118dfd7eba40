//! The regular expressions of schemas (XSD 1.0, part 2, appendix F), as automata.

use regex_automata::meta::Regex;

/// The automaton for a pattern; the error says what is not supported.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let text = format!("^(?:{})$", translated(pattern)?);
    Regex::new(&text).map_err(|_| format!("the pattern `{pattern}` cannot be compiled"))
}

/// The pattern in the notation of the engine: `^` and `$` are letters, classes are written out.
fn translated(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut letters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                let Some(escaped) = letters.next() else { return Err("a pattern ends with `\\`".to_owned()) };
                out.push_str(&escape(escaped, in_class)?);
            }
            '[' if in_class => return Err(format!("class subtraction is not supported in `{pattern}`")),
            '[' => {
                in_class = true;
                out.push('[');
                if letters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '.' if !in_class => out.push_str("[^\\n\\r]"),
            '(' if letters.peek() == Some(&'?') => {
                return Err(format!("`(?` is no part of a schema's pattern: `{pattern}`"));
            }
            '^' | '$' => {
                out.push('\\');
                out.push(letter);
            }
            '&' | '~' | '-' if in_class && letters.peek() == Some(&letter) => {
                out.push('\\');
                out.push(letter);
            }
            // Lazy repetitions do not exist there.
            '?' | '+' if !in_class && out.ends_with(['?', '*', '+', '}']) && !out.ends_with("\\?") => {
                return Err(format!("a repetition is repeated in `{pattern}`"));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// A letter behind a backslash.
fn escape(letter: char, in_class: bool) -> Result<String, String> {
    let class = |members: &str| if in_class { members.to_owned() } else { format!("[{members}]") };
    let outside = |members: &str| match in_class {
        true => Err("the opposite of a class inside of a class is not supported".to_owned()),
        false => Ok(format!("[^{members}]")),
    };
    const NAME_START: &str = "A-Z_a-z:\\x{80}-\\x{10FFFF}";
    const NAME: &str = "A-Z_a-z:0-9.\\-\\x{80}-\\x{10FFFF}";
    Ok(match letter {
        'd' => class("0-9"),
        'D' => outside("0-9")?,
        's' => class(" \\t\\n\\r"),
        'S' => outside(" \\t\\n\\r")?,
        'i' => class(NAME_START),
        'I' => outside(NAME_START)?,
        'c' => class(NAME),
        'C' => outside(NAME)?,
        'n' | 'r' | 't' => format!("\\{letter}"),
        '\\' | '|' | '.' | '?' | '*' | '+' | '(' | ')' | '{' | '}' | '-' | '[' | ']' | '^' | '$' => {
            format!("\\{letter}")
        }
        other => return Err(format!("`\\{other}` is not supported in patterns; write the letters out")),
    })
}
