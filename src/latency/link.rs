//! One direct link as this node probes it: whose turn it is, what a probe tells, and whether the link is up.
//!
//! One probe bounces between the two ends. Who receives it holds it for as long as the other end asks, and sends
//! it back; so each probe that arrives is a sample of the round-trip time, and the end that does not get the probe
//! back notices by itself that something is lost.

use core::mem;
use core::time::Duration;

use arrayvec::ArrayVec;

use crate::latency::estimator::Estimator;
use crate::latency::offset::{Leg, Offset};
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::latency::{Echo, LinkLatency, Stamps};

/// Quick probes, which want to be answered at once, after one that did not come back.
const QUICK_PROBES: u8 = 4;
/// Quick probes on a link that loses much: fewer would say nothing by their loss.
const QUICK_PROBES_LOSSY: u8 = 8;
/// Time between them: with the wait before, four outlast a burst of loss of 85 ms. Three that are 50 ms apart tell no more
/// surely, and half of the failovers of `leond simulate --fault link` take 0.04 s longer.
const QUICK_INTERVAL: Duration = Duration::from_millis(20);
/// Such a link loses this share at least: more than one probe that is lost amounts to.
const LOSSY: f64 = 0.1;
/// How long an answer may take: the round-trip time and four times its deviation (RFC 6298), and this at least beside
/// the round-trip time, for ends that are busy.
const SLACK_MIN: Duration = Duration::from_millis(50);
/// The same until quick probes begin: one that is late costs no more than these.
const SLACK_MIN_DOUBT: Duration = Duration::from_millis(25);
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
const TIMEOUT_MAX: Duration = Duration::from_secs(3);
/// How long the answer of a link that was never measured may take.
const TIMEOUT_UNMEASURED: Duration = Duration::from_millis(500);
/// A new link is probed this often until it is measured, then a quarter as often with each answer until that is as seldom as
/// any: what gets lost while a node joins is soon noticed. Where links are probed seldom, as they are many, the first
/// interval is a part of that.
const FIRST_INTERVAL: Duration = Duration::from_millis(40);
const FIRST_PART: u32 = 64;
/// Where links are probed more seldom than this an eighth as often with each answer: of so many links each one costs less.
const PROBED_SELDOM: Duration = Duration::from_secs(30);
/// A link carries transit, and is advertised, once it has so many answers: a new link starts pessimistic.
const SAMPLES_TO_ADVERTISE: u32 = 3;
/// Until it has so many, probes are spread by a half instead of a tenth of their interval: the links of nodes that start
/// together must not all be probed at the same time, or there is long none that notices who is gone.
const SAMPLES_SPREAD: u32 = 10;
/// Own probes whose echo may still come.
const REMEMBERED: usize = 8;
/// So much longer than it was away a peer may have held a probe: its clock is faster. If it says more, that was set.
const HELD_LONGER: Duration = Duration::from_millis(5);
/// A node that does what is due so much later was asleep, or stood still: what was on its way meanwhile says nothing of the
/// link. As long as an answer is waited for at first.
const ASLEEP: Duration = TIMEOUT_UNMEASURED;
/// A probe sent up to so long before one that has arrived has been overtaken; one from longer ago, by its stamp, is of a
/// clock that was set back.
const OVERTAKEN_US: u64 = 3_000_000;

/// Whether a link works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// No probe has been answered yet, and not enough have been lost.
    New,
    /// Probes are answered.
    Up,
    /// All quick probes went unanswered.
    Down,
}

/// What a step of the link's clock led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is due.
    Wait,
    /// Send a probe.
    Probe(Stamps),
    /// The link has just gone down.
    WentDown,
}

/// How often links are probed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// This link, while it is up.
    pub(super) interval: Duration,
    /// Any link, at the most.
    pub(super) shortest: Duration,
}

/// A probe that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Time,
    hold: Duration,
    /// It has been counted, as answered or as lost.
    is_counted: bool,
}

