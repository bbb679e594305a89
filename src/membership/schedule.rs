//! When membership repeats itself: joins, greetings of seeds, contacts with the failed, leaves.

use core::time::Duration;

use crate::membership::{Contact, Membership, Output, Phase, Sync};
use crate::node::NodePrefix;
use crate::time::Time;
use crate::wire::control::Message;

/// A join is repeated after this, and then after twice as long each time, until acknowledged. The first is
/// above most round-trip times between continents.
const JOIN_INTERVAL: Duration = Duration::from_millis(400);
const JOIN_INTERVAL_MAX: Duration = Duration::from_secs(4);
/// A refused join is tried again after this: what is in the way may be the node's own former life, which
/// fails within about 5 s.
const REJECTED_INTERVAL: Duration = Duration::from_secs(2);
/// A node that is not a member here is sent the own record so often; it may have forgotten the session.
const JOINS_TO_STRANGER: u8 = 5;
/// A joiner that was refused waits this long for a member that takes it: above most round-trip times.
pub(super) const REFUSAL_PATIENCE: Duration = Duration::from_millis(500);
/// Who has joined has met all members by then: 4096 of them, sixteen in each round trip between continents.
pub(super) const JOINING: Duration = Duration::from_secs(60);
/// The next seed is greeted after this while no list has come, and then after twice as long each time: four
/// questions in the first two seconds, since all of a join waits for one of them.
const FETCH_INTERVAL: Duration = Duration::from_millis(250);
const FETCH_INTERVAL_MAX: Duration = Duration::from_secs(5);
/// A joiner that no seed has answered for this long says so: as long again as a handshake is tried for.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(6);
/// A member greets a seed that is not a member after this, and then after twice as long each time: it may have met
/// another joiner first, and the seed has just started.
pub(super) const SEEK_INTERVAL: Duration = Duration::from_secs(1);
/// It never stops: one side of a partition may know only the seed.
const SEEK_INTERVAL_MAX: Duration = Duration::from_secs(15);
/// A failed member is contacted after this, and then after twice as long each time.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
const PROBE_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// Lists are asked for because of differing digests no more often than this.
const SYNC_INTERVAL: Duration = Duration::from_millis(500);
/// With more members than this, more seldom in proportion: a list is longer, and each newcomer makes all differ.
const FEW: u32 = 64;
/// With more than this nor so soon after a change of the own list, but then so many times as seldom: while so many join one
/// after the other all digests differ, and a join that gets lost is repeated without this.
const MANY: u32 = 256;
const SYNC_SELDOM: u32 = 8;
/// It is looked so often for those that have not been members for long.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);
/// A member is not asked again within this as long as neither digest has changed: two nodes may differ for good
/// about a third that one of them refuses.
pub(super) const SYNC_AGAIN: Duration = Duration::from_secs(8);
/// A node is sent the list no more often than this.
pub(super) const ANSWER_INTERVAL: Duration = Duration::from_millis(100);
/// An answer later than this is unexpected.
pub(super) const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Most questions that are out at a time.
pub(super) const MAX_QUESTIONS: usize = 256;
/// A member that no member reaches for this long has failed: time for the rows that know better to come, and to be asked
/// for once where they got lost with a link.
const UNREACHABLE_TIMEOUT: Duration = Duration::from_millis(1200);
/// A member that was heard so lately has not failed: it is reached by a way that the rows here do not show yet, as
/// when it was met through a relay. Above the time between two of its messages in a small mesh.
const SILENT_TIMEOUT: Duration = Duration::from_millis(2500);
/// How often a leave is said again, and after what time: it is not acknowledged, since the leaver goes.
pub(super) const LEAVE_REPEATS: u8 = 3;
const LEAVE_INTERVAL: Duration = Duration::from_millis(50);

/// An instant that moves away further each time it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    at: Time,
    interval: Duration,
    max: Duration,
}

impl Backoff {
    pub(super) fn idle() -> Self {
        Backoff { at: Time::NEVER, interval: Duration::ZERO, max: Duration::ZERO }
    }

    pub(super) fn fetching(at: Time) -> Self {
        Backoff { at, interval: FETCH_INTERVAL, max: FETCH_INTERVAL_MAX }
    }

    pub(super) fn joining(at: Time) -> Self {
        Backoff { at, interval: JOIN_INTERVAL, max: JOIN_INTERVAL_MAX }
    }

