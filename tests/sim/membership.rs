//! §4.1: who is a member, and how all come to know.

use leon::sim::{Matrix, To, World};
use leon::{Event, MemberState, RejectReason, Time};

use crate::support::{
    Outcome, cut_both, formed, ipv6, lists, member, mesh, ms, over, secs, seeds, triangle, when,
};

#[test]
fn a_first_node_without_seeds_is_a_mesh_of_one() -> Outcome {
    let mut world = mesh(1, 10.0);
    world.config_mut(0).seeds.clear();
    world.start(0);
    world.run_for(secs(60))?;
    world.check_at_rest()?;
    assert_eq!(world.status(0).map(|status| status.members.len()), Some(0));
    Ok(())
}

#[test]
fn nodes_that_join_one_after_the_other_have_one_list() -> Outcome {
    let mut world = mesh(5, 20.0);
    for site in 0..5 {
        world.start(site);
        world.settle(secs(3))?;
    }
    world.check_at_rest()
}

#[test]
fn nodes_that_join_at_the_same_moment_through_one_member_find_each_other() -> Outcome {
    let mut world = mesh(8, 20.0);
    (0..8).for_each(|site| world.start(site));
    world.settle(secs(5))?;
    world.check_at_rest()
}

#[test]
fn nodes_that_join_at_the_same_moment_through_different_members_find_each_other() -> Outcome {
    let mut world = mesh(4, 20.0);
    world.config_mut(3).seeds = vec![world.address(1)];
    world.start(0);
    world.start(1);
    world.settle(secs(5))?;
    world.start(2);
    world.start(3);
    world.settle(secs(3))?;
    world.check_at_rest()
}

#[test]
fn a_joiner_is_listed_everywhere_within_half_a_second() -> Outcome {
    let mut world = formed(mesh(6, 40.0))?;
    let joiner = world.add_site();
    for site in 0..6 {
        world.connect(site, joiner, leon::sim::Link::rtt_ms(40.0));
    }
    world.start(joiner);
    world.run_for(ms(500))?;
    for site in 0..6 {
        assert!(lists(&world, site, joiner), "site {site}");
        assert!(lists(&world, joiner, site), "site {site}");
    }
    Ok(())
}

#[test]
fn a_lost_join_is_repaired_by_the_next_digest() -> Outcome {
    let mut world = formed_without_last(mesh(3, 20.0))?;
    cut_both(&mut world, 1, 2);
    world.start(2);
    world.run_for(secs(3))?;
    assert!(lists(&world, 0, 2));
    assert!(lists(&world, 1, 2), "site 1 has heard of it from site 0");
    Ok(())
}

/// All but the last site are started and agree.
fn formed_without_last(mut world: World) -> Result<World, leon::sim::Violation> {
    for site in 0..world.sites() - 1 {
        world.start(site);
    }
    world.settle(secs(10))?;
    Ok(world)
}

#[test]
fn a_crashed_member_is_dropped_by_all_within_five_seconds() -> Outcome {
    for seed in seeds(20) {
        let mut world = World::with_links(seed, 5, &Matrix::full_mesh(5, 50.0).links());
        world.start_all()?;
        world.settle(secs(10))?;
        world.crash(3);
        let dropped =
            world.run_until(secs(5), |world| [0, 1, 2, 4].iter().all(|&at| !lists(world, at, 3)))?;
        assert!(dropped.is_some(), "seed {seed}");
        let failed = member(&world, 0, 3).map(|member| member.state);
        assert_eq!(failed, Some(MemberState::Failed), "it is remembered");
        world.settle(secs(2))?;
        world.check_at_rest()?;
    }
    Ok(())
}

#[test]
fn members_that_crash_together_are_dropped_within_five_seconds() -> Outcome {
    let mut world = formed(mesh(6, 50.0))?;
    (2..6).for_each(|site| world.crash(site));
    let alone = |world: &World| (2..6).all(|gone| !lists(world, 0, gone) && !lists(world, 1, gone));
    assert!(world.run_until(secs(5), alone)?.is_some());
    world.check_at_rest()
}

#[test]
fn a_node_that_restarts_at_once_is_a_member_again_within_two_seconds() -> Outcome {
    for seed in seeds(300) {
        let mut world = World::with_links(seed, 3, &Matrix::full_mesh(3, 20.0).links());
        world.start_all()?;
        world.settle(secs(10))?;
        world.restart(1);
        world.settle(secs(2))?;
        world.check_at_rest()?;
    }
    Ok(())
}

