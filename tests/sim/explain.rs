//! Why frames take the path they take, as the engine explains it.

use core::time::Duration;

use leon::sim::{Link, Matrix, World};
use leon::{Candidate, Estimate, Explanation, LinkState, MemberState, PathCause, Verdict};

use crate::support::{Outcome, change, cut_both, formed, member, mesh, ms, over, secs, seeds, triangle};

fn explain(world: &World, from: usize, to: usize) -> Explanation {
    world.explain(from, to).expect("the site runs and knows the member")
}

/// The candidate that takes this path, given by sites.
fn candidate(world: &World, explanation: &Explanation, path: &[usize]) -> Option<Candidate> {
    let is_it = |candidate: &&Candidate| sites(world, &candidate.path) == path;
    explanation.candidates.iter().find(is_it).cloned()
}

fn sites(world: &World, path: &[leon::NodeId]) -> Vec<usize> {
    path.iter().filter_map(|id| world.site_of(*id)).collect()
}

/// What the parts of a candidate come to on the fast and on the slow estimate.
fn sums(candidate: &Candidate) -> [Option<Duration>; 2] {
    let sum = |of: fn(&leon::PathLink) -> Option<Duration>| {
        let links = candidate.links.iter().map(|link| Some(of(link)? + link.loss_charge));
        let skew: i64 = candidate.links.iter().map(|link| link.skew_ns).sum();
        let sum = links.sum::<Option<Duration>>()? + candidate.relay_charge + candidate.price;
        Some(Duration::from_nanos((sum.as_nanos() as i64 + skew).max(0) as u64))
    };
    [sum(|link| Some(link.fast? + link.jitter_charge)), sum(|link| link.slow)]
}

#[test]
fn frames_to_seoul_go_through_inagi_because_that_costs_less() -> Outcome {
    let world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    let explanation = explain(&world, 0, 2);
    assert_eq!((explanation.state, explanation.name.as_str()), (MemberState::Alive, "site2"));
    assert_eq!(explanation.candidates.len(), 2, "{explanation:?}");
    let chosen = explanation.chosen().expect("a path is chosen");
    assert_eq!(sites(&world, &chosen.path), [1, 2]);
    assert_eq!(
        (chosen.fast_cost, chosen.slow_cost),
        (Some(ms(21) + Duration::from_micros(100)), chosen.fast_cost)
    );
    assert_eq!(chosen.relay_charge, Duration::from_micros(100));
    let direct = candidate(&world, &explanation, &[2]).expect("the direct path is always told of");
    assert_eq!(direct.verdict, Verdict::CostsMore { estimate: Estimate::Both });
    assert_eq!(direct.fast_cost, Some(ms(32)));
    for candidate in &explanation.candidates {
        assert_eq!(sums(candidate), [candidate.fast_cost, candidate.slow_cost]);
    }
    Ok(())
}

#[test]
fn own_links_say_how_well_they_are_known_and_those_of_others_do_not() -> Outcome {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    world.run_for(secs(10))?;
    let chosen = explain(&world, 0, 2).chosen().cloned().expect("a path is chosen");
    let [first, second] = &chosen.links[..] else { panic!("two links: {chosen:?}") };
    let probe = first.probe.expect("this node measures it");
    assert!(probe.samples >= 7 && probe.age.is_some_and(|age| age < secs(3)), "{probe:?}");
    assert_eq!((first.fast, second.fast, second.probe), (Some(ms(4)), Some(ms(17)), None));
    Ok(())
}

#[test]
fn the_last_change_says_when_why_and_from_where() -> Outcome {
    let mut world = formed(triangle(40.0, 40.0, 40.0))?;
    world.connect(0, 1, Link::rtt_ms(10.0));
    world.connect(1, 2, Link::rtt_ms(10.0));
    assert!(world.run_until(secs(120), |world| world.path(0, 2) == [1, 2])?.is_some());
    world.run_for(secs(30))?;
    let last = explain(&world, 0, 2).changes.into_iter().next().expect("the path has changed");
    assert_eq!(last.cause, PathCause::Better);
    assert_eq!(last.former.map(|path| sites(&world, &path)), Some(vec![2]));
    assert!((secs(30)..secs(31)).contains(&last.age), "{:?}", last.age);
    let first = explain(&world, 0, 1).changes.into_iter().next().expect("a path was chosen");
    assert_eq!((first.cause, first.former), (PathCause::New, None));
    Ok(())
}

#[test]
fn a_path_that_is_better_by_less_than_the_hysteresis_says_so() -> Outcome {
    for (direct, half) in [(5.0, 2.3), (100.0, 49.6)] {
        let mut world = formed(triangle(direct, direct, direct))?;
        world.connect(0, 1, Link::rtt_ms(half));
        world.connect(1, 2, Link::rtt_ms(half));
        world.run_for(secs(300))?;
        let explanation = explain(&world, 0, 2);
        assert_eq!(explanation.chosen().map(|chosen| sites(&world, &chosen.path)), Some(vec![2]));
        let detour = candidate(&world, &explanation, &[1, 2]).expect("a path through a relay");
        assert_eq!(detour.verdict, Verdict::WithinHysteresis { estimate: Estimate::Both });
        assert_eq!(sites(&world, &explanation.candidates[0].path), [1, 2], "it is the best one all the same");
    }
    Ok(())
}

