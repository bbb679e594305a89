//! One direct link as this node probes it: when to ping, what a pong tells, and whether the link is up.

use core::time::Duration;

use arrayvec::ArrayVec;

use crate::latency::estimator::Estimator;
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::latency::LinkLatency;

/// Pings of one round: the first, and quick retries within about a second after it is lost.
const PINGS_PER_ROUND: u8 = 4;
/// Time between the retries.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// How long a pong may take, by what the link's times have been so far. One that takes longer than the maximum was
/// not on its way for so long: this node or the peer was asleep.
const TIMEOUT_MIN: Duration = Duration::from_millis(200);
const TIMEOUT_MAX: Duration = Duration::from_secs(3);
/// How long the pong of a link that was never measured may take.
const TIMEOUT_UNMEASURED: Duration = Duration::from_millis(500);
/// A new link is pinged this often until it is measured.
const FIRST_INTERVAL: Duration = Duration::from_millis(100);
/// A link carries transit, and is advertised, once it has so many answers: a new link starts pessimistic.
const SAMPLES_TO_ADVERTISE: u32 = 3;
/// Pings whose pongs may still come.
const OUTSTANDING: usize = 8;

/// Whether a link works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// No ping has been answered yet, and not enough have been lost.
    New,
    /// Pings are answered.
    Up,
    /// All pings of a round went unanswered.
    Down,
}

/// What a step of the link's clock led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is due.
    Wait,
    /// Send a ping with this token.
    Ping(u64),
    /// The link has just gone down.
    WentDown,
}

/// Where the link is in its round.
#[derive(Clone, Copy, Debug)]
enum Round {
    /// Answered, or given up; the next round begins then.
    Idle { next_at: Time },
    /// So many pings are out unanswered; the next step is then.
    Waiting { pings: u8, until: Time },
}

/// A link to one member.
#[derive(Debug)]
pub(crate) struct Link {
    state: LinkState,
    round: Round,
    outstanding: ArrayVec<(u64, Time), OUTSTANDING>,
    estimator: Estimator,
}

impl Link {
    pub(crate) fn new(now: Time) -> Self {
        Link {
            state: LinkState::New,
            round: Round::Idle { next_at: now },
            outstanding: ArrayVec::new(),
            estimator: Estimator::default(),
        }
    }

    pub(crate) fn state(&self) -> LinkState {
        self.state
    }

    pub(crate) fn estimator(&self) -> &Estimator {
        &self.estimator
    }

    pub(crate) fn deadline(&self) -> Time {
        match self.round {
            Round::Idle { next_at } => next_at,
            Round::Waiting { until, .. } => until,
        }
    }

    /// Does what is due at `now`.
    pub(crate) fn step(&mut self, now: Time, interval: Duration, rng: &mut Rng) -> Step {
        if now < self.deadline() {
            return Step::Wait;
        }
        let pings = match self.round {
            Round::Idle { .. } => 0,
            Round::Waiting { pings, .. } => {
                // What is lost during an outage says nothing of the loss after it.
                if self.state != LinkState::Down {
                    self.estimator.unanswered(now);
                }
                pings
            }
        };
        if pings == PINGS_PER_ROUND {
            self.round = Round::Idle { next_at: now + rng.around(interval) };
            let was_down = self.state == LinkState::Down;
            self.state = LinkState::Down;
            return if was_down { Step::Wait } else { Step::WentDown };
        }
        // A link that is down gets one ping a round: whether it is up again shows with the first pong.
        let pings = if self.state == LinkState::Down { PINGS_PER_ROUND } else { pings + 1 };
        let is_retry = pings > 1 && pings < PINGS_PER_ROUND;
        let wait = if is_retry { RETRY_INTERVAL } else { self.timeout() };
        self.round = Round::Waiting { pings, until: now + wait };
        let token = rng.u64();
        if self.outstanding.is_full() {
            self.outstanding.remove(0);
        }
        self.outstanding.push((token, now));
        Step::Ping(token)
    }