#[test]
fn a_node_that_restarts_after_it_was_dropped_is_a_member_again_within_two_seconds() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    world.crash(2);
    world.run_for(secs(20))?;
    world.start(2);
    world.settle(secs(2))?;
    world.check_at_rest()
}

#[test]
fn a_node_that_restarts_at_another_address_is_a_member_again() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    world.crash(2);
    let elsewhere = world.address(2).ip();
    world.readdress(2, (elsewhere, 9999).into());
    world.start(2);
    world.settle(secs(10))?;
    world.check_at_rest()?;
    assert_eq!(member(&world, 0, 2).map(|member| member.locator.port()), Some(9999));
    Ok(())
}

#[test]
fn the_seed_itself_may_restart() -> Outcome {
    let mut world = mesh(4, 20.0);
    let seeds = vec![world.address(0), world.address(1)];
    (0..4).for_each(|site| world.config_mut(site).seeds.clone_from(&seeds));
    let mut world = formed(world)?;
    world.crash(0);
    world.run_for(secs(30))?;
    world.start(0);
    world.settle(secs(3))?;
    world.check_at_rest()
}

#[test]
fn a_dead_link_is_not_a_dead_node() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    cut_both(&mut world, 0, 2);
    for _ in 0..60 {
        world.run_for(secs(1))?;
        assert!(lists(&world, 0, 2) && lists(&world, 2, 0));
    }
    world.check_at_rest()?;
    assert_eq!(world.path(0, 2).len(), 2, "frames go through another site");
    assert!((0..4).all(|site| when(&world, site, Time::ZERO, is_failure).is_none()));
    Ok(())
}

#[test]
fn a_link_that_is_dead_in_one_direction_is_not_a_dead_node() -> Outcome {
    let mut world = formed(mesh(3, 20.0))?;
    world.cut(0, 2);
    for _ in 0..60 {
        world.run_for(secs(1))?;
        assert!(lists(&world, 0, 2) && lists(&world, 2, 0));
    }
    world.check_at_rest()
}

fn is_failure(event: &Event) -> bool {
    matches!(event, Event::MemberFailed { .. })
}

#[test]
fn halves_of_a_partition_find_each_other_again() -> Outcome {
    for (seconds, limit) in [(3, 5), (20, 40), (600, 60)] {
        let mut world = formed(mesh(6, 20.0))?;
        world.partition(&[0, 0, 0, 1, 1, 1]);
        world.run_for(secs(seconds))?;
        if seconds > 5 {
            assert!(!lists(&world, 0, 4) && !lists(&world, 4, 0), "after {seconds} s");
            assert!(lists(&world, 0, 2) && lists(&world, 3, 5), "after {seconds} s");
        }
        world.heal();
        world.settle(secs(limit))?;
        world.check_at_rest()?;
    }
    Ok(())
}

#[test]
fn a_node_that_was_alone_for_a_day_comes_back() -> Outcome {
    let mut world = formed(mesh(3, 20.0))?;
    world.partition(&[0, 0, 1]);
    world.run_for(secs(25 * 3600))?;
    world.heal();
    world.settle(secs(60))?;
    world.check_at_rest()
}

#[test]
fn a_leave_is_known_to_all_at_once() -> Outcome {
    let mut world = formed(mesh(5, 40.0))?;
    let start = world.now();
    world.leave(3);
    world.run_for(ms(21))?;
    for site in [0, 1, 2, 4] {
        assert!(!lists(&world, site, 3), "site {site}");
        assert!(when(&world, site, start, |event| matches!(event, Event::MemberLeft { .. })).is_some());
    }
    world.run_for(secs(120))?;
    assert!([0, 1, 2, 4].iter().all(|&site| !lists(&world, site, 3)), "nobody brings it back");
    world.settle(secs(1))?;
    world.check_at_rest()
}

#[test]
fn a_lost_leave_is_repaired_by_a_repeat_or_a_digest() -> Outcome {
    let mut world = formed(mesh(3, 20.0))?;
    world.cut(2, 1);
    world.leave(2);
    world.run_for(secs(3))?;
    assert!(!lists(&world, 0, 2) && !lists(&world, 1, 2));
    Ok(())
}

