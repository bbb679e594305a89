//! Floods of handshakes: repeated by strangers under the addresses of others, made by a holder of the network key,
//! from one place and from everywhere. Members stay, others still join, and nothing grows.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::cell::RefCell;
use std::rc::Rc;

use leon::sim::{Caught, Dice, Link, Rogue, Say, To, Violation, World};
use leon::{Counter, Event, MemberState, Time};

use crate::attacks::{HELLO, INITIATION, kind_of, status};
use crate::support::{Outcome, count, formed, lists, mesh, ms, secs, seed, when};

/// What a site sends site 0 of one type, from now on.
fn record(world: &mut World, from: usize, kind: u8) -> Rc<RefCell<Vec<Vec<u8>>>> {
    let tape = Rc::<RefCell<Vec<Vec<u8>>>>::default();
    let heard = Rc::clone(&tape);
    world.intercept(from, 0, move |caught: Caught| {
        if kind_of(&caught.bytes) == kind {
            heard.borrow_mut().push(caught.bytes.clone());
        }
        vec![caught]
    });
    tape
}

/// No member was ever given up.
fn nobody_failed(world: &World) -> bool {
    let is_failure = |event: &Event| matches!(event, Event::MemberFailed { .. });
    (0..world.sites()).all(|site| when(world, site, Time::ZERO, is_failure).is_none())
}

/// A stranger repeats, under the address of each of two members, what a third once sent, ten thousand times a
/// second, while their keys are to be renewed.
fn members_stay_under(kind: u8) -> Outcome {
    let mut world = mesh(3, 20.0);
    let tape = record(&mut world, 2, kind);
    let mut world = formed(world)?;
    world.leave(2);
    world.run_for(secs(105))?;
    let tape = tape.borrow().clone();
    let addresses = [world.address(0), world.address(1)];
    for _ in 0..800_000 {
        world.inject(0, addresses[1], tape[0].clone());
        world.inject(1, addresses[0], tape[0].clone());
        world.run_for(Duration::from_micros(100))?;
    }
    assert!(nobody_failed(&world), "{:?}", world.events(0));
    world.check_at_rest()
}

#[test]
fn a_hello_that_is_repeated_under_a_members_address_does_not_keep_it_from_renewing_its_keys() -> Outcome {
    members_stay_under(HELLO)
}

#[test]
fn initiations_that_are_repeated_under_a_members_address_do_not_keep_it_from_renewing_its_keys() -> Outcome {
    members_stay_under(INITIATION)
}

/// Any address.
fn anywhere(dice: &mut Dice) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(dice.bits() as u32 | 1 << 30).into(), 4747)
}

/// A site joins while `next` makes 5000 datagrams per second arrive at the seed, each from another address; gives
/// the world when all agree.
fn joins_under(mut world: World, mut next: impl FnMut(&World) -> Vec<u8>) -> Result<World, Violation> {
    let mut dice = Dice::named(seed(), "addresses");
    let joiner = world.add_site();
    for site in 0..joiner {
        world.connect(site, joiner, Link::rtt_ms(20.0));
    }
    for ms_passed in 0..8000 {
        for _ in 0..5 {
            let bytes = next(&world);
            world.inject(0, anywhere(&mut dice), bytes);
        }
        world.run_for(ms(1))?;
        if ms_passed == 2000 {
            world.start(joiner);
        }
    }
    assert!((0..joiner).all(|site| lists(&world, site, joiner) && lists(&world, joiner, site)));
    assert!(nobody_failed(&world));
    world.settle(secs(2))?;
    world.check_at_rest()?;
    Ok(world)
}

#[test]
fn others_join_while_a_stranger_repeats_handshakes_from_everywhere() -> Outcome {
    for kind in [HELLO, INITIATION] {
        let mut world = mesh(3, 20.0);
        let tape = record(&mut world, 1, kind);
        let mut world = formed(world)?;
        world.run_for(secs(200))?;
        let sessions = status(&world, 0).sessions;
        let bytes = tape.borrow()[0].clone();
        let world = joins_under(world, |_| bytes.clone())?;
        assert_eq!(status(&world, 0).sessions, sessions + 1);
    }
    Ok(())
}

