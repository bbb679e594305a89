//! What an engine tells the application about the mesh.

use core::fmt;
use core::net::SocketAddr;

use crate::error::RejectReason;
use crate::host::Host;
use crate::node::NodeId;
use crate::route::PathCause;

/// Something that happened in the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A seed has answered: this node holds the member list and is announcing itself.
    ListFetched {
        /// The member that sent the list.
        from: SocketAddr,
    },
    /// A member has this node in its list: the node is a member now.
    Joined {
        /// The first member to say so.
        by: NodeId,
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
    /// A member's key is not on the allow-list any more: there is no session with it, and none will be.
    MemberRemoved {
        /// Its identity.
        id: NodeId,
        /// Its name.
        name: String,
    },
    /// No seed has answered this node for a while. None may be running, datagrams may not get through, the
    /// network key may be another, this node's key may not be on their allow-lists, or only one side has
    /// security none: sealed nodes do not answer strangers. Repeated every half a minute.
    SeedsSilent {
        /// The seeds that were asked.
        seeds: Vec<SocketAddr>,
    },
    /// A node with security none talks to this one, which is sealed, or the other way round. At most one
    /// in ten seconds; the address is not authenticated.
    SecurityMismatch {
        /// Where the datagram came from.
        from: SocketAddr,
        /// Whether the other node is the one with security none.
        is_theirs_none: bool,
    },
    /// A member refuses this node. Before any other has taken it the node then starts over after 2 s.
    JoinRejected {
        /// Who refuses.
        by: SocketAddr,
        /// Why.
        reason: RejectReason,
    },
    /// Probes of the link to this member are answered.
    LinkUp {
        /// The member at the other end.
        id: NodeId,
    },
    /// Several probes of the link to this member went unanswered; frames for it go through others where possible.
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
    /// A host is now at another place, as a frame or an announcement shows. At most five in a second for each
    /// place that hosts move to, and ten at once: a hint, while [`Status`](crate::Status) tells all.
    HostMoved {
        /// The host.
        host: Host,
        /// The member it was behind; `None` for the local network.
        from: Option<NodeId>,
        /// The member it is behind now; `None` for the local network.
        to: Option<NodeId>,
    },
    /// A host has moved five times within three minutes (RFC 7432 §15.1): there is a loop in the networks that
    /// are joined, or two hosts have one address, or somebody claims the address of another. Told again only
    /// after the host has stayed for three minutes. At most one in a second for each place that hosts move
    /// to, and five at once.
    HostFlapping {
        /// The host.
        host: Host,
        /// Where it was before it moved last: a member, or `None` for the local network.
        from: Option<NodeId>,
        /// Where it moved to.
        to: Option<NodeId>,
    },
    /// A member sends more frames to all hosts of this site than
    /// [`flood_limit`](crate::Config::flood_limit) allows; the excess is dropped. At most one in ten seconds
    /// for each member.
    FloodLimited {
        /// The member.
        member: NodeId,
    },
    /// There is no room in the FDB for a host: all is full, or the member has used up its share. Frames for
    /// that host go to all members. At most one in ten seconds for each member.
    HostLimit {
        /// The member the host is behind; `None` for the local network.
        member: Option<NodeId>,
    },
}

impl fmt::Display for Event {
    /// One sentence for a log, which names members that have no name here by the first bytes of their identity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::ListFetched { from } => write!(f, "joining through {from}"),
            Event::Joined { by } => write!(f, "{by} has taken this node into the mesh"),
            Event::MemberJoined { id, name, locator } => write!(f, "{name} ({id}) is a member, at {locator}"),
            Event::MemberLeft { id, name } => write!(f, "{name} ({id}) has left"),
            Event::MemberFailed { id, name } => write!(f, "{name} ({id}) has failed: no member reaches it"),
            Event::MemberRemoved { id, name } => {
                write!(f, "{name} ({id}) is removed: its key is not on the allow-list any more")
            }
            Event::SeedsSilent { seeds } => {
                f.write_str("no seed answers:")?;
                seeds.iter().try_for_each(|seed| write!(f, " {seed}"))
            }
            Event::SecurityMismatch { from, is_theirs_none: true } => {
                write!(f, "{from} has security none, this node is sealed: they cannot talk")
            }
            Event::SecurityMismatch { from, is_theirs_none: false } => {
                write!(f, "{from} is sealed, this node has security none: they cannot talk")
            }
            Event::JoinRejected { by, reason } => write!(f, "{by} does not let this node join: {reason}"),
            Event::LinkUp { id } => write!(f, "the link to {id} is up"),
            Event::LinkDown { id } => write!(f, "the link to {id} is down"),
            Event::PathChanged { to, path, cause } => {
                write!(f, "path to {to}: ")?;
                match path.split_last() {
                    Some((_, relays @ [_, ..])) => {
                        f.write_str("via")?;
                        relays.iter().try_for_each(|relay| write!(f, " {relay}"))?;
                    }
                    _ => f.write_str("direct")?,
                }
                write!(f, ", {cause}")
            }
            Event::HostMoved { host, from, to } => {
                write!(f, "{host} has moved from {} to {}", Place(from), Place(to))
            }
            Event::HostFlapping { host, from, to } => write!(
                f,
                "{host} keeps moving, last from {} to {}: a loop in the networks, or an address used twice",
                Place(from),
                Place(to)
            ),
            Event::FloodLimited { member } => {
                write!(f, "{member} sends more frames to all hosts than it may: the excess is dropped")
            }
            Event::HostLimit { member } => {
                write!(f, "no room in the FDB for more hosts at {}", Place(member))
            }
        }
    }
}

/// Where a host is, for people.
struct Place<'a>(&'a Option<NodeId>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(member) => member.fmt(f),
            None => f.write_str("the local network"),
        }
    }
}
