//! The forwarding snapshot: all that the data plane knows of the mesh, immutable.
//!
//! The control plane publishes a new one when something changed, which shares with the former one all that did not;
//! forwarders read the one they hold until they notice, by a generation counter, that there is a newer one.

use core::hash::{BuildHasher, Hash, Hasher};
use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::engine::alarm::Alarms;
use crate::engine::persistent::{Key, PersistentMap};
use crate::forward::activity::Activity;
use crate::forward::fdb::Slot;
use crate::forward::limit::RateLimit;
use crate::hash::KeyedHash;
use crate::node::{NodeId, NodePrefix, Segment};
use crate::session::{Keys, SealedPath};

/// A node that there is a session with, as the data plane sees it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
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

impl Member {
    /// All that it is found by, besides its identity.
    fn keys(&self) -> (Slot, SocketAddr, &[Segment]) {
        (self.slot, self.locator, &self.segments)
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Key for NodePrefix {
    #[inline]
    fn spread(self, hash: KeyedHash) -> u64 {
        hash.hash_one(self)
    }
}

impl Key for LocatorKey {
    #[inline]
    fn spread(self, hash: KeyedHash) -> u64 {
        hash.hash_one(self)
    }
}

impl Key for Slot {
    /// Nobody chooses slots, and they are given out in order.
    #[inline]
    fn spread(self, _: KeyedHash) -> u64 {
        self.into()
    }
}

/// All peers by prefix, and the members among them by slot and by locator.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) own_locator: SocketAddr,
    by_prefix: PersistentMap<NodePrefix, Peer>,
    by_slot: PersistentMap<Slot, Arc<Member>>,
    by_locator: PersistentMap<LocatorKey, Arc<Member>>,
    /// The segments this node serves, each with the slots of the other members that do, in ascending order: what is
    /// behind a slot changes more often.
    floods: BTreeMap<Segment, Arc<Vec<Slot>>>,
}

impl Snapshot {
    /// A snapshot of the node at `own_locator`, which serves `segments`, without peers.
    pub(crate) fn new(own_locator: SocketAddr, segments: &[Segment], hash: KeyedHash) -> Self {
        Snapshot {
            own_locator,
            by_prefix: PersistentMap::new(hash),
            by_slot: PersistentMap::new(hash),
            by_locator: PersistentMap::new(hash),
            floods: segments.iter().map(|segment| (*segment, Arc::default())).collect(),
        }
    }

    /// Replaces what is known of some nodes: `None` for one that is no peer any more.
    pub(crate) fn update(&mut self, changes: Vec<(NodePrefix, Option<Peer>)>) {
        // All that goes goes first: a slot or a locator may pass from one member to another.
        for (prefix, peer) in &changes {
            let member = peer.as_ref().and_then(|peer| peer.member.as_deref());
            let former = self.peer(*prefix).and_then(|peer| peer.member.clone());
            if let Some(former) = former.filter(|former| Some(former.keys()) != member.map(Member::keys)) {
                self.remove(&former);
            }
        }
        for (prefix, peer) in changes {
            let Some(peer) = peer else {
                self.by_prefix.remove(prefix);
                continue;
            };
            if let Some(member) = &peer.member {
                self.insert(member);
            }
            self.by_prefix.insert(prefix, peer);
        }
    }

    fn remove(&mut self, member: &Member) {
        self.by_slot.remove(member.slot);
        self.by_locator.remove(LocatorKey::of(member.locator));
        for segment in &member.segments {
            if let Some(flood) = self.floods.get_mut(segment)
                && let Ok(at) = flood.binary_search(&member.slot)
            {
                Arc::make_mut(flood).remove(at);
            }
        }
    }

    fn insert(&mut self, member: &Arc<Member>) {
        self.by_slot.insert(member.slot, Arc::clone(member));
        self.by_locator.insert(LocatorKey::of(member.locator), Arc::clone(member));
        for segment in &member.segments {
            if let Some(flood) = self.floods.get_mut(segment)
                && let Err(at) = flood.binary_search(&member.slot)
            {
                Arc::make_mut(flood).insert(at, member.slot);
            }
        }
    }

