//! Distributed node management (§4.1): who is a member, without any server.
//!
//! A joiner fetches the list from one member and sends a join to every node on it, each repeated until
//! acknowledged. What a list says of others is a hint where to find them: a record is taken from its own node
//! only. What gets lost all the same heals by the digest of the list that rides on probes: where two digests
//! differ, the lists are exchanged. A leaver tells everybody. A member that nobody reaches fails; failed
//! members and unheard seeds are contacted now and then, which is how partitions heal.
//!
//! Knows nothing of latencies, paths or keys: whether a member is reachable, and that there is a session with
//! a node, is told to it.

mod claims;
mod introduction;
mod list;
mod protocol;
mod schedule;

use core::net::SocketAddr;
use std::collections::BTreeMap;

pub(crate) use introduction::Contact;
pub(crate) use list::{List, Member};

use crate::config::Config;
use crate::error::RejectReason;
use crate::node::{MemberState, NodePrefix};
use crate::node_map::NodeMap;
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::control::Message;
use crate::wire::record::{Record, RecordVersion};
use introduction::Introductions;
use schedule::{Announcement, Backoff};

/// What membership wants done or made known.
#[derive(Debug)]
pub(crate) enum Output {
    /// Get a session with whoever is at this address.
    Greet(SocketAddr),
    /// Get a session with this node.
    Contact(Contact),
    /// Send this to a node that there is a session with.
    Send(NodePrefix, Message),
    /// Send this to a member straight.
    SendDirect(NodePrefix, Message),
    /// This node is a member now: new, back, or with a newer record.
    Alive(NodePrefix),
    /// This member has left.
    Left(NodePrefix),
    /// This member has failed.
    Failed(NodePrefix),
    /// A seed or a member has sent its list in answer to a joiner's question.
    ListFetched(NodePrefix),
    /// No seed has answered a joiner for a while.
    SeedsSilent,
    /// A member has the own node in its list: the node is a member.
    Joined(NodePrefix),
    /// A member refuses the own node.
    Rejected(NodePrefix, RejectReason),
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
    to: NodePrefix,
    expires_at: Time,
}

/// When a member's list was asked for last because of its digest, and which digests it and the own list had.
#[derive(Clone, Copy, Debug, Default)]
struct Sync {
    asked_at: Time,
    digests: [u32; 2],
}

/// The member list and what keeps it the same everywhere.
#[derive(Debug)]
pub(crate) struct Membership {
    own: Record,
    list: List,
    phase: Phase,
    seeds: Vec<SocketAddr>,
    /// When the next seed is greeted.
    seed_question: Backoff,
    next_seed: usize,
    /// When it is to be said that no seed answers.
    silence_at: Time,
    /// When a joiner that was refused starts over, unless a member takes it before.
    withdraw_at: Time,
    /// Since when the own node is a member.
    joined_at: Time,
    /// Nodes that have not acknowledged the own record.
    unacknowledged: BTreeMap<NodePrefix, Announcement>,
    /// Nodes that others list and that are not members here.
    introductions: Introductions,
    /// Failed members, and when to contact them.
    probes: BTreeMap<NodePrefix, Backoff>,
    /// Live members that nobody reaches, and since when.
    unreachable: BTreeMap<NodePrefix, Time>,
    /// Questions for lists, by token.
    questions: BTreeMap<u64, Question>,
    /// Who was sent the list, and when.
    answered: BTreeMap<NodePrefix, Time>,
    /// What the digests of members led to.
    syncs: NodeMap<Sync>,
    /// The digests of those members whose lists are worth asking for, as shown since the own list changed.
    differing: NodeMap<u32>,
    /// The own digest when one was last compared with it, and since when it has been that.
    compared: u32,
    changed_at: Time,
    /// Before then no list is asked for because of a digest.
    sync_at: Time,
    /// When those are next forgotten that have not been members for long.
    forget_at: Time,
    /// Not after anything is due.
    wake_at: Time,
    rng: Rng,
    outputs: Vec<Output>,
}

