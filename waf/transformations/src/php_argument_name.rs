//! `phpArgsNames`: the name under which PHP files an argument.

use crate::ByteSet;

/// The bytes that PHP rewrites, or that begin an index.
pub(crate) const SPECIAL: ByteSet = ByteSet::of(b" .[");

/// Whether there is nothing that [`normalize`] might change.
pub(crate) fn is_plain(input: &[u8]) -> bool {
    memchr::memchr3(b' ', b'.', b'[', input).is_none()
}

/// Spells an argument's name as PHP's `$_GET` has it, so that rules on names
/// cannot be dodged: leading spaces go; space and `.` become `_` up to the
/// first `[`; that `[` becomes `_` when no `]` closes it; text behind the last
/// index is dropped; a name that begins with `[` is none at all.
///
/// Only newer ModSecurity has it. Source: PHP 7's `php_register_variable_ex`.
pub(crate) fn normalize(input: &[u8], output: &mut Vec<u8>) {
    let spaces = input.iter().take_while(|&&byte| byte == b' ').count();
    let name = &input[spaces..];
    let (base, indices) = name.split_at(memchr::memchr(b'[', name).unwrap_or(name.len()));
    if base.is_empty() {
        return;
    }
    output.reserve(name.len());
    output.extend(base.iter().map(|&byte| if matches!(byte, b' ' | b'.') { b'_' } else { byte }));
    let mut rest = indices;
    while let [b'[', text @ ..] = rest {
        let Some((index, after)) = index(text) else {
            if rest.len() == indices.len() {
                output.push(b'_');
                output.extend_from_slice(text);
            }
            break;
        };
        output.push(b'[');
        output.extend_from_slice(index);
        output.push(b']');
        rest = after;
    }
}

/// The index that `text` begins with, behind its `[`, and what follows its
/// `]`. One white space alone is the empty index.
fn index(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b']', text)?;
    let blank = end == 1 && crate::white_space::is_space(text[0]);
    Some((if blank { &[] } else { &text[..end] }, &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use crate::Transformation::PhpArgsNames;
    use crate::transformation::tests::check;

    #[test]
    fn spells_names_as_php_does() {
        check(
            PhpArgsNames,
            &[
                ("", ""),
                ("abc]", "abc]"),
                ("  a.b c", "a_b_c"),
                ("a.b[c.d][e f]", "a_b[c.d][e f]"),
                ("a[ ][  ]", "a[][  ]"),
                ("a[b c.", "a_b c."),
                ("a[b]c[d]", "a[b]"),
                ("a[b][c", "a[b]"),
                ("[a]", ""),
                ("  ", ""),
            ],
        );
    }
}
