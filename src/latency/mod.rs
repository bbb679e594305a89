//! Latency (§4.2): probes the link to every member, averages what comes back, and shares it, so that all nodes hold the
//! same latency database.
//!
//! Knows nodes by prefix only: who they are and how to reach them is others' business, and so is what the
//! latencies are good for.

mod database;
mod estimator;
mod interest;
mod interval;
mod link;
mod offset;
mod other_row;
mod peer;
mod table;

use core::time::Duration;

pub(crate) use estimator::Estimator;
pub(crate) use link::LinkState;

use crate::deadlines::Deadlines;
use crate::node::NodePrefix;
use crate::node_map::NodeMap;
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::latency::{LinkLatency, ROW_UNWANTED, Row, RowEntry, Stamps, Transit};
use database::{OwnRow, Precision};
use interest::FIRST_ROWS;
use interval::Intervals;
use link::Step;
use other_row::Applied;
use peer::Peer;

/// That a link is down is told after this, so that links that fall together are told together.
const DOWN_DELAY: Duration = Duration::from_millis(10);
/// Who has missed that a link is down learns so long after that there is something to ask for: it may have been told
/// through the very node that is gone, and with many members the next probe is far off.
const REMIND_DELAY: Duration = Duration::from_millis(500);
/// A part of a row is asked for no more often than this: above the round-trip time of most links.
const ROW_REQUEST_INTERVAL: Duration = Duration::from_millis(250);
/// A member is sent what it asks of the own row no more often than this.
const ROW_ANSWER_INTERVAL: Duration = Duration::from_millis(100);
/// Who has asked for a part of the own row is told its changes for so long, where they are not told to all.
const FOLLOWER_FOR: Duration = Duration::from_secs(600);
/// Who wants to go on being told asks again after this.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(240);
/// A link counts as used for so long after frames have taken it.
const USED_FOR: Duration = Duration::from_secs(10);
/// When a member says that its link to a node is down, others probe theirs within this, and not all at a time.
const RUMOUR_SPREAD: Duration = Duration::from_millis(300);

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

