//! Turns the SQL words and fingerprints of libinjection, published as data by the crate
//! `libinjectionrs` (BSD-3-Clause), into the two packed tables that `sqli::words` and
//! `sqli::fingerprint` include. Kinds, values and packing come from the library's own files, so
//! this script and the library cannot disagree about them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;

#[allow(dead_code, reason = "the library uses the rest")]
#[path = "src/sqli/kind.rs"]
mod kind;
#[path = "src/sqli/names.rs"]
mod names;
#[allow(dead_code, reason = "the library uses the rest")]
#[path = "src/sqli/packing.rs"]
mod packing;
#[allow(dead_code, reason = "the library uses the rest")]
#[path = "src/sqli/value.rs"]
mod value;

use kind::{Kind, KindSet};
use names::NAMES_OR_FUNCTIONS;
use packing::{
    FINGERPRINT_BUCKETS, WORD_BUCKETS, WORD_FILTER_BITS, letter_bit, pack_fingerprint, word_bucket,
    word_filter_bit,
};
use value::Value;

/// The letter under which the source table files a fingerprint among its words.
const FINGERPRINT: u8 = b'F';

fn main() -> Result<(), Box<dyn Error>> {
    for file in ["kind", "names", "packing", "value"] {
        println!("cargo::rerun-if-changed=src/sqli/{file}.rs");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("words.rs"), words()?)?;
    fs::write(Path::new(&out).join("fingerprints.rs"), fingerprints()?)?;
    Ok(())
}

/// Every word with its kind and effects, grouped by hash bucket, and the filter of those that are no
/// phrases.
fn words() -> Result<String, Box<dyn Error>> {
    let listed = listed_words()?;
    let mut entries = Vec::new();
    for (&word, &kind) in &listed {
        let key = Value::key(word.as_bytes())
            .ok_or_else(|| format!("the word {word:?} is longer than a token's value"))?;
        let begins_phrase = listed.keys().any(|other| continues(other, word));
        let effects = effects(word, &listed).bits();
        entries.push((word_bucket(&key), key, kind.map(Kind::letter), effects, begins_phrase));
    }
    entries.sort_unstable();
    let buckets: Vec<usize> = entries.iter().map(|entry| entry.0).collect();
    let mut code = starts("WORD_STARTS", WORD_BUCKETS, &buckets)?;
    writeln!(code, "static WORDS: [Entry; {}] = [", entries.len())?;
    for (_, key, letter, effects, begins_phrase) in entries {
        let kind = letter.and_then(Kind::from_letter).map(|kind| format!("Kind::{kind:?}"));
        let kind = kind.map_or("None".to_owned(), |kind| format!("Some({kind})"));
        writeln!(
            code,
            "    Entry {{ key: {key:?}, kind: {kind}, effects: KindSet::from_bits({effects}), \
             begins_phrase: {begins_phrase} }},"
        )?;
    }
    code.push_str("];\n");
    writeln!(code, "static PHRASE_PARTNERS: [u32; 32] = {:?};", phrase_partners())?;
    let mut filter = [0_u64; WORD_FILTER_BITS / 64];
    for word in listed.keys().filter(|word| !word.contains(' ')) {
        let bit = word_filter_bit(value::integer(&word.as_bytes()[..word.len().min(8)]), word.len());
        filter[bit / 64] |= 1 << (bit % 64);
    }
    writeln!(code, "static WORD_FILTER: [u64; {}] = {filter:?};", filter.len())?;
    Ok(code)
}

/// The words with their kinds, and those that are listed only as the beginning of phrases.
fn listed_words() -> Result<BTreeMap<&'static str, Option<Kind>>, Box<dyn Error>> {
    let mut listed = BTreeMap::new();
    for entry in SQL_KEYWORDS.iter().filter(|entry| entry.token_type != FINGERPRINT) {
        let kind = Kind::from_letter(entry.token_type)
            .ok_or_else(|| format!("the word {:?} has an unknown kind", entry.word))?;
        listed.insert(entry.word, Some(kind));
        for (space, _) in entry.word.match_indices(' ') {
            listed.entry(&entry.word[..space]).or_insert(None);
        }
    }
    Ok(listed)
}

/// Whether `phrase` is `word` and more words.
fn continues(phrase: &str, word: &str) -> bool {
    phrase.strip_prefix(word).is_some_and(|rest| rest.starts_with(' '))
}

/// The kinds that a token of `word` may have after folding, alone or merged with what follows it.
fn effects(word: &str, listed: &BTreeMap<&str, Option<Kind>>) -> KindSet {
    let merged = listed.iter().filter(|&(&other, _)| other == word || continues(other, word));
    merged.fold(KindSet::EMPTY, |effects, (&text, &kind)| {
        // A word that only begins phrases is a bareword without them.
        let own = kind.unwrap_or(Kind::Bareword).alone();
        // These follow the rules of `folding` that change a token's kind by its text.
        let changed = match kind.unwrap_or(Kind::Bareword) {
            Kind::Keyword if matches!(text, "IN" | "NOT IN") => {
                KindSet::of(&[Kind::Bareword, Kind::Operator])
            }
            Kind::Operator if matches!(text, "LIKE" | "NOT LIKE") => Kind::Function.alone(),
            Kind::Bareword | Kind::Variable if NAMES_OR_FUNCTIONS.contains(&text) => Kind::Function.alone(),
            Kind::Function if text.starts_with("IF") => Kind::Tsql.alone(),
            Kind::Function if text == "USER" => Kind::Bareword.alone(),
            _ => KindSet::EMPTY,
        };
        effects.union(own).union(changed)
    })
}

/// For the first letter of a phrase, a bit for each letter that follows a space in it.
fn phrase_partners() -> [u32; 32] {
    let mut partners = [0; 32];
    for entry in SQL_KEYWORDS {
        for pair in entry.word.as_bytes().windows(2).filter(|pair| pair[0] == b' ') {
            partners[letter_bit(entry.word.as_bytes()[0])] |= 1 << letter_bit(pair[1]);
        }
    }
    partners
}

/// Every fingerprint that means injection, grouped by its first two letters.
fn fingerprints() -> Result<String, Box<dyn Error>> {
    let mut entries = Vec::new();
    for entry in SQL_KEYWORDS.iter().filter(|entry| entry.token_type == FINGERPRINT) {
        let packed = entry.word.strip_prefix('0').and_then(|letters| pack_fingerprint(letters.as_bytes()));
        entries.push(packed.ok_or_else(|| format!("{:?} is no fingerprint", entry.word))?);
    }
    entries.sort_unstable();
    let buckets: Vec<usize> = entries.iter().map(|entry| entry.0).collect();
    let mut code = starts("FINGERPRINT_STARTS", FINGERPRINT_BUCKETS, &buckets)?;
    writeln!(code, "static FINGERPRINT_TAILS: [u16; {}] = [", entries.len())?;
    for (_, tail) in entries {
        writeln!(code, "    {tail},")?;
    }
    code.push_str("];\n");
    Ok(code)
}

/// An array whose element `n` tells where bucket `n` begins; one past the last closes the last.
fn starts(name: &str, count: usize, sorted_buckets: &[usize]) -> Result<String, Box<dyn Error>> {
    let mut code = format!("static {name}: [u16; {}] = [\n", count + 1);
    for bucket in 0..=count {
        let start = sorted_buckets.partition_point(|&other| other < bucket);
        writeln!(code, "    {},", u16::try_from(start)?)?;
    }
    code.push_str("];\n");
    Ok(code)
}
