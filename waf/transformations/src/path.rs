//! `normalizePath` and `normalizePathWin`: no empty, self or back references.

use memchr::{memchr, memchr2};

use crate::scan;

/// Bytes of a value that is short.
const SHORT: usize = 64;

/// `normalizePath`: empty segments and `.` go, `..` takes the segment before
/// it with it, never above the root; of a relative path the leading `..` stay.
/// A trailing slash is kept and never added.
///
/// As in v2 and v3, a segment that only *ends* in `..` (`ab..`) counts as a
/// back reference; Coraza goes by Go's `filepath.Clean`.
pub(crate) fn normalize(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(input);
    normalize_in_place(output);
}

/// Whether [`normalize`] changes nothing, certain only when it holds: there is
/// no empty segment, and none that ends in a dot that follows another dot or
/// begins the segment.
pub(crate) fn is_normalized(input: &[u8]) -> bool {
    let reference = |first: u8, second: u8| {
        ((second == b'/') & ((first == b'/') | (first == b'.'))) | ((first == b'.') & (second == b'.'))
    };
    // Short values are sooner read once than searched first.
    input.len() > SHORT && memchr2(b'/', b'.', input).is_none()
        || !(scan::any_pair(input, reference) || matches!(input, [b'.'] | [.., b'/', b'.']))
}

/// `normalizePathWin`: the same, after each `\` became `/`.
///
/// v2 and v3 overlook a backslash that ends a run of three or more slashes and
/// leave it in the path, which would be a way around a rule; this does what
/// the manual says.
pub(crate) fn normalize_windows(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }));
    normalize_in_place(output);
}

/// Whether [`normalize_windows`] changes nothing, certain only when it holds.
pub(crate) fn is_windows_normalized(input: &[u8]) -> bool {
    memchr(b'\\', input).is_none() && is_normalized(input)
}

/// ModSecurity's algorithm: `read` goes through the path once; `end` is the
/// end of what was written, always at or before `read`.
fn normalize_in_place(output: &mut Vec<u8>) {
    let path = output.as_mut_slice();
    let (Some(&first), Some(&last)) = (path.first(), path.last()) else { return };
    let relative = first != b'/';
    let (mut read, mut end) = (0, 0);
    // A relative path has gone above where it started: back references stay.
    let mut above = false;
    while read < path.len() {
        if path[read] != b'/' {
            // Only the last byte of a segment tells what it is. Most segments
            // are too short for a search and a copy of their own.
            while let Some(&next) = path.get(read + 1)
                && next != b'/'
            {
                path[end] = path[read];
                (read, end) = (read + 1, end + 1);
            }
        }
        let at_last = read + 1 == path.len();
        if at_last || path[read + 1] == b'/' {
            match segment_end(&path[..end], path[read], at_last) {
                SegmentEnd::BackReference if relative && (above || end <= 2) => above = true,
                SegmentEnd::BackReference => {
                    end = parent(&path[..end]);
                    if end == 0 {
                        above = true;
                        // The root's slash stays when nothing follows to write it.
                        end = usize::from(!relative && at_last);
                    }
                    read += 1;
                }
                SegmentEnd::SelfReference => {
                    if !at_last {
                        end = end.saturating_sub(1);
                    }
                    read += 1;
                }
                SegmentEnd::Name => above = false,
                SegmentEnd::Other => {}
            }
            if read == path.len() {
                break;
            }
        }
        if path[read] == b'/' {
            // Of several slashes the last counts.
            read += path[read + 1..].iter().take_while(|&&byte| byte == b'/').count();
            if relative && end == 0 {
                read += 1;
                continue;
            }
        }
        path[end] = path[read];
        end += 1;
        read += 1;
    }
    if last != b'/' && end > 0 && path[end - 1] == b'/' {
        end -= 1;
    }
    output.truncate(end);
}

/// What the last byte of a path segment makes of it.
enum SegmentEnd {
    /// `..`
    BackReference,
    /// `.`
    SelfReference,
    /// Any other name.
    Name,
    /// Nothing that matters: an empty segment, or a path's first byte.
    Other,
}

/// Judges a segment by its last byte and by `written`, the path before it.
fn segment_end(written: &[u8], byte: u8, at_last: bool) -> SegmentEnd {
    match (byte, written.last()) {
        (b'/', _) if !at_last => SegmentEnd::Other,
        (b'.', Some(b'.')) => SegmentEnd::BackReference,
        (b'.', None | Some(b'/')) => SegmentEnd::SelfReference,
        // A name that ends in one dot does not take the mark back, in v3 either.
        (b'.', _) | (_, None) => SegmentEnd::Other,
        _ => SegmentEnd::Name,
    }
}

/// Where the parent of the segment ends that `written` (with the first dot of
/// its back reference) ends in: at the slash before it, or at 0.
fn parent(written: &[u8]) -> usize {
    let Some(from) = written.len().checked_sub(3) else { return 0 };
    memchr::memrchr(b'/', &written[..=from]).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crate::Transformation::{NormalizePath, NormalizePathWin};
    use crate::transformation::tests::check;

    #[test]
    fn normalizes_paths() {
        check(
            NormalizePath,
            &[
                ("", ""),
                ("/a/b.c/", "/a/b.c/"),
                ("/", "/"),
                ("//", "/"),
                ("/../", "/"),
                ("/a/../", "/"),
                ("/a/../../b", "/b"),
                ("a/..", ""),
                ("a/../../b", "../b"),
                ("../../b", "../../b"),
                ("./a", "a"),
                ("a/.", "a"),
                ("a//", "a/"),
                ("/a/./b//c/../d", "/a/b/d"),
                ("/a\\..\\b", "/a\\..\\b"),
            ],
        );
    }

    #[test]
    fn without_a_trailing_slash_not_even_the_root_keeps_one() {
        check(NormalizePath, &[("/.", ""), ("/..", ""), ("/a/..", ""), ("/a/../..", "")]);
    }

    #[test]
    fn dots_at_the_end_of_a_name_go_up_as_in_modsecurity() {
        check(NormalizePath, &[("ab..", ""), ("a..", "a.."), ("/a/b../c", "/a/c"), ("/a./b", "/a./b")]);
    }

    #[test]
    fn windows_paths_have_two_kinds_of_slash() {
        check(
            NormalizePathWin,
            &[
                ("", ""),
                ("\\a\\b", "/a/b"),
                ("a\\..\\..\\b", "../b"),
                ("/a\\./b/..\\c", "/a/c"),
                ("a\\\\\\b", "a/b"),
                ("\\\\\\..\\\\\\etc", "/etc"),
                ("c:\\x\\.", "c:/x"),
            ],
        );
    }
}
