//! How often bytes and texts occur in what clients send: a rough model that
//! decides what is looked for first. It changes how fast an answer comes, never which.

use std::sync::LazyLock;

use hop3_transformations::ByteSet;

/// Bytes of a usual value.
pub(crate) const VALUE_LENGTH: f32 = 24.0;

/// Expected occurrences per byte of text, for a set of texts in lower case.
pub(crate) fn of_literals(texts: &[impl AsRef<[u8]>]) -> f32 {
    of_texts(texts.iter().map(AsRef::as_ref))
}

/// The same in any case.
pub(crate) fn of_texts<'t>(texts: impl Iterator<Item = &'t [u8]>) -> f32 {
    texts.map(of_text).sum()
}

/// Expected occurrences of one text per byte of text.
pub(crate) fn of_text(text: &[u8]) -> f32 {
    text.iter().map(|byte| of_byte(*byte)).product()
}

/// The byte of a text that occurs least.
pub(crate) fn rarest_byte(text: &[u8]) -> Option<u8> {
    text.iter().copied().min_by(|left, right| of_byte(*left).total_cmp(&of_byte(*right)))
}

/// The chance that a usual value has a byte of the set.
pub(crate) fn of_set(set: ByteSet) -> f32 {
    let counted = |byte: &u8| !(byte.is_ascii_uppercase() && set.contains(byte.to_ascii_lowercase()));
    let frequency: f32 = set.iter().filter(counted).map(of_byte).sum();
    1.0 - (1.0 - frequency.min(1.0)).powf(VALUE_LENGTH)
}

/// The part of all bytes that belongs to the set, 1 at most.
pub(crate) fn share_of(set: &ByteSet) -> f32 {
    let eights = set.eights().into_iter().zip(EIGHTS.iter());
    eights.map(|(members, shares)| shares[usize::from(members)]).sum::<f32>().min(1.0)
}

/// Share of a byte, both cases of a letter together.
fn of_byte(byte: u8) -> f32 {
    SHARES[usize::from(byte)]
}

/// [`of_byte`], worked out once: patterns ask a million times.
static SHARES: [f32; 256] = {
    let mut shares = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        shares[byte] = per_mille(byte as u8) / 1_000.0;
        byte += 1;
    }
    shares
};

/// The shares of each set of eight neighbouring bytes, by eight and bits.
static EIGHTS: LazyLock<Vec<[f32; 256]>> = LazyLock::new(|| {
    let share = |first: u8, members: u8| {
        (0..8u8).filter(|bit| members >> bit & 1 == 1).map(|bit| of_byte(first + bit)).sum()
    };
    (0..32u8).map(|eight| std::array::from_fn(|members| share(8 * eight, members as u8))).collect()
});

const fn per_mille(byte: u8) -> f32 {
    match byte.to_ascii_lowercase() {
        b'e' => 85.0,
        b't' | b'a' => 65.0,
        b'o' | b'i' | b'n' | b's' | b'r' => 55.0,
        b'l' | b'd' | b'c' => 32.0,
        b'h' | b'u' | b'm' | b'p' => 26.0,
        b'g' | b'b' | b'f' | b'y' | b'w' | b'v' | b'k' => 15.0,
        b'x' | b'j' | b'q' | b'z' => 5.0,
        b' ' => 90.0,
        b'0' | b'1' | b'2' => 28.0,
        b'3'..=b'9' => 18.0,
        b'.' | b'/' | b'-' => 18.0,
        b'=' | b'_' | b',' | b':' => 10.0,
        b';' | b'"' | b'&' | b'%' | b'+' => 5.0,
        b'(' | b')' | b'?' | b'\'' | b'!' | b'@' | b'#' | b'*' => 3.0,
        b'<' | b'>' | b'{' | b'}' | b'[' | b']' | b'\r' | b'\n' | b'\t' => 1.5,
        b'$' | b'|' | b'\\' | b'~' | b'^' | b'`' => 0.6,
        0x80.. => 1.0,
        _ => 0.05,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rarer() {
        assert!(of_text(b"select") < of_text(b"or"));
        assert!(of_literals(&[b"xp_".to_vec()]) < of_literals(&[b"=".to_vec(), b"a".to_vec()]));
        assert!(of_set(ByteSet::of(b"`")) < of_set(ByteSet::of(b"e")));
        assert!(of_set(ByteSet::ALL) > 0.999);
    }
}
