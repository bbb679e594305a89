//! What membership does with the messages of others.

use crate::error::RejectReason;
use crate::membership::list::{INCUMBENT_AFTER, Merged};
use crate::membership::schedule::{self, Announcement, Backoff};
use crate::membership::{Membership, Output, Phase};
use crate::node::{MemberState, NodePrefix};
use crate::time::Time;
use crate::wire::control::{Listed, Message};
use crate::wire::record::{Record, RecordVersion};

impl Membership {
    /// A join, or a changed record, from the node itself.
    pub(crate) fn handle_join(&mut self, record: Record, known: RecordVersion, now: Time) {
        let (from, version) = (record.id.prefix(), record.version);
        if let Merged::Refused(reason) = self.merge(record, now) {
            self.outputs.push(Output::Refused(reason));
            self.outputs.push(Output::Send(from, Message::JoinReject { version, reason }));
            return;
        }
        self.revive(from, now);
        self.acknowledged(from, known, now);
        // Where the own record is about to be sent, that says that the other has come.
        if self.list.alive(from).is_some() && !self.is_about_to_announce(from) {
            let ack = Message::JoinAck { known: version, record: self.own.clone() };
            self.outputs.push(Output::Send(from, ack));
        }
    }

    /// A member acknowledges the own record, and sends its own.
    pub(crate) fn handle_join_ack(&mut self, known: RecordVersion, record: Record, now: Time) {
        let from = record.id.prefix();
        self.acknowledged(from, known, now);
        match self.merge(record, now) {
            Merged::Refused(reason) => self.outputs.push(Output::Refused(reason)),
            Merged::Unchanged | Merged::Alive => self.revive(from, now),
        }
    }

    /// A node knows this version of the own record, which may be an earlier one.
    fn acknowledged(&mut self, by: NodePrefix, known: RecordVersion, now: Time) {
        if known != self.own.version {
            return;
        }
        self.unacknowledged.remove(&by);
        if self.phase != Phase::Joined {
            (self.phase, self.joined_at) = (Phase::Joined, now);
            self.withdraw_at = Time::NEVER;
            self.outputs.push(Output::Joined(by));
        }
    }

    /// True if the own record goes to a node as soon as all that has come is dealt with.
    fn is_about_to_announce(&self, to: NodePrefix) -> bool {
        self.unacknowledged.get(&to).is_some_and(|announcement| announcement.sent == 0)
    }

    /// A member refuses the own record.
    pub(crate) fn handle_join_reject(
        &mut self,
        from: NodePrefix,
        version: RecordVersion,
        reason: RejectReason,
        now: Time,
    ) {
        match self.unacknowledged.get_mut(&from) {
            Some(announcement) if version == self.own.version => {
                announcement.backoff = Backoff::rejected(now);
                self.be_rejected(from, reason, now);
            }
            _ => self.outputs.push(Output::Unexpected),
        }
    }

    /// A member refuses the own node, or even a session with it. A joiner then waits a little for one that does
    /// not: a single member cannot keep it out.
    pub(crate) fn be_rejected(&mut self, by: NodePrefix, reason: RejectReason, now: Time) {
        self.outputs.push(Output::Rejected(by, reason));
        if matches!(self.phase, Phase::Fetching | Phase::Announcing) {
            self.withdraw_at = self.withdraw_at.min(now + schedule::REFUSAL_PATIENCE);
            self.wake_by(self.withdraw_at);
        }
    }

    /// Starts over some time later: what is in the way may be the node's own former life, and a node that is
    /// refused must not disturb those who are members.
    pub(super) fn withdraw(&mut self, now: Time) {
        self.withdraw_at = Time::NEVER;
        self.list.clear();
        self.unacknowledged.clear();
        self.introductions.clear();
        self.probes.clear();
        self.unreachable.clear();
        self.questions.clear();
        self.phase = Phase::Fetching;
        self.seed_question = Backoff::fetching_again(now);
        self.silence_at = Time::NEVER;
        self.outputs.push(Output::Withdrawn);
    }

    /// A member says that it leaves.
    pub(crate) fn handle_leave(&mut self, from: NodePrefix, version: RecordVersion, now: Time) {
        if self.list.leave(from, version, now) {
            self.unacknowledged.remove(&from);
            self.unreachable.remove(&from);
            self.outputs.push(Output::Left(from));
        }
        self.probes.remove(&from);
    }