impl Membership {
    pub(crate) fn new(config: &Config, rng: Rng) -> Self {
        Membership {
            own: Record {
                id: config.id(),
                version: RecordVersion { incarnation: config.incarnation, version: 0 },
                locator: config.locator,
                name: config.name.clone(),
                segments: config.segments.clone(),
            },
            list: List::new(config.max_members - 1),
            phase: Phase::Idle,
            seeds: others(&config.seeds, config.locator),
            seed_question: Backoff::idle(),
            next_seed: 0,
            silence_at: Time::NEVER,
            withdraw_at: Time::NEVER,
            joined_at: Time::NEVER,
            unacknowledged: BTreeMap::new(),
            introductions: Introductions::new(config.max_members),
            probes: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            questions: BTreeMap::new(),
            answered: BTreeMap::new(),
            syncs: NodeMap::new(),
            differing: NodeMap::new(),
            compared: 0,
            changed_at: Time::ZERO,
            sync_at: Time::ZERO,
            forget_at: Time::ZERO,
            wake_at: Time::NEVER,
            rng,
            outputs: Vec::new(),
        }
    }

    /// The own record.
    pub(crate) fn own(&self) -> &Record {
        &self.own
    }

    /// The addresses to fetch the list from.
    pub(crate) fn seeds(&self) -> &[SocketAddr] {
        &self.seeds
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

    /// The digest as it rides on probes and rows.
    pub(crate) fn short_digest(&self) -> u32 {
        self.digest() as u32
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
            if self.seeds.is_empty() {
                (self.phase, self.joined_at) = (Phase::Joined, now);
            } else {
                self.phase = Phase::Fetching;
                self.silence_at = now + schedule::SILENCE_LIMIT;
            }
            self.seed_question = Backoff::fetching(now);
            self.wake_by(now);
        }
    }

    /// Replaces the addresses to fetch the list from. If that changes them, they are asked at once: they were given
    /// because the former ones do not answer, or there were none.
    pub(crate) fn set_seeds(&mut self, seeds: &[SocketAddr], now: Time) {
        let seeds = others(seeds, self.own.locator);
        if seeds == self.seeds {
            return;
        }
        (self.seeds, self.next_seed) = (seeds, 0);
        // Who has met nobody is no member of anything yet.
        if self.phase == Phase::Joined && self.list.is_empty() && !self.seeds.is_empty() {
            self.phase = Phase::Fetching;
            self.silence_at = now + schedule::SILENCE_LIMIT;
        }
        match self.phase {
            Phase::Fetching => self.seed_question = Backoff::fetching(now),
            Phase::Announcing | Phase::Joined => self.seed_question = Backoff::seeking(now),
            Phase::Idle | Phase::Leaving { .. } | Phase::Gone => return,
        }
        self.wake_by(now);
    }

    /// Says to every member that the node leaves.
    pub(crate) fn leave(&mut self, now: Time) {
        if self.is_active() {
            self.own.version.version += 1;
            self.phase = Phase::Leaving { repeats: schedule::LEAVE_REPEATS };
            self.wake_by(now);
        }
    }

    /// Tells whether any member has a live path to `prefix`, as the latency database shows it. A member
    /// that stays unreachable, and silent, fails.
    pub(crate) fn set_reachable(&mut self, prefix: NodePrefix, is_reachable: bool, now: Time) {
        if is_reachable {
            self.unreachable.remove(&prefix);
        } else if self.list.alive(prefix).is_some() {
            let since = *self.unreachable.entry(prefix).or_insert(now);
            let fails_at = self.fails_at(prefix, since);
            self.wake_by(fails_at);
        }
    }

