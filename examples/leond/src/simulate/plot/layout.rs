//! Places for the sites on a plane, so that distances are about round-trip times: stress majorization with the SMACOF
//! algorithm (de Leeuw 1977; Gansner, Koren and North, GD 2004). Knows numbers only.

/// Rounds; on a hundred sites the picture changes no more after some fifty.
const ROUNDS: usize = 300;

/// A place on the plane, in milliseconds.
pub(super) type Place = (f64, f64);

/// Places for as many sites as there are rows; `rtt_ms` is symmetric, and a pair without a round-trip time is not drawn
/// together nor apart. Near pairs count more, by the inverse square of their distance.
pub(super) fn places(rtt_ms: &[Vec<Option<f64>>]) -> Vec<Place> {
    let sites = rtt_ms.len();
    let mut places: Vec<Place> = (0..sites).map(|site| start(site, sites, rtt_ms)).collect();
    for _ in 0..ROUNDS {
        places = (0..sites).map(|site| moved(site, &places, rtt_ms)).collect();
    }
    places
}

/// A circle as wide as the longest round-trip time.
fn start(site: usize, sites: usize, rtt_ms: &[Vec<Option<f64>>]) -> Place {
    let longest = rtt_ms.iter().flatten().flatten().fold(1.0, |longest: f64, ms| longest.max(*ms));
    let angle = core::f64::consts::TAU * site as f64 / sites as f64;
    (longest / 2.0 * angle.cos(), longest / 2.0 * angle.sin())
}

/// Where the other sites would have a site, on their weighted average.
fn moved(site: usize, places: &[Place], rtt_ms: &[Vec<Option<f64>>]) -> Place {
    let (x, y) = places[site];
    let mut sum = (0.0, 0.0, 0.0);
    for (other, &(other_x, other_y)) in places.iter().enumerate().filter(|&(other, _)| other != site) {
        let Some(ms) = rtt_ms[site][other] else { continue };
        let ms = ms.max(0.1);
        let weight = 1.0 / (ms * ms);
        let stretch = ms / (x - other_x).hypot(y - other_y).max(0.01);
        sum.0 += weight * (other_x + stretch * (x - other_x));
        sum.1 += weight * (other_y + stretch * (y - other_y));
        sum.2 += weight;
    }
    if sum.2 > 0.0 { (sum.0 / sum.2, sum.1 / sum.2) } else { (x, y) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_round_trip_times_where_a_plane_has_room_for_them() {
        let corners: [Place; 4] = [(0.0, 0.0), (30.0, 0.0), (30.0, 40.0), (0.0, 40.0)];
        let distance = |a: Place, b: Place| (a.0 - b.0).hypot(a.1 - b.1);
        let rtt_ms: Vec<Vec<Option<f64>>> =
            corners.iter().map(|&a| corners.iter().map(|&b| Some(distance(a, b))).collect()).collect();
        let places = places(&rtt_ms);
        for (a, b) in [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (1, 3)] {
            let (is, should) = (distance(places[a], places[b]), distance(corners[a], corners[b]));
            assert!((is - should).abs() < 0.5, "{a} and {b}: {is} for {should}");
        }
    }

    #[test]
    fn sites_that_nothing_is_known_of_have_a_place_too() {
        let places = places(&[vec![None, None], vec![None, None]]);
        assert!(places.iter().all(|(x, y)| x.is_finite() && y.is_finite()));
    }
}
