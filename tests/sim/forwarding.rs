//! §4.3: where frames go.

use leon::sim::{Link, Matrix, To, World};
use leon::{Counter, MacAddr, Segment};

use crate::support::{Outcome, change, count, formed, ipv6, mesh, ms, over, secs};

/// A mesh with one host at each site that all have heard.
fn with_hosts(world: World) -> Result<(World, Vec<usize>), leon::sim::Violation> {
    let mut world = formed(world)?;
    let hosts: Vec<usize> = (0..world.sites()).map(|site| world.add_host(site)).collect();
    for &host in &hosts {
        world.send(host, To::Everyone, 60);
    }
    world.run_for(secs(1))?;
    Ok((world, hosts))
}

/// Sends a frame and says at which sites it came out.
fn sites_of(world: &mut World, host: usize, to: To) -> Result<Vec<usize>, leon::sim::Violation> {
    let frame = world.send(host, to, 60);
    world.run_for(secs(1))?;
    Ok(world.frame(frame).sites())
}

#[test]
fn broadcast_reaches_every_site_once() -> Outcome {
    let mut world = formed(over(&Matrix::internet_like(9, 2)))?;
    for site in 0..9 {
        let host = world.add_host(site);
        let others: Vec<usize> = (0..9).filter(|&other| other != site).collect();
        assert_eq!(sites_of(&mut world, host, To::Everyone)?, others);
    }
    Ok(())
}

#[test]
fn multicast_reaches_every_site_once() -> Outcome {
    let (mut world, hosts) = with_hosts(mesh(4, 10.0))?;
    let all_routers = MacAddr([0x33, 0x33, 0, 0, 0, 2]);
    assert_eq!(sites_of(&mut world, hosts[1], To::Mac(all_routers))?, [0, 2, 3]);
    Ok(())
}

#[test]
fn a_frame_to_an_unknown_host_reaches_every_site_and_the_answer_only_one() -> Outcome {
    let mut world = formed(mesh(4, 10.0))?;
    let (asking, asked) = (world.add_host(0), world.add_host(2));
    assert_eq!(sites_of(&mut world, asking, To::Host(asked))?, [1, 2, 3]);
    assert_eq!(sites_of(&mut world, asked, To::Host(asking))?, [0]);
    assert_eq!(sites_of(&mut world, asking, To::Host(asked))?, [2]);
    assert_eq!((world.host(asked).received.len(), world.host(asking).received.len()), (2, 1));
    Ok(())
}

#[test]
fn a_frame_between_hosts_of_one_site_does_not_leave_it() -> Outcome {
    let (mut world, hosts) = with_hosts(mesh(3, 10.0))?;
    let neighbour = world.add_host(0);
    world.send(neighbour, To::Everyone, 60);
    assert!(sites_of(&mut world, hosts[0], To::Host(neighbour))?.is_empty());
    assert_eq!(count(&world, 0, Counter::FrameLocalDestination), 1);
    Ok(())
}

#[test]
fn a_host_that_moves_is_reached_after_its_first_frame() -> Outcome {
    let (mut world, hosts) = with_hosts(mesh(4, 10.0))?;
    assert_eq!(sites_of(&mut world, hosts[0], To::Host(hosts[1]))?, [1]);
    world.move_host(hosts[1], 3);
    world.send(hosts[1], To::Host(hosts[0]), 60);
    world.run_for(ms(100))?;
    assert_eq!(sites_of(&mut world, hosts[0], To::Host(hosts[1]))?, [3]);
    assert!(count(&world, 0, Counter::MacMoved) > 0);
    Ok(())
}

#[test]
fn a_host_that_moves_and_calls_out_is_reached_by_all() -> Outcome {
    let (mut world, hosts) = with_hosts(mesh(4, 10.0))?;
    world.move_host(hosts[1], 3);
    world.send(hosts[1], To::Everyone, 60);
    world.run_for(ms(100))?;
    for other in [0, 2] {
        assert_eq!(sites_of(&mut world, hosts[other], To::Host(hosts[1]))?, [3]);
    }
    let left_behind = world.add_host(1);
    assert_eq!(sites_of(&mut world, left_behind, To::Host(hosts[1]))?, [3]);
    Ok(())
}

#[test]
fn a_host_that_moves_here_is_no_longer_remote() -> Outcome {
    let (mut world, hosts) = with_hosts(mesh(3, 10.0))?;
    world.move_host(hosts[1], 0);
    world.send(hosts[1], To::Host(hosts[0]), 60);
    world.run_for(ms(100))?;
    assert!(sites_of(&mut world, hosts[0], To::Host(hosts[1]))?.is_empty(), "the local network delivers");
    let mac = world.host(hosts[1]).mac;
    let status = world.status(0).expect("site 0 runs");
    let entry = status.fdb.iter().find(|host| host.mac == mac).expect("the host is known");
    assert_eq!(entry.member, None);
    Ok(())
}

