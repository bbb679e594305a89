//! What strangers and broken senders can do: nothing but make counters count.

use core::net::SocketAddr;

use leon::sim::{Dice, Link, Matrix, To, World};
use leon::{Counter, Counters, Status};

use crate::support::{Outcome, change, count, formed, ms, over, secs, seed};

/// A mesh that has formed over the paper's triangle, so that frames from 0 to 2 are relayed by 1.
fn mesh() -> Result<World, leon::sim::Violation> {
    formed(over(&Matrix::fujisawa_inagi_seoul()))
}

fn stranger() -> SocketAddr {
    "192.0.2.66:4747".parse().expect("an address")
}

/// What hostile datagrams may not change.
fn state(world: &World, site: usize) -> (u64, Vec<String>, usize) {
    let Status { list_digest, members, fdb, .. } = world.status(site).expect("the site runs");
    let members = members.iter().map(|member| format!("{} {:?}", member.id, member.state)).collect();
    (list_digest, members, fdb.len())
}

fn drops(counters: &Counters) -> u64 {
    counters.iter().filter(|(counter, _)| counter.name().starts_with("drop_datagram")).map(|(_, n)| n).sum()
}

/// Lets `datagrams` reach a site from a stranger and from a member's address, and checks that nothing
/// changes, nobody is answered with more than was asked, and every one of them is counted as dropped.
fn suffers_nothing(world: &mut World, site: usize, datagrams: &[Vec<u8>]) -> Outcome {
    let before = state(world, site);
    for from in [stranger(), world.address((site + 1) % 3)] {
        for bytes in datagrams {
            world.inject(site, from, bytes.clone());
        }
        world.run_for(ms(1))?;
    }
    world.run_for(secs(10))?;
    assert_eq!(state(world, site), before);
    let (_, answered) = world.strays(stranger());
    let asked: usize = datagrams.iter().map(Vec::len).sum();
    assert!(answered <= asked as u64, "{answered} bytes for {asked}");
    world.check_at_rest()
}

#[test]
fn random_datagrams_are_dropped_and_counted() -> Outcome {
    let mut world = mesh()?;
    let mut dice = Dice::named(seed(), "hostile");
    let datagrams: Vec<Vec<u8>> = (0..3000)
        .map(|_| {
            let mut bytes = vec![0; dice.below(200) as usize];
            dice.fill(&mut bytes);
            bytes
        })
        .collect();
    let before = total_drops(&world, 1);
    suffers_nothing(&mut world, 1, &datagrams)?;
    assert_eq!(total_drops(&world, 1), before + 6000);
    Ok(())
}

/// Everything a site has dropped, for whatever reason.
fn total_drops(world: &World, site: usize) -> u64 {
    let counters = world.status(site).expect("the site runs").counters;
    counters.iter().filter(|(counter, _)| counter.name().starts_with("drop_")).map(|(_, n)| n).sum()
}

#[test]
fn truncated_datagrams_are_dropped_and_counted() -> Outcome {
    let mut world = mesh()?;
    let real = a_relayed_frame(&mut world)?;
    let cut: Vec<Vec<u8>> = (0..real.len()).map(|len| real[..len].to_vec()).collect();
    suffers_nothing(&mut world, 1, &cut)?;
    suffers_nothing(&mut world, 2, &cut)
}

#[test]
fn unknown_versions_and_types_are_dropped_and_counted() -> Outcome {
    let mut world = mesh()?;
    let real = a_relayed_frame(&mut world)?;
    let with_first = |first: u8| [&[first], &real[1..]].concat();
    let own = real[0];
    let versions: Vec<_> = (0..=255).filter(|first| first >> 4 != own >> 4).map(with_first).collect();
    let types: Vec<_> =
        (0..16).filter(|kind| !(1..=5).contains(kind)).map(|kind| with_first(own & 0xf0 | kind)).collect();
    let before = [Counter::DatagramVersion, Counter::DatagramType].map(|counter| count(&world, 1, counter));
    suffers_nothing(&mut world, 1, &versions)?;
    suffers_nothing(&mut world, 1, &types)?;
    assert_eq!(count(&world, 1, Counter::DatagramVersion), before[0] + 2 * 240);
    assert_eq!(count(&world, 1, Counter::DatagramType), before[1] + 2 * 11);
    Ok(())
}

/// A datagram with a frame from site 0 to site 2 as site 1, its relay, received it.
fn a_relayed_frame(world: &mut World) -> Result<Vec<u8>, leon::sim::Violation> {
    let (host, other) = (world.add_host(0), world.add_host(2));
    world.send(other, To::Everyone, 60);
    world.run_for(secs(1))?;
    let frame = world.send(host, To::Host(other), 1111);
    world.run_for(secs(1))?;
    assert_eq!(world.frame(frame).sites(), [2]);
    let overheard = world.overheard(1);
    let is_it = |bytes: &&Vec<u8>| bytes.len() > 1111;
    Ok(overheard.iter().map(|(_, bytes)| bytes).find(is_it).expect("site 1 relays").clone())
}

/// Bytes of the common header and of an IPv4 entry.
const COMMON: usize = 20;
const ENTRY: usize = 14;