    pub(super) fn rejected(now: Time) -> Self {
        Backoff { at: now + REJECTED_INTERVAL, interval: REJECTED_INTERVAL, max: REJECTED_INTERVAL }
    }

    /// As [`fetching`](Self::fetching), for a node that was refused.
    pub(super) fn fetching_again(now: Time) -> Self {
        Backoff { at: now + REJECTED_INTERVAL, interval: REJECTED_INTERVAL, max: FETCH_INTERVAL_MAX }
    }

    pub(super) fn probing(now: Time) -> Self {
        Backoff { at: now + PROBE_INTERVAL, interval: PROBE_INTERVAL, max: PROBE_INTERVAL_MAX }
    }

    /// For a member, from `at` on.
    pub(super) fn seeking(at: Time) -> Self {
        Backoff { at, interval: SEEK_INTERVAL, max: SEEK_INTERVAL_MAX }
    }

    /// True if the instant has come; it then moves on, `spread` being the interval with its jitter.
    fn is_due(&mut self, now: Time, spread: impl FnOnce(Duration) -> Duration) -> bool {
        let is_due = now >= self.at;
        if is_due {
            self.at = now + spread(self.interval);
            self.interval = (self.interval * 2).min(self.max);
        }
        is_due
    }
}

/// The own record on its way to a node until it is acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcement {
    pub(super) backoff: Backoff,
    /// How often it was sent.
    pub(super) sent: u8,
}

impl Announcement {
    pub(super) fn new(at: Time) -> Self {
        Announcement { backoff: Backoff::joining(at), sent: 0 }
    }
}

impl Membership {
    /// Does what is due.
    pub(crate) fn timer(&mut self, now: Time) {
        if now < self.wake_at {
            return;
        }
        match self.phase {
            Phase::Idle | Phase::Gone => {}
            Phase::Leaving { repeats } => self.repeat_leave(repeats),
            Phase::Fetching | Phase::Announcing | Phase::Joined => {
                if now >= self.withdraw_at {
                    self.withdraw(now);
                }
                self.greet_next_seed(now);
                self.repeat_joins(now);
                self.contact_introduced(now);
                self.probe_failed(now);
                self.sync(now);
                self.fail_unreachable(now);
                self.questions.retain(|_, question| question.expires_at > now);
                if now >= self.forget_at {
                    self.forget_at = now + FORGET_INTERVAL;
                    self.list.forget_old(now);
                }
            }
        }
        self.wake_at = self.next_due(now);
    }

    fn greet_next_seed(&mut self, now: Time) {
        if now >= self.silence_at {
            self.silence_at = now + 5 * SILENCE_LIMIT;
            self.outputs.push(Output::SeedsSilent);
        }
        if self.seeds.is_empty() || !self.seed_question.is_due(now, |interval| self.rng.around(interval)) {
            return;
        }
        // A seed that is a member is heard of anyway.
        let unheard = (0..self.seeds.len())
            .map(|step| self.seeds[(self.next_seed + step) % self.seeds.len()])
            .find(|seed| self.list.at(*seed).is_none());
        self.next_seed = (self.next_seed + 1) % self.seeds.len();
        self.outputs.extend(unheard.map(Output::Greet));
    }

    fn repeat_joins(&mut self, now: Time) {
        let (list, own) = (&self.list, &self.own);
        let (rng, outputs) = (&mut self.rng, &mut self.outputs);
        self.unacknowledged.retain(|prefix, announcement| {
            let member = list.alive(*prefix);
            if !announcement.backoff.is_due(now, |interval| rng.around(interval)) {
                return true;
            }
            let known = member.map(|record| record.version).unwrap_or_default();
            outputs.push(Output::Send(*prefix, Message::Join { record: own.clone(), known }));
            announcement.sent = announcement.sent.saturating_add(1);
            member.is_some() || announcement.sent < JOINS_TO_STRANGER
        });
    }

    fn probe_failed(&mut self, now: Time) {
        let (list, rng, outputs) = (&self.list, &mut self.rng, &mut self.outputs);
        self.probes.retain(|prefix, backoff| {
            let Some(member) = list.get(*prefix) else { return false };
            if backoff.is_due(now, |interval| rng.around(interval)) {
                let (id, locator) = (member.record.id, member.record.locator);
                outputs.push(Output::Contact(Contact { id, locator, via: None }));
            }
            true
        });
    }

