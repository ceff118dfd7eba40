//! What may stand in an element, as an automaton over its children.
//!
//! The positions of a model are the symbols of its expression; after each child
//! the automaton is in the positions that the child may have been (Glushkov's
//! construction). DTDs and schemas demand that a child can be only one symbol,
//! and a model where that is not so is refused.

/// Most positions of a model, repetitions written out.
const POSITIONS_LIMIT: usize = 256;
/// Most that a model may repeat a part a counted number of times.
const COUNT_LIMIT: u32 = 256;

/// An expression over symbols.
#[derive(Debug, Clone)]
pub(super) enum Particle<S> {
    Symbol(S),
    Sequence(Vec<Particle<S>>),
    Choice(Vec<Particle<S>>),
    /// At least, and at most; `None` is any number.
    Repeat(Box<Particle<S>>, u32, Option<u32>),
}

/// Why an expression has no automaton.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ModelError {
    #[error("it is too large: at most {POSITIONS_LIMIT} parts, repetitions written out")]
    TooLarge,
    #[error("it is ambiguous: a child may be more than one of its parts")]
    Ambiguous,
}

/// The automaton of an expression.
#[derive(Debug, Clone)]
pub(super) struct Model<S> {
    /// Symbols with the number of the part they came from: copies of one part are not ambiguous.
    symbols: Vec<(S, u32)>,
    first: Vec<u32>,
    follow: Vec<Vec<u32>>,
    last: Vec<bool>,
    accepts_nothing: bool,
}

/// Where a model is after some children.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// `None` before the first child.
    positions: Option<Vec<u32>>,
}

/// First and last positions of a part, and whether it may be nothing.
struct Part {
    first: Vec<u32>,
    last: Vec<u32>,
    nullable: bool,
}

impl<S: Clone> Model<S> {
    /// The automaton; `overlap` says whether one child could be both symbols.
    pub(super) fn new(particle: &Particle<S>, overlap: impl Fn(&S, &S) -> bool) -> Result<Self, ModelError> {
        let mut model = Self {
            symbols: Vec::new(),
            first: Vec::new(),
            follow: Vec::new(),
            last: Vec::new(),
            accepts_nothing: false,
        };
        let part = model.add(particle, &mut 0)?;
        model.last = vec![false; model.symbols.len()];
        part.last.iter().for_each(|last| model.last[*last as usize] = true);
        (model.first, model.accepts_nothing) = (part.first, part.nullable);
        let sets = std::iter::once(&model.first).chain(&model.follow);
        let ambiguous = sets.into_iter().any(|set| {
            set.iter().enumerate().any(|(index, one)| {
                let (left, part) = &model.symbols[*one as usize];
                set[..index].iter().any(|other| {
                    let (right, other_part) = &model.symbols[*other as usize];
                    part != other_part && overlap(left, right)
                })
            })
        });
        if ambiguous { Err(ModelError::Ambiguous) } else { Ok(model) }
    }

    /// The state after one more child, and the symbol that the child is; `None`
    /// when it may not stand there.
    pub(super) fn step(&self, state: &State, is: impl Fn(&S) -> bool) -> Option<(State, &S)> {
        let mut next: Vec<u32> = Vec::new();
        let mut consider = |set: &[u32]| {
            for position in set {
                if is(&self.symbols[*position as usize].0) && !next.contains(position) {
                    next.push(*position);
                }
            }
        };
        match &state.positions {
            None => consider(&self.first),
            Some(positions) => positions.iter().for_each(|from| consider(&self.follow[*from as usize])),
        }
        let symbol = &self.symbols[*next.first()? as usize].0;
        Some((State { positions: Some(next) }, symbol))
    }

    /// Whether the children may end here.
    pub(super) fn accepts(&self, state: &State) -> bool {
        match &state.positions {
            None => self.accepts_nothing,
            Some(positions) => positions.iter().any(|position| self.last[*position as usize]),
        }
    }

    /// What may come next.
    pub(super) fn expected(&self, state: &State) -> Vec<&S> {
        let mut all: Vec<u32> = match &state.positions {
            None => self.first.clone(),
            Some(positions) => {
                positions.iter().flat_map(|from| self.follow[*from as usize].iter().copied()).collect()
            }
        };
        all.sort_unstable();
        all.dedup_by_key(|position| self.symbols[*position as usize].1);
        all.iter().map(|position| &self.symbols[*position as usize].0).collect()
    }

    /// How much work a step may be.
    pub(super) fn cost(&self, state: &State) -> u64 {
        let set = |set: &Vec<u32>| set.len() as u64 + 1;
        match &state.positions {
            None => set(&self.first),
            Some(positions) => positions.iter().map(|from| set(&self.follow[*from as usize])).sum(),
        }
    }

