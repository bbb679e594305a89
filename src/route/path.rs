//! A path through the mesh.

use arrayvec::ArrayVec;

use crate::config::MAX_HOPS;
use crate::node::NodePrefix;

/// The relays in order, the destination last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(ArrayVec<NodePrefix, MAX_HOPS>);

impl Path {
    /// The path without relays.
    pub(crate) fn direct(to: NodePrefix) -> Self {
        Path([to].into_iter().collect())
    }

    /// A path of 1 to [`MAX_HOPS`] hops.
    pub(crate) fn new(hops: ArrayVec<NodePrefix, MAX_HOPS>) -> Self {
        debug_assert!(!hops.is_empty(), "a path ends at its destination");
        Path(hops)
    }

    pub(crate) fn hops(&self) -> &[NodePrefix] {
        &self.0
    }

    pub(crate) fn relays(&self) -> &[NodePrefix] {
        self.0.split_last().map_or(&[], |(_, relays)| relays)
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.0.len() == 1
    }

    /// The links of the path from `own` on.
    pub(crate) fn links(&self, own: NodePrefix) -> impl Iterator<Item = (NodePrefix, NodePrefix)> + '_ {
        core::iter::once(own).chain(self.0.iter().copied()).zip(self.0.iter().copied())
    }

    /// True if the path from `own` on has the link between these two, in whatever direction.
    pub(crate) fn has_link(&self, own: NodePrefix, one: NodePrefix, other: NodePrefix) -> bool {
        self.links(own).any(|link| link == (one, other) || link == (other, one))
    }
}
