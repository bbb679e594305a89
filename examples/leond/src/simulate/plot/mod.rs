//! The picture of a simulation: on the left the sites, as far from each other as their round-trip times, and who relays
//! for whom; on the right how many pairs save how much.

mod labels;
mod layout;
mod svg;

use self::labels::{Label, arranged};
use self::layout::Place;
use self::svg::{Anchor, Svg};
use super::measure::Pair;
use super::run::Outcome;
use super::summary::Summary;
use super::underlay::Underlay;

/// Colours that people with defective colour vision tell apart (Okabe and Ito).
const LEON: &str = "#0072b2";
const RELAY: &str = "#d55e00";
const INK: &str = "#333333";
const PALE: &str = "#cccccc";

const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 640.0;
/// The corners of the map and of the chart.
const MAP: [(f64, f64); 2] = [(70.0, 110.0), (680.0, 560.0)];
const CHART: [(f64, f64); 2] = [(800.0, 110.0), (1160.0, 540.0)];
/// Width of the chart's bars, in percent of the direct round-trip time.
const BIN_PCT: f64 = 5.0;
/// Font sizes.
const SMALL: f64 = 12.0;
const LARGE: f64 = 16.0;
/// More sites than this leave no room for the names of those that relay for nobody.
const MANY: usize = 60;

/// The picture as SVG.
pub(super) fn draw(underlay: &Underlay, outcome: &Outcome) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    map(&mut svg, underlay, outcome);
    chart(&mut svg, &outcome.pairs);
    let summary = Summary::of(outcome);
    let cut = |cut: Option<f64>| cut.map_or_else(|| "-".to_owned(), |cut| format!("{cut:.1} %"));
    let headline = format!(
        "{} of {} pairs of sites have shorter round trips; the average pair saves {} (over the best paths: {})",
        summary.improved_pairs,
        summary.pairs,
        cut(summary.mean_rtt_cut_pct),
        cut(summary.oracle_rtt_cut_pct),
    );
    svg.text((30.0, 40.0), Anchor::Start, 20.0, INK, &headline);
    svg.finish()
}

/// The sites and the links of relayed paths.
fn map(svg: &mut Svg, underlay: &Underlay, outcome: &Outcome) {
    let sites = underlay.names.len();
    let delays = &underlay.frames[0];
    let rtt = |one: usize, other: usize| Some((delays[one][other]? + delays[other][one]?) as f64 / 1e6);
    let rtt_ms: Vec<Vec<_>> =
        (0..sites).map(|one| (0..sites).map(|other| rtt(one, other)).collect()).collect();
    let places = fitted(&layout::places(&rtt_ms));
    svg.text((30.0, 80.0), Anchor::Start, LARGE, INK, "Who relays for whom");

    let mut uses = vec![vec![0_u32; sites]; sites];
    let mut relayed = vec![0_u32; sites];
    for (from, hops) in
        outcome.paths.iter().enumerate().flat_map(|(from, row)| row.iter().map(move |to| (from, to)))
    {
        let [relays @ .., _] = hops.as_slice() else { continue };
        relays.iter().for_each(|relay| relayed[*relay] += 1);
        if !relays.is_empty() {
            let path = [&[from], hops.as_slice()].concat();
            path.windows(2).for_each(|link| uses[link[0].min(link[1])][link[0].max(link[1])] += 1);
        }
    }
    let most = uses.iter().flatten().copied().max().unwrap_or(0).max(1);
    for (low, high) in (0..sites).flat_map(|low| (low + 1..sites).map(move |high| (low, high))) {
        if uses[low][high] > 0 {
            let width = 1.0 + 5.0 * f64::from(uses[low][high]) / f64::from(most);
            svg.line(places[low], places[high], "#9ecae1", width);
        }
    }
    let busiest = relayed.iter().copied().max().unwrap_or(0).max(1);
    let mut labels = Vec::new();
    for (site, &at) in places.iter().enumerate() {
        let (name, count) = (&underlay.names[site], relayed[site]);
        let is_relay = count > 0;
        let share = f64::from(count) / f64::from(busiest);
        let (color, radius) = if is_relay { (RELAY, 4.0 + 9.0 * share.sqrt()) } else { (INK, 4.0) };
        svg.circle(at, radius, color, &format!("{name}: relay of {count} paths"));
        let text = match is_relay {
            true => format!("{name} ({count})"),
            false if sites <= MANY => name.clone(),
            false => String::new(),
        };
        labels.push(Label { at, radius, text });
    }
    for (label, (at, anchor)) in labels.iter().zip(arranged(&labels, SMALL)) {
        svg.text(at, anchor, SMALL, INK, &label.text);
    }
    let legend = [
        "Distances are about direct round-trip times. Lines: the links of relayed paths, wider where more take them.",
        "Orange: sites that relay, and in brackets for how many paths; each pair of sites has two, one for each direction.",
    ];
    for (text, y) in legend.into_iter().zip([605.0, 623.0]) {
        svg.text((30.0, y), Anchor::Start, SMALL, INK, text);
    }
}

