//! The member list: the latest record of each node, as the node itself gave it.
//!
//! Leaving leaves a tombstone, so that late news resurrects nobody. Failure is each node's own judgement: it
//! takes a member out of the list here, is undone when the member or a link to it is seen again, and is not
//! believed from hearsay.

use core::hash::{BuildHasher, Hasher};
use core::net::SocketAddr;
use core::time::Duration;

use arrayvec::ArrayVec;

use crate::error::RejectReason;
use crate::hash::KeyedHash;
use crate::membership::claims::Claims;
use crate::node::{MemberState, NodePrefix};
use crate::node_map::NodeMap;
use crate::time::Time;
use crate::wire::record::{Record, RecordVersion};

/// How long members that failed or left are remembered: a partition of a day heals.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Who has been a member for this long keeps its name and its locator whatever another claims. Before, the
/// claims decide, so that all nodes decide alike about nodes that join at the same time: twice the time in
/// which they all hear of a join.
pub(crate) const INCUMBENT_AFTER: Duration = Duration::from_secs(10);

/// A remembered node.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) record: Record,
    pub(crate) state: MemberState,
    /// When it came into this state here.
    pub(crate) since: Time,
    /// When it was last heard, by whatever way.
    pub(crate) heard_at: Time,
}

/// What merging a record did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merged {
    /// Nothing new.
    Unchanged,
    /// The node is alive with a newer record, or became alive.
    Alive,
    /// The record is not taken: another member that came first has its name, identity or locator, or there
    /// is no room.
    Refused(RejectReason),
}

/// All remembered nodes but the own one.
#[derive(Debug)]
pub(crate) struct List {
    members: NodeMap<Box<Member>>,
    claims: Claims,
    /// Most live members, the own node not counted; as many again are remembered.
    capacity: usize,
    digest: u64,
}

impl List {
    pub(crate) fn new(capacity: usize) -> Self {
        List { members: NodeMap::new(), claims: Claims::default(), capacity, digest: 0 }
    }

    pub(crate) fn get(&self, prefix: NodePrefix) -> Option<&Member> {
        self.members.get(&prefix).map(|member| &**member)
    }

