//! Values for property tests: words, figures and marks in random rows, seeded.

use super::words;

/// A small generator of pseudo-random numbers (splitmix64), so that failures repeat.
pub(crate) struct Random {
    state: u64,
    words: Vec<Vec<u8>>,
}

/// What stands between words.
#[rustfmt::skip]
const PIECES: [&str; 72] = [
    " ", " ", " ", " ", ",", ", ", ".", ". ", "-", "--", "-- ", "/", "/*", "*/", "/*!", "(", ")", " (", ") ",
    ";", "; ", ":", "::", ":=", "=", "==", "!", "!!", "<", ">", "<=>", "<>", "&", "&&", "|", "||", "*", "+",
    "%", "^", "~", "?", "[", "]", "{", "}", "`", "``", "'", "'", "\"", "\"", "\\", "\\N", "#", "\n", "\t", "\0",
    "\x7f", "\u{a0}", "@", "@@", "$", "$$", "$1", "a", "x", "e", "n", "b", "q'", "u&'",
];

/// Words and figures; listed words come from the table.
#[rustfmt::skip]
const PLAIN: [&str; 40] = [
    "foo", "Bar", "the", "quick", "x1", "_y", "caf\u{e9}", "name", "a.b", "a.b.c", "select.x", "user.id",
    "0", "1", "12", "1.5", ".5", "1e5", "1e", "0x1f", "0x", "0b1", "1f", "2d ", "3fa85f64", "1.", "..",
    "averylongwordthatislongerthanthirtyone", "union", "select", "and", "or", "not", "in", "like", "is",
    "user", "sp_password", "at", "if",
];

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random { state: seed, words: words::all().map(|word| word.bytes().to_vec()).collect() }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A row of pieces. In most values only a few kinds of them, some plain, so that long rows of
    /// the same are common; listed words in half of the values.
    pub(crate) fn value(&mut self) -> Vec<u8> {
        let few: Option<[usize; 3]> = (self.below(3) > 0).then(|| [0; 3].map(|_| self.below(PIECES.len())));
        let listed = self.below(2) == 0;
        let mut value = Vec::new();
        for _ in 0..self.below(12) {
            match (self.below(8), few) {
                (0, _) if listed => {
                    let word = self.below(self.words.len());
                    value.extend_from_slice(&self.words[word]);
                }
                (1..=3, _) => value.extend(PLAIN[self.below(PLAIN.len())].bytes()),
                (4, None) if self.below(4) == 0 => value.push(self.next() as u8),
                (4, Some(_)) => value.push(b' '),
                (_, None) => value.extend(PIECES[self.below(PIECES.len())].bytes()),
                (_, Some(few)) => value.extend(PIECES[few[self.below(3)]].bytes()),
            }
        }
        value
    }
}
