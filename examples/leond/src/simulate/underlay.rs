//! The sites of a simulation and the delays between them, in one frame of time or in several. Knows neither files
//! nor engines.

use anyhow::ensure;
use leon::sim::oracle::Costs;
use leon::sim::{Dice, Link};

/// Longest round-trip time, in milliseconds: a geostationary satellite takes 600, and engines wait 3 s for an answer.
pub(super) const MAX_RTT_MS: f64 = 2000.0;

/// One-way delays between all sites in nanoseconds, row = from, column = to; `None` where nothing passes.
pub(super) type Delays = Costs;

/// Named sites and the delays between them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Underlay {
    pub(super) names: Vec<String>,
    /// At least one; each is as large as there are names.
    pub(super) frames: Vec<Delays>,
}

impl Underlay {
    /// So many of the sites, as the seed draws them, in the order they have here.
    pub(super) fn draw(&self, nodes: usize, seed: u64) -> anyhow::Result<Underlay> {
        let sites = self.names.len();
        ensure!(nodes <= sites, "--nodes {nodes}: there are {sites} sites only");
        let mut dice = Dice::named(seed, "draw");
        let mut order: Vec<usize> = (0..sites).collect();
        for place in 0..nodes {
            let other = place + dice.below((sites - place) as u64) as usize;
            order.swap(place, other);
        }
        order.truncate(nodes);
        order.sort_unstable();
        let pick = |delays: &Delays| {
            order.iter().map(|&from| order.iter().map(|&to| delays[from][to]).collect()).collect()
        };
        Ok(Underlay {
            names: order.iter().map(|&site| self.names[site].clone()).collect(),
            frames: self.frames.iter().map(pick).collect(),
        })
    }
}

/// The delay of one direction, in nanoseconds: half of the round-trip time measured in it.
pub(super) fn delay_ns(rtt_ms: f64) -> u64 {
    Link::rtt_ms(rtt_ms).delay_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_follows_from_its_seed_and_keeps_order_and_delays() {
        let cell = |from: u64, to: u64| Some(10 * from + to);
        let delays: Delays = (0..9).map(|from| (0..9).map(|to| cell(from, to)).collect()).collect();
        let names = (0..9).map(|site| site.to_string()).collect();
        let underlay = Underlay { names, frames: vec![delays] };
        let drawn = underlay.draw(4, 7).unwrap();
        assert_eq!(drawn, underlay.draw(4, 7).unwrap());
        assert!((8..30).any(|seed| underlay.draw(4, seed).unwrap() != drawn));
        assert!(drawn.names.is_sorted() && drawn.names.len() == 4);
        let [first, last] = [0, 3].map(|place: usize| drawn.names[place].parse().unwrap());
        assert_eq!(drawn.frames[0][0][3], cell(first, last));
        assert_eq!(underlay.draw(9, 1).unwrap(), underlay);
        let error = underlay.draw(10, 1).unwrap_err();
        assert_eq!(error.to_string(), "--nodes 10: there are 9 sites only");
    }
}
