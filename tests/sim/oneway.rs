//! Ways that take longer there than back: paths are chosen by what frames take in their direction, though no two clocks
//! agree.

use core::time::Duration;

use leon::sim::oracle::{Costs, lowest_costs, path_cost};
use leon::sim::{Dice, Link, Matrix, Violation, World};
use leon::{Event, Time};

use crate::support::{Outcome, formed, ms, over, secs, seeds, triangle};

/// Gives each clock a rate of its own, off by up to 100 ppm.
fn with_drifting_clocks(mut world: World, seed: u64) -> World {
    let mut dice = Dice::named(seed, "clocks");
    for site in 0..world.sites() {
        world.drift_clock(site, dice.below(200_001) as i32 - 100_000);
    }
    world
}

/// Sites at random places whose ways differ by direction: some take up to thrice as long there as back.
fn lopsided(sites: usize, seed: u64) -> World {
    let mut dice = Dice::named(seed, "directions");
    let mut links = Matrix::internet_like(sites, seed).links();
    for (_, _, link) in &mut links {
        link.delay_ns = (link.delay_ns as f64 * (0.6 + 1.2 * dice.share())) as u64;
    }
    with_drifting_clocks(World::with_links(seed, sites, &links), seed)
}

/// The path that frames take, with its source.
fn taken(world: &World, from: usize, to: usize) -> Vec<usize> {
    core::iter::once(from).chain(world.path(from, to).iter().copied()).collect()
}

fn pairs(sites: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..sites).flat_map(move |from| (0..sites).map(move |to| (from, to))).filter(|(from, to)| from != to)
}

fn paths(world: &World) -> Vec<Vec<usize>> {
    pairs(world.sites()).map(|(from, to)| taken(world, from, to)).collect()
}

/// How often any path has changed since a moment.
fn changes(world: &World, since: Time) -> usize {
    let events = (0..world.sites()).flat_map(|site| world.events(site));
    events.filter(|(at, event)| *at >= since && matches!(event, Event::PathChanged { .. })).count()
}

/// From 0 to 2 the direct way takes 60 ms and back 10; through 1 it takes 20 ms there, and 70 back.
fn roundabout() -> World {
    let mut world = triangle(0.0, 0.0, 0.0);
    for (from, to, delay) in [(0, 2, 60), (2, 0, 10), (0, 1, 10), (1, 2, 10), (2, 1, 35), (1, 0, 35)] {
        world.set_link(from, to, Link { delay_ns: delay * 1_000_000, ..Link::rtt_ms(0.0) });
    }
    with_drifting_clocks(world, 1)
}

#[test]
fn a_detour_whose_round_trip_is_longer_is_taken_in_the_direction_in_which_it_is_shorter() -> Outcome {
    let mut world = formed(roundabout())?;
    world.run_for(secs(60))?;
    assert_eq!((taken(&world, 0, 2), taken(&world, 2, 0)), (vec![0, 1, 2], vec![2, 0]));
    // Round trips are 70 ms straight and 90 ms by way of 1.
    assert_eq!((taken(&world, 0, 1), taken(&world, 1, 0)), (vec![0, 1], vec![1, 2, 0]));
    let since = world.now();
    world.run_for(secs(600))?;
    assert_eq!(changes(&world, since), 0);
    world.check_at_rest()
}

/// What all paths take in their direction together, direct, as engines choose, by the oracle on round trips, and by that
/// on directions, in nanoseconds.
fn totals(world: &World) -> [u64; 4] {
    let (delays, rtts) = (world.true_delays(), world.true_costs());
    let charge_ns = world.config(0).relay_charge.as_nanos() as u64 / 2;
    let best = lowest_costs(&delays, charge_ns, 4);
    let by_rtt = lowest_costs(&rtts, 2 * charge_ns, 4);
    let delay = |path: &[usize]| path_cost(&delays, charge_ns, path).expect("a full mesh");
    let mut totals = [0; 4];
    for (from, to) in pairs(world.sites()) {
        let half = path_of(&rtts, 2 * charge_ns, by_rtt[from][to].expect("a path"), from, to);
        let each = [
            delay(&[from, to]),
            delay(&taken(world, from, to)),
            delay(&half),
            best[from][to].expect("a path"),
        ];
        totals.iter_mut().zip(each).for_each(|(total, ns)| *total += ns);
    }
    totals
}

