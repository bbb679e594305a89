//! The man in the middle, on the direct link and on those of a relay: whatever it does to datagrams, no frame comes
//! out that nobody sent, none comes out twice, each change is counted, and service goes on when it stops.

use core::net::SocketAddr;
use core::time::Duration;
use std::cell::RefCell;
use std::rc::Rc;

use leon::sim::{Caught, Dice, Matrix, To, World};
use leon::{Counter, Event, Time};

use crate::attacks::{
    CHALLENGE, COMMON, ENTRY, HELLO, INITIATION, RESPONSE, TRANSPORT, drops_since, kind_of, status, triangle,
};
use crate::support::{Outcome, formed, mesh, ms, over, secs, seeds, when};

type Held = Rc<RefCell<Vec<Caught>>>;

/// Holds back all that passes from one site to another and for which `is_it` holds.
fn hold(world: &mut World, from: usize, to: usize, is_it: impl Fn(&[u8]) -> bool + 'static) -> Held {
    let held = Held::default();
    let taken = Rc::clone(&held);
    world.intercept(from, to, move |caught: Caught| {
        if !is_it(&caught.bytes) {
            return vec![caught];
        }
        taken.borrow_mut().push(caught);
        Vec::new()
    });
    held
}

/// What a flipped bit at a position may be counted as, in a datagram of a session with `hops` entries of IPv4.
fn reasons_at(at: usize, hops: usize) -> &'static [Counter] {
    use Counter::{
        DatagramTruncated, DatagramType, DatagramVersion, HandshakeStranger, PathLength, PathNotHere,
        PathRepeat, SecurityMismatch, SourceEpoch, SourceStranger, Tag,
    };
    match at {
        0 => &[DatagramVersion, DatagramType, HandshakeStranger, Tag],
        1 => &[PathLength, PathNotHere, PathRepeat, Tag, DatagramTruncated],
        2 => &[DatagramType, SecurityMismatch, Tag, PathNotHere, PathRepeat, DatagramTruncated],
        // That of the destination, which a relay cannot know.
        3 if hops > 1 => &[Tag, SourceEpoch],
        3 => &[SourceEpoch],
        4..12 => &[SourceStranger],
        // The entries' own addresses tell a relay and a destination of several hops that they are not meant.
        20.. if hops > 1 && at < COMMON + hops * ENTRY => &[Tag, PathNotHere, PathRepeat],
        12..COMMON => &[Tag],
        // The kind says how long what is sealed for the pair is.
        _ if at == COMMON + hops * ENTRY => &[Tag, DatagramTruncated],
        _ => &[Tag],
    }
}

/// Changes each byte of a datagram that is held back, each way but one after the other; then lets it through.
fn each_byte_is_guarded(world: &mut World, held: &Caught, frame: usize, arrived: &[usize]) -> Outcome {
    let hops = usize::from(held.bytes[1] >> 4);
    let index = usize::from(held.bytes[1] & 0xf);
    let at_relay = index + 1 < hops;
    let tag_of_others = |at: usize| {
        (0..hops).any(|hop| {
            let tag_at = COMMON + hop * ENTRY + 6;
            hop != index && (tag_at..tag_at + 8).contains(&at)
        })
    };
    // What a relay passes on since it cannot tell: the destination drops it.
    let passes = |at: usize| at_relay && (at >= COMMON + hops * ENTRY || tag_of_others(at));
    for at in (0..held.bytes.len()).filter(|at| !passes(*at)) {
        for bit in [at % 8, (at + 3) % 8] {
            let mut bytes = held.bytes.clone();
            bytes[at] ^= 1 << bit;
            let before = status(world, held.site);
            world.inject(held.site, held.from, bytes);
            world.run_for(Duration::from_nanos(1))?;
            let drops = drops_since(&before, &status(world, held.site));
            let reasons: Vec<Counter> = drops.keys().copied().collect();
            assert!(
                matches!(reasons[..], [reason] if reasons_at(at, hops).contains(&reason) && drops[&reason] == 1),
                "bit {bit} of byte {at} of {hops} hops at {index}: {drops:?}"
            );
        }
    }
    assert!(world.frame(frame).deliveries.iter().all(|delivery| arrived.contains(&delivery.site)));
    world.inject(held.site, held.from, held.bytes.clone());
    world.run_for(secs(1))
}

#[test]
fn each_byte_of_a_frame_on_the_direct_link_is_guarded() -> Outcome {
    for len in [100, 1000] {
        let (mut world, hosts) = triangle(1)?;
        let held = hold(&mut world, 0, 1, move |bytes| kind_of(bytes) == TRANSPORT && bytes.len() > len);
        let frame = world.send(hosts[0], To::Host(hosts[1]), len);
        let caught = held.borrow()[0].clone();
        each_byte_is_guarded(&mut world, &caught, frame, &[])?;
        assert_eq!(world.frame(frame).sites(), [1]);
    }
    Ok(())
}

