//! Whole paths and what frames go over them, between the data plane, the monitor and the router.

use core::time::Duration;
use std::collections::BTreeSet;

use crate::engine::control::Control;
use crate::engine::dispatch::Source;
use crate::monitor::{OfWays, Output, Way};
use crate::node::NodePrefix;
use crate::route::{Cost, Path};
use crate::session::Route;
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::control::Message;
use crate::wire::path_probe::{PathAnswer, PathProbe};

/// Frames may go unanswered for so much longer than the round trip, or four times the mean deviation (RFC 6298 §2) if
/// that is more: hosts have something to do before they answer.
const HOST_SLACK: Duration = Duration::from_millis(60);
/// The same for the answer to a probe, which an engine gives at once. A path that is late by this while its backup is
/// not is the worse one, dead or not.
const SLACK: Duration = Duration::from_millis(25);
/// What is held against a path that has failed, in nanoseconds of round-trip time, and for how long: until then its
/// links are known to be down, or all was a mistake.
const FAILED_EXCESS: i64 = 1_000_000_000;
const FAILED_FOR: Duration = Duration::from_secs(10);
/// A member that hears nothing of this node is to be believed if frames went to it within this.
const SENDING: Duration = Duration::from_secs(1);
/// A path or a link is in use if frames went over it within this.
const USED: Duration = Duration::from_secs(10);
/// A relayed path is to be no worse than the direct one by more than this and a twentieth, in nanoseconds of round-trip
/// time: as much as a path must be better to be changed to.
const GUARD_SLACK: i64 = 500_000;
const GUARD_SHARE: i64 = 20;

impl Control {
    /// Frames to a member go unanswered.
    pub(crate) fn doubt(&mut self, to: NodePrefix, now: Time) {
        let is_new = self.connections.get(&to).is_some_and(|connection| connection.activity.take_doubt(now));
        if is_new && self.membership.is_active() {
            self.look_into(to, true, now);
        }
    }

    /// Probes the chosen path to a member and its backup; where there is none, the first link alone.
    fn look_into(&mut self, to: NodePrefix, is_own: bool, now: Time) {
        let chosen = self.router.path(to);
        let timeouts = self.router.backup(to).and_then(|backup| {
            let (chosen, backup) = (self.within(&chosen, SLACK)?, self.within(backup, SLACK)?);
            Some(OfWays { chosen, backup })
        });
        match timeouts {
            Some(timeouts) => self.monitor.doubt(to, timeouts, is_own, now),
            None if is_own => self.latency.check(first_hop(&chosen), now),
            None => {}
        }
    }

    /// Tells the data plane how long frames to a member may go unanswered.
    pub(super) fn set_patience(&self, to: NodePrefix) {
        if let Some(connection) = self.connections.get(&to) {
            connection.activity.set_patience(self.within(&self.router.path(to), HOST_SLACK));
        }
    }

    /// Within what time an answer comes on a path; `None` if one of its links is down or unmeasured.
    fn within(&self, path: &Path, slack: Duration) -> Option<Duration> {
        let (mut round_trip_us, mut jitter_us) = (0, 0);
        for (from, to) in path.links(self.membership.own().id.prefix()) {
            let link = self.latency.link(from, to)?;
            round_trip_us += u64::from(link.fast_us.max(link.slow_us));
            jitter_us += u64::from(link.jitter_us);
        }
        Some(Duration::from_micros(round_trip_us) + slack.max(4 * Duration::from_micros(jitter_us)))
    }

    pub(super) fn on_monitor(&mut self, output: Output, now: Time) {
        match output {
            Output::Probe(to, way, probe) => {
                let path = match way {
                    Way::Chosen => Some(self.router.path(to)),
                    Way::Backup => self.router.backup(to).cloned(),
                    Way::Direct => Some(Path::direct(to)),
                };
                if let Some(way) = path.and_then(|path| self.way_along(&path)) {
                    self.send(to, &way, &Message::PathProbe(probe), now);
                }
            }
            Output::Failed(to) => self.leave_path(to, now),
            Output::Worse(to, delay) => self.distrust_path(to, delay, now),
            Output::Unexpected => self.counters.bump(Counter::ControlUnexpected),
        }
    }