    /// Members that have failed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Record> {
        let failed = self.list.members().filter(|member| member.state == MemberState::Failed);
        failed.map(|member| &member.record)
    }

    /// There is a session with this node, as was asked for or because it began one.
    pub(crate) fn met(&mut self, node: NodePrefix, now: Time) {
        self.introductions.remove(node);
        match self.phase {
            Phase::Fetching => self.ask_for_list(node, now),
            Phase::Announcing | Phase::Joined => self.announce_to(node, now),
            Phase::Idle | Phase::Leaving { .. } | Phase::Gone => {}
        }
        self.contact_introduced(now);
    }

    /// This node was heard, in its session. If it had failed, its answer to a join will show whether it hears
    /// this one, too.
    pub(crate) fn hear(&mut self, node: NodePrefix, now: Time) {
        let has_failed = self.list.hear(node, now).is_some_and(|member| member.state == MemberState::Failed);
        if has_failed && self.is_active() && !self.unacknowledged.contains_key(&node) {
            self.announce_to(node, now);
        }
    }

    /// This node may not be a member any more. Gives its record if it was one.
    pub(crate) fn remove(&mut self, node: NodePrefix) -> Option<Record> {
        self.introductions.remove(node);
        self.unacknowledged.remove(&node);
        self.unreachable.remove(&node);
        self.probes.remove(&node);
        self.syncs.remove(&node);
        self.differing.remove(&node);
        let member = self.list.remove(node)?;
        (member.state == MemberState::Alive).then_some(member.record)
    }

    /// There is no session with this node any more, nor could another be had in time.
    pub(crate) fn lose(&mut self, node: NodePrefix, now: Time) {
        if self.list.fail(node, now) {
            self.note_failed(node, now);
        }
    }

    /// A member has shown the digest of its list. If that differs, the list is asked for, in turn: a member that
    /// shows another digest each time cannot keep others from being asked.
    pub(crate) fn compare_digest(&mut self, from: NodePrefix, digest: u32, now: Time) {
        if !self.is_active() || self.list.alive(from).is_none() {
            return;
        }
        let own = self.short_digest();
        if own != self.compared {
            // What others showed before says nothing of the list as it is now.
            self.differing.clear();
            (self.compared, self.changed_at) = (own, now);
        }
        let is_old_news = self.syncs.get(&from).is_some_and(|sync| {
            sync.digests == [own, digest] && now.since(sync.asked_at) < schedule::SYNC_AGAIN
        });
        if digest == own || is_old_news || self.is_in_flux(now) {
            self.differing.remove(&from);
        } else {
            self.differing.insert(from, digest);
            let sync_at = self.sync_at.max(now);
            self.wake_by(sync_at);
        }
    }

    /// Asks a node for its list, unless too many questions are out.
    fn ask_for_list(&mut self, to: NodePrefix, now: Time) {
        if self.questions.len() >= schedule::MAX_QUESTIONS {
            self.questions.retain(|_, question| question.expires_at > now);
        }
        if self.questions.len() < schedule::MAX_QUESTIONS {
            let token = self.rng.u64();
            let expires_at = now + schedule::QUESTION_TIMEOUT;
            self.questions.insert(token, Question { to, expires_at });
            self.outputs.push(Output::Send(to, Message::ListRequest { token }));
            // It would not answer again so soon, and not be asked again for long.
            self.sync_at = self.sync_at.max(now + 2 * schedule::ANSWER_INTERVAL);
        }
    }

    fn wake_by(&mut self, at: Time) {
        self.wake_at = self.wake_at.min(at);
    }

    /// Members that are listed and not met yet, where there may be many, as this node joins. Later they are few, or a
    /// member makes them up.
    pub(crate) fn awaited(&self, now: Time) -> usize {
        if now.since(self.joined_at) < schedule::JOINING { self.introductions.len() } else { 0 }
    }

    /// Live members by prefix, the own node not among them.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &Record> {
        self.list.all_alive()
    }
}

/// The addresses of a list but the own one, so that all nodes may have one list.
fn others(addresses: &[SocketAddr], own: SocketAddr) -> Vec<SocketAddr> {
    addresses.iter().copied().filter(|address| *address != own).collect()
}
