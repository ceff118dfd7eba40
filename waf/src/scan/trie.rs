//! The texts of an automaton as a tree, each node with the longest end of its
//! text that is a node, too.

/// No node, no text.
const NONE: u32 = u32::MAX;

/// Texts as paths from the root, node 0.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// All nodes by their distance from the root.
    by_distance: Vec<u32>,
}

/// A node. Children of a node are chained to each other, the latest first.
#[derive(Debug)]
struct Node {
    class: u8,
    distance: u32,
    child: u32,
    sibling: u32,
    /// The node of the longest end of its text.
    end: u32,
    /// The text that ends here.
    text: u32,
    /// Whether a text ends here, be it a shorter one.
    is_ending: bool,
}

/// The rows of a table.
#[derive(Debug)]
pub(super) struct Order {
    /// By node its row: first those in which no text ends, by their distance from the root.
    pub(super) rows: Vec<u32>,
    /// How many those are.
    pub(super) plain: usize,
    /// The nodes of the other rows, in order.
    pub(super) ending: Vec<u32>,
}

impl Trie {
    /// Of different texts, none of them empty, by the classes of their bytes.
    pub(super) fn new(texts: &[Vec<u8>], classes: &[u8; 256]) -> Self {
        let mut trie = Self { nodes: vec![Node::new(0, 0)], by_distance: Vec::new() };
        let mut numbers: Vec<u32> = (0..texts.len() as u32).collect();
        numbers.sort_unstable_by_key(|number| &texts[*number as usize]);
        // The path of the text before: sorted texts have their common beginning in common with it.
        let mut path = vec![0];
        let mut before: &[u8] = &[];
        for number in numbers {
            let text = &texts[number as usize];
            let common = text.iter().zip(before).take_while(|(byte, before)| byte == before).count();
            path.truncate(common + 1);
            for byte in &text[common..] {
                path.push(trie.add(path[path.len() - 1], classes[usize::from(*byte)]));
            }
            trie.nodes[path[path.len() - 1] as usize].text = number;
            before = text;
        }
        trie.sort();
        trie.find_ends();
        trie
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// All nodes, the root first, by their distance from it.
    pub(super) fn by_distance(&self) -> impl Iterator<Item = u32> {
        self.by_distance.iter().copied()
    }

    /// Classes and nodes of the branches.
    pub(super) fn children(&self, node: u32) -> impl Iterator<Item = (u8, u32)> {
        let known = |node: u32| (node != NONE).then_some(node);
        let first = known(self.nodes[node as usize].child);
        std::iter::successors(first, move |node| known(self.nodes[*node as usize].sibling))
            .map(|child| (self.nodes[child as usize].class, child))
    }

    /// The node of the longest end of a node's text; `None` for the root.
    pub(super) fn end(&self, node: u32) -> Option<u32> {
        (node != 0).then(|| self.nodes[node as usize].end)
    }

    /// The texts that end in a node, the longest first.
    pub(super) fn texts(&self, node: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(node), |node| self.end(*node))
            .map(|node| self.nodes[node as usize].text)
            .filter(|text| *text != NONE)
    }

    /// The order of the rows.
    pub(super) fn order(&self) -> Order {
        let is_ending = |node: &u32| self.nodes[*node as usize].is_ending;
        let (ending, plain): (Vec<u32>, Vec<u32>) = self.by_distance().partition(is_ending);
        let mut rows = vec![0; self.len()];
        for (row, node) in plain.iter().chain(&ending).enumerate() {
            rows[*node as usize] = row as u32;
        }
        Order { rows, plain: plain.len(), ending }
    }

    fn add(&mut self, parent: u32, class: u8) -> u32 {
        let new = self.nodes.len() as u32;
        let above = &mut self.nodes[parent as usize];
        let node = Node { sibling: above.child, ..Node::new(class, above.distance + 1) };
        above.child = new;
        self.nodes.push(node);
        new
    }

    fn sort(&mut self) {
        let nodes = &self.nodes;
        self.by_distance = (0..nodes.len() as u32).collect();
        self.by_distance.sort_by_key(|node| nodes[*node as usize].distance);
    }

    fn find_ends(&mut self) {
        let mut from_root = [0; 256];
        self.children(0).for_each(|(class, child)| from_root[usize::from(class)] = child);
        for at in 0..self.by_distance.len() {
            let node = self.by_distance[at];
            let children: Vec<(u8, u32)> = self.children(node).collect();
            for (class, child) in children {
                let end = if node == 0 { 0 } else { self.continued(node, class, &from_root) };
                let ends = self.nodes[end as usize].is_ending;
                let child = &mut self.nodes[child as usize];
                (child.end, child.is_ending) = (end, ends || child.text != NONE);
            }
        }
    }

    /// The longest end of a node's text, itself aside, that goes on with a class.
    fn continued(&self, node: u32, class: u8, from_root: &[u32; 256]) -> u32 {
        let mut end = self.nodes[node as usize].end;
        while end != 0 {
            if let Some((_, child)) = self.children(end).find(|(known, _)| *known == class) {
                return child;
            }
            end = self.nodes[end as usize].end;
        }
        from_root[usize::from(class)]
    }
}

impl Node {
    fn new(class: u8, distance: u32) -> Self {
        Self { class, distance, child: NONE, sibling: NONE, end: 0, text: NONE, is_ending: false }
    }
}
