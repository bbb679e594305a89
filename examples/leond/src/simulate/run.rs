//! One simulation: the sites start, converge, and are measured while delays change and things break.

use std::time::Duration;

use anyhow::{anyhow, bail};
use leon::driver::clock;
use leon::sim::{Link, Violation, World};
use leon::{Event, NodeId, PathCause, Security, Time};

use super::fault::{Faults, Tally, is_whole};
use super::measure::{Meter, Pair};
use super::traffic::Traffic;
use super::truth::{Reachability, Truth};
use super::underlay::{Delays, Underlay};
use crate::cli::FaultKind;

/// The sites start so long after each other, and where there are more than so many, longer in proportion: each that starts
/// exchanges messages with all that run.
const START_INTERVAL: Duration = Duration::from_millis(100);
const AT_ONCE: u32 = 200;
/// Between convergence and measurement, where delays do not change: what the first, rough measurements led to is put
/// right meanwhile.
const SETTLING: Duration = Duration::from_secs(60);
/// How long sites may take to converge.
const CONVERGENCE_LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked whether the sites have converged; less often where there are many, as all pairs are looked at.
const GLANCE: Duration = Duration::from_millis(10);
const GLANCE_AT_MANY: Duration = Duration::from_secs(1);
/// More sites than this are many.
const MANY: usize = 100;
/// Who could reach each other for less than this need not know yet.
const GRACE: Duration = Duration::from_secs(1);
/// Paths within this of the best ones, in all, have converged: the engines' own hysteresis.
const HYSTERESIS_NS: u64 = 500_000;
const HYSTERESIS_SHARE: u64 = 20;
/// The same where there are more sites than an engine keeps all rows of: it does not know of every relay.
const SHARE_OF_MANY: u64 = 10;
const ALL_ROWS: usize = 257;

/// What is simulated.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// How long paths are measured.
    pub(super) measured: Duration,
    /// How long a frame of the underlay lasts.
    pub(super) frame: Duration,
    pub(super) loss: f64,
    pub(super) jitter_ns: u64,
    pub(super) fault: Option<FaultKind>,
    pub(super) traffic: bool,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) names: Vec<String>,
    pub(super) pairs: Vec<Pair>,
    /// The chosen paths at the end, by source and destination: relays in order, the destination last.
    pub(super) paths: Vec<Vec<Vec<usize>>>,
    pub(super) converged_after: Duration,
    pub(super) measured: Duration,
    /// How often a path was replaced.
    pub(super) switches: usize,
    pub(super) wrong_evictions: usize,
    /// What sites sent and received while no host did, summed over them, and for how long.
    pub(super) control_bytes: u64,
    pub(super) control_time: Duration,
    pub(super) tally: Tally,
    pub(super) wall: Duration,
}

/// Runs the engines of all sites of `underlay` as `settings` say; all randomness follows from `seed`. `progress` is
/// told how much more virtual time has passed.
pub(super) fn simulate(
    underlay: &Underlay,
    settings: &Settings,
    seed: u64,
    progress: &dyn Fn(Duration),
) -> anyhow::Result<Outcome> {
    let began = clock::now();
    let mut run = Run::start(underlay, settings, seed).map_err(broken)?;
    let converged_after = run.converge(underlay.frames.len() == 1)?;
    run.measure(underlay, settings, seed, progress).map_err(broken)?;
    let sites = run.world.sites();
    let path = |from, to| run.world.path(from, to).to_vec();
    let measured_from = run.measured_from;
    Ok(Outcome {
        names: underlay.names.clone(),
        paths: (0..sites).map(|from| (0..sites).map(|to| path(from, to)).collect()).collect(),
        converged_after,
        measured: settings.measured,
        switches: run.switches(measured_from),
        wrong_evictions: run.wrong_evictions(),
        pairs: run.meter.pairs(),
        control_bytes: run.control_bytes,
        control_time: run.control_time,
        tally: run.tally,
        wall: clock::now().since(began),
    })
}

fn broken(violation: Violation) -> anyhow::Error {
    anyhow!(violation).context("the engine broke one of its rules, please report this")
}

struct Run {
    world: World,
    truth: Truth,
    jitter_ns: u64,
    reachability: Reachability,
    meter: Meter,
    measured_from: Time,
    control_bytes: u64,
    control_time: Duration,
    tally: Tally,
}

