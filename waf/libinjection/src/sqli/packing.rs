//! How words and fingerprints are packed into the built tables. Shared with `build.rs`.

/// How many hash buckets the words are spread over: about two for each word, so that most words
/// which are not in the table meet an empty bucket.
pub const WORD_BUCKETS: usize = 1 << WORD_BUCKET_BITS;
const WORD_BUCKET_BITS: u32 = 11;

/// How many buckets the fingerprints are spread over: one for each pair of first letters.
pub const FINGERPRINT_BUCKETS: usize = 1 << (2 * LETTER_BITS);
const LETTER_BITS: u32 = 5;

/// The most letters a fingerprint has.
pub const FINGERPRINT_LENGTH: usize = 5;

/// The letters, in upper case, of all fingerprints which mean injection.
const LETTERS: &[u8] = b"&(),1:;ABCEFKNOSTUVX";

/// The bucket for a word's key, below [`WORD_BUCKETS`]. It looks at the first sixteen bytes and the
/// length, by which nearly all listed words differ.
#[must_use]
pub const fn word_bucket(key: &[u64; 4]) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = key[0] ^ key[1].rotate_left(29) ^ key[3] >> 56;
    let hash = (mixed ^ mixed >> 32).wrapping_mul(ODD);
    (hash >> (64 - WORD_BUCKET_BITS)) as usize
}

/// How many bits the filter for words has: about eight for each word, so that one look tells of
/// most words that they are not listed.
pub const WORD_FILTER_BITS: usize = 1 << WORD_FILTER_EXPONENT;
const WORD_FILTER_EXPONENT: u32 = 13;

/// The bit, below [`WORD_FILTER_BITS`], of a word of that length whose first eight bytes, padded by
/// NUL, are the little-endian `head`. The case of letters makes no difference.
#[must_use]
pub const fn word_filter_bit(head: u64, length: usize) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    // Folds more bytes than letters, which only makes more words share a bit.
    const NO_CASE: u64 = 0xdfdf_dfdf_dfdf_dfdf;
    let mixed = (head & NO_CASE) ^ (length as u64).rotate_right(5);
    let hash = (mixed ^ mixed >> 29).wrapping_mul(ODD);
    (hash >> (64 - WORD_FILTER_EXPONENT)) as usize
}

/// The bit for a first letter, whatever its case, among the 32 of a filter. Other bytes share the
/// bits of letters.
#[must_use]
pub const fn letter_bit(letter: u8) -> usize {
    (letter & 0x1f) as usize
}

/// The bucket, below [`FINGERPRINT_BUCKETS`], and the packed rest of a fingerprint, five bits for
/// each letter whatever its case. `None` when it is empty or too long, or has a letter that no
/// listed fingerprint has.
#[must_use]
pub fn pack_fingerprint(letters: &[u8]) -> Option<(usize, u16)> {
    if letters.is_empty() || letters.len() > FINGERPRINT_LENGTH {
        return None;
    }
    let mut packed = 0_u32;
    for place in 0..FINGERPRINT_LENGTH {
        let code = match letters.get(place) {
            Some(&letter) => CODES[letter as usize],
            None => 0,
        };
        if code == 0 && place < letters.len() {
            return None;
        }
        packed = packed << LETTER_BITS | u32::from(code);
    }
    let tail_bits = 3 * LETTER_BITS;
    Some(((packed >> tail_bits) as usize, (packed & ((1 << tail_bits) - 1)) as u16))
}

/// Where the fingerprints lie which begin with `letters`, one to three of them: a range of buckets,
/// and the third letter in the top bits of a packed rest. `None` when one has a letter that no
/// listed fingerprint has, and for more letters or none.
#[must_use]
pub fn pack_opening(letters: &[u8]) -> Option<(std::ops::Range<usize>, Option<u16>)> {
    let code = |place: usize| match CODES[letters[place] as usize] {
        0 => None,
        code => Some(usize::from(code)),
    };
    match letters.len() {
        1 => Some((code(0)? << LETTER_BITS..(code(0)? + 1) << LETTER_BITS, None)),
        2 | 3 => {
            let bucket = code(0)? << LETTER_BITS | code(1)?;
            let third = if letters.len() == 3 { Some((code(2)? << (2 * LETTER_BITS)) as u16) } else { None };
            Some((bucket..bucket + 1, third))
        }
        _ => None,
    }
}

/// The mask of the third letter in a packed rest.
pub const THIRD_LETTER: u16 = ((1 << LETTER_BITS) - 1) << (2 * LETTER_BITS);

/// The code of each letter from 1; 0 for the bytes that are none.
static CODES: [u8; 256] = {
    let mut codes = [0; 256];
    let mut place = 0;
    while place < LETTERS.len() {
        codes[LETTERS[place] as usize] = place as u8 + 1;
        codes[LETTERS[place].to_ascii_lowercase() as usize] = place as u8 + 1;
        place += 1;
    }
    codes
};

/// The letters, in upper case, that were packed so.
#[cfg(test)]
pub(super) fn unpack_fingerprint(bucket: usize, tail: u16) -> String {
    let packed = bucket << (3 * LETTER_BITS) | usize::from(tail);
    let codes = (0..FINGERPRINT_LENGTH as u32).rev().map(|place| packed >> (place * LETTER_BITS) & 31);
    codes.filter(|&code| code > 0).map(|code| char::from(LETTERS[code - 1])).collect()
}