/// The places moved and scaled, both ways alike, to fit the map.
fn fitted(places: &[Place]) -> Vec<Place> {
    let bounds = |of: fn(&Place) -> f64| {
        let numbers = || places.iter().map(of);
        (numbers().fold(f64::MAX, f64::min), numbers().fold(f64::MIN, f64::max))
    };
    let ((left, right), (top, bottom)) = (bounds(|place| place.0), bounds(|place| place.1));
    let [(x1, y1), (x2, y2)] = MAP;
    let scale = ((x2 - x1) / (right - left).max(1e-3)).min((y2 - y1) / (bottom - top).max(1e-3));
    let middle = ((x1 + x2) / 2.0, (y1 + y2) / 2.0);
    let fit = |&(x, y): &Place| {
        (middle.0 + scale * (x - (left + right) / 2.0), middle.1 + scale * (y - (top + bottom) / 2.0))
    };
    places.iter().map(fit).collect()
}

/// How many pairs save how much, over leon and over the oracle's paths.
fn chart(svg: &mut Svg, pairs: &[Pair]) {
    let [(left, top), (right, bottom)] = CHART;
    let leon = bins(pairs.iter().filter_map(Pair::cut_pct));
    let oracle = bins(pairs.iter().filter_map(Pair::oracle_cut_pct));
    let first = leon.first.min(oracle.first);
    let last = leon.last().max(oracle.last());
    let most = leon.counts.iter().chain(&oracle.counts).copied().max().unwrap_or(0).max(1);
    let width = (right - left) / f64::from(last - first);
    let x_of = |bin: i32| left + width * f64::from(bin - first);
    let y_of = |count: u32| bottom - (bottom - top) * f64::from(count) / f64::from(most);

    svg.text(
        (left - 40.0, 80.0),
        Anchor::Start,
        LARGE,
        INK,
        "Pairs by what they save of the direct round trip",
    );
    for count in ticks(most) {
        svg.line((left, y_of(count)), (right, y_of(count)), PALE, 0.5);
        svg.text((left - 8.0, y_of(count) + 4.0), Anchor::End, SMALL, INK, &count.to_string());
    }
    for bin in first..last {
        let (count, ideal) = (leon.count(bin), oracle.count(bin));
        let title =
            format!("{} to {} %: {count} pairs", BIN_PCT * f64::from(bin), BIN_PCT * f64::from(bin + 1));
        svg.rect((x_of(bin) + 1.0, y_of(count)), (width - 2.0, bottom - y_of(count)), LEON, &title);
        if ideal > 0 {
            svg.line((x_of(bin), y_of(ideal)), (x_of(bin + 1), y_of(ideal)), RELAY, 2.0);
        }
    }
    let every = (last - first).unsigned_abs().div_ceil(6).max(1) as i32;
    for bin in (first..=last).filter(|bin| bin % every == 0) {
        let label = format!("{} %", BIN_PCT * f64::from(bin));
        svg.text((x_of(bin), bottom + 18.0), Anchor::Middle, SMALL, INK, &label);
    }
    svg.line((left, bottom), (right, bottom), INK, 1.0);
    svg.text((left, bottom + 42.0), Anchor::Start, SMALL, LEON, "bars: leon");
    svg.text((left + 90.0, bottom + 42.0), Anchor::Start, SMALL, RELAY, "lines: the best paths there are");
}

/// How many numbers fall between multiples of [`BIN_PCT`].
struct Bins {
    /// The first bin with a number, in multiples.
    first: i32,
    counts: Vec<u32>,
}

impl Bins {
    /// The bin behind the last one.
    fn last(&self) -> i32 {
        self.first + self.counts.len() as i32
    }

    fn count(&self, bin: i32) -> u32 {
        usize::try_from(bin - self.first).ok().and_then(|bin| self.counts.get(bin).copied()).unwrap_or(0)
    }
}

/// Up to 1 % lost, as in the seconds until a better path is known, counts as nothing saved, which is in the bin from 0
/// on; more than twice as slow counts as twice as slow.
fn bins(pct: impl Iterator<Item = f64>) -> Bins {
    let kept = |pct: f64| if (-1.0..0.0).contains(&pct) { 0.0 } else { pct.max(-100.0) };
    let bins: Vec<i32> = pct.map(|pct| (kept(pct) / BIN_PCT).floor() as i32).collect();
    let first = bins.iter().copied().min().unwrap_or(0).min(0);
    let last = bins.iter().copied().max().unwrap_or(0).max(0);
    let mut counts = vec![0; (last - first + 1) as usize];
    bins.into_iter().for_each(|bin| counts[(bin - first) as usize] += 1);
    Bins { first, counts }
}

/// Some round numbers up to `most`.
fn ticks(most: u32) -> impl Iterator<Item = u32> {
    let rough = most.div_ceil(5).max(1);
    let power = 10_u32.pow(rough.ilog10());
    let step = [1, 2, 5, 10].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    (0..=most).step_by(step.unwrap_or(rough) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_by_what_they_save() {
        let bins = bins([0.0, -0.9, 4.9, 5.0, 31.0, -7.0].into_iter());
        assert_eq!((bins.first, bins.last()), (-2, 7));
        assert_eq!([-2, -1, 0, 1, 6, 7].map(|bin| bins.count(bin)), [1, 0, 3, 1, 1, 0]);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(43).collect::<Vec<_>>(), [0, 10, 20, 30, 40]);
        assert_eq!(ticks(3).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
