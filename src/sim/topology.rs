//! Underlays to try a mesh on: matrices of round-trip times, and the links that follow from them.
//!
//! Knows sites by index only.

use crate::sim::dice::Dice;
use crate::sim::link::Link;

/// Round-trip times between all sites, in milliseconds, row = from, column = to; `None` where there is no
/// way. The diagonal is ignored.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix(Vec<Vec<Option<f64>>>);

impl Matrix {
    /// A matrix of measured round-trip times in milliseconds; a negative number or NaN means that there is
    /// no measurement. `None` if the rows do not all have as many columns as there are rows.
    pub fn from_ms(rows: &[Vec<f64>]) -> Option<Self> {
        let square = rows.iter().all(|row| row.len() == rows.len());
        let known = |&ms: &f64| (ms >= 0.0).then_some(ms);
        square.then(|| Matrix(rows.iter().map(|row| row.iter().map(known).collect()).collect()))
    }

    /// A matrix of `sites` sites with the round-trip time that `rtt_ms` gives for each pair (the lower
    /// index first), in milliseconds, the same in both directions.
    fn symmetric(sites: usize, mut rtt_ms: impl FnMut(usize, usize) -> Option<f64>) -> Self {
        let mut rows = vec![vec![None; sites]; sites];
        for (low, high) in (0..sites).flat_map(|low| (low + 1..sites).map(move |high| (low, high))) {
            let ms = rtt_ms(low, high);
            rows[low][high] = ms;
            rows[high][low] = ms;
        }
        Matrix(rows)
    }

    /// Figure 2 of the paper: Fujisawa (0), Inagi (1), Seoul (2). 32 ms from Fujisawa to Seoul, 21 ms
    /// through Inagi.
    pub fn fujisawa_inagi_seoul() -> Self {
        Matrix::symmetric(3, |low, high| Some([[0.0, 4.0, 32.0], [0.0, 0.0, 17.0]][low][high]))
    }

    /// The same round-trip time between all sites.
    pub fn full_mesh(sites: usize, rtt_ms: f64) -> Self {
        Matrix::symmetric(sites, |_, _| Some(rtt_ms))
    }

    /// Each site reaches its two neighbours only.
    pub fn ring(sites: usize, rtt_ms: f64) -> Self {
        Matrix::symmetric(sites, |low, high| (high - low == 1 || high - low == sites - 1).then_some(rtt_ms))
    }

    /// Each site reaches its neighbours only, the first and last have one.
    pub fn line(sites: usize, rtt_ms: f64) -> Self {
        Matrix::symmetric(sites, |low, high| (high - low == 1).then_some(rtt_ms))
    }

    /// Every site reaches site 0 only.
    pub fn star(sites: usize, rtt_ms: f64) -> Self {
        Matrix::symmetric(sites, |low, _| (low == 0).then_some(rtt_ms))
    }

    /// Sites scattered over a plane of 100 ms by 50 ms of round-trip time; each pair's way is 1.1 to 1.5
    /// times longer than the straight line, and one pair in four takes a detour of up to 3 times.
    /// On such matrices one relay improves about a third of the pairs, as it does on the Internet
    /// (Rahul et al., MIT-LCS-TR-1009; Savage et al., SIGCOMM 1999: 30 to 80 %).
    pub fn internet_like(sites: usize, seed: u64) -> Self {
        let mut places = Dice::named(seed, "places");
        let mut ways = Dice::named(seed, "ways");
        let at: Vec<(f64, f64)> =
            (0..sites).map(|_| (places.share() * 100.0, places.share() * 50.0)).collect();
        Matrix::symmetric(sites, |low, high| {
            let straight = (at[low].0 - at[high].0).hypot(at[low].1 - at[high].1);
            let detour = if ways.chance(0.25) { 1.5 + 1.5 * ways.share() } else { 1.1 + 0.4 * ways.share() };
            Some(0.5 + straight * detour)
        })
    }

    /// How many sites there are.
    pub fn sites(&self) -> usize {
        self.0.len()
    }

    /// The round-trip time in milliseconds, if there is a way.
    pub fn rtt_ms(&self, from: usize, to: usize) -> Option<f64> {
        self.0[from][to]
    }

    /// The links that give these round-trip times: each direction takes half of its own entry.
    pub fn links(&self) -> Vec<(usize, usize, Link)> {
        let mut links = Vec::new();
        for (from, row) in self.0.iter().enumerate() {
            for (to, rtt_ms) in row.iter().enumerate().filter(|&(to, _)| to != from) {
                links.extend(rtt_ms.map(|ms| (from, to, Link::rtt_ms(ms))));
            }
        }
        links
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::oracle::{Costs, lowest_costs};

    #[test]
    fn shapes_have_their_links() {
        for (matrix, links) in [
            (Matrix::full_mesh(5, 1.0), 20),
            (Matrix::ring(5, 1.0), 10),
            (Matrix::line(5, 1.0), 8),
            (Matrix::star(5, 1.0), 8),
            (Matrix::ring(2, 1.0), 2),
        ] {
            assert_eq!(matrix.links().len(), links, "{matrix:?}");
        }
    }

    #[test]
    fn unmeasured_pairs_have_no_link() {
        let matrix = Matrix::from_ms(&[vec![0.0, f64::NAN], vec![8.0, 0.0]]).unwrap();
        assert_eq!(matrix.links(), [(1, 0, Link::rtt_ms(8.0))]);
        assert_eq!(Matrix::from_ms(&[vec![0.0, 1.0]]), None);
    }

    #[test]
    fn an_internet_like_matrix_rewards_relays_about_as_the_internet_does() {
        let mut improved = 0.0;
        for seed in 0..10 {
            let matrix = Matrix::internet_like(40, seed);
            let links: Costs = (0..40)
                .map(|from| (0..40).map(|to| matrix.rtt_ms(from, to).map(|ms| (ms * 1e6) as u64)).collect())
                .collect();
            let best = lowest_costs(&links, 100_000, 2);
            let pairs = (0..40).flat_map(|from| (0..40).map(move |to| (from, to)));
            let better = pairs
                .filter(|&(from, to)| from != to && best[from][to] < links[from][to].map(|c| c * 9 / 10));
            improved += better.count() as f64 / (40.0 * 39.0) / 10.0;
        }
        assert!((0.2..0.5).contains(&improved), "{improved}");
    }
}
