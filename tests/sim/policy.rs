//! What an operator wants of paths, and what comes of it.

use leon::sim::{Matrix, World};
use leon::{ConfigError, NodeId, PathCause, PathPart, Policy, Verdict};

use crate::support::{Outcome, cut_both, formed, mesh, ms, over, secs};

fn id(world: &World, site: usize) -> NodeId {
    world.config(site).id()
}

fn set(world: &mut World, policy: &Policy) {
    world.set_policy(0, policy).expect("the policy keeps all limits");
}

/// Fujisawa, Inagi and Seoul, and the policy at Fujisawa from the start on.
fn with_policy(policy: impl Fn(&World) -> Policy) -> Result<World, leon::sim::Violation> {
    let mut world = over(&Matrix::fujisawa_inagi_seoul());
    world.config_mut(0).policy = policy(&world);
    world.start_all()?;
    world.run_for(secs(10))?;
    Ok(world)
}

fn pinned(world: &World, to: usize, relays: &[usize]) -> Policy {
    let relays = relays.iter().map(|relay| id(world, *relay)).collect();
    Policy { pins: [(id(world, to), relays)].into(), ..Policy::default() }
}

#[test]
fn a_pinned_path_is_taken_although_another_costs_less() -> Outcome {
    let world = with_policy(|world| pinned(world, 2, &[]))?;
    assert_eq!((world.path(0, 2), world.path(2, 0)), (&[2][..], &[1, 0][..]), "only this node wants it");
    let explanation = world.explain(0, 2).expect("the member is listed");
    assert_eq!(explanation.candidates[0].verdict, Verdict::NotPinned);
    Ok(())
}

#[test]
fn a_pinned_path_is_left_while_it_is_down_and_then_taken_again() -> Outcome {
    let mut world = formed(mesh(4, 20.0))?;
    let policy = pinned(&world, 2, &[1, 3]);
    set(&mut world, &policy);
    assert_eq!(world.path(0, 2), [1, 3, 2], "at once");
    let explanation = world.explain(0, 2).expect("the member is listed");
    assert_eq!(explanation.changes[0].cause, PathCause::Pinned);
    cut_both(&mut world, 3, 1);
    assert!(world.run_until(secs(5), |world| world.path(0, 2) == [2])?.is_some());
    world.heal();
    assert!(world.run_until(secs(60), |world| world.path(0, 2) == [1, 3, 2])?.is_some());
    set(&mut world, &Policy::default());
    assert_eq!(world.path(0, 2), [2]);
    Ok(())
}

#[test]
fn what_is_avoided_is_on_no_path_unless_there_is_no_other() -> Outcome {
    let relay = |world: &World| PathPart::Relay(id(world, 1));
    let link = |world: &World| PathPart::Link(id(world, 2), id(world, 1));
    for part in [&relay as &dyn Fn(&World) -> PathPart, &link] {
        let mut world = with_policy(|world| Policy { avoid: [part(world)].into(), ..Policy::default() })?;
        assert_eq!((world.path(0, 2), world.path(0, 1)), (&[2][..], &[1][..]));
        cut_both(&mut world, 0, 2);
        assert!(world.run_until(secs(5), |world| world.path(0, 2) == [1, 2])?.is_some());
    }
    Ok(())
}

#[test]
fn a_price_counts_in_the_cost_of_a_path() -> Outcome {
    for (price, path) in [(8, vec![1, 2]), (12, vec![2])] {
        let world = with_policy(|world| {
            let prices = [(PathPart::Relay(id(world, 1)), ms(price))];
            Policy { prices: prices.into(), ..Policy::default() }
        })?;
        assert_eq!(world.path(0, 2), path, "{price} ms on top of 21, against 32");
        let explanation = world.explain(0, 2).expect("the member is listed");
        let relayed = explanation.candidates.iter().find(|candidate| candidate.path.len() == 2);
        assert_eq!(relayed.map(|candidate| candidate.price), Some(ms(price)));
    }
    Ok(())
}

#[test]
fn a_policy_out_of_range_is_refused_and_the_former_one_stays() -> Outcome {
    let mut world = with_policy(|world| pinned(world, 2, &[]))?;
    let wrong = pinned(&world, 2, &[1, 1]);
    assert_eq!(world.set_policy(0, &wrong), Err(ConfigError::Pin));
    let wrong = Policy { avoid: [PathPart::Link(id(&world, 1), id(&world, 1))].into(), ..Policy::default() };
    assert_eq!(world.set_policy(0, &wrong), Err(ConfigError::Link));
    let wrong = Policy { prices: [(PathPart::Relay(id(&world, 1)), secs(11))].into(), ..Policy::default() };
    assert_eq!(world.set_policy(0, &wrong), Err(ConfigError::Price));
    assert_eq!(world.path(0, 2), [2]);
    Ok(())
}
