//! The acceptance targets: a dozen sites as in the paper, and more than anybody has.

use core::time::Duration;
use std::cell::RefCell;
use std::rc::Rc;

use leon::sim::{Link, Matrix, Violation, World};
use leon::{Counter, Security};

use crate::support::{Outcome, count, lists, ms, secs, seed, seeds};

/// Sites over an Internet-like underlay that loses this share, all started within a second.
fn started(seed: u64, sites: usize, loss: f64) -> Result<World, Violation> {
    let links = Matrix::internet_like(sites, seed).links();
    let lossy = |(from, to, link)| (from, to, Link { loss, ..link });
    let links: Vec<_> = links.into_iter().map(lossy).collect();
    let mut world = World::with_links(seed, sites, &links);
    start_within_a_second(&mut world)?;
    Ok(world)
}

fn start_within_a_second(world: &mut World) -> Outcome {
    let sites = world.sites();
    world.start(0);
    for site in 1..sites {
        world.run_for(ms(1000 / sites as u64))?;
        world.start(site);
    }
    Ok(())
}

#[test]
fn twelve_nodes_on_a_lossy_underlay_agree_within_five_seconds_of_the_last_join() -> Outcome {
    let mut slowest = Duration::ZERO;
    for seed in seeds(20) {
        let mut world = started(seed, 12, 0.05)?;
        // Some link may just be down: of 132, each loses a probe in twenty.
        let agree = |world: &World| world.disagreement().or_else(|| world.bad_path()).is_none();
        let passed = world.run_until(secs(5), agree)?;
        slowest = slowest.max(passed.unwrap_or_else(|| panic!("seed {seed}: {:?}", world.disagreement())));
        world.calm();
        // A member whose proof of its address was lost is asked again.
        world.run_for(secs(1))?;
        world.settle(secs(5))?;
        world.check_at_rest()?;
    }
    println!("the slowest of 20 took {slowest:?}");
    Ok(())
}

#[test]
fn a_crash_among_twelve_on_a_lossy_underlay_is_known_to_all_within_five_seconds() -> Outcome {
    let mut slowest = Duration::ZERO;
    for seed in seeds(20) {
        let mut world = started(seed, 12, 0.05)?;
        world.run_for(secs(30))?;
        world.crash(7);
        let known = |world: &World| world.running().iter().all(|&site| !lists(world, site, 7));
        let passed = world.run_until(secs(5), known)?;
        slowest = slowest.max(passed.unwrap_or_else(|| panic!("seed {seed}: site 7 is still listed")));
    }
    println!("the slowest of 20 took {slowest:?}");
    Ok(())
}

#[test]
fn a_crash_among_sixty_is_known_to_all_within_five_seconds_though_probes_are_seldom() -> Outcome {
    let mut world = started(seed(), 60, 0.0)?;
    world.settle(secs(10))?;
    world.run_for(secs(60))?;
    for crashed in [7, 30, 59] {
        world.crash(crashed);
        let known = |world: &World| world.running().iter().all(|&site| !lists(world, site, crashed));
        let passed = world.run_until(secs(5), known)?;
        println!("site {crashed} is gone after {:?}", passed.expect("nobody lists it"));
        world.run_for(ms(2300))?;
    }
    Ok(())
}

#[test]
fn fifty_nodes_form_a_mesh_and_survive_a_crash() -> Outcome {
    let mut world = started(seed(), 50, 0.0)?;
    world.settle(secs(10))?;
    world.check_at_rest()?;
    world.crash(20);
    world.settle(secs(6))?;
    world.check_at_rest()
}

/// Counts the datagrams of each type that pass over any link.
fn count_types(world: &mut World) -> Rc<RefCell<[u64; 16]>> {
    let counts = Rc::<RefCell<[u64; 16]>>::default();
    for from in 0..world.sites() {
        for to in (0..world.sites()).filter(|to| *to != from) {
            let counts = Rc::clone(&counts);
            world.intercept(from, to, move |caught| {
                counts.borrow_mut()[usize::from(caught.bytes[0] & 0xf)] += 1;
                vec![caught]
            });
        }
    }
    counts
}

#[test]
fn two_hundred_nodes_form_a_mesh_in_eight_seconds_without_a_stampede() -> Outcome {
    const SITES: u64 = 200;
    let mut world =
        World::with_links(seed(), SITES as usize, &Matrix::internet_like(SITES as usize, seed()).links());
    let counts = count_types(&mut world);
    // The same messages, without what curves cost: half of the test.
    for site in 0..world.sites() {
        let config = world.config_mut(site);
        config.security = Security::None { id: config.id() };
    }
    start_within_a_second(&mut world)?;
    let mut sent = vec![0; SITES as usize];
    let mut most = 0;
    for _ in 0..16 {
        world.run_for(ms(500))?;
        let now: Vec<u64> =
            (0..world.sites()).map(|site| count(&world, site, Counter::DatagramsOut)).collect();
        most = most.max(now.iter().zip(&sent).map(|(now, sent)| 2 * (now - sent)).max().unwrap_or(0));
        sent = now;
    }
    println!("at most {most} datagrams per second by one node");
    assert_eq!(world.disagreement(), None);
    assert_eq!(world.bad_path(), None);
    let pairs = SITES * (SITES - 1) / 2;
    let [_, transport, hellos, challenges, initiations, responses, ..] = *counts.borrow();
    println!("{hellos} hellos, {challenges} challenges, {initiations} initiations, {responses} responses");
    println!("{pairs} pairs, {} datagrams of sessions for each", transport / pairs);
    assert!(hellos < 2 * SITES && challenges < 3 * SITES);
    assert!(initiations * 10 < pairs * 13 && responses <= initiations, "{initiations} for {pairs} pairs");
    assert!(most < 100 * SITES, "{most}");
    world.check_tables()
}