impl Run {
    fn start(underlay: &Underlay, settings: &Settings, seed: u64) -> Result<Run, Violation> {
        let sites = underlay.names.len();
        let mut world = World::with_links(seed, sites, &[]);
        let link = |delay_ns| Link {
            delay_ns,
            jitter_ns: settings.jitter_ns,
            loss: settings.loss,
            ..Link::rtt_ms(0.0)
        };
        for (from, row) in underlay.frames[0].iter().enumerate() {
            for (to, &delay) in row.iter().enumerate().filter(|&(to, _)| to != from) {
                // A pair without a link now may have one in a later frame.
                let delay = delay.or_else(|| underlay.frames.iter().find_map(|frame| frame[from][to]));
                if let Some(delay_ns) = delay {
                    world.set_link(from, to, link(delay_ns));
                }
            }
        }
        set_delays(&mut world, &underlay.frames[0]);
        if sites > MANY {
            world.use_all_processors();
        }
        let start_interval = START_INTERVAL * u32::try_from(sites).unwrap_or(u32::MAX).max(AT_ONCE) / AT_ONCE;
        for (site, seed) in seeds(&underlay.frames[0]).into_iter().enumerate() {
            let address = world.address(seed);
            let config = world.config_mut(site);
            config.seeds = vec![address];
            // The same messages, with tokens in the place of tags and without what curves cost.
            config.security = Security::None { id: config.id() };
            config.max_members = config.max_members.max(sites);
            world.start(site);
            world.run_for(start_interval)?;
        }
        let truth = Truth::of(&world, settings.jitter_ns);
        let mut reachability = Reachability::default();
        reachability.note(&world, &truth);
        Ok(Run {
            measured_from: world.now(),
            world,
            truth,
            jitter_ns: settings.jitter_ns,
            reachability,
            meter: Meter::new(sites, seed),
            control_bytes: 0,
            control_time: Duration::ZERO,
            tally: Tally::default(),
        })
    }

    /// Lets the world go on until every site lists every other, all chosen paths carry, and together they are as
    /// good as hysteresis lets them be. Says how long after the last start that was.
    fn converge(&mut self, is_steady: bool) -> anyhow::Result<Duration> {
        let truth = &self.truth;
        let converged = |world: &World| is_whole(world, truth) && is_near_best(world, truth);
        let begun = self.world.now();
        let glance = if self.world.sites() > MANY { GLANCE_AT_MANY } else { GLANCE };
        while !converged(&self.world) {
            if self.world.now().since(begun) >= CONVERGENCE_LIMIT {
                let limit = CONVERGENCE_LIMIT.as_secs();
                bail!(
                    "the sites did not converge within {limit} s: is each linked to the others, if through some?"
                );
            }
            self.world.run_for(glance).map_err(broken)?;
        }
        let passed = self.world.now().since(begun);
        if is_steady {
            self.world.run_for(SETTLING).map_err(broken)?;
        }
        self.measured_from = self.world.now();
        Ok(passed)
    }

    fn measure(
        &mut self,
        underlay: &Underlay,
        settings: &Settings,
        seed: u64,
        progress: &dyn Fn(Duration),
    ) -> Result<(), Violation> {
        let begun = self.world.now();
        let until = begun + settings.measured;
        let traffic = settings.traffic.then(|| Traffic::new(&mut self.world));
        let mut faults = settings.fault.map(|kind| Faults::new(kind, traffic, seed, begun));
        let sample_interval = sample_interval(self.world.sites());
        let mut delays = &underlay.frames[0];
        let mut frames = underlay.frames.iter().skip(1);
        let mut frame_at = if frames.len() > 0 { begun + settings.frame } else { Time::NEVER };
        let mut sample_at = begun;
        while self.world.now() < until {
            let fault_at = faults.as_ref().map_or(Time::NEVER, Faults::next_at);
            let next = sample_at.min(frame_at).min(fault_at).min(until);
            let passed = next.since(self.world.now());
            self.go_on(passed, faults.as_ref().is_some_and(Faults::has_traffic))?;
            progress(passed);
            let mut is_changed = false;
            if next == frame_at {
                delays = frames.next().unwrap_or(delays);
                frame_at = if frames.len() > 0 { frame_at + settings.frame } else { Time::NEVER };
                is_changed = true;
            }
            if let Some(faults) = faults.as_mut().filter(|_| next == fault_at) {
                is_changed |= faults.step(&mut self.world, &self.truth);
            }
            if is_changed {
                set_delays(&mut self.world, delays);
                faults.iter().for_each(|faults| faults.impose(&mut self.world));
                self.truth = Truth::of(&self.world, self.jitter_ns);
                self.reachability.note(&self.world, &self.truth);
            }
            if next == sample_at {
                self.meter.sample(&self.world, &self.truth);
                sample_at = sample_at + sample_interval;
            }
        }
        self.tally = faults.map(Faults::tally).unwrap_or_default();
        Ok(())
    }

