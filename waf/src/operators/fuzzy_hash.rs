//! `@fuzzyHash`: how near a value is to known ones, by context triggered
//! piecewise hashes (J. Kornblum, "Identifying almost identical files using
//! context triggered piecewise hashing", 2006), compatible with ssdeep.
//!
//! A rolling hash over the last bytes cuts the value into pieces, and each piece
//! gives one letter. Signatures are compared by the edits between them.

/// Most letters of a signature.
const LETTERS: usize = 64;
/// Smallest size of pieces; all others are this times a power of two.
const LEAST_BLOCK: u64 = 3;
/// How many block sizes are tried.
const SIZES: usize = 31;
/// Bytes that the rolling hash remembers.
const WINDOW: usize = 7;
/// Where the hash of a piece starts.
const PIECE_START: u8 = 0x27;
/// Most known hashes of a file.
const HASHES_LIMIT: usize = 100_000;

/// Known hashes, and from which score on a value counts as one of them.
#[derive(Debug)]
pub(crate) struct FuzzyHashes {
    known: Vec<Signature>,
    threshold: u32,
}

/// Letters for one size of pieces and for its double.
#[derive(Debug, PartialEq, Eq)]
struct Signature {
    block: u64,
    single: Vec<u8>,
    double: Vec<u8>,
}

impl FuzzyHashes {
    /// Reads a file of ssdeep; `argument` ends with the score. Lines that hold no hash are passed over.
    pub(crate) fn parse(contents: &[u8], argument: &str) -> Self {
        let threshold = argument.split_ascii_whitespace().last().and_then(|score| score.parse().ok());
        let lines = contents.split(|byte| *byte == b'\n');
        let known = lines.filter_map(Signature::parse).take(HASHES_LIMIT).collect();
        Self { known, threshold: threshold.unwrap_or(100) }
    }

    /// The score of the first known hash that is near enough.
    pub(crate) fn score(&self, value: &[u8]) -> Option<u32> {
        if self.known.is_empty() {
            return None;
        }
        let own = Signature::of(value);
        self.known.iter().map(|known| known.score(&own)).find(|score| *score >= self.threshold)
    }
}

impl Signature {
    /// `96:letters:letters,"name"`.
    fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let mut parts = line.split([',', '\r']).next()?.splitn(3, ':');
        let block = parts.next()?.parse().ok()?;
        let mut letters = || {
            let letters = parts.next()?.as_bytes();
            (letters.len() <= LETTERS).then(|| without_runs(letters))
        };
        Some(Self { block, single: letters()?, double: letters()? })
    }

    /// The signature of a value.
    fn of(value: &[u8]) -> Self {
        let mut rolling = Rolling::default();
        let mut sizes = [const { Pieces::new() }; SIZES];
        // The size that gives about as many letters as fit; smaller ones follow when it gives too few.
        let largest = (0..SIZES - 1).find(|size| block(*size) * LETTERS as u64 >= value.len() as u64);
        let largest = largest.unwrap_or(SIZES - 2);
        for &byte in value {
            let sum = u64::from(rolling.add(byte)) + 1;
            sizes[..largest + 2].iter_mut().for_each(|pieces| pieces.add(byte));
            // A piece ends where the size divides the sum: 3 does, and so many twos.
            if sum.is_multiple_of(LEAST_BLOCK) {
                let cut = (sum.trailing_zeros() as usize + 1).min(largest + 2);
                sizes[..cut].iter_mut().for_each(Pieces::cut);
            }
        }
        let mut size = largest;
        while size > 0 && sizes[size].letters.len() < LETTERS / 2 {
            size -= 1;
        }
        let is_open = rolling.sum() != 0;
        Self {
            block: block(size),
            single: without_runs(&sizes[size].single(is_open)),
            double: without_runs(&sizes[size + 1].double(is_open)),
        }
    }

    /// How near two signatures are, up to 100.
    fn score(&self, other: &Self) -> u32 {
        if self.block == other.block {
            if self.single == other.single && self.double == other.double {
                return 100;
            }
            return score(&self.single, &other.single, self.block).max(score(
                &self.double,
                &other.double,
                self.block.saturating_mul(2),
            ));
        }
        if self.block.checked_mul(2) == Some(other.block) {
            return score(&self.double, &other.single, other.block);
        }
        if other.block.checked_mul(2) == Some(self.block) {
            return score(&self.single, &other.double, self.block);
        }
        0
    }
}

/// Size of the pieces.
fn block(size: usize) -> u64 {
    LEAST_BLOCK << size
}

/// A hash of the last bytes only.
#[derive(Default)]
struct Rolling {
    window: [u8; WINDOW],
    at: usize,
    plain: u32,
    weighted: u32,
    shifted: u32,
}

impl Rolling {
    fn add(&mut self, byte: u8) -> u32 {
        let new = u32::from(byte);
        self.weighted = self.weighted.wrapping_sub(self.plain).wrapping_add(WINDOW as u32 * new);
        let old = std::mem::replace(&mut self.window[self.at], byte);
        self.plain = self.plain.wrapping_add(new).wrapping_sub(u32::from(old));
        self.at = (self.at + 1) % WINDOW;
        self.shifted = (self.shifted << 5) ^ new;
        self.sum()
    }

