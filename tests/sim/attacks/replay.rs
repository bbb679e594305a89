//! Who listens and repeats: every kind of datagram, at once and later, over rekeys and restarts, from where it came
//! and from elsewhere.

use core::net::SocketAddr;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use leon::sim::{Caught, Matrix, To, Violation, World};
use leon::{Counter, Status};

use crate::attacks::{CHALLENGE, HELLO, INITIATION, RESPONSE, TRANSPORT, drops_since, kind_of, status};
use crate::support::{Outcome, formed, ms, over, secs};

/// A datagram that was heard on its way: by what site it was received, and from where.
#[derive(Clone)]
struct Heard {
    site: usize,
    from: SocketAddr,
    bytes: Vec<u8>,
}

type Tape = Rc<RefCell<Vec<Heard>>>;

/// The paper's triangle, of which every datagram is heard from the first on; frames go through 1 between 0 and 2,
/// and some broadcasts are sealed once for all.
fn heard() -> Result<(World, Tape), Violation> {
    let mut world = over(&Matrix::fujisawa_inagi_seoul());
    let tape = listen(&mut world);
    let mut world = formed(world)?;
    talk(&mut world)?;
    Ok((world, tape))
}

fn listen(world: &mut World) -> Tape {
    let tape = Tape::default();
    for (from, to) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        let tape = Rc::clone(&tape);
        world.intercept(from, to, move |caught: Caught| {
            let Caught { from, site, bytes, .. } = caught.clone();
            tape.borrow_mut().push(Heard { site, from, bytes });
            vec![caught]
        });
    }
    tape
}

/// New hosts at all sites send to all and to each other, and everything arrives.
fn talk(world: &mut World) -> Outcome {
    let hosts: Vec<usize> = (0..3).map(|site| world.add_host(site)).collect();
    for len in [60, 1000] {
        let frames: Vec<usize> = hosts.iter().map(|&host| world.send(host, To::Everyone, len)).collect();
        world.run_for(ms(100))?;
        assert!(frames.iter().all(|&frame| world.frame(frame).sites().len() == 2));
        for (from, to) in [(0, 2), (2, 0), (0, 1), (1, 2)] {
            let frame = world.send(hosts[from], To::Host(hosts[to]), len);
            world.run_for(ms(50))?;
            assert_eq!(world.frame(frame).sites(), [to]);
        }
    }
    Ok(())
}

fn replay(world: &mut World, heard: &[Heard], from: Option<SocketAddr>) -> u64 {
    let mut bytes = 0;
    for one in heard {
        bytes += one.bytes.len() as u64;
        world.inject(one.site, from.unwrap_or(one.from), one.bytes.clone());
    }
    bytes
}

/// What each site has dropped since `before`, the drops of replays and of the answers to them.
fn drops(world: &World, before: &[Status]) -> Vec<BTreeMap<Counter, u64>> {
    before.iter().enumerate().map(|(site, before)| drops_since(before, &status(world, site))).collect()
}

/// How many of these were received by a site.
fn at(heard: &[Heard], site: usize) -> u64 {
    heard.iter().filter(|heard| heard.site == site).count() as u64
}

fn statuses(world: &World) -> Vec<Status> {
    (0..3).map(|site| status(world, site)).collect()
}

/// Repeats all that was heard, one kind after the other, three times. Frames and control messages are dropped for
/// one of `reasons`, each of them; no session and no member changes, no frame comes out; and all goes on.
fn is_worth_nothing(world: &mut World, tape: &[Heard], reasons: &[Counter]) -> Outcome {
    for kind in TRANSPORT..=RESPONSE {
        let heard: Vec<Heard> = tape.iter().filter(|heard| kind_of(&heard.bytes) == kind).cloned().collect();
        assert!(!heard.is_empty(), "kind {kind} was heard");
        for _ in 0..3 {
            let before = statuses(world);
            replay(world, &heard, None);
            world.run_for(ms(200))?;
            for (site, drops) in drops(world, &before).into_iter().enumerate() {
                let now = status(world, site);
                assert_eq!(now.list_digest, before[site].list_digest);
                assert_eq!(now.fdb.len(), before[site].fdb.len());
                let delivered = |status: &Status| status.counters.value(Counter::FramesOut);
                assert_eq!(delivered(&now), delivered(&before[site]), "kind {kind} at {site}");
                match kind {
                    TRANSPORT => {
                        assert!(drops.keys().all(|reason| reasons.contains(reason)), "{drops:?}");
                        assert_eq!(drops.values().sum::<u64>(), at(&heard, site), "{drops:?}");
                    }
                    CHALLENGE | RESPONSE => {
                        let expected = [(Counter::HandshakeUnexpected, at(&heard, site))];
                        let expected = expected.into_iter().filter(|(_, count)| *count > 0);
                        assert_eq!(drops, expected.collect(), "kind {kind} at {site}");
                    }
                    // Who is said to have sent it gets an answer, and drops that.
                    _ => assert!(
                        drops.keys().all(|reason| matches!(
                            reason,
                            Counter::HandshakeUnexpected | Counter::HandshakeChallenged | Counter::Replayed
                        )),
                        "{drops:?}"
                    ),
                }
            }
        }
    }
    talk(world)
}

