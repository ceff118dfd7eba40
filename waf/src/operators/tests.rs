//! Operators through their common entrance: what they capture.

use std::sync::Arc;

use super::*;
use crate::regex::Flags;

fn captured(operator: &Operator, value: &str) -> Option<Vec<String>> {
    let mut captures = Captures::default();
    let matched = operator.test(value.as_bytes(), b"", 1000, Some(&mut captures)).unwrap();
    let text = captures.text.map(|text| String::from_utf8(text).unwrap());
    let spans = captures.spans.iter().flatten().map(|&(start, end)| value[start..end].to_owned());
    matched.then(|| text.into_iter().chain(spans).collect())
}

fn pattern(text: &str) -> Arc<Pattern> {
    Arc::new(Pattern::new(text.as_bytes(), Flags::default()).unwrap())
}

#[test]
fn captures() {
    let rx = Operator::Rx(pattern("(a)(b)"));
    assert_eq!(captured(&rx, "xab").unwrap(), ["ab", "a", "b"]);
    assert_eq!(captured(&rx, "x"), None);
    let global = Operator::RxGlobal(pattern("[a-z]*"));
    assert_eq!(captured(&global, "aa0bb").unwrap(), ["aa", "bb"]);
    assert_eq!(captured(&global, "").unwrap(), [""]);
    let phrases = Operator::Phrases(Arc::new(PhraseSet::new(&[b"Foo".to_vec()]).unwrap()));
    assert_eq!(captured(&phrases, "a foo").unwrap(), ["Foo"]);
    let sqli = captured(&Operator::DetectSqli, "1' or '1'='1").unwrap();
    assert!(!sqli[0].is_empty());
    assert_eq!(captured(&Operator::DetectXss, "<script>x</script>").unwrap(), ["<script>x</script>"]);
    assert!(!Operator::UrlEncoding.captures() && rx.captures());
}

#[test]
fn a_global_search_is_bounded() {
    let value = "a".repeat(100_000);
    assert_eq!(captured(&Operator::RxGlobal(pattern("a")), &value).unwrap().len(), GROUPS);
}
