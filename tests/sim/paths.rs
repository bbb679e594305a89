//! §4.2: what is measured, and which paths follow from it.

use core::time::Duration;

use leon::sim::oracle::lowest_costs;
use leon::sim::{Link, Matrix, To, World};
use leon::{Event, PathCause, Time};

use crate::support::{
    Outcome, change, count, cut_both, formed, member, mesh, ms, over, secs, seeds, triangle, when,
};

#[test]
fn frames_go_through_inagi_when_that_is_faster() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    assert_eq!(world.path(0, 2), [1, 2]);
    assert_eq!(world.path(2, 0), [1, 0]);
    assert_eq!((world.path(0, 1), world.path(1, 2)), ([1].as_slice(), [2].as_slice()));
    world.check_at_rest()?;
    let (host, other) = (world.add_host(0), world.add_host(2));
    world.send(other, To::Everyone, 60);
    world.run_for(secs(1))?;
    let sent_at = world.now();
    let frame = world.send(host, To::Host(other), 60);
    world.run_for(secs(1))?;
    assert_eq!(world.frame(frame).sites(), [2]);
    assert_eq!(world.frame(frame).deliveries[0].at.since(sent_at), Duration::from_micros(10_500));
    assert!(count(&world, 1, leon::Counter::Relayed) > 0);
    Ok(())
}

#[test]
fn the_latency_database_is_that_of_the_underlay() -> Outcome {
    let mut world = formed(over(&Matrix::internet_like(7, 3)))?;
    world.run_for(secs(30))?;
    let truth = world.true_costs();
    let database = world.status(0).expect("site 0 runs").latency;
    assert_eq!(database.len(), 7 * 6);
    for link in database {
        let from = world.site_of(link.from).expect("a site");
        let to = world.site_of(link.to).expect("a site");
        let true_ns = truth[from][to].expect("a full mesh");
        let fast_ns = link.fast.expect("the link is up").as_nanos() as u64;
        // To a microsecond, and as exact as short floats are.
        assert!(fast_ns.abs_diff(true_ns) <= 1_000 + true_ns / 4096, "{link:?} but {true_ns} ns");
        assert_eq!(link.loss, 0);
    }
    Ok(())
}

#[test]
fn a_direction_that_is_slower_than_the_other_counts_in_full() -> Outcome {
    let mut world = mesh(2, 20.0);
    world.set_link(1, 0, Link { delay_ns: 90_000_000, ..Link::rtt_ms(0.0) });
    let world = formed(world)?;
    for (at, of) in [(0, 1), (1, 0)] {
        assert_eq!(member(&world, at, of).and_then(|member| member.rtt), Some(ms(100)));
    }
    Ok(())
}