#[test]
fn each_byte_of_a_broadcast_is_guarded() -> Outcome {
    for cipher in [leon::Cipher::Aes256Gcm, leon::Cipher::ChaCha20Poly1305] {
        let mut world = over(&Matrix::full_mesh(6, 20.0));
        (0..6).for_each(|site| world.config_mut(site).cipher = cipher);
        let mut world = formed(world)?;
        let host = world.add_host(0);
        let held = hold(&mut world, 0, 1, move |bytes| kind_of(bytes) == TRANSPORT && bytes.len() > 1400);
        let frame = world.send(host, To::Everyone, 1380);
        let caught = held.borrow()[0].clone();
        world.run_for(secs(1))?;
        each_byte_is_guarded(&mut world, &caught, frame, &[2, 3, 4, 5])?;
        assert_eq!(world.frame(frame).sites(), [1, 2, 3, 4, 5]);
    }
    Ok(())
}

#[test]
fn each_byte_of_a_relayed_frame_is_guarded_before_and_behind_the_relay() -> Outcome {
    for (from, to) in [(0, 1), (1, 2)] {
        let (mut world, hosts) = triangle(1)?;
        assert_eq!(world.path(0, 2), [1, 2]);
        let held = hold(&mut world, from, to, |bytes| kind_of(bytes) == TRANSPORT && bytes.len() > 200);
        let frame = world.send(hosts[0], To::Host(hosts[2]), 200);
        world.run_for(ms(100))?;
        let caught = held.borrow()[0].clone();
        each_byte_is_guarded(&mut world, &caught, frame, &[])?;
        assert_eq!(world.frame(frame).sites(), [2]);
    }
    Ok(())
}

#[test]
fn what_a_relay_cannot_check_its_destination_does() -> Outcome {
    let (mut world, hosts) = triangle(1)?;
    let held = hold(&mut world, 0, 1, |bytes| kind_of(bytes) == TRANSPORT && bytes.len() > 200);
    let body_at = COMMON + 2 * ENTRY;
    // The destination's hop tag, the prefix, the content, the tag.
    for at in [COMMON + ENTRY + 6, body_at - 1, body_at, body_at + 4, body_at + 100] {
        let frame = world.send(hosts[0], To::Host(hosts[2]), 200);
        let mut caught = held.borrow_mut().pop().expect("it is held back");
        caught.bytes[at] ^= 1;
        let before = [1, 2].map(|site| status(&world, site));
        world.inject(1, caught.from, caught.bytes.clone());
        world.run_for(secs(1))?;
        assert!(drops_since(&before[0], &status(&world, 1)).is_empty());
        let drops = drops_since(&before[1], &status(&world, 2));
        assert_eq!(drops.into_iter().collect::<Vec<_>>(), [(Counter::Tag, 1)], "byte {at}");
        assert!(world.frame(frame).deliveries.is_empty());
        // What came by the relay spoiled has used up its passage: the true one is a repetition there.
        caught.bytes[at] ^= 1;
        world.inject(1, caught.from, caught.bytes);
        world.run_for(secs(1))?;
        let drops = drops_since(&before[0], &status(&world, 1));
        assert_eq!(drops.into_iter().collect::<Vec<_>>(), [(Counter::Replayed, 1)]);
    }
    Ok(())
}

#[test]
fn datagrams_cut_short_or_drawn_out_are_dropped() -> Outcome {
    let (mut world, hosts) = triangle(1)?;
    let held = hold(&mut world, 0, 1, |bytes| kind_of(bytes) == TRANSPORT && bytes.len() > 200);
    let frame = world.send(hosts[0], To::Host(hosts[1]), 200);
    let caught = held.borrow()[0].clone();
    let len = caught.bytes.len();
    let before = status(&world, 1);
    for cut in 0..len {
        world.inject(1, caught.from, caught.bytes[..cut].to_vec());
    }
    for more in 1..100 {
        world.inject(1, caught.from, [&caught.bytes[..], &vec![0; more]].concat());
    }
    world.run_for(ms(1))?;
    let drops = drops_since(&before, &status(&world, 1));
    let short = (COMMON + ENTRY + 4 + 16) as u64;
    assert_eq!(
        drops.into_iter().collect::<Vec<_>>(),
        [(Counter::DatagramTruncated, short), (Counter::Tag, len as u64 - short + 99)]
    );
    world.inject(1, caught.from, caught.bytes);
    world.run_for(secs(1))?;
    assert_eq!(world.frame(frame).sites(), [1]);
    Ok(())
}