/// The latest probe of the peer.
#[derive(Clone, Copy, Debug)]
struct Heard {
    /// The peer's clock, in microseconds.
    sent_us: u64,
    at: Time,
}

/// A link to one member.
#[derive(Debug)]
pub(crate) struct Link {
    /// Of two probes that cross, this end goes on waiting for the answer to its own.
    insists: bool,
    state: LinkState,
    /// When to send the probe on, while it is here.
    send_at: Time,
    /// The next probe is to be answered at once.
    asks: bool,
    /// When the silence of the peer is noticed, while an own probe is unanswered.
    silent_at: Time,
    /// Quick probes sent in vain, while the link is in doubt.
    quick: Option<u8>,
    down_since: Time,
    /// When this node was last found to have been asleep.
    woke_at: Time,
    sent: ArrayVec<Sent, REMEMBERED>,
    heard: Option<Heard>,
    estimator: Estimator,
    offset: Offset,
}

impl Link {
    /// A link that is probed from now on; one of its ends `insists`.
    pub(crate) fn new(insists: bool, now: Time) -> Self {
        Link {
            insists,
            state: LinkState::New,
            send_at: now,
            asks: false,
            silent_at: Time::NEVER,
            quick: None,
            down_since: Time::NEVER,
            woke_at: Time::ZERO,
            sent: ArrayVec::new(),
            heard: None,
            estimator: Estimator::default(),
            offset: Offset::default(),
        }
    }

    pub(crate) fn state(&self) -> LinkState {
        self.state
    }

    pub(crate) fn estimator(&self) -> &Estimator {
        &self.estimator
    }

    pub(crate) fn deadline(&self) -> Time {
        self.send_at.min(self.silent_at)
    }

    /// Does what is due at `now`.
    pub(crate) fn step(&mut self, now: Time, pace: Pace, rng: &mut Rng) -> Step {
        self.notice_sleep(now);
        if now >= self.silent_at {
            return self.miss(now, pace, rng);
        }
        if now >= self.send_at {
            let spread = if self.estimator.samples() < SAMPLES_SPREAD { 2 } else { 10 };
            let hold = rng.within(self.hold(pace), spread);
            let hold = if mem::take(&mut self.asks) { Duration::ZERO } else { hold };
            // An earlier probe that is still unanswered is not waited for any longer: the answer to this one, which may
            // be for both, is to come in time.
            let left = self.silent_at.since(now).checked_sub(self.late_after());
            let hold = left.filter(|left| *left > Duration::ZERO).map_or(hold, |left| hold.min(left));
            self.silent_at = self.silent_at.min(now + hold + self.late_after());
            self.supersede(self.timeout(), now);
            return self.send(hold, now);
        }
        Step::Wait
    }

    fn notice_sleep(&mut self, now: Time) {
        if now.since(self.deadline()) >= ASLEEP {
            self.woke_at = now;
            self.supersede(Duration::MAX, now);
        }
    }

    /// Sends the probe now, to be answered at once, without doubt whether the link is up.
    pub(crate) fn ask(&mut self, now: Time) {
        if self.state == LinkState::Up && self.quick.is_none() {
            (self.send_at, self.asks) = (now, true);
        }
    }

    /// Probes the link at once: there is doubt whether it is up.
    pub(crate) fn check(&mut self, now: Time) {
        if self.state != LinkState::Down && self.quick.is_none() {
            self.supersede(Duration::MAX, now);
            self.quick = Some(0);
            self.silent_at = now;
        }
    }

    /// Sends the probe now if it is not to move within `pace`: the peer shall learn that it is to come back sooner.
    pub(crate) fn hurry(&mut self, now: Time, pace: Pace) {
        if self.state == LinkState::Up && self.deadline() > now + pace.interval {
            self.supersede(Duration::MAX, now);
            self.send_at = now;
        }
    }

    /// What was sent within so long and is unanswered counts no more as lost: the peer may hold it, and will answer a later
    /// probe in its place.
    fn supersede(&mut self, within: Duration, now: Time) {
        let sent = self.sent.iter_mut().filter(|sent| now.since(sent.at) < within);
        sent.for_each(|sent| sent.is_counted = true);
    }

