//! The forwarding snapshot: all that the data plane knows of the mesh, immutable.
//!
//! The control plane builds a new one when something changed; forwarders read the one they hold until they
//! notice, by a generation counter, that there is a newer one.

use core::hash::{Hash, Hasher};
use core::net::SocketAddr;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::engine::alarm::Alarms;
use crate::forward::activity::Activity;
use crate::forward::fdb::Slot;
use crate::forward::limit::RateLimit;
use crate::hash::KeyedHash;
use crate::node::{NodeId, NodePrefix, Segment};
use crate::session::{Keys, SealedPath};

/// A node that there is a session with, as the data plane sees it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) prefix: NodePrefix,
    /// What its datagrams may be sealed with, the likeliest first.
    pub(crate) keys: ArrayVec<Arc<Keys>, { Keys::MAX_OPEN }>,
    pub(crate) limits: Arc<Limits>,
    /// What a member has besides.
    pub(crate) member: Option<Arc<Member>>,
}

/// A member as the data plane sees it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: NodeId,
    pub(crate) slot: Slot,
    /// Whether it answers.
    pub(crate) activity: Arc<Activity>,
    pub(crate) locator: SocketAddr,
    /// Where it has proven to be: what is relayed to it goes nowhere else.
    pub(crate) proven_address: Option<SocketAddr>,
    /// The chosen path to it; `None` while there are no keys for it.
    pub(crate) path: Option<SealedPath>,
    /// The path for bulk traffic, if that is another one.
    pub(crate) bulk_path: Option<SealedPath>,
    /// Segments it serves.
    pub(crate) segments: Vec<Segment>,
}

/// How much a node may ask of this one.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Datagrams relayed for it.
    pub(crate) relay: RateLimit,
    /// Frames of it that go to all hosts.
    pub(crate) flood: RateLimit,
    /// Its control messages.
    pub(crate) control: RateLimit,
    /// What people are told of it.
    pub(crate) alarms: Alarms,
}

/// A locator as three words, which hash in half the time of a [`SocketAddr`]. An IPv4 address has the place
/// of its IPv4-mapped one, which no locator has.
#[derive(Debug, PartialEq, Eq)]
struct LocatorKey(u64, u64, u16);

impl LocatorKey {
    fn of(locator: SocketAddr) -> Self {
        let address = match locator {
            SocketAddr::V4(v4) => 0xffff << 32 | u128::from(v4.ip().to_bits()),
            SocketAddr::V6(v6) => v6.ip().to_bits(),
        };
        LocatorKey((address >> 64) as u64, address as u64, locator.port())
    }
}

impl Hash for LocatorKey {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.1);
        if self.0 != 0 {
            hasher.write_u64(self.0);
        }
        hasher.write_u16(self.2);
    }
}

/// All peers by prefix, and the members among them by slot and by locator.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) own_locator: SocketAddr,
    by_prefix: HashMap<NodePrefix, Peer, KeyedHash>,
    by_slot: Vec<Option<Arc<Member>>>,
    by_locator: HashMap<LocatorKey, Arc<Member>, KeyedHash>,
    /// The segments this node serves, each with the other members that do.
    floods: BTreeMap<Segment, Vec<Arc<Member>>>,
}

impl Snapshot {
    /// A snapshot of the node at `own_locator`, which serves `segments`, and of its `peers`.
    pub(crate) fn new(
        own_locator: SocketAddr,
        segments: &[Segment],
        peers: Vec<Peer>,
        hash: KeyedHash,
    ) -> Self {
        let members = || peers.iter().filter_map(|peer| peer.member.as_ref());
        let slots = members().map(|member| usize::from(member.slot) + 1).max().unwrap_or(0);
        let mut snapshot = Snapshot {
            own_locator,
            by_prefix: HashMap::with_capacity_and_hasher(peers.len(), hash),
            by_slot: vec![None; slots],
            by_locator: HashMap::with_capacity_and_hasher(peers.len(), hash),
            floods: segments.iter().map(|segment| (*segment, Vec::new())).collect(),
        };
        for member in members() {
            for segment in &member.segments {
                if let Some(flood) = snapshot.floods.get_mut(segment) {
                    flood.push(Arc::clone(member));
                }
            }
            snapshot.by_slot[usize::from(member.slot)] = Some(Arc::clone(member));
            snapshot.by_locator.insert(LocatorKey::of(member.locator), Arc::clone(member));
        }
        snapshot.by_prefix.extend(peers.into_iter().map(|peer| (peer.prefix, peer)));
        snapshot
    }

    /// The peer whose identity begins so.
    pub(crate) fn peer(&self, prefix: NodePrefix) -> Option<&Peer> {
        self.by_prefix.get(&prefix)
    }

    /// The member in a slot.
    pub(crate) fn in_slot(&self, slot: Slot) -> Option<&Member> {
        self.by_slot.get(usize::from(slot))?.as_deref()
    }

    /// The member with this locator.
    pub(crate) fn at(&self, locator: SocketAddr) -> Option<&Member> {
        self.by_locator.get(&LocatorKey::of(locator)).map(Arc::as_ref)
    }

    /// The other members that serve a segment; `None` if this node does not.
    pub(crate) fn serving(&self, segment: Segment) -> Option<&[Arc<Member>]> {
        self.floods.get(&segment).map(Vec::as_slice)
    }
}