    /// Asks for the list of the member whose digest differs and that was asked the longest ago.
    fn sync(&mut self, now: Time) {
        if now < self.sync_at {
            return;
        }
        let list = &self.list;
        self.syncs.retain(|prefix, _| list.alive(*prefix).is_some());
        self.differing.retain(|prefix, _| list.alive(*prefix).is_some());
        let asked_at = |prefix| self.syncs.get(prefix).map(|sync| sync.asked_at);
        let Some((prefix, theirs)) = self.differing.iter().min_by_key(|(prefix, _)| asked_at(prefix)) else {
            return;
        };
        let (prefix, theirs, own) = (*prefix, *theirs, self.short_digest());
        self.differing.remove(&prefix);
        self.syncs.insert(prefix, Sync { asked_at: now, digests: [own, theirs] });
        self.sync_at = now + self.rng.around(self.sync_interval());
        if theirs != own {
            self.ask_for_list(prefix, now);
        }
    }

    fn sync_interval(&self) -> Duration {
        let members = u32::try_from(self.list.len()).unwrap_or(u32::MAX).max(FEW);
        SYNC_INTERVAL.saturating_mul(members) / FEW
    }

    /// True while digests that differ say little, as there are many members and some have just come or gone.
    pub(super) fn is_in_flux(&self, now: Time) -> bool {
        let interval = self.sync_interval();
        let (quiet_at, latest) = (self.changed_at + interval, self.sync_at + interval * (SYNC_SELDOM - 1));
        self.list.len() > MANY as usize && now < quiet_at.min(latest)
    }

    fn fail_unreachable(&mut self, now: Time) {
        let failed: Vec<NodePrefix> = self
            .unreachable
            .iter()
            .filter(|(prefix, since)| now >= self.fails_at(**prefix, **since))
            .map(|(prefix, _)| *prefix)
            .collect();
        for prefix in failed {
            self.unreachable.remove(&prefix);
            if self.list.fail(prefix, now) {
                self.note_failed(prefix, now);
            }
        }
    }

    /// When a member fails that is unreachable since then.
    pub(super) fn fails_at(&self, prefix: NodePrefix, since: Time) -> Time {
        let heard_at = self.list.get(prefix).map_or(Time::ZERO, |member| member.heard_at);
        (since + UNREACHABLE_TIMEOUT).max(heard_at + SILENT_TIMEOUT)
    }

    /// A member has just failed, or another one that came first took its place.
    pub(super) fn note_failed(&mut self, prefix: NodePrefix, now: Time) {
        self.unreachable.remove(&prefix);
        self.unacknowledged.remove(&prefix);
        self.probes.insert(prefix, Backoff::probing(now));
        self.wake_by(now + PROBE_INTERVAL);
        self.outputs.push(Output::Failed(prefix));
    }

    fn repeat_leave(&mut self, repeats: u8) {
        let leave = Message::Leave { version: self.own.version };
        // The relay of a path may be told first, and then relays for this node no more.
        let send = if repeats.is_multiple_of(2) { Output::SendDirect } else { Output::Send };
        let leaves = self.list.all_alive().map(|record| send(record.id.prefix(), leave.clone()));
        self.outputs.extend(leaves);
        self.phase = match repeats.checked_sub(1) {
            Some(repeats) => Phase::Leaving { repeats },
            None => {
                self.outputs.push(Output::Gone);
                Phase::Gone
            }
        };
    }

    fn next_due(&self, now: Time) -> Time {
        match self.phase {
            Phase::Idle | Phase::Gone => Time::NEVER,
            Phase::Leaving { .. } => now + LEAVE_INTERVAL,
            Phase::Fetching | Phase::Announcing | Phase::Joined => {
                let seeds = if self.seeds.is_empty() { Time::NEVER } else { self.seed_question.at };
                let joins = self.unacknowledged.values().map(|announcement| announcement.backoff.at);
                let probes = self.probes.values().map(|backoff| backoff.at);
                let failures = self.unreachable.iter().map(|(prefix, since)| self.fails_at(*prefix, *since));
                let others =
                    seeds.min(self.silence_at).min(self.withdraw_at).min(self.introductions.deadline());
                let others = if self.differing.is_empty() { others } else { others.min(self.sync_at) };
                joins.chain(probes).chain(failures).fold(others, Time::min)
            }
        }
    }
}