#[test]
fn a_leave_is_known_beyond_a_relay_that_is_told_first() -> Outcome {
    for (leaver, other) in [(0, 2), (2, 0)] {
        let mut world = formed(triangle(32.0, 4.0, 17.0))?;
        world.run_for(secs(60))?;
        let path = member(&world, leaver, other).expect("it is known").path;
        assert_eq!(path.len(), 2, "the short way is relayed");
        let start = world.now();
        world.leave(leaver);
        world.run_for(ms(100))?;
        for site in [1, other] {
            assert!(!lists(&world, site, leaver), "{leaver} leaves, site {site}");
            let left = |event: &Event| matches!(event, Event::MemberLeft { .. });
            assert!(when(&world, site, start, left).is_some(), "{leaver} leaves, site {site}");
        }
    }
    Ok(())
}

#[test]
fn a_node_that_left_says_nothing_more() -> Outcome {
    let mut world = formed(mesh(3, 20.0))?;
    let host = world.add_host(1);
    world.leave(1);
    world.run_for(secs(2))?;
    let sent = |world: &World| crate::support::count(world, 1, leon::Counter::DatagramsOut);
    let before = sent(&world);
    let frame = world.send(host, To::Everyone, 60);
    // Long enough for keys to be renewed and to expire.
    let gone_at = world.now();
    world.run_for(secs(400))?;
    assert_eq!(sent(&world), before);
    assert_eq!(when(&world, 1, gone_at, |_| true), None, "{:?}", world.events(1));
    assert!(world.frame(frame).sites().is_empty());
    Ok(())
}

#[test]
fn a_node_that_left_can_join_again() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    world.leave(1);
    world.run_for(secs(5))?;
    world.restart(1);
    world.settle(secs(3))?;
    world.check_at_rest()
}

#[test]
fn late_news_resurrects_nobody() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    world.leave(3);
    world.run_for(ms(50))?;
    for _ in 0..20 {
        (0..3).for_each(|site| world.replay(site, 64));
        world.run_for(ms(100))?;
        assert!((0..3).all(|site| !lists(&world, site, 3)));
    }
    Ok(())
}

#[test]
fn a_seed_that_never_answers_is_passed_over() -> Outcome {
    let mut world = mesh(3, 20.0);
    let nobody = "192.0.2.1:4747".parse().expect("an address");
    world.config_mut(2).seeds = vec![nobody, world.address(0)];
    let mut world = formed(world)?;
    world.check_at_rest()
}

#[test]
fn a_node_whose_seed_starts_later_joins_then() -> Outcome {
    let mut world = mesh(2, 20.0);
    world.start(1);
    world.run_for(secs(300))?;
    world.start(0);
    world.settle(secs(10))?;
    world.check_at_rest()
}

#[test]
fn joiners_that_meet_each_other_before_their_seed_is_up_find_it_soon_after() -> Outcome {
    let mut world = mesh(3, 20.0);
    world.config_mut(2).seeds = vec![world.address(1)];
    world.start(1);
    world.start(2);
    world.run_for(secs(1))?;
    assert!(lists(&world, 1, 2) && lists(&world, 2, 1), "a mesh of two, without the seed");
    world.start(0);
    world.settle(secs(4))?;
    world.check_at_rest()
}

#[test]
fn all_nodes_may_have_all_nodes_as_seeds() -> Outcome {
    let mut world = mesh(5, 20.0);
    let all: Vec<_> = (0..5).map(|site| world.address(site)).collect();
    (0..5).for_each(|site| world.config_mut(site).seeds.clone_from(&all));
    (0..5).for_each(|site| world.start(site));
    world.settle(secs(10))?;
    world.check_at_rest()
}

#[test]
fn a_seed_that_is_ourselves_is_ignored() -> Outcome {
    let mut world = mesh(2, 20.0);
    world.config_mut(1).seeds = vec![world.address(1)];
    world.start(1);
    world.run_for(secs(10))?;
    world.start(0);
    world.config_mut(0).seeds = vec![world.address(1)];
    world.restart(0);
    world.settle(secs(5))?;
    world.check_at_rest()
}

#[test]
fn of_two_members_with_one_name_the_second_is_refused() -> Outcome {
    let mut world = formed_without_last(mesh(4, 20.0))?;
    world.config_mut(3).name = world.config(1).name.clone();
    refused(world, RejectReason::NameTaken)
}

