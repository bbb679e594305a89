//! Announced hosts: where the members believe them to be, whatever gets lost; and what people are told of hosts.

use std::collections::BTreeSet;

use leon::config::MAX_ANNOUNCED_HOSTS;
use leon::sim::{Link, To, Violation, World};
use leon::{Counter, Event, Host, HostError, HostOrigin, MacAddr, Segment};

use crate::support::{Outcome, change, count, formed, mesh, ms, secs, seeds, when};

/// A host by number, at no site.
fn host(n: u32) -> Host {
    let [a, b, c, d] = n.to_be_bytes();
    Host { segment: Segment::DEFAULT, vlan: 0, mac: MacAddr([2, 0xaa, a, b, c, d]) }
}

/// The site where a site's FDB has a host, and how it knows.
fn place(world: &World, at: usize, host: Host) -> Option<(usize, HostOrigin)> {
    let status = world.status(at)?;
    let found = status.fdb.iter().find(|known| known.mac == host.mac && known.vlan == host.vlan)?;
    let site = found.member.map_or(Some(at), |member| world.site_of(member))?;
    Some((site, found.origin))
}

/// Where all running sites have a host that was announced; `None` if they differ, or one has learned it.
fn agreed(world: &World, host: Host) -> Option<Option<usize>> {
    let places: BTreeSet<_> = world.running().into_iter().map(|at| place(world, at, host)).collect();
    match places.into_iter().collect::<Vec<_>>()[..] {
        [None] => Some(None),
        [Some((site, HostOrigin::Announced))] => Some(Some(site)),
        _ => None,
    }
}

/// Sends a frame of a new host at a site to a host and says at which sites it came out.
fn reached(world: &mut World, from: usize, to: Host) -> Result<Vec<usize>, Violation> {
    let asking = world.add_host(from);
    let frame = world.send(asking, To::Mac(to.mac), 60);
    world.run_for(ms(100))?;
    Ok(world.frame(frame).sites())
}

#[test]
fn an_announced_host_is_found_without_a_frame_of_it_and_does_not_age() -> Outcome {
    let mut world = formed(mesh(4, 10.0))?;
    assert_eq!(world.announce_at(2, host(1)), Ok(()));
    world.run_for(ms(50))?;
    assert_eq!(reached(&mut world, 0, host(1))?, [2]);
    world.run_for(secs(1000))?;
    assert_eq!(agreed(&world, host(1)), Some(Some(2)));
    assert_eq!(reached(&mut world, 1, host(1))?, [2]);
    world.check_at_rest()
}

#[test]
fn a_migrated_host_is_found_after_one_message_before_and_after_its_former_site_withdraws_it() -> Outcome {
    let mut world = formed(mesh(4, 10.0))?;
    let _ = world.announce_at(1, host(1));
    world.run_for(secs(1))?;
    let _ = world.announce_at(3, host(1));
    // 10 ms until it is told, 5 on the way.
    world.run_for(ms(20))?;
    assert_eq!(agreed(&world, host(1)), Some(Some(3)));
    assert_eq!(reached(&mut world, 1, host(1))?, [3], "from its former site, too");
    world.withdraw_at(1, host(1));
    world.run_for(secs(30))?;
    assert_eq!(agreed(&world, host(1)), Some(Some(3)));
    let moved = |event: &Event| {
        let (from, to) = (None, Some(world.config(3).id()));
        *event == Event::HostMoved { host: host(1), from, to }
    };
    assert!(when(&world, 1, leon::Time::ZERO, moved).is_some(), "the former site is told");
    world.check_at_rest()
}

#[test]
fn a_host_that_is_withdrawn_is_forgotten_and_its_former_place_does_not_come_back() -> Outcome {
    let mut world = formed(mesh(3, 10.0))?;
    let _ = world.announce_at(0, host(1));
    world.run_for(secs(1))?;
    // Site 0 does not notice that it has gone.
    let _ = world.announce_at(1, host(1));
    world.run_for(secs(1))?;
    world.withdraw_at(1, host(1));
    world.run_for(secs(30))?;
    assert_eq!(agreed(&world, host(1)), Some(None));
    assert_eq!(reached(&mut world, 2, host(1))?, [0, 1], "it is flooded");
    let _ = world.announce_at(0, host(1));
    world.run_for(secs(1))?;
    assert_eq!(agreed(&world, host(1)), Some(Some(0)));
    Ok(())
}

