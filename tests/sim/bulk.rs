//! Bulk traffic takes paths of its own.

use leon::sim::World;
use leon::{Bulk, Segment};

use crate::support::{Outcome, formed, member, secs, triangle};

/// A frame from one host to another: IPv4 with this DSCP.
fn packet(world: &World, from: usize, to: usize, dscp: u8, tag: u8) -> Vec<u8> {
    let mut frame = [world.host(to).mac.0, world.host(from).mac.0].concat();
    frame.extend([0x08, 0x00, 0x45, dscp << 2]);
    frame.resize(60, tag);
    frame
}

#[test]
fn frames_marked_as_bulk_go_straight_and_all_others_through_inagi() -> Outcome {
    let mut world = triangle(32.0, 5.0, 17.0);
    (0..3).for_each(|site| world.config_mut(site).bulk = Bulk { dscp: [8].into(), ..Bulk::default() });
    let mut world = formed(world)?;
    let (host, other) = (world.add_host(0), world.add_host(2));
    world.send(other, leon::sim::To::Everyone, 60);
    world.run_for(secs(2))?;
    let seoul = member(&world, 0, 2).expect("the member is listed");
    let straight = vec![world.config(2).id()];
    assert_eq!((world.path(0, 2), seoul.bulk_path), (&[1, 2][..], straight));
    for (dscp, tag, way_ms) in [(8, 1, 16), (0, 2, 11), (46, 3, 11)] {
        let sent_at = world.now();
        let bytes = packet(&world, host, other, dscp, tag);
        let frame = world.send_bytes(0, Segment::DEFAULT, &bytes);
        world.run_for(secs(1))?;
        let arrived_at = world.frame(frame).deliveries[0].at;
        assert_eq!(arrived_at.since(sent_at).as_millis(), way_ms, "DSCP {dscp}");
    }
    Ok(())
}

#[test]
fn without_marks_to_look_for_there_is_one_path_for_all() -> Outcome {
    let world = formed(triangle(32.0, 5.0, 17.0))?;
    assert!(member(&world, 0, 2).is_some_and(|seoul| seoul.bulk_path.is_empty()));
    Ok(())
}
