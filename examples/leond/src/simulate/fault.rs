//! Random faults of what chosen paths depend on, and how long it takes until they are got over. Sees the world from
//! outside: what is broken, and which paths are chosen.

use std::collections::BTreeSet;
use std::time::Duration;

use leon::Time;
use leon::sim::{Dice, World};

use super::traffic::Traffic;
use super::truth::Truth;
use crate::cli::FaultKind;

/// How long a fault lasts.
const FAULT: Duration = Duration::from_secs(10);
/// Shortest time between two faults; up to as much again passes besides.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_SPREAD_MS: u64 = 10_000;
/// For so long before a fault hosts have exchanged frames already.
const TRAFFIC_LEAD: Duration = Duration::from_secs(1);
/// How often paths are looked at while something is broken, and how often hosts send.
const GLANCE: Duration = Duration::from_millis(10);

/// What is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Links(Vec<(usize, usize)>),
    Crash(usize),
    Partition(Vec<usize>),
}

enum Phase {
    /// All is well until the next fault.
    Quiet,
    /// Hosts exchange frames over what will fail.
    Lead(Fault),
    /// Since then it is broken.
    Broken { fault: Fault, since: Time, dead: Vec<(usize, usize)>, is_listed: bool },
    /// Since then it is mended again, and not all paths are back.
    Healing { since: Time },
}

/// What the faults of a run led to. Durations go up to that of a fault, where something is never got over.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) faults: usize,
    /// From the fault until a chosen path that it broke, and that can be replaced, was replaced by one that carries.
    pub(super) failovers: Vec<Duration>,
    /// Those of them that took longer than the fault.
    pub(super) unresolved: usize,
    /// From a crash until no site listed the crashed one any more.
    pub(super) forgotten: Vec<Duration>,
    /// From the end of a crash or a partition until every site listed every other and all chosen paths carried.
    pub(super) healed: Vec<Duration>,
    /// For how long frames stopped.
    pub(super) gaps: Vec<Duration>,
}

/// The faults of a run.
pub(super) struct Faults {
    kind: FaultKind,
    dice: Dice,
    phase: Phase,
    next_at: Time,
    traffic: Option<Traffic>,
    tally: Tally,
}

impl Faults {
    /// Faults from `now` on.
    pub(super) fn new(kind: FaultKind, traffic: Option<Traffic>, seed: u64, now: Time) -> Faults {
        let mut dice = Dice::named(seed, "faults");
        let next_at = now + pause(&mut dice);
        Faults { kind, dice, phase: Phase::Quiet, next_at, traffic, tally: Tally::default() }
    }

    /// When [`step`](Self::step) is to be called next.
    pub(super) fn next_at(&self) -> Time {
        self.next_at
    }

    /// True while hosts send frames.
    pub(super) fn has_traffic(&self) -> bool {
        self.traffic.as_ref().is_some_and(Traffic::is_on)
    }

    pub(super) fn tally(self) -> Tally {
        self.tally
    }

    /// Cuts again what the present fault has cut, on an underlay that was set anew.
    pub(super) fn impose(&self, world: &mut World) {
        if let Phase::Broken { fault: Fault::Links(links), .. } = &self.phase {
            links.iter().for_each(|&(from, to)| world.cut(from, to));
        }
    }

    /// Does what is due. True if the underlay has to be set anew, and [imposed](Self::impose) on.
    pub(super) fn step(&mut self, world: &mut World, truth: &Truth) -> bool {
        let now = world.now();
        match core::mem::replace(&mut self.phase, Phase::Quiet) {
            Phase::Quiet => {
                let Some(fault) = self.pick(world) else {
                    self.next_at = now + PAUSE;
                    return false;
                };
                if let Some(traffic) = &mut self.traffic {
                    traffic.begin(world, &broken_by(&fault, world), &mut self.dice);
                    self.phase = Phase::Lead(fault);
                    self.next_at = now + GLANCE;
                    return false;
                }
                self.strike(fault, world)
            }
            Phase::Lead(fault) => {
                let traffic = self.traffic.as_mut().expect("only traffic has a lead");
                traffic.exchange(world);
                if now.since(traffic.begun_at()) >= TRAFFIC_LEAD {
                    return self.strike(fault, world);
                }
                self.phase = Phase::Lead(fault);
                self.next_at = now + GLANCE;
                false
            }
            Phase::Broken { fault, since, mut dead, mut is_listed } => {
                self.watch(world, truth, since, &mut dead);
                if let Fault::Crash(site) = fault
                    && is_listed
                    && world.running().iter().all(|&at| world.path(at, site).is_empty())
                {
                    is_listed = false;
                    self.tally.forgotten.push(now.since(since));
                }
                if let Some(traffic) = &mut self.traffic {
                    traffic.exchange(world);
                }
                self.next_at = now + GLANCE;
                if now.since(since) < FAULT {
                    self.phase = Phase::Broken { fault, since, dead, is_listed };
                    return false;
                }
                self.tally.unresolved += dead.len();
                self.tally.failovers.extend(dead.iter().map(|_| FAULT));
                self.tally.forgotten.extend(is_listed.then_some(FAULT));
                if let Some(traffic) = &mut self.traffic {
                    self.tally.gaps.extend(traffic.end(world, since));
                }
                repair(&fault, world);
                self.phase = Phase::Healing { since: now };
                true
            }
            Phase::Healing { since } => {
                let is_over = is_whole(world, truth);
                if is_over && matches!(self.kind, FaultKind::Crash | FaultKind::Partition) {
                    self.tally.healed.push(now.since(since));
                }
                if is_over {
                    self.next_at = now + pause(&mut self.dice);
                } else {
                    self.phase = Phase::Healing { since };
                    self.next_at = now + GLANCE;
                }
                false
            }
        }
    }

