//! What happens when a link or a relay on a path fails: the backup takes over as soon as that is known.

use core::time::Duration;

use leon::sim::{Link, Matrix, To, World};
use leon::{Event, PathCause, Time};

use crate::support::{Outcome, change, cut_both, formed, mesh, ms, over, secs, triangle, when};

/// When a site first changed its path for this cause, from `since` on.
fn changed_at(world: &World, site: usize, since: Time, because: PathCause) -> Option<Time> {
    when(world, site, since, |event| matches!(event, Event::PathChanged { cause, .. } if *cause == because))
}

/// The path that a site says it would take if the chosen one failed.
fn backup(world: &World, from: usize, to: usize) -> Option<Vec<usize>> {
    let explanation = world.explain(from, to).expect("the site runs and knows the member");
    let backup = explanation.candidates.into_iter().find(|candidate| candidate.is_backup)?;
    Some(backup.path.iter().filter_map(|id| world.site_of(*id)).collect())
}

#[test]
fn every_path_of_a_mesh_has_a_backup_that_shares_no_relay_with_it() -> Outcome {
    let world = formed(over(&Matrix::internet_like(8, 3)))?;
    for (from, to) in (0..8).flat_map(|from| (0..8).map(move |to| (from, to))).filter(|(from, to)| from != to)
    {
        let (path, backup) = (world.path(from, to), backup(&world, from, to).expect("each reaches each"));
        let relays = |path: &[usize]| path[..path.len() - 1].to_vec();
        assert!(path != backup && relays(path).iter().all(|relay| !relays(&backup).contains(relay)));
    }
    Ok(())
}

#[test]
fn a_path_without_another_has_no_backup() -> Outcome {
    let world = formed(mesh(2, 20.0))?;
    assert_eq!(backup(&world, 0, 1), None);
    Ok(())
}

/// Cuts the links between two sites while frames go from site 0 to site 2 every 20 ms; gives how long after the news of
/// that the next frame arrived that was sent after them, and whether any was lost from then on.
fn resumed_after_the_news(
    world: &mut World,
    (one, other): (usize, usize),
) -> Result<Duration, leon::sim::Violation> {
    let (host, receiver) = (world.add_host(0), world.add_host(2));
    world.send(receiver, To::Everyone, 60);
    world.run_for(secs(10))?;
    let cut_at = world.now();
    cut_both(world, one, other);
    let mut frames = Vec::new();
    for _ in 0..200 {
        frames.push((world.now(), world.send(host, To::Host(receiver), 60)));
        world.run_for(ms(20))?;
    }
    world.run_for(secs(1))?;
    let known_at = changed_at(world, 0, cut_at, PathCause::Failover).expect("the link was used");
    let later = || frames.iter().filter(|(sent_at, _)| *sent_at >= known_at);
    assert!(later().all(|(_, frame)| world.frame(*frame).sites() == [2]), "each one arrives");
    let first = later().next().expect("frames go on");
    Ok(first.0.since(known_at))
}

#[test]
fn frames_take_the_backup_as_soon_as_the_own_link_is_known_to_be_down() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    world.run_for(secs(10))?;
    assert_eq!(world.path(0, 2), [2]);
    let backup = backup(&world, 0, 2);
    assert!(resumed_after_the_news(&mut world, (0, 2))? <= ms(20));
    assert_eq!(Some(world.path(0, 2)), backup.as_deref());
    let down = |event: &Event| matches!(event, Event::LinkDown { .. });
    let changed_at = changed_at(&world, 0, Time::ZERO, PathCause::Failover);
    assert_eq!(when(&world, 0, Time::ZERO, down), changed_at, "in the same moment");
    Ok(())
}

#[test]
fn frames_take_the_backup_as_soon_as_a_row_says_that_a_far_link_is_down() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    assert_eq!(world.path(0, 2), [1, 2]);
    assert!(resumed_after_the_news(&mut world, (1, 2))? <= ms(20));
    assert_eq!(world.path(0, 2), [2]);
    Ok(())
}

#[test]
fn a_link_that_one_end_calls_down_is_used_in_neither_direction() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    // What Inagi says reaches Fujisawa, but nothing from Seoul does, so Inagi's row alone tells of the link.
    world.cut(2, 1);
    world.cut(2, 0);
    let is_direct = |world: &World| world.path(0, 2) == [2];
    assert!(world.run_until(secs(5), is_direct)?.is_some());
    Ok(())
}

#[test]
fn a_leaving_relay_is_replaced_by_the_backup_at_once() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    let left_at = world.now();
    world.leave(1);
    world.run_for(secs(1))?;
    let gone = |event: &Event| matches!(event, Event::MemberLeft { .. });
    let gone_at = when(&world, 0, left_at, gone);
    assert!(gone_at.is_some() && changed_at(&world, 0, left_at, PathCause::Failover) == gone_at);
    Ok(())
}

#[test]
fn a_path_whose_relay_has_failed_is_returned_to_when_it_is_back() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    cut_both(&mut world, 1, 2);
    assert!(world.run_until(secs(5), |world| world.path(0, 2) == [2])?.is_some());
    world.heal();
    assert!(world.run_until(secs(60), |world| world.path(0, 2) == [1, 2])?.is_some());
    world.settle(secs(60))?;
    world.check_at_rest()
}

