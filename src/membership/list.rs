//! The member list: a set of records in which the newer one of a node wins.
//!
//! Merging in any order gives the same list. Leaving leaves a tombstone, so that late news resurrects
//! nobody. Failure is each node's own judgement: it takes a member out of the list here, is undone when the
//! member or a link to it is seen again, and is not believed from hearsay.

use core::hash::{BuildHasher, Hasher};
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::error::RejectReason;
use crate::hash::KeyedHash;
use crate::node::{MemberState, NodeId, NodePrefix};
use crate::time::Time;
use crate::wire::record::{Record, RecordVersion};

/// How long members that failed or left are remembered: a partition of a day heals.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// A remembered node.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) record: Record,
    pub(crate) state: MemberState,
    /// When it came into this state here.
    pub(crate) since: Time,
}

/// What merging a record did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merged {
    /// Nothing new.
    Unchanged,
    /// The node is alive with a newer record, or became alive.
    Alive,
    /// The node was alive and has left.
    Left,
    /// The record is not taken: another member that came first has its name, identity or locator, or there
    /// is no room.
    Refused(RejectReason),
}

/// All remembered nodes but the own one.
#[derive(Debug)]
pub(crate) struct List {
    members: BTreeMap<NodePrefix, Member>,
    /// Most live members, the own node not counted; as many again are remembered.
    capacity: usize,
    digest: u64,
}

impl List {
    pub(crate) fn new(capacity: usize) -> Self {
        List { members: BTreeMap::new(), capacity, digest: 0 }
    }

    pub(crate) fn get(&self, prefix: NodePrefix) -> Option<&Member> {
        self.members.get(&prefix)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The record of a live member.
    pub(crate) fn alive(&self, prefix: NodePrefix) -> Option<&Record> {
        self.get(prefix).filter(|member| member.state == MemberState::Alive).map(|member| &member.record)
    }

    pub(crate) fn all_alive(&self) -> impl Iterator<Item = &Record> {
        self.members().filter(|member| member.state == MemberState::Alive).map(|member| &member.record)
    }

    /// True if a live member has this locator.
    pub(crate) fn has_locator(&self, locator: SocketAddr) -> bool {
        self.all_alive().any(|record| record.locator == locator)
    }

    /// Hash of the live members; combine with that of the own record by exclusive or.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Takes a record whose node is said to be alive.
    pub(crate) fn merge_alive(&mut self, record: Record, now: Time) -> Merged {
        let prefix = record.id.prefix();
        if let Some(member) = self.members.get(&prefix) {
            if member.record.id != record.id {
                return Merged::Refused(RejectReason::IdTaken);
            }
            if record.version <= member.record.version {
                return Merged::Unchanged;
            }
            if member.state == MemberState::Alive && member.record.locator != record.locator {
                return Merged::Refused(RejectReason::IdTaken);
            }
        }
        match self.conflict(&record) {
            Some((reason, holder)) if holder.is_before(&record) => return Merged::Refused(reason),
            Some((_, holder)) => {
                let displaced = holder.id.prefix();
                self.set_state(displaced, MemberState::Failed, now);
            }
            None => {}
        }
        let is_new = self.alive(prefix).is_none();
        if is_new && self.all_alive().count() >= self.capacity {
            return Merged::Refused(RejectReason::ListFull);
        }
        self.insert(Member { record, state: MemberState::Alive, since: now });
        Merged::Alive
    }

    /// Takes the news that a node has left with a record of `version`.
    pub(crate) fn merge_left(&mut self, id: NodeId, version: RecordVersion, now: Time) -> Merged {
        let Some(member) = self.members.get_mut(&id.prefix()).filter(|member| member.record.id == id) else {
            return Merged::Unchanged;
        };
        if version < member.record.version || member.state == MemberState::Left {
            return Merged::Unchanged;
        }
        let was_alive = member.state == MemberState::Alive;
        member.record.version = version;
        self.set_state(id.prefix(), MemberState::Left, now);
        if was_alive { Merged::Left } else { Merged::Unchanged }
    }

    /// Remembers a node that is not a member now, if it is unknown here.
    pub(crate) fn remember(&mut self, record: Record, state: MemberState, now: Time) {
        let prefix = record.id.prefix();
        if !self.members.contains_key(&prefix) && self.conflict(&record).is_none() {
            self.insert(Member { record, state, since: now });
        }
    }

    /// Marks a live member as failed; false if it was not alive.
    pub(crate) fn fail(&mut self, prefix: NodePrefix, now: Time) -> bool {
        let was_alive = self.alive(prefix).is_some();
        if was_alive {
            self.set_state(prefix, MemberState::Failed, now);
        }
        was_alive
    }

    /// Takes a failed member back, because it was heard; false if it had not failed or its place is taken.
    pub(crate) fn revive(&mut self, prefix: NodePrefix, now: Time) -> bool {
        let Some(member) = self.members.get(&prefix) else { return false };
        let may_return = member.state == MemberState::Failed
            && self.conflict(&member.record).is_none()
            && self.all_alive().count() < self.capacity;
        if may_return {
            self.set_state(prefix, MemberState::Alive, now);
        }
        may_return
    }

    /// Forgets everybody.
    pub(crate) fn clear(&mut self) {
        self.members.clear();
        self.digest = 0;
    }

    /// Forgets nodes that have not been members for [`REMEMBERED`].
    pub(crate) fn forget_old(&mut self, now: Time) {
        self.members
            .retain(|_, member| member.state == MemberState::Alive || now.since(member.since) < REMEMBERED);
    }

    /// The live member, if any, that has the name or the locator of `record` but is another node.
    fn conflict(&self, record: &Record) -> Option<(RejectReason, &Record)> {
        self.all_alive()
            .filter(|other| other.id != record.id)
            .find_map(|other| record.conflict_with(other).map(|reason| (reason, other)))
    }

    fn insert(&mut self, member: Member) {
        self.members.insert(member.record.id.prefix(), member);
        if self.members.len() > 2 * self.capacity {
            let gone = self.members.iter().filter(|(_, member)| member.state != MemberState::Alive);
            if let Some(oldest) = gone.min_by_key(|(_, member)| member.since).map(|(prefix, _)| *prefix) {
                self.members.remove(&oldest);
            }
        }
        self.digest = self.all_alive().fold(0, |digest, record| digest ^ record.digest());
    }

    fn set_state(&mut self, prefix: NodePrefix, state: MemberState, now: Time) {
        if let Some(member) = self.members.get_mut(&prefix) {
            member.state = state;
            member.since = now;
        }
        self.digest = self.all_alive().fold(0, |digest, record| digest ^ record.digest());
    }
}

impl Record {
    /// Hash of who the node is and which record this is. The key is fixed, so that all nodes agree.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = KeyedHash::new(0, 0).build_hasher();
        hasher.write(&self.id.0);
        hasher.write(&self.version.incarnation.to_be_bytes());
        hasher.write(&self.version.version.to_be_bytes());
        hasher.finish()
    }