#[test]
fn of_two_sites_that_announce_a_host_at_once_all_believe_the_same() -> Outcome {
    let mut world = formed(mesh(5, 40.0))?;
    for (n, sites) in [(1, [0, 1]), (2, [1, 0]), (3, [3, 4]), (4, [4, 2])] {
        for site in sites {
            let _ = world.announce_at(site, host(n));
        }
        world.run_for(secs(1))?;
        let winner = agreed(&world, host(n)).flatten().expect("all agree");
        let highest = sites.into_iter().max_by_key(|site| world.config(*site).id());
        assert_eq!(Some(winner), highest);
    }
    Ok(())
}

#[test]
fn announcements_reach_all_over_an_underlay_that_loses_repeats_and_reorders() -> Outcome {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        (0..4).for_each(|_| {
            world.add_site();
        });
        for (from, to) in (0..4).flat_map(|from| (0..4).map(move |to| (from, to))).filter(|(a, b)| a != b) {
            world.set_link(from, to, Link::rtt_ms(30.0));
        }
        let mut world = formed(world)?;
        for (one, other) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
            let faulty =
                |link| Link { loss: 0.3, duplication: 0.3, reorder: 0.3, jitter_ns: 20_000_000, ..link };
            change(&mut world, one, other, faulty);
        }
        // Hosts start, move and stop, some hundred in all.
        let mut expected = [None; 100];
        for step in 0..600_u32 {
            let (n, site) = (step * 37 % 100, (step * 7 % 4) as usize);
            match (expected[n as usize], step % 3) {
                (Some(former), 0) => {
                    world.withdraw_at(former, host(n));
                    expected[n as usize] = None;
                }
                (Some(former), _) if former != site => {
                    // The latest announcement is the one that knows of the former.
                    world.run_for(secs(5))?;
                    let _ = world.announce_at(site, host(n));
                    expected[n as usize] = Some(site);
                }
                (None, _) => {
                    let _ = world.announce_at(site, host(n));
                    expected[n as usize] = Some(site);
                }
                _ => {}
            }
            world.run_for(ms(20))?;
        }
        world.calm();
        world.run_for(secs(15))?;
        let disagreed: Vec<_> = (0..100).filter(|n| agreed(&world, host(*n)).is_none()).collect();
        assert!(disagreed.is_empty(), "seed {seed}: {disagreed:?}");
        world.settle(secs(30))?;
    }
    Ok(())
}

#[test]
fn who_joins_late_learns_all_announcements() -> Outcome {
    let mut world = mesh(3, 10.0);
    let late = world.add_site();
    for site in 0..3 {
        world.connect(site, late, Link::rtt_ms(10.0));
        world.start(site);
    }
    world.settle(secs(10))?;
    for n in 0..1000 {
        let _ = world.announce_at(n as usize % 3, host(n));
    }
    world.withdraw_at(0, host(0));
    world.run_for(secs(1))?;
    world.start(late);
    world.settle(secs(10))?;
    world.run_for(secs(1))?;
    for n in 0..1000 {
        assert_eq!(agreed(&world, host(n)), Some((n > 0).then_some(n as usize % 3)), "host {n}");
    }
    Ok(())
}

#[test]
fn the_announcements_of_a_site_go_with_it_and_it_may_make_them_again() -> Outcome {
    let mut world = formed(mesh(3, 10.0))?;
    for site in 0..3 {
        let _ = world.announce_at(site, host(site as u32));
    }
    world.run_for(secs(1))?;
    world.crash(1);
    world.leave(2);
    world.run_for(secs(20))?;
    assert_eq!([0, 1, 2].map(|n| place(&world, 0, host(n)).map(|(site, _)| site)), [Some(0), None, None]);
    world.start(1);
    world.run_for(secs(10))?;
    assert_eq!(place(&world, 0, host(1)), None, "a new life has announced nothing");
    assert_eq!(place(&world, 1, host(0)), Some((0, HostOrigin::Announced)));
    let _ = world.announce_at(1, host(1));
    world.run_for(secs(1))?;
    assert_eq!(place(&world, 0, host(1)), Some((1, HostOrigin::Announced)));
    Ok(())
}

#[test]
fn a_member_that_was_cut_off_learns_what_it_missed() -> Outcome {
    let mut world = formed(mesh(3, 10.0))?;
    for n in 0..10 {
        let _ = world.announce_at(0, host(n));
    }
    world.run_for(secs(1))?;
    world.partition(&[0, 0, 1]);
    world.run_for(secs(10))?;
    for n in 0..5 {
        world.withdraw_at(0, host(n));
    }
    let _ = world.announce_at(1, host(7));
    world.heal();
    world.settle(secs(60))?;
    world.run_for(secs(2))?;
    let places: Vec<_> = (0..10).map(|n| agreed(&world, host(n)).expect("all agree")).collect();
    let stays = Some(0);
    assert_eq!(places, [None, None, None, None, None, stays, stays, Some(1), stays, stays]);
    Ok(())
}

