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

/// The code of each letter from 1; 0 for the bytes that are none.
const CODES: [u8; 256] = {
    let mut codes = [0; 256];
    let mut place = 0;
    while place < LETTERS.len() {
        codes[LETTERS[place] as usize] = place as u8 + 1;
        codes[LETTERS[place].to_ascii_lowercase() as usize] = place as u8 + 1;
        place += 1;
    }
    codes
};