/// How long frames stop when `fault` strikes while hosts at sites 0 and 2 each send one every 10 ms: the longest time
/// between two that arrive at site 2 from the fault on.
fn gap(world: &mut World, fault: impl FnOnce(&mut World)) -> Result<Duration, leon::sim::Violation> {
    let hosts = [world.add_host(0), world.add_host(2)];
    for host in hosts {
        world.send(host, To::Everyone, 60);
    }
    let mut frames = Vec::new();
    let mut exchange = |world: &mut World, times: usize| {
        for _ in 0..times {
            frames.push(world.send(hosts[0], To::Host(hosts[1]), 60));
            world.send(hosts[1], To::Host(hosts[0]), 60);
            world.run_for(ms(10))?;
        }
        Ok(())
    };
    exchange(world, 200)?;
    let cut_at = world.now();
    fault(world);
    exchange(world, 200)?;
    let arrivals =
        frames.iter().flat_map(|frame| &world.frame(*frame).deliveries).map(|delivery| delivery.at);
    let arrivals: Vec<Time> = arrivals.collect();
    let gaps = arrivals.windows(2).filter(|pair| pair[1] > cut_at);
    Ok(gaps.map(|pair| pair[1].since(pair[0])).max().unwrap_or(secs(60)))
}

/// True if no site has left a path as dead from then on.
fn is_undisturbed(world: &World, since: Time) -> bool {
    (0..world.sites()).all(|site| changed_at(world, site, since, PathCause::Failover).is_none())
}

#[test]
fn a_cut_link_is_left_by_frames_that_go_unanswered() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    world.run_for(secs(10))?;
    assert_eq!(world.path(0, 2), [1, 2]);
    let gap = gap(&mut world, |world| cut_both(world, 1, 2))?;
    assert!(gap <= ms(200), "{gap:?}");
    assert_eq!(world.path(0, 2), [2]);
    Ok(())
}

#[test]
fn a_link_that_is_cut_one_way_is_left_though_frames_come_from_its_far_end() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    world.run_for(secs(10))?;
    let gap = gap(&mut world, |world| world.cut(1, 2))?;
    assert!(gap <= ms(300), "{gap:?}");
    Ok(())
}

#[test]
fn a_path_that_both_ends_doubt_is_left_before_an_answer_could_have_come() -> Outcome {
    let mut world = formed(triangle(200.0, 90.0, 70.0))?;
    world.run_for(secs(10))?;
    assert_eq!(world.path(0, 2), [1, 2]);
    let gap = gap(&mut world, |world| cut_both(world, 1, 0))?;
    // One way along the backup for the doubt of the other end, and one for the first frame.
    assert!(gap <= ms(280), "{gap:?}");
    Ok(())
}

#[test]
fn a_relay_that_stops_relaying_is_left_although_its_links_are_up() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    world.run_for(secs(10))?;
    let is_relayed = |bytes: &[u8]| bytes[1] >> 4 > 1;
    let gap = gap(&mut world, |world| {
        world.intercept(1, 2, move |caught| if is_relayed(&caught.bytes) { vec![] } else { vec![caught] });
        world.intercept(1, 0, move |caught| if is_relayed(&caught.bytes) { vec![] } else { vec![caught] });
    })?;
    assert!(gap <= ms(200), "{gap:?}");
    Ok(())
}

#[test]
fn traffic_in_one_direction_is_no_doubt() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    world.run_for(secs(10))?;
    let (host, receiver) = (world.add_host(0), world.add_host(2));
    world.send(receiver, To::Everyone, 60);
    world.run_for(secs(5))?;
    let (since, sent) = (world.now(), world.traffic(1).sent);
    world.run_for(secs(5))?;
    let idle = world.traffic(1).sent - sent;
    let sent = world.traffic(1).sent;
    for _ in 0..500 {
        world.send(host, To::Host(receiver), 60);
        world.run_for(ms(10))?;
    }
    assert!(is_undisturbed(&world, since));
    let relayed = world.traffic(1).sent - sent - idle;
    assert!((498..=510).contains(&relayed), "{relayed}: the frames and next to nothing besides");
    Ok(())
}

#[test]
fn a_host_that_thinks_before_it_answers_leads_to_few_probes_and_no_failover() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    world.run_for(secs(10))?;
    let (host, thinker) = (world.add_host(0), world.add_host(2));
    world.send(thinker, To::Everyone, 60);
    world.run_for(secs(1))?;
    let (since, idle) = (world.now(), world.traffic(1).sent);
    world.run_for(secs(10))?;
    let idle = world.traffic(1).sent - idle;
    let sent = world.traffic(1).sent;
    // Ten frames with a question, then its answer after 100 ms.
    for _ in 0..50 {
        for _ in 0..10 {
            world.send(host, To::Host(thinker), 60);
            world.run_for(ms(10))?;
        }
        world.run_for(ms(100))?;
        world.send(thinker, To::Host(host), 60);
    }
    world.run_for(ms(100))?;
    assert!(is_undisturbed(&world, since));
    let relayed = world.traffic(1).sent - sent - idle;
    assert!(relayed <= 600, "{relayed}: it is known before long how long the host takes");
    Ok(())
}

#[test]
fn a_lossy_link_alone_is_no_failure() -> Outcome {
    let mut world = over(&Matrix::fujisawa_inagi_seoul());
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        change(&mut world, one, other, |link| Link { loss: 0.01, ..link });
    }
    let mut world = formed(world)?;
    world.run_for(secs(10))?;
    let since = world.now();
    let hosts = [world.add_host(0), world.add_host(2)];
    for host in hosts {
        world.send(host, To::Everyone, 60);
    }
    for step in 0..6000 {
        world.send(hosts[0], To::Host(hosts[1]), 60);
        // The one answers each frame at once, later every tenth only.
        if step < 3000 || step % 10 == 0 {
            world.send(hosts[1], To::Host(hosts[0]), 60);
        }
        world.run_for(ms(10))?;
    }
    assert!(is_undisturbed(&world, since));
    Ok(())
}