#[test]
fn a_path_that_got_better_just_now_waits_for_the_slow_estimate() -> Outcome {
    let mut world = formed(triangle(40.0, 40.0, 40.0))?;
    world.run_for(secs(60))?;
    world.connect(0, 1, Link::rtt_ms(18.0));
    world.connect(1, 2, Link::rtt_ms(18.0));
    let waits = |world: &World| {
        let detour = candidate(world, &explain(world, 0, 2), &[1, 2]).expect("a path through a relay");
        detour.verdict == Verdict::CostsMore { estimate: Estimate::Slow }
            && detour.fast_cost.is_some_and(|cost| cost < ms(40))
    };
    assert!(world.run_until(secs(60), waits)?.is_some());
    assert!(world.run_until(secs(120), |world| world.path(0, 2) == [1, 2])?.is_some());
    Ok(())
}

#[test]
fn links_that_are_down_and_those_that_are_new_carry_no_path() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    cut_both(&mut world, 0, 2);
    cut_both(&mut world, 1, 2);
    world.run_for(secs(5))?;
    let explanation = explain(&world, 0, 2);
    let verdict = |path: &[usize]| candidate(&world, &explanation, path).map(|found| found.verdict);
    assert_eq!(verdict(&[3, 2]), Some(Verdict::Chosen));
    assert_eq!((verdict(&[2]), verdict(&[1, 2])), (Some(Verdict::LinkDown), Some(Verdict::LinkDown)));
    assert_eq!(explanation.changes[0].cause, PathCause::Failover);
    world.heal();
    let is_new = |world: &World| {
        let direct = candidate(world, &explain(world, 0, 2), &[2]).expect("the direct path");
        let samples = direct.links[0].probe.map_or(0, |probe| probe.samples);
        direct.verdict == Verdict::LinkNew && direct.links[0].state == LinkState::New && samples > 0
    };
    assert!(world.run_until(secs(10), is_new)?.is_some());
    Ok(())
}

#[test]
fn a_member_that_no_link_leads_to_is_tried_straight_and_then_not_at_all() -> Outcome {
    let mut world = formed(mesh(3, 20.0))?;
    cut_both(&mut world, 0, 2);
    cut_both(&mut world, 1, 2);
    let is_last_resort = |world: &World| {
        explain(world, 0, 2).chosen().is_some_and(|chosen| chosen.verdict == Verdict::LastResort)
    };
    assert!(world.run_until(secs(20), is_last_resort)?.is_some());
    world.run_until(secs(120), |world| explain(world, 0, 2).state == MemberState::Failed)?;
    let explanation = explain(&world, 0, 2);
    assert!(explanation.chosen().is_none() && explanation.changes.is_empty());
    let verdicts: Vec<_> = explanation.candidates.iter().map(|candidate| candidate.verdict).collect();
    assert_eq!(verdicts, [Verdict::Unreachable]);
    Ok(())
}

#[test]
fn nobody_explains_the_way_to_itself_or_to_a_stranger() -> Outcome {
    let mut world = mesh(3, 20.0);
    world.start(0);
    world.start(1);
    world.settle(secs(10))?;
    assert!(world.explain(0, 0).is_none() && world.explain(0, 2).is_none() && world.explain(2, 0).is_none());
    assert!(world.explain(0, 1).is_some());
    Ok(())
}

#[test]
fn in_any_mesh_the_explanation_and_the_status_agree_on_every_pair() -> Outcome {
    for seed in seeds(5) {
        let sites = 12;
        let mut world = World::with_links(seed, sites, &Matrix::internet_like(sites, seed).links());
        change(&mut world, 0, 1, |link| Link { loss: 0.2, ..link });
        change(&mut world, 2, 3, |link| Link { jitter_ns: 5_000_000, ..link });
        world.start_all()?;
        world.settle(secs(20))?;
        cut_both(&mut world, 4, 5);
        let mut due = 0;
        for _ in 0..40 {
            world.run_for(ms(777))?;
            for (from, to) in (0..sites).flat_map(|from| (0..sites).map(move |to| (from, to))) {
                if from != to {
                    due += agree(&world, from, to);
                }
            }
        }
        assert!(due < 100, "{due} paths of 5280 wait for the next choice");
    }
    Ok(())
}

/// Holds an explanation against the status; gives how many paths are about to be changed to.
fn agree(world: &World, from: usize, to: usize) -> usize {
    let explanation = explain(world, from, to);
    let status = member(world, from, to).expect("the member is listed");
    let chosen = explanation.chosen().expect("the member is alive");
    let worse = |candidate: &Candidate| candidate.fast_cost.max(candidate.slow_cost);
    assert_eq!(chosen.path, status.path);
    assert_eq!(worse(chosen), status.path_cost);
    let direct = candidate(world, &explanation, &[to]).expect("the direct path is always told of");
    assert_eq!(worse(&direct), status.direct_cost);
    assert!((2..=11).contains(&explanation.candidates.len()), "{}", explanation.candidates.len());
    for candidate in &explanation.candidates {
        assert_eq!(sums(candidate), [candidate.fast_cost, candidate.slow_cost]);
    }
    let is_due = |candidate: &&Candidate| candidate.verdict == Verdict::Due;
    explanation.candidates.iter().filter(is_due).count()
}