    /// Why the two cannot both be members, if they cannot.
    pub(crate) fn conflict_with(&self, other: &Record) -> Option<RejectReason> {
        if self.name == other.name {
            Some(RejectReason::NameTaken)
        } else if self.locator == other.locator {
            Some(RejectReason::LocatorTaken)
        } else if self.id.prefix() == other.id.prefix() {
            Some(RejectReason::IdTaken)
        } else {
            None
        }
    }

    /// Whether this node goes before `other` where both want the same: first come, first served, so that
    /// all nodes decide alike whatever they hear first.
    pub(crate) fn is_before(&self, other: &Record) -> bool {
        (self.version.incarnation, self.id) < (other.version.incarnation, other.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Segment;

    fn record(id: u8, incarnation: u64) -> Record {
        Record {
            id: NodeId([id; 32]),
            version: RecordVersion { incarnation, version: 0 },
            locator: format!("192.0.2.{id}:4789").parse().unwrap(),
            name: format!("site{id}"),
            segments: vec![Segment::DEFAULT],
        }
    }

    fn prefix(id: u8) -> NodePrefix {
        NodeId([id; 32]).prefix()
    }

    #[test]
    fn merging_in_any_order_gives_the_same_list() {
        let news = [record(1, 1), record(2, 5), record(1, 3), record(3, 1), record(2, 4)];
        let merge = |order: &[usize]| {
            let mut list = List::new(8);
            for &at in order {
                list.merge_alive(Record { locator: news[at].locator, ..news[at].clone() }, Time::ZERO);
            }
            list.digest()
        };
        let digest = merge(&[0, 1, 2, 3, 4]);
        for order in [[4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [3, 4, 0, 2, 1]] {
            assert_eq!(merge(&order), digest);
        }
    }

    #[test]
    fn late_news_resurrects_nobody() {
        let mut list = List::new(8);
        list.merge_alive(record(1, 1), Time::ZERO);
        let left = RecordVersion { incarnation: 1, version: 1 };
        assert_eq!(list.merge_left(NodeId([1; 32]), left, Time::ZERO), Merged::Left);
        assert_eq!(list.merge_alive(record(1, 1), Time::ZERO), Merged::Unchanged);
        assert_eq!(list.merge_left(NodeId([1; 32]), left, Time::ZERO), Merged::Unchanged);
        assert_eq!(list.digest(), 0);
        assert_eq!(list.merge_alive(record(1, 2), Time::ZERO), Merged::Alive, "a new life is news");
    }

    #[test]
    fn a_failed_member_returns_on_evidence_and_not_on_hearsay() {
        let mut list = List::new(8);
        list.merge_alive(record(1, 1), Time::ZERO);
        assert!(list.fail(prefix(1), Time::ZERO));
        assert_eq!(list.merge_alive(record(1, 1), Time::ZERO), Merged::Unchanged);
        assert!(list.alive(prefix(1)).is_none());
        assert!(list.revive(prefix(1), Time::ZERO));
        assert!(list.alive(prefix(1)).is_some());
    }

    #[test]
    fn of_two_nodes_with_one_name_the_first_stays_whichever_is_heard_first() {
        let (first, second) = (record(1, 1), Record { name: "site1".into(), ..record(2, 2) });
        let mut list = List::new(8);
        list.merge_alive(first.clone(), Time::ZERO);
        let refused = Merged::Refused(RejectReason::NameTaken);
        assert_eq!(list.merge_alive(second.clone(), Time::ZERO), refused);
        let mut other = List::new(8);
        other.merge_alive(second, Time::ZERO);
        assert_eq!(other.merge_alive(first, Time::ZERO), Merged::Alive);
        assert_eq!(other.digest(), list.digest());
    }

    #[test]
    fn the_list_is_bounded_in_live_members_and_in_memories() {
        let mut list = List::new(4);
        for id in 1..=100 {
            assert_eq!(list.merge_alive(record(id, 1), Time::ZERO), Merged::Alive);
            list.fail(prefix(id), Time::from_nanos(u64::from(id)));
        }
        assert!(list.members().count() <= 8);
        for id in 101..=104 {
            list.merge_alive(record(id, 1), Time::ZERO);
        }
        assert_eq!(list.merge_alive(record(105, 1), Time::ZERO), Merged::Refused(RejectReason::ListFull));
    }
}
