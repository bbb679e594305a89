//! Two ends of a link, and what gets lost or comes late between them.

use core::cell::{Cell, RefCell};

use super::*;

const PACE: Pace = Pace { interval: Duration::from_secs(2), shortest: Duration::from_secs(2) };
const SELDOM: Pace = Pace { interval: Duration::from_secs(14), ..PACE };

/// Two ends of a link, and the probes on their way: to which end, when they arrive.
struct Pair {
    ends: [Link; 2],
    ways: Vec<(usize, Time, Stamps)>,
    rng: Rng,
    /// How long each probe is on its way.
    way: Duration,
    pace: Pace,
    sent: usize,
    has_doubted: [bool; 2],
    went_down: [Option<Time>; 2],
    /// Until then an end does nothing, and what arrives waits.
    asleep_until: [Time; 2],
}

impl Pair {
    fn new(seed: u8) -> Self {
        let ends = [Link::new(true, Time::ZERO), Link::new(false, Time::ZERO)];
        Pair {
            ends,
            ways: Vec::new(),
            rng: Rng::new([seed; 32]),
            way: Duration::from_millis(15),
            pace: PACE,
            sent: 0,
            has_doubted: [false; 2],
            went_down: [None; 2],
            asleep_until: [Time::ZERO; 2],
        }
    }

    /// Lets both ends go on until `end`; `carries(to, now)` says whether a probe sent then gets through.
    fn run(&mut self, end: Time, carries: impl Fn(usize, Time) -> bool) {
        loop {
            let arrivals = self.ways.iter().map(|(to, at, _)| (*at).max(self.asleep_until[*to]));
            let deadlines =
                [0, 1].into_iter().map(|end| self.ends[end].deadline().max(self.asleep_until[end]));
            let now = arrivals.chain(deadlines).min().unwrap();
            if now >= end {
                return;
            }
            let is_awake = |end: usize| self.asleep_until[end] <= now;
            let arrived = self.ways.iter().position(|(to, at, _)| *at <= now && is_awake(*to));
            if let Some((to, _, stamps)) = arrived.map(|at| self.ways.remove(at)) {
                self.ends[to].receive(stamps, now, self.pace);
            }
            for end in (0..2).filter(|end| self.asleep_until[*end] <= now) {
                match self.ends[end].step(now, self.pace, &mut self.rng) {
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
    let chance = RefCell::new(Rng::new([2; 32]));
    pair.run(at(600_000), |_, _| chance.borrow_mut().u64() > u64::MAX / 10);
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
    let mut doubts = 0;
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        pair.run(at(10_000), |_, _| true);
        pair.way = Duration::from_millis(30);
        pair.run(at(12_500), |_, _| true);
        doubts += usize::from(pair.has_doubted != [false; 2]);
        assert_eq!(pair.ends.each_ref().map(|link| link.estimator().loss()), [0.0; 2]);
    }
    assert!(doubts > 5, "{doubts}");
}

#[test]
fn checks_and_probes_that_are_hurried_are_no_loss_whenever_they_come() {
    let mut pair = Pair::new(1);
    for step in 0..1000 {
        let now = at(10_000 + step * 7_370);
        pair.pace = SELDOM;
        pair.run(now, |_, _| true);
        let link = &mut pair.ends[step as usize % 2];
        if step % 3 == 0 {
            link.check(now);
        } else {
            pair.pace = PACE;
            link.hurry(now, PACE);
            pair.run(now + Duration::from_millis(step * 3), |_, _| true);
        }
    }
    assert!(pair.ends.iter().all(|link| link.state() == LinkState::Up && link.estimator().loss() == 0.0));
}

#[test]
fn what_was_on_its_way_while_a_node_was_asleep_is_neither_slow_nor_lost() {
    for seed in 0..100 {
        let mut pair = Pair::new(seed);
        pair.run(at(10_000), |_, _| true);
        pair.asleep_until[0] = at(12_200);
        pair.run(at(20_000), |_, _| true);
        let link = &pair.ends[0];
        assert_eq!((link.state(), pair.went_down[0]), (LinkState::Up, None));
        let (rtt, jitter) = (link.estimator().slow(), link.estimator().jitter());
        assert!(rtt < Duration::from_millis(60) && jitter < Duration::from_millis(60), "{rtt:?}, {jitter:?}");
        assert_eq!(link.estimator().loss(), 0.0);
    }
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