    /// Nothing has come back in time.
    fn miss(&mut self, now: Time, pace: Pace, rng: &mut Rng) -> Step {
        if self.state == LinkState::Down {
            // Less and less often: a link may be down for ever.
            let longest = pace.interval.max(pace.shortest);
            let pause = (now.since(self.down_since) / 2).clamp(pace.shortest, longest);
            self.silent_at = now + rng.around(pause);
            return self.send(Duration::ZERO, now);
        }
        let timeout = self.timeout();
        self.count_lost(|sent| sent.at + sent.hold + timeout <= now, now);
        let quick_probes = if self.estimator.loss() < LOSSY { QUICK_PROBES } else { QUICK_PROBES_LOSSY };
        let sent = self.quick.unwrap_or(0);
        if sent >= quick_probes {
            (self.state, self.down_since, self.quick) = (LinkState::Down, now, None);
            self.silent_at = now + rng.around(pace.shortest);
            return Step::WentDown;
        }
        self.quick = Some(sent + 1);
        let wait = if sent + 1 < quick_probes { QUICK_INTERVAL } else { timeout };
        self.silent_at = now + wait;
        self.send(Duration::ZERO, now)
    }

    /// Sends the probe with what the peer is to know, which is to hold it for so long.
    fn send(&mut self, hold: Duration, now: Time) -> Step {
        self.send_at = Time::NEVER;
        if self.sent.is_full() {
            self.sent.remove(0);
        }
        self.sent.push(Sent { at: now, hold, is_counted: self.state == LinkState::Down });
        let echo = self.heard.and_then(|heard| {
            let held_us = u32::try_from(now.since(heard.at).as_micros()).ok()?;
            Some(Echo { sent_us: heard.sent_us as u32, held_us })
        });
        Step::Probe(Stamps::new(hold, now, echo))
    }

    /// The peer's probe arrived at `now`. True if it answers an own one: the link works in both directions.
    pub(crate) fn receive(&mut self, stamps: Stamps, now: Time, pace: Pace) -> bool {
        self.notice_sleep(now);
        let latest = self.sent.last().copied();
        let echoed = stamps.echo.and_then(|echo| self.take_sample(echo, stamps.sent_us, now));
        let behind_us = |heard: Heard| heard.sent_us.wrapping_sub(stamps.sent_us) % Stamps::MODULUS;
        if self.heard.is_some_and(|heard| behind_us(heard) < OVERTAKEN_US) {
            return echoed.is_some();
        }
        self.heard = Some(Heard { sent_us: stamps.sent_us, at: now });
        let is_waiting = self.silent_at != Time::NEVER && self.send_at == Time::NEVER;
        let crossed = latest.filter(|latest| {
            is_waiting && echoed != Some(latest.at) && now.since(latest.at) < self.timeout()
        });
        match crossed {
            _ if stamps.is_urgent() => self.send_at = now,
            // Both ends have sent a probe, and only one is to go on.
            Some(_) if self.insists => {}
            Some(_) => {
                self.supersede(Duration::MAX, now);
                self.silent_at = Time::NEVER;
                self.send_at = now + stamps.hold().min(self.hold(pace));
            }
            // Of several answers to quick probes, the first one is what the other end counts from.
            None => self.send_at = self.send_at.min(now + stamps.hold().min(self.hold(pace))),
        }
        echoed.is_some()
    }