#[test]
fn who_has_missed_withdrawals_that_are_forgotten_begins_anew() -> Outcome {
    let mut world = formed(mesh(3, 10.0))?;
    for n in 0..100 {
        let _ = world.announce_at(0, host(n));
    }
    world.run_for(secs(1))?;
    // Too short for anybody to fail.
    world.partition(&[0, 0, 1]);
    world.withdraw_at(0, host(1));
    for n in 1000..1000 + 2 * MAX_ANNOUNCED_HOSTS as u32 {
        let _ = world.announce_at(0, host(n));
        world.withdraw_at(0, host(n));
    }
    world.run_for(ms(100))?;
    world.heal();
    world.run_for(secs(5))?;
    let wrong: Vec<_> =
        (0..100).filter(|n| agreed(&world, host(*n)) != Some((*n != 1).then_some(0))).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    Ok(())
}

#[test]
fn a_storm_of_announcements_takes_few_messages() -> Outcome {
    let mut world = formed(mesh(3, 10.0))?;
    world.run_for(secs(10))?;
    let before = count(&world, 1, Counter::DatagramsIn);
    for n in 0..1000 {
        let _ = world.announce_at(0, host(n));
        world.run_for(ms(1))?;
    }
    world.run_for(ms(50))?;
    assert!((0..1000).all(|n| agreed(&world, host(n)) == Some(Some(0))));
    let messages = count(&world, 1, Counter::DatagramsIn) - before;
    assert!(messages < 120, "{messages} datagrams");
    assert_eq!(count(&world, 1, Counter::ControlLimit), 0);
    Ok(())
}

#[test]
fn a_site_announces_as_many_hosts_as_it_may_and_all_are_found() -> Outcome {
    let mut world = mesh(3, 10.0);
    // Room for all of them in each bucket.
    (0..3).for_each(|site| world.config_mut(site).fdb_capacity = 1 << 17);
    let mut world = formed(world)?;
    let most = MAX_ANNOUNCED_HOSTS as u32;
    for n in 0..most {
        assert_eq!(world.announce_at(0, host(n)), Ok(()));
    }
    assert_eq!(world.announce_at(0, host(most)), Err(HostError::TooMany));
    assert_eq!(world.announce_at(0, host(0)), Ok(()), "again");
    world.run_for(secs(1))?;
    let known = |site| world.status(site).map_or(0, |status| status.fdb.len());
    assert_eq!([0, 1, 2].map(known), [MAX_ANNOUNCED_HOSTS; 3]);
    Ok(())
}

#[test]
fn what_no_node_can_announce_is_an_error() {
    let mut world = mesh(2, 10.0);
    world.start(0);
    let of = |host| world.announce_at(0, host);
    let elsewhere = Segment::new(9).expect("fits 24 bits");
    let group = MacAddr([1, 0, 0x5e, 0, 0, 1]);
    let hosts = [
        Host { vlan: 4095, ..host(1) },
        Host { mac: group, ..host(1) },
        Host { segment: elsewhere, ..host(1) },
        Host { vlan: 4094, ..host(1) },
    ];
    let expected = [
        Err(HostError::Vlan(4095)),
        Err(HostError::GroupAddress(group)),
        Err(HostError::Segment(elsewhere)),
        Ok(()),
    ];
    assert_eq!(hosts.map(of), expected);
}

#[test]
fn a_member_that_does_not_serve_the_segment_does_not_keep_the_host() -> Outcome {
    let [red, blue] = [5, 6].map(|id| Segment::new(id).expect("fits 24 bits"));
    let mut world = mesh(3, 10.0);
    for (site, segments) in [vec![red], vec![red, blue], vec![blue]].into_iter().enumerate() {
        world.config_mut(site).segments = segments;
    }
    let mut world = formed(world)?;
    let of = |segment| Host { segment, ..host(1) };
    let _ = world.announce_at(0, of(red));
    let _ = world.announce_at(2, of(blue));
    world.run_for(secs(1))?;
    let known = |site| world.status(site).map_or(0, |status| status.fdb.len());
    assert_eq!([0, 1, 2].map(known), [1, 2, 1]);
    Ok(())
}

