//! Keys that are lost, old, of another kind or used twice: who may not be a member is none, at once and for good, and
//! nothing is ever sealed twice alike.

use core::net::SocketAddr;
use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use leon::sim::{Caught, Rogue, To, Violation, World};
use leon::{Cipher, Counter, Event, Keys, MacAddr, NetworkKey, NodeId, SecretKey, Security, Segment, Time};

use crate::attacks::{COMMON, ENTRY, HELLO, TRANSPORT, drops_since, kind_of, status, triangle};
use crate::support::{Outcome, count, formed, lists, mesh, ms, secs, seeds, when};

fn rogues() -> SocketAddr {
    "192.0.2.77:4747".parse().expect("an address")
}

fn ids(world: &World, sites: &[usize]) -> BTreeSet<NodeId> {
    sites.iter().map(|&site| world.config(site).id()).collect()
}

/// Puts all sites' allow-lists in force, now and for later lives.
fn allow(world: &mut World, sites: &[usize], allowed: &[usize]) {
    let allowed = ids(world, allowed);
    for &site in sites {
        if let Security::Sealed(keys) = &mut world.config_mut(site).security {
            keys.allowed = Some(allowed.clone());
        }
        world.set_allowed(site, Some(allowed.clone()));
    }
}

/// A broadcast of someone at no site.
fn broadcast(tag: u8) -> Vec<u8> {
    [&MacAddr::BROADCAST.0[..], &[0x02, 0xbb, 0, 0, 0, 1], &[0x88, 0xb5], &[tag; 50]].concat()
}

#[test]
fn a_member_taken_off_the_lists_is_gone_at_once_and_stays_out() -> Outcome {
    let (mut world, hosts) = triangle(1)?;
    allow(&mut world, &[0, 1, 2], &[0, 1, 2]);
    world.settle(secs(1))?;
    let removed = world.config(1).id();
    allow(&mut world, &[0, 2], &[0, 2]);
    let of_removed =
        |world: &World, site| status(world, site).members.iter().any(|member| member.id == removed);
    assert!(!of_removed(&world, 0) && !of_removed(&world, 2));
    for site in [0, 2] {
        let said = when(
            &world,
            site,
            world.now(),
            |event| matches!(event, Event::MemberRemoved { id, .. } if *id == removed),
        );
        assert_eq!(said, Some(world.now()));
        assert!(status(&world, site).fdb.iter().all(|host| host.member != Some(removed)));
    }
    // It goes on as if nothing had happened: nothing of it is taken, and nothing is relayed for it or by it.
    let before = [0, 2].map(|site| status(&world, site));
    let from_removed: Vec<usize> = (0..10).map(|_| world.send(hosts[1], To::Everyone, 100)).collect();
    let among_others = world.send(hosts[0], To::Host(hosts[2]), 100);
    world.run_for(secs(20))?;
    assert!(from_removed.iter().all(|&frame| world.frame(frame).deliveries.is_empty()));
    assert_eq!(world.frame(among_others).sites(), [2]);
    assert_eq!(world.path(0, 2), [2]);
    for (n, site) in [0, 2].into_iter().enumerate() {
        let drops = drops_since(&before[n], &status(&world, site));
        let reasons: Vec<Counter> = drops.keys().copied().collect();
        assert!(drops[&Counter::SourceStranger] >= 10, "{drops:?}");
        assert_eq!(reasons, [Counter::SourceStranger, Counter::NotAllowed]);
        assert!(!of_removed(&world, site));
    }
    // Neither a new life nor another address helps, nor asking a node that was restarted since.
    world.restart(1);
    world.restart(0);
    world.run_for(secs(20))?;
    world.readdress(1, "10.0.9.9:4747".parse().expect("an address"));
    world.restart(1);
    world.run_for(secs(20))?;
    assert!(!of_removed(&world, 0) && !of_removed(&world, 2));
    // Until it is allowed again.
    allow(&mut world, &[0, 1, 2], &[0, 1, 2]);
    world.settle(secs(20))?;
    world.check_at_rest()
}

