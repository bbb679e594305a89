//! What is due next, where each of many nodes has something due at a time of its own.
//!
//! Looking at all of them each time that one is due would cost the square of their number.

use core::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::node::NodePrefix;
use crate::node_map::NodeMap;
use crate::time::Time;

/// So many deadlines that were replaced may wait to be forgotten, beside one for each node.
const STALE: usize = 64;

/// A deadline for each of some nodes.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    by_node: NodeMap<Time>,
    /// The earliest on top, which is never one that was replaced. Others may be: to look for them each time would take
    /// longer.
    by_time: BinaryHeap<Reverse<(Time, NodePrefix)>>,
}

impl Deadlines {
    /// Sets the deadline of a node; [`Time::NEVER`] takes it away.
    pub(crate) fn set(&mut self, node: NodePrefix, at: Time) {
        let former =
            if at == Time::NEVER { self.by_node.remove(&node) } else { self.by_node.insert(node, at) };
        if former == Some(at) {
            return;
        }
        if at != Time::NEVER {
            self.by_time.push(Reverse((at, node)));
        }
        self.forget_replaced();
    }

    fn forget_replaced(&mut self) {
        while let Some(Reverse((at, node))) = self.by_time.peek()
            && self.by_node.get(node) != Some(at)
        {
            self.by_time.pop();
        }
        if self.by_time.len() > 2 * self.by_node.len() + STALE {
            self.by_time = self.by_node.iter().map(|(node, at)| Reverse((*at, *node))).collect();
        }
    }

    /// The earliest of all.
    pub(crate) fn next(&self) -> Time {
        self.by_time.peek().map_or(Time::NEVER, |Reverse((at, _))| *at)
    }

    /// A node whose deadline has come, which it then has no more: the earliest first.
    pub(crate) fn pop(&mut self, now: Time) -> Option<NodePrefix> {
        let Reverse((at, node)) = *self.by_time.peek()?;
        if at > now {
            return None;
        }
        self.set(node, Time::NEVER);
        Some(node)
    }

    /// Takes all deadlines away.
    pub(crate) fn clear(&mut self) {
        self.by_node.clear();
        self.by_time.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn who_is_due_first_comes_first_and_once() {
        let mut deadlines = Deadlines::default();
        for (node, nanos) in [(1, 30), (2, 10), (3, 20), (4, 99)] {
            deadlines.set(NodePrefix(node), at(nanos));
        }
        assert_eq!(deadlines.next(), at(10));
        let due: Vec<_> = core::iter::from_fn(|| deadlines.pop(at(30))).map(|node| node.0).collect();
        assert_eq!(due, [2, 3, 1]);
        assert_eq!(deadlines.next(), at(99));
    }

    #[test]
    fn a_deadline_that_is_set_again_replaces_the_former() {
        let mut deadlines = Deadlines::default();
        deadlines.set(NodePrefix(1), at(10));
        deadlines.set(NodePrefix(1), at(50));
        assert_eq!((deadlines.next(), deadlines.pop(at(10))), (at(50), None));
        deadlines.set(NodePrefix(1), at(20));
        assert_eq!(deadlines.pop(at(20)), Some(NodePrefix(1)));
        deadlines.set(NodePrefix(2), at(5));
        deadlines.set(NodePrefix(2), Time::NEVER);
        assert_eq!((deadlines.next(), deadlines.pop(at(100))), (Time::NEVER, None));
    }

    #[test]
    fn however_often_deadlines_are_replaced_they_take_bounded_room() {
        let mut deadlines = Deadlines::default();
        for nanos in 0..10_000 {
            deadlines.set(NodePrefix(nanos % 10), at(1_000_000 + nanos));
        }
        assert!(deadlines.by_time.len() <= 20 + STALE);
        assert_eq!(deadlines.next(), at(1_009_990));
    }
}
