//! What an engine says about itself when asked: members, links, paths, FDB, counters.

use core::net::SocketAddr;
use core::time::Duration;

use crate::host::HostOrigin;
use crate::mac::MacAddr;
use crate::node::{MemberState, NodeId, Segment};
use crate::stats::Counters;

/// The state of an engine at one moment.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
    #[cfg_attr(feature = "serde", serde(serialize_with = "hexadecimal"))]
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

#[cfg(feature = "text")]
impl Status {
    /// The state as one JSON object on one line, by the schema in `docs/snapshot.md`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("all keys are text and no value can fail to be written")
    }
}

/// What a node knows of another member.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
    #[cfg_attr(feature = "serde", serde(rename = "rtt_ns", serialize_with = "crate::time::ns::option"))]
    pub rtt: Option<Duration>,
    /// Mean deviation of that round-trip time, if the link is up.
    #[cfg_attr(feature = "serde", serde(rename = "jitter_ns", serialize_with = "crate::time::ns::option"))]
    pub jitter: Option<Duration>,
    /// Share of recent probes that went unanswered, 0.0 to 1.0.
    pub loss: f64,
    /// The path frames take: relays in order, the member itself last. Empty unless alive.
    pub path: Vec<NodeId>,
    /// Expected round-trip time over that path, relay charges included, if all its links are measured.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "path_cost_ns", serialize_with = "crate::time::ns::option")
    )]
    pub path_cost: Option<Duration>,
    /// Expected round-trip time of the direct path, if its link is up.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "direct_cost_ns", serialize_with = "crate::time::ns::option")
    )]
    pub direct_cost: Option<Duration>,
    /// The path that bulk traffic for it takes, as `path`; empty if that is the same.
    pub bulk_path: Vec<NodeId>,
}

/// One directed entry of the latency database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LinkStatus {
    /// Who measured.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// Round-trip time averaged over about 3 s; `None` if the link is down.
    #[cfg_attr(feature = "serde", serde(rename = "fast_ns", serialize_with = "crate::time::ns::option"))]
    pub fast: Option<Duration>,
    /// Round-trip time averaged over about 30 s; `None` if the link is down.
    #[cfg_attr(feature = "serde", serde(rename = "slow_ns", serialize_with = "crate::time::ns::option"))]
    pub slow: Option<Duration>,
    /// Mean deviation of the round-trip time; `None` if the link is down.
    #[cfg_attr(feature = "serde", serde(rename = "jitter_ns", serialize_with = "crate::time::ns::option"))]
    pub jitter: Option<Duration>,
    /// Share of probes lost, in 1/255.
    #[cfg_attr(feature = "serde", serde(serialize_with = "share"))]
    pub loss: u8,
}

/// One host in the FDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
    #[cfg_attr(feature = "serde", serde(rename = "age_ns", serialize_with = "crate::time::ns::of"))]
    pub age: Duration,
}

/// A hash as 16 hexadecimal digits: readers that keep numbers as floating point would round it.
#[cfg(feature = "serde")]
fn hexadecimal<S: serde::Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{hash:016x}"))
}

/// 1/255ths as a share, 0.0 to 1.0, like that of a member.
#[cfg(feature = "serde")]
fn share<S: serde::Serializer>(loss: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(f64::from(*loss) / f64::from(u8::MAX))
}