    /// The peer whose identity begins so.
    #[inline]
    pub(crate) fn peer(&self, prefix: NodePrefix) -> Option<&Peer> {
        self.by_prefix.get(prefix)
    }

    /// The member in a slot.
    #[inline]
    pub(crate) fn in_slot(&self, slot: Slot) -> Option<&Member> {
        self.by_slot.get(slot).map(Arc::as_ref)
    }

    /// The members in some slots.
    #[inline]
    pub(crate) fn in_slots(&self, slots: &[Slot]) -> impl Iterator<Item = &Member> {
        slots.iter().filter_map(|slot| self.in_slot(*slot))
    }

    /// The member with this locator.
    #[inline]
    pub(crate) fn at(&self, locator: SocketAddr) -> Option<&Member> {
        self.by_locator.get(LocatorKey::of(locator)).map(Arc::as_ref)
    }

    /// The slots of the other members that serve a segment; `None` if this node does not.
    #[inline]
    pub(crate) fn serving(&self, segment: Segment) -> Option<&[Slot]> {
        self.floods.get(&segment).map(|slots| slots.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u8 = 0;

    fn locator(node: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, node], 4789))
    }

    fn prefix(node: u8) -> NodePrefix {
        NodeId([node; 32]).prefix()
    }

    fn segment(number: u32) -> Segment {
        Segment::new(number).unwrap()
    }

    /// A member that serves segments 1 and 2; its slot is its number.
    fn member(node: u8) -> Member {
        Member {
            id: NodeId([node; 32]),
            slot: node.into(),
            activity: Arc::new(Activity::new()),
            locator: locator(node),
            proven_address: None,
            path: None,
            bulk_path: None,
            segments: vec![segment(1), segment(2)],
        }
    }

    fn peer(member: Option<Member>) -> Peer {
        let limit = || RateLimit::new(1, 1);
        let limits = Limits { relay: limit(), flood: limit(), control: limit(), alarms: Alarms::new() };
        Peer { keys: ArrayVec::new(), limits: Arc::new(limits), member: member.map(Arc::new) }
    }

    fn set(snapshot: &mut Snapshot, members: impl IntoIterator<Item = Member>) {
        let change = |member: Member| (member.id.prefix(), Some(peer(Some(member))));
        snapshot.update(members.into_iter().map(change).collect());
    }

    /// A snapshot of a node that serves segment 1, and of members 1 to `count`.
    fn snapshot(count: u8) -> Snapshot {
        let mut snapshot = Snapshot::new(locator(OWN), &[segment(1)], KeyedHash::new(1, 2));
        set(&mut snapshot, (1..=count).map(member));
        snapshot
    }

    /// Where in memory that is which `member` is found as by prefix, by slot and by locator.
    fn found(snapshot: &Snapshot, member: &Member) -> [Option<*const Member>; 3] {
        let peer = snapshot.peer(member.id.prefix());
        let by_prefix = peer.and_then(|peer| peer.member.as_deref());
        [by_prefix, snapshot.in_slot(member.slot), snapshot.at(member.locator)]
            .map(|found| found.map(core::ptr::from_ref))
    }

    /// The nodes that a frame in the served segment is flooded to.
    fn flooded(snapshot: &Snapshot) -> Vec<u8> {
        let slots = snapshot.serving(segment(1)).unwrap();
        snapshot.in_slots(slots).map(|member| member.id.0[0]).collect()
    }

    #[test]
    fn a_member_is_found_by_each_of_its_keys() {
        let snapshot = snapshot(200);
        for node in 1..=200 {
            let [by_prefix, by_slot, by_locator] = found(&snapshot, &member(node));
            assert!(by_prefix.is_some() && by_prefix == by_slot && by_slot == by_locator);
        }
        assert_eq!(flooded(&snapshot), (1..=200).collect::<Vec<u8>>());
        assert!(snapshot.serving(segment(2)).is_none(), "this node does not serve it");
    }