#[test]
fn a_frame_from_the_overlay_never_goes_back() -> Outcome {
    let (mut world, hosts) = with_hosts(over(&Matrix::star(5, 10.0)))?;
    for &host in &hosts {
        world.send(host, To::Everyone, 60);
        world.send(host, To::Mac(MacAddr([2, 9, 9, 9, 9, 9])), 60);
    }
    // Every step checks that no frame comes out where it went in, nor twice anywhere.
    world.run_for(secs(5))?;
    assert!(world.frames().iter().all(|frame| frame.deliveries.len() <= 4));
    Ok(())
}

#[test]
fn the_fdb_forgets_silent_hosts() -> Outcome {
    let mut world = mesh(3, 10.0);
    (0..3).for_each(|site| world.config_mut(site).fdb_ageing = secs(20));
    let (mut world, hosts) = with_hosts(world)?;
    assert_eq!(sites_of(&mut world, hosts[0], To::Host(hosts[1]))?, [1]);
    world.run_for(secs(25))?;
    assert!((0..3).all(|site| world.status(site).is_some_and(|status| status.fdb.is_empty())));
    assert_eq!(sites_of(&mut world, hosts[0], To::Host(hosts[1]))?, [1, 2], "unknown again");
    Ok(())
}

#[test]
fn hosts_that_talk_are_not_forgotten() -> Outcome {
    let mut world = mesh(3, 10.0);
    (0..3).for_each(|site| world.config_mut(site).fdb_ageing = secs(20));
    let (mut world, hosts) = with_hosts(world)?;
    for _ in 0..20 {
        world.send(hosts[1], To::Host(hosts[0]), 60);
        world.run_for(secs(5))?;
        assert_eq!(sites_of(&mut world, hosts[0], To::Host(hosts[1]))?, [1]);
    }
    Ok(())
}

#[test]
fn the_hosts_of_a_member_that_is_gone_are_forgotten() -> Outcome {
    for leaves in [true, false] {
        let (mut world, hosts) = with_hosts(mesh(4, 10.0))?;
        if leaves {
            world.leave(2);
        } else {
            world.crash(2);
        }
        world.run_for(secs(6))?;
        let mac = world.host(hosts[2]).mac;
        for site in [0, 1, 3] {
            let status = world.status(site).expect("the site runs");
            assert!(status.fdb.iter().all(|host| host.mac != mac), "site {site}, leaves {leaves}");
        }
    }
    Ok(())
}

#[test]
fn a_flood_of_macs_stays_within_its_quota() -> Outcome {
    let mut world = mesh(3, 10.0);
    (0..3).for_each(|site| world.config_mut(site).fdb_capacity = 256);
    let (mut world, hosts) = with_hosts(world)?;
    for n in 0..5000_u32 {
        let [a, b, c, d] = n.to_be_bytes();
        let mut frame = [0xff; 64];
        frame[6..12].copy_from_slice(&[0x06, 0, a, b, c, d]);
        world.send_bytes(0, Segment::DEFAULT, &frame);
        if n % 100 == 0 {
            world.run_for(ms(10))?;
        }
    }
    world.run_for(secs(1))?;
    world.check_tables()?;
    let flooder = world.config(0).id();
    let status = world.status(1).expect("site 1 runs");
    let held = status.fdb.iter().filter(|host| host.member == Some(flooder)).count();
    assert!(held <= 256 / 2, "{held} of 256");
    assert!(count(&world, 1, Counter::MacQuota) + count(&world, 1, Counter::MacTableFull) > 1000);
    assert_eq!(sites_of(&mut world, hosts[2], To::Host(hosts[1]))?, [1], "others are not crowded out");
    assert_eq!(sites_of(&mut world, hosts[1], To::Host(hosts[2]))?, [2]);
    Ok(())
}

#[test]
fn duplicated_datagrams_deliver_once() -> Outcome {
    let mut world = mesh(3, 10.0);
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        change(&mut world, one, other, |link| Link { duplication: 1.0, ..link });
    }
    let (mut world, hosts) = with_hosts(world)?;
    for _ in 0..50 {
        world.send(hosts[0], To::Host(hosts[1]), 60);
        world.send(hosts[1], To::Everyone, 60);
    }
    world.run_for(secs(1))?;
    assert_eq!(world.host(hosts[1]).received.len(), 50 + 2);
    assert!(count(&world, 1, Counter::Replayed) >= 50);
    world.check_at_rest()
}

