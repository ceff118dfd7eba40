//! Patterns without PCRE-only constructs, as automata of `regex-automata`:
//! time linear in the value, whatever the pattern.

use regex_automata::hybrid::dfa::DFA;
use regex_automata::meta;
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_syntax::hir::{Capture, Class, ClassBytes, ClassBytesRange, Hir, Look, Repetition};

use super::syntax::{Anchor, Node, PatternError, Preference};

/// Memory one automaton may take before the pattern is refused, in bytes.
const SIZE_LIMIT: usize = 32 << 20;
/// Memory of one thread's lazily built states of one pattern, in bytes.
const CACHE_CAPACITY: usize = 1 << 20;

/// Compiles a tree that has no PCRE-only node.
pub(super) fn compile(root: &Node) -> Result<meta::Regex, PatternError> {
    let hir = translate(root);
    let config = meta::Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(SIZE_LIMIT))
        .hybrid_cache_capacity(CACHE_CAPACITY)
        .dfa(false)
        .onepass(false);
    meta::Builder::new()
        .configure(config)
        .build_from_hir(&hir)
        .map_err(|error| PatternError::new(format!("the pattern is too large: {error}"), 0))
}

/// Whether all matches are at the end of a value, and may begin anywhere: those are best read backwards from there.
pub(super) fn is_at_end(root: &Node) -> bool {
    let hir = translate(root);
    let looks = hir.properties();
    looks.look_set_suffix().contains(Look::End) && !looks.look_set_prefix().contains(Look::Start)
}

/// Compiles such a tree for reading forward alone, without groups; `None` when it is too large.
pub(super) fn compile_forward(root: &Node) -> Option<DFA> {
    compile_within(root, CACHE_CAPACITY)
}

/// The same with so many bytes for its states.
pub(super) fn compile_within(root: &Node, capacity: usize) -> Option<DFA> {
    let config = thompson::Config::new()
        .utf8(false)
        .nfa_size_limit(Some(SIZE_LIMIT))
        .which_captures(WhichCaptures::None);
    let nfa = thompson::Compiler::new().configure(config).build_from_hir(&translate(root)).ok()?;
    let config = DFA::config().cache_capacity(capacity).skip_cache_capacity_check(true);
    DFA::builder().configure(config).build_from_nfa(nfa).ok()
}

fn translate(node: &Node) -> Hir {
    match node {
        Node::Empty => Hir::empty(),
        Node::Set(set) => {
            let ranges = set.ranges().into_iter().map(|(first, last)| ClassBytesRange::new(first, last));
            Hir::class(Class::Bytes(ClassBytes::new(ranges)))
        }
        Node::Anchor(anchor) => Hir::look(match anchor {
            Anchor::Start => Look::Start,
            Anchor::End => Look::End,
            Anchor::LineStart => Look::StartLF,
            Anchor::LineEnd => Look::EndLF,
            Anchor::Word => Look::WordAscii,
            Anchor::NotWord => Look::WordAsciiNegate,
        }),
        Node::Concat(nodes) => Hir::concat(nodes.iter().map(translate).collect()),
        Node::Alternate(nodes) => Hir::alternation(nodes.iter().map(translate).collect()),
        Node::Group(index, node) => {
            Hir::capture(Capture { index: *index, name: None, sub: Box::new(translate(node)) })
        }
        Node::Repeat { node, min, max, preference } => Hir::repetition(Repetition {
            min: *min,
            max: *max,
            greedy: *preference == Preference::Greedy,
            sub: Box::new(translate(node)),
        }),
        // The parser marks these, and such patterns never come here; matching
        // nothing would be the wrong answer in silence, so keep the body.
        Node::Atomic(node) => translate(node),
        Node::Around { .. } | Node::BackReference { .. } => Hir::fail(),
    }
}
