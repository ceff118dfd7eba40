//! The cheap question asked before every rewrite: does any byte need it?

/// The bytes tested without a branch between them, so that the compiler can
/// use vector instructions (it does for sums of bytes, not for sums of
/// `bool`s); one early exit per run is enough.
const RUN: usize = 32;

/// Whether `test` holds for any byte of `input`.
#[inline(always)]
pub(crate) fn any(input: &[u8], test: impl Fn(u8) -> bool) -> bool {
    let mut runs = input.chunks_exact(RUN);
    runs.by_ref().any(|run| run.iter().fold(0, |hits, &byte| hits | u8::from(test(byte))) != 0)
        || runs.remainder().iter().any(|&byte| test(byte))
}

/// Whether `test` holds for any two neighbouring bytes of `input`.
#[inline(always)]
pub(crate) fn any_pair(input: &[u8], test: impl Fn(u8, u8) -> bool) -> bool {
    let Some(seconds) = input.get(1..) else { return false };
    let (mut left, mut right) = (input.chunks_exact(RUN), seconds.chunks_exact(RUN));
    loop {
        match (left.next(), right.next()) {
            (Some(firsts), Some(seconds)) => {
                let pairs = firsts.iter().zip(seconds);
                if pairs.fold(0, |hits, (&first, &second)| hits | u8::from(test(first, second))) != 0 {
                    return true;
                }
            }
            // Left may have one run more than right; its bytes are then all
            // compared with right's remainder.
            (run, _) => {
                let firsts = run.unwrap_or(left.remainder());
                return firsts.iter().zip(right.remainder()).any(|(&first, &second)| test(first, second));
            }
        }
    }
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
