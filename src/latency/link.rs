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
/// A new link is probed this often until it is measured, then half as often with each answer until that is as seldom as
/// any: what gets lost while a node joins is soon noticed.
const FIRST_INTERVAL: Duration = Duration::from_millis(40);
/// A link carries transit, and is advertised, once it has so many answers: a new link starts pessimistic.
const SAMPLES_TO_ADVERTISE: u32 = 3;
/// Own probes whose echo may still come.
const REMEMBERED: usize = 8;
/// So much longer than it was away a peer may have held a probe: its clock is faster. If it says more, that was set.
const HELD_LONGER: Duration = Duration::from_millis(5);
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
        if now >= self.silent_at {
            return self.miss(now, pace, rng);
        }
        if now >= self.send_at {
            let hold = if mem::take(&mut self.asks) { Duration::ZERO } else { rng.around(self.hold(pace)) };
            // An earlier probe that is still unanswered is not waited for any longer.
            self.silent_at = self.silent_at.min(now + hold + self.late_after());
            return self.send(hold, now);
        }
        Step::Wait
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
            self.quick = Some(0);
            self.silent_at = now;
        }
    }

    /// Sends the probe now if it is not to move within `pace`: the peer shall learn that it is to come back sooner.
    pub(crate) fn hurry(&mut self, now: Time, pace: Pace) {
        if self.state == LinkState::Up && self.deadline() > now + pace.interval {
            self.send_at = now;
        }
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
                // The other end will echo a later one.
                self.sent.iter_mut().for_each(|sent| sent.is_counted = true);
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
        if rtt > TIMEOUT_MAX || held > away + HELD_LONGER {
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
        let doublings = self.estimator.samples().saturating_sub(SAMPLES_TO_ADVERTISE).min(16);
        let under_way = self.estimator.fast().min(pace.interval / 2);
        (FIRST_INTERVAL / 2 * 2_u32.pow(doublings)).min((pace.interval - under_way) / 2)
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
                    jitter_us: micros(self.estimator.deviation()),
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
mod tests {
    use core::cell::Cell;

    use super::*;

    const PACE: Pace = Pace { interval: Duration::from_secs(2), shortest: Duration::from_secs(2) };

    /// Two ends of a link, and the probes on their way: to which end, when they arrive.
    struct Pair {
        ends: [Link; 2],
        ways: Vec<(usize, Time, Stamps)>,
        rng: Rng,
        /// How long each probe is on its way.
        way: Duration,
        sent: usize,
        has_doubted: [bool; 2],
        went_down: [Option<Time>; 2],
    }

    impl Pair {
        fn new(seed: u8) -> Self {
            let ends = [Link::new(true, Time::ZERO), Link::new(false, Time::ZERO)];
            Pair {
                ends,
                ways: Vec::new(),
                rng: Rng::new([seed; 32]),
                way: Duration::from_millis(15),
                sent: 0,
                has_doubted: [false; 2],
                went_down: [None; 2],
            }
        }

        /// Lets both ends go on until `end`; `carries(to, now)` says whether a probe sent then gets through.
        fn run(&mut self, end: Time, carries: impl Fn(usize, Time) -> bool) {
            loop {
                let next = self.ways.iter().map(|(_, at, _)| *at).chain(self.ends.iter().map(Link::deadline));
                let now = next.min().unwrap();
                if now >= end {
                    return;
                }
                let arrived = self.ways.iter().position(|(_, at, _)| *at <= now);
                if let Some((to, _, stamps)) = arrived.map(|at| self.ways.remove(at)) {
                    self.ends[to].receive(stamps, now, PACE);
                }
                for end in 0..2 {
                    match self.ends[end].step(now, PACE, &mut self.rng) {
                        Step::Wait => {}
                        Step::Probe(stamps) => {
                            self.sent += 1;
                            if carries(1 - end, now) {
                                self.ways.push((1 - end, now + self.way, stamps));
                            }
                        }
                        Step::WentDown => self.went_down[end] = self.went_down[end].or(Some(now)),
                    }
                    self.has_doubted[end] |= self.ends[end].quick.is_some();
                }
            }
        }
    }

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_link_is_measured_within_a_second_and_one_probe_goes_on_bouncing() {
        let mut pair = Pair::new(1);
        pair.run(at(1000), |_, _| true);
        for link in &pair.ends {
            assert_eq!(link.state(), LinkState::Up);
            assert_eq!(link.advertisement().unwrap().unwrap().fast_us, 30_000);
        }
        pair.sent = 0;
        pair.run(at(101_000), |_, _| true);
        assert!((95..=105).contains(&pair.sent), "two in two seconds: {}", pair.sent);
        assert!(pair.ends.iter().all(|link| link.estimator().samples() > 45));
    }

    #[test]
    fn probes_that_cross_become_one() {
        let mut pair = Pair::new(1);
        pair.run(at(10_000), |_, _| true);
        for link in &mut pair.ends {
            link.check(at(10_000));
        }
        pair.run(at(12_000), |_, _| true);
        pair.sent = 0;
        pair.run(at(112_000), |_, _| true);
        assert!((95..=105).contains(&pair.sent), "{}", pair.sent);
    }

    #[test]
    fn of_a_cut_one_end_knows_within_a_second_and_a_half_and_the_other_within_two_and_a_half() {
        for seed in 0..50 {
            let mut pair = Pair::new(seed);
            let cut = at(10_000 + u64::from(seed) * 37);
            pair.run(at(20_000), |_, now| now < cut);
            let took = pair.went_down.map(|down| down.unwrap().since(cut).as_millis());
            assert!(took[0].min(took[1]) < 1500, "{took:?}");
            assert!(took[0].max(took[1]) < 2700, "{took:?}");
            assert!(pair.ends.iter().all(|link| link.advertisement() == Some(None)));
        }
    }

    #[test]
    fn a_link_that_carries_one_way_only_is_down_for_both_ends() {
        for deaf in 0..2 {
            let mut pair = Pair::new(7);
            pair.run(at(20_000), |to, now| now < at(10_000) || to != deaf);
            assert!(pair.ends.iter().all(|link| link.state() == LinkState::Down), "{deaf}");
        }
    }

    #[test]
    fn one_lost_probe_does_not_take_a_link_down_and_counts_as_loss() {
        let mut pair = Pair::new(1);
        let sent = Cell::new(0);
        pair.run(at(600_000), |_, _| sent.replace(sent.get() + 1) % 10 > 0);
        assert_eq!(pair.went_down, [None; 2]);
        // Of the two ways of a round trip, each counts.
        let losses = pair.ends.each_ref().map(|link| link.estimator().loss());
        assert!(losses.iter().all(|loss| (0.1..0.4).contains(loss)), "{losses:?}");
    }

    #[test]
    fn the_doubt_of_one_end_is_not_taken_for_silence_by_the_other() {
        for seed in 0..50 {
            let mut pair = Pair::new(seed);
            pair.way = Duration::from_millis(150);
            pair.run(at(10_000), |_, _| true);
            assert_eq!(pair.has_doubted, [false; 2]);
            let first = Cell::new(true);
            pair.run(at(20_000), |_, _| !first.replace(false));
            assert!(pair.has_doubted[0] != pair.has_doubted[1], "{seed}: {:?}", pair.has_doubted);
        }
    }

    #[test]
    fn a_link_that_returns_is_measured_anew() {
        let mut pair = Pair::new(1);
        pair.run(at(30_000), |_, now| now < at(10_000) || now > at(20_000));
        for link in &pair.ends {
            assert_eq!(link.state(), LinkState::Up);
            assert!(link.estimator().samples() < 15);
        }
    }

    #[test]
    fn a_check_tells_of_a_dead_link_in_a_quarter_of_a_second_and_costs_a_live_one_nothing() {
        let mut pair = Pair::new(1);
        pair.run(at(10_000), |_, _| true);
        pair.ends[0].check(at(10_000));
        pair.run(at(11_000), |_, _| true);
        assert_eq!((pair.ends[0].state(), pair.ends[0].estimator().loss()), (LinkState::Up, 0.0));
        pair.ways.clear();
        pair.ends[0].check(at(11_000));
        pair.run(at(11_250), |_, _| false);
        assert_eq!(pair.ends[0].state(), LinkState::Down);
    }

    #[test]
    fn a_long_link_is_probed_as_often_as_a_short_one() {
        for way in [1, 40, 150] {
            let mut pair = Pair::new(1);
            pair.way = Duration::from_millis(way);
            pair.run(at(10_000), |_, _| true);
            pair.sent = 0;
            pair.run(at(110_000), |_, _| true);
            assert!((95..=105).contains(&pair.sent), "{way} ms: {}", pair.sent);
        }
    }

    #[test]
    fn who_is_asked_answers_at_once_and_one_probe_goes_on_bouncing() {
        for seed in 0..50 {
            let mut pair = Pair::new(seed);
            pair.run(at(10_000), |_, _| true);
            pair.ends[0].ask(at(10_000));
            pair.run(at(10_031), |_, _| true);
            assert_eq!(pair.ends[0].estimator().last_answer_at(), Some(at(10_030)));
            pair.sent = 0;
            pair.run(at(110_000), |_, _| true);
            assert!((95..=105).contains(&pair.sent), "{}", pair.sent);
            assert_eq!(pair.has_doubted, [false; 2]);
        }
    }

    #[test]
    fn an_answer_that_is_late_is_not_lost() {
        let mut pair = Pair::new(1);
        pair.run(at(10_000), |_, _| true);
        pair.way = Duration::from_millis(30);
        pair.run(at(12_500), |_, _| true);
        assert_ne!(pair.has_doubted, [false; 2]);
        assert!(pair.ends.iter().all(|link| link.estimator().loss() == 0.0));
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed() {
        let mut pair = Pair::new(1);
        pair.run(at(10_000), |_, _| true);
        let stamps = |at| Stamps::new(Duration::from_secs(1), at, None);
        let link = &mut pair.ends[0];
        link.receive(stamps(at(100_000)), at(10_100), PACE);
        link.receive(stamps(at(99_000)), at(10_200), PACE);
        assert_eq!(link.heard.unwrap().at, at(10_100), "overtaken");
        link.receive(stamps(at(50_000)), at(10_300), PACE);
        assert_eq!(link.heard.unwrap().at, at(10_300));
    }
}