    /// A node asks for the list.
    pub(crate) fn handle_list_request(&mut self, from: NodePrefix, token: u64, now: Time) {
        self.answered.retain(|_, at| now.since(*at) < schedule::ANSWER_INTERVAL);
        if self.answered.contains_key(&from) {
            return;
        }
        self.answered.insert(from, now);
        let listed =
            |record: &Record| Listed { id: record.id, version: record.version, locator: record.locator };
        let all: Vec<Listed> = core::iter::once(&self.own).chain(self.alive()).map(listed).collect();
        let parts = all.chunks(Listed::MAX_ENTRIES).map(<[Listed]>::to_vec);
        self.outputs.extend(parts.map(|entries| Output::Send(from, Message::List { token, entries })));
    }

    /// A part of a node's list.
    pub(crate) fn handle_list(&mut self, from: NodePrefix, token: u64, entries: &[Listed], now: Time) {
        let question = self.questions.get(&token);
        if question.is_none_or(|question| question.expires_at <= now || question.to != from) {
            self.outputs.push(Output::Unexpected);
            return;
        }
        self.silence_at = Time::NEVER;
        if self.phase == Phase::Fetching {
            self.phase = Phase::Announcing;
            self.seed_question = Backoff::seeking(now + schedule::SEEK_INTERVAL);
            self.outputs.push(Output::ListFetched(from));
            self.announce_to(from, now);
        }
        self.revive(from, now);
        for listed in entries {
            self.hear_of(listed, from, now);
        }
        self.contact_introduced(now);
    }

    /// The member `from` lists a node.
    fn hear_of(&mut self, listed: &Listed, from: NodePrefix, now: Time) {
        let prefix = listed.id.prefix();
        if prefix == self.own.id.prefix() {
            if listed.version != self.own.version {
                self.announce_to(from, now);
            }
            return;
        }
        match self.list.get(prefix) {
            // Who holds the older record shows when the member is asked for it.
            Some(member) if member.state == MemberState::Alive => {
                if member.record.version != listed.version && !self.unacknowledged.contains_key(&prefix) {
                    self.announce_to(prefix, now);
                }
            }
            Some(member)
                if member.state == MemberState::Left && !listed.version.supersedes(member.record.version) => {
            }
            _ => self.introductions.add(listed, from),
        }
    }

    /// Contacts those introduced nodes whose turn it is.
    pub(super) fn contact_introduced(&mut self, now: Time) {
        self.outputs.extend(self.introductions.next(now).into_iter().map(Output::Contact));
        self.wake_by(self.introductions.deadline());
    }

    fn merge(&mut self, record: Record, now: Time) -> Merged {
        let prefix = record.id.prefix();
        if let Some(reason) = record.conflict_with(&self.own) {
            if self.own.is_before(&record) || now.since(self.joined_at) >= INCUMBENT_AFTER {
                return Merged::Refused(reason);
            }
            self.outputs.push(Output::Rejected(prefix, reason));
        }
        let mut displaced: Vec<NodePrefix> = self.list.holders(&record).collect();
        let merged = self.list.merge(record, now);
        if merged == Merged::Alive {
            displaced.retain(|other| self.list.alive(*other).is_none());
            for other in displaced {
                self.note_failed(other, now);
            }
            self.admit(prefix, now);
        }
        merged
    }

    /// Takes a failed member back: it was heard.
    pub(crate) fn revive(&mut self, prefix: NodePrefix, now: Time) {
        if self.list.revive(prefix, now) {
            self.admit(prefix, now);
        }
    }

    fn admit(&mut self, prefix: NodePrefix, now: Time) {
        self.introductions.remove(prefix);
        self.probes.remove(&prefix);
        self.unreachable.remove(&prefix);
        self.outputs.push(Output::Alive(prefix));
        // If the own record is on its way already, as where both ends met at the same time, it is not sent again at once.
        self.unacknowledged.entry(prefix).or_insert_with(|| Announcement::new(now));
        self.wake_by(now);
    }

