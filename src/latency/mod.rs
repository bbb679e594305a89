//! Latency (§4.2): probes the link to every member, averages what comes back, and shares it, so that all nodes hold the
//! same latency database.
//!
//! Knows nodes by prefix only: who they are and how to reach them is others' business, and so is what the
//! latencies are good for.

mod database;
mod estimator;
mod interval;
mod link;
mod offset;
mod table;

use core::time::Duration;
use std::collections::BTreeMap;

pub(crate) use estimator::Estimator;
pub(crate) use link::LinkState;

use crate::node::NodePrefix;
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::latency::{LinkLatency, Row, RowEntry, Stamps, Transit};
use database::{Applied, OtherRow, OwnRow, Precision};
use interval::Intervals;
use link::{Link, Pace, Step};
use table::skewed;

/// That a link is down is told after this, so that links that fall together are told together.
const DOWN_DELAY: Duration = Duration::from_millis(10);
/// That a link is up is told after this: nobody waits for it as for a detour, and where many nodes join at a
/// time, each telling costs a message to every member.
const UP_DELAY: Duration = Duration::from_millis(200);
/// Who has missed that a link is down learns so long after that there is something to ask for: it may have been told
/// through the very node that is gone, and with many members the next probe is far off.
const REMIND_DELAY: Duration = Duration::from_millis(500);
/// A part of a row is asked for no more often than this: above the round-trip time of most links.
const ROW_REQUEST_INTERVAL: Duration = Duration::from_millis(250);
/// A member is sent what it asks of the own row no more often than this.
const ROW_ANSWER_INTERVAL: Duration = Duration::from_millis(100);
/// The interval of probes while the other end has not proven where it is: a challenge is repeated after as long.
const UNPROVEN_INTERVAL: Duration = Duration::from_millis(400);
/// A link counts as used for so long after frames have taken it.
const USED_FOR: Duration = Duration::from_secs(10);
/// When a member says that its link to a node is down, others probe theirs within this, and not all at a time.
const RUMOUR_SPREAD: Duration = Duration::from_millis(300);
/// Not before the node has been silent for so long: one that is there is mostly heard again.
const RUMOUR_HEARD: Duration = Duration::from_secs(1);
/// Nor so soon after the last such reason: a link that comes and goes costs all others little.
const RUMOUR_INTERVAL: Duration = Duration::from_secs(2);

/// What latency wants done or made known.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send a probe with these times, on the direct path.
    Probe(NodePrefix, Stamps),
    /// Send this part of the own row to a member.
    Row(NodePrefix, Row),
    /// Send this part of the own row to all members.
    RowToAll(Row),
    /// Ask a member for what changed in its row after this version.
    RowRequest(NodePrefix, u64),
    /// Probes to this member are answered.
    LinkUp(NodePrefix),
    /// Probes to this member are not answered.
    LinkDown(NodePrefix),
    /// The database has changed.
    Changed,
    /// A link that others may rely on is down: from, to.
    Lost(NodePrefix, NodePrefix),
    /// A row came of a node that is no member.
    Unexpected,
}

#[derive(Debug)]
struct Peer {
    /// Tells the lives of the peer apart.
    life: u16,
    link: Link,
    /// It has proven where it is: only then is anything relayed to it, so that its first proof is hurried. It is asked for
    /// one, again if need be, when it is heard.
    is_proven: bool,
    row: OtherRow,
    /// The highest version of its row that was heard of.
    newest_version: u64,
    /// Until then the link counts as used.
    used_until: Time,
    /// When the link is to be probed because another member has lost its link to this one.
    check_at: Time,
    /// Before then it is not probed for such a reason again.
    next_rumour_at: Time,
    next_request_at: Time,
    /// Before then it is not sent what it asks of the own row.
    next_answer_at: Time,
}

impl Peer {
    fn deadline(&self) -> Time {
        let request_at = if self.lacks_row() { self.next_request_at } else { Time::NEVER };
        self.link.deadline().min(request_at).min(self.check_at)
    }

    /// Probes the link unless its other end has shown since the rumour that it is there.
    fn heed_rumour(&mut self, now: Time) {
        (self.check_at, self.next_rumour_at) = (Time::NEVER, now + RUMOUR_INTERVAL);
        let heard_at = self.link.estimator().last_answer_at();
        if heard_at.is_none_or(|at| now.since(at) >= RUMOUR_HEARD) {
            self.link.check(now);
        }
    }

