//! The life of a session: begun by both at once, over long, lossy and one-way links, renewed under traffic, moved
//! with its node, and begun anew.

use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;

use leon::sim::{Caught, Link, Matrix, To, World};
use leon::{Counter, Event};

use crate::attacks::{INITIATION, TRANSPORT, kind_of};
use crate::support::{Outcome, change, count, cut_both, formed, lists, mesh, ms, secs, seeds, when};

/// Two sites that have each other as their seed.
fn pair(seed: u64, rtt_ms: f64) -> World {
    let mut world = World::with_links(seed, 2, &Matrix::full_mesh(2, rtt_ms).links());
    world.config_mut(0).seeds = vec![world.address(1)];
    world
}

fn agree(world: &World) -> bool {
    lists(world, 0, 1) && lists(world, 1, 0)
}

#[test]
fn two_nodes_that_begin_at_the_same_instant_get_a_session_whatever_the_delay() -> Outcome {
    for rtt_ms in [0.2, 20.0, 100.0, 250.0, 500.0, 700.0, 1000.0, 1500.0, 2000.0, 3000.0] {
        let mut slowest = Duration::ZERO;
        for seed in seeds(10) {
            for offset_share in [0.0, 0.3, 0.6, 1.0] {
                let mut world = pair(seed, rtt_ms);
                world.start(0);
                world.run_for(Duration::from_secs_f64(rtt_ms * offset_share / 1000.0))?;
                world.start(1);
                let limit = secs(2) + Duration::from_secs_f64(rtt_ms / 1000.0 * 6.0);
                let passed = world.run_until(limit, agree)?;
                let what = format!("seed {seed}, RTT {rtt_ms} ms, offset {offset_share}");
                slowest = slowest.max(passed.unwrap_or_else(|| panic!("{what}: no session in {limit:?}")));
            }
        }
        println!("RTT {rtt_ms} ms: the slowest took {slowest:?}");
    }
    Ok(())
}

/// Drops the datagrams of the other types than transport for which `is_lost` holds, counted over both directions
/// between two sites.
fn lose(world: &mut World, is_lost: impl Fn(u64) -> bool + Clone + 'static) -> Rc<Cell<u64>> {
    let seen = Rc::new(Cell::new(0));
    for (from, to) in [(0, 1), (1, 0)] {
        let (seen, is_lost) = (Rc::clone(&seen), is_lost.clone());
        world.intercept(from, to, move |caught: Caught| {
            if kind_of(&caught.bytes) == TRANSPORT {
                return vec![caught];
            }
            seen.set(seen.get() + 1);
            if is_lost(seen.get()) { Vec::new() } else { vec![caught] }
        });
    }
    seen
}

#[test]
fn any_single_message_of_a_handshake_may_be_lost() -> Outcome {
    for lost in 1..=6 {
        for seed in seeds(5) {
            let mut world = World::with_links(seed, 2, &Matrix::full_mesh(2, 40.0).links());
            lose(&mut world, move |n| n == lost);
            world.start_all()?;
            let passed = world.run_until(secs(2), agree)?;
            assert!(passed.is_some(), "seed {seed}: without message {lost}");
        }
    }
    Ok(())
}

#[test]
fn any_two_messages_of_a_handshake_may_be_lost() -> Outcome {
    for (one, other) in [(1, 2), (1, 3), (2, 3), (3, 4), (4, 5), (2, 5)] {
        let mut world = mesh(2, 40.0);
        lose(&mut world, move |n| n == one || n == other);
        world.start_all()?;
        assert!(world.run_until(secs(3), agree)?.is_some(), "without messages {one} and {other}");
    }
    Ok(())
}

#[test]
fn the_first_use_of_new_keys_may_be_lost() -> Outcome {
    // The first datagram under the keys, and what follows it for so long.
    for outage in [1, 20, 200, 1000, 3000] {
        let mut world = mesh(2, 40.0);
        let since = Rc::new(Cell::new(None));
        let start = Rc::clone(&since);
        let now = Rc::new(Cell::new(0));
        let clock = Rc::clone(&now);
        world.intercept(1, 0, move |caught: Caught| {
            if kind_of(&caught.bytes) == TRANSPORT && start.get().is_none() {
                start.set(Some(clock.get()));
            }
            let is_lost = start.get().is_some_and(|start: u64| clock.get() < start + outage);
            if is_lost { Vec::new() } else { vec![caught] }
        });
        world.start_all()?;
        for _ in 0..outage + 3000 {
            world.run_for(ms(1))?;
            now.set(now.get() + 1);
        }
        assert!(since.get().is_some());
        assert!(agree(&world), "after an outage of {outage} ms");
    }
    Ok(())
}

