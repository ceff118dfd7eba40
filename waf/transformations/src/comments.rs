//! Comments of SQL, HTML and shells: `replaceComments`, `removeComments`,
//! `removeCommentsChar`.

use memchr::{memchr, memmem};

use crate::{ByteSet, scan};

/// A comment or a comment mark holds one of these: `/*`, `*/`, `<!--`, `-->`, `--`, `#`.
pub(crate) const MARKS: ByteSet = ByteSet::of(b"*-#");

/// `replaceComments`: each `/* … */` becomes one space; one that does not end
/// becomes a space and takes the rest with it. A `*/` alone stays.
pub(crate) fn replace(input: &[u8], output: &mut Vec<u8>) -> bool {
    // A searcher for two bytes costs more to build than most values to scan.
    if memchr(b'*', input).is_none() {
        return false;
    }
    let Some(mut start) = memmem::find(input, b"/*") else { return false };
    output.reserve(input.len());
    let mut rest = input;
    loop {
        output.extend_from_slice(&rest[..start]);
        output.push(b' ');
        let comment = &rest[start + 2..];
        let Some(end) = memmem::find(comment, b"*/") else { return true };
        rest = &comment[end + 2..];
        let Some(next) = memmem::find(rest, b"/*") else { break };
        start = next;
    }
    output.extend_from_slice(rest);
    true
}

/// `removeComments`: `/* … */` and `<!-- … -->` go (either end closes either
/// start), `--` and `#` cut the rest off, a comment that does not end becomes
/// a space.
///
/// As in v2, v3 and Coraza the byte after a comment's end is copied unread, so
/// a comment that starts there is kept; behind the last byte that is a NUL.
pub(crate) fn remove(input: &[u8], output: &mut Vec<u8>) -> bool {
    if !has_mark(input, |first, second| (first, second) == (b'/', b'*')) {
        return false;
    }
    output.reserve(input.len());
    let mut rest = input;
    loop {
        rest = match *rest {
            [b'/', b'*', ref comment @ ..] | [b'<', b'!', b'-', b'-', ref comment @ ..] => {
                let Some(after) = after_comment(comment) else {
                    output.push(b' ');
                    return true;
                };
                output.push(after.first().copied().unwrap_or(0));
                after.get(1..).unwrap_or_default()
            }
            [] | [b'-', b'-', ..] | [b'#', ..] => return true,
            [byte, ref rest @ ..] => {
                output.push(byte);
                rest
            }
        }
    }
}

/// `removeCommentsChar`: the marks `/*`, `*/`, `<!--`, `-->`, `--` and `#` go,
/// what is between them stays.
pub(crate) fn remove_marks(input: &[u8], output: &mut Vec<u8>) -> bool {
    if !has_mark(input, |first, second| matches!((first, second), (b'/', b'*') | (b'*', b'/'))) {
        return false;
    }
    output.reserve(input.len());
    let mut rest = input;
    loop {
        rest = match *rest {
            [] => return true,
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
        || scan::any_pair(input, |first, second| (first, second) == (b'-', b'-') || slashed(first, second))
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