#[test]
fn where_there_is_a_list_the_network_key_alone_gets_nobody_in() -> Outcome {
    let (mut world, _) = triangle(1)?;
    allow(&mut world, &[0, 1, 2], &[0, 1, 2]);
    let mut rogue = Rogue::new(&mut world, "rogue", rogues());
    let before = [0, 1, 2].map(|site| status(&world, site));
    for site in 0..3 {
        assert!(!rogue.shake_hands(&mut world, site)?);
    }
    for (site, before) in before.iter().enumerate() {
        let drops = drops_since(before, &status(&world, site));
        assert_eq!(drops.into_iter().collect::<Vec<_>>(), [(Counter::NotAllowed, 1)]);
        assert_eq!(status(&world, site).sessions, before.sessions);
    }
    world.check_at_rest()
}

#[test]
fn a_member_that_only_one_node_removed_stays_one_at_the_others_and_frames_to_it_go_on() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    let hosts: Vec<usize> = (0..4).map(|site| world.add_host(site)).collect();
    for &host in &hosts {
        world.send(host, To::Everyone, 60);
    }
    world.run_for(secs(1))?;
    allow(&mut world, &[0], &[0, 1, 2]);
    world.run_for(secs(60))?;
    assert!(!lists(&world, 0, 3));
    for (site, other) in [(1, 3), (2, 3), (3, 1), (3, 2), (0, 1), (1, 0)] {
        assert!(lists(&world, site, other), "{site} lists {other}");
        let frame = world.send(hosts[site], To::Host(hosts[other]), 100);
        world.run_for(ms(100))?;
        assert_eq!(world.frame(frame).sites(), [other]);
    }
    // What the two who are apart now say of each other leads to no storm.
    let sent =
        |world: &World| count(world, 0, Counter::DatagramsOut) + count(world, 3, Counter::DatagramsOut);
    let before = sent(&world);
    world.run_for(secs(60))?;
    assert!(sent(&world) - before < 60 * 40, "{} datagrams in a minute", sent(&world) - before);
    Ok(())
}

#[test]
fn a_mesh_whose_network_key_was_changed_is_another_mesh() -> Outcome {
    let (mut world, hosts) = triangle(1)?;
    let rekeyed = |world: &mut World, site: usize| {
        let secret = SecretKey::from_bytes([site as u8 + 100; 32]);
        let keys = Keys::new(secret, NetworkKey::from_bytes([0x77; 32]));
        world.config_mut(site).security = Security::Sealed(keys);
        world.restart(site);
    };
    rekeyed(&mut world, 0);
    rekeyed(&mut world, 2);
    world.run_for(secs(20))?;
    assert!(lists(&world, 0, 2) && lists(&world, 2, 0));
    assert!(![(0, 1), (1, 0), (1, 2), (2, 1)].iter().any(|&(site, other)| lists(&world, site, other)));
    // It was a member of theirs and asks for them.
    assert!(count(&world, 0, Counter::HandshakeStranger) > 0);
    let frames = [world.send(hosts[1], To::Everyone, 60), world.send(hosts[0], To::Everyone, 60)];
    world.run_for(secs(1))?;
    assert_eq!(frames.map(|frame| world.frame(frame).sites()), [vec![], vec![2]]);
    rekeyed(&mut world, 1);
    world.settle(secs(20))?;
    world.check_at_rest()
}