#[test]
fn reordered_datagrams_are_all_delivered() -> Outcome {
    let mut world = mesh(2, 40.0);
    change(&mut world, 0, 1, |link| Link { reorder: 0.5, ..link });
    let (mut world, hosts) = with_hosts(world)?;
    let before = world.host(hosts[1]).received.len();
    for _ in 0..1000 {
        world.send(hosts[0], To::Host(hosts[1]), 60);
    }
    world.run_for(secs(1))?;
    assert_eq!(world.host(hosts[1]).received.len(), before + 1000);
    Ok(())
}

#[test]
fn one_flow_stays_in_order() -> Outcome {
    let mut world = over(&Matrix::fujisawa_inagi_seoul());
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        change(&mut world, one, other, |link| Link { jitter_ns: 1_000_000, ..link });
    }
    world.start_all()?;
    world.run_for(secs(30))?;
    let (host, other) = (world.add_host(0), world.add_host(2));
    world.send(other, To::Everyone, 60);
    world.run_for(secs(1))?;
    for _ in 0..2000 {
        world.send(host, To::Host(other), 60);
        world.run_for(ms(1))?;
    }
    world.run_for(secs(1))?;
    let received = &world.host(other).received;
    assert_eq!(received.len(), 2000);
    assert!(received.is_sorted());
    Ok(())
}

#[test]
fn frames_larger_than_the_underlay_are_counted() -> Outcome {
    let (mut world, hosts) = with_hosts(over(&Matrix::fujisawa_inagi_seoul()))?;
    let fits = |world: &mut World, len| {
        let before = count(world, 0, Counter::FrameTooLong);
        let frame = world.send(hosts[0], To::Host(hosts[2]), len);
        world.run_for(ms(100))?;
        let delivered = world.frame(frame).sites() == [2];
        let refused = count(world, 0, Counter::FrameTooLong) == before + 1;
        assert!(delivered != refused, "{len} bytes are delivered or counted");
        Ok(delivered)
    };
    let mut longest = 0;
    for len in 1300..1600 {
        if fits(&mut world, len)? {
            assert!(longest == 0 || longest == len - 1, "{len} bytes fit, {} do not", len - 1);
            longest = len;
        }
    }
    // IPv4 and UDP 28, header 20, two entries 28, kind and segment 4, tag 16.
    assert_eq!(longest, 1500 - 28 - 20 - 28 - 4 - 16);
    Ok(())
}

#[test]
fn a_frame_that_fits_some_paths_only_is_flooded_on_those() -> Outcome {
    // From site 0 a relay leads to site 2, none to sites 1, 3 and 4.
    let rows = [
        vec![0.0, 4.0, 32.0, 10.0, 10.0],
        vec![4.0, 0.0, 17.0, 20.0, 20.0],
        vec![32.0, 17.0, 0.0, 40.0, 40.0],
        vec![10.0, 20.0, 40.0, 0.0, 20.0],
        vec![10.0, 20.0, 40.0, 20.0, 0.0],
    ];
    let (mut world, hosts) = with_hosts(over(&Matrix::from_ms(&rows).expect("the matrix is square")))?;
    assert_eq!(world.path(0, 2), [1, 2]);
    // One byte more than two entries of a path leave room for.
    let frame = world.send(hosts[0], To::Everyone, 1500 - 28 - 20 - 28 - 4 - 16 + 1);
    world.run_for(secs(1))?;
    assert_eq!(world.frame(frame).sites(), [1, 3, 4]);
    assert_eq!(count(&world, 0, Counter::FrameTooLong), 1);
    Ok(())
}

#[test]
fn a_frame_fits_the_links_behind_a_relay_too() -> Outcome {
    let mut world = over(&Matrix::fujisawa_inagi_seoul());
    // IP headers are 20 bytes longer on the second link than on the first.
    world.readdress(2, ipv6(2));
    let (mut world, hosts) = with_hosts(world)?;
    assert_eq!(world.path(0, 2), [1, 2]);
    // IPv6 and UDP 48, header 20, an entry of each family 40, kind and segment 4, tag 16.
    let longest = 1500 - 48 - 20 - 40 - 4 - 16;
    let frames = [longest, longest + 1].map(|len| world.send(hosts[0], To::Host(hosts[2]), len));
    // Every step checks that datagrams fit the underlay.
    world.run_for(secs(1))?;
    assert_eq!(frames.map(|frame| world.frame(frame).sites()), [vec![2], vec![]]);
    assert_eq!(count(&world, 0, Counter::FrameTooLong), 1);
    Ok(())
}

