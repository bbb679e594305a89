//! Latency (§4.2): pings every member, averages what comes back, and shares it, so that all nodes hold the
//! same latency database.
//!
//! Knows nodes by prefix only: who they are and how to reach them is others' business, and so is what the
//! latencies are good for.

mod database;
mod estimator;
mod link;

use core::time::Duration;
use std::collections::BTreeMap;

pub(crate) use estimator::Estimator;
pub(crate) use link::LinkState;

use crate::node::NodePrefix;
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::control::{LinkLatency, Pong, Row, RowEntry};
use database::{Applied, OtherRow, OwnRow};
use link::{Link, Step};

/// Changes of whether a link is up are told after this, so that links that fall together are told together.
const NEWS_DELAY: Duration = Duration::from_millis(10);
/// A part of a row is asked for no more often than this.
const ROW_REQUEST_INTERVAL: Duration = Duration::from_millis(200);

/// What latency wants done or made known.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send a ping with this token, on the direct path.
    Ping(NodePrefix, u64),
    /// Send this part of the own row to a member.
    Row(NodePrefix, Row),
    /// Send this part of the own row to all members.
    RowToAll(Row),
    /// Ask a member for what changed in its row after this version.
    RowRequest(NodePrefix, u64),
    /// Pings to this member are answered.
    LinkUp(NodePrefix),
    /// Pings to this member are not answered.
    LinkDown(NodePrefix),
    /// The database has changed.
    Changed,
    /// A link that others may rely on is down: from, to.
    Lost(NodePrefix, NodePrefix),
    /// An answer came that nothing was asked for.
    Unexpected,
}

#[derive(Debug)]
struct Peer {
    /// Tells the lives of the peer apart.
    life: u32,
    link: Link,
    row: OtherRow,
    next_request_at: Time,
}

/// Links, the own row, and the rows of all others.
#[derive(Debug)]
pub(crate) struct Latency {
    own: NodePrefix,
    life: u32,
    interval: Duration,
    capacity: usize,
    peers: BTreeMap<NodePrefix, Peer>,
    own_row: OwnRow,
    /// Version of the own row that all have been told.
    told_version: u64,
    /// When to tell the changes since.
    tell_at: Time,
    /// When members to which the direct link is down are next told the version of the own row.
    remind_at: Time,
    wake_at: Time,
    rng: Rng,
    outputs: Vec<Output>,
}

impl Latency {
    /// For the node `own` in the life that began with `incarnation`, which pings each of at most
    /// `max_members` members every `interval`.
    pub(crate) fn new(
        (own, incarnation): (NodePrefix, u64),
        interval: Duration,
        max_members: usize,
        rng: Rng,
    ) -> Self {
        Latency {
            own,
            life: life(incarnation),
            interval,
            capacity: 2 * max_members,
            peers: BTreeMap::new(),
            own_row: OwnRow::default(),
            told_version: 0,
            tell_at: Time::NEVER,
            remind_at: Time::ZERO,
            wake_at: Time::NEVER,
            rng,
            outputs: Vec::new(),
        }
    }