    /// How often the link is probed.
    fn pace(&self, intervals: &Intervals, now: Time) -> Pace {
        let interval = match self.is_proven {
            false => intervals.used.min(UNPROVEN_INTERVAL),
            true if now < self.used_until => intervals.used,
            true => intervals.idle,
        };
        Pace { interval, shortest: intervals.used }
    }

    /// True if a part of its row has got lost or is still on its way.
    fn lacks_row(&self) -> bool {
        self.row.version() < self.newest_version
    }
}

/// Links, the own row, and the rows of all others.
#[derive(Debug)]
pub(crate) struct Latency {
    own: NodePrefix,
    life: u16,
    interval: Duration,
    intervals: Intervals,
    capacity: usize,
    peers: BTreeMap<NodePrefix, Peer>,
    own_row: OwnRow,
    /// Version of the own row that all have been told.
    told_version: u64,
    /// When to tell that links went up or down.
    tell_at: Time,
    /// When to remind all of what they were told last.
    remind_at: Time,
    /// When the next round begins: the times that have moved are told.
    round_at: Time,
    /// When a round is next to be told with fine precision.
    fine_at: Time,
    wake_at: Time,
    rng: Rng,
    outputs: Vec<Output>,
}

impl Latency {
    /// For the node `own` in the life that began with `incarnation`, which probes the link to each of at most
    /// `max_members` members every `interval`, or more seldom if they are many.
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
            intervals: Intervals::new(interval, 0),
            capacity: 2 * max_members,
            peers: BTreeMap::new(),
            own_row: OwnRow::default(),
            told_version: 0,
            tell_at: Time::NEVER,
            remind_at: Time::NEVER,
            round_at: Time::ZERO,
            fine_at: Time::ZERO,
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

    /// Starts to probe the link to a member in the life that began with `incarnation`.
    pub(crate) fn add(&mut self, peer: NodePrefix, incarnation: u64, now: Time) {
        let life = life(incarnation);
        let (link, row) = (Link::new(self.own < peer, now), OtherRow::default());
        self.peers.insert(
            peer,
            Peer {
                life,
                link,
                is_proven: false,
                row,
                newest_version: 0,
                used_until: Time::ZERO,
                check_at: Time::NEVER,
                next_rumour_at: Time::ZERO,
                next_request_at: Time::ZERO,
                next_answer_at: Time::ZERO,
            },
        );
        self.intervals = Intervals::new(self.interval, self.peers.len());
        self.wake_by(now);
    }

    /// Stops probing the link to a member and drops its latencies. What others measured to it no longer counts either.
    pub(crate) fn remove(&mut self, peer: NodePrefix, now: Time) {
        self.peers.remove(&peer);
        self.intervals = Intervals::new(self.interval, self.peers.len());
        if self.own_row.withdraw(peer) {
            self.tell_by(now + DOWN_DELAY);
        }
        self.own_row.prune(self.capacity, |target| self.peers.contains_key(&target));
        self.outputs.push(Output::Changed);
    }

    /// Stops everything: the node leaves.
    pub(crate) fn stop(&mut self) {
        self.peers.clear();
        self.wake_at = Time::NEVER;
    }

    /// Version of the own row, as told to all; what probes carry.
    pub(crate) fn row_version(&self) -> u64 {
        self.told_version
    }

    /// State of the direct link to a member.
    pub(crate) fn link_state(&self, peer: NodePrefix) -> Option<LinkState> {
        self.peers.get(&peer).map(|peer| peer.link.state())
    }

