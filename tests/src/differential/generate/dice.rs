//! Numbers that look random and are the same in every run.

/// SplitMix64.
#[derive(Debug)]
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    /// The dice of request `number` in the corpus `seed`.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let mut dice = Self { state: seed ^ number.wrapping_mul(0xA076_1D64_78BD_642F) };
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end` - 1.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// True in `share` of a hundred cases.
    pub(super) fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    /// One of `choices`, which are not empty.
    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// A word of lower-case letters.
    pub(super) fn name(&mut self) -> String {
        let length = 1 + self.below(8);
        (0..length).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }
}