#[test]
fn what_is_repeated_at_once_is_dropped() -> Outcome {
    let (mut world, tape) = heard()?;
    let tape = tape.borrow().clone();
    is_worth_nothing(&mut world, &tape, &[Counter::Replayed])?;
    world.run_for(secs(60))?;
    is_worth_nothing(&mut world, &tape, &[Counter::Replayed])?;
    world.check_at_rest()
}

/// What may be said of datagrams under keys that are gone.
const GONE: &[Counter] = &[Counter::SourceEpoch, Counter::Tag, Counter::SourceStranger];

#[test]
fn what_is_repeated_after_the_keys_were_renewed_is_dropped() -> Outcome {
    let (mut world, tape) = heard()?;
    let tape = tape.borrow().clone();
    world.run_for(secs(200))?;
    is_worth_nothing(&mut world, &tape, GONE)?;
    world.run_for(secs(400))?;
    is_worth_nothing(&mut world, &tape, GONE)?;
    world.check_at_rest()
}

#[test]
fn what_is_repeated_after_its_receiver_or_its_sender_restarted_is_dropped() -> Outcome {
    for restarted in 0..3 {
        let (mut world, tape) = heard()?;
        let tape = tape.borrow().clone();
        world.restart(restarted);
        world.settle(secs(5))?;
        // Those of the other two are still under the keys of their session.
        is_worth_nothing(&mut world, &tape, &[GONE, &[Counter::Replayed]].concat())?;
        world.check_at_rest()?;
    }
    Ok(())
}

#[test]
fn what_is_repeated_while_its_receiver_restarts_does_not_keep_it_out() -> Outcome {
    for restarted in 0..3 {
        let (mut world, tape) = heard()?;
        let tape = tape.borrow().clone();
        world.restart(restarted);
        for _ in 0..40 {
            replay(&mut world, &tape, None);
            world.run_for(ms(50))?;
        }
        world.settle(secs(2))?;
        talk(&mut world)?;
        world.check_at_rest()?;
    }
    Ok(())
}

#[test]
fn what_is_repeated_from_elsewhere_moves_nobody_and_is_answered_with_less() -> Outcome {
    let elsewhere: SocketAddr = "192.0.2.66:4747".parse().expect("an address");
    let (mut world, tape) = heard()?;
    let tape = tape.borrow().clone();
    // What is on its way still arrives from where it came.
    world.run_for(ms(50))?;
    for life in 0..3 {
        for kind in TRANSPORT..=RESPONSE {
            let heard: Vec<Heard> =
                tape.iter().filter(|heard| kind_of(&heard.bytes) == kind).cloned().collect();
            let answered = world.strays(elsewhere);
            let asked = replay(&mut world, &heard, Some(elsewhere));
            world.run_for(secs(1))?;
            let now = world.strays(elsewhere);
            assert!(now.1 - answered.1 <= asked, "kind {kind}: {} bytes for {asked}", now.1 - answered.1);
            assert!(now.0 - answered.0 <= heard.len() as u64, "kind {kind}");
            if !matches!(kind, HELLO | INITIATION) {
                assert_eq!(now, answered, "kind {kind}");
            }
        }
        let answered = world.strays(elsewhere);
        talk(&mut world)?;
        world.run_for(secs(20))?;
        assert_eq!(world.strays(elsewhere), answered, "nothing more goes there");
        match life {
            0 => world.run_for(secs(300))?,
            _ => world.restart(life),
        }
        world.settle(secs(5))?;
        talk(&mut world)?;
    }
    world.check_at_rest()
}

#[test]
fn what_is_repeated_as_if_from_another_member_moves_nobody() -> Outcome {
    let (mut world, tape) = heard()?;
    let tape = tape.borrow().clone();
    for other in 0..3 {
        let others: Vec<Heard> = tape.iter().filter(|heard| heard.site != other).cloned().collect();
        let address = world.address(other);
        for _ in 0..3 {
            replay(&mut world, &others, Some(address));
            world.run_for(ms(200))?;
        }
        talk(&mut world)?;
    }
    world.check_at_rest()
}
