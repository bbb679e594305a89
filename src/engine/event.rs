//! What an engine tells the application about the mesh.

use core::fmt;
use core::net::SocketAddr;

use crate::node::NodeId;

/// Something that happened in the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A seed has answered: this node holds the member list and is announcing itself.
    ListFetched {
        /// The member that sent the list.
        from: SocketAddr,
    },
    /// A node became a member, or a failed one came back.
    MemberJoined {
        /// Its identity.
        id: NodeId,
        /// Its name.
        name: String,
        /// Its locator.
        locator: SocketAddr,
    },
    /// A member has left and said so.
    MemberLeft {
        /// Its identity.
        id: NodeId,
        /// Its name.
        name: String,
    },
    /// No member reaches this one any more; it is remembered and probed.
    MemberFailed {
        /// Its identity.
        id: NodeId,
        /// Its name.
        name: String,
    },
    /// A member refuses this node.
    JoinRejected {
        /// Who refuses.
        by: SocketAddr,
        /// Why.
        reason: RejectReason,
    },
    /// Pings to this member are answered.
    LinkUp {
        /// The member at the other end.
        id: NodeId,
    },
    /// Several pings to this member went unanswered; frames for it go through others where possible.
    LinkDown {
        /// The member at the other end.
        id: NodeId,
    },
    /// Frames for `to` take another path from now on.
    PathChanged {
        /// The destination.
        to: NodeId,
        /// The new path: relays in order, the destination last.
        path: Vec<NodeId>,
        /// Why.
        cause: PathCause,
    },
}

/// Why a member refuses another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectReason {
    /// Another live member has this name.
    NameTaken,
    /// Another live member has this identity, or one with the same first eight bytes.
    IdTaken,
    /// Another live member has this locator.
    LocatorTaken,
    /// The member list is full.
    ListFull,
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RejectReason::NameTaken => "another live member has the same name",
            RejectReason::IdTaken => "another live member has the same identity",
            RejectReason::LocatorTaken => "another live member has the same locator",
            RejectReason::ListFull => "the member list is full",
        })
    }
}

/// Why a path was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathCause {
    /// The first path to a new member.
    New,
    /// The new path is better by more than the hysteresis, on the fast and on the slow estimate.
    Better,
    /// The direct path is as good as the relayed one again.
    DirectAsGood,
    /// The former path has a link that is down, or a relay that is gone.
    Dead,
}
