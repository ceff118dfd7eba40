use std::io::Write as _;

use super::*;
use crate::data::DataDir;

const GET: &str = r#"{"id":"a","label":"get","expect":"pass","method":"GET","uri":"/?q=x","version":"HTTP/1.1","headers":[["Host","h"]],"body":""}"#;

fn corpus(text: &str) -> Result<Corpus, Failure> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Corpus::read(file.path())
}

#[test]
fn wrong_lines_are_told_with_number_and_cause() {
    let cases = [
        ("{}", 1, "missing field `id`"),
        (&format!("{GET}\n\n{{\"id\""), 3, "EOF while parsing an object"),
        (&format!("{GET}\n{}", GET.replace("pass", "maybe")), 2, "unknown variant `maybe`"),
        (&GET.replace("\"body\":\"\"", "\"body\":\"=\""), 1, "`body` is not base64"),
        (&GET.replace("[[\"Host\",\"h\"]]", "[[\"Host\"]]"), 1, "invalid length 1"),
    ];
    for (text, line, cause) in cases {
        let failure = corpus(text).unwrap_err();
        assert!(failure.message.contains(&format!(":{line}: ")), "{failure}");
        assert!(failure.cause.as_deref().unwrap_or_default().contains(cause), "{failure}");
    }
    assert!(corpus("\n").unwrap_err().message.ends_with("holds no request"));
    assert_eq!(Corpus::read("/nowhere/c.jsonl".as_ref()).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn what_may_be_left_out_has_defaults() {
    let corpus = corpus(
        r#"{"id":7,"label":"l","expect":"any","method":"GET","uri":"/","version":"1.0","headers":[]}"#,
    );
    let request = &corpus.unwrap().requests[0];
    assert_eq!((request.id.as_str(), request.version.as_str(), request.body.len()), ("7", "HTTP/1.0", 0));
}

#[test]
fn labels_are_counted_and_wrong_answers_named() {
    let rules = tempfile::tempdir().unwrap();
    let file = rules.path().join("r.conf");
    std::fs::write(&file, "SecRule ARGS \"@streq bad\" \"id:1,phase:2,deny,status:403\"\n").unwrap();
    let other = |id: &str, label: &str, expect: &str, uri: &str| {
        GET.replace("\"a\"", &format!("\"{id}\""))
            .replace("\"get\"", &format!("\"{label}\""))
            .replace("pass", expect)
            .replace("/?q=x", uri)
    };
    let text = [
        GET.to_owned(),
        other("b", "attack", "block", "/?q=bad"),
        other("c", "get", "pass", "/?q=bad"),
        other("d", "attack", "block", "/"),
        other("e", "get", "any", "/?q=bad"),
    ];
    let corpus = corpus(&text.join("\n")).unwrap();
    let data = DataDir::new(rules.path().join("data"));
    let loaded = ruleset::load(file.to_str(), 1, &data).unwrap();
    for phases in [Phases::UpToTwo, Phases::UpToFour] {
        let least = Duration::from_micros(200);
        let mut rounds = Rounds::start(&loaded.ruleset, &corpus, phases, least);
        rounds.measure();
        rounds.measure();
        let labels: Vec<_> =
            rounds.labels().map(|l| (l.name, l.requests, l.blocked, l.wrong, l.rounds.len())).collect();
        assert_eq!(labels, [("get", 3, 2, 1, 2), ("attack", 2, 1, 1, 2)]);
        assert!(
            rounds
                .labels()
                .all(|label| label.quantile(0.5) > 0 && label.quantile(0.99) >= label.quantile(0.5))
        );
        let failure = judged(rounds.wrong()).unwrap_err();
        assert_eq!(failure.message, "2 requests were not answered as the corpus expects");
        assert_eq!(
            failure.detail,
            [
                "c (get): refused with 403 by rule 1, expected to pass",
                "d (attack): passed, expected to be refused"
            ]
        );
    }
    assert_eq!(judged(&[]), Ok(()));
    assert!(!data.rules().exists(), "measuring leaves nothing behind");
}

#[test]
fn the_table_names_rules_and_times() {
    let rules = tempfile::tempdir().unwrap();
    let loaded = ruleset::load(Some("base"), 1, &DataDir::new(rules.path())).unwrap();
    let line = Line {
        label: "get",
        n: 3,
        rounds: vec![9_000, 12_340],
        blocked: 0,
        rss_kb: 2_048,
        load_ms: 1.0,
        p50_ns: 1_234_567,
        p99_ns: 5,
        wrong: 0,
    };
    let text = shown(&[line], &loaded, 1, "12");
    for part in ["base 1.", "paranoia level 1, phases 1 to 2", "9.00 12.3", "1235", "2 MB resident"] {
        assert!(text.contains(part), "no {part} in:\n{text}");
    }
    assert!(resident_kb() > 100);
}
