//! What the world says about itself is true: traffic, delays, frames.

use leon::sim::{Link, Matrix, SiteState, To, Violation, World};

use crate::support::{Outcome, formed, mesh, secs, seed, triangle};

#[test]
fn what_one_site_has_sent_another_has_received_or_will() -> Outcome {
    let mut world = formed(mesh(2, 10.0))?;
    world.run_for(secs(10))?;
    let (sent, received) = (world.traffic(0), world.traffic(1));
    assert!(received.received > 10);
    assert_eq!(sent.sent, received.received + world.on_the_way(1).len() as u64);
    let on_the_way = world.on_the_way(1).into_iter().map(|(_, bytes)| 28 + bytes.len() as u64);
    assert_eq!(sent.sent_bytes, received.received_bytes + on_the_way.sum::<u64>());

    world.crash(1);
    world.run_for(secs(10))?;
    assert_eq!(world.state(1), SiteState::Down);
    assert_eq!(world.traffic(1), received, "nobody listens there");
    assert!(world.traffic(0).sent > sent.sent, "what is lost was sent");
    Ok(())
}

#[test]
fn there_is_no_delay_where_nothing_passes() -> Outcome {
    let mut world = formed(triangle(30.0, 10.0, 10.0))?;
    world.set_link(0, 1, Link { jitter_ns: 2_000_000, ..Link::rtt_ms(10.0) });
    assert_eq!(world.true_delays()[0], [None, Some(6_000_000), Some(15_000_000)]);
    world.cut(0, 1);
    assert_eq!((world.true_delays()[0][1], world.true_delays()[1][0]), (None, Some(5_000_000)));
    world.heal();
    world.partition(&[0, 0, 1]);
    assert_eq!(world.true_delays()[2], [None; 3]);
    world.heal();
    world.crash(1);
    assert_eq!(world.true_delays()[0], [None, None, Some(15_000_000)]);
    Ok(())
}

#[test]
fn frames_that_were_forgotten_are_counted_anew() -> Outcome {
    let mut world = formed(mesh(2, 10.0))?;
    let host = world.add_host(0);
    for _ in 0..3 {
        let frame = world.send(host, To::Everyone, 60);
        world.run_for(secs(1))?;
        assert_eq!((world.frames().len(), world.frame(frame).sites()), (1, vec![1]));
        world.forget_frames();
    }
    Ok(())
}

/// More than those of which each is looked at.
const SITES: usize = 24;

/// The digest of a world, and the paths of its first site.
type History = (u64, Vec<Vec<usize>>);

/// What becomes of a world in which links fail, sites crash and hosts talk, and in how many turns.
fn history(is_parallel: bool) -> Result<(History, u64), Violation> {
    let links = Matrix::internet_like(SITES, seed()).links();
    let jittery = |(from, to, link)| (from, to, Link { jitter_ns: 3_000_000, loss: 0.02, ..link });
    let links: Vec<_> = links.into_iter().map(jittery).collect();
    let mut world = World::with_links(seed(), SITES, &links);
    if is_parallel {
        world.use_all_processors();
    }
    world.start_all()?;
    let hosts: Vec<usize> = (0..SITES).map(|site| world.add_host(site)).collect();
    for round in 0..12 {
        world.cut(round, round + 1);
        if round % 4 == 3 {
            world.crash(round);
        }
        for &host in &hosts {
            world.send(host, To::Host(hosts[(host + round) % SITES]), 100);
        }
        world.run_for(secs(2))?;
        world.mend(round, round + 1);
        world.start(round);
    }
    let paths = (0..SITES).map(|to| world.path(0, to).to_vec()).collect();
    Ok(((world.digest(), paths), world.turns()))
}

#[test]
fn on_all_processors_the_same_happens_as_on_one() -> Outcome {
    let ((serial, serial_turns), (parallel, parallel_turns)) = (history(false)?, history(true)?);
    assert_eq!(serial, parallel, "seed {}", seed());
    assert!(parallel_turns < serial_turns, "{parallel_turns} turns are not fewer than {serial_turns}");
    Ok(())
}