#[test]
fn paths_with_repeats_strangers_or_too_many_hops_are_dropped_and_counted() -> Outcome {
    let mut world = mesh()?;
    let real = a_relayed_frame(&mut world)?;
    let rest = &real[COMMON + 2 * ENTRY..];
    let (relay, last) = (&real[COMMON..COMMON + ENTRY], &real[COMMON + ENTRY..COMMON + 2 * ENTRY]);
    let with_path = |hops_index: u8, path: &[&[u8]]| {
        [&real[..1], &[hops_index], &real[2..COMMON], &path.concat(), rest].concat()
    };
    let nobody = [&[192, 0, 2, 99, 0x12, 0x34][..], &[0; 8]].concat();
    let others: Vec<Vec<u8>> = (1..6).map(|n| [&[192, 0, 2, n, 0x12, 0x34][..], &[0; 8]].concat()).collect();
    let cases = [
        (Counter::PathRepeat, with_path(0x30, &[relay, last, relay])),
        (Counter::PathRepeat, with_path(0x20, &[relay, relay])),
        (Counter::Tag, with_path(0x20, &[relay, &nobody])),
        (Counter::PathNotHere, with_path(0x20, &[last, relay])),
        (Counter::PathLength, with_path(0x00, &[])),
        (Counter::PathLength, with_path(0x22, &[relay, last])),
        (Counter::PathLength, with_path(0x50, &[relay, &others[0], &others[1], &others[2], &others[3]])),
    ];
    for (counter, datagram) in cases {
        let before = count(&world, 1, counter);
        suffers_nothing(&mut world, 1, &[datagram])?;
        assert_eq!(count(&world, 1, counter), before + 2, "{counter:?}");
    }
    Ok(())
}

#[test]
fn an_engine_is_no_reflector() -> Outcome {
    let mut world = mesh()?;
    let real = a_relayed_frame(&mut world)?;
    let mut aimed = real;
    aimed[COMMON + ENTRY..COMMON + ENTRY + 4].copy_from_slice(&[192, 0, 2, 66]);
    for _ in 0..100 {
        world.inject(1, world.address(0), aimed.clone());
    }
    world.run_for(secs(1))?;
    assert_eq!(world.strays(stranger()).0, 0);
    assert_eq!(world.strays("192.0.2.66:4747".parse().expect("an address")).0, 0);
    Ok(())
}

#[test]
fn datagrams_that_claim_to_come_from_the_receiver_are_dropped() -> Outcome {
    let mut world = mesh()?;
    let real = a_relayed_frame(&mut world)?;
    let mut own = real;
    own[4..12].copy_from_slice(&world.config(1).id().0[..8]);
    let before = total_drops(&world, 1);
    suffers_nothing(&mut world, 1, &[own])?;
    assert!(total_drops(&world, 1) >= before + 2);
    Ok(())
}

#[test]
fn nobody_can_make_a_node_talk_to_itself() -> Outcome {
    let mut world = over(&Matrix::fujisawa_inagi_seoul());
    world.start_all()?;
    // Greetings, handshakes and control messages, before and after they arrived.
    for _ in 0..20 {
        world.run_for(ms(1))?;
        for site in 0..3 {
            for (_, bytes) in world.overheard(site) {
                world.inject(site, world.address(site), bytes);
            }
        }
    }
    // Every step checks that no engine sends datagrams to itself.
    world.settle(secs(10))?;
    assert!((0..3).all(|site| count(&world, site, Counter::SourceSelf) > 0));
    world.check_at_rest()
}

#[test]
fn replayed_datagrams_change_nothing() -> Outcome {
    let mut world = mesh()?;
    a_relayed_frame(&mut world)?;
    for _ in 0..50 {
        (0..3).for_each(|site| world.replay(site, 20));
        world.run_for(ms(100))?;
    }
    assert!(count(&world, 2, Counter::Replayed) > 0);
    world.settle(secs(5))?;
    world.check_at_rest()
}

#[test]
fn replays_from_a_strangers_address_are_not_answered_with_more() -> Outcome {
    let mut world = mesh()?;
    a_relayed_frame(&mut world)?;
    let mut asked = 0;
    for (_, bytes) in world.overheard(1) {
        asked += bytes.len() as u64;
        world.inject(1, stranger(), bytes);
    }
    world.run_for(secs(10))?;
    let (_, answered) = world.strays(stranger());
    assert!(answered <= asked, "{answered} bytes for {asked}");
    world.settle(secs(5))?;
    world.check_at_rest()
}

#[test]
fn bit_flips_make_nobody_panic() -> Outcome {
    for seed in crate::support::seeds(10) {
        let mut world = World::with_links(seed, 4, &Matrix::full_mesh(4, 20.0).links());
        for one in 0..4 {
            for other in 0..one {
                change(&mut world, one, other, |link| Link { corruption: 0.3, ..link });
            }
        }
        world.start_all()?;
        let hosts: Vec<usize> = (0..4).map(|site| world.add_host(site)).collect();
        for step in 0..120 {
            world.send(hosts[step % 4], To::Host(hosts[(step + 1) % 4]), 100);
            world.send(hosts[step % 4], To::Everyone, 100);
            world.run_for(ms(500))?;
        }
        let dropped: u64 = (0..4).map(|site| drops(&world.status(site).expect("it runs").counters)).sum();
        assert!(dropped > 0);
    }
    Ok(())
}
