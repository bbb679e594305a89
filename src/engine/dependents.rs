//! Which members' paths go through a node: what is sealed for them has its keys in it, and goes to its address.
//!
//! Knows paths as they are published, not why they were chosen.

use std::collections::BTreeSet;

use crate::node::NodePrefix;
use crate::node_map::NodeMap;
use crate::route::Path;

/// Members by the relays of their paths.
#[derive(Debug, Default)]
pub(super) struct Dependents(NodeMap<BTreeSet<NodePrefix>>);

impl Dependents {
    /// Takes a member's path to be one of those that frames take.
    pub(super) fn add(&mut self, member: NodePrefix, path: &Path) {
        for relay in path.relays() {
            match self.0.get_mut(relay) {
                Some(members) => {
                    members.insert(member);
                }
                None => {
                    self.0.insert(*relay, BTreeSet::from([member]));
                }
            }
        }
    }

    /// No frame takes this path of a member any more, nor another one of its through the same relays.
    pub(super) fn remove(&mut self, member: NodePrefix, path: &Path) {
        for relay in path.relays() {
            let Some(members) = self.0.get_mut(relay) else { continue };
            members.remove(&member);
            if members.is_empty() {
                self.0.remove(relay);
            }
        }
    }

    /// The members whose paths go through a node, in order.
    pub(super) fn of(&self, relay: NodePrefix) -> impl Iterator<Item = NodePrefix> {
        self.0.get(&relay).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_has_those_members_whose_paths_go_through_it_now() {
        let path = |hops: &[u64]| Path::new(hops.iter().copied().map(NodePrefix).collect());
        let mut dependents = Dependents::default();
        for hops in [&[1, 2, 9][..], &[2, 8], &[7]] {
            dependents.add(NodePrefix(*hops.last().unwrap()), &path(hops));
        }
        let of =
            |dependents: &Dependents, relay| dependents.of(NodePrefix(relay)).map(|node| node.0).collect();
        let all = |dependents: &Dependents| [1, 2, 7].map(|relay| -> Vec<u64> { of(dependents, relay) });
        assert_eq!(all(&dependents), [vec![9], vec![8, 9], vec![]]);
        dependents.remove(NodePrefix(9), &path(&[1, 2, 9]));
        assert_eq!(all(&dependents), [vec![], vec![8], vec![]]);
    }
}
