//! Distributed node management (§4.1): who is a member, without any server.
//!
//! A joiner fetches the list from one member and sends a join to every node on it, each repeated until
//! acknowledged. What gets lost all the same heals by the digest of the list that rides on pings: where two
//! digests differ, the lists are exchanged. A leaver tells everybody. A member that nobody reaches fails;
//! failed members and unheard seeds are asked for their list now and then, which is how partitions heal.
//!
//! Knows nothing of latencies or paths: whether a member is reachable is told to it.

mod list;
mod protocol;
mod schedule;

use core::net::SocketAddr;
use std::collections::BTreeMap;

pub(crate) use list::{List, Member};

use crate::config::Config;
use crate::error::RejectReason;
use crate::node::{MemberState, NodePrefix};
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::control::Message;
use crate::wire::record::{Record, RecordVersion};
use schedule::Backoff;

/// Where an answer goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AnswerTo {
    /// To a live member, on the path to it.
    Member(NodePrefix),
    /// To the address that the question came from.
    Address(SocketAddr),
}

impl From<NodePrefix> for AnswerTo {
    fn from(member: NodePrefix) -> Self {
        AnswerTo::Member(member)
    }
}

impl From<SocketAddr> for AnswerTo {
    fn from(address: SocketAddr) -> Self {
        AnswerTo::Address(address)
    }
}

/// What membership wants done or made known.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send this to an address at which a member may be.
    SendTo(SocketAddr, Message),
    /// Send this to a live member.
    SendToMember(NodePrefix, Message),
    /// This node is a member now: new, back, or with a newer record.
    Alive(NodePrefix),
    /// This member has left.
    Left(NodePrefix),
    /// This member has failed.
    Failed(NodePrefix),
    /// The own node begins a new life, because its former one is remembered as newer.
    Renewed,
    /// A seed or a member has sent its list in answer to a joiner's question.
    ListFetched(SocketAddr),
    /// A member has the own node in its list: the node is a member.
    Joined(NodePrefix),
    /// A member refuses the own node.
    Rejected(SocketAddr, RejectReason),
    /// The own node has said often enough that it leaves.
    Gone,
    /// The own node was refused before anybody took it: its list is empty again.
    Withdrawn,
    /// A record was refused.
    Refused(RejectReason),
    /// An answer came that nothing was asked for.
    Unexpected,
}

/// How far the own node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Has not been told to join.
    Idle,
    /// Asks one seed after the other for the list.
    Fetching,
    /// Has the list and sends joins; nobody has acknowledged one.
    Announcing,
    /// Is a member, by the word of another one or as the first of the mesh.
    Joined,
    /// Says that it leaves; so many times more.
    Leaving { repeats: u8 },
    /// Has left.
    Gone,
}

/// A question that is out.
#[derive(Clone, Copy, Debug)]
struct Question {
    to: SocketAddr,
    expires_at: Time,
}

/// The member list and what keeps it the same everywhere.
#[derive(Debug)]
pub(crate) struct Membership {
    own: Record,
    list: List,
    phase: Phase,
    seeds: Vec<SocketAddr>,
    /// The next question to a seed.
    seed_question: Backoff,
    next_seed: usize,
    /// Members that have not acknowledged the own record.
    unacknowledged: BTreeMap<NodePrefix, Backoff>,
    /// Failed members, and when to ask them for their list.
    probes: BTreeMap<NodePrefix, Backoff>,
    /// Live members that nobody reaches, and since when.
    unreachable: BTreeMap<NodePrefix, Time>,
    /// Questions for lists, by token.
    questions: BTreeMap<u64, Question>,
    /// Not before then is a list asked for because of a digest or a stranger.
    next_sync_at: Time,
    /// Not after anything is due.
    wake_at: Time,
    rng: Rng,
    outputs: Vec<Output>,
}

impl Membership {
    pub(crate) fn new(config: &Config, rng: Rng) -> Self {
        Membership {
            own: Record {
                id: config.id,
                version: RecordVersion { incarnation: config.incarnation, version: 0 },
                locator: config.locator,
                name: config.name.clone(),
                segments: config.segments.clone(),
            },
            list: List::new(config.max_members - 1),
            phase: Phase::Idle,
            seeds: config.seeds.iter().copied().filter(|seed| *seed != config.locator).collect(),
            seed_question: Backoff::idle(),
            next_seed: 0,
            unacknowledged: BTreeMap::new(),
            probes: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            questions: BTreeMap::new(),
            next_sync_at: Time::ZERO,
            wake_at: Time::NEVER,
            rng,
            outputs: Vec::new(),
        }
    }