/// A path with this cost.
fn path_of(links: &Costs, charge_ns: u64, cost: u64, from: usize, to: usize) -> Vec<usize> {
    let mut open = vec![vec![from]];
    while let Some(path) = open.pop() {
        let last = path[path.len() - 1];
        if last == to && path_cost(links, charge_ns, &path) == Some(cost) {
            return path;
        }
        if last != to && path.len() < 5 {
            open.extend(
                (0..links.len()).filter(|at| !path.contains(at)).map(|at| [&path[..], &[at]].concat()),
            );
        }
    }
    unreachable!("the cost is that of a path")
}

#[test]
fn where_directions_differ_paths_are_nearly_the_best_in_theirs_and_better_than_by_round_trips() -> Outcome {
    let mut sums = [0; 4];
    for seed in seeds(5) {
        let mut world = lopsided(8, seed);
        world.start_all()?;
        world.run_for(secs(180))?;
        sums.iter_mut().zip(totals(&world)).for_each(|(sum, total)| *sum += total);
    }
    let [direct, taken, by_rtt, best] = sums.map(|sum| sum as f64);
    let gain = |sum: f64| (direct - sum) / (direct - best);
    println!("{:.3} of the oracle's gain, {:.3} by round trips", gain(taken), gain(by_rtt));
    assert!(gain(taken) >= 0.9, "{}", gain(taken));
    assert!(
        gain(taken) >= gain(by_rtt) + 0.1,
        "{} by directions, {} by round trips",
        gain(taken),
        gain(by_rtt)
    );
    Ok(())
}

/// A dozen sites on symmetric links, by perfect clocks or by drifting ones, after some minutes; the paths, and how often
/// one has changed in the last ten.
fn symmetric(seed: u64, jitter: Duration, drift: bool) -> Result<(Vec<Vec<usize>>, usize), Violation> {
    let mut world = over(&Matrix::internet_like(8, seed));
    for (from, to) in pairs(8) {
        let link = world.link(from, to).expect("a full mesh");
        world.set_link(from, to, Link { jitter_ns: jitter.as_nanos() as u64, ..link });
    }
    if drift {
        world = with_drifting_clocks(world, seed);
    }
    world.start_all()?;
    world.run_for(secs(120))?;
    let since = world.now();
    world.run_for(secs(600))?;
    Ok((paths(&world), changes(&world, since)))
}

#[test]
fn on_symmetric_links_drifting_clocks_change_no_path() -> Outcome {
    for seed in seeds(3) {
        let (perfect, _) = symmetric(seed, ms(0), false)?;
        let (drifting, changes) = symmetric(seed, ms(0), true)?;
        assert_eq!(drifting, perfect);
        assert_eq!(changes, 0);
    }
    Ok(())
}

#[test]
fn on_symmetric_links_with_jitter_drifting_clocks_make_no_path_flap() -> Outcome {
    for seed in seeds(3) {
        let (_, changes) = symmetric(seed, ms(2), true)?;
        assert!(changes <= 56 * 10 / 50, "{changes} changes of 56 paths in ten minutes");
    }
    Ok(())
}

#[test]
fn a_clock_that_is_set_by_five_seconds_disturbs_nothing_for_long() -> Outcome {
    for site in 0..3 {
        let mut world = formed(roundabout())?;
        world.run_for(secs(120))?;
        let before = paths(&world);
        world.step_clock(site, secs(5));
        let mut disturbed = 0;
        for _ in 0..60 {
            world.run_for(secs(1))?;
            disturbed += usize::from(paths(&world) != before);
        }
        assert_eq!(paths(&world), before, "site {site}");
        assert!(disturbed <= 45, "for {disturbed} s");
    }
    Ok(())
}

#[test]
fn a_clock_that_is_set_by_twenty_milliseconds_moves_no_path_on_symmetric_links() -> Outcome {
    let mut world = formed(with_drifting_clocks(triangle(40.0, 25.0, 25.0), 2))?;
    world.run_for(secs(120))?;
    for step in [20, 400] {
        world.step_clock(1, ms(step));
        let since = world.now();
        world.run_for(secs(120))?;
        assert_eq!(changes(&world, since), 0, "{step} ms");
    }
    Ok(())
}
