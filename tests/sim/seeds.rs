//! Seeds that are replaced while a node runs: as after their names were resolved anew.

use core::net::SocketAddr;

use leon::sim::{SiteState, Violation, World};
use leon::{ConfigError, Event, RejectReason, Time};

use crate::support::{Outcome, formed, lists, mesh, ms, secs, when};

fn nobody() -> SocketAddr {
    "192.0.2.1:4747".parse().expect("an address")
}

/// All sites but the last one are members; the last one has these seeds and is started.
fn one_outside(seeds: Vec<SocketAddr>) -> Result<World, Violation> {
    let mut world = mesh(4, 20.0);
    world.config_mut(3).seeds = seeds;
    (0..4).for_each(|site| world.start(site));
    world.run_for(secs(60))?;
    assert!(!lists(&world, 0, 3));
    Ok(world)
}

#[test]
fn a_joiner_asks_new_seeds_at_once() -> Outcome {
    let mut world = one_outside(vec![nobody()])?;
    assert_eq!(world.set_seeds(3, &[nobody(), world.address(1)]), Ok(()));
    world.run_for(secs(1))?;
    assert!(lists(&world, 0, 3) && lists(&world, 3, 2));
    world.settle(secs(3))?;
    world.check_at_rest()
}

#[test]
fn a_node_that_was_alone_without_seeds_joins_when_it_gets_some() -> Outcome {
    let mut world = one_outside(Vec::new())?;
    let since = world.now();
    assert_eq!(world.set_seeds(3, &[world.address(0)]), Ok(()));
    world.settle(secs(3))?;
    assert!(when(&world, 3, since, |event| matches!(event, Event::Joined { .. })).is_some());
    world.check_at_rest()
}

#[test]
fn a_node_that_was_alone_is_refused_like_any_joiner() -> Outcome {
    let mut world = mesh(3, 20.0);
    world.config_mut(2).seeds.clear();
    world.config_mut(2).name = world.config(1).name.clone();
    (0..3).for_each(|site| world.start(site));
    world.run_for(secs(60))?;
    assert_eq!(world.set_seeds(2, &[world.address(0)]), Ok(()));
    world.run_for(secs(10))?;
    let taken = |event: &Event| matches!(event, Event::JoinRejected { reason: RejectReason::NameTaken, .. });
    assert!(when(&world, 2, Time::ZERO, taken).is_some());
    assert!(lists(&world, 0, 1) && !lists(&world, 0, 2));
    Ok(())
}

#[test]
fn parts_that_forgot_each_other_meet_again_through_new_seeds() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    world.partition(&[0, 0, 1, 1]);
    world.run_for(secs(25 * 3600))?;
    // One part has moved meanwhile: nobody of the other knows where to.
    for site in [2, 3] {
        world.crash(site);
        world.readdress(site, ([10, 9, 0, site as u8], 4747).into());
        world.config_mut(site).seeds = vec![nobody()];
    }
    world.run_for(secs(60))?;
    world.start(2);
    world.heal();
    world.run_for(secs(60))?;
    assert!(!lists(&world, 0, 2));
    assert_eq!(world.set_seeds(0, &[world.address(2)]), Ok(()));
    world.run_for(secs(1))?;
    assert!(lists(&world, 0, 2) && lists(&world, 1, 2));
    Ok(())
}

#[test]
fn a_member_that_moved_is_met_at_once_where_its_name_leads_though_it_is_tried_elsewhere() -> Outcome {
    for waited_ms in (4000..20_000).step_by(100) {
        let mut world = formed(mesh(2, 20.0))?;
        world.crash(1);
        world.readdress(1, "10.9.0.1:4747".parse().expect("an address"));
        world.config_mut(1).seeds = vec![nobody()];
        world.start(1);
        world.run_for(ms(waited_ms))?;
        assert_eq!(world.set_seeds(0, &[world.address(1)]), Ok(()));
        world.run_for(secs(1))?;
        assert!(lists(&world, 0, 1) && lists(&world, 1, 0), "after {waited_ms} ms");
    }
    Ok(())
}

#[test]
fn the_same_seeds_once_more_are_not_asked_again() -> Outcome {
    let mut world = one_outside(vec![nobody()])?;
    let asked = |world: &World| world.strays(nobody()).0;
    let before = asked(&world);
    for _ in 0..1000 {
        assert_eq!(world.set_seeds(3, &[nobody()]), Ok(()));
        world.run_for(ms(10))?;
    }
    assert!(asked(&world) - before <= 3, "{} times in 10 s", asked(&world) - before);
    Ok(())
}

#[test]
fn a_seed_that_cannot_be_is_refused_and_changes_nothing() -> Outcome {
    let mut world = one_outside(vec![nobody()])?;
    let wrong: SocketAddr = "0.0.0.0:4747".parse().expect("an address");
    assert_eq!(world.set_seeds(3, &[world.address(0), wrong]), Err(ConfigError::Seed(wrong)));
    world.run_for(secs(10))?;
    assert!(!lists(&world, 0, 3));
    Ok(())
}

#[test]
fn a_node_that_has_left_takes_seeds_and_stays_away() -> Outcome {
    let mut world = formed(mesh(3, 20.0))?;
    world.leave(2);
    world.run_for(secs(2))?;
    assert_eq!(world.state(2), SiteState::Leaving);
    assert_eq!(world.set_seeds(2, &[world.address(1)]), Ok(()));
    world.run_for(secs(10))?;
    assert!(!lists(&world, 0, 2));
    Ok(())
}
