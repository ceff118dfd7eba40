//! Comments of SQL, HTML and shells: `replaceComments`, `removeComments`,
//! `removeCommentsChar`.

use memchr::memchr;

use crate::{ByteSet, scan};

/// A comment or a comment mark holds one of these: `/*`, `*/`, `<!--`, `-->`, `--`, `#`.
pub(crate) const MARKS: ByteSet = ByteSet::of(b"*-#");

/// Whether [`replace`] changes nothing: there is no `/*`.
pub(crate) fn is_replaced(input: &[u8]) -> bool {
    find(input, *b"/*").is_none()
}

/// `replaceComments`: each `/* … */` becomes one space; one that does not end
/// becomes a space and takes the rest with it. A `*/` alone stays.
pub(crate) fn replace(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len());
    let mut rest = input;
    while let Some(start) = find(rest, *b"/*") {
        output.extend_from_slice(&rest[..start]);
        output.push(b' ');
        let comment = &rest[start + 2..];
        let Some(end) = find(comment, *b"*/") else { return };
        rest = &comment[end + 2..];
    }
    output.extend_from_slice(rest);
}

/// Where `pair`, which has a star, stands first. Stars are rarer than slashes,
/// and a searcher for two bytes costs more to build than most values to scan.
fn find(text: &[u8], pair: [u8; 2]) -> Option<usize> {
    let star = usize::from(pair[1] == b'*');
    let mut stars = memchr::memchr_iter(b'*', text).filter_map(|at| at.checked_sub(star));
    stars.find(|&at| text[at..].starts_with(&pair))
}

/// Whether [`remove`] changes nothing.
pub(crate) fn are_removed(input: &[u8]) -> bool {
    !has_mark(input, |first, second| (first == b'/') & (second == b'*'))
}

/// `removeComments`: `/* … */` and `<!-- … -->` go (either end closes either
/// start), `--` and `#` cut the rest off, a comment that does not end becomes
/// a space.
///
/// As in v2, v3 and Coraza the byte after a comment's end is copied unread, so
/// a comment that starts there is kept; behind the last byte that is a NUL.
pub(crate) fn remove(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len());
    let mut rest = input;
    loop {
        rest = copy_plain(rest, output);
        rest = match *rest {
            [b'/', b'*', ref comment @ ..] | [b'<', b'!', b'-', b'-', ref comment @ ..] => {
                let Some(after) = after_comment(comment) else {
                    output.push(b' ');
                    return;
                };
                output.push(after.first().copied().unwrap_or(0));
                after.get(1..).unwrap_or_default()
            }
            [] | [b'-', b'-', ..] | [b'#', ..] => return,
            [byte, ref rest @ ..] => {
                output.push(byte);
                rest
            }
        }
    }
}

/// Whether [`remove_marks`] changes nothing.
pub(crate) fn are_marks_removed(input: &[u8]) -> bool {
    let slashed =
        |first: u8, second: u8| ((first == b'/') & (second == b'*')) | ((first == b'*') & (second == b'/'));
    !has_mark(input, slashed)
}

/// `removeCommentsChar`: the marks `/*`, `*/`, `<!--`, `-->`, `--` and `#` go,
/// what is between them stays.
pub(crate) fn remove_marks(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len());
    let mut rest = input;
    loop {
        rest = copy_plain(rest, output);
        rest = match *rest {
            [] => return,
            [b'<', b'!', b'-', b'-', ref rest @ ..] => rest,
            [b'-', b'-', b'>', ref rest @ ..] => rest,
            [b'/', b'*', ref rest @ ..] | [b'*', b'/', ref rest @ ..] | [b'-', b'-', ref rest @ ..] => rest,
            [b'#', ref rest @ ..] => rest,
            [byte, ref rest @ ..] => {
                output.push(byte);
                rest
            }
        }
    }
}

/// Copies the run of bytes that `text` begins with and no mark does, and gives
/// what follows it.
fn copy_plain<'a>(text: &'a [u8], output: &mut Vec<u8>) -> &'a [u8] {
    let begins_mark = |byte: u8| matches!(byte, b'/' | b'*' | b'<' | b'-' | b'#');
    let plain = text.iter().position(|&byte| begins_mark(byte)).unwrap_or(text.len());
    let (plain, rest) = text.split_at(plain);
    output.extend_from_slice(plain);
    rest
}

/// What follows the end of the comment that `text` is in.
fn after_comment(text: &[u8]) -> Option<&[u8]> {
    let mut ends = memchr::memchr2_iter(b'*', b'-', text);
    ends.find_map(|at| match text[at..] {
        [b'*', b'/', ref after @ ..] | [b'-', b'-', b'>', ref after @ ..] => Some(after),
        _ => None,
    })
}

/// Whether there is a `#`, a `--` or a pair that `slashed` knows.
fn has_mark(input: &[u8], slashed: impl Fn(u8, u8) -> bool) -> bool {
    memchr(b'#', input).is_some()
        || scan::any_pair(input, |first, second| {
            ((first == b'-') & (second == b'-')) | slashed(first, second)
        })
}

#[cfg(test)]
mod tests {
    use crate::Transformation::{RemoveComments, RemoveCommentsChar, ReplaceComments};
    use crate::transformation::tests::check;

    #[test]
    fn replaces_comments() {
        check(
            ReplaceComments,
            &[
                ("", ""),
                ("a/b*c", "a/b*c"),
                ("a/*x*/b", "a b"),
                ("a/*x*//*y*/b", "a  b"),
                ("a/*x", "a "),
                ("a/*/b", "a "),
                ("a*/b", "a*/b"),
                ("/**/", " "),
                ("a--b#c", "a--b#c"),
            ],
        );
    }

    #[test]
    fn removes_comments() {
        check(
            RemoveComments,
            &[
                ("", ""),
                ("a-b/c*d<!-e", "a-b/c*d<!-e"),
                ("a/*x*/b", "ab"),
                ("a<!--x-->b", "ab"),
                ("a<!--x*/b", "ab"),
                ("a/*x-->b", "ab"),
                ("a--b", "a"),
                ("a#b", "a"),
                ("a/*x", "a "),
                ("/*x*/", "\0"),
                ("/*x*//*y*/", "/*y*/"),
                ("/*x*/##", "#"),
                ("<!---->b", "b"),
                ("<!--->b", " "),
            ],
        );
    }

    #[test]
    fn removes_marks() {
        check(
            RemoveCommentsChar,
            &[
                ("", ""),
                ("a-b/c*d<!-e>", "a-b/c*d<!-e>"),
                ("/*a*/", "a"),
                ("<!--a-->", "a"),
                ("a--b#c*/d", "abcd"),
                ("/*/", "/"),
                ("*/*", "*"),
                ("---->", ""),
            ],
        );
    }
}
