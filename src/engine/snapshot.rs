//! The forwarding snapshot: all that the data plane knows of the mesh, immutable.
//!
//! The control plane builds a new one when something changed; forwarders read the one they hold until they
//! notice, by a generation counter, that there is a newer one.

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::forward::fdb::Slot;
use crate::hash::KeyedHash;
use crate::node::{NodePrefix, Segment};
use crate::session::Session;
use crate::wire::header::HeaderBytes;

/// A member as the data plane sees it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) prefix: NodePrefix,
    pub(crate) slot: Slot,
    /// Where datagrams for the member itself are sent.
    pub(crate) address: SocketAddr,
    pub(crate) session: Arc<Session>,
    /// The header of datagrams on the chosen path to it.
    pub(crate) header: HeaderBytes,
    /// Where datagrams on that path are sent first.
    pub(crate) next: SocketAddr,
    /// The address on that path with the longest IP header: what fits the underlay on the way there fits it on
    /// all links.
    pub(crate) widest: IpAddr,
    /// Segments it serves.
    pub(crate) segments: Vec<Segment>,
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

/// All members, found by slot, by prefix and by locator.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) own_locator: SocketAddr,
    by_slot: Vec<Option<Arc<Peer>>>,
    by_prefix: HashMap<NodePrefix, Arc<Peer>, KeyedHash>,
    by_locator: HashMap<LocatorKey, Arc<Peer>, KeyedHash>,
    /// The segments this node serves, each with the other members that do.
    floods: BTreeMap<Segment, Vec<Arc<Peer>>>,
}

impl Snapshot {
    /// A snapshot of the node at `own_locator`, which serves `segments`, and of its `peers`.
    pub(crate) fn new(
        own_locator: SocketAddr,
        segments: &[Segment],
        peers: Vec<Arc<Peer>>,
        hash: KeyedHash,
    ) -> Self {
        let slots = peers.iter().map(|peer| usize::from(peer.slot) + 1).max().unwrap_or(0);
        let mut snapshot = Snapshot {
            own_locator,
            by_slot: vec![None; slots],
            by_prefix: HashMap::with_capacity_and_hasher(peers.len(), hash),
            by_locator: HashMap::with_capacity_and_hasher(peers.len(), hash),
            floods: segments.iter().map(|segment| (*segment, Vec::new())).collect(),
        };
        for peer in peers {
            for segment in &peer.segments {
                if let Some(flood) = snapshot.floods.get_mut(segment) {
                    flood.push(Arc::clone(&peer));
                }
            }
            snapshot.by_slot[usize::from(peer.slot)] = Some(Arc::clone(&peer));
            snapshot.by_prefix.insert(peer.prefix, Arc::clone(&peer));
            snapshot.by_locator.insert(LocatorKey::of(peer.address), peer);
        }
        snapshot
    }

    /// The member in a slot.
    pub(crate) fn in_slot(&self, slot: Slot) -> Option<&Peer> {
        self.by_slot.get(usize::from(slot))?.as_deref()
    }

    /// The member whose identity begins so.
    pub(crate) fn member(&self, prefix: NodePrefix) -> Option<&Peer> {
        self.by_prefix.get(&prefix).map(Arc::as_ref)
    }

    /// The member with this locator.
    pub(crate) fn at(&self, locator: SocketAddr) -> Option<&Peer> {
        self.by_locator.get(&LocatorKey::of(locator)).map(Arc::as_ref)
    }

    /// The other members that serve a segment; `None` if this node does not.
    pub(crate) fn serving(&self, segment: Segment) -> Option<&[Arc<Peer>]> {
        self.floods.get(&segment).map(Vec::as_slice)
    }
}
