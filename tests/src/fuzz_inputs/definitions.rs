//! What XML bodies are held against, and what selects from them: any definition
//! is read or refused with a reason, and answers about any document.

use hop3_bodies::Limits;
use hop3_bodies::xml::dtd::Dtd;
use hop3_bodies::xml::schema::Schema;
use hop3_bodies::xml::xpath::XPath;
use hop3_bodies::xml::{Tree, parse_tree};

/// What stands between a definition and the document in an input.
const MARK: &[u8] = b"\n---\n";
/// Longest definition: it is read once, when rules load, and nothing promises that to be linear.
const LONGEST: usize = 1 << 14;

/// A document type definition, a line `---`, a document.
pub(super) fn dtd(input: &[u8]) {
    let (text, document) = halves(input);
    match Dtd::parse(text) {
        Ok(dtd) => judge(document, |tree| dtd.validate(tree)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// An XML Schema, a line `---`, a document.
pub(super) fn schema(input: &[u8]) {
    let (text, document) = halves(input);
    match Schema::parse(text) {
        Ok(schema) => judge(document, |tree| schema.validate(tree)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// An XPath expression, a line `---`, a document.
pub(super) fn xpath(input: &[u8]) {
    let (text, document) = halves(input);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let namespace = |prefix: &str| (prefix == "n").then(|| "urn:n".to_owned());
    match XPath::parse(text, &namespace) {
        Ok(path) => {
            let (_, tree) = parse_tree(document, &Limits::default());
            if let Ok(nodes) = path.select(&tree) {
                assert!(nodes.is_sorted_by(|left, right| left < right), "not each once, in document order");
                assert!(nodes.len() <= tree.len());
            }
        }
        Err(error) => {
            assert!(!error.reason.is_empty());
            assert!(error.offset <= text.len(), "an error at {} of {}", error.offset, text.len());
        }
    }
}

/// A verdict has a reason, and is the same when it is asked for again.
fn judge(document: &[u8], verdict: impl Fn(&Tree) -> Result<(), String>) {
    let (_, tree) = parse_tree(document, &Limits::default());
    if !tree.is_whole() {
        return;
    }
    let first = verdict(&tree);
    assert!(first.as_ref().err().is_none_or(|reason| !reason.is_empty()), "not valid, without a reason");
    assert_eq!(verdict(&tree), first);
}

fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    let (first, second) = match input.windows(MARK.len()).position(|window| window == MARK) {
        Some(at) => (&input[..at], &input[at + MARK.len()..]),
        None => (input, &b"<a b='c'>d<e/></a>"[..]),
    };
    (&first[..first.len().min(LONGEST)], second)
}