    fn sum(&self) -> u32 {
        self.plain.wrapping_add(self.weighted).wrapping_add(self.shifted)
    }
}

/// The letters for one size of pieces. Only six bits of each hash are shown, and they depend on no others.
#[derive(Clone)]
struct Pieces {
    letters: Vec<u8>,
    /// Hash of the piece that is open.
    open: u8,
    /// The same for the signature of the double size, which is cut at half the letters.
    open_half: u8,
    /// The letter of the last piece, when there are too many pieces.
    last: Option<u8>,
    last_half: Option<u8>,
}

impl Pieces {
    const fn new() -> Self {
        Self { letters: Vec::new(), open: PIECE_START, open_half: PIECE_START, last: None, last_half: None }
    }

    fn add(&mut self, byte: u8) {
        let step = |hash: u8| hash.wrapping_mul(0x93) & 0x3f ^ byte & 0x3f;
        (self.open, self.open_half) = (step(self.open), step(self.open_half));
    }

    /// The open piece ends. When all letters but one are there, the rest of the value is the last one.
    fn cut(&mut self) {
        (self.last, self.last_half) = (Some(letter(self.open)), Some(letter(self.open_half)));
        if self.letters.len() >= LETTERS - 1 {
            return;
        }
        self.letters.push(letter(self.open));
        (self.open, self.last) = (PIECE_START, None);
        if self.letters.len() < LETTERS / 2 {
            (self.open_half, self.last_half) = (PIECE_START, None);
        }
    }

    fn single(&self, is_open: bool) -> Vec<u8> {
        let end = if is_open { Some(letter(self.open)) } else { self.last };
        self.letters.iter().copied().chain(end).collect()
    }

    fn double(&self, is_open: bool) -> Vec<u8> {
        let end = if is_open { Some(letter(self.open_half)) } else { self.last_half };
        self.letters.iter().copied().take(LETTERS / 2 - 1).chain(end).collect()
    }
}

fn letter(hash: u8) -> u8 {
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[usize::from(hash & 0x3f)]
}

/// Runs of more than three letters say little and are cut to three.
fn without_runs(letters: &[u8]) -> Vec<u8> {
    let is_run = |at: usize| at >= 3 && letters[at - 3..at].iter().all(|letter| *letter == letters[at]);
    (0..letters.len()).filter(|at| !is_run(*at)).map(|at| letters[at]).collect()
}

/// How near two signatures of one size are, up to 100.
fn score(left: &[u8], right: &[u8], block: u64) -> u32 {
    let shares = |part: &[u8]| right.windows(WINDOW).any(|other| other == part);
    if !left.windows(WINDOW).any(shares) {
        return 0;
    }
    let (lengths, least) = (left.len() + right.len(), left.len().min(right.len()));
    // Edits in proportion to the letters, then scaled to 100.
    let edits = edits(left, right) * LETTERS / lengths;
    let score = 100 - (100 * edits / LETTERS).min(100);
    // Small pieces match by chance.
    if block >= (99 + WINDOW as u64) / WINDOW as u64 * LEAST_BLOCK {
        return score as u32;
    }
    score.min((block / LEAST_BLOCK) as usize * least) as u32
}

/// Insertions and deletions that turn one into the other; a replacement is both.
fn edits(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + if from == to { 0 } else { 2 };
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_values_have_near_hashes() {
        let text: Vec<u8> = (0..4000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let own = Signature::of(&text);
        assert_eq!(own.score(&own), 100);
        let mut changed = text.clone();
        changed.splice(1000..1010, *b"other text");
        let score = own.score(&Signature::of(&changed));
        assert!((80..100).contains(&score), "{score}");
        let other: Vec<u8> = text.iter().map(|byte| byte.wrapping_mul(3) ^ 0x55).collect();
        assert_eq!(own.score(&Signature::of(&other)), 0);
        assert_eq!(Signature::of(b""), Signature { block: 3, single: Vec::new(), double: Vec::new() });
    }

    #[test]
    fn files_of_hashes_are_read() {
        let file =
            b"ssdeep,1.1--blocksize:hash:hash,filename\r\n96:abcdefgh:ijkl,\"name\"\r\nnonsense\n3::\n";
        let hashes = FuzzyHashes::parse(file, "file.txt 80");
        assert_eq!((hashes.known.len(), hashes.threshold), (2, 80));
        assert_eq!(
            hashes.known[0],
            Signature { block: 96, single: b"abcdefgh".to_vec(), double: b"ijkl".to_vec() }
        );
        assert_eq!(hashes.score(b"x"), None);
    }

    #[test]
    fn edits_and_runs() {
        assert_eq!(edits(b"abc", b"abc"), 0);
        assert_eq!(edits(b"abc", b"axc"), 2);
        assert_eq!(edits(b"", b"abc"), 3);
        assert_eq!(without_runs(b"aaaaabbbbc"), b"aaabbbc");
    }
}
