//! `cmdLine`: one spelling for the many ways to write a shell command.

use crate::scan;

/// Whether [`normalize`] changes nothing.
pub(crate) fn is_normalized(input: &[u8]) -> bool {
    !scan::any(input, |byte| byte.is_ascii_uppercase()) && is_folded_at_most(input)
}

/// Whether [`normalize`] changes nothing but the case of letters.
pub(crate) fn is_folded_at_most(input: &[u8]) -> bool {
    !scan::any(input, is_rewritten) && !scan::any_pair(input, is_pair_rewritten)
}

/// Whether a byte is never left as it is, but for capitals. Spelled without `match`, which the compiler does not turn
/// into vector instructions; 0xfd makes one of `\\` and `^`.
const fn is_rewritten(byte: u8) -> bool {
    (byte & 0xfd == b'\\')
        | (byte == b'"')
        | (byte == b'\'')
        | (byte == b',')
        | (byte == b';')
        | (byte == b'\t')
        | (byte == b'\n')
        | (byte == b'\r')
}

/// Whether the first of two bytes that stand together goes.
const fn is_pair_rewritten(first: u8, second: u8) -> bool {
    (first == b' ') & ends_blank(second)
}

/// Whether a space before the byte goes.
const fn ends_blank(byte: u8) -> bool {
    (byte == b' ') | (byte == b'/') | (byte == b'(')
}

/// Whether every text without a space that occurs in the result of [`normalize`] occurs in the input, too, but for case.
/// Texts may hold slashes or opening brackets elsewhere than in front only where that is said.
pub(crate) fn keeps_texts(input: &[u8], slashes: bool, brackets: bool) -> bool {
    let deleted = |byte: u8| (byte & 0xfd == b'\\') | (byte == b'"') | (byte == b'\'');
    let blank = |byte: u8| BLANKS.iter().fold(false, |found, blank| found | (byte == *blank));
    let joined =
        |first: u8, second: u8| blank(first) & ((slashes & (second == b'/')) | (brackets & (second == b'(')));
    !scan::any(input, deleted) && !scan::any_pair(input, joined)
}

/// What becomes a space.
const BLANKS: [u8; 6] = *b" ,;\t\r\n";

/// Deletes `\`, `"`, `'` and `^`; makes each run of blanks, commas and
/// semicolons one space; deletes the space before `/` and `(`; lower-cases
/// ASCII. v3, v2 and Coraza agree.
pub(crate) fn normalize(input: &[u8], output: &mut Vec<u8>) {
    output.resize(input.len(), 0);
    let result = output.as_mut_slice();
    let (mut rest, mut end, mut after_blank) = (input, 0, 0);
    while !rest.is_empty() {
        // Most runs have nothing but capitals to change.
        if let (Some(run), Some(place)) = (rest.first_chunk::<RUN>(), result[end..].first_chunk_mut::<RUN>())
            && is_plain(run)
            && !(after_blank == 1 && ends_blank(run[0]))
        {
            *place = run.map(|byte| byte.to_ascii_lowercase());
            end += RUN;
            after_blank = u8::from(run[RUN - 1] == b' ');
            rest = &rest[RUN..];
            continue;
        }
        // Every byte is stored and the flags decide where the next one goes: no
        // branch to mispredict. A deleted byte leaves `after_blank` as it is.
        let (run, after) = rest.split_at(rest.len().min(RUN));
        for &byte in run {
            let Step { byte, deleted, blank, attached } = STEPS[usize::from(byte)];
            end -= usize::from(attached & after_blank);
            result[end] = byte;
            end += usize::from((deleted | blank & after_blank) ^ 1);
            after_blank = after_blank & deleted | blank;
        }
        rest = after;
    }
    output.truncate(end);
}

/// Bytes that are looked at together.
const RUN: usize = 16;

