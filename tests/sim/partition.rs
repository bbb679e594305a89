//! Partitions of any shape and any duration heal of themselves, and what the parts came to meanwhile becomes one.

use core::time::Duration;

use leon::sim::{Dice, Matrix, To, Violation, World};
use leon::{Event, Host, MacAddr, Segment};

use crate::support::{Outcome, cut_both, formed, lists, mesh, ms, over, secs, seeds, when};

/// How long the parts may take to find each other: each contacts the failed every 30 s, and they need one contact.
const HEALS: Duration = secs(40);

/// Nothing passes between sites of different groups, unless one of them is the bridge.
fn split(world: &mut World, groups: &[usize], bridge: Option<usize>) {
    for (one, other) in (0..world.sites()).flat_map(|one| (0..one).map(move |other| (one, other))) {
        if groups[one] != groups[other] && ![Some(one), Some(other)].contains(&bridge) {
            cut_both(world, one, other);
        }
    }
}

/// Lets the world go on for so long, with frames of all hosts, as many as there are sites.
fn run_with_traffic(world: &mut World, dice: &mut Dice, time: Duration) -> Outcome {
    let hosts = world.sites();
    let end = world.now() + time;
    while world.now() < end {
        for _ in 0..3 {
            let (host, other) = (dice.below(hosts as u64) as usize, dice.below(hosts as u64) as usize);
            let to = if dice.chance(0.3) { To::Everyone } else { To::Host(other) };
            world.send(host, to, 60 + dice.below(1000) as usize);
        }
        let pause = ms(1 + dice.below(time.as_millis() as u64 / 20 + 1));
        world.run_for(pause.min(end.since(world.now())))?;
    }
    Ok(())
}

/// A mesh of so many sites with a host at each, of which those of even number are announced.
fn with_hosts(seed: u64, sites: usize) -> Result<World, Violation> {
    let mut world = World::with_links(seed, sites, &Matrix::internet_like(sites, seed).links());
    for site in 0..sites {
        world.add_host(site);
    }
    let mut world = formed(world)?;
    for host in (0..sites).step_by(2) {
        assert_eq!(world.announce(host), Ok(()));
    }
    world.settle(secs(5))?;
    Ok(world)
}

#[test]
fn any_split_of_any_duration_heals() -> Outcome {
    let mut slowest = Duration::ZERO;
    for seed in seeds(40) {
        let mut dice = Dice::named(seed, "split");
        let sites = 4 + dice.below(5) as usize;
        let mut world = with_hosts(seed, sites)?;
        let parts = 2 + dice.below(3);
        let groups: Vec<usize> = (0..sites).map(|_| dice.below(parts) as usize).collect();
        let bridge = dice.chance(0.3).then(|| dice.below(sites as u64) as usize);
        let time = ms(500 << dice.below(12));
        split(&mut world, &groups, bridge);
        run_with_traffic(&mut world, &mut dice, time)?;
        world.heal();
        run_with_traffic(&mut world, &mut dice, secs(1))?;
        slowest = slowest.max(world.settle(HEALS)?);
        world.check_at_rest()?;
    }
    println!("the slowest of 40 took {slowest:?}");
    Ok(())
}

#[test]
fn halves_that_a_bridge_joins_stay_one_mesh() -> Outcome {
    let mut world = with_hosts(seeds(1).start, 7)?;
    split(&mut world, &[0, 0, 0, 1, 1, 1, 2], Some(6));
    let mut dice = Dice::named(world.seed(), "bridge");
    run_with_traffic(&mut world, &mut dice, secs(400))?;
    world.check_at_rest()?;
    for site in 0..7 {
        let failed = |event: &Event| matches!(event, Event::MemberFailed { .. });
        assert_eq!(when(&world, site, leon::Time::ZERO, failed), None, "site {site}");
    }
    // The bridge goes, and with it one mesh.
    world.crash(6);
    let parted = |world: &World| (0..3).all(|one| (3..6).all(|other| !lists(world, one, other)));
    assert!(world.run_until(secs(6), parted)?.is_some());
    world.start(6);
    world.settle(HEALS)?;
    world.check_at_rest()
}

#[test]
fn halves_that_a_bridge_joins_late_become_one_mesh() -> Outcome {
    let mut world = with_hosts(seeds(1).start, 6)?;
    world.partition(&[0, 0, 0, 1, 1, 1]);
    world.run_for(secs(600))?;
    world.partition(&[0; 6]);
    split(&mut world, &[0, 0, 0, 1, 1, 1], Some(2));
    world.settle(HEALS)?;
    world.check_at_rest()
}

#[test]
fn a_host_that_moved_during_a_partition_is_where_it_was_announced_last() -> Outcome {
    let mut world = formed(mesh(6, 10.0))?;
    let host = Host { segment: Segment::DEFAULT, vlan: 0, mac: MacAddr([2, 0xaa, 0, 0, 0, 1]) };
    assert_eq!(world.announce_at(1, host), Ok(()));
    world.run_for(secs(1))?;
    world.partition(&[0, 0, 0, 1, 1, 1]);
    world.run_for(secs(30))?;
    assert_eq!(world.announce_at(4, host), Ok(()));
    world.run_for(secs(30))?;
    world.heal();
    world.settle(HEALS)?;
    // Its former site has not noticed that it has gone.
    for site in [0, 1, 3] {
        let asking = world.add_host(site);
        let frame = world.send(asking, To::Mac(host.mac), 60);
        world.run_for(secs(1))?;
        assert_eq!(world.frame(frame).sites(), [4], "from site {site}");
    }
    world.check_at_rest()
}

#[test]
fn a_partition_that_comes_and_goes_all_the_time_heals_when_it_stays_away() -> Outcome {
    for pause_ms in [300, 1100, 2700, 5300] {
        let mut world = formed(over(&Matrix::internet_like(6, pause_ms)))?;
        for _ in 0..30 {
            world.partition(&[0, 1, 0, 1, 2, 1]);
            world.run_for(ms(pause_ms))?;
            world.heal();
            world.run_for(ms(pause_ms))?;
        }
        world.settle(HEALS)?;
        world.check_at_rest()?;
    }
    Ok(())
}
