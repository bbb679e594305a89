//! What a node knows of another member: the link to it, its row, and what is due about both.

use core::time::Duration;

use crate::latency::interval::Intervals;
use crate::latency::link::{Link, LinkState, Pace};
use crate::latency::other_row::OtherRow;
use crate::time::Time;

/// The interval of probes while the other end has not proven where it is: a challenge is repeated after as long.
const UNPROVEN_INTERVAL: Duration = Duration::from_millis(400);
/// For a rumour a link is not probed before its other end has been silent for so long: one that is there is mostly heard
/// again.
const RUMOUR_HEARD: Duration = Duration::from_secs(1);
/// Nor so soon after the last such reason: a link that comes and goes costs all others little.
const RUMOUR_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Peer {
    /// Tells the lives of the peer apart.
    pub(super) life: u16,
    pub(super) link: Link,
    /// It has proven where it is: only then is anything relayed to it, so that its first proof is hurried. It is asked for
    /// one, again if need be, when it is heard.
    pub(super) is_proven: bool,
    /// `None` while it is not kept.
    pub(super) row: Option<OtherRow>,
    /// The highest version of its row that was heard of.
    pub(super) newest_version: u64,
    /// Until then the link counts as used.
    pub(super) used_until: Time,
    /// When the link is to be probed because another member has lost its link to this one.
    pub(super) check_at: Time,
    /// Before then it is not probed for such a reason again.
    next_rumour_at: Time,
    pub(super) next_request_at: Time,
    /// When its row is asked for although nothing is known to lack, so that its changes go on being told.
    pub(super) follow_at: Time,
    /// Before then it is not sent what it asks of the own row.
    pub(super) next_answer_at: Time,
    /// Until then it is told the changes of the own row, where these are not told to all.
    pub(super) follower_until: Time,
}

impl Peer {
    /// A member in this life; one end of the link to it `insists`. Its row is not kept.
    pub(super) fn new(life: u16, insists: bool, now: Time) -> Self {
        Peer {
            life,
            link: Link::new(insists, now),
            is_proven: false,
            row: None,
            newest_version: 0,
            used_until: Time::ZERO,
            check_at: Time::NEVER,
            next_rumour_at: Time::ZERO,
            next_request_at: Time::ZERO,
            follow_at: Time::NEVER,
            next_answer_at: Time::ZERO,
            follower_until: Time::ZERO,
        }
    }

    /// Keeps its row from now on, and asks for it at `follow_at` at the latest.
    pub(super) fn keep_row(&mut self, follow_at: Time) {
        self.row.get_or_insert_default();
        self.follow_at = self.follow_at.min(follow_at);
    }

    /// Drops its row.
    pub(super) fn drop_row(&mut self) {
        (self.row, self.follow_at) = (None, Time::NEVER);
    }

    /// When something about it is due.
    pub(super) fn deadline(&self) -> Time {
        self.link.deadline().min(self.request_at()).min(self.check_at)
    }

    /// How often the link is probed.
    pub(super) fn pace(&self, intervals: &Intervals, now: Time) -> Pace {
        let interval = match self.is_proven {
            false => intervals.used.min(UNPROVEN_INTERVAL),
            true if now < self.used_until => intervals.used,
            true => intervals.idle,
        };
        Pace { interval, shortest: intervals.used }
    }

    /// Another member has lost its link to this one: so this one may be gone. The link is probed `delay` after that is
    /// worth it.
    pub(super) fn hear_rumour(&mut self, delay: Duration, now: Time) {
        if self.link.state() == LinkState::Up {
            let silent_at = self.link.estimator().last_answer_at().map_or(now, |at| at + RUMOUR_HEARD);
            self.check_at = self.check_at.min(now.max(silent_at).max(self.next_rumour_at) + delay);
        }
    }

    /// Probes the link unless its other end has shown since the rumour that it is there.
    pub(super) fn heed_rumour(&mut self, now: Time) {
        (self.check_at, self.next_rumour_at) = (Time::NEVER, now + RUMOUR_INTERVAL);
        let heard_at = self.link.estimator().last_answer_at();
        if heard_at.is_none_or(|at| now.since(at) >= RUMOUR_HEARD) {
            self.link.check(now);
        }
    }

    /// When its row is asked for: soon if a part of it has got lost or is still on its way.
    pub(super) fn request_at(&self) -> Time {
        match &self.row {
            Some(row) if row.version() < self.newest_version => self.next_request_at.min(self.follow_at),
            Some(_) => self.follow_at,
            None => Time::NEVER,
        }
    }
}
