//! The malicious relay, and who makes honest relays work for it: what is relayed can be neither read nor changed nor
//! led elsewhere, and goes from members to members, once, along the path its sender chose.

use core::net::SocketAddr;
use core::time::Duration;
use std::cell::RefCell;
use std::rc::Rc;

use leon::sim::{Caught, Matrix, Rogue, To, Violation, World};
use leon::{Counter, MacAddr, NodeId, Segment};

use crate::attacks::{COMMON, ENTRY, TRANSPORT, drops_since, kind_of, status, triangle};
use crate::support::{Outcome, count, formed, ms, over, secs};

/// Where no member is.
fn victim() -> SocketAddr {
    "192.0.2.66:4747".parse().expect("an address")
}

/// Where the rogue receives.
fn rogues() -> SocketAddr {
    "192.0.2.77:4747".parse().expect("an address")
}

/// A broadcast frame of someone who is at no site.
fn frame(tag: u8) -> Vec<u8> {
    let source = MacAddr([0x02, 0xbb, 0, 0, 0, 1]);
    [&MacAddr::BROADCAST.0[..], &source.0, &[0x88, 0xb5], &[tag; 60]].concat()
}

/// The triangle with a rogue that has sessions with all; a member if it is told to join.
fn rogue_in_triangle(joins: bool) -> Result<(World, Rogue), Violation> {
    let (mut world, _) = triangle(1)?;
    let mut rogue = Rogue::new(&mut world, "rogue", rogues());
    for site in 0..3 {
        assert!(rogue.shake_hands(&mut world, site)?);
        assert!(!joins || rogue.join(&mut world, site)?);
        // Who does not answer what it is asked becomes no member.
        world.take_mail(rogue.address());
    }
    Ok((world, rogue))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_relay_reads_nothing_and_sees_no_two_frames_alike() -> Outcome {
    let (mut world, _) = triangle(1)?;
    let relayed = Rc::new(RefCell::new(Vec::<Vec<u8>>::new()));
    let tape = Rc::clone(&relayed);
    world.intercept(0, 1, move |caught: Caught| {
        tape.borrow_mut().push(caught.bytes.clone());
        vec![caught]
    });
    let (source, destination) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let hello = [&source.0[..], &destination.0, &[0x88, 0xb5], &[9; 50]].concat();
    world.send_bytes(2, Segment::DEFAULT, &hello);
    world.run_for(secs(1))?;
    let secret = [&destination.0[..], &source.0, &[0x88, 0xb5], b"the content of a disk"].concat();
    let sent: Vec<usize> = (0..20).map(|_| world.send_bytes(0, Segment::DEFAULT, &secret)).collect();
    world.run_for(secs(30))?;
    assert!(sent.iter().all(|&index| world.frame(index).deliveries.len() == 20));
    let relayed = relayed.borrow();
    let bodies: Vec<&[u8]> =
        relayed.iter().map(|bytes| &bytes[COMMON + usize::from(bytes[1] >> 4) * ENTRY..]).collect();
    for needle in [&secret[..12], &secret[14..], &source.0[..], b"site0", b"site2"] {
        assert!(!relayed.iter().any(|bytes| contains(bytes, needle)), "{needle:02x?} is legible");
    }
    for (n, body) in bodies.iter().enumerate() {
        assert!(!bodies[..n].contains(body), "a body recurs");
    }
    Ok(())
}

/// Four sites, where 1 relays between 0 and 2, and 3 is near to all. Gives a datagram with a frame from 0 to 2 as
/// it reached the relay; it is held back.
fn relayed_among_four() -> Result<(World, usize, Vec<u8>), Violation> {
    let rows =
        [[0.0, 10.0, 90.0, 20.0], [10.0, 0.0, 10.0, 20.0], [90.0, 10.0, 0.0, 20.0], [20.0, 20.0, 20.0, 0.0]];
    let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.to_vec()).collect();
    let mut world = formed(over(&Matrix::from_ms(&rows).expect("it is square")))?;
    let hosts = [0, 2].map(|site| world.add_host(site));
    world.send(hosts[1], To::Everyone, 60);
    world.run_for(secs(1))?;
    assert_eq!(world.path(0, 2), [1, 2]);
    let held = Rc::new(RefCell::new(Vec::new()));
    let taken = Rc::clone(&held);
    world.intercept(0, 1, move |caught: Caught| {
        if kind_of(&caught.bytes) == TRANSPORT && caught.bytes.len() > 300 {
            taken.borrow_mut().push(caught.bytes);
            return Vec::new();
        }
        vec![caught]
    });
    let frame = world.send(hosts[0], To::Host(hosts[1]), 300);
    let bytes = held.borrow()[0].clone();
    Ok((world, frame, bytes))
}

