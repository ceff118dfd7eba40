//! The cheap question asked before every rewrite: does any byte need it?

/// Bytes that are looked at together, in values that have so many, and in
/// shorter ones: as many as a vector register holds, or half of the smallest.
const RUN: usize = 32;
const SHORT_RUN: usize = 8;

/// Whether `test` holds for any byte.
#[inline(always)]
pub(crate) fn any(input: &[u8], test: impl Fn(u8) -> bool) -> bool {
    match input.len() {
        RUN.. => any_in_runs::<RUN>(input, test),
        SHORT_RUN.. => any_in_runs::<SHORT_RUN>(input, test),
        _ => input.iter().any(|&byte| test(byte)),
    }
}

/// Whether `test` holds for any two bytes that stand together.
#[inline(always)]
pub(crate) fn any_pair(input: &[u8], test: impl Fn(u8, u8) -> bool) -> bool {
    let Some((firsts, seconds)) = input.get(..input.len().saturating_sub(1)).zip(input.get(1..)) else {
        return false;
    };
    match firsts.len() {
        RUN.. => any_pair_in_runs::<RUN>(firsts, seconds, test),
        SHORT_RUN.. => any_pair_in_runs::<SHORT_RUN>(firsts, seconds, test),
        _ => firsts.iter().zip(seconds).any(|(&first, &second)| test(first, second)),
    }
}

/// The last run overlaps the one before instead of being shorter.
#[inline(always)]
fn any_in_runs<const N: usize>(input: &[u8], test: impl Fn(u8) -> bool) -> bool {
    let hits = |run: &[u8; N]| run.iter().fold(0, |hits, &byte| hits | u8::from(test(byte))) != 0;
    input.as_chunks::<N>().0.iter().any(hits) || input.last_chunk::<N>().is_some_and(hits)
}

#[inline(always)]
fn any_pair_in_runs<const N: usize>(firsts: &[u8], seconds: &[u8], test: impl Fn(u8, u8) -> bool) -> bool {
    let hits = |(firsts, seconds): (&[u8; N], &[u8; N])| {
        let pairs = firsts.iter().zip(seconds);
        pairs.fold(0, |hits, (&first, &second)| hits | u8::from(test(first, second))) != 0
    };
    firsts.as_chunks::<N>().0.iter().zip(seconds.as_chunks::<N>().0).any(hits)
        || firsts.last_chunk::<N>().zip(seconds.last_chunk::<N>()).is_some_and(hits)
}

#[cfg(test)]
mod tests {
    use super::{any, any_pair};

    #[test]
    fn finds_a_byte_wherever_it_is() {
        for length in 0..100 {
            let mut input = vec![b'a'; length];
            assert!(!any(&input, |byte| byte == b'b'));
            for at in 0..length {
                input[at] = b'b';
                assert!(any(&input, |byte| byte == b'b'), "{length} {at}");
                input[at] = b'a';
            }
        }
    }

    #[test]
    fn finds_a_pair_wherever_it_is() {
        for length in 0..100 {
            let mut input = vec![b'a'; length];
            assert!(!any_pair(&input, |first, second| first == b'b' || second == b'b'));
            for at in 1..length {
                input[at - 1] = b'b';
                input[at] = b'c';
                assert!(any_pair(&input, |first, second| first == b'b' && second == b'c'), "{length} {at}");
                assert!(!any_pair(&input, |first, second| first == b'c' && second == b'b'));
                (input[at - 1], input[at]) = (b'a', b'a');
            }
        }
    }
}
