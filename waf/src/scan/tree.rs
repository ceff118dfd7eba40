//! The transformations of all tests as one tree: what two pipelines begin with
//! in common is done once.

use hop3_transformations::Transformation;

/// A place in the tree, the value itself at 0.
pub(super) type NodeId = u8;

/// A set of nodes.
pub(super) type Nodes = u128;

/// Most nodes; rules whose pipelines do not fit are walked.
const NODES_LIMIT: usize = 128;

/// A prefix tree of pipelines, parents before children.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// All nodes but the first: parent and what is done.
    steps: Vec<(NodeId, Transformation)>,
}

impl Tree {
    /// The nodes of a pipeline, the root first; `None` when the tree is full.
    pub(super) fn insert(&mut self, pipeline: &[Transformation]) -> Option<Vec<NodeId>> {
        let mut path = vec![0];
        for &transformation in pipeline {
            let parent = path[path.len() - 1];
            let known = self.steps.iter().position(|step| *step == (parent, transformation));
            let index = match known {
                Some(index) => index,
                None if self.steps.len() + 1 >= NODES_LIMIT => return None,
                None => {
                    self.steps.push((parent, transformation));
                    self.steps.len() - 1
                }
            };
            path.push((index + 1) as NodeId);
        }
        Some(path)
    }

    /// Parent and transformation of a node; `None` for the root.
    pub(super) fn step(&self, node: NodeId) -> Option<(NodeId, Transformation)> {
        self.steps.get(usize::from(node).checked_sub(1)?).copied()
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.steps.len() + 1
    }

    /// The given nodes and all above them.
    pub(super) fn with_parents(&self, nodes: Nodes) -> Nodes {
        let mut all = nodes | 1;
        for node in (1..self.len()).rev().filter(|node| nodes >> node & 1 == 1) {
            let mut at = node as NodeId;
            while let Some((parent, _)) = self.step(at) {
                all |= 1 << parent;
                at = parent;
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_beginnings_are_shared() {
        use Transformation as T;
        let mut tree = Tree::default();
        assert_eq!(tree.insert(&[]), Some(vec![0]));
        assert_eq!(tree.insert(&[T::UrlDecodeUni, T::Lowercase]), Some(vec![0, 1, 2]));
        assert_eq!(tree.insert(&[T::UrlDecodeUni, T::RemoveNulls]), Some(vec![0, 1, 3]));
        assert_eq!(tree.insert(&[T::UrlDecodeUni]), Some(vec![0, 1]));
        assert_eq!(tree.with_parents(1 << 3), 0b1011);
        assert_eq!(tree.step(3), Some((1, T::RemoveNulls)));
    }
}