    /// The peer had one of the own probes: gives when that was sent. On the peer's clock it was `sent_us` when it said so.
    fn take_sample(&mut self, echo: Echo, sent_us: u64, now: Time) -> Option<Time> {
        let is_echoed = |sent: &&Sent| Stamps::of(sent.at) as u32 == echo.sent_us;
        let at = self.sent.iter().rev().find(is_echoed)?.at;
        let (away, held) = (now.since(at), Duration::from_micros(echo.held_us.into()));
        let rtt = away.saturating_sub(held);
        // It was not on its way for so long: this node or the peer was asleep.
        if rtt > TIMEOUT_MAX || held > away + HELD_LONGER || at < self.woke_at {
            return None;
        }
        if self.state == LinkState::Down {
            self.estimator.restart();
            self.offset = Offset::default();
        }
        self.state = LinkState::Up;
        let ahead_us = sent_us.wrapping_sub(Stamps::of(now)) % Stamps::MODULUS;
        self.offset.sample(ahead_us as f64 + rtt.as_secs_f64() * 5e5, rtt, now);
        self.estimator.sample(rtt, now);
        // The peer tells of the latest that has arrived: earlier ones have not.
        self.count_lost(|sent| sent.at < at, now);
        if self.sent.iter_mut().any(|sent| sent.at == at && !mem::replace(&mut sent.is_counted, true)) {
            self.estimator.answered(now);
        }
        self.quick = None;
        // What was sent since is waited for, unless it was sent only because this answer was late.
        let is_awaited = |last: &&Sent| last.at > at && !last.hold.is_zero() && self.send_at == Time::NEVER;
        let later = self.sent.last().filter(is_awaited);
        self.silent_at = later.map_or(Time::NEVER, |last| last.at + last.hold + self.late_after());
        Some(at)
    }

    /// Counts these own probes as lost, unless they have been counted.
    fn count_lost(&mut self, is_lost: impl Fn(&Sent) -> bool, now: Time) {
        for sent in self.sent.iter_mut().filter(|sent| is_lost(sent)) {
            if !mem::replace(&mut sent.is_counted, true) {
                self.estimator.unanswered(now);
            }
        }
    }

    /// How long the peer is to hold the probe, and this end would if the peer asked for longer: so that it comes back
    /// after the interval, its way included.
    fn hold(&self, pace: Pace) -> Duration {
        let steps = self.estimator.samples().saturating_sub(SAMPLES_TO_ADVERTISE).min(8);
        let first = FIRST_INTERVAL.max(pace.interval / FIRST_PART);
        let under_way = self.estimator.fast().min(pace.interval / 2);
        let growth = if pace.interval > PROBED_SELDOM { 8_u32 } else { 4 };
        (first / 2 * growth.pow(steps)).min((pace.interval - under_way) / 2)
    }

    /// What others may be told of the link: `None` while it is new, `Some(None)` when it is down.
    pub(crate) fn advertisement(&self) -> Option<Option<LinkLatency>> {
        match self.state {
            LinkState::New => None,
            LinkState::Down => Some(None),
            LinkState::Up => self.is_settled().then(|| {
                Some(LinkLatency {
                    fast_us: micros(self.estimator.fast()),
                    slow_us: micros(self.estimator.slow()),
                    jitter_us: micros(self.estimator.jitter()),
                    skew_us: 0,
                    loss: (self.estimator.loss() * 255.0) as u8,
                })
            }),
        }
    }

    /// What is known of the direction of the link and of the clock at its other end, while it is up.
    pub(super) fn leg(&self) -> Option<Leg> {
        let offset = self.offset.known().filter(|_| self.state == LinkState::Up)?;
        Some(Leg { offset, rtt_us: micros(self.estimator.slow()) })
    }

    fn is_settled(&self) -> bool {
        self.estimator.samples() >= SAMPLES_TO_ADVERTISE
    }

    /// How long the answer to a probe may take, without the hold.
    fn timeout(&self) -> Duration {
        self.within(SLACK_MIN).max(TIMEOUT_MIN)
    }

    /// After what time, without the hold, an answer that has not come is a reason to ask for one.
    fn late_after(&self) -> Duration {
        self.within(SLACK_MIN_DOUBT)
    }

    fn within(&self, slack_min: Duration) -> Duration {
        if self.estimator.samples() == 0 {
            return TIMEOUT_UNMEASURED;
        }
        (self.estimator.fast() + slack_min.max(self.estimator.deviation() * 4)).min(TIMEOUT_MAX)
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