#[test]
fn a_relay_drops_and_counts_what_its_own_underlay_does_not_carry() -> Outcome {
    let mut world = over(&Matrix::fujisawa_inagi_seoul());
    world.config_mut(1).underlay_mtu = 1400;
    let (mut world, hosts) = with_hosts(world)?;
    assert_eq!(world.path(0, 2), [1, 2]);
    let longest = 1400 - 28 - 20 - 28 - 4 - 16;
    let frames = [longest, longest + 1].map(|len| world.send(hosts[0], To::Host(hosts[2]), len));
    world.run_for(secs(1))?;
    assert_eq!(frames.map(|frame| world.frame(frame).sites()), [vec![2], vec![]]);
    assert_eq!([0, 1].map(|site| count(&world, site, Counter::FrameTooLong)), [0, 1]);
    Ok(())
}

#[test]
fn an_underlay_narrower_than_configured_loses_large_frames_only() -> Outcome {
    let mut world = mesh(2, 10.0);
    change(&mut world, 0, 1, |link| Link { mtu: 1400, ..link });
    let (mut world, hosts) = with_hosts(world)?;
    let large = world.send(hosts[0], To::Host(hosts[1]), 1390);
    let small = world.send(hosts[0], To::Host(hosts[1]), 1300);
    world.run_for(secs(10))?;
    assert!(world.frame(large).sites().is_empty());
    assert_eq!(world.frame(small).sites(), [1]);
    world.check_at_rest()
}

#[test]
fn runt_frames_and_frames_from_group_addresses_are_dropped_and_counted() -> Outcome {
    let (mut world, _) = with_hosts(mesh(2, 10.0))?;
    for len in 0..14 {
        world.send_bytes(0, Segment::DEFAULT, &vec![0xff; len]);
    }
    assert_eq!(count(&world, 0, Counter::FrameTooShort), 14);
    let mut frame = [0xff; 64];
    frame[6] = 0x03;
    let index = world.send_bytes(0, Segment::DEFAULT, &frame);
    world.run_for(secs(1))?;
    assert!(world.frame(index).sites().is_empty());
    assert_eq!(count(&world, 0, Counter::FrameGroupSource), 1);
    Ok(())
}

#[test]
fn a_frame_for_which_there_is_no_member_is_counted() -> Outcome {
    let mut world = mesh(2, 10.0);
    world.config_mut(0).seeds.clear();
    world.start(0);
    let host = world.add_host(0);
    world.send(host, To::Everyone, 60);
    assert_eq!(count(&world, 0, Counter::FrameNoMember), 1);
    Ok(())
}

#[test]
fn segments_keep_apart() -> Outcome {
    let [red, blue] = [5, 6].map(|id| Segment::new(id).expect("fits 24 bits"));
    let mut world = mesh(4, 10.0);
    for (site, segments) in [vec![red, blue], vec![red], vec![blue, red], vec![blue]].into_iter().enumerate()
    {
        world.config_mut(site).segments = segments;
    }
    let mut world = formed(world)?;
    let red_host = world.add_host_in(0, red, None);
    let blue_host = world.add_host_in(0, blue, None);
    assert_eq!(sites_of(&mut world, red_host, To::Everyone)?, [1, 2]);
    assert_eq!(sites_of(&mut world, blue_host, To::Everyone)?, [2, 3]);
    // The same address in both segments is two hosts.
    let answer = world.add_host_in(2, blue, None);
    let mac = world.host(red_host).mac;
    assert_eq!(sites_of(&mut world, answer, To::Mac(mac))?, [0, 3], "unknown in this segment");
    assert_eq!(sites_of(&mut world, answer, To::Host(blue_host))?, [0]);
    world.check_at_rest()
}

#[test]
fn a_frame_of_a_segment_that_is_not_served_is_counted() -> Outcome {
    let (mut world, _) = with_hosts(mesh(2, 10.0))?;
    let elsewhere = world.add_host_in(0, Segment::new(9).expect("fits 24 bits"), None);
    assert!(sites_of(&mut world, elsewhere, To::Everyone)?.is_empty());
    assert_eq!(count(&world, 0, Counter::FrameSegment), 1);
    Ok(())
}

#[test]
fn vlans_keep_equal_addresses_apart() -> Outcome {
    let mut world = formed(mesh(3, 10.0))?;
    let asking = world.add_host_in(0, Segment::DEFAULT, Some(7));
    let asked = world.add_host_in(1, Segment::DEFAULT, Some(7));
    let untagged = world.add_host_in(0, Segment::DEFAULT, None);
    world.send(asked, To::Everyone, 60);
    world.run_for(secs(1))?;
    assert_eq!(sites_of(&mut world, asking, To::Host(asked))?, [1]);
    assert_eq!(sites_of(&mut world, untagged, To::Host(asked))?, [1, 2], "unknown without the tag");
    Ok(())
}