/// Links, the own row, and the rows of all others.
#[derive(Debug)]
pub(crate) struct Latency {
    own: NodePrefix,
    life: u16,
    interval: Duration,
    intervals: Intervals,
    capacity: usize,
    peers: NodeMap<Box<Peer>>,
    /// Of peers.
    deadlines: Deadlines,
    /// Members that are listed and not met yet, as when this node joins.
    awaited: usize,
    /// There were so many members when it was decided last whose rows are kept.
    chosen_of: usize,
    own_row: OwnRow,
    /// Version of the own row that all have been told.
    told_version: u64,
    /// When to tell that links went up or down.
    tell_at: Time,
    /// When to remind all of what they were told last.
    remind_at: Time,
    /// When the next round begins: the times that have moved are told.
    round_at: Time,
    /// When a round was last told with fine precision.
    fine_since: Time,
    /// When a round is next to tell offsets that were not known; where there are too many members to keep all rows,
    /// they are told with what else is, and the second telling of whole rows is saved.
    offsets_at: Time,
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
            peers: NodeMap::new(),
            deadlines: Deadlines::default(),
            awaited: 0,
            chosen_of: 0,
            own_row: OwnRow::default(),
            told_version: 0,
            tell_at: Time::NEVER,
            remind_at: Time::NEVER,
            round_at: Time::ZERO,
            fine_since: Time::ZERO,
            offsets_at: Time::ZERO,
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
        if self.peers.is_empty() {
            return Time::NEVER;
        }
        let own_row = self.tell_at.min(self.remind_at).min(self.round_at);
        self.deadlines.next().min(own_row)
    }

    /// Starts to probe the link to a member in the life that began with `incarnation`.
    pub(crate) fn add(&mut self, prefix: NodePrefix, incarnation: u64, now: Time) {
        self.peers.insert(prefix, Box::new(Peer::new(life(incarnation), self.own < prefix, now)));
        self.intervals = Intervals::new(self.interval, self.peers.len());
        // A probe tells of the row before that; but none comes of a member that only relays reach.
        let keep_from = if self.has_all_rows() { now + ROW_REQUEST_INTERVAL } else { now };
        if self.has_all_rows() || self.peers.len() <= FIRST_ROWS {
            self.peers.get_mut(&prefix).into_iter().for_each(|peer| peer.keep_row(keep_from));
        } else {
            self.choose_rows_of_more(now);
        }
        self.reschedule(prefix);
    }

    /// Stops probing the link to a member and drops its latencies. What others measured to it no longer counts either.
    pub(crate) fn remove(&mut self, peer: NodePrefix, now: Time) {
        self.peers.remove(&peer);
        self.deadlines.set(peer, Time::NEVER);
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
        self.deadlines.clear();
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

    /// Says what this node is as a relay. Others are told in the next round, if it has moved by enough.
    pub(crate) fn set_transit(&mut self, transit: Option<Transit>) {
        if self.own_row.set_transit(transit) {
            self.outputs.push(Output::Changed);
        }
    }

    /// Frames have lately taken the link to a member: it is probed as often as can be.
    pub(crate) fn mark_used(&mut self, prefix: NodePrefix, now: Time) {
        if let Some(peer) = self.peers.get_mut(&prefix) {
            peer.used_until = now + USED_FOR;
            peer.link.hurry(now, peer.pace(&self.intervals, now));
            self.reschedule(prefix);
        }
    }

    /// A member has proven where it is.
    pub(crate) fn prove(&mut self, peer: NodePrefix) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.is_proven = true;
        }
    }

    /// Sends a member a probe, which it answers at once.
    pub(crate) fn ask(&mut self, prefix: NodePrefix, now: Time) {
        if let Some(peer) = self.peers.get_mut(&prefix) {
            peer.link.ask(now);
            self.reschedule(prefix);
        }
    }

    /// There is doubt whether the link to a member is still up: it is probed at once.
    pub(crate) fn check(&mut self, prefix: NodePrefix, now: Time) {
        if let Some(peer) = self.peers.get_mut(&prefix) {
            peer.link.check(now);
            self.reschedule(prefix);
        }
    }

    /// There is doubt whether the row of a member is up to date: it is asked for what has changed.
    pub(crate) fn ask_for_row(&mut self, prefix: NodePrefix, now: Time) {
        if let Some(peer) = self.peers.get_mut(&prefix)
            && peer.row.is_some()
        {
            peer.follow_at = peer.follow_at.min(peer.next_request_at.max(now));
            self.reschedule(prefix);
        }
    }

    /// A member says which version its row has. If that is newer than what is known here, the difference is
    /// asked for until it comes.
    pub(crate) fn hear_row_version(&mut self, from: NodePrefix, version: u64) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.newest_version = peer.newest_version.max(version);
        self.reschedule(from);
    }

    /// A probe of a member has arrived at `received_at`.
    pub(crate) fn handle_probe(&mut self, from: NodePrefix, stamps: Stamps, received_at: Time) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let was_up = peer.link.state() == LinkState::Up;
        let pace = peer.pace(&self.intervals, received_at);
        let is_answer = peer.link.receive(stamps, received_at, pace);
        self.reschedule(from);
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
        let Some(known) = self.peers.get_mut(&from).map(|peer| peer.row.take()) else {
            self.outputs.push(Output::Unexpected);
            return;
        };
        let Some(mut known) = known else {
            // It was asked for before it was known that it is not wanted. A reminder goes to those who have not asked.
            if row.from < row.to {
                self.outputs.push(Output::RowRequest(from, ROW_UNWANTED));
            }
            return;
        };
        let lost: Vec<NodePrefix> =
            row.entries.iter().filter(|entry| entry.link.is_none()).map(|entry| entry.target).collect();
        let applied = known
            .apply(row, now, self.capacity, |target| target == self.own || self.peers.contains_key(&target));
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.row = Some(known);
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
            Applied::Missing => self.hear_row_version(from, version),
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
        if let Some(peer) = self.peers.get_mut(&target) {
            peer.hear_rumour(delay, now);
            self.reschedule(target);
        }
    }

    /// A member asks for what changed in the own row, or to be told of it no more.
    pub(crate) fn handle_row_request(&mut self, from: NodePrefix, version: u64, now: Time) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if version == ROW_UNWANTED {
            peer.follower_until = now;
            return;
        }
        if now < peer.next_answer_at {
            return;
        }
        peer.next_answer_at = now + ROW_ANSWER_INTERVAL;
        peer.follower_until = now + FOLLOWER_FOR;
        for row in self.own_row.since(version, now) {
            self.outputs.push(Output::Row(from, row));
        }
    }

    /// Does what is due.
    pub(crate) fn timer(&mut self, now: Time) {
        while let Some(prefix) = self.deadlines.pop(now) {
            self.step(prefix, now);
            self.reschedule(prefix);
        }
        if now >= self.round_at {
            self.round_at = now + self.rng.around(self.intervals.round);
            self.choose_rows(now);
            self.advertise_all(now);
            self.tell(now);
        } else if now >= self.tell_at {
            self.tell(now);
        }
        if now >= self.remind_at {
            self.remind_at = Time::NEVER;
            self.tell_row(self.own_row.reminder(self.told_version), now);
        }
    }

    /// Does what is due about one member.
    fn step(&mut self, prefix: NodePrefix, now: Time) {
        let follow_at = if self.has_all_rows() { Time::NEVER } else { now + FOLLOW_INTERVAL };
        let Some(peer) = self.peers.get_mut(&prefix) else { return };
        if now >= peer.check_at {
            peer.heed_rumour(now);
        }
        let step = peer.link.step(now, peer.pace(&self.intervals, now), &mut self.rng);
        if let Step::Probe(stamps) = step {
            self.outputs.push(Output::Probe(prefix, stamps));
            if peer.link.state() == LinkState::Down {
                self.outputs.push(Output::Row(prefix, self.own_row.reminder(self.told_version)));
            }
        }
        if now >= peer.request_at()
            && let Some(row) = &peer.row
        {
            let again_at = now + ROW_REQUEST_INTERVAL;
            let follow_at = if row.version() == 0 { again_at } else { follow_at };
            (peer.next_request_at, peer.follow_at) = (again_at, follow_at);
            self.outputs.push(Output::RowRequest(prefix, row.version()));
        }
        if step == Step::WentDown {
            self.outputs.extend([Output::LinkDown(prefix), Output::Changed]);
            self.notice(prefix, now);
        }
    }

    /// Tells what has changed in the own row.
    fn tell(&mut self, now: Time) {
        self.tell_at = Time::NEVER;
        let news = self.own_row.since(self.told_version, now);
        self.told_version = self.own_row.version();
        for row in news {
            self.tell_row(row, now);
        }
    }

    /// Tells a part of the own row to those who keep it.
    fn tell_row(&mut self, row: Row, now: Time) {
        if self.has_all_rows() {
            self.outputs.push(Output::RowToAll(row));
        } else {
            let followers = self.peers.iter().filter(|(_, peer)| now < peer.follower_until);
            self.outputs.extend(followers.map(|(prefix, _)| Output::Row(*prefix, row.clone())));
        }
    }

    /// Brings the own row up to what is measured now.
    fn advertise_all(&mut self, now: Time) {
        // Nodes that joined within a round of each other do not stay in step.
        let fine = self.rng.around(self.intervals.fine);
        let precision = if now.since(self.fine_since) >= fine {
            self.fine_since = now;
            Precision::Fine
        } else if self.has_all_rows() && now >= self.offsets_at {
            self.offsets_at = now + self.intervals.offsets;
            Precision::Offsets
        } else {
            Precision::Coarse
        };
        for (target, peer) in self.peers.iter() {
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
        let delay = if link.is_none() { DOWN_DELAY } else { self.intervals.up };
        self.tell_by(now + delay);
        self.outputs.push(Output::Changed);
        if link.is_none() {
            self.outputs.push(Output::Lost(self.own, target));
            self.remind_at = now + REMIND_DELAY;
        }
    }

    fn tell_by(&mut self, at: Time) {
        self.tell_at = self.tell_at.min(at);
    }

    fn reschedule(&mut self, prefix: NodePrefix) {
        if let Some(peer) = self.peers.get(&prefix) {
            self.deadlines.set(prefix, peer.deadline());
        }
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

#[cfg(test)]
mod tests;
