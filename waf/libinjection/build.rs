//! Turns the SQL words and fingerprints of libinjection, published as data by the crate
//! `libinjectionrs` (BSD-3-Clause), into the two packed tables that `sqli::words` and
//! `sqli::fingerprint` include. Kinds, values and packing come from the library's own files, so
//! this script and the library cannot disagree about them.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;

#[allow(dead_code, reason = "the library uses the rest")]
#[path = "src/sqli/kind.rs"]
mod kind;
#[allow(dead_code, reason = "the library uses the rest")]
#[path = "src/sqli/packing.rs"]
mod packing;
#[allow(dead_code, reason = "the library uses the rest")]
#[path = "src/sqli/value.rs"]
mod value;

use kind::Kind;
use packing::{FINGERPRINT_BUCKETS, WORD_BUCKETS, letter_bit, pack_fingerprint, word_bucket};
use value::Value;

/// The letter under which the source table files a fingerprint among its words.
const FINGERPRINT: u8 = b'F';

fn main() -> Result<(), Box<dyn Error>> {
    for file in ["build.rs", "src/sqli/kind.rs", "src/sqli/packing.rs", "src/sqli/value.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("words.rs"), words()?)?;
    fs::write(Path::new(&out).join("fingerprints.rs"), fingerprints()?)?;
    Ok(())
}

/// Every word with its kind, grouped by hash bucket.
fn words() -> Result<String, Box<dyn Error>> {
    let mut entries = Vec::new();
    for entry in SQL_KEYWORDS.iter().filter(|entry| entry.token_type != FINGERPRINT) {
        let key = Value::key(entry.word.as_bytes())
            .ok_or_else(|| format!("the word {:?} is longer than a token's value", entry.word))?;
        let kind = Kind::from_letter(entry.token_type)
            .ok_or_else(|| format!("the word {:?} has an unknown kind", entry.word))?;
        entries.push((word_bucket(&key), key, kind.letter()));
    }
    entries.sort_unstable();
    let buckets: Vec<usize> = entries.iter().map(|entry| entry.0).collect();
    let mut code = starts("WORD_STARTS", WORD_BUCKETS, &buckets)?;
    writeln!(code, "static WORDS: [([u64; 4], Kind); {}] = [", entries.len())?;
    for (_, key, letter) in entries {
        let kind = Kind::from_letter(letter).ok_or("a kind has lost its letter")?;
        writeln!(code, "    ({key:?}, Kind::{kind:?}),")?;
    }
    code.push_str("];\n");
    writeln!(code, "static PHRASE_PARTNERS: [u32; 32] = {:?};", phrase_partners())?;
    Ok(code)
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