    /// The chosen path to a member does not carry: frames take the backup from now on.
    fn leave_path(&mut self, to: NodePrefix, now: Time) {
        let former = self.router.path(to);
        let Some(change) = self.router.failover(to, &self.latency, now) else { return };
        self.latency.check(first_hop(&former), now);
        self.router.penalise(to, former, FAILED_EXCESS, now, now + FAILED_FOR);
        self.select_soon(now);
        self.tell_changes(vec![change]);
    }

    /// The chosen path to a member is later than the direct one by `delay` nanoseconds: it counts for what that makes
    /// it, whatever its links say.
    fn distrust_path(&mut self, to: NodePrefix, delay: i64, now: Time) {
        let path = self.router.path(to);
        let cost = |path| self.router.cost(path, &self.latency).map(Cost::worse);
        let Some((known, direct)) = cost(&path).zip(cost(&Path::direct(to))) else { return };
        let excess = direct.saturating_sub(known).saturating_add(delay.saturating_mul(2));
        self.router.distrust(to, path, excess, now);
        self.select_at = now;
    }

    /// A member answers a probe.
    pub(super) fn handle_path_answer(&mut self, from: NodePrefix, answer: PathAnswer, now: Time) {
        let direct = self.router.cost(&Path::direct(from), &self.latency).map_or(0, Cost::worse);
        // What arrives later by one way is counted as a round trip that is longer by twice that.
        let bar = GUARD_SLACK.max(direct / GUARD_SHARE) / 2;
        self.monitor.handle_answer(from, answer, bar, now);
    }

    /// Compares the relayed paths in use with the direct ones, and has the links in use probed often.
    pub(super) fn look_at_traffic(&mut self, now: Time) {
        let own = self.membership.own().id.prefix();
        let (mut used, mut guarded) = (BTreeSet::new(), Vec::new());
        for (to, connection) in self.connections.iter() {
            let activity = &connection.activity;
            if activity.is_relaying(USED, now) {
                used.insert(*to);
            }
            if activity.is_sending(USED, now) {
                let path = self.router.path(*to);
                used.insert(first_hop(&path));
                used.extend(self.router.bulk_path(*to).map(first_hop));
                if !path.is_direct() && self.latency.link(own, *to).is_some() {
                    guarded.push(*to);
                }
            }
        }
        for link in used {
            self.latency.mark_used(link, now);
        }
        self.monitor.compare(&guarded);
    }

    /// Answers a member's probe through the relays that it came through.
    pub(super) fn answer(&mut self, source: &Source, probe: PathProbe, received_at: Time, now: Time) {
        let from = source.prefix;
        let Some(record) = self.membership.list().alive(from) else { return };
        let Some(connection) = self.connections.get(&from) else { return };
        let is_sending = connection.activity.is_sending(SENDING, now);
        let answer = PathAnswer { token: probe.token, received_at: received_at.as_nanos() };
        let answer = Message::PathAnswer(answer);
        if source.relays.is_empty() {
            self.send_direct(from, &answer, now);
        } else {
            let back = source.relays.iter().rev().copied().chain([record.locator]).collect();
            if let Some(way) = self.way(&Route::Relays(back)) {
                self.send(from, &way, &answer, now);
            }
        }
        if probe.is_doubt {
            if let Some(way) = self.way_back(source) {
                self.monitor.share_doubt(from, way, now);
            }
            if is_sending {
                self.look_into(from, false, now);
            }
        }
    }

    /// Which of the two paths to the source of a datagram it came along, in reverse.
    fn way_back(&self, source: &Source) -> Option<Way> {
        let locator = |hop: &NodePrefix| Some(self.membership.list().alive(*hop)?.locator);
        let relays = || source.relays.iter().copied().map(Some);
        let is_along = |path: &Path| path.relays().iter().rev().map(locator).eq(relays());
        if is_along(&self.router.path(source.prefix)) {
            return Some(Way::Chosen);
        }
        self.router.backup(source.prefix).filter(|path| is_along(path)).map(|_| Way::Backup)
    }
}

fn first_hop(path: &Path) -> NodePrefix {
    path.hops()[0]
}
