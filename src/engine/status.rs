//! What an engine says about itself when asked: members, links, paths, FDB, counters.

use core::net::SocketAddr;
use core::time::Duration;

use crate::host::HostOrigin;
use crate::mac::MacAddr;
use crate::node::{MemberState, NodeId, Segment};
use crate::stats::Counters;

/// The state of an engine at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// The node's own identity.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its locator.
    pub locator: SocketAddr,
    /// Its incarnation, as configured.
    pub incarnation: u64,
    /// Hash of the live part of the member list, this node included: equal lists have equal digests.
    pub list_digest: u64,
    /// All other members that are remembered, by identity: live, failed, and left (until forgotten).
    pub members: Vec<MemberStatus>,
    /// The latency database: one entry for each link between live members that somebody measures, this
    /// node's own as it last advertised them, ordered by (from, to).
    pub latency: Vec<LinkStatus>,
    /// The hosts the FDB knows, in no particular order.
    pub fdb: Vec<HostStatus>,
    /// How many nodes there is a session with or an attempt at one, members or not; at most twice
    /// [`max_members`](crate::Config::max_members).
    pub sessions: usize,
    /// All counters, summed over the forwarders.
    pub counters: Counters,
}

/// What a node knows of another member.
#[derive(Clone, Debug)]
pub struct MemberStatus {
    /// Its identity.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its locator.
    pub locator: SocketAddr,
    /// Its incarnation.
    pub incarnation: u64,
    /// Its state.
    pub state: MemberState,
    /// Smoothed round-trip time of the direct link (fast average), if it is up.
    pub rtt: Option<Duration>,
    /// Mean deviation of that round-trip time, if the link is up.
    pub jitter: Option<Duration>,
    /// Share of recent pings that went unanswered, 0.0 to 1.0.
    pub loss: f64,
    /// The path frames take: relays in order, the member itself last. Empty unless alive.
    pub path: Vec<NodeId>,
    /// Expected round-trip time over that path, relay charges included, if all its links are measured.
    pub path_cost: Option<Duration>,
    /// Expected round-trip time of the direct path, if its link is up.
    pub direct_cost: Option<Duration>,
}

/// One directed entry of the latency database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// Who measured.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// Round-trip time averaged over about 3 s; `None` if the link is down.
    pub fast: Option<Duration>,
    /// Round-trip time averaged over about 30 s; `None` if the link is down.
    pub slow: Option<Duration>,
    /// Share of pings lost, in 1/255.
    pub loss: u8,
}

/// One host in the FDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// The segment it was seen in.
    pub segment: Segment,
    /// Its VLAN id, 0 for untagged frames.
    pub vlan: u16,
    /// Its address.
    pub mac: MacAddr,
    /// The member it sits behind; `None` for the local network.
    pub member: Option<NodeId>,
    /// How the node came to know that.
    pub origin: HostOrigin,
    /// How long ago it last sent a frame, if it was learned; how long ago it was announced, up to 48 days, if it
    /// was announced.
    pub age: Duration,
}