    /// The own record.
    pub(crate) fn own(&self) -> &Record {
        &self.own
    }

    /// All other nodes.
    pub(crate) fn list(&self) -> &List {
        &self.list
    }

    /// Digest of the live part of the list, the own node included.
    pub(crate) fn digest(&self) -> u64 {
        self.list.digest() ^ self.own.digest()
    }

    /// False once the node has said that it leaves, and before it joins.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Fetching | Phase::Announcing | Phase::Joined)
    }

    /// True once the node has left. Until then it relays what is on its way.
    pub(crate) fn is_gone(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// What has come up since the last call, in order.
    pub(crate) fn take_outputs(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.outputs)
    }

    /// When [`timer`](Self::timer) wants to be called.
    pub(crate) fn deadline(&self) -> Time {
        self.wake_at
    }

    /// Starts to join.
    pub(crate) fn join(&mut self, now: Time) {
        if self.phase == Phase::Idle {
            self.phase = if self.seeds.is_empty() { Phase::Joined } else { Phase::Fetching };
            self.seed_question = Backoff::fetching(now);
            self.wake_by(now);
        }
    }

    /// Says to every member that the node leaves.
    pub(crate) fn leave(&mut self, now: Time) {
        if self.is_active() {
            // Others also believe a leave of the version they know.
            self.own.version.version = self.own.version.version.saturating_add(1);
            self.phase = Phase::Leaving { repeats: schedule::LEAVE_REPEATS };
            self.wake_by(now);
        }
    }

    /// Tells whether any member has a live path to `prefix`, as the latency database shows it. A member
    /// that stays unreachable fails.
    pub(crate) fn set_reachable(&mut self, prefix: NodePrefix, is_reachable: bool, now: Time) {
        if is_reachable {
            self.unreachable.remove(&prefix);
        } else if self.list.alive(prefix).is_some() {
            let since = *self.unreachable.entry(prefix).or_insert(now);
            self.wake_by(since + schedule::UNREACHABLE_TIMEOUT);
        }
    }

    /// Members that have failed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Record> {
        let failed = self.list.members().filter(|member| member.state == MemberState::Failed);
        failed.map(|member| &member.record)
    }

    /// A ping of a member showed the digest of its list.
    pub(crate) fn compare_digest(&mut self, from: NodePrefix, digest: u64, now: Time) {
        if digest != self.digest() && now >= self.next_sync_at && self.is_active() {
            self.next_sync_at = now + self.rng.around(schedule::SYNC_INTERVAL);
            if let Some(token) =
                self.list.alive(from).map(|record| record.locator).and_then(|to| self.ask(to, now))
            {
                self.outputs.push(Output::SendToMember(from, Message::ListRequest { token }));
            }
        }
    }

    /// A node that is not a member here behaves like one. Its list tells why.
    pub(crate) fn hear_stranger(&mut self, from: SocketAddr, now: Time) {
        if now >= self.next_sync_at && self.is_active() {
            self.next_sync_at = now + self.rng.around(schedule::SYNC_INTERVAL);
            self.ask_for_list(from, now);
        }
    }

    /// Asks whoever is at `to` for the list. A failed member may have been where this node is now.
    fn ask_for_list(&mut self, to: SocketAddr, now: Time) {
        if to == self.own.locator {
            return;
        }
        if let Some(token) = self.ask(to, now) {
            self.outputs.push(Output::SendTo(to, Message::ListRequest { token }));
        }
    }

    /// Notes a question and gives its token, unless too many are out.
    fn ask(&mut self, to: SocketAddr, now: Time) -> Option<u64> {
        if self.questions.len() >= schedule::MAX_QUESTIONS {
            self.questions.retain(|_, question| question.expires_at > now);
        }
        (self.questions.len() < schedule::MAX_QUESTIONS).then(|| {
            let token = self.rng.u64();
            let expires_at = now + schedule::QUESTION_TIMEOUT;
            self.questions.insert(token, Question { to, expires_at });
            token
        })
    }

    fn answer(&mut self, to: AnswerTo, message: Message) {
        self.outputs.push(match to {
            AnswerTo::Member(prefix) => Output::SendToMember(prefix, message),
            AnswerTo::Address(address) => Output::SendTo(address, message),
        });
    }

    fn wake_by(&mut self, at: Time) {
        self.wake_at = self.wake_at.min(at);
    }

    /// Live members by prefix, the own node not among them.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &Record> {
        self.list.all_alive()
    }
}