#[test]
fn others_join_while_a_holder_of_the_network_key_makes_up_handshakes_from_everywhere() -> Outcome {
    let mut world = formed(mesh(3, 20.0))?;
    let mut rogue = Rogue::new(&mut world, "rogue", "192.0.2.66:4747".parse().expect("an address"));
    let mut dice = Dice::named(seed(), "identities");
    let sessions = status(&world, 0).sessions;
    let world = joins_under(world, |world| {
        let mut id = [0; 32];
        dice.fill(&mut id);
        match dice.below(3) {
            0 => rogue.hello_of(world, 0, leon::NodeId(id)),
            1 => rogue.random_initiation_of(world, 0, leon::NodeId(id)),
            _ => rogue.initiation_of(world, 0, leon::NodeId(id)),
        }
    })?;
    assert_eq!(status(&world, 0).sessions, sessions + 1, "nobody who proved nothing has any state");
    Ok(())
}

#[test]
fn thousands_of_identities_take_no_more_room_than_there_is() -> Outcome {
    let mut world = mesh(4, 20.0);
    (0..4).for_each(|site| world.config_mut(site).max_members = 8);
    let mut world = formed(world)?;
    let mut dice = Dice::named(seed(), "addresses");
    let mut refused = 0;
    for n in 0..2000 {
        let mut rogue = Rogue::new(&mut world, &format!("sybil {n}"), anywhere(&mut dice));
        if rogue.shake_hands(&mut world, 1)? {
            rogue.join(&mut world, 1)?;
            refused += rogue.refusals();
        }
        let status = status(&world, 1);
        assert!(status.sessions <= 16, "{}", status.sessions);
        let alive = status.members.iter().filter(|member| member.state == MemberState::Alive).count();
        assert!(alive < 8 && status.members.len() <= 14, "{alive} of {}", status.members.len());
    }
    assert!(refused > 0 && count(&world, 1, Counter::MemberLimit) > 0);
    assert!((0..4).all(|site| (0..4).all(|other| site == other || lists(&world, site, other))));
    let hosts = [0, 1, 2, 3].map(|site| world.add_host(site));
    let frame = world.send(hosts[1], To::Everyone, 60);
    world.run_for(secs(1))?;
    assert_eq!(world.frame(frame).sites(), [0, 2, 3]);
    Ok(())
}

#[test]
fn one_identity_that_shakes_hands_all_the_time_costs_others_nothing() -> Outcome {
    let mut world = formed(mesh(3, 20.0))?;
    let mut rogue = Rogue::new(&mut world, "rogue", "192.0.2.66:4747".parse().expect("an address"));
    assert!(rogue.join(&mut world, 0)?);
    let before = status(&world, 0);
    let mut dice = Dice::named(seed(), "addresses");
    for _ in 0..3000 {
        let initiation = rogue.initiation(&world, 0);
        world.inject(0, anywhere(&mut dice), initiation);
        rogue.live(&mut world, ms(1))?;
    }
    let after = status(&world, 0);
    assert_eq!(after.sessions, before.sessions);
    assert_eq!(after.list_digest, before.list_digest);
    assert!(nobody_failed(&world));
    Ok(())
}

#[test]
fn a_session_stays_as_it_is_however_often_its_node_begins_another() -> Outcome {
    let mut world = formed(mesh(2, 20.0))?;
    let mut rogue = Rogue::new(&mut world, "rogue", "192.0.2.66:4747".parse().expect("an address"));
    assert!(rogue.join(&mut world, 0)?);
    let before = rogue.acknowledgements(0);
    for _ in 0..300 {
        // Answered, and never used.
        let initiation = rogue.initiation(&world, 0);
        world.inject(0, rogue.address(), initiation);
        world.run_for(ms(50))?;
        world.take_mail(rogue.address());
        rogue.say(&mut world, 0, &Say::Join);
        world.run_for(ms(1))?;
        rogue.attend(&mut world);
    }
    assert_eq!(rogue.acknowledgements(0), before + 300, "each join arrived");
    Ok(())
}

#[test]
fn hellos_from_one_address_are_answered_up_to_a_limit() -> Outcome {
    let mut world = formed(mesh(3, 20.0))?;
    let mut rogue = Rogue::new(&mut world, "rogue", "192.0.2.66:4747".parse().expect("an address"));
    let hello = rogue.hello_of(&world, 0, rogue.id());
    let before = world.strays(rogue.address());
    for _ in 0..100_000 {
        world.inject(0, rogue.address(), hello.clone());
    }
    world.run_for(ms(10))?;
    let answers = world.strays(rogue.address()).0 - before.0;
    let denied = count(&world, 0, Counter::HandshakeLimit);
    assert_eq!(answers + denied, 100_000);
    assert!(answers <= 1024, "{answers}");
    world.check_at_rest()
}
