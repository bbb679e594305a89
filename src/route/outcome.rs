//! What a choice of paths, or the loss of a link, came to: values alone.

use crate::node::NodePrefix;
use crate::route::PathCause;
use crate::time::Time;

/// The path to a member is another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) to: NodePrefix,
    pub(crate) cause: PathCause,
}

/// What a choice of paths brought.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) changes: Vec<Change>,
    /// Members that no links lead to, by however many relays.
    pub(crate) unreachable: Vec<NodePrefix>,
    /// Some path for bulk traffic is another one now.
    pub(crate) has_other_bulk: bool,
    /// When paths are to be chosen anew even if no latency changes.
    pub(crate) again_at: Time,
}

/// What the loss of a link or a member led to.
#[derive(Debug, Default)]
pub(crate) struct Failover {
    /// The paths that have changed to their backups.
    pub(crate) changes: Vec<Change>,
    /// Some path for bulk traffic is lost: it takes that of all others.
    pub(crate) has_lost_bulk: bool,
    /// Some path had no backup: paths are to be chosen anew at once.
    pub(crate) is_urgent: bool,
}