#[test]
fn handshakes_survive_reordering_and_duplication() -> Outcome {
    for seed in seeds(20) {
        let mut world = World::with_links(seed, 4, &Matrix::full_mesh(4, 60.0).links());
        for (one, other) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
            change(&mut world, one, other, |link| Link {
                reorder: 0.5,
                duplication: 0.5,
                jitter_ns: 40_000_000,
                ..link
            });
        }
        world.start_all()?;
        world.run_for(secs(3))?;
        assert!(world.disagreement().is_none(), "seed {seed}: {:?}", world.disagreement());
    }
    Ok(())
}

#[test]
fn a_mesh_works_over_round_trip_times_of_two_seconds() -> Outcome {
    for seed in seeds(5) {
        let mut world = World::with_links(seed, 3, &Matrix::full_mesh(3, 2000.0).links());
        world.start_all()?;
        world.settle(secs(40))?;
        let formed_at = world.now();
        world.run_for(secs(600))?;
        for site in 0..3 {
            let failed = when(&world, site, formed_at, |event| matches!(event, Event::MemberFailed { .. }));
            assert!(failed.is_none(), "seed {seed}: {:?}", world.events(site));
        }
        world.check_at_rest()?;
    }
    Ok(())
}

/// Frames at a steady pace between the hosts of two sites, for so long; gives how many were sent, and those that
/// did not arrive, by when they were sent.
fn traffic(
    world: &mut World,
    ends: [usize; 2],
    every: Duration,
    duration: Duration,
) -> Result<(u64, Vec<Duration>), leon::sim::Violation> {
    let hosts = ends.map(|site| world.add_host(site));
    for host in hosts {
        world.send(host, To::Everyone, 60);
        world.run_for(secs(1))?;
    }
    let start = world.now();
    let mut sent = Vec::new();
    while world.now() < start + duration {
        let at = world.now().since(start);
        sent.push((at, world.send(hosts[0], To::Host(hosts[1]), 100)));
        sent.push((at, world.send(hosts[1], To::Host(hosts[0]), 100)));
        world.run_for(every)?;
    }
    world.run_for(secs(1))?;
    let is_lost = |&&(_, frame): &&(Duration, usize)| world.frame(frame).deliveries.is_empty();
    let lost = sent.iter().filter(is_lost).map(|(at, _)| *at).collect();
    Ok((sent.len() as u64, lost))
}

#[test]
fn no_frame_is_lost_while_keys_are_renewed() -> Outcome {
    let mut world = formed(mesh(2, 30.0))?;
    let before = [0, 1].map(|site| count(&world, site, Counter::SourceEpoch));
    let handshakes = lose(&mut world, |_| false);
    let (sent, lost) = traffic(&mut world, [0, 1], ms(4), secs(600))?;
    assert_eq!(lost, [], "of {sent}");
    assert_eq!([0, 1].map(|site| count(&world, site, Counter::SourceEpoch)), before);
    // Four or five renewals, two messages each.
    assert!((8..=12).contains(&handshakes.get()), "{} messages of handshakes", handshakes.get());
    Ok(())
}

#[test]
fn no_frame_is_lost_through_a_relay_while_keys_are_renewed() -> Outcome {
    let mut world = formed(crate::support::triangle(100.0, 20.0, 20.0))?;
    assert_eq!(world.path(0, 2), [1, 2]);
    let (sent, lost) = traffic(&mut world, [0, 2], ms(10), secs(600))?;
    assert_eq!(lost, [], "of {sent}");
    for site in 0..3 {
        for counter in [Counter::Tag, Counter::SourceEpoch, Counter::KeysExpired, Counter::Replayed] {
            assert_eq!(count(&world, site, counter), 0, "{counter:?} at {site}");
        }
    }
    Ok(())
}

#[test]
fn frames_go_through_a_relay_whose_keys_were_renewed_long_before_those_of_the_destination() -> Outcome {
    let mut world = crate::support::triangle(100.0, 20.0, 20.0);
    world.start(0);
    world.start(1);
    world.run_for(secs(90))?;
    world.start(2);
    assert!(world.run_until(secs(30), |world| world.path(0, 2) == [1, 2])?.is_some());
    // The relay forgets its first keys after 180 s, and those of the destination are renewed after 210 s.
    let (sent, lost) = traffic(&mut world, [0, 2], ms(10), secs(400))?;
    assert_eq!(lost, [], "of {sent}");
    Ok(())
}

#[test]
fn keys_are_renewed_on_lossy_links() -> Outcome {
    for seed in seeds(5) {
        // A detour that is no alternative to the lossy link, but keeps the two from being taken for failed.
        let rows = [vec![0.0, 30.0, 300.0], vec![30.0, 0.0, 300.0], vec![300.0, 300.0, 0.0]];
        let links = Matrix::from_ms(&rows).expect("the matrix is square").links();
        let mut world = World::with_links(seed, 3, &links);
        world.start_all()?;
        world.settle(secs(5))?;
        change(&mut world, 0, 1, |link| Link { loss: 0.2, ..link });
        let (sent, lost) = traffic(&mut world, [0, 1], ms(20), secs(900))?;
        let share = lost.len() as f64 / sent as f64;
        assert!(share < 0.25, "seed {seed}: {share}");
        // No outage: of frames every 20 ms in two directions, a fifth is lost by chance.
        let worst = lost.windows(30).map(|lost| lost[29] - lost[0]).min();
        assert!(worst.is_none_or(|worst| worst > ms(500)), "seed {seed}: 30 lost within {worst:?}");
    }
    Ok(())
}