    #[test]
    fn a_change_of_one_member_leaves_all_others_as_they_are() {
        let mut snapshot = snapshot(200);
        let former = snapshot.clone();
        set(&mut snapshot, [member(7)]);
        for node in (1..=200).filter(|node| *node != 7) {
            assert_eq!(found(&snapshot, &member(node)), found(&former, &member(node)));
        }
        let [now, before] = [&snapshot, &former].map(|snapshot| found(snapshot, &member(7)));
        assert!(now.iter().zip(before).all(|(now, before)| *now != before && now.is_some()));
        assert!(Arc::ptr_eq(&snapshot.floods[&segment(1)], &former.floods[&segment(1)]));
    }

    #[test]
    fn a_removed_member_is_found_by_none_of_its_keys() {
        let mut snapshot = snapshot(3);
        snapshot.update(vec![(prefix(2), None)]);
        assert_eq!(found(&snapshot, &member(2)), [None; 3]);
        assert_eq!(flooded(&snapshot), [1, 3]);
    }

    #[test]
    fn who_is_no_member_any_more_stays_a_peer() {
        let mut snapshot = snapshot(3);
        snapshot.update(vec![(prefix(2), Some(peer(None)))]);
        assert!(snapshot.peer(prefix(2)).is_some());
        assert_eq!(found(&snapshot, &member(2)), [None; 3]);
        assert_eq!(flooded(&snapshot), [1, 3]);
    }

    #[test]
    fn a_member_that_has_moved_is_found_at_its_new_locator_alone() {
        let mut snapshot = snapshot(3);
        set(&mut snapshot, [Member { locator: locator(77), ..member(2) }]);
        assert!(snapshot.at(locator(2)).is_none());
        assert_eq!(snapshot.at(locator(77)).unwrap().id, member(2).id);
    }

    #[test]
    fn a_member_in_another_slot_is_found_and_flooded_to_in_that_one_alone() {
        let mut snapshot = snapshot(3);
        set(&mut snapshot, [Member { slot: 77, ..member(2) }]);
        assert!(snapshot.in_slot(2).is_none());
        assert_eq!(snapshot.in_slot(77).unwrap().id, member(2).id);
        assert_eq!(flooded(&snapshot), [1, 3, 2]);
    }

    #[test]
    fn a_member_that_does_not_serve_the_segment_any_more_is_not_flooded_to() {
        let mut snapshot = snapshot(3);
        set(&mut snapshot, [Member { segments: vec![segment(2)], ..member(2) }]);
        assert_eq!(flooded(&snapshot), [1, 3]);
        set(&mut snapshot, [member(2)]);
        assert_eq!(flooded(&snapshot), [1, 2, 3]);
    }

    #[test]
    fn two_members_may_swap_slots_and_locators() {
        let mut snapshot = snapshot(3);
        let placed = |node, at: u8| Member { slot: at.into(), locator: locator(at), ..member(node) };
        set(&mut snapshot, [placed(1, 2), placed(2, 1)]);
        for (node, at) in [(1, 2), (2, 1), (3, 3)] {
            let [by_prefix, by_slot, by_locator] = found(&snapshot, &placed(node, at));
            assert!(by_prefix.is_some() && by_prefix == by_slot && by_slot == by_locator);
        }
        assert_eq!(flooded(&snapshot), [2, 1, 3]);
    }

    #[test]
    fn who_takes_the_slot_of_one_that_goes_serves_its_own_segments() {
        let snapshot = snapshot(3);
        let successor = Member { slot: 2, locator: locator(2), segments: vec![segment(2)], ..member(4) };
        let peer = Some(peer(Some(successor)));
        for changes in
            [vec![(prefix(4), peer.clone()), (prefix(2), None)], vec![(prefix(2), None), (prefix(4), peer)]]
        {
            let mut snapshot = snapshot.clone();
            snapshot.update(changes);
            assert_eq!(flooded(&snapshot), [1, 3]);
            assert_eq!(snapshot.in_slot(2).map(|member| member.id), Some(member(4).id));
        }
    }
}
