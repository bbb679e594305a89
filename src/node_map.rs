//! Values by node, in the order of prefixes. What they are is unknown here.
//!
//! A node with many members looks several of these up for each datagram, and what that takes is to fetch memory. Prefixes
//! are as good as random, so that where one stands in order can be told nearly: a search begins there, and looks at two
//! or three cache lines where a tree has as many on each level.

use crate::node::NodePrefix;

/// Values by node. Large ones are better in boxes: what comes and goes moves those behind it.
#[derive(Clone, Debug)]
pub(crate) struct NodeMap<V> {
    /// In the order of nodes.
    entries: Vec<(NodePrefix, V)>,
}

impl<V> Default for NodeMap<V> {
    fn default() -> Self {
        NodeMap { entries: Vec::new() }
    }
}

impl<V> NodeMap<V> {
    /// An empty map.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// How many nodes have a value.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if no node has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a node.
    pub(crate) fn get(&self, node: &NodePrefix) -> Option<&V> {
        let at = self.search(*node).ok()?;
        Some(&self.entries[at].1)
    }

    /// The value of a node, to be changed.
    pub(crate) fn get_mut(&mut self, node: &NodePrefix) -> Option<&mut V> {
        let at = self.search(*node).ok()?;
        Some(&mut self.entries[at].1)
    }

    /// True if the node has a value.
    pub(crate) fn contains_key(&self, node: &NodePrefix) -> bool {
        self.search(*node).is_ok()
    }

    /// Gives a node a value; gives back the one that it had.
    pub(crate) fn insert(&mut self, node: NodePrefix, value: V) -> Option<V> {
        match self.search(node) {
            Ok(at) => Some(core::mem::replace(&mut self.entries[at].1, value)),
            Err(at) => {
                self.entries.insert(at, (node, value));
                None
            }
        }
    }

    /// Takes the value of a node away.
    pub(crate) fn remove(&mut self, node: &NodePrefix) -> Option<V> {
        let at = self.search(*node).ok()?;
        Some(self.entries.remove(at).1)
    }

    /// Takes away the values for which `keep` is false.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&NodePrefix, &mut V) -> bool) {
        self.entries.retain_mut(|(node, value)| keep(node, value));
    }

    /// Takes all values away.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// All nodes with their values.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&NodePrefix, &V)> {
        self.entries.iter().map(|(node, value)| (node, value))
    }

    /// The same, the values to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&NodePrefix, &mut V)> {
        self.entries.iter_mut().map(|(node, value)| (&*node, value))
    }

    /// All nodes that have a value.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &NodePrefix> {
        self.entries.iter().map(|(node, _)| node)
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// All values, to be changed.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// Where a node stands, or would.
    fn search(&self, node: NodePrefix) -> Result<usize, usize> {
        let len = self.entries.len();
        let likely = ((u128::from(node.0) * len as u128) >> 64) as usize;
        // In steps that double away from there, until it lies between two: whoever makes prefixes up gains no more than
        // that the search takes as long as one by halves.
        let (mut low, mut high, mut step) = (likely, likely, 1);
        while low > 0 && self.entries[low - 1].0 >= node {
            (high, low, step) = (low, low.saturating_sub(step), 2 * step);
        }
        while high < len && self.entries[high].0 < node {
            (low, high, step) = (high + 1, (high + step).min(len), 2 * step);
        }
        let found = self.entries[low..high].binary_search_by_key(&node, |(node, _)| *node);
        match found {
            Ok(at) => Ok(low + at),
            // What is next may be the one itself, as the end is not looked at.
            Err(at) if self.entries.get(low + at).is_some_and(|(next, _)| *next == node) => Ok(low + at),
            Err(at) => Err(low + at),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rng::Rng;

    fn agree(map: &NodeMap<u32>, tree: &BTreeMap<NodePrefix, u32>) {
        assert!(map.iter().eq(tree.iter()), "{map:?}\n{tree:?}");
        assert!(map.keys().eq(tree.keys()) && map.values().eq(tree.values()));
        assert_eq!((map.len(), map.is_empty()), (tree.len(), tree.is_empty()));
    }

    /// Whatever is done to it, it is what a tree is to which the same is done.
    fn check(prefix: impl Fn(u64) -> u64) {
        let mut rng = Rng::new([7; 32]);
        let (mut map, mut tree) = (NodeMap::new(), BTreeMap::new());
        for value in 0..4_000_u32 {
            let node = NodePrefix(prefix(rng.u64() % 512));
            assert_eq!(
                (map.get(&node), map.contains_key(&node)),
                (tree.get(&node), tree.contains_key(&node))
            );
            match rng.u64() % 4 {
                0 => assert_eq!(map.remove(&node), tree.remove(&node)),
                1 => assert_eq!(map.get_mut(&node), tree.get_mut(&node)),
                _ => assert_eq!(map.insert(node, value), tree.insert(node, value)),
            }
            if value % 64 == 0 {
                agree(&map, &tree);
            }
        }
        map.retain(|_, value| *value % 2 == 0);
        tree.retain(|_, value| *value % 2 == 0);
        agree(&map, &tree);
    }

    #[test]
    fn it_holds_what_a_tree_holds_wherever_prefixes_are() {
        check(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        check(|number| number);
        check(|number| u64::MAX - number);
        check(|number| if number % 2 == 0 { number } else { u64::MAX - number });
    }
}
