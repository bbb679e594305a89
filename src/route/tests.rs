//! What the router does with latencies as they come.

use super::*;

const OWN: NodePrefix = NodePrefix(0);
const INAGI: NodePrefix = NodePrefix(1);
const SEOUL: NodePrefix = NodePrefix(2);

/// Round-trip times in microseconds of own-Inagi, Inagi-Seoul and own-Seoul; 0 for none.
fn select(router: &mut Router, us: [u32; 3]) -> Vec<Change> {
    select_at(router, us, Time::ZERO)
}

fn select_at(router: &mut Router, [first, second, direct]: [u32; 3], now: Time) -> Vec<Change> {
    let link = |from: NodePrefix, to: NodePrefix| {
        let us = match (from.0.min(to.0), from.0.max(to.0)) {
            (0, 1) => first,
            (1, 2) => second,
            _ => direct,
        };
        (us != 0).then_some(LinkLatency { fast_us: us, slow_us: us, ..LinkLatency::default() })
    };
    select_by(router, &[OWN, INAGI, SEOUL], link, now)
}

fn select_by(
    router: &mut Router,
    nodes: &[NodePrefix],
    link: impl Fn(NodePrefix, NodePrefix) -> Option<LinkLatency>,
    now: Time,
) -> Vec<Change> {
    let pairs = (0..nodes.len()).flat_map(|from| (0..nodes.len()).map(move |to| (from, to)));
    let links = pairs.filter(|(from, to)| from != to);
    let links: Vec<_> =
        links.map(|(from, to)| (from as u16, to as u16, link(nodes[from], nodes[to]))).collect();
    router.select(nodes, &links, |_| Some(Transit::default()), now).changes
}

pub(super) fn router_of(own: NodePrefix) -> Router {
    let rng = Rng::new([own.0 as u8; 32]);
    Router::new(own, Duration::from_micros(100), Policy::default(), rng)
}

fn router() -> Router {
    router_of(OWN)
}

#[test]
fn the_lowest_path_is_chosen_and_the_direct_one_on_ties() {
    let mut router = router();
    select(&mut router, [4_000, 17_000, 32_000]);
    assert_eq!(router.path(SEOUL).hops(), [INAGI, SEOUL]);
    let mut tie = self::router();
    select(&mut tie, [10_000, 10_000, 20_100]);
    assert!(tie.path(SEOUL).is_direct());
}

#[test]
fn an_old_path_is_left_for_one_that_is_better_by_two_hundredths_and_a_young_one_is_not() {
    let mut router = router();
    select_at(&mut router, [50_000, 50_000, 100_000], at(0));
    assert!(select_at(&mut router, [49_000, 48_900, 100_000], at(29)).is_empty());
    let better = [Change { to: SEOUL, cause: PathCause::Better }];
    assert_eq!(select_at(&mut router, [49_000, 48_900, 100_000], at(30)), better);
}

#[test]
fn jitter_keeps_a_path_from_being_left_for_one_that_may_be_no_better() {
    let nodes = [OWN, INAGI, SEOUL];
    for (jitter_us, is_taken) in [(300, true), (3_000, false)] {
        let mut links = links_of(|one, other| if (one, other) == (0, 2) { 30_000 } else { 13_500 });
        links.iter_mut().filter_map(|(_, _, link)| link.as_mut()).for_each(|link| link.jitter_us = jitter_us);
        let mut router = router();
        router.select(&nodes, &links, |_| Some(Transit::default()), at(0));
        router.select(&nodes, &links, |_| Some(Transit::default()), at(60));
        assert_eq!(!router.path(SEOUL).is_direct(), is_taken, "{jitter_us} us");
    }
}

#[test]
fn a_path_that_is_better_by_less_than_the_hysteresis_is_not_taken() {
    let mut router = router();
    select(&mut router, [50_000, 50_000, 100_000]);
    assert!(select(&mut router, [47_500, 47_500, 100_000]).is_empty(), "4.9 % better");
    assert_eq!(
        select(&mut router, [47_000, 47_000, 100_000]),
        [Change { to: SEOUL, cause: PathCause::Better }]
    );
    assert!(select(&mut router, [49_000, 50_000, 100_000]).is_empty(), "still better than direct");
    assert_eq!(
        select_at(&mut router, [50_000, 50_000, 100_000], at(10)),
        [Change { to: SEOUL, cause: PathCause::DirectAsGood }],
        "once nothing is held against it any more"
    );
}