    /// Probes the link now unless a probe is out.
    pub(crate) fn check(&mut self, now: Time) {
        if let Round::Idle { next_at } = &mut self.round {
            *next_at = now;
        }
    }

    /// A pong came at `now`; `held` is how long the peer had the ping. False if nothing like it is awaited.
    pub(crate) fn pong(
        &mut self,
        token: u64,
        held: Duration,
        now: Time,
        interval: Duration,
        rng: &mut Rng,
    ) -> bool {
        self.outstanding.retain(|(_, sent_at)| now.since(*sent_at) <= TIMEOUT_MAX);
        let Some(at) = self.outstanding.iter().position(|(sent, _)| *sent == token) else {
            return false;
        };
        let (_, sent_at) = self.outstanding.remove(at);
        if self.state == LinkState::Down {
            self.estimator.restart();
        }
        self.state = LinkState::Up;
        // A peer cannot have held the ping for longer than it was away.
        self.estimator.answered(now.since(sent_at).saturating_sub(held), now);
        let wait = if self.is_settled() { interval } else { FIRST_INTERVAL };
        self.round = Round::Idle { next_at: (sent_at + rng.around(wait)).max(now + FIRST_INTERVAL / 2) };
        true
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

    fn is_settled(&self) -> bool {
        self.estimator.samples() >= SAMPLES_TO_ADVERTISE
    }

    fn timeout(&self) -> Duration {
        if self.estimator.samples() == 0 {
            return TIMEOUT_UNMEASURED;
        }
        (self.estimator.fast() * 3 / 2 + self.estimator.deviation() * 4).clamp(TIMEOUT_MIN, TIMEOUT_MAX)
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    /// Runs the link's clock, answering pings after `rtt` while `answers(now)`; gives when it went down.
    fn run(link: &mut Link, seconds: u64, answers: impl Fn(Time) -> bool) -> Option<Time> {
        let mut rng = Rng::new([1; 32]);
        let end = Time::ZERO + Duration::from_secs(seconds);
        let mut went_down = None;
        while link.deadline() < end {
            let now = link.deadline();
            match link.step(now, INTERVAL, &mut rng) {
                Step::Ping(token) if answers(now) => {
                    assert!(link.pong(
                        token,
                        Duration::ZERO,
                        now + Duration::from_millis(30),
                        INTERVAL,
                        &mut rng
                    ));
                }
                Step::Ping(_) | Step::Wait => {}
                Step::WentDown => went_down = went_down.or(Some(now)),
            }
        }
        went_down
    }

    #[test]
    fn a_link_is_measured_within_a_second_and_stays_up() {
        let mut link = Link::new(Time::ZERO);
        assert_eq!(run(&mut link, 1, |_| true), None);
        assert_eq!(link.state(), LinkState::Up);
        assert_eq!(link.advertisement().unwrap().unwrap().fast_us, 30_000);
    }

    #[test]
    fn a_silent_link_is_down_within_two_and_a_half_seconds_of_its_last_answer() {
        let mut link = Link::new(Time::ZERO);
        let dies_at = Time::ZERO + Duration::from_secs(10);
        let down_at = run(&mut link, 20, |now| now < dies_at).unwrap();
        assert!(down_at.since(dies_at) < Duration::from_millis(2500), "{:?}", down_at.since(dies_at));
        assert_eq!(link.advertisement(), Some(None));
    }

    #[test]
    fn one_lost_ping_does_not_take_a_link_down() {
        let mut link = Link::new(Time::ZERO);
        assert_eq!(run(&mut link, 60, |now| now.as_nanos() / 1_000_000 % 3700 > 600), None);
    }

    #[test]
    fn a_link_that_returns_is_measured_anew() {
        let mut link = Link::new(Time::ZERO);
        run(&mut link, 30, |now| now.as_secs() < 10 || now.as_secs() > 20);
        assert_eq!(link.state(), LinkState::Up);
        assert!(link.estimator().samples() < 15);
    }
}