#[test]
fn a_relay_cannot_lead_what_it_relays_elsewhere() -> Outcome {
    let (mut world, frame, bytes) = relayed_among_four()?;
    let entry = |site: usize| {
        let SocketAddr::V4(locator) = world.address(site) else {
            unreachable!("sites are at IPv4 addresses")
        };
        [&locator.ip().octets()[..], &locator.port().to_be_bytes()].concat()
    };
    let tags = [&bytes[COMMON + 6..COMMON + ENTRY], &bytes[COMMON + ENTRY + 6..COMMON + 2 * ENTRY]];
    let body = &bytes[COMMON + 2 * ENTRY..];
    let with_path = |hops_index: u8, path: &[(usize, &[u8])]| {
        let path: Vec<u8> = path.iter().flat_map(|(site, tag)| [&entry(*site)[..], tag].concat()).collect();
        [&bytes[..1], &[hops_index], &bytes[2..COMMON], &path, body].concat()
    };
    // To whom the relay sends it, what it makes of it, and what that is dropped for.
    let cases = [
        (3, with_path(0x21, &[(1, tags[0]), (3, tags[1])]), Counter::SourceEpoch),
        (3, with_path(0x21, &[(1, tags[0]), (2, tags[1])]), Counter::PathNotHere),
        (3, with_path(0x31, &[(1, tags[0]), (3, tags[1]), (2, tags[1])]), Counter::Tag),
        (3, with_path(0x10, &[(3, tags[1])]), Counter::SourceEpoch),
        (2, with_path(0x10, &[(2, tags[1])]), Counter::Tag),
        (2, with_path(0x21, &[(3, tags[0]), (2, tags[1])]), Counter::Tag),
        (2, with_path(0x32, &[(1, tags[0]), (3, tags[0]), (2, tags[1])]), Counter::Tag),
        (0, with_path(0x21, &[(1, tags[0]), (0, tags[1])]), Counter::SourceSelf),
    ];
    for (n, (site, redirected, reason)) in cases.into_iter().enumerate() {
        let before = status(&world, site);
        world.inject(site, world.address(1), redirected);
        world.run_for(ms(1))?;
        let drops: Vec<_> = drops_since(&before, &status(&world, site)).into_iter().collect();
        // Epochs are small numbers, so that of another session may be the same.
        let is_told =
            drops == [(reason, 1)] || reason == Counter::SourceEpoch && drops == [(Counter::Tag, 1)];
        assert!(is_told, "case {n}: {drops:?}");
    }
    assert!(world.frame(frame).deliveries.is_empty());
    // Nothing was lost by it.
    world.inject(1, world.address(0), bytes);
    world.run_for(secs(1))?;
    assert_eq!(world.frame(frame).sites(), [2]);
    world.stop_intercepting(0, 1);
    world.check_at_rest()
}

#[test]
fn a_relay_that_repeats_and_delays_what_it_relays_has_each_frame_delivered_once() -> Outcome {
    let (mut world, hosts) = triangle(1)?;
    world.intercept(1, 2, |caught: Caught| {
        let again = [0, 7, 700].map(|after| Caught { after: caught.after + ms(after), ..caught.clone() });
        if kind_of(&caught.bytes) == TRANSPORT { again.to_vec() } else { vec![caught] }
    });
    let before = count(&world, 2, Counter::Replayed);
    let frames: Vec<usize> = (0..50).map(|_| world.send(hosts[0], To::Host(hosts[2]), 100)).collect();
    world.run_for(secs(2))?;
    assert!(frames.iter().all(|&frame| world.frame(frame).sites() == [2]));
    assert!(count(&world, 2, Counter::Replayed) >= before + 100);
    world.stop_intercepting(1, 2);
    world.check_at_rest()
}