    /// What has come up since the last call, in order.
    pub(crate) fn take_outputs(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.outputs)
    }

    /// When [`timer`](Self::timer) wants to be called.
    pub(crate) fn deadline(&self) -> Time {
        self.wake_at
    }

    /// Starts to ping a member in the life that began with `incarnation`.
    pub(crate) fn add(&mut self, peer: NodePrefix, incarnation: u64, now: Time) {
        let life = life(incarnation);
        let (link, row) = (Link::new(now), OtherRow::default());
        self.peers.insert(peer, Peer { life, link, row, next_request_at: Time::ZERO });
        self.wake_by(now);
    }

    /// Stops pinging a member and drops its latencies. What others measured to it no longer counts either.
    pub(crate) fn remove(&mut self, peer: NodePrefix) {
        self.peers.remove(&peer);
        self.own_row.remove(peer);
        self.outputs.push(Output::Changed);
    }

    /// The own node begins another life.
    pub(crate) fn renew(&mut self, incarnation: u64) {
        self.life = life(incarnation);
    }

    /// Stops everything: the node leaves.
    pub(crate) fn stop(&mut self) {
        self.peers.clear();
        self.wake_at = Time::NEVER;
    }

    /// Version of the own row, as told to all; what pings carry.
    pub(crate) fn row_version(&self) -> u64 {
        self.told_version
    }

    /// State of the direct link to a member.
    pub(crate) fn link_state(&self, peer: NodePrefix) -> Option<LinkState> {
        self.peers.get(&peer).map(|peer| peer.link.state())
    }

    /// What the direct link's pings tell.
    pub(crate) fn estimator(&self, peer: NodePrefix) -> Option<&Estimator> {
        self.peers.get(&peer).map(|peer| peer.link.estimator())
    }

    /// The database's entry for the link from one node to another: `None` if nobody has measured it,
    /// `Some(None)` if it is down.
    pub(crate) fn entry(&self, from: NodePrefix, to: NodePrefix) -> Option<Option<LinkLatency>> {
        if from == self.own {
            self.own_row.get(to, self.peers.get(&to)?.life)
        } else {
            let life = if to == self.own { self.life } else { self.peers.get(&to)?.life };
            self.peers.get(&from)?.row.get(to, life)
        }
    }

    /// The latency of the link from one node to another, if it is up.
    pub(crate) fn link(&self, from: NodePrefix, to: NodePrefix) -> Option<LinkLatency> {
        self.entry(from, to)?
    }

    /// A ping of a member says which version its row has.
    pub(crate) fn hear_row_version(&mut self, from: NodePrefix, version: u64, now: Time) {
        if self.peers.get(&from).is_some_and(|peer| peer.row.version() < version) {
            self.request_row(from, now);
        }
    }

    /// A pong of a member.
    pub(crate) fn handle_pong(&mut self, from: NodePrefix, pong: Pong, received_at: Time) {
        let Some(peer) = self.peers.get_mut(&from) else {
            self.outputs.push(Output::Unexpected);
            return;
        };
        let held = Duration::from_nanos(pong.sent_at.saturating_sub(pong.received_at));
        let was_up = peer.link.state() == LinkState::Up;
        if !peer.link.pong(pong.token, held, received_at, self.interval, &mut self.rng) {
            self.outputs.push(Output::Unexpected);
            return;
        }
        let deadline = peer.link.deadline();
        self.wake_by(deadline);
        if !was_up {
            self.outputs.push(Output::LinkUp(from));
        }
        self.advertise(from, received_at);
    }

    /// A part of a member's row.
    pub(crate) fn handle_row(&mut self, from: NodePrefix, row: Row, now: Time) {
        let Some(mut known) = self.peers.get_mut(&from).map(|peer| core::mem::take(&mut peer.row)) else {
            self.outputs.push(Output::Unexpected);
            return;
        };
        let lost: Vec<NodePrefix> =
            row.entries.iter().filter(|entry| entry.link.is_none()).map(|entry| entry.target).collect();
        let applied =
            known.apply(row, self.capacity, |target| target == self.own || self.peers.contains_key(&target));
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.row = known;
        }
        match applied {
            Applied::Nothing => {}
            Applied::Changed => {
                self.outputs.push(Output::Changed);
                self.outputs.extend(lost.into_iter().map(|target| Output::Lost(from, target)));
            }
            Applied::Missing => self.request_row(from, now),
        }
    }

    /// A member asks for what changed in the own row.
    pub(crate) fn handle_row_request(&mut self, from: NodePrefix, version: u64) {
        for row in self.own_row.since(version) {
            self.outputs.push(Output::Row(from, row));
        }
    }

    /// Does what is due.
    pub(crate) fn timer(&mut self, now: Time) {
        if now < self.wake_at {
            return;
        }
        let mut down = Vec::new();
        for (prefix, peer) in &mut self.peers {
            match peer.link.step(now, self.interval, &mut self.rng) {
                Step::Wait => {}
                Step::Ping(token) => self.outputs.push(Output::Ping(*prefix, token)),
                Step::WentDown => down.push(*prefix),
            }
        }
        for prefix in down {
            self.outputs.push(Output::LinkDown(prefix));
            self.advertise(prefix, now);
        }
        if now >= self.tell_at {
            self.tell_at = Time::NEVER;
            let news = self.own_row.since(self.told_version);
            self.told_version = self.own_row.version();
            self.outputs.extend(news.into_iter().map(Output::RowToAll));
        }
        if now >= self.remind_at {
            self.remind_at = now + self.interval;
            self.remind();
        }
        let links = self.peers.values().map(|peer| peer.link.deadline());
        self.wake_at = links.fold(self.tell_at.min(self.remind_at), Time::min);
    }

    /// Pings do not reach the members to which the link is down; they learn the row's version by other paths.
    fn remind(&mut self) {
        let version = self.told_version;
        for (prefix, _) in self.peers.iter().filter(|(_, peer)| peer.link.state() == LinkState::Down) {
            let row = Row { from: version, to: version, entries: Vec::new() };
            self.outputs.push(Output::Row(*prefix, row));
        }
    }

    fn advertise(&mut self, peer: NodePrefix, now: Time) {
        let Some(link) = self.peers.get(&peer).and_then(|peer| peer.link.advertisement()) else { return };
        let was_up = self.link(self.own, peer).is_some();
        let Some(life) = self.peers.get(&peer).map(|peer| peer.life) else { return };
        if self.own_row.set(RowEntry { target: peer, life, link }) {
            let is_news = was_up != link.is_some();
            let delay = if is_news { NEWS_DELAY } else { self.interval };
            self.tell_at = self.tell_at.min(now + delay);
            let tell_at = self.tell_at;
            self.wake_by(tell_at);
            self.outputs.push(Output::Changed);
            if link.is_none() {
                self.outputs.push(Output::Lost(self.own, peer));
            }
        }
    }

    fn request_row(&mut self, from: NodePrefix, now: Time) {
        let Some(peer) = self.peers.get_mut(&from).filter(|peer| now >= peer.next_request_at) else { return };
        peer.next_request_at = now + ROW_REQUEST_INTERVAL;
        self.outputs.push(Output::RowRequest(from, peer.row.version()));
    }

    fn wake_by(&mut self, at: Time) {
        self.wake_at = self.wake_at.min(at);
    }
}

/// Folds an incarnation into what the entries of rows have for it.
fn life(incarnation: u64) -> u32 {
    (incarnation ^ incarnation >> 32) as u32
}
