//! Underlays that lose, repeat, delay and forget, and nodes that come and go meanwhile.

use leon::sim::Op::{Broadcast, Crash, Cut, Heal, Partition, Replay, Restart, Run, Start};
use leon::sim::{Link, Matrix, Scenario, To, World, run};

use leon::{Counter, Event};

use crate::support::{Outcome, change, count, cut_both, formed, lists, mesh, ms, over, secs, seeds};

/// The links of a full mesh, each changed.
fn links(sites: usize, rtt_ms: f64, change: impl Fn(Link) -> Link) -> Vec<(usize, usize, Link)> {
    let links = Matrix::full_mesh(sites, rtt_ms).links();
    links.into_iter().map(|(from, to, link)| (from, to, change(link))).collect()
}

#[test]
fn a_mesh_forms_over_an_underlay_that_loses_a_third() -> Outcome {
    for seed in seeds(10) {
        let lossy = |link| Link { loss: 0.3, ..link };
        run(&Scenario {
            seed,
            nodes: 4,
            links: links(4, 30.0, lossy),
            ops: vec![Start(0), Start(1), Start(2), Start(3), Run { ms: 60_000 }],
        })?;
    }
    Ok(())
}

#[test]
fn a_mesh_forms_over_an_underlay_that_duplicates_and_reorders_everything() -> Outcome {
    for seed in seeds(10) {
        let mixed = |link| Link { duplication: 0.5, reorder: 0.5, jitter_ns: 20_000_000, ..link };
        run(&Scenario {
            seed,
            nodes: 4,
            links: links(4, 30.0, mixed),
            ops: vec![
                Start(0),
                Start(1),
                Start(2),
                Start(3),
                Run { ms: 20_000 },
                Restart(2),
                Run { ms: 20_000 },
            ],
        })?;
    }
    Ok(())
}

#[test]
fn a_joiner_may_crash_while_it_joins() -> Outcome {
    for delay in 0..20 {
        run(&Scenario {
            seed: seeds(1).start,
            nodes: 4,
            links: links(4, 20.0, |link| link),
            ops: vec![
                Start(0),
                Start(1),
                Start(2),
                Run { ms: 3000 },
                Start(3),
                Run { ms: delay * 5 },
                Crash(3),
                Run { ms: 2000 },
                Start(3),
            ],
        })?;
    }
    Ok(())
}

#[test]
fn everybody_may_restart_at_once() -> Outcome {
    let restarts: Vec<_> = (0..5).map(Restart).collect();
    let mut ops: Vec<_> = (0..5).map(Start).collect();
    ops.push(Run { ms: 5000 });
    ops.extend(restarts);
    run(&Scenario { seed: seeds(1).start, nodes: 5, links: links(5, 20.0, |link| link), ops })?;
    Ok(())
}

#[test]
fn a_member_may_crash_while_the_mesh_is_split() -> Outcome {
    run(&Scenario {
        seed: seeds(1).start,
        nodes: 6,
        links: links(6, 20.0, |link| link),
        ops: vec![
            Start(0),
            Start(1),
            Start(2),
            Start(3),
            Start(4),
            Start(5),
            Run { ms: 5000 },
            Partition(vec![0, 0, 0, 1, 1, 1]),
            Run { ms: 10_000 },
            Crash(4),
            Restart(1),
            Broadcast { from: 0, len: 100 },
            Run { ms: 10_000 },
            Heal,
            Cut { from: 0, to: 5 },
            Run { ms: 1000 },
        ],
    })?;
    Ok(())
}

#[test]
fn a_link_that_flaps_does_not_cost_a_member() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    for _ in 0..30 {
        cut_both(&mut world, 0, 1);
        world.run_for(ms(3100))?;
        world.heal();
        world.run_for(ms(1700))?;
        for (at, of) in [(0, 1), (1, 0), (2, 0), (3, 1)] {
            assert!(lists(&world, at, of), "{at} has dropped {of}");
        }
    }
    world.settle(secs(60))?;
    world.check_at_rest()
}

#[test]
fn a_site_that_is_cut_off_for_seconds_comes_back_whoever_gave_it_up_meanwhile() -> Outcome {
    // The sites notice within 2 to 3 s, each at another moment.
    for cut_ms in (1800..3200).step_by(20) {
        let mut world = formed(over(&Matrix::internet_like(5, cut_ms)))?;
        // So many datagrams that starting to number them anew would not catch up.
        world.run_for(secs(60))?;
        world.partition(&[1, 0, 0, 0, 0]);
        world.run_for(ms(cut_ms))?;
        world.heal();
        world.settle(secs(15))?;
        world.check_at_rest()?;
        for site in 0..5 {
            // But for an initiation that was repeated while its answer was on its way.
            let replayed = count(&world, site, Counter::Replayed);
            assert!(replayed <= 1, "{replayed} datagrams came twice, cut for {cut_ms} ms");
        }
    }
    Ok(())
}