    /// How many nodes are remembered, members or not.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().map(|member| &**member)
    }

    /// True if nobody is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The record of a live member.
    pub(crate) fn alive(&self, prefix: NodePrefix) -> Option<&Record> {
        self.get(prefix).filter(|member| member.state == MemberState::Alive).map(|member| &member.record)
    }

    pub(crate) fn all_alive(&self) -> impl Iterator<Item = &Record> {
        self.members().filter(|member| member.state == MemberState::Alive).map(|member| &member.record)
    }

    /// The live member that has this locator.
    pub(crate) fn at(&self, locator: SocketAddr) -> Option<NodePrefix> {
        self.claims.at(locator)
    }

    /// The live members that are in the way of a node: they have its name or its locator.
    pub(super) fn holders(&self, record: &Record) -> impl Iterator<Item = NodePrefix> {
        self.claims.holders(record).map(|(_, holder)| holder)
    }

    /// Hash of the live members; combine with that of the own record by exclusive or.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Takes a record from the node itself, which is therefore alive.
    pub(crate) fn merge(&mut self, record: Record, now: Time) -> Merged {
        let prefix = record.id.prefix();
        let mut since = now;
        if let Some(member) = self.members.get(&prefix) {
            if member.record.id != record.id {
                return Merged::Refused(RejectReason::IdTaken);
            }
            if !record.version.supersedes(member.record.version) {
                return Merged::Unchanged;
            }
            if member.state == MemberState::Alive {
                since = member.since;
            }
        }
        let holders: ArrayVec<_, 2> = self.claims.holders(&record).collect();
        let stays = |holder| self.get(holder).is_some_and(|holder| holder.stays_before(&record, now));
        if let Some((reason, _)) = holders.iter().find(|(_, holder)| stays(*holder)) {
            return Merged::Refused(*reason);
        }
        for (_, displaced) in holders {
            self.set_state(displaced, MemberState::Failed, now);
        }
        if self.alive(prefix).is_none() && self.claims.len() >= self.capacity {
            return Merged::Refused(RejectReason::ListFull);
        }
        self.insert(Member { record, state: MemberState::Alive, since, heard_at: now });
        Merged::Alive
    }

    /// A live member says that it has left, with a record of `version`; false if that is old news.
    pub(crate) fn leave(&mut self, prefix: NodePrefix, version: RecordVersion, now: Time) -> bool {
        let is_news = self.alive(prefix).is_some_and(|record| version.supersedes(record.version));
        if is_news {
            self.set_state(prefix, MemberState::Left, now);
            if let Some(member) = self.members.get_mut(&prefix) {
                member.record.version = version;
            }
        }
        is_news
    }

    /// Forgets a node that may not be a member any more; gives what it was.
    pub(crate) fn remove(&mut self, prefix: NodePrefix) -> Option<Member> {
        let removed = self.members.remove(&prefix)?;
        self.note_dead(&removed);
        Some(*removed)
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
            && self.claims.holders(&member.record).next().is_none()
            && self.claims.len() < self.capacity;
        if may_return {
            self.set_state(prefix, MemberState::Alive, now);
        }
        may_return
    }

    /// A node was heard in its session; gives it if it is remembered.
    pub(crate) fn hear(&mut self, prefix: NodePrefix, now: Time) -> Option<&Member> {
        let member = self.members.get_mut(&prefix)?;
        member.heard_at = now;
        Some(member)
    }

    /// Forgets everybody.
    pub(crate) fn clear(&mut self) {
        self.members.clear();
        self.claims = Claims::default();
        self.digest = 0;
    }

    /// Forgets nodes that have not been members for [`REMEMBERED`].
    pub(crate) fn forget_old(&mut self, now: Time) {
        self.members
            .retain(|_, member| member.state == MemberState::Alive || now.since(member.since) < REMEMBERED);
    }

    fn insert(&mut self, member: Member) {
        let prefix = member.record.id.prefix();
        self.remove(prefix);
        self.note_alive(&member);
        self.members.insert(prefix, Box::new(member));
        if self.members.len() > 2 * self.capacity {
            let gone = self.members.iter().filter(|(_, member)| member.state != MemberState::Alive);
            if let Some(oldest) = gone.min_by_key(|(_, member)| member.since).map(|(prefix, _)| *prefix) {
                self.members.remove(&oldest);
            }
        }
    }

    fn set_state(&mut self, prefix: NodePrefix, state: MemberState, now: Time) {
        if let Some(member) = self.remove(prefix) {
            let member = Member { state, since: now, ..member };
            self.note_alive(&member);
            self.members.insert(prefix, Box::new(member));
        }
    }

    /// Keeps the digest and the claims: a node has been remembered, and may be a member.
    fn note_alive(&mut self, member: &Member) {
        if member.state == MemberState::Alive {
            self.digest ^= member.record.digest();
            self.claims.add(&member.record);
        }
    }

    /// The opposite.
    fn note_dead(&mut self, member: &Member) {
        if member.state == MemberState::Alive {
            self.digest ^= member.record.digest();
            self.claims.remove(&member.record);
        }
    }
}

impl Member {
    /// Whether this member keeps what `newcomer` claims too.
    fn stays_before(&self, newcomer: &Record, now: Time) -> bool {
        now.since(self.since) >= INCUMBENT_AFTER || self.record.is_before(newcomer)
    }
}