#[test]
fn of_two_members_with_one_locator_the_second_is_refused() -> Outcome {
    let mut world = formed_without_last(mesh(4, 20.0))?;
    world.config_mut(3).locator = world.config(1).locator;
    refused(world, RejectReason::LocatorTaken)
}

#[test]
fn of_two_hosts_with_one_secret_key_the_second_is_refused() -> Outcome {
    let mut world = formed_without_last(mesh(4, 20.0))?;
    world.config_mut(3).security = world.config(1).security.clone();
    refused(world, RejectReason::IdTaken)
}

/// Site 3 starts, is told why it cannot be a member, and disturbs nobody.
fn refused(mut world: World, expected: RejectReason) -> Outcome {
    world.start(3);
    world.run_for(secs(10))?;
    let told = |event: &Event| matches!(event, Event::JoinRejected { reason, .. } if *reason == expected);
    assert!(when(&world, 3, Time::ZERO, told).is_some(), "{:?}", world.events(3));
    for site in 0..3 {
        assert_eq!(world.running().iter().filter(|&&of| of < 3 && lists(&world, site, of)).count(), 2);
        assert!(when(&world, site, Time::ZERO, is_failure).is_none(), "{:?}", world.events(site));
    }
    world.crash(3);
    world.settle(secs(10))?;
    world.check_at_rest()
}

#[test]
fn a_name_that_was_taken_on_both_sides_of_a_partition_stays_where_it_is_and_both_are_told() -> Outcome {
    let mut world = mesh(4, 20.0);
    world.config_mut(3).name = world.config(2).name.clone();
    world.config_mut(3).seeds = vec![world.address(1)];
    world.config_mut(0).seeds = vec![world.address(1)];
    world.partition(&[0, 1, 0, 1]);
    world.start_all()?;
    world.run_for(secs(15))?;
    world.heal();
    world.run_for(secs(60))?;
    assert!(lists(&world, 0, 2) && !lists(&world, 0, 3));
    assert!(lists(&world, 1, 3) && !lists(&world, 1, 2));
    let told = |event: &Event| matches!(event, Event::JoinRejected { reason, .. } if *reason == RejectReason::NameTaken);
    for site in [2, 3] {
        assert!(when(&world, site, Time::ZERO, told).is_some(), "{:?}", world.events(site));
    }
    world.crash(3);
    world.settle(secs(10))?;
    world.check_at_rest()
}

#[test]
fn every_node_that_joins_is_told_that_it_is_a_member() -> Outcome {
    let mut world = mesh(4, 20.0);
    let all: Vec<_> = (0..4).map(|site| world.address(site)).collect();
    (0..4).for_each(|site| world.config_mut(site).seeds.clone_from(&all));
    (0..4).for_each(|site| world.start(site));
    world.settle(secs(5))?;
    for site in 0..4 {
        assert!(when(&world, site, Time::ZERO, |event| matches!(event, Event::Joined { .. })).is_some());
    }
    Ok(())
}

#[test]
fn a_node_that_replaces_a_failed_one_at_its_address_becomes_a_member() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    world.crash(3);
    world.run_for(secs(10))?;
    world.reinstall(3);
    world.config_mut(3).name = "reinstalled".into();
    world.start(3);
    world.settle(secs(5))?;
    world.run_for(secs(60))?;
    world.check_at_rest()
}

#[test]
fn a_full_list_refuses_the_next_node() -> Outcome {
    let mut world = mesh(4, 20.0);
    (0..4).for_each(|site| world.config_mut(site).max_members = 3);
    let world = formed_without_last(world)?;
    refused(world, RejectReason::ListFull)
}

#[test]
fn members_may_have_ipv6_locators() -> Outcome {
    let mut world = over(&Matrix::fujisawa_inagi_seoul());
    for site in 0..3 {
        world.readdress(site, ipv6(site));
        world.config_mut(site).seeds = vec![ipv6(0)];
    }
    let mut world = formed(world)?;
    assert_eq!(world.path(0, 2), [1, 2]);
    world.check_at_rest()
}

#[test]
fn ipv4_and_ipv6_locators_mix() -> Outcome {
    let mut world = over(&Matrix::fujisawa_inagi_seoul());
    world.readdress(1, ipv6(1));
    let mut world = formed(world)?;
    assert_eq!(world.path(0, 2), [1, 2]);
    world.check_at_rest()
}