    /// Adds a part. `part` numbers the symbols as they are written.
    fn add(&mut self, particle: &Particle<S>, part: &mut u32) -> Result<Part, ModelError> {
        match particle {
            Particle::Symbol(symbol) => {
                if self.symbols.len() >= POSITIONS_LIMIT {
                    return Err(ModelError::TooLarge);
                }
                let position = self.symbols.len() as u32;
                self.symbols.push((symbol.clone(), *part));
                self.follow.push(Vec::new());
                *part += 1;
                Ok(Part { first: vec![position], last: vec![position], nullable: false })
            }
            Particle::Sequence(parts) => {
                let mut whole = Part { first: Vec::new(), last: Vec::new(), nullable: true };
                for one in parts {
                    let next = self.add(one, part)?;
                    whole = self.join(whole, next);
                }
                Ok(whole)
            }
            Particle::Choice(parts) => {
                let mut whole = Part { first: Vec::new(), last: Vec::new(), nullable: parts.is_empty() };
                for one in parts {
                    let next = self.add(one, part)?;
                    whole.first.extend(next.first);
                    whole.last.extend(next.last);
                    whole.nullable |= next.nullable;
                }
                Ok(whole)
            }
            Particle::Repeat(inner, least, most) => self.repeat(inner, *least, *most, part),
        }
    }

    /// Repetitions are written out; the copies of one symbol keep its number.
    fn repeat(
        &mut self,
        inner: &Particle<S>,
        least: u32,
        most: Option<u32>,
        part: &mut u32,
    ) -> Result<Part, ModelError> {
        if least > COUNT_LIMIT || most.is_some_and(|most| most > COUNT_LIMIT) {
            return Err(ModelError::TooLarge);
        }
        let from = *part;
        let mut whole = Part { first: Vec::new(), last: Vec::new(), nullable: true };
        let copies = most.unwrap_or_else(|| least.max(1));
        for copy in 0..copies {
            *part = from;
            let mut next = self.add(inner, part)?;
            next.nullable |= copy >= least;
            if most.is_none() && copy + 1 == copies {
                self.connect(&next.last.clone(), &next.first.clone());
            }
            whole = self.join(whole, next);
        }
        Ok(whole)
    }

    fn join(&mut self, mut left: Part, right: Part) -> Part {
        self.connect(&left.last, &right.first);
        if left.nullable {
            left.first.extend_from_slice(&right.first);
        }
        let last = if right.nullable { [left.last, right.last].concat() } else { right.last };
        Part { first: left.first, last, nullable: left.nullable && right.nullable }
    }

    fn connect(&mut self, from: &[u32], to: &[u32]) {
        for position in from {
            let follow = &mut self.follow[*position as usize];
            for next in to {
                if !follow.contains(next) {
                    follow.push(*next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Particle::*;

    fn symbol(letter: char) -> Particle<char> {
        Symbol(letter)
    }

    fn repeat(inner: Particle<char>, least: u32, most: Option<u32>) -> Particle<char> {
        Repeat(Box::new(inner), least, most)
    }

    fn accepts(model: &Model<char>, word: &str) -> bool {
        let mut state = State::default();
        for letter in word.chars() {
            match model.step(&state, |symbol| *symbol == letter) {
                Some((next, _)) => state = next,
                None => return false,
            }
        }
        model.accepts(&state)
    }

    #[test]
    fn words_are_those_of_the_expression() {
        let same = |a: &char, b: &char| a == b;
        // (a?, (b | c)+, d{2,3})
        let particle = Sequence(vec![
            repeat(symbol('a'), 0, Some(1)),
            repeat(Choice(vec![symbol('b'), symbol('c')]), 1, None),
            repeat(symbol('d'), 2, Some(3)),
        ]);
        let model = Model::new(&particle, same).unwrap();
        for word in ["bdd", "abcbdd", "acddd"] {
            assert!(accepts(&model, word), "{word}");
        }
        for word in ["", "a", "bd", "bdddd", "aabdd", "dd", "bddb"] {
            assert!(!accepts(&model, word), "{word}");
        }
        assert_eq!(model.expected(&State::default()), [&'a', &'b', &'c']);
        let none = Model::new(&Sequence(Vec::new()), same).unwrap();
        assert!(accepts(&none, "") && !accepts(&none, "a"));
        let twice = Model::new(&repeat(repeat(symbol('a'), 0, Some(1)), 2, Some(2)), same).unwrap();
        for (word, expected) in [("", true), ("a", true), ("aa", true), ("aaa", false)] {
            assert_eq!(accepts(&twice, word), expected, "{word}");
        }
    }

    #[test]
    fn ambiguous_and_large_models_are_refused() {
        let same = |a: &char, b: &char| a == b;
        let ambiguous =
            Choice(vec![Sequence(vec![symbol('a'), symbol('b')]), Sequence(vec![symbol('a'), symbol('c')])]);
        assert_eq!(Model::new(&ambiguous, same).err(), Some(ModelError::Ambiguous));
        let ambiguous = Sequence(vec![repeat(symbol('a'), 0, None), symbol('a')]);
        assert_eq!(Model::new(&ambiguous, same).err(), Some(ModelError::Ambiguous));
        let large = repeat(repeat(symbol('a'), 200, Some(200)), 200, Some(200));
        assert_eq!(Model::new(&large, same).err(), Some(ModelError::TooLarge));
        assert_eq!(Model::new(&repeat(symbol('a'), 0, Some(9999)), same).err(), Some(ModelError::TooLarge));
    }
}