#[test]
fn heads_bodies_and_hop_tags_of_different_datagrams_do_not_fit() -> Outcome {
    let (mut world, hosts) = triangle(1)?;
    let relayed = hold(&mut world, 0, 1, |bytes| kind_of(bytes) == TRANSPORT && bytes.len() > 200);
    let frames = [2, 2, 1, 1].map(|to| world.send(hosts[0], To::Host(hosts[to]), 200));
    let held: Vec<Vec<u8>> = relayed.borrow().iter().map(|caught| caught.bytes.clone()).collect();
    let from = world.address(0);
    let head = |bytes: &[u8]| COMMON + usize::from(bytes[1] >> 4) * ENTRY;
    let mut splices = Vec::new();
    for one in 0..4 {
        for other in (0..4).filter(|other| *other != one) {
            let (a, b) = (&held[one], &held[other]);
            splices.push([&a[..head(a)], &b[head(b)..]].concat());
        }
    }
    // Hop tags of the first relayed one in the second, and its counter.
    for (at, len) in [(COMMON + 6, 8), (COMMON + ENTRY + 6, 8), (12, 8)] {
        let mut swapped = held[1].clone();
        swapped[at..at + len].copy_from_slice(&held[0][at..at + len]);
        splices.push(swapped);
    }
    let before = [1, 2].map(|site| status(&world, site));
    for splice in &splices {
        world.inject(1, from, splice.clone());
    }
    world.run_for(secs(1))?;
    let dropped = [0, 1].map(|n| drops_since(&before[n], &status(&world, n + 1)));
    assert!(dropped.iter().all(|drops| {
        drops
            .keys()
            .all(|reason| matches!(reason, Counter::Tag | Counter::Replayed | Counter::DatagramTruncated))
    }));
    let sum: u64 = dropped.iter().flat_map(|drops| drops.values()).sum();
    assert_eq!(sum, splices.len() as u64, "{dropped:?}");
    assert!(frames.iter().all(|&frame| world.frame(frame).deliveries.is_empty()));
    // Those for site 1 itself lose nothing by it.
    for bytes in &held[2..] {
        world.inject(1, from, bytes.clone());
    }
    world.run_for(secs(1))?;
    assert!(frames[2..].iter().all(|&frame| world.frame(frame).sites() == [1]));
    Ok(())
}

#[test]
fn a_datagram_sent_past_its_relay_arrives_once() -> Outcome {
    let (mut world, hosts) = triangle(1)?;
    let held = hold(&mut world, 0, 1, |bytes| kind_of(bytes) == TRANSPORT && bytes.len() > 200);
    let frame = world.send(hosts[0], To::Host(hosts[2]), 200);
    let caught = held.borrow()[0].clone();
    let before = status(&world, 2);
    // With the index as the relay would have set it, and as it was.
    let mut advanced = caught.bytes.clone();
    advanced[1] += 1;
    world.inject(2, caught.from, caught.bytes.clone());
    world.inject(2, caught.from, advanced);
    world.run_for(secs(1))?;
    assert_eq!(world.frame(frame).sites(), [2]);
    world.inject(1, caught.from, caught.bytes);
    world.run_for(secs(1))?;
    assert_eq!(world.frame(frame).sites(), [2]);
    let drops = drops_since(&before, &status(&world, 2));
    let expected = [(Counter::PathNotHere, 1), (Counter::Replayed, 1)];
    assert_eq!(drops.into_iter().collect::<Vec<_>>(), expected);
    Ok(())
}

#[test]
fn each_byte_of_a_handshake_that_matters_is_guarded() -> Outcome {
    for kind in [HELLO, CHALLENGE, INITIATION, RESPONSE] {
        let mut world = mesh(2, 20.0);
        let held = Held::default();
        for (from, to) in [(0, 1), (1, 0)] {
            let taken = Rc::clone(&held);
            world.intercept(from, to, move |caught: Caught| {
                if kind_of(&caught.bytes) != kind {
                    return vec![caught];
                }
                taken.borrow_mut().push(caught);
                Vec::new()
            });
        }
        world.start_all()?;
        world.run_until(ms(200), |_| !held.borrow().is_empty())?;
        let caught = held.borrow()[0].clone();
        let matters = |at: &usize| match at {
            0..=2 | 4..12 => true,
            _ => *at >= COMMON + ENTRY,
        };
        use Counter::{
            DatagramTruncated, DatagramType, DatagramVersion, HandshakeStranger, PathLength, PathNotHere,
            PathRepeat, SecurityMismatch, SourceStranger,
        };
        for at in (0..caught.bytes.len()).filter(matters) {
            let mut bytes = caught.bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            let before = status(&world, caught.site);
            world.inject(caught.site, caught.from, bytes);
            world.run_for(Duration::from_nanos(1))?;
            let drops = drops_since(&before, &status(&world, caught.site));
            let expected = match at {
                0..3 => drops.keys().all(|reason| {
                    matches!(
                        reason,
                        DatagramVersion
                            | DatagramType
                            | DatagramTruncated
                            | PathLength
                            | PathRepeat
                            | PathNotHere
                            | SecurityMismatch
                            | HandshakeStranger
                            | SourceStranger
                    )
                }),
                _ => drops.keys().eq([&HandshakeStranger]),
            };
            assert!(expected && drops.values().sum::<u64>() == 1, "type {kind}, byte {at}: {drops:?}");
        }
        for (from, to) in [(0, 1), (1, 0)] {
            world.stop_intercepting(from, to);
        }
        world.settle(secs(5))?;
        world.check_at_rest()?;
    }
    Ok(())
}