    /// Lets the world go on, and counts what sites say to each other unless hosts do, too.
    fn go_on(&mut self, duration: Duration, has_traffic: bool) -> Result<(), Violation> {
        let before = self.bytes();
        self.world.run_for(duration)?;
        if !has_traffic {
            self.control_bytes += self.bytes() - before;
            self.control_time += duration;
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let traffic = (0..self.world.sites()).map(|site| self.world.traffic(site));
        traffic.map(|traffic| traffic.sent_bytes + traffic.received_bytes).sum()
    }

    /// How many chosen paths were replaced from then on.
    fn switches(&self, from: Time) -> usize {
        let events = (0..self.world.sites()).flat_map(|site| self.world.events(site));
        let is_switch =
            |event: &Event| matches!(event, Event::PathChanged { cause, .. } if *cause != PathCause::New);
        events.filter(|(at, event)| *at >= from && is_switch(event)).count()
    }

    /// How often a site gave up a member that ran and that it could reach, if through others.
    fn wrong_evictions(&self) -> usize {
        let ids: Vec<NodeId> = (0..self.world.sites()).map(|site| self.world.config(site).id()).collect();
        let is_wrong = |by: usize, at: Time, event: &Event| {
            let Event::MemberFailed { id, .. } = event else { return false };
            let span = Time::from_nanos(at.as_nanos().saturating_sub(GRACE.as_nanos() as u64))..=at;
            ids.iter().position(|known| known == id).is_some_and(|of| self.reachability.holds(by, of, span))
        };
        let wrong = |site| {
            let events = self.world.events(site).iter();
            events.filter(|(at, event)| is_wrong(site, *at, event)).count()
        };
        (0..self.world.sites()).map(wrong).sum()
    }
}

/// How often paths are sampled: the more seldom the more pairs there are, all of which a sample looks at.
fn sample_interval(sites: usize) -> Duration {
    if sites <= MANY {
        Duration::from_millis(100)
    } else if sites <= 5 * MANY {
        Duration::from_secs(1)
    } else {
        Duration::from_secs(5)
    }
}

/// The seed of each site: one that it is linked with, on the way to the first; that of the first is any. Its own
/// index where there is no such site.
fn seeds(delays: &Delays) -> Vec<usize> {
    let sites = delays.len();
    let mut seeds: Vec<usize> = (0..sites).collect();
    let mut found = vec![0];
    let mut next = 0;
    while let Some(&site) = found.get(next) {
        for to in (0..sites).filter(|&to| delays[site][to].is_some() && delays[to][site].is_some()) {
            if !found.contains(&to) {
                found.push(to);
                seeds[to] = site;
            }
        }
        next += 1;
    }
    seeds[0] = found.get(1).copied().unwrap_or(0);
    seeds
}

/// Gives all links the delays of a frame; those without one are cut.
fn set_delays(world: &mut World, delays: &Delays) {
    for (from, row) in delays.iter().enumerate() {
        for (to, delay) in row.iter().enumerate() {
            let Some(link) = world.link(from, to) else { continue };
            match *delay {
                Some(delay_ns) => world.set_link(from, to, Link { delay_ns, up: true, ..link }),
                None => world.cut(from, to),
            }
        }
    }
}

/// True if the chosen paths together cost no more than the best ones and the hysteresis on each.
fn is_near_best(world: &World, truth: &Truth) -> bool {
    let sites = world.sites();
    let share = if sites > ALL_ROWS { SHARE_OF_MANY } else { HYSTERESIS_SHARE };
    let mut chosen = 0;
    let mut allowed = 0;
    for (from, to) in (0..sites).flat_map(|from| (0..sites).map(move |to| (from, to))) {
        if let Some(best) = truth.best[from][to].filter(|_| from != to) {
            chosen += truth.delay(&truth.delays, from, world.path(from, to)).unwrap_or(0);
            allowed += best + (best / share).max(HYSTERESIS_NS / 2);
        }
    }
    chosen <= allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_site_has_a_seed_that_leads_to_the_first() {
        let line = |from: usize, to: usize| (from.abs_diff(to) == 1).then_some(5);
        let delays: Delays = (0..5).map(|from| (0..5).map(|to| line(from, to)).collect()).collect();
        assert_eq!(seeds(&delays), [1, 0, 1, 2, 3]);
        let full: Delays = vec![vec![Some(5); 4]; 4];
        assert_eq!(seeds(&full), [1, 0, 0, 0]);
    }
}
