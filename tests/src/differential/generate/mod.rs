//! Mixed requests from a seed: ordinary traffic, attacks of every class,
//! protocol oddities, broken bodies, leaking responses.
//!
//! The same seed and the same phrase lists give the same requests, and each
//! request depends on its own number alone.

mod benign;
mod body;
mod dice;
mod leaks;
mod malformed;
mod mutate;
mod payloads;
mod place;
mod protocol;
mod words;

use crate::ftw::backend::Response;
use crate::ftw::request::Request;

use dice::Dice;
pub use words::Words;

/// A request and what the back end answers.
#[derive(Debug)]
pub struct Exchange {
    /// What the request was made to be, e.g. `attack sql`.
    pub kind: String,
    /// The request.
    pub request: Request,
    /// The response.
    pub response: Response,
}

/// Request number `number` of the corpus that `seed` names.
pub fn exchange(seed: u64, number: u64, words: &Words) -> Exchange {
    let mut dice = Dice::new(seed, number);
    let (kind, request) = match dice.below(100) {
        0..24 => ("benign".to_owned(), benign::request(&mut dice)),
        24..64 => attack(&mut dice),
        64..76 => phrase(&mut dice, words),
        76..86 => ("protocol".to_owned(), protocol::request(&mut dice)),
        _ => ("malformed".to_owned(), malformed::request(&mut dice)),
    };
    let response =
        if dice.percent(10) { leaks::response(&mut dice, words) } else { benign::response(&mut dice) };
    Exchange { kind, request, response }
}

fn attack(dice: &mut Dice) -> (String, Request) {
    let (class, payloads) = dice.pick(payloads::CLASSES);
    let payload = match dice.below(10) {
        0 => payloads::soup(dice),
        1 => [dice.pick(payloads).as_bytes(), b" ", dice.pick(payloads).as_bytes()].concat(),
        _ => dice.pick(payloads).as_bytes().to_vec(),
    };
    let payload = mutate::some(dice, payload);
    (format!("attack {class}"), place::request(dice, &payload))
}

fn phrase(dice: &mut Dice, words: &Words) -> (String, Request) {
    let list = dice.pick(&words.request);
    let phrase = dice.pick(&list.phrases).clone();
    let payload = if dice.percent(30) { mutate::some(dice, phrase) } else { phrase };
    (format!("phrase {}", list.name), place::request(dice, &payload))
}
