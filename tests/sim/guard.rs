//! Paths that are worse than their links and relays say: what is sent along them is compared with the direct path.

use core::time::Duration;

use leon::sim::{Matrix, To, World};
use leon::{Event, PathCause, Time};

use crate::support::{Outcome, formed, ms, over, secs, when};

/// Site 0 to site 2, which go through site 1 in the paper's triangle: a mesh at rest, with hosts that exchange frames.
fn triangle_with_hosts() -> Result<(World, [usize; 2]), leon::sim::Violation> {
    let mut world = formed(over(&Matrix::fujisawa_inagi_seoul()))?;
    world.run_for(secs(10))?;
    assert_eq!(world.path(0, 2), [1, 2]);
    let hosts = [world.add_host(0), world.add_host(2)];
    for host in hosts {
        world.send(host, To::Everyone, 60);
    }
    Ok((world, hosts))
}

/// From now on what the relay passes on takes so much longer, but not what it sends itself.
fn hold_up(world: &mut World, hold: Duration) {
    for to in [0, 2] {
        world.intercept(1, to, move |mut caught| {
            let hops = caught.bytes[1] >> 4;
            if hops > 1 {
                caught.after += hold;
            }
            vec![caught]
        });
    }
}

fn exchange(world: &mut World, hosts: [usize; 2], duration: Duration) -> Outcome {
    for _ in 0..duration.as_millis() / 100 {
        world.send(hosts[0], To::Host(hosts[1]), 60);
        world.send(hosts[1], To::Host(hosts[0]), 60);
        world.run_for(ms(100))?;
    }
    Ok(())
}

fn changed_at(world: &World, since: Time, because: PathCause) -> Option<Time> {
    when(world, 0, since, |event| matches!(event, Event::PathChanged { cause, .. } if *cause == because))
}

#[test]
fn a_relay_that_is_slower_than_it_says_is_left_and_stays_left() -> Outcome {
    let (mut world, hosts) = triangle_with_hosts()?;
    let since = world.now();
    hold_up(&mut world, ms(50));
    exchange(&mut world, hosts, secs(30))?;
    assert_eq!(world.path(0, 2), [2]);
    assert!(changed_at(&world, since, PathCause::Guard).is_some());
    let left_at = world.now();
    exchange(&mut world, hosts, secs(300))?;
    let returned = |event: &&(Time, Event)| {
        let (at, event) = event;
        *at > left_at && matches!(event, Event::PathChanged { path, .. } if path.len() > 1)
    };
    let returns = world.events(0).iter().filter(returned).count();
    assert!(returns <= 2, "{returns}: it is distrusted for a minute, then for two, then for four");
    Ok(())
}

#[test]
fn a_relay_that_is_as_fast_as_it_says_is_kept() -> Outcome {
    let (mut world, hosts) = triangle_with_hosts()?;
    let since = world.now();
    hold_up(&mut world, ms(5));
    exchange(&mut world, hosts, secs(60))?;
    assert_eq!(world.path(0, 2), [1, 2], "it is still 5 ms faster than the direct path");
    assert_eq!(changed_at(&world, since, PathCause::Guard), None);
    Ok(())
}

#[test]
fn nothing_is_compared_where_no_frames_go() -> Outcome {
    let (mut world, _) = triangle_with_hosts()?;
    world.run_for(secs(15))?;
    hold_up(&mut world, ms(50));
    let since = world.now();
    world.run_for(secs(40))?;
    assert_eq!(changed_at(&world, since, PathCause::Guard), None);
    Ok(())
}