    pub(super) fn announce_to(&mut self, prefix: NodePrefix, now: Time) {
        self.unacknowledged.insert(prefix, Announcement::new(now));
        self.wake_by(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Security};
    use crate::node::NodeId;
    use crate::rng::Rng;
    use core::net::SocketAddr;

    fn id(number: u16) -> NodeId {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        NodeId(id)
    }

    fn config(number: u16, name: &str) -> Config {
        let locator = SocketAddr::from(([192, 0, 2, 1], number));
        let config = Config::new(name, locator, Security::None { id: id(number) }, [1; 32]);
        Config { max_members: 1000, ..config }
    }

    fn record(number: u16, name: &str, incarnation: u64) -> Record {
        let mut record = Membership::new(&config(number, name), Rng::new([1; 32])).own().clone();
        record.version.incarnation = incarnation;
        record
    }

    #[test]
    fn nothing_stays_due_for_a_member_whose_place_was_taken() {
        let mut membership = Membership::new(&config(1, "fujisawa"), Rng::new([1; 32]));
        let now = Time::from_nanos(1);
        membership.join(now);
        for (id, incarnation) in [(2, 9), (3, 5)] {
            let joining = record(id, "seoul", incarnation);
            let unknown = RecordVersion::default();
            membership.handle_join(joining, unknown, now);
        }
        membership.timer(now);
        assert!(membership.list().alive(id(3).prefix()).is_some(), "the first life stays");
        assert!(membership.list().alive(id(2).prefix()).is_none());
        assert!(membership.deadline() > now);
    }

    /// A member of a mesh with so many others.
    fn member(others: u16) -> Membership {
        let mut membership = Membership::new(&config(1, "fujisawa"), Rng::new([1; 32]));
        membership.join(Time::ZERO);
        for number in 2..2 + others {
            let other = record(number, &format!("site{number}"), 2);
            membership.handle_join(other, membership.own.version, Time::ZERO);
        }
        membership.timer(Time::ZERO);
        membership.take_outputs();
        membership
    }

    fn sent(membership: &mut Membership) -> Vec<Message> {
        let messages = membership.take_outputs().into_iter().filter_map(|output| match output {
            Output::Send(_, message) => Some(message),
            _ => None,
        });
        messages.collect()
    }

    #[test]
    fn a_member_answers_a_stranger_with_its_own_join_and_who_knows_it_with_an_ack() {
        let mut membership = member(1);
        let (version, now) = (membership.own.version, Time::from_nanos(1));
        for known in [RecordVersion::default(), version] {
            let stranger = record(3 + known.incarnation.min(1) as u16, &format!("{known:?}"), 7);
            membership.handle_join(stranger.clone(), known, now);
            membership.timer(now);
            let sent = sent(&mut membership);
            match &sent[..] {
                [Message::Join { known: theirs, .. }] if known != version => {
                    assert_eq!(*theirs, stranger.version)
                }
                [Message::JoinAck { known: theirs, .. }] => {
                    assert_eq!((known, *theirs), (version, stranger.version))
                }
                others => panic!("{others:?}"),
            }
        }
    }

    #[test]
    fn a_join_that_shows_the_own_record_makes_a_joiner_a_member() {
        let mut membership = Membership::new(&config(1, "fujisawa"), Rng::new([1; 32]));
        membership.set_seeds(&[SocketAddr::from(([192, 0, 2, 9], 4789))], Time::ZERO);
        membership.join(Time::ZERO);
        let version = membership.own.version;
        membership.handle_join(record(2, "seoul", 2), version, Time::from_nanos(1));
        let outputs = membership.take_outputs();
        assert!(outputs.iter().any(|output| matches!(output, Output::Joined(_))), "{outputs:?}");
    }

    #[test]
    fn many_members_compare_lists_only_now_and_then_while_more_come() {
        for (others, most) in [(10, 60), (300, 5)] {
            let mut membership = member(others);
            let at = |secs| Time::ZERO + core::time::Duration::from_secs(secs);
            let ask = |membership: &mut Membership, secs: u16| {
                membership.compare_digest(id(2).prefix(), secs.into(), at(secs.into()));
                membership.timer(at(secs.into()));
                sent(membership).len()
            };
            ask(&mut membership, 100);
            let mut asked = 0;
            for secs in 101..=160 {
                let (late, version) =
                    (record(1000 + secs, &format!("late{secs}"), 9), membership.own.version);
                membership.handle_join(late, version, at(secs.into()));
                membership.timer(at(secs.into()));
                membership.take_outputs();
                asked += ask(&mut membership, secs);
            }
            assert!((most / 2..=most).contains(&asked), "{asked} times in a minute by one of {others}");
            assert_eq!(ask(&mut membership, 171), 1, "all have come");
        }
    }
}
