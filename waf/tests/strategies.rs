//! How the rules of the Core Rule Set are decided, at each paranoia level: an
//! optimisation that is lost for a rule fails here.
//!
//! `strategies.txt` keeps the strategies of one release; `HOP3_WRITE_REFERENCE=1`
//! writes it anew. Of other releases only the counts are held, as shares.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use hop3_waf::{Ruleset, Strategy};

/// Of a hundred rules at most so many are asked of each value or walked, by paranoia level: both cost every request.
const COSTLY: [usize; 4] = [10, 12, 15, 16];
/// Of a hundred rules that are left at least so many wait for texts or bytes.
const WAITING: usize = 70;

/// From the best to the worst.
const RANKS: &str = "flbew";

fn letter(strategy: Strategy) -> char {
    match strategy {
        Strategy::Folded => 'f',
        Strategy::Literals(_) => 'l',
        Strategy::Bytes => 'b',
        Strategy::EachValue => 'e',
        Strategy::Walked => 'w',
    }
}

/// The release with all rules: for each the letters of its strategies at the four levels.
fn strategies() -> Option<(String, BTreeMap<u64, String>)> {
    let mut rules: BTreeMap<u64, String> = BTreeMap::new();
    let mut version = String::new();
    for level in 1..=4 {
        let engine = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n";
        let setup = format!(
            "SecAction \"id:900005,phase:1,nolog,pass,setvar:tx.blocking_paranoia_level={level},\
             setvar:tx.detection_paranoia_level={level}\"\n"
        );
        let document = support::crs(engine, &setup)?;
        let ruleset = Ruleset::compile(&document).unwrap_or_else(|error| panic!("{error}"));
        version = ruleset.component_signatures().join(" ");
        for (id, strategy) in ruleset.strategies() {
            rules.entry(id).or_default().push(letter(strategy));
        }
    }
    Some((version, rules))
}

fn reference() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/strategies.txt")
}

#[test]
fn no_rule_is_decided_at_more_cost_than_before() {
    let Some((version, rules)) = strategies() else { return };
    for (level, costly) in COSTLY.into_iter().enumerate() {
        let mut counts: BTreeMap<char, usize> = BTreeMap::new();
        rules.values().filter_map(|letters| letters.chars().nth(level)).for_each(|letter| {
            *counts.entry(letter).or_default() += 1;
        });
        let count = |letters: &str| letters.chars().filter_map(|letter| counts.get(&letter)).sum::<usize>();
        println!("{version} at {}: {counts:?}", level + 1);
        assert!(count("ew") * 100 <= costly * rules.len(), "at level {}: {counts:?}", level + 1);
        assert!(count("lb") * 100 >= WAITING * count("lbew"), "at level {}: {counts:?}", level + 1);
    }
    if std::env::var_os("HOP3_WRITE_REFERENCE").is_some() {
        let mut text = format!(
            "# {version}\n# How each rule is decided at paranoia levels 1 to 4: f folded at load, l by texts, b by \
             bytes, e on each value, w walked.\n"
        );
        rules.iter().for_each(|(id, letters)| writeln!(text, "{id} {letters}").unwrap());
        std::fs::write(reference(), text).unwrap();
    }
    let kept = std::fs::read_to_string(reference()).unwrap();
    if kept.lines().next() != Some(&format!("# {version}")) {
        println!("skipped: the kept strategies are those of another release: {:?}", kept.lines().next());
        return;
    }
    let rank = |letter: char| RANKS.find(letter).unwrap();
    let mut lost = Vec::new();
    for line in kept.lines().filter(|line| !line.starts_with('#')) {
        let (id, before) = line.split_once(' ').unwrap();
        let now = rules.get(&id.parse().unwrap()).map_or("", String::as_str);
        let is_worse = |(now, before): (char, char)| rank(now) > rank(before);
        if now.len() != before.len() || now.chars().zip(before.chars()).any(is_worse) {
            lost.push(format!("{id}: was {before}, is {now}"));
        } else if now != before {
            println!("better: {id} was {before}, is {now}; HOP3_WRITE_REFERENCE=1 keeps it");
        }
    }
    assert!(lost.is_empty(), "decided at more cost than before:\n{}", lost.join("\n"));
}