#[test]
fn a_relay_takes_nothing_of_a_new_session_for_a_repetition() -> Outcome {
    let (mut world, hosts) = triangle(1)?;
    // Often enough for whatever of 8 bits names a session to come round.
    for life in 0..200 {
        world.restart(2);
        world.settle(secs(10))?;
        world.run_until(secs(10), |world| world.path(0, 2) == [1, 2])?;
        world.send(hosts[2], To::Everyone, 60);
        world.run_for(ms(50))?;
        let frames: Vec<usize> = (0..3).map(|_| world.send(hosts[0], To::Host(hosts[2]), 100)).collect();
        world.run_for(ms(50))?;
        assert!(frames.iter().all(|&frame| world.frame(frame).sites() == [2]), "life {life}");
    }
    assert_eq!(count(&world, 1, Counter::Replayed), 0);
    Ok(())
}

#[test]
fn a_relay_that_goes_dead_for_frames_and_pings_alike_is_routed_around() -> Outcome {
    let (mut world, hosts) = triangle(1)?;
    for (from, to) in [(0, 1), (2, 1), (1, 0), (1, 2)] {
        world.intercept(from, to, |_: Caught| Vec::new());
    }
    world.run_for(secs(3))?;
    let frame = world.send(hosts[0], To::Host(hosts[2]), 100);
    world.run_for(secs(1))?;
    assert_eq!(world.path(0, 2), [2]);
    assert_eq!(world.frame(frame).sites(), [2]);
    Ok(())
}

#[test]
fn nothing_is_relayed_for_who_is_no_member() -> Outcome {
    let (mut world, mut rogue) = rogue_in_triangle(false)?;
    let before = [1, 2].map(|site| status(&world, site));
    for tag in 0..100 {
        assert!(rogue.frame(&mut world, &[1, 2], &frame(tag)));
        assert!(rogue.frame(&mut world, &[2], &frame(tag)));
    }
    world.run_for(Duration::ZERO)?;
    for (n, site) in [1, 2].into_iter().enumerate() {
        let drops = drops_since(&before[n], &status(&world, site));
        assert_eq!(drops.into_iter().collect::<Vec<_>>(), [(Counter::SourceStranger, 100)], "site {site}");
    }
    assert_eq!(count(&world, 1, Counter::Relayed), before[0].counters.value(Counter::Relayed));
    world.check_at_rest()
}

#[test]
fn nothing_is_relayed_to_an_address_that_is_no_members() -> Outcome {
    let (mut world, mut rogue) = rogue_in_triangle(true)?;
    let locator = world.config(1).locator;
    let paths: [(&[(usize, SocketAddr)], Counter); 4] = [
        (&[(1, locator), (2, victim())], Counter::PathStranger),
        (&[(1, locator), (2, SocketAddr::new(world.address(2).ip(), 53))], Counter::PathStranger),
        (&[(1, locator), (0, victim()), (2, world.address(2))], Counter::PathStranger),
        // With a tag that another relay would take.
        (&[(0, locator), (2, world.address(2))], Counter::Tag),
    ];
    let before = status(&world, 1);
    let mut expected = std::collections::BTreeMap::new();
    for (path, reason) in paths {
        let datagram = rogue.frame_along(path, &frame(1)).expect("there are sessions");
        world.inject(1, rogue.address(), datagram);
        *expected.entry(reason).or_insert(0) += 1;
    }
    world.run_for(Duration::ZERO)?;
    assert_eq!(drops_since(&before, &status(&world, 1)), expected);
    assert_eq!(world.strays(victim()), (0, 0));
    assert_eq!(count(&world, 1, Counter::Relayed), before.counters.value(Counter::Relayed));
    Ok(())
}