#[test]
fn frames_from_before_a_member_failed_are_still_known_when_it_returns() -> Outcome {
    run(&Scenario {
        seed: 10127930115139284228,
        nodes: 2,
        links: links(2, 0.2, |link| link),
        ops: vec![
            Start(1),
            Start(0),
            Run { ms: 448 },
            Broadcast { from: 1, len: 0 },
            Partition(vec![0, 1]),
            Run { ms: 2249 },
            Replay { to: 0, count: 3 },
        ],
    })
    .map(|_| ())
}

#[test]
fn a_member_whose_link_is_up_does_not_fail() -> Outcome {
    for mended_ms in (0..1200).step_by(20) {
        let mut world = formed(mesh(3, 100.0))?;
        cut_both(&mut world, 1, 2);
        world.run_for(secs(5))?;
        world.heal();
        world.run_for(ms(mended_ms))?;
        // Nothing but the link that has just returned leads from 1 to 2 any more.
        world.leave(0);
        world.run_for(secs(5))?;
        for site in [1, 2] {
            let mut is_up = true;
            for (at, event) in world.events(site) {
                match event {
                    Event::LinkUp { .. } => is_up = true,
                    Event::LinkDown { .. } => is_up = false,
                    Event::MemberFailed { .. } => {
                        assert!(!is_up, "site {site} at {at:?}, mended for {mended_ms} ms");
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

#[test]
fn frames_get_through_while_all_direct_links_of_a_site_but_one_are_dead() -> Outcome {
    let mut world = formed(mesh(6, 20.0))?;
    for other in 1..5 {
        cut_both(&mut world, 0, other);
    }
    world.run_for(secs(10))?;
    world.check_at_rest()
}

#[test]
fn losing_a_twentieth_of_all_datagrams_costs_no_member_in_ten_minutes() -> Outcome {
    let mut world = over(&Matrix::internet_like(5, 4));
    for one in 0..5 {
        for other in 0..one {
            change(&mut world, one, other, |link| Link { loss: 0.05, ..link });
        }
    }
    world.start_all()?;
    world.run_for(secs(10))?;
    for _ in 0..60 {
        world.run_for(secs(10))?;
        for at in 0..5 {
            assert!((0..5).all(|of| of == at || lists(&world, at, of)));
        }
    }
    Ok(())
}

#[test]
fn an_underlay_too_narrow_for_frames_still_carries_the_mesh() -> Outcome {
    let mut world = mesh(3, 20.0);
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        change(&mut world, one, other, |link| Link { mtu: 1280, ..link });
    }
    (0..3).for_each(|site| world.config_mut(site).underlay_mtu = 1280);
    let mut world = formed(world)?;
    world.check_at_rest()
}

#[test]
fn a_frame_on_its_way_through_a_crashing_relay_is_lost_and_no_worse() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    let (host, other) = (world.add_host(0), world.add_host(2));
    world.send(other, To::Everyone, 60);
    world.run_for(secs(1))?;
    let frame = world.send(host, To::Host(other), 60);
    world.run_for(ms(1))?;
    world.crash(1);
    world.run_for(secs(10))?;
    assert!(world.frame(frame).sites().is_empty());
    Ok(())
}

#[test]
fn frames_on_their_way_through_a_relay_that_leaves_arrive() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    assert_eq!(world.path(0, 2), [1, 2]);
    let (host, other) = (world.add_host(0), world.add_host(2));
    world.send(other, To::Everyone, 60);
    world.run_for(secs(1))?;
    // Every millisecond a frame, while the news of the leave is under way too.
    let frames: Vec<usize> = (0..100)
        .map(|round| {
            if round == 20 {
                world.leave(1);
            }
            let frame = world.send(host, To::Host(other), 60);
            world.run_for(ms(1)).map(|()| frame)
        })
        .collect::<Result<_, _>>()?;
    world.run_for(secs(1))?;
    for frame in frames {
        assert_eq!(world.frame(frame).sites(), [2]);
    }
    Ok(())
}

#[test]
fn a_restarted_receiver_takes_frames_of_its_present_life_only_once() -> Outcome {
    let mut world: World = formed(mesh(3, 20.0))?;
    let (host, other) = (world.add_host(0), world.add_host(1));
    world.send(other, To::Everyone, 60);
    world.run_for(secs(1))?;
    for _ in 0..20 {
        world.send(host, To::Host(other), 60);
    }
    world.run_for(secs(1))?;
    world.restart(1);
    for _ in 0..30 {
        world.replay(1, 50);
        world.run_for(ms(100))?;
    }
    world.settle(secs(10))?;
    world.check_at_rest()
}
