//! Names, words and sentences as people type them.

use super::random::Random;

const FIRST_NAMES: &[&str] = &[
    "Anna", "Bruno", "Chloé", "Daniel", "Elif", "Farah", "Giorgio", "Hannah", "Ivan", "Jana", "Kofi", "Lena",
    "Marta", "Noah", "Olga", "Pavel", "Rosa", "Samuel", "Tereza", "Yusuf", "Zoë",
];
const LAST_NAMES: &[&str] = &[
    "Andersson",
    "Becker",
    "Costa",
    "Dubois",
    "Evans",
    "Fischer",
    "García",
    "Horváth",
    "Jansen",
    "Kowalska",
    "Lindqvist",
    "Martin",
    "Novák",
    "Okafor",
    "Petrov",
    "Rossi",
    "Schmidt",
    "Tanaka",
    "Virtanen",
    "Weber",
];
const STREETS: &[&str] = &[
    "Station Road",
    "Mill Lane",
    "Lindenstraße",
    "Rue du Moulin",
    "Via Roma",
    "Church Street",
    "Calle Mayor",
];
const CITIES: &[&str] =
    &["Aarhus", "Bologna", "Brno", "Ghent", "Graz", "Leeds", "Lyon", "Málaga", "Porto", "Tampere", "Utrecht"];
const ADJECTIVES: &[&str] = &[
    "sturdy",
    "light",
    "blue",
    "green",
    "waterproof",
    "comfortable",
    "simple",
    "warm",
    "small",
    "large",
    "classic",
    "folding",
    "wooden",
    "recycled",
    "portable",
    "quiet",
    "bright",
    "soft",
];
const THINGS: &[&str] = &[
    "backpack",
    "bicycle lamp",
    "kettle",
    "chair",
    "notebook",
    "jacket",
    "desk",
    "water bottle",
    "tent",
    "umbrella",
    "bookshelf",
    "keyboard",
    "scarf",
    "coffee mill",
    "travel guide",
    "garden hose",
    "toolbox",
];
const SENTENCES: &[&str] = &[
    "We took it along on a long trip and it never let us down.",
    "Delivery was quick, and the parcel arrived in good condition.",
    "The colour looks a little darker than in the pictures, but we like it.",
    "Could you tell me whether spare parts are available for the older model?",
    "My neighbour recommended this shop, and I have not regretted it.",
    "It takes about ten minutes to put together; everything you need is in the box.",
    "Please leave the parcel with the neighbours if nobody is at home.",
    "I would like to change my order from last week, if that is still possible.",
    "The handle feels solid and the zip runs smoothly even after two years.",
    "Unfortunately the first one had a scratch, so they sent another within three days.",
    "For the price you can hardly find anything better at the moment.",
    "The instructions are short and clear, with a drawing for each step.",
    "Our team meets on Thursday afternoon to talk about the plan for next spring.",
    "She wrote that the new office is brighter, quieter and closer to the river.",
    "Most visitors arrive by train and walk the last part through the old town.",
    "Thank you very much in advance, and have a nice weekend!",
    "The museum is open daily except Mondays; guided tours start at eleven.",
    "In the evening the temperature fell, and a light rain began near the coast.",
];

/// `Anna Becker`.
pub fn person(random: &mut Random) -> String {
    format!("{} {}", random.one(FIRST_NAMES), random.one(LAST_NAMES))
}

/// `anna.becker@example.org`, in ASCII.
pub fn email(random: &mut Random) -> String {
    let plain = |name: &str| name.to_lowercase().chars().filter(char::is_ascii_lowercase).collect::<String>();
    let (first, last) = (plain(random.one(FIRST_NAMES)), plain(random.one(LAST_NAMES)));
    format!("{first}.{last}{}@example.{}", random.between(1, 99), random.one(&["org", "com", "net"]))
}

/// `Mill Lane 12`.
pub fn street(random: &mut Random) -> String {
    format!("{} {}", random.one(STREETS), random.between(1, 180))
}

/// A town.
pub fn city(random: &mut Random) -> &'static str {
    random.one(CITIES)
}

/// `sturdy backpack`.
pub fn product(random: &mut Random) -> String {
    format!("{} {}", random.one(ADJECTIVES), random.one(THINGS))
}

/// `sturdy-backpack-4711`.
pub fn slug(random: &mut Random) -> String {
    format!("{}-{}", product(random).replace(' ', "-"), random.between(100, 9999))
}

/// Whole sentences, together at least `length` bytes long.
pub fn prose(random: &mut Random, length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(random.one(SENTENCES));
    }
    text
}

/// A point in time of the year 2026, as JSON APIs write it.
pub fn timestamp(random: &mut Random) -> String {
    format!(
        "2026-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        random.between(1, 12),
        random.between(1, 28),
        random.below(24),
        random.below(60),
        random.below(60)
    )
}

/// Percent-encoded as browsers encode form fields.
pub fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_and_prose_is_long_enough() {
        assert_eq!(form_encoded("a b+c&é"), "a+b%2Bc%26%C3%A9");
        let mut random = Random::new(1);
        assert!((500..700).contains(&prose(&mut random, 500).len()));
        assert!((0..200).all(|_| email(&mut random).is_ascii()));
    }
}
