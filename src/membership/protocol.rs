//! What membership does with the messages of others.

use core::net::SocketAddr;

use crate::error::RejectReason;
use crate::membership::list::Merged;
use crate::membership::schedule::Backoff;
use crate::membership::{AnswerTo, Membership, Output, Phase};
use crate::node::{MemberState, NodeId, NodePrefix};
use crate::time::Time;
use crate::wire::control::{Listed, MAX_CONTROL_LEN, Message};
use crate::wire::record::{Record, RecordVersion};

impl Membership {
    /// A join, or a changed record, from the node itself; refusals go to `from`.
    pub(crate) fn handle_join(&mut self, from: AnswerTo, record: Record, known: RecordVersion, now: Time) {
        let (prefix, version) = (record.id.prefix(), record.version);
        let merged = if record.id == self.own.id {
            Merged::Refused(RejectReason::IdTaken)
        } else {
            self.merge_alive(record, now)
        };
        if let Merged::Refused(reason) = merged {
            self.outputs.push(Output::Refused(reason));
            self.answer(from, Message::JoinReject { version, reason });
            return;
        }
        self.revive(prefix, now);
        if known == self.own.version {
            self.unacknowledged.remove(&prefix);
        }
        if self.list.alive(prefix).is_some() {
            let ack = Message::JoinAck { known: version, record: self.own.clone() };
            self.outputs.push(Output::SendToMember(prefix, ack));
        }
    }

    /// A member acknowledges the own record.
    pub(crate) fn handle_join_ack(
        &mut self,
        from: NodePrefix,
        known: RecordVersion,
        record: Record,
        now: Time,
    ) {
        if from != record.id.prefix() || self.list.get(from).is_none() {
            self.outputs.push(Output::Unexpected);
            return;
        }
        if known == self.own.version {
            self.unacknowledged.remove(&from);
            if self.phase != Phase::Joined {
                self.phase = Phase::Joined;
                self.outputs.push(Output::Joined(from));
            }
        }
        self.merge_alive(record, now);
    }

    /// A member refuses the own record.
    pub(crate) fn handle_join_reject(
        &mut self,
        from: NodePrefix,
        address: Option<SocketAddr>,
        version: RecordVersion,
        reason: RejectReason,
        now: Time,
    ) {
        let locator = self.list.alive(from).map(|record| record.locator);
        match self.unacknowledged.get_mut(&from).zip(address.or(locator)) {
            Some((backoff, by)) if version == self.own.version => {
                *backoff = Backoff::rejected(now);
                self.outputs.push(Output::Rejected(by, reason));
                if self.phase == Phase::Announcing {
                    self.withdraw(now);
                }
            }
            _ => self.outputs.push(Output::Unexpected),
        }
    }

    /// Starts over some time later: what is in the way may be the node's own former life, and a node that is
    /// refused must not disturb those who are members.
    fn withdraw(&mut self, now: Time) {
        self.list.clear();
        self.unacknowledged.clear();
        self.probes.clear();
        self.unreachable.clear();
        self.questions.clear();
        self.phase = Phase::Fetching;
        self.seed_question = Backoff::fetching_again(now);
        self.outputs.push(Output::Withdrawn);
    }

    /// A member says that it leaves.
    pub(crate) fn handle_leave(&mut self, from: NodePrefix, message: Message, now: Time) {
        match message {
            Message::Leave { id, version } if id.prefix() == from => self.merge_left(id, version, now),
            _ => self.outputs.push(Output::Unexpected),
        }
    }

    /// Somebody asks for the list.
    pub(crate) fn handle_list_request(&mut self, to: AnswerTo, token: u64) {
        let own = Listed { record: self.own.clone(), state: MemberState::Alive };
        let others =
            self.list.members().map(|member| Listed { record: member.record.clone(), state: member.state });
        let mut parts = Vec::new();
        let mut part: Vec<Listed> = Vec::new();
        let mut len = LIST_OVERHEAD;
        for listed in core::iter::once(own).chain(others) {
            let entry_len = listed_len(&listed);
            if len + entry_len > MAX_CONTROL_LEN {
                parts.push(core::mem::take(&mut part));
                len = LIST_OVERHEAD;
            }
            len += entry_len;
            part.push(listed);
        }
        parts.push(part);
        for entries in parts {
            self.answer(to, Message::List { token, entries });
        }
    }