#[test]
fn paths_are_as_good_as_the_oracle_on_the_true_delays() -> Outcome {
    for seed in seeds(10) {
        let matrix = Matrix::internet_like(8, seed);
        let mut world = World::with_links(seed, 8, &matrix.links());
        world.start_all()?;
        world.settle(secs(10))?;
        world.run_for(secs(10))?;
        let best = lowest_costs(&world.true_costs(), 100_000, 4);
        for (from, row) in best.iter().enumerate() {
            for (to, best_ns) in row.iter().enumerate().filter(|&(to, _)| to != from) {
                let cost = member(&world, from, to).and_then(|member| member.path_cost).expect("a path");
                let cost_ns = cost.as_nanos() as u64;
                let best_ns = best_ns.expect("a full mesh");
                let slack_ns = (cost_ns / 20).max(500_000) + 10_000;
                assert!(cost_ns <= best_ns + slack_ns, "{from} to {to}: {cost_ns}, best {best_ns}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_direct_path_wins_a_tie() -> Outcome {
    let mut world = triangle(20.0, 10.0, 10.0);
    (0..3).for_each(|site| world.config_mut(site).relay_charge = Duration::ZERO);
    let mut world = formed(world)?;
    for _ in 0..30 {
        world.run_for(secs(1))?;
        assert_eq!((world.path(0, 2), world.path(2, 0)), ([2].as_slice(), [0].as_slice()));
    }
    Ok(())
}

/// The path from 0 to 2 while the direct one takes `direct` ms and each half of the detour changes from much
/// more to `half` ms.
fn path_beside_a_detour_of(direct: f64, half: f64) -> Result<Vec<usize>, leon::sim::Violation> {
    let mut world = formed(triangle(direct, direct, direct))?;
    world.connect(0, 1, Link::rtt_ms(half));
    world.connect(1, 2, Link::rtt_ms(half));
    // Fine differences are told once a minute.
    world.run_for(secs(200))?;
    Ok(world.path(0, 2).to_vec())
}

#[test]
fn a_better_path_within_the_hysteresis_is_not_taken() -> Outcome {
    assert_eq!(path_beside_a_detour_of(5.0, 2.3)?, [2], "by 0.3 ms");
    assert_eq!(path_beside_a_detour_of(100.0, 49.6)?, [2], "by 0.7 %");
    Ok(())
}

#[test]
fn a_better_path_beyond_the_hysteresis_is_taken() -> Outcome {
    assert_eq!(path_beside_a_detour_of(5.0, 2.0)?, [1, 2], "by 0.9 ms");
    assert_eq!(path_beside_a_detour_of(40.0, 18.0)?, [1, 2], "by 10 %");
    assert_eq!(path_beside_a_detour_of(100.0, 49.0)?, [1, 2], "by 1.9 %, and the direct path is an old one");
    Ok(())
}

#[test]
fn the_charge_for_a_relay_is_part_of_its_path() -> Outcome {
    let mut world = triangle(30.0, 10.0, 10.0);
    (0..3).for_each(|site| world.config_mut(site).relay_charge = ms(15));
    let mut world = formed(world)?;
    world.run_for(secs(10))?;
    assert_eq!(world.path(0, 2), [2]);
    let cost = |world: &World| member(world, 0, 2).and_then(|member| member.path_cost);
    assert_eq!(cost(&world), Some(ms(30)));
    Ok(())
}

#[test]
fn a_link_that_slows_down_is_left_within_a_minute() -> Outcome {
    let mut world = formed(triangle(20.0, 20.0, 20.0))?;
    assert_eq!(world.path(0, 2), [2]);
    change(&mut world, 0, 2, |link| Link { delay_ns: 100_000_000, ..link });
    assert!(world.run_until(secs(60), |world| world.path(0, 2) == [1, 2])?.is_some());
    change(&mut world, 0, 2, |link| Link { delay_ns: 10_000_000, ..link });
    assert!(world.run_until(secs(120), |world| world.path(0, 2) == [2])?.is_some());
    world.settle(secs(120))?;
    world.check_at_rest()
}

#[test]
fn a_relayed_path_that_gets_worse_than_the_direct_one_is_left_in_seconds() -> Outcome {
    let mut world = formed(triangle(30.0, 10.0, 10.0))?;
    world.run_for(secs(60))?;
    assert_eq!(world.path(0, 2), [1, 2]);
    change(&mut world, 0, 1, |link| Link { delay_ns: 20_000_000, ..link });
    assert!(world.run_until(secs(6), |world| world.path(0, 2) == [2])?.is_some(), "by 20 ms of 30");
    Ok(())
}

#[test]
fn a_short_queue_moves_no_path() -> Outcome {
    let mut world = formed(triangle(20.0, 15.0, 15.0))?;
    world.run_for(secs(60))?;
    change(&mut world, 0, 2, |link| Link { delay_ns: 50_000_000, ..link });
    world.run_for(secs(1))?;
    change(&mut world, 0, 2, |link| Link { delay_ns: 10_000_000, ..link });
    for _ in 0..600 {
        world.run_for(ms(100))?;
        assert_eq!(world.path(0, 2), [2]);
    }
    Ok(())
}

#[test]
fn jitter_makes_no_path_flap() -> Outcome {
    let mut world = triangle(20.0, 10.0, 9.0);
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        change(&mut world, one, other, |link| Link { jitter_ns: 2_000_000, ..link });
    }
    world.start_all()?;
    world.run_for(secs(60))?;
    let since = world.now();
    world.run_for(secs(600))?;
    let changes = world.events(0).iter().filter(|(at, _)| *at >= since);
    let changes = changes.filter(|(_, event)| matches!(event, Event::PathChanged { .. })).count();
    assert!(changes <= 2, "{changes} changes in ten minutes");
    Ok(())
}

#[test]
fn a_lossy_link_is_left_for_a_detour_and_not_returned_to() -> Outcome {
    for loss in [0.1, 0.2, 0.3] {
        let mut world = triangle(20.0, 13.0, 13.0);
        change(&mut world, 0, 2, |link| Link { loss, ..link });
        world.start_all()?;
        world.run_for(secs(120))?;
        let mut direct = 0;
        for _ in 0..600 {
            world.run_for(secs(1))?;
            direct += u32::from(world.path(0, 2) == [2]);
        }
        assert!(direct < 60, "on the direct path for {direct} s of 600 at a loss of {loss}");
    }
    Ok(())
}

#[test]
fn frames_flow_again_within_three_seconds_of_a_relays_death() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    let (host, other) = (world.add_host(0), world.add_host(2));
    world.send(other, To::Everyone, 60);
    world.run_for(secs(10))?;
    world.crash(1);
    world.run_for(secs(3))?;
    let frame = world.send(host, To::Host(other), 60);
    world.run_for(secs(1))?;
    assert_eq!(world.frame(frame).sites(), [2]);
    let backup = |event: &Event| matches!(event, Event::PathChanged { cause: PathCause::Failover, .. });
    assert!(when(&world, 0, Time::ZERO, backup).is_some());
    Ok(())
}

#[test]
fn frames_flow_again_within_three_seconds_of_a_far_links_death() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    let (host, other) = (world.add_host(0), world.add_host(2));
    world.send(other, To::Everyone, 60);
    world.run_for(secs(10))?;
    cut_both(&mut world, 1, 2);
    world.run_for(secs(3))?;
    let frame = world.send(host, To::Host(other), 60);
    world.run_for(secs(1))?;
    assert_eq!(world.frame(frame).sites(), [2]);
    world.settle(secs(60))?;
    world.check_at_rest()
}

#[test]
fn a_link_that_returns_is_used_again() -> Outcome {
    let mut world = formed(mesh(3, 20.0))?;
    cut_both(&mut world, 0, 2);
    world.run_for(secs(5))?;
    assert_eq!(world.path(0, 2), [1, 2]);
    world.heal();
    assert!(world.run_until(secs(60), |world| world.path(0, 2) == [2])?.is_some());
    world.settle(secs(60))?;
    world.check_at_rest()
}

#[test]
fn sites_without_a_direct_link_reach_each_other_through_relays() -> Outcome {
    for matrix in [Matrix::ring(5, 10.0), Matrix::star(5, 10.0), Matrix::line(5, 10.0), Matrix::ring(8, 10.0)]
    {
        let mut world = over(&matrix);
        let all: Vec<_> = (0..matrix.sites()).map(|site| world.address(site)).collect();
        (0..matrix.sites()).for_each(|site| world.config_mut(site).seeds.clone_from(&all));
        world.start_all()?;
        world.settle(secs(60))?;
        world.check_at_rest()?;
    }
    Ok(())
}

#[test]
fn one_seed_gives_one_history_and_another_seed_another() -> Outcome {
    let digest = |seed| {
        let mut world = World::with_links(seed, 4, &Matrix::internet_like(4, 1).links());
        change(&mut world, 0, 1, |link| Link { loss: 0.1, jitter_ns: 3_000_000, ..link });
        world.start_all()?;
        world.run_for(secs(20))?;
        Ok(world.digest())
    };
    assert_eq!(digest(5)?, digest(5)?);
    assert_ne!(digest(5)?, digest(6)?);
    Ok(())
}
