//! What a caller can do wrong. What a peer or the network does wrong is counted, in `stats`.

use core::net::SocketAddr;

use crate::config::{MAX_ANNOUNCED_HOSTS, MAX_NAME, MAX_POLICY_ENTRIES, MAX_SEGMENTS};
use crate::mac::MacAddr;
use crate::node::Segment;

/// A configuration that no engine can run with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The name is empty, too long, or holds control characters.
    #[error("the name must have 1 to {MAX_NAME} bytes and no control characters")]
    Name,
    /// No member could send to this locator.
    #[error("{0} cannot be the locator of a member: it needs a unicast address without a scope, and a port")]
    Locator(SocketAddr),
    /// Nobody can be reached at this seed.
    #[error("{0} cannot be a seed: it needs an address and a port")]
    Seed(SocketAddr),
    /// No segment, a repeated one, or too many.
    #[error("a node serves 1 to {MAX_SEGMENTS} segments, each named once")]
    Segments,
    /// The FDB's capacity is not a power of two.
    #[error("fdb_capacity must be a power of two, {0} is not")]
    FdbCapacity(usize),
    /// A policy of too many entries.
    #[error("a policy has at most {MAX_POLICY_ENTRIES} entries of a kind, not {0}")]
    PolicyEntries(usize),
    /// A pin that is no path.
    #[error("a pin names up to three relays, each once and none of them the member itself")]
    Pin,
    /// A policy for a link from a node to itself.
    #[error("a link has two ends, which differ")]
    Link,
    /// A price beyond all measure.
    #[error("a price is 10 s at most; what is to cost more can be avoided")]
    Price,
    /// A number out of its range.
    #[error("{field} must be {low} to {high}, {value} is not")]
    Range {
        /// The field's name and unit.
        field: &'static str,
        /// What it was set to.
        value: u64,
        /// Smallest permitted value.
        low: u64,
        /// Largest permitted value.
        high: u64,
    },
}

/// Why a member refuses a node that wants to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejectReason {
    /// Another live member has this name.
    #[error("another live member has the same name")]
    NameTaken,
    /// Another live member has this identity, or one with the same first eight bytes.
    #[error("another live member has the same identity")]
    IdTaken,
    /// Another live member has this locator.
    #[error("another live member has the same locator")]
    LocatorTaken,
    /// The member list is full.
    #[error("the member list is full")]
    ListFull,
}

/// A host that a node cannot announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// No VLAN has this id.
    #[error("the id of a VLAN is 1 to 4094, or 0 for untagged frames; {0} is none")]
    Vlan(u16),
    /// A group of hosts has this address, not one host.
    #[error("{0} is a group address, and no host has one")]
    GroupAddress(MacAddr),
    /// The node does not serve this segment, so that no host of it can be here.
    #[error("this node does not serve segment {0}")]
    Segment(Segment),
    /// The node announces as many hosts as it may.
    #[error("a node announces at most {MAX_ANNOUNCED_HOSTS} hosts")]
    TooMany,
    /// Another member has announced the host with the highest sequence number there is; nothing can follow it
    /// while that member is in the mesh.
    #[error("another member has announced the host with the last sequence number")]
    Outbid,
}