impl RecordVersion {
    /// Whether a record of this version replaces one of `other` that the same node gave before. Another life
    /// does, whatever its number: the session in which it is told has been proven to be the latest.
    pub(super) fn supersedes(self, other: RecordVersion) -> bool {
        self.incarnation != other.incarnation || self.version > other.version
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
    use crate::node::{NodeId, Segment};

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
    fn a_later_record_of_one_life_wins_in_any_order_and_another_life_always() {
        let mut list = List::new(8);
        let version = |incarnation, version| RecordVersion { incarnation, version };
        let of = |version| Record { version, ..record(1, 1) };
        assert_eq!(list.merge(of(version(5, 2)), Time::ZERO), Merged::Alive);
        assert_eq!(list.merge(of(version(5, 1)), Time::ZERO), Merged::Unchanged);
        assert_eq!(list.merge(of(version(5, 3)), Time::ZERO), Merged::Alive);
        assert_eq!(list.merge(of(version(4, 0)), Time::ZERO), Merged::Alive, "its host's clock went back");
        assert_eq!(list.alive(prefix(1)).unwrap().version, version(4, 0));
    }

    #[test]
    fn late_news_resurrects_nobody() {
        let mut list = List::new(8);
        list.merge(record(1, 1), Time::ZERO);
        let left = RecordVersion { incarnation: 1, version: 1 };
        assert!(list.leave(prefix(1), left, Time::ZERO));
        assert_eq!(list.merge(record(1, 1), Time::ZERO), Merged::Unchanged);
        assert!(!list.leave(prefix(1), left, Time::ZERO));
        assert_eq!(list.digest(), 0);
        assert_eq!(list.merge(record(1, 2), Time::ZERO), Merged::Alive, "a new life is news");
    }

    #[test]
    fn nobody_takes_the_name_of_a_member_of_some_standing() {
        let mut list = List::new(8);
        list.merge(record(2, 2), Time::ZERO);
        let earlier = Record { name: "site2".into(), ..record(1, 1) };
        let later = Time::ZERO + INCUMBENT_AFTER;
        assert_eq!(list.merge(earlier, later), Merged::Refused(RejectReason::NameTaken));
        assert!(list.alive(prefix(2)).is_some());
    }

    #[test]
    fn a_failed_member_returns_on_evidence_and_not_on_hearsay() {
        let mut list = List::new(8);
        list.merge(record(1, 1), Time::ZERO);
        assert!(list.fail(prefix(1), Time::ZERO));
        assert_eq!(list.merge(record(1, 1), Time::ZERO), Merged::Unchanged);
        assert!(list.alive(prefix(1)).is_none());
        assert!(list.revive(prefix(1), Time::ZERO));
        assert!(list.alive(prefix(1)).is_some());
    }

    #[test]
    fn of_two_nodes_with_one_name_the_first_stays_whichever_is_heard_first() {
        let (first, second) = (record(1, 1), Record { name: "site1".into(), ..record(2, 2) });
        let mut list = List::new(8);
        list.merge(first.clone(), Time::ZERO);
        let refused = Merged::Refused(RejectReason::NameTaken);
        assert_eq!(list.merge(second.clone(), Time::ZERO), refused);
        let mut other = List::new(8);
        other.merge(second, Time::ZERO);
        assert_eq!(other.merge(first, Time::ZERO), Merged::Alive);
        assert_eq!(other.digest(), list.digest());
    }

    #[test]
    fn whatever_comes_and_goes_the_digest_is_that_of_the_live_members() {
        let mut list = List::new(2);
        let changes: [fn(&mut List); 10] = [
            |list| assert_eq!(list.merge(record(1, 1), Time::ZERO), Merged::Alive),
            |list| assert_eq!(list.merge(record(1, 2), Time::ZERO), Merged::Alive),
            |list| assert!(list.fail(prefix(1), Time::ZERO)),
            |list| assert!(list.revive(prefix(1), Time::ZERO)),
            // Takes the name of the first, which came after it.
            |list| {
                let earlier = Record { name: "site1".into(), ..record(2, 1) };
                assert_eq!(list.merge(earlier, Time::ZERO), Merged::Alive);
            },
            |list| assert_eq!(list.merge(record(3, 1), Time::ZERO), Merged::Alive),
            |list| assert!(list.leave(prefix(3), RecordVersion { incarnation: 1, version: 1 }, Time::ZERO)),
            |list| assert!(list.remove(prefix(3)).is_some()),
            |list| assert!(list.remove(prefix(2)).is_some()),
            |list| assert!(list.remove(prefix(1)).is_some()),
        ];
        for (step, change) in changes.into_iter().enumerate() {
            change(&mut list);
            let of_all = list.all_alive().fold(0, |digest, record| digest ^ record.digest());
            assert_eq!(list.digest(), of_all, "after change {step}");
        }
    }

    #[test]
    fn the_list_is_bounded_in_live_members_and_in_memories() {
        let mut list = List::new(4);
        for id in 1..=100 {
            assert_eq!(list.merge(record(id, 1), Time::ZERO), Merged::Alive);
            list.fail(prefix(id), Time::from_nanos(u64::from(id)));
        }
        assert!(list.members().count() <= 8);
        for id in 101..=104 {
            list.merge(record(id, 1), Time::ZERO);
        }
        assert_eq!(list.merge(record(105, 1), Time::ZERO), Merged::Refused(RejectReason::ListFull));
    }
}