    /// A part of somebody's list.
    pub(crate) fn handle_list(&mut self, sender: NodePrefix, token: u64, entries: Vec<Listed>, now: Time) {
        let Some(question) = self.questions.get(&token).filter(|question| question.expires_at > now).copied()
        else {
            self.outputs.push(Output::Unexpected);
            return;
        };
        self.seed_question = Backoff::seeking(now);
        if self.phase == Phase::Fetching {
            self.phase = Phase::Announcing;
            self.outputs.push(Output::ListFetched(question.to));
        }
        for Listed { record, state } in entries {
            let prefix = record.id.prefix();
            if prefix == self.own.id.prefix() {
                self.hear_of_oneself(sender, record, state, now);
                continue;
            }
            match state {
                MemberState::Alive => {
                    if let Merged::Refused(reason) = self.merge_alive(record, now) {
                        self.outputs.push(Output::Refused(reason));
                    }
                    // Whoever answers lives, whatever was believed of it.
                    if prefix == sender {
                        self.revive(prefix, now);
                    }
                }
                MemberState::Left if self.list.get(prefix).is_some() => {
                    self.merge_left(record.id, record.version, now);
                }
                MemberState::Failed | MemberState::Left => self.remember(record, state, now),
            }
        }
    }

    /// A member's list holds the own node.
    fn hear_of_oneself(&mut self, sender: NodePrefix, record: Record, state: MemberState, now: Time) {
        let is_other = record.id != self.own.id || record.locator != self.own.locator;
        if is_other && state == MemberState::Alive {
            self.outputs.push(Output::Rejected(record.locator, RejectReason::IdTaken));
        } else if record.version > self.own.version
            || (state == MemberState::Left && record.version == self.own.version)
        {
            self.outlive(record.version, now);
        } else if state == MemberState::Failed && self.list.alive(sender).is_some() {
            self.announce_to(sender, now);
        }
    }

    /// Makes the own record newer than one of a former life.
    fn outlive(&mut self, version: RecordVersion, now: Time) {
        let is_new_life = version.incarnation > self.own.version.incarnation;
        self.own.version =
            RecordVersion { incarnation: version.incarnation, version: version.version.saturating_add(1) };
        if is_new_life {
            self.outputs.push(Output::Renewed);
        }
        let members: Vec<NodePrefix> = self.alive().map(|record| record.id.prefix()).collect();
        for prefix in members {
            self.announce_to(prefix, now);
        }
    }

    fn merge_alive(&mut self, record: Record, now: Time) -> Merged {
        let prefix = record.id.prefix();
        if let Some(reason) = record.conflict_with(&self.own) {
            if self.own.is_before(&record) {
                return Merged::Refused(reason);
            }
            self.outputs.push(Output::Rejected(record.locator, reason));
        }
        let mut displaced: Vec<NodePrefix> = self.alive().map(|other| other.id.prefix()).collect();
        let merged = self.list.merge_alive(record, now);
        if merged == Merged::Alive {
            displaced.retain(|other| self.list.alive(*other).is_none());
            for other in displaced {
                self.note_failed(other, now);
            }
            self.admit(prefix, now);
        }
        merged
    }

    fn merge_left(&mut self, id: NodeId, version: RecordVersion, now: Time) {
        let prefix = id.prefix();
        if self.list.merge_left(id, version, now) == Merged::Left {
            self.unacknowledged.remove(&prefix);
            self.unreachable.remove(&prefix);
            self.outputs.push(Output::Left(prefix));
        }
        self.probes.remove(&prefix);
    }

    fn remember(&mut self, record: Record, state: MemberState, now: Time) {
        let prefix = record.id.prefix();
        let is_unknown = self.list.get(prefix).is_none();
        self.list.remember(record, state, now);
        if is_unknown && state == MemberState::Failed {
            self.probes.insert(prefix, Backoff::probing(now));
            self.wake_by(now);
        }
    }

    /// Takes a failed member back: it was heard.
    pub(crate) fn revive(&mut self, prefix: NodePrefix, now: Time) {
        if self.list.revive(prefix, now) {
            self.admit(prefix, now);
        }
    }

    fn admit(&mut self, prefix: NodePrefix, now: Time) {
        self.probes.remove(&prefix);
        self.unreachable.remove(&prefix);
        self.outputs.push(Output::Alive(prefix));
        self.announce_to(prefix, now);
    }

    fn announce_to(&mut self, prefix: NodePrefix, now: Time) {
        self.unacknowledged.insert(prefix, Backoff::joining(now));
        self.wake_by(now);
    }
}

/// Type and token of a list message.
const LIST_OVERHEAD: usize = 9;

fn listed_len(listed: &Listed) -> usize {
    let mut bytes = vec![listed.state as u8];
    listed.record.write(&mut bytes);
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Security};
    use crate::rng::Rng;

    fn config(id: u8, name: &str) -> Config {
        let locator = SocketAddr::from(([192, 0, 2, id], 4789));
        Config::new(name, locator, Security::None { id: NodeId([id; 32]) }, [id; 32])
    }

    fn record(id: u8, name: &str, incarnation: u64) -> Record {
        let mut record = Membership::new(&config(id, name), Rng::new([id; 32])).own().clone();
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
            membership.handle_join(AnswerTo::Address(joining.locator), joining, unknown, now);
        }
        membership.timer(now);
        assert!(membership.list().alive(NodeId([3; 32]).prefix()).is_some(), "the first life stays");
        assert!(membership.list().alive(NodeId([2; 32]).prefix()).is_none());
        assert!(membership.deadline() > now);
    }
}