/// Whether a run by itself is left as it is, but for capitals.
#[inline]
fn is_plain(run: &[u8; RUN]) -> bool {
    let odd = run.iter().fold(0, |odd, &byte| odd | u8::from(is_rewritten(byte)));
    let pairs = run.iter().zip(&run[1..]);
    odd | pairs.fold(0, |odd, (&first, &second)| odd | u8::from(is_pair_rewritten(first, second))) == 0
}

/// What becomes of a byte; each flag is 0 or 1.
#[derive(Clone, Copy)]
struct Step {
    /// What is written.
    byte: u8,
    /// Nothing of it stays.
    deleted: u8,
    /// It is a space in the result, one for each run.
    blank: u8,
    /// It deletes the space before it.
    attached: u8,
}

static STEPS: [Step; 256] = {
    let mut steps = [Step { byte: 0, deleted: 0, blank: 0, attached: 0 }; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        let blank = matches!(byte, b' ' | b',' | b';' | b'\t' | b'\r' | b'\n');
        steps[at] = Step {
            byte: if blank { b' ' } else { byte.to_ascii_lowercase() },
            deleted: matches!(byte, b'"' | b'\'' | b'\\' | b'^') as u8,
            blank: blank as u8,
            attached: matches!(byte, b'/' | b'(') as u8,
        };
        at += 1;
    }
    steps
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;
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

    /// Against deleting and joining byte by byte, with everything that is special at every place of a run.
    #[test]
    fn runs_are_normalized_like_bytes() {
        let by_bytes = |text: &[u8]| {
            let mut result: Vec<u8> = Vec::new();
            for &byte in text {
                match byte {
                    b'"' | b'\'' | b'\\' | b'^' => {}
                    b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                        if result.last() != Some(&b' ') {
                            result.push(b' ');
                        }
                    }
                    _ => {
                        if matches!(byte, b'/' | b'(') && result.last() == Some(&b' ') {
                            result.pop();
                        }
                        result.push(byte.to_ascii_lowercase());
                    }
                }
            }
            result
        };
        let mut random = 5u32;
        let mut next = |end: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize % end
        };
        for round in 0..5_000 {
            let odd = [3, 20, 100][round % 3];
            let text: Vec<u8> = (0..next(120))
                .map(|_| if next(odd) == 0 { b" ,;\t\r\n/(\"'\\^"[next(12)] } else { b"aB 1"[next(4)] })
                .collect();
            let mut output = Vec::new();
            let result = match CmdLine.apply(&text, &mut output, &Context::default()) {
                true => &output,
                false => &text,
            };
            assert_eq!(*result, by_bytes(&text), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn tells_when_texts_are_kept() {
        let mut random = 1u32;
        let mut next = |end: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize % end
        };
        let mut kept = [0; 4];
        for _ in 0..20_000 {
            let input: Vec<u8> = (0..next(8)).map(|_| b"aB/( ,;\"\\^"[next(10)]).collect();
            let mut output = Vec::new();
            normalize(&input, &mut output);
            let lower = input.to_ascii_lowercase();
            for (flags, kept) in kept.iter_mut().enumerate() {
                let (slashes, brackets) = (flags & 1 != 0, flags & 2 != 0);
                if !keeps_texts(&input, slashes, brackets) {
                    continue;
                }
                *kept += 1;
                let texts =
                    (0..output.len()).flat_map(|from| (from + 1..=output.len()).map(move |to| (from, to)));
                for text in texts.map(|(from, to)| &output[from..to]) {
                    let allowed = !text.contains(&b' ')
                        && (slashes || !text[1..].contains(&b'/'))
                        && (brackets || !text[1..].contains(&b'('));
                    let occurs = lower.windows(text.len()).any(|window| window == text);
                    assert!(!allowed || occurs, "{} in {}", text.escape_ascii(), input.escape_ascii());
                }
            }
        }
        assert!(kept.iter().all(|kept| *kept > 1000), "{kept:?}");
    }
}
