//! How a world gets from moment to moment: one thing at a time, or all that may happen at once without being disturbed.
//!
//! Nothing arrives at a site sooner than over the shortest link to it, from a site that may do something by then. So each
//! may go on for that long by itself, on a thread of its own; what it puts out is then taken in the order of time, whichever
//! thread was first.

use core::time::Duration;

use rayon::prelude::*;

use crate::Time;
use crate::sim::agenda::Incoming;
use crate::sim::check::Violation;
use crate::sim::site::{Site, Step};
use crate::sim::underlay::Surroundings;
use crate::sim::world::World;

/// How often [`World::run_until`] looks at its condition.
const GLANCE: Duration = Duration::from_millis(10);
/// After so many turns of each site the status of the engine at hand is checked: asking for it takes time
/// that grows with the number of sites squared.
const STATUS_CHECK_TURNS: u64 = 128;

/// How a world uses the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// One thing happens after the other.
    Serial,
    /// Sites go on at once for as long as they cannot disturb each other, on all processors.
    Parallel,
}

/// What arrives at a site until when it goes on.
type Work = (usize, Vec<Incoming>, Time);

/// Going on in time.
impl World {
    /// From now on engines work on all processors. What happens is the same however many there are; but of what
    /// happens at one moment another thing may come first than without this. For worlds of many sites whose links all
    /// have some delay: without one, nothing is gained.
    pub fn use_all_processors(&mut self) {
        self.pace = Pace::Parallel;
    }

    /// Lets the world go on for so long.
    ///
    /// # Errors
    ///
    /// The first rule that was broken, now or before.
    pub fn run_for(&mut self, duration: Duration) -> Result<(), Violation> {
        let until = self.now + duration;
        // Somebody in the middle may make a datagram arrive at once.
        if self.pace == Pace::Parallel && self.middles.is_empty() {
            self.go_on_at_once(until);
        } else {
            self.go_on(until);
        }
        self.now = until;
        self.violation.clone().map_or(Ok(()), Err)
    }

    /// When something happens next until `until`, and at which site, unless a rule is broken. A clock may have been set beyond
    /// a deadline: not before `begun`.
    fn next(&self, begun: Time, until: Time) -> Option<(Time, usize)> {
        let (at, site) = self.agenda.next().filter(|(at, _)| *at <= until && self.violation.is_none())?;
        Some((at.max(begun), site))
    }

    fn go_on(&mut self, until: Time) {
        let begun = self.now;
        while let Some((at, site)) = self.next(begun, until) {
            let arrivals = self.agenda.take_next(site).into_iter().collect();
            let steps = self.sites[site].live(arrivals, at, at);
            self.take_all(vec![(site, steps)]);
        }
    }

    fn go_on_at_once(&mut self, until: Time) {
        let begun = self.now;
        let surroundings = self.underlay.surroundings(self.sites.len());
        while let Some((at, _)) = self.next(begun, until) {
            self.advance_all(at, until, &surroundings);
        }
    }

    /// Lets the world go on until `condition` holds, for `limit` at most; says how long that took, to 10 ms,
    /// or `None` if it never held.
    ///
    /// # Errors
    ///
    /// The first rule that was broken, now or before.
    pub fn run_until(
        &mut self,
        limit: Duration,
        mut condition: impl FnMut(&World) -> bool,
    ) -> Result<Option<Duration>, Violation> {
        let start = self.now;
        loop {
            let passed = self.now.since(start);
            if condition(self) {
                return Ok(Some(passed));
            }
            if passed >= limit {
                return Ok(None);
            }
            self.run_for(GLANCE)?;
        }
    }

    /// Lets each site go on from `at` for as long as it is undisturbed, but not beyond `until`.
    fn advance_all(&mut self, at: Time, until: Time, surroundings: &[Surroundings]) {
        let mut work: Vec<Work> = Vec::new();
        for (site, around) in surroundings.iter().enumerate() {
            if self.agenda.next_at(site) > at + around.far {
                continue;
            }
            // That moment included; but what happens now happens in any case.
            let undisturbed = self.undisturbed_until(site, at, surroundings).since(at);
            let end = (at + undisturbed.saturating_sub(Duration::from_nanos(1))).min(until);
            if self.agenda.next_at(site) <= end {
                work.push((site, self.agenda.take(site, end), end));
            }
        }
        let steps = pick(&mut self.sites, work)
            .into_par_iter()
            .map(|(index, site, arrivals, end)| (index, site.live(arrivals, at, end)))
            .collect();
        self.take_all(steps);
    }

    /// Until when nothing arrives at a site beside what is on its way: a near one does something when it has something to do,
    /// or when something that is sent from now on has arrived there, and what it sends then is on its way, too.
    fn undisturbed_until(&self, site: usize, at: Time, surroundings: &[Surroundings]) -> Time {
        let around = &surroundings[site];
        let arrivals = around.near.iter().map(|(near, delay)| {
            let acts_at = self.agenda.next_at(*near).clamp(at, at + surroundings[*near].shortest());
            acts_at + *delay
        });
        arrivals.fold(at + around.far, Time::min)
    }

    /// Takes what sites have put out, in the order of time.
    fn take_all(&mut self, lived: Vec<(usize, Vec<Step>)>) {
        let sites: Vec<usize> = lived.iter().map(|(site, _)| *site).collect();
        let mut steps: Vec<(usize, Step)> = lived
            .into_iter()
            .flat_map(|(site, steps)| steps.into_iter().map(move |step| (site, step)))
            .collect();
        steps.sort_by_key(|(site, step)| (step.at, *site));
        for (site, step) in steps {
            self.now = step.at;
            self.take(site, step);
        }
        for site in sites {
            self.set_alarm(site);
            self.turns += 1;
            if self.turns.is_multiple_of(STATUS_CHECK_TURNS * self.sites.len() as u64) {
                self.check_status(site);
            }
        }
    }
}

/// The sites that have something to do, each with what it is, which is in the order of sites.
fn pick(mut sites: &mut [Site], work: Vec<Work>) -> Vec<(usize, &mut Site, Vec<Incoming>, Time)> {
    let mut passed = 0;
    let mut picked = Vec::with_capacity(work.len());
    for (index, arrivals, end) in work {
        let Some((site, rest)) = sites[index - passed..].split_first_mut() else { break };
        picked.push((index, site, arrivals, end));
        (sites, passed) = (rest, index + 1);
    }
    picked
}
