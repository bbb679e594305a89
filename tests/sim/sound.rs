//! Which members must not fail: those that a sound path leads to.

use leon::sim::{SiteState, World};
use leon::{Event, Time};

use crate::support::{lists, secs};

/// Paths of at most so many links count.
const MAX_LINKS: usize = 4;
/// A path is sound when nothing was wrong with it for this long.
const SOUND_AFTER: core::time::Duration = secs(20);

/// Since when each link is without faults in both directions, its ends awake.
pub(crate) struct Sound {
    since: Vec<Vec<Option<Time>>>,
    /// How many events of each site were looked at.
    seen: Vec<usize>,
    failures: usize,
}

impl Sound {
    pub(crate) fn new(world: &World) -> Self {
        let sites = world.sites();
        let mut sound = Sound { since: vec![vec![None; sites]; sites], seen: vec![0; sites], failures: 0 };
        sound.look(world);
        sound
    }

    /// To be called after each change of the world.
    pub(crate) fn look(&mut self, world: &World) {
        let is_awake = |site| world.state(site) == SiteState::Running;
        let carries = |from, to| {
            world.carries(from, to)
                && world.link(from, to).is_some_and(|link| link.loss + link.corruption == 0.0)
        };
        for one in 0..world.sites() {
            for other in 0..one {
                let is_sound = is_awake(one) && is_awake(other) && carries(one, other) && carries(other, one);
                let since = is_sound.then(|| self.since[one][other].unwrap_or(world.now()));
                (self.since[one][other], self.since[other][one]) = (since, since);
            }
        }
    }

    /// Nobody restarted or moved silently: the links of a site count anew.
    pub(crate) fn forget(&mut self, site: usize, now: Time) {
        for other in 0..self.since.len() {
            for (from, to) in [(site, other), (other, site)] {
                self.since[from][to] = self.since[from][to].map(|_| now);
            }
        }
    }

    /// How many members failed, by the word of all sites.
    pub(crate) fn failures(&self) -> usize {
        self.failures
    }

    /// Fails if a site has dropped a member that a sound path led to, since the last call.
    pub(crate) fn check(&mut self, world: &World) {
        for site in 0..world.sites() {
            let events = world.events(site);
            for (at, event) in &events[self.seen[site]..] {
                let Event::MemberFailed { id, .. } = event else { continue };
                self.failures += 1;
                let Some(failed) = world.site_of(*id) else { continue };
                let mut since = self.path_since(site, failed, |_| true);
                let is_sound =
                    |since: Option<Time>| since.is_some_and(|since| at.since(since) >= SOUND_AFTER);
                if is_sound(since) {
                    since = self.path_since(site, failed, |relay| {
                        lists(world, site, relay) && lists(world, relay, failed)
                    });
                }
                assert!(
                    !is_sound(since),
                    "seed {}: at {at:?} site {site} drops {failed}, to which a path is sound since {since:?}: {:#?}",
                    world.seed(),
                    [history(world, site, *at), history(world, failed, *at)],
                );
            }
            self.seen[site] = events.len();
        }
    }

    /// Since when the best path between two sites is sound that passes through no others than these.
    fn path_since(&self, from: usize, to: usize, relays: impl Fn(usize) -> bool) -> Option<Time> {
        let relays: Vec<usize> = (0..self.since.len()).filter(|&site| relays(site)).collect();
        // The later of the links of a path, the earliest of all paths.
        let mut best = self.since[from].clone();
        for _ in 1..MAX_LINKS {
            let known = best.clone();
            for &relay in &relays {
                for (end, on) in self.since[relay].iter().enumerate() {
                    let through = known[relay].zip(*on).map(|(there, on)| there.max(on));
                    if let Some(through) = through
                        && best[end].is_none_or(|known| through < known)
                    {
                        best[end] = Some(through);
                    }
                }
            }
        }
        best[to]
    }
}

/// What a site said in the last minute before.
fn history(world: &World, site: usize, before: Time) -> Vec<String> {
    let events = world.events(site).iter().filter(|(at, _)| before.since(*at) < secs(60) && *at <= before);
    events.map(|(at, event)| format!("site {site} at {at:?}: {event:?}")).collect()
}