#[test]
fn a_third_path_is_taken_although_the_direct_one_is_as_good_as_the_present_one() {
    let other = NodePrefix(3);
    let mut router = router();
    let mut select = |direct: u32, through_inagi: u32, through_other: u32| {
        let link = |from: NodePrefix, to: NodePrefix| {
            let us = match (from.0.min(to.0), from.0.max(to.0)) {
                (0, 2) => direct,
                (1, 2) => through_inagi,
                (2, 3) => through_other,
                _ => 1_000,
            };
            (us != 0).then_some(LinkLatency { fast_us: us, slow_us: us, ..LinkLatency::default() })
        };
        select_by(&mut router, &[OWN, INAGI, SEOUL, other], link, Time::ZERO);
        router.path(SEOUL).hops().to_vec()
    };
    assert_eq!(select(0, 50_000, 0), [INAGI, SEOUL]);
    assert_eq!(select(40_000, 50_000, 20_000), [other, SEOUL]);
}

#[test]
fn a_path_whose_relay_is_gone_is_dead_and_remembered() {
    let mut router = router();
    select(&mut router, [4_000, 17_000, 32_000]);
    let former = router.path(SEOUL);
    let nothing = |_, _| None;
    assert!(router.remove(INAGI, &nothing, Time::ZERO).is_urgent, "the backup is down, too");
    assert!(router.path(SEOUL).is_direct(), "until the next selection");
    let link = |_, _| Some(LinkLatency { fast_us: 32_000, slow_us: 32_000, ..LinkLatency::default() });
    let changes = select_by(&mut router, &[OWN, SEOUL], link, Time::ZERO);
    assert_eq!(changes, [Change { to: SEOUL, cause: PathCause::Dead }]);
    assert_eq!(router.changes(SEOUL)[0].former, Some(former));
}

#[test]
fn a_dead_path_is_left_at_once_and_for_the_direct_one_if_nothing_is_known() {
    let mut router = router();
    select(&mut router, [4_000, 17_000, 32_000]);
    assert_eq!(select(&mut router, [4_000, 0, 32_000]), [Change { to: SEOUL, cause: PathCause::Dead }]);
    assert!(router.path(SEOUL).is_direct());
    assert_eq!(select(&mut router, [4_000, 17_000, 0]), [Change { to: SEOUL, cause: PathCause::Dead }]);
    select(&mut router, [0, 0, 0]);
    assert!(router.path(SEOUL).is_direct());
}

/// What is known of three nodes: each two are as far apart as the function says, in microseconds.
fn links_of(us: impl Fn(u64, u64) -> u32) -> Vec<KnownLink> {
    let pairs = (0..3).flat_map(|from| (0..3).map(move |to| (from, to))).filter(|(from, to)| from != to);
    let link = |from: u16, to: u16| {
        let us = us(from.min(to).into(), from.max(to).into());
        LinkLatency { fast_us: us, slow_us: us, ..LinkLatency::default() }
    };
    pairs.map(|(from, to)| (from, to, Some(link(from, to)))).collect()
}

fn at(secs: u64) -> Time {
    Time::ZERO + Duration::from_secs(secs)
}

#[test]
fn a_path_that_was_left_for_a_better_one_is_not_returned_to_within_ten_seconds() {
    let nodes = [OWN, INAGI, SEOUL];
    let no_load = |_| Some(Transit::default());
    let queue = links_of(|one, other| if (one, other) == (0, 2) { 60_000 } else { 20_000 });
    let calm = links_of(|one, other| if (one, other) == (0, 2) { 30_000 } else { 20_000 });
    for (secs, returns) in [(2, false), (6, true)] {
        let mut router = router();
        router.select(&nodes, &calm, no_load, at(0));
        router.select(&nodes, &queue, no_load, at(1));
        assert_eq!(router.path(SEOUL).hops(), [INAGI, SEOUL]);
        router.select(&nodes, &calm, no_load, at(1 + secs));
        assert_eq!(router.path(SEOUL).is_direct(), returns, "20 ms were held against it, 10 ms it is better");
    }
}

#[test]
fn a_penalised_path_is_left_and_returned_to_when_that_has_faded() {
    let nodes = [OWN, INAGI, SEOUL];
    let no_load = |_| Some(Transit::default());
    let links = links_of(|one, other| if (one, other) == (0, 2) { 32_000 } else { 10_000 });
    let mut router = router();
    router.select(&nodes, &links, no_load, at(0));
    let path = router.path(SEOUL);
    assert_eq!(path.hops(), [INAGI, SEOUL]);
    router.penalise(SEOUL, path.clone(), 50_000_000, at(1), at(61));
    let selection = router.select(&nodes, &links, no_load, at(1));
    assert!(router.path(SEOUL).is_direct());
    assert_eq!(selection.again_at, at(31), "less has to be better then");
    let selection = router.select(&nodes, &links, no_load, at(40));
    assert!(router.path(SEOUL).is_direct(), "17 ms are left");
    assert_eq!(selection.again_at, at(61));
    router.select(&nodes, &links, no_load, at(61));
    assert_eq!(router.path(SEOUL), path);
}

