//! What the network key is good for without a secret key of a member: opening recorded handshakes and sealing them
//! anew, with cookies and from addresses of its own.

use std::cell::RefCell;
use std::rc::Rc;

use leon::sim::{Caught, Rogue, World};
use leon::{Counter, Event, Time};

use crate::attacks::{INITIATION, kind_of};
use crate::support::{Outcome, count, formed, mesh, ms, secs, when};

type Tape = Rc<RefCell<Vec<Vec<u8>>>>;

fn initiations(world: &mut World, from: usize, to: usize) -> Tape {
    let tape = Tape::default();
    let heard = Rc::clone(&tape);
    world.intercept(from, to, move |caught: Caught| {
        if kind_of(&caught.bytes) == INITIATION {
            heard.borrow_mut().push(caught.bytes.clone());
        }
        vec![caught]
    });
    tape
}

/// A cookie for the rogue's address in the name of a site, by another.
fn cookie(
    world: &mut World,
    rogue: &mut Rogue,
    at: usize,
    of: usize,
) -> Result<[u8; 16], leon::sim::Violation> {
    let hello = rogue.hello_of(world, at, world.config(of).id());
    world.take_mail(rogue.address());
    world.inject(at, rogue.address(), hello);
    world.run_for(ms(1))?;
    let mail = world.take_mail(rogue.address());
    Ok(mail.iter().find_map(|(_, bytes)| rogue.cookie_in(bytes)).expect("a hello is answered"))
}

#[test]
fn recorded_initiations_with_a_cookie_of_another_keep_nobody_from_renewing_keys() -> Outcome {
    let mut world = mesh(2, 40.0);
    let seeds = [world.address(1), world.address(0)];
    (0..2).for_each(|site| world.config_mut(site).seeds = vec![seeds[site]]);
    let tapes = [initiations(&mut world, 1, 0), initiations(&mut world, 0, 1)];
    let mut world = formed(world)?;
    let mut rogue = Rogue::new(&mut world, "rogue", "192.0.2.66:4747".parse().expect("an address"));
    // Until each has begun a few handshakes; lives before this one do as well.
    while tapes.iter().any(|tape| tape.borrow().len() < 2) {
        let restarted = usize::from(tapes[0].borrow().len() < 2);
        world.restart(restarted);
        world.run_for(secs(5))?;
    }
    world.run_for(secs(100))?;
    let tapes = tapes.map(|tape| tape.borrow().clone());
    let before = world.now();
    // What was on its way to a life that has ended may have been dropped.
    let dropped = |world: &World| {
        [0, 1].map(|site| {
            [Counter::SourceEpoch, Counter::KeysExpired].map(|counter| count(world, site, counter))
        })
    };
    let dropped_before = dropped(&world);
    for second in 0..100 {
        let cookies = [cookie(&mut world, &mut rogue, 0, 1)?, cookie(&mut world, &mut rogue, 1, 0)?];
        for n in 0..40 {
            for (at, tape) in tapes.iter().enumerate() {
                let initiation = &tape[(second + n) % tape.len()];
                let resealed =
                    rogue.reseal(initiation, cookies[at]).expect("the rogue holds the network key");
                world.inject(at, rogue.address(), resealed);
            }
            world.run_for(ms(25))?;
        }
    }
    let failed = |site| when(&world, site, before, |event| matches!(event, Event::MemberFailed { .. }));
    assert_eq!([failed(0), failed(1)], [None::<Time>, None]);
    assert_eq!(dropped(&world), dropped_before);
    world.check_at_rest()
}