    /// Notes the paths that carry again.
    fn watch(&mut self, world: &World, truth: &Truth, since: Time, dead: &mut Vec<(usize, usize)>) {
        dead.retain(|&(from, to)| {
            let is_dead = !truth.is_live(from, world.path(from, to));
            self.tally.failovers.extend((!is_dead).then(|| world.now().since(since)));
            is_dead
        });
    }

    /// Something that chosen paths depend on now.
    fn pick(&mut self, world: &World) -> Option<Fault> {
        let paths = paths(world);
        let mut one_of = |choices: BTreeSet<(usize, usize)>| {
            let nth = self.dice.below(choices.len().max(1) as u64) as usize;
            choices.into_iter().nth(nth)
        };
        let links = paths.iter().flat_map(|path| path.windows(2).map(|link| (link[0], link[1])));
        match self.kind {
            FaultKind::Link => {
                let (low, high) = one_of(links.map(|(from, to)| (from.min(to), from.max(to))).collect())?;
                Some(Fault::Links(vec![(low, high), (high, low)]))
            }
            FaultKind::OneWay => one_of(links.collect()).map(|link| Fault::Links(vec![link])),
            FaultKind::Crash => {
                let relays = paths.iter().flat_map(|path| &path[1..path.len() - 1]);
                let relays: BTreeSet<_> = relays.map(|&relay| (relay, relay)).collect();
                let any = world.running().into_iter().map(|site| (site, site)).collect();
                one_of(if relays.is_empty() { any } else { relays }).map(|(site, _)| Fault::Crash(site))
            }
            FaultKind::Partition => {
                let sites = world.sites();
                let mut groups: Vec<usize> = (0..sites).map(|_| self.dice.below(2) as usize).collect();
                // Neither half is empty.
                groups[self.dice.below(sites as u64) as usize] = 0;
                if !groups.contains(&1) {
                    let alone = groups.len() - 1;
                    groups[alone] = 1;
                }
                Some(Fault::Partition(groups))
            }
        }
    }

    fn strike(&mut self, fault: Fault, world: &mut World) -> bool {
        match &fault {
            Fault::Links(links) => links.iter().for_each(|&(from, to)| world.cut(from, to)),
            Fault::Crash(site) => world.crash(*site),
            Fault::Partition(groups) => world.partition(groups),
        }
        let now = world.now();
        let truth = Truth::of(world, 0);
        let running = world.running();
        let pairs = running.iter().flat_map(|&from| running.iter().map(move |&to| (from, to)));
        let is_dead = |&(from, to): &(usize, usize)| {
            from != to && truth.best[from][to].is_some() && !truth.is_live(from, world.path(from, to))
        };
        let dead: Vec<_> = pairs.filter(is_dead).collect();
        if let Some(traffic) = &mut self.traffic {
            traffic.watch(&dead);
        }
        self.tally.faults += 1;
        let is_listed = matches!(fault, Fault::Crash(_));
        self.phase = Phase::Broken { fault, since: now, dead, is_listed };
        self.next_at = now + GLANCE;
        true
    }
}

fn pause(dice: &mut Dice) -> Duration {
    PAUSE + Duration::from_millis(dice.below(PAUSE_SPREAD_MS))
}

fn repair(fault: &Fault, world: &mut World) {
    match fault {
        // Whoever sets the underlay knows which links are up.
        Fault::Links(_) => {}
        Fault::Crash(site) => world.start(*site),
        Fault::Partition(_) => {
            let together = vec![0; world.sites()];
            world.partition(&together);
        }
    }
}

/// The chosen paths between running sites, their sources first.
fn paths(world: &World) -> Vec<Vec<usize>> {
    let running = world.running();
    let pairs = running.iter().flat_map(|&from| running.iter().map(move |&to| (from, to)));
    let chosen = pairs.map(|(from, to)| (from, world.path(from, to))).filter(|(_, hops)| !hops.is_empty());
    chosen.map(|(from, hops)| [&[from], hops].concat()).collect()
}

/// The pairs of sites whose chosen path the fault will break although neither end is down.
fn broken_by(fault: &Fault, world: &World) -> Vec<(usize, usize)> {
    let is_broken = |path: &[usize]| match fault {
        Fault::Links(cut) => path.windows(2).any(|link| cut.contains(&(link[0], link[1]))),
        Fault::Crash(site) => path[1..path.len() - 1].contains(site),
        Fault::Partition(groups) => {
            let is_inside = groups[path[0]] == groups[path[path.len() - 1]];
            is_inside && path.iter().any(|&site| groups[site] != groups[path[0]])
        }
    };
    let broken = paths(world).into_iter().filter(|path| is_broken(path));
    broken.map(|path| (path[0], path[path.len() - 1])).collect()
}

/// True if every site lists every other, and every chosen path carries unless none can.
pub(super) fn is_whole(world: &World, truth: &Truth) -> bool {
    let running = world.running();
    let mut pairs = running.iter().flat_map(|&from| running.iter().map(move |&to| (from, to)));
    pairs.all(|(from, to)| {
        let hops = world.path(from, to);
        from == to || !hops.is_empty() && (truth.is_live(from, hops) || truth.best[from][to].is_none())
    })
}