#[test]
fn keys_whose_first_use_was_long_in_coming_are_renewed() -> Outcome {
    // From the response on, nothing passes from the initiator for a while: longer than the responder waits.
    for outage in [5, 12, 20, 40] {
        for from in [0, 1] {
            let mut world = formed(mesh(3, 20.0))?;
            let to = 1 - from;
            let (cut, is_cut) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(true)));
            let (saw, open) = (Rc::clone(&cut), Rc::clone(&is_cut));
            world.intercept(from, to, move |caught: Caught| {
                if saw.get() && open.get() {
                    return Vec::new();
                }
                saw.set(saw.get() || kind_of(&caught.bytes) == INITIATION);
                vec![caught]
            });
            let begun = world.run_until(secs(200), |_| cut.get())?;
            if begun.is_none() {
                // The other one begins.
                continue;
            }
            world.run_for(secs(outage))?;
            is_cut.set(false);
            world.run_for(secs(10))?;
            let hosts = [from, to].map(|site| world.add_host(site));
            let there = world.send(hosts[0], To::Everyone, 60);
            let back = world.send(hosts[1], To::Everyone, 60);
            world.run_for(secs(1))?;
            assert!(world.frame(there).sites().contains(&to), "from {from}, after {outage} s");
            assert!(world.frame(back).sites().contains(&from), "to {from}, after {outage} s");
            world.settle(secs(5))?;
        }
    }
    Ok(())
}

#[test]
fn two_nodes_that_were_cut_off_while_they_renewed_their_keys_find_each_other() -> Outcome {
    for outage in [5, 12, 20, 60, 200] {
        let mut world = formed(mesh(2, 20.0))?;
        let seen = lose(&mut world, |_| false);
        // Right after the initiation, and right after the response.
        for messages in [1, 2] {
            let target = seen.get() + messages;
            world.run_until(secs(200), |_| seen.get() >= target)?;
            cut_both(&mut world, 0, 1);
            world.run_for(secs(outage))?;
            world.heal();
            world.settle(secs(40))?;
            world.check_at_rest()?;
        }
    }
    Ok(())
}

#[test]
fn a_node_whose_address_changes_keeps_its_sessions() -> Outcome {
    let mut world = formed(mesh(3, 20.0))?;
    let hosts = [0, 1, 2].map(|site| world.add_host(site));
    for host in hosts {
        world.send(host, To::Everyone, 60);
        world.run_for(ms(100))?;
    }
    for port in [5000, 5001, 5002] {
        let locator = world.config(1).locator;
        let elsewhere = (world.address(1).ip(), port).into();
        world.claim(elsewhere);
        world.readdress(1, elsewhere);
        world.config_mut(1).locator = locator;
        let moved_at = world.now();
        // Its next probe of each link tells where it is.
        world.run_for(ms(1500))?;
        for (from, to) in [(0, 1), (1, 0), (2, 1), (1, 2)] {
            let frame = world.send(hosts[from], To::Host(hosts[to]), 100);
            world.run_for(ms(200))?;
            assert_eq!(world.frame(frame).sites(), [to]);
        }
        let failed = |site| when(&world, site, moved_at, |event| matches!(event, Event::MemberFailed { .. }));
        assert!((0..3).all(|site| failed(site).is_none()));
    }
    // A renewal or two later it still is.
    world.run_for(secs(300))?;
    for (from, to) in [(0, 1), (1, 0), (2, 1), (1, 2)] {
        let frame = world.send(hosts[from], To::Everyone, 100);
        world.run_for(ms(200))?;
        assert!(world.frame(frame).sites().contains(&to));
    }
    Ok(())
}

#[test]
fn a_node_whose_clock_went_back_over_a_restart_joins_again() -> Outcome {
    for seed in seeds(20) {
        for pause in [0, 2, 30] {
            let mut world = World::with_links(seed, 3, &Matrix::full_mesh(3, 20.0).links());
            world.run_for(secs(1000))?;
            world.start_all()?;
            world.settle(secs(10))?;
            // Renewed by both sides, so that initiations were taken in both directions.
            world.run_for(secs(400))?;
            for incarnation in [1000, 999, 1] {
                world.crash(1);
                world.run_for(secs(pause))?;
                world.start_as(1, incarnation);
                world.settle(secs(8))?;
            }
            world.check_at_rest()?;
        }
    }
    Ok(())
}