/// Forty nodes that all want one relay, of which each would take up a tenth: the load it comes to, second by second, as
/// told every two seconds, and how often each path changes.
fn herd() -> (Vec<f64>, f64) {
    const WANT: u64 = 40;
    let nodes = [OWN, INAGI, SEOUL];
    let links = links_of(|one, other| if (one, other) == (0, 2) { 40_000 } else { 10_000 });
    let mut routers: Vec<Router> = (0..WANT)
        .map(|seed| {
            let rng = Rng::new([seed as u8; 32]);
            Router::new(OWN, Duration::from_millis(1), Policy::default(), rng)
        })
        .collect();
    let (mut loads, mut changes, mut told) = (Vec::new(), 0, 0.0_f64);
    for second in 0..600 {
        let transit = |_| Some(Transit { load: (told.min(1.0) * 255.0) as u8, delay_us: 0 });
        for router in &mut routers {
            changes += router.select(&nodes, &links, transit, at(second)).changes.len();
        }
        let through = routers.iter().filter(|router| !router.path(SEOUL).is_direct()).count();
        loads.push(through as f64 / 10.0);
        if second % 2 == 1 {
            told = loads[loads.len() - 1];
        }
    }
    (loads, changes as f64 / WANT as f64)
}

#[test]
fn a_relay_that_many_want_is_neither_trampled_nor_deserted() {
    let (loads, changes_per_path) = herd();
    let settled = &loads[60..];
    let (least, most) =
        (settled.iter().copied().fold(9.0, f64::min), settled.iter().copied().fold(0.0, f64::max));
    println!("load {least} to {most} after a minute; {changes_per_path} changes of each path in ten");
    assert!(least >= 0.6 && most <= 1.0, "{least} to {most}");
    assert!(changes_per_path < 3.0, "{changes_per_path}");
}

#[test]
fn bulk_traffic_goes_straight_where_a_relay_gains_little_and_around_a_lossy_link() {
    let nodes = [OWN, INAGI, SEOUL];
    let no_load = |_| Some(Transit::default());
    let links = |loss| -> Vec<KnownLink> {
        let mut links = links_of(|one, other| if (one, other) == (0, 2) { 32_000 } else { 11_000 });
        for (_, _, link) in links.iter_mut().filter(|(from, to, _)| (*from, *to) == (0, 2)) {
            *link = link.map(|link| LinkLatency { loss, ..link });
        }
        links
    };
    let mut router = router().with_bulk(true);
    router.select(&nodes, &links(0), no_load, at(0));
    assert_eq!(router.path(SEOUL).hops(), [INAGI, SEOUL]);
    assert_eq!(router.bulk_path(SEOUL).map(Path::hops), Some(&[SEOUL][..]), "it would be 1.45 times as fast");
    assert!(router.select(&nodes, &links(51), no_load, at(1)).has_other_bulk);
    assert_eq!(router.bulk_path(SEOUL), None, "the same path for all");
    let nothing = |_, _| None;
    assert!(router.lose_link(INAGI, SEOUL, &nothing, at(2)).has_lost_bulk);
}

#[test]
fn a_node_that_carries_no_transit_is_on_no_path_but_its_own() {
    let nodes = [OWN, INAGI, SEOUL];
    let links = links_of(|one, other| if (one, other) == (0, 2) { 40_000 } else { 10_000 });
    let mut router = router();
    router.select(&nodes, &links, |node| (node != INAGI).then(Transit::default), at(0));
    assert!(router.path(SEOUL).is_direct() && router.path(INAGI).is_direct());
    assert_eq!(router.backup(SEOUL), None);
}

#[test]
fn a_relay_that_makes_its_links_short_gains_nothing_while_their_other_ends_tell_the_truth() {
    let nodes = [OWN, INAGI, SEOUL];
    let mut links = links_of(|one, other| if one + other == 2 { 60_000 } else { 40_000 });
    let claimed = LinkLatency { fast_us: 1_000, slow_us: 1_000, ..LinkLatency::default() };
    links.iter_mut().filter(|(from, ..)| *from == 1).for_each(|(_, _, link)| *link = Some(claimed));
    let mut router = router();
    router.select(&nodes, &links, |_| Some(Transit::default()), at(0));
    assert!(router.path(SEOUL).is_direct(), "80 ms, not 41");
    let links = links_of(|one, other| if one + other == 2 { 60_000 } else { 20_500 });
    router.select(&nodes, &links, |_| Some(Transit::default()), at(60));
    assert_eq!(router.path(SEOUL).hops(), [INAGI, SEOUL], "once both say the same");
}
