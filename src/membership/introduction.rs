//! Introductions: nodes that a member lists and that are not members here.
//!
//! What a member says of others is a hint and no more. Each is contacted at the address given, or through the
//! member that gave it, and becomes a member by its own word. A member that makes nodes up makes others send to
//! addresses of its choice; so only a few of its hints are followed at a time.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::node::{NodeId, NodePrefix};
use crate::time::Time;
use crate::wire::control::Listed;

/// Hints of one member that are followed at a time. A joiner of a mesh of 200 needs a dozen round-trip times
/// for them, and sends a hundredth of what it would if all were contacted at once.
const AT_A_TIME: usize = 16;
/// A hint is dropped if it has led to no session after this: a little more than a handshake is tried for.
const TIMEOUT: Duration = Duration::from_secs(7);

/// A node to get a session with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) id: NodeId,
    pub(crate) locator: SocketAddr,
    /// A member that reaches it.
    pub(crate) via: Option<NodePrefix>,
}

#[derive(Debug)]
struct Introduction {
    id: NodeId,
    locator: SocketAddr,
    by: NodePrefix,
    /// When it is given up; `None` while it waits for its turn.
    until: Option<Time>,
}

/// Nodes to be contacted.
#[derive(Debug)]
pub(super) struct Introductions {
    nodes: BTreeMap<NodePrefix, Introduction>,
    /// Most nodes that one member may have introduced at a time; twice as many in all.
    quota: usize,
}

impl Introductions {
    pub(super) fn new(quota: usize) -> Self {
        Introductions { nodes: BTreeMap::new(), quota }
    }

    /// Takes a hint by the member `by`, if there is room.
    pub(super) fn add(&mut self, listed: &Listed, by: NodePrefix) {
        let of_member = self.nodes.values().filter(|known| known.by == by).count();
        if self.nodes.len() < 2 * self.quota && of_member < self.quota {
            let Listed { id, locator, .. } = *listed;
            self.nodes.entry(id.prefix()).or_insert(Introduction { id, locator, by, until: None });
        }
    }

    /// The node is met, or of no more interest.
    pub(super) fn remove(&mut self, node: NodePrefix) {
        self.nodes.remove(&node);
    }

    /// How many nodes have yet to be met.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn clear(&mut self) {
        self.nodes.clear();
    }

    /// Drops what has led nowhere, and gives the nodes whose turn it is.
    pub(super) fn next(&mut self, now: Time) -> Vec<Contact> {
        self.nodes.retain(|_, known| known.until.is_none_or(|until| until > now));
        let mut in_turn: BTreeMap<NodePrefix, usize> = BTreeMap::new();
        for known in self.nodes.values().filter(|known| known.until.is_some()) {
            *in_turn.entry(known.by).or_default() += 1;
        }
        let mut contacts = Vec::new();
        for known in self.nodes.values_mut().filter(|known| known.until.is_none()) {
            let count = in_turn.entry(known.by).or_default();
            if *count < AT_A_TIME {
                *count += 1;
                known.until = Some(now + TIMEOUT);
                contacts.push(Contact { id: known.id, locator: known.locator, via: Some(known.by) });
            }
        }
        contacts
    }

    /// When [`next`](Self::next) wants to be called at the latest.
    pub(super) fn deadline(&self) -> Time {
        self.nodes.values().filter_map(|known| known.until).min().unwrap_or(Time::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record::RecordVersion;

    fn listed(n: u16) -> Listed {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        let locator = SocketAddr::from(([192, 0, 2, 1], n + 1));
        Listed { id: NodeId(id), version: RecordVersion::default(), locator }
    }

    #[test]
    fn a_member_that_makes_nodes_up_gets_few_of_them_contacted() {
        let mut introductions = Introductions::new(100);
        (0..1000).for_each(|n| introductions.add(&listed(n), NodePrefix(1)));
        let now = Time::ZERO;
        assert_eq!(introductions.next(now).len(), AT_A_TIME);
        assert_eq!(introductions.next(now).len(), 0);
        assert_eq!(introductions.next(introductions.deadline()).len(), AT_A_TIME);
        assert!(introductions.nodes.len() <= 100);
        introductions.add(&listed(2000), NodePrefix(2));
        assert_eq!(introductions.next(now).len(), 1, "the hints of others do not wait");
    }

    #[test]
    fn the_next_node_is_contacted_as_soon_as_one_is_met() {
        let mut introductions = Introductions::new(100);
        (0..20).for_each(|n| introductions.add(&listed(n), NodePrefix(1)));
        let first = introductions.next(Time::ZERO);
        introductions.remove(first[0].id.prefix());
        assert_eq!(introductions.next(Time::ZERO).len(), 1);
    }
}