/// Does anything at all to a datagram.
fn disturb(dice: &mut Dice, mut caught: Caught, past: &mut Vec<Caught>) -> Vec<Caught> {
    past.push(caught.clone());
    let any_past = past[dice.below(past.len() as u64) as usize].clone();
    let len = caught.bytes.len();
    match dice.below(10) {
        0 => return Vec::new(),
        1 => caught.bytes[dice.below(len as u64) as usize] ^= 1 << dice.below(8),
        2 => caught.bytes.truncate(dice.below(len as u64) as usize),
        3 => caught.bytes.extend([0; 7]),
        4 => caught.after += ms(dice.below(3000)),
        5 => {
            let at = dice.below(len.min(any_past.bytes.len()) as u64) as usize;
            caught.bytes = [&caught.bytes[..at], &any_past.bytes[at..]].concat();
        }
        6 => return vec![caught.clone(), any_past.clone(), caught],
        7 => caught.site = dice.below(3) as usize,
        8 => {
            let port = dice.below(3) as u16;
            caught.from = SocketAddr::from(([10, 0, 0, 1 + port as u8], 4747));
        }
        _ => {}
    }
    vec![caught]
}

#[test]
fn whatever_a_man_in_the_middle_does_no_frame_is_wrong_and_service_goes_on_after() -> Outcome {
    for seed in seeds(8) {
        let (mut world, hosts) = triangle(seed)?;
        for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] {
            let mut dice = Dice::named(seed, &format!("middle {from} {to}"));
            let mut past = Vec::new();
            world.intercept(from, to, move |caught| disturb(&mut dice, caught, &mut past));
        }
        for step in 0..600 {
            world.send(hosts[step % 3], To::Host(hosts[(step + 1) % 3]), 100 + step % 900);
            world.send(hosts[(step + 1) % 3], To::Everyone, 60 + step);
            if step == 200 {
                world.restart(step % 3);
            }
            world.run_for(ms(50))?;
        }
        for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] {
            world.stop_intercepting(from, to);
        }
        world.run_for(secs(10))?;
        world.settle(secs(30))?;
        world.check_at_rest()?;
    }
    Ok(())
}

#[test]
fn answers_that_overtake_themselves_from_elsewhere_lead_nobody_astray_for_long() -> Outcome {
    let elsewhere: SocketAddr = "192.0.2.66:4747".parse().expect("an address");
    for kind in [CHALLENGE, RESPONSE, TRANSPORT] {
        for until in [1, 150] {
            let mut world = mesh(2, 40.0);
            for (from, to) in [(0, 1), (1, 0)] {
                world.intercept(from, to, move |caught: Caught| {
                    let mut copies = vec![caught.clone()];
                    if kind_of(&caught.bytes) == kind {
                        let after = caught.after / 2;
                        copies.push(Caught { from: elsewhere, after, ..caught });
                    }
                    copies
                });
            }
            world.start_all()?;
            world.run_for(secs(until))?;
            for (from, to) in [(0, 1), (1, 0)] {
                world.stop_intercepting(from, to);
            }
            let stopped_at = world.now();
            // Answers to handshakes, and the question of each whether the other is there: one in 400 ms at most.
            let led_astray = world.strays(elsewhere).0;
            assert!(led_astray <= 10 + 5 * until, "{led_astray} datagrams in {until} s, type {kind}");
            world.settle(secs(8))?;
            world.check_at_rest()?;
            world.run_for(secs(300))?;
            let failed = |site| {
                when(&world, site, stopped_at + secs(8), |event| matches!(event, Event::MemberFailed { .. }))
            };
            assert_eq!([failed(0), failed(1)], [None::<Time>, None], "type {kind}");
        }
    }
    Ok(())
}