#[test]
fn frames_from_before_a_migration_do_not_undo_it_and_later_ones_do() -> Outcome {
    let mut world = formed(mesh(3, 10.0))?;
    let vm = world.add_host(0);
    let name = world.host(vm).name();
    let _ = world.announce(vm);
    world.run_for(secs(10))?;
    let _ = world.announce_at(1, name);
    world.run_for(ms(20))?;
    // The machine's last broadcast comes late.
    world.send(vm, To::Everyone, 60);
    world.run_for(ms(100))?;
    assert_eq!(agreed(&world, name), Some(Some(1)));
    assert!(count(&world, 2, Counter::MacHeld) > 0);
    // It was no migration: the machine is where it was, and talks.
    world.run_for(secs(3))?;
    world.send(vm, To::Everyone, 60);
    world.run_for(ms(100))?;
    assert!((0..3).all(|at| place(&world, at, name) == Some((0, HostOrigin::Learned))));
    // What runs the machine knows best.
    let _ = world.announce(vm);
    world.run_for(ms(100))?;
    assert_eq!(agreed(&world, name), Some(Some(0)));
    Ok(())
}

#[test]
fn a_standing_announcement_counts_again_when_nothing_contradicts_it_any_more() -> Outcome {
    let mut world = mesh(3, 10.0);
    (0..3).for_each(|site| world.config_mut(site).fdb_ageing = secs(20));
    let mut world = formed(world)?;
    let twin = world.add_host(1);
    let name = world.host(twin).name();
    let _ = world.announce_at(0, name);
    world.run_for(secs(5))?;
    world.send(twin, To::Everyone, 60);
    world.run_for(secs(1))?;
    assert_eq!(place(&world, 2, name), Some((1, HostOrigin::Learned)));
    world.run_for(secs(32))?;
    assert_eq!(agreed(&world, name), Some(Some(0)));
    Ok(())
}

#[test]
fn people_are_told_where_a_host_has_moved() -> Outcome {
    let mut world = formed(mesh(3, 10.0))?;
    let wanderer = world.add_host(0);
    let name = world.host(wanderer).name();
    for site in [0, 1] {
        world.move_host(wanderer, site);
        world.send(wanderer, To::Everyone, 60);
        world.run_for(secs(1))?;
    }
    let [first, second] = [0, 1].map(|site| Some(world.config(site).id()));
    for (at, from, to) in [(0, None, second), (1, first, None), (2, first, second)] {
        let told = |event: &Event| *event == Event::HostMoved { host: name, from, to };
        assert!(when(&world, at, leon::Time::ZERO, told).is_some(), "site {at}");
    }
    Ok(())
}

/// How often a site said that a host flaps.
fn flaps(world: &World, site: usize) -> usize {
    let flaps = |event: &Event| matches!(event, Event::HostFlapping { .. });
    world.events(site).iter().filter(|(_, event)| flaps(event)).count()
}

#[test]
fn two_hosts_with_one_address_are_told_of_once_until_there_is_calm() -> Outcome {
    let mut world = formed(mesh(3, 10.0))?;
    let (one, twin) = (world.add_host(0), world.add_host(1));
    let mac = world.host(one).mac;
    let mut frame = vec![0xff; 60];
    let mut fight = |world: &mut World, rounds: u64| {
        for _ in 0..rounds {
            world.send(one, To::Everyone, 60);
            world.run_for(ms(500))?;
            frame[6..12].copy_from_slice(&mac.0);
            frame[20..28].copy_from_slice(&world.now().as_nanos().to_be_bytes());
            world.send_bytes(world.host(twin).site, Segment::DEFAULT, &frame);
            world.run_for(ms(500))?;
        }
        Ok(())
    };
    fight(&mut world, 2)?;
    assert_eq!(flaps(&world, 2), 0, "three moves");
    fight(&mut world, 60)?;
    assert_eq!([0, 1, 2].map(|site| flaps(&world, site)), [1; 3]);
    world.run_for(secs(200))?;
    fight(&mut world, 10)?;
    assert_eq!(flaps(&world, 2), 2);
    Ok(())
}

#[test]
fn a_loop_between_two_sites_is_told_of() -> Outcome {
    let mut world = formed(mesh(2, 10.0))?;
    let talker = world.add_host(0);
    let name = world.host(talker).name();
    // Another link brings what one site's host says to the other's local network.
    for _ in 0..5 {
        let frame = world.send(talker, To::Everyone, 60);
        world.run_for(ms(20))?;
        assert_eq!(world.frame(frame).sites(), [1]);
        let mut looped = vec![0xff; 60];
        looped[6..12].copy_from_slice(&name.mac.0);
        looped[20..28].copy_from_slice(&world.now().as_nanos().to_be_bytes());
        world.send_bytes(1, Segment::DEFAULT, &looped);
        world.run_for(ms(20))?;
    }
    assert!(flaps(&world, 0) > 0 && flaps(&world, 1) > 0);
    Ok(())
}