#[test]
fn nothing_is_relayed_to_a_locator_that_was_only_claimed() -> Outcome {
    let (mut world, mut rogue) = rogue_in_triangle(true)?;
    let mut other = Rogue::new(&mut world, "other", "192.0.2.78:4747".parse().expect("an address"));
    other.claim("other", victim(), 1);
    assert!(other.shake_hands(&mut world, 1)? && other.join(&mut world, 1)?);
    for _ in 0..100 {
        other.live(&mut world, ms(10))?;
        rogue.attend(&mut world);
    }
    let before = world.strays(victim());
    let path = [(1, world.address(1)), (0, victim())];
    for _ in 0..100 {
        let datagram = rogue.frame_along(&path, &frame(1)).expect("there are sessions");
        world.inject(1, rogue.address(), datagram);
    }
    world.take_mail(other.address());
    world.run_for(Duration::ZERO)?;
    assert_eq!(world.strays(victim()), before);
    let relayed = world.take_mail(other.address());
    assert_eq!(
        relayed.iter().filter(|(_, bytes)| bytes[1] >> 4 == 2).count(),
        100,
        "it goes where it has proven to be"
    );
    Ok(())
}

#[test]
fn a_member_has_each_datagram_relayed_once_and_no_more_than_its_share() -> Outcome {
    let (mut world, hosts) = triangle(1)?;
    world.config_mut(1).relay_limit = 100;
    world.restart(1);
    world.settle(secs(10))?;
    let mut rogue = Rogue::new(&mut world, "rogue", rogues());
    for site in [1, 2] {
        assert!(rogue.join(&mut world, site)?);
    }
    let before = status(&world, 1);
    world.expect_frame(Segment::DEFAULT, &frame(1));
    let path = [(1, world.address(1)), (2, world.address(2))];
    let datagram = rogue.frame_along(&path, &frame(1)).expect("there are sessions");
    for _ in 0..50 {
        world.inject(1, rogue.address(), datagram.clone());
    }
    world.run_for(ms(50))?;
    let drops = drops_since(&before, &status(&world, 1));
    assert_eq!(drops.into_iter().collect::<Vec<_>>(), [(Counter::Replayed, 49)]);
    // A thousand in a second, and another member's frames between them.
    let before = status(&world, 1);
    let mut frames = Vec::new();
    for n in 0..1000_u32 {
        let tag = (n % 200) as u8;
        world.expect_frame(Segment::DEFAULT, &frame(tag));
        rogue.frame(&mut world, &[1, 2], &frame(tag));
        if n % 20 == 0 {
            frames.push(world.send(hosts[0], To::Host(hosts[2]), 100));
        }
        world.run_for(ms(1))?;
        rogue.attend(&mut world);
    }
    world.run_for(secs(1))?;
    let drops = drops_since(&before, &status(&world, 1));
    let refused = drops.get(&Counter::RelayLimit).copied().unwrap_or(0);
    assert!(drops.len() == 1 && (850..=900).contains(&refused), "{drops:?}");
    assert!(frames.iter().all(|&frame| world.frame(frame).sites() == [2]));
    Ok(())
}

#[test]
fn who_is_relayed_learns_and_changes_nothing_at_the_relay() -> Outcome {
    let (mut world, mut rogue) = rogue_in_triangle(true)?;
    let before = knowledge_of_hosts(&world);
    world.expect_frame(Segment::DEFAULT, &frame(1));
    assert!(rogue.frame(&mut world, &[1, 2], &frame(1)));
    world.run_for(secs(1))?;
    let after = knowledge_of_hosts(&world);
    assert_eq!(before[1], after[1], "a relay learns no host from what it relays");
    assert_ne!(before[2], after[2], "its destination does");
    Ok(())
}

fn knowledge_of_hosts(world: &World) -> [Vec<(MacAddr, Option<NodeId>)>; 3] {
    [0, 1, 2].map(|site| {
        let mut hosts: Vec<_> = status(world, site).fdb.iter().map(|host| (host.mac, host.member)).collect();
        hosts.sort();
        hosts
    })
}
