//! Rule sets of any size, made like the rules that people write: to see how time grows with their number.

use std::fmt::Write as _;

use crate::corpus::random::Random;

const TARGETS: &[&str] = &[
    "ARGS",
    "ARGS|ARGS_NAMES",
    "REQUEST_URI",
    "REQUEST_HEADERS:User-Agent",
    "REQUEST_COOKIES|ARGS",
    "REQUEST_HEADERS",
    "REQUEST_FILENAME",
];
const PIPELINES: &[&str] = &[
    "t:none",
    "t:none,t:lowercase",
    "t:none,t:urlDecodeUni,t:lowercase",
    "t:none,t:urlDecodeUni,t:compressWhitespace",
];

/// SecLang with `count` rules of phases 1 and 2, none of which matches an ordinary request.
pub fn rules(seed: u64, count: usize) -> String {
    let random = &mut Random::new(seed);
    let mut text = String::from("SecRuleEngine On\nSecRequestBodyAccess On\n");
    for number in 1..=count {
        // No request has such words, whatever its seed.
        let (word, other) = (format!("zq{}", random.hex(7)), format!("qz{}", random.hex(5)));
        let operator = match random.below(10) {
            0 => format!("@contains {word}"),
            1 => format!("@pm {word} {other} xq{}", random.hex(6)),
            2 => format!("@streq {word}"),
            3 => format!("@rx ^{word}[0-9]+$"),
            4 => format!("@rx (?i)\\b{word}\\s*\\(.*{other}"),
            5 => format!("@rx {word}[^a-z]{{1,8}}{other}"),
            6 => format!("@rx (?:{word}|{other})=[0-9a-f]+"),
            7 => format!("@rx <{word}[^>]*{other}"),
            8 => format!("@beginsWith {word}"),
            _ => format!("@rx {word}\\.{other}$"),
        };
        let (target, pipeline) = (random.one(TARGETS), random.one(PIPELINES));
        let phase = random.between(1, 2);
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "SecRule {target} \"{operator}\" \"id:{number},phase:{phase},{pipeline},deny,status:403,msg:'Rule {number}'\""
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rules_as_asked_for() {
        let text = rules(1, 50);
        assert_eq!(text.lines().filter(|line| line.starts_with("SecRule ")).count(), 50);
        assert_eq!(text, rules(1, 50));
    }
}