    /// What the direct link's probes tell.
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
            let leg = |node: NodePrefix| self.peers.get(&node)?.link.leg();
            let (entry, at) = self.peers.get(&from)?.row.get(to, life)?;
            Some(skewed(entry, *at, || leg(from).zip(leg(to))))
        }
    }

    /// True if the database has a link that is up from a member to a node in the life that began with
    /// `incarnation`, which need not be a member.
    pub(crate) fn is_linked(&self, from: NodePrefix, to: NodePrefix, incarnation: u64) -> bool {
        let row = self.peers.get(&from).map(|peer| &peer.row);
        row.and_then(|row| row.get(to, life(incarnation))).is_some_and(|(entry, _)| entry.link.is_some())
    }

    /// The latency of the link from a member to a node that need not be one, in whatever life it was measured.
    pub(crate) fn link_to_stranger(&self, from: NodePrefix, to: NodePrefix) -> Option<LinkLatency> {
        self.peers.get(&from)?.row.latest(to)
    }

    /// The latency of the link from one node to another, if it is up.
    pub(crate) fn link(&self, from: NodePrefix, to: NodePrefix) -> Option<LinkLatency> {
        self.entry(from, to)?
    }

    /// What a node is as a relay: `None` if it carries no transit, or is no member.
    pub(crate) fn transit(&self, node: NodePrefix) -> Option<Transit> {
        if node == self.own { self.own_row.transit() } else { self.peers.get(&node)?.row.transit() }
    }

    /// Says what this node is as a relay. Others are told in the next round, if it has moved by enough.
    pub(crate) fn set_transit(&mut self, transit: Option<Transit>) {
        if self.own_row.set_transit(transit) {
            self.outputs.push(Output::Changed);
        }
    }

    /// Frames have lately taken the link to a member: it is probed as often as can be.
    pub(crate) fn mark_used(&mut self, peer: NodePrefix, now: Time) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.used_until = now + USED_FOR;
            peer.link.hurry(now, peer.pace(&self.intervals, now));
            let deadline = peer.link.deadline();
            self.wake_by(deadline);
        }
    }

    /// A member has proven where it is.
    pub(crate) fn prove(&mut self, peer: NodePrefix) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.is_proven = true;
        }
    }

    /// There is doubt whether the link to a member is still up: it is probed at once.
    pub(crate) fn check(&mut self, peer: NodePrefix, now: Time) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.link.check(now);
            self.wake_by(now);
        }
    }

    /// A member says which version its row has. If that is newer than what is known here, the difference is
    /// asked for until it comes.
    pub(crate) fn hear_row_version(&mut self, from: NodePrefix, version: u64, now: Time) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.newest_version = peer.newest_version.max(version);
        if peer.lacks_row() {
            let request_at = peer.next_request_at.max(now);
            self.wake_by(request_at);
        }
    }

    /// A probe of a member has arrived at `received_at`.
    pub(crate) fn handle_probe(&mut self, from: NodePrefix, stamps: Stamps, received_at: Time) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let was_up = peer.link.state() == LinkState::Up;
        let pace = peer.pace(&self.intervals, received_at);
        let is_answer = peer.link.receive(stamps, received_at, pace);
        let deadline = peer.link.deadline();
        self.wake_by(deadline);
        if is_answer {
            if !was_up {
                self.outputs.push(Output::LinkUp(from));
            }
            self.notice(from, received_at);
        }
    }

    /// A part of a member's row.
    pub(crate) fn handle_row(&mut self, from: NodePrefix, row: Row, now: Time) {
        let version = row.to;
        let Some(mut known) = self.peers.get_mut(&from).map(|peer| core::mem::take(&mut peer.row)) else {
            self.outputs.push(Output::Unexpected);
            return;
        };
        let lost: Vec<NodePrefix> =
            row.entries.iter().filter(|entry| entry.link.is_none()).map(|entry| entry.target).collect();
        let applied = known
            .apply(row, now, self.capacity, |target| target == self.own || self.peers.contains_key(&target));
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.row = known;
        }
        match applied {
            Applied::Nothing => {}
            Applied::Changed => {
                self.outputs.push(Output::Changed);
                for target in lost {
                    self.outputs.push(Output::Lost(from, target));
                    self.hear_rumour(from, target, now);
                }
            }
            Applied::Missing => self.hear_row_version(from, version, now),
        }
    }

    /// A member has lost its link to `target`: the own one is in doubt. That to the member itself if it has lost this
    /// node, and any to a node that may be gone.
    fn hear_rumour(&mut self, from: NodePrefix, target: NodePrefix, now: Time) {
        if target == self.own {
            self.check(from, now);
            return;
        }
        let delay = self.rng.below(RUMOUR_SPREAD);
        let Some(peer) = self.peers.get_mut(&target).filter(|peer| peer.link.state() == LinkState::Up) else {
            return;
        };
        let silent_at = peer.link.estimator().last_answer_at().map_or(now, |at| at + RUMOUR_HEARD);
        peer.check_at = peer.check_at.min(now.max(silent_at).max(peer.next_rumour_at) + delay);
        let check_at = peer.check_at;
        self.wake_by(check_at);
    }

    /// A member asks for what changed in the own row.
    pub(crate) fn handle_row_request(&mut self, from: NodePrefix, version: u64, now: Time) {
        let Some(peer) = self.peers.get_mut(&from).filter(|peer| now >= peer.next_answer_at) else { return };
        peer.next_answer_at = now + ROW_ANSWER_INTERVAL;
        for row in self.own_row.since(version, now) {
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
            if now >= peer.check_at {
                peer.heed_rumour(now);
            }
            match peer.link.step(now, peer.pace(&self.intervals, now), &mut self.rng) {
                Step::Wait => {}
                Step::Probe(stamps) => {
                    self.outputs.push(Output::Probe(*prefix, stamps));
                    if peer.link.state() == LinkState::Down {
                        self.outputs.push(Output::Row(*prefix, self.own_row.reminder(self.told_version)));
                    }
                }
                Step::WentDown => down.push(*prefix),
            }
            if peer.lacks_row() && now >= peer.next_request_at {
                peer.next_request_at = now + ROW_REQUEST_INTERVAL;
                self.outputs.push(Output::RowRequest(*prefix, peer.row.version()));
            }
        }
        for prefix in down {
            self.outputs.extend([Output::LinkDown(prefix), Output::Changed]);
            self.notice(prefix, now);
        }
        if now >= self.round_at {
            self.round_at = now + self.rng.around(self.intervals.round);
            self.advertise_all(now);
            self.tell(now);
        } else if now >= self.tell_at {
            self.tell(now);
        }
        if now >= self.remind_at {
            self.remind_at = Time::NEVER;
            self.outputs.push(Output::RowToAll(self.own_row.reminder(self.told_version)));
        }
        let links = self.peers.values().map(Peer::deadline);
        self.wake_at = links.fold(self.tell_at.min(self.remind_at).min(self.round_at), Time::min);
    }

    /// Tells all members what has changed in the own row.
    fn tell(&mut self, now: Time) {
        self.tell_at = Time::NEVER;
        let news = self.own_row.since(self.told_version, now);
        self.told_version = self.own_row.version();
        self.outputs.extend(news.into_iter().map(Output::RowToAll));
    }

    /// Brings the own row up to what is measured now.
    fn advertise_all(&mut self, now: Time) {
        let precision = if now < self.fine_at {
            Precision::Coarse
        } else {
            self.fine_at = now + self.rng.around(self.intervals.fine);
            Precision::Fine
        };
        for (target, peer) in &self.peers {
            let entry = peer.link.advertisement().map(|link| row_entry(*target, peer.life, link));
            let offset = peer.link.leg().and_then(|leg| leg.offset.line());
            if entry.is_some_and(|entry| self.own_row.set(entry, offset, precision, now)) {
                self.outputs.push(Output::Changed);
            }
        }
    }

    /// Puts it into the own row if a link has gone up or down, which others should know before the round.
    fn notice(&mut self, target: NodePrefix, now: Time) {
        let Some(peer) = self.peers.get(&target) else { return };
        let (life, Some(link)) = (peer.life, peer.link.advertisement()) else { return };
        if self.own_row.get(target, life).is_some_and(|known| known.is_some() == link.is_some()) {
            return;
        }
        self.own_row.set(row_entry(target, life, link), None, Precision::Coarse, now);
        let delay = if link.is_none() { DOWN_DELAY } else { UP_DELAY };
        self.tell_by(now + delay);
        self.outputs.push(Output::Changed);
        if link.is_none() {
            self.outputs.push(Output::Lost(self.own, target));
            self.remind_at = now + REMIND_DELAY;
        }
    }

    fn tell_by(&mut self, at: Time) {
        self.tell_at = self.tell_at.min(at);
        self.wake_by(at);
    }

    fn wake_by(&mut self, at: Time) {
        self.wake_at = self.wake_at.min(at);
    }
}

fn row_entry(target: NodePrefix, life: u16, link: Option<LinkLatency>) -> RowEntry {
    RowEntry { target, life, link, offset_us: None }
}

/// Folds an incarnation into what the entries of rows have for it.
pub(crate) fn life(incarnation: u64) -> u16 {
    let [a, b, c, d] = [0, 16, 32, 48].map(|shift| (incarnation >> shift) as u16);
    a ^ b ^ c ^ d
}