#[test]
fn keys_that_are_not_renewed_open_nothing_after_three_minutes() -> Outcome {
    let (mut world, _) = triangle(1)?;
    let mut rogue = Rogue::new(&mut world, "rogue", rogues());
    for site in 0..3 {
        assert!(rogue.join(&mut world, site)?);
    }
    let joined_at = world.now();
    let mut rejected_after = None;
    for tag in 0..250 {
        // It answers what it is asked in the session it has, and begins no other.
        rogue.live(&mut world, secs(1))?;
        let frame = broadcast(tag);
        let index = world.expect_frame(Segment::DEFAULT, &frame);
        rogue.frame(&mut world, &[1], &frame);
        world.run_for(ms(1))?;
        let is_taken = !world.frame(index).deliveries.is_empty();
        assert!(rejected_after.is_none() || !is_taken, "keys live again");
        if !is_taken {
            rejected_after.get_or_insert(world.now().since(joined_at));
        }
    }
    let rejected_after = rejected_after.expect("keys have an end");
    assert!((secs(179)..=secs(183)).contains(&rejected_after), "{rejected_after:?}");
    assert!(count(&world, 1, Counter::KeysExpired) + count(&world, 1, Counter::SourceStranger) > 0);
    Ok(())
}

/// All transport that sites send each other, by source and epoch and counter, and by body.
#[derive(Default)]
struct Sealed {
    bodies: BTreeSet<Vec<u8>>,
    repeats: u64,
    datagrams: u64,
}

fn watch(world: &mut World) -> Rc<RefCell<Sealed>> {
    let sealed = Rc::new(RefCell::new(Sealed::default()));
    for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] {
        let noted = Rc::clone(&sealed);
        world.intercept(from, to, move |caught: Caught| {
            let is_first_hop = caught.bytes[1] & 0xf == 0;
            if kind_of(&caught.bytes) == TRANSPORT && is_first_hop {
                let mut noted = noted.borrow_mut();
                let body_at = COMMON + usize::from(caught.bytes[1] >> 4) * ENTRY;
                noted.datagrams += 1;
                // The first block of the body is the same for the same key, nonce and plaintext; behind the
                // prefix, whose mask depends on what follows.
                let block = caught.bytes[body_at + 4..].iter().copied().take(40).collect();
                noted.repeats += u64::from(!noted.bodies.insert(block));
            }
            vec![caught]
        });
    }
    sealed
}

#[test]
fn the_same_frames_are_never_sealed_alike_over_restarts_whatever_repeats() -> Outcome {
    // What a life is told: fresh entropy, or that of the former one as after a snapshot, and a new incarnation.
    for keeps_entropy in [false, true] {
        for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
            let mut world = mesh(3, 20.0);
            (0..3).for_each(|site| world.config_mut(site).cipher = cipher);
            let mut world = formed(world)?;
            let sealed = watch(&mut world);
            let frame = broadcast(1);
            for life in 0..6 {
                for _ in 0..30 {
                    for site in 0..3 {
                        world.send_bytes(site, Segment::DEFAULT, &frame);
                    }
                    world.run_for(ms(20))?;
                }
                let restarted = life % 3;
                if keeps_entropy {
                    world.crash(restarted);
                    let incarnation = world.now().as_nanos() + 1;
                    world.start_as(restarted, incarnation);
                } else {
                    world.restart(restarted);
                }
                world.settle(secs(10))?;
            }
            let (datagrams, repeats) = (sealed.borrow().datagrams, sealed.borrow().repeats);
            assert!(datagrams > 1000, "{datagrams} datagrams");
            assert_eq!(repeats, 0);
            world.check_at_rest()?;
        }
    }
    Ok(())
}

#[test]
fn what_a_former_life_has_sent_is_worth_nothing_to_the_next() -> Outcome {
    let (mut world, hosts) = triangle(1)?;
    let held = Rc::new(RefCell::new(Vec::new()));
    let taken = Rc::clone(&held);
    world.intercept(0, 1, move |caught: Caught| {
        if kind_of(&caught.bytes) == TRANSPORT && caught.bytes.len() > 300 {
            taken.borrow_mut().push(caught);
            return Vec::new();
        }
        vec![caught]
    });
    let frames: Vec<usize> = (0..20).map(|_| world.send(hosts[0], To::Host(hosts[1]), 300)).collect();
    world.run_for(ms(1))?;
    for restarted in [0, 1] {
        world.restart(restarted);
        world.settle(secs(10))?;
        let before = status(&world, 1);
        for caught in held.borrow().iter() {
            world.inject(1, caught.from, caught.bytes.clone());
        }
        world.run_for(Duration::ZERO)?;
        let drops = drops_since(&before, &status(&world, 1));
        assert_eq!(drops.values().sum::<u64>(), 20, "{drops:?}");
        assert!(
            drops.keys().all(|reason| matches!(reason, Counter::SourceEpoch | Counter::Tag)),
            "{drops:?}"
        );
    }
    assert!(frames.iter().all(|&frame| world.frame(frame).deliveries.is_empty()));
    world.stop_intercepting(0, 1);
    world.check_at_rest()
}

/// A mesh of which the last site has security none.
fn mixed(seed: u64) -> Result<World, Violation> {
    let mut world = World::with_links(seed, 3, &leon::sim::Matrix::full_mesh(3, 20.0).links());
    let id = world.config(2).id();
    world.config_mut(2).security = Security::None { id };
    world.start_all()?;
    world.run_for(secs(30))?;
    Ok(world)
}

#[test]
fn a_sealed_node_and_one_with_security_none_do_not_talk_and_both_say_so() -> Outcome {
    let world = mixed(1)?;
    assert!(lists(&world, 0, 1) && lists(&world, 1, 0));
    assert!(![(0, 2), (1, 2), (2, 0), (2, 1)].iter().any(|&(site, other)| lists(&world, site, other)));
    assert!(count(&world, 0, Counter::SecurityMismatch) > 0);
    let told = |site: usize, theirs_none: bool, by: usize| {
        let from_there = world.address(by);
        world
            .events(site)
            .iter()
            .filter(|(_, event)| {
                matches!(event, Event::SecurityMismatch { from, is_theirs_none }
                if *from == from_there && *is_theirs_none == theirs_none)
            })
            .count()
    };
    // Once in ten seconds at most.
    assert!((1..=4).contains(&told(0, true, 2)), "{}", told(0, true, 2));
    Ok(())
}

#[test]
fn the_node_with_security_none_is_told_when_a_sealed_one_greets_it() -> Outcome {
    let mut world = mesh(2, 20.0);
    let seeds = [world.address(1), world.address(0)];
    (0..2).for_each(|site| world.config_mut(site).seeds = vec![seeds[site]]);
    let id = world.config(1).id();
    world.config_mut(1).security = Security::None { id };
    world.start_all()?;
    world.run_for(secs(10))?;
    for site in 0..2 {
        let is_theirs_none = site == 0;
        let told = when(
            &world,
            site,
            Time::ZERO,
            |event| matches!(event, Event::SecurityMismatch { is_theirs_none: theirs, .. } if *theirs == is_theirs_none),
        );
        assert!(told.is_some(), "site {site}");
        assert!(status(&world, site).members.is_empty());
    }
    Ok(())
}

#[test]
fn nobody_in_the_middle_talks_two_sealed_nodes_into_security_none() -> Outcome {
    for seed in seeds(3) {
        let (mut world, hosts) = triangle(seed)?;
        // Every datagram says that it is not sealed; then only those of handshakes.
        for only_handshakes in [false, true] {
            let before = count(&world, 0, Counter::SecurityMismatch);
            for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] {
                world.intercept(from, to, move |mut caught: Caught| {
                    if kind_of(&caught.bytes) >= HELLO || !only_handshakes {
                        caught.bytes[2] |= 0x80;
                    }
                    vec![caught]
                });
            }
            world.restart(1);
            let frame = world.send(hosts[0], To::Host(hosts[2]), 100);
            world.run_for(ms(500))?;
            let delivered = !world.frame(frame).deliveries.is_empty();
            assert!(only_handshakes || !delivered);
            world.run_for(secs(10))?;
            assert!(!lists(&world, 1, 0) && !lists(&world, 1, 2));
            assert!(count(&world, 0, Counter::SecurityMismatch) > before);
            for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] {
                world.stop_intercepting(from, to);
            }
            world.settle(secs(30))?;
            world.check_at_rest()?;
        }
    }
    Ok(())
}
