//! The malicious member and the hosts of others: what it can take, for how long, and that people are told.

use core::time::Duration;

use leon::config::MAX_ANNOUNCED_HOSTS;
use leon::sim::{Rogue, Say, To, World};
use leon::{Counter, Event, Host, HostError, HostOrigin, MacAddr, NodeId, Segment};

use crate::attacks::member::{broadcast, infiltrated};
use crate::attacks::status;
use crate::support::{Outcome, count, ms, secs};

/// A host by number, at no site.
fn host(n: u32) -> Host {
    let [a, b, c, d] = n.to_be_bytes();
    Host { segment: Segment::DEFAULT, vlan: 0, mac: MacAddr([2, 0xaa, a, b, c, d]) }
}

/// The member behind which a site has a host, `Some(None)` for the site itself, and how it knows.
fn place(world: &World, at: usize, host: Host) -> Option<(Option<NodeId>, HostOrigin)> {
    let found = status(world, at).fdb.into_iter().find(|known| known.mac == host.mac)?;
    Some((found.member, found.origin))
}

/// How many events of a kind a site has given.
fn events(world: &World, site: usize, is_it: impl Fn(&Event) -> bool) -> usize {
    world.events(site).iter().filter(|(_, event)| is_it(event)).count()
}

fn say_to_all(world: &mut World, rogue: &mut Rogue, say: &Say) {
    (0..3).for_each(|site| rogue.say(world, site, say));
}

#[test]
fn a_member_that_announces_anothers_host_has_it_until_the_host_talks() -> Outcome {
    let (mut world, hosts, mut rogue) = infiltrated()?;
    let victim = world.host(hosts[1]).name();
    say_to_all(&mut world, &mut rogue, &Say::Hosts(vec![(victim, 9)]));
    rogue.live(&mut world, ms(100))?;
    let stolen = Some((Some(rogue.id()), HostOrigin::Announced));
    assert!((0..3).all(|site| place(&world, site, victim) == stolen));
    let (from, to) = (None, Some(rogue.id()));
    assert_eq!(events(&world, 1, |event| *event == Event::HostMoved { host: victim, from, to }), 1);

    rogue.live(&mut world, secs(2))?;
    world.send(hosts[1], To::Everyone, 60);
    rogue.live(&mut world, ms(100))?;
    let learned = |member| Some((member, HostOrigin::Learned));
    let owner = Some(world.config(1).id());
    let places = [0, 1, 2].map(|site| place(&world, site, victim));
    assert_eq!(places, [learned(owner), learned(None), learned(owner)]);
    Ok(())
}

#[test]
fn whoever_runs_a_host_takes_it_back_with_one_word_and_a_fight_is_told_of() -> Outcome {
    let (mut world, hosts, mut rogue) = infiltrated()?;
    let victim = world.host(hosts[1]).name();
    for round in 0..20 {
        say_to_all(&mut world, &mut rogue, &Say::Hosts(vec![(victim, 2 * round)]));
        rogue.live(&mut world, ms(200))?;
        assert_eq!(world.announce(hosts[1]), Ok(()));
        rogue.live(&mut world, ms(200))?;
        assert_eq!(place(&world, 1, victim), Some((None, HostOrigin::Announced)));
        assert_eq!(place(&world, 2, victim), Some((Some(world.config(1).id()), HostOrigin::Announced)));
    }
    let is_alarm = |event: &Event| matches!(event, Event::HostFlapping { host, .. } if *host == victim);
    assert_eq!([0, 1, 2].map(|site| events(&world, site, is_alarm)), [1; 3]);
    Ok(())
}

#[test]
fn after_the_last_sequence_number_only_frames_move_a_host() -> Outcome {
    let (mut world, hosts, mut rogue) = infiltrated()?;
    let victim = world.host(hosts[1]).name();
    say_to_all(&mut world, &mut rogue, &Say::Hosts(vec![(victim, u32::MAX)]));
    rogue.live(&mut world, secs(3))?;
    let announced = world.announce(hosts[1]);
    let outbid = rogue.id() > world.config(1).id();
    assert_eq!(announced, if outbid { Err(HostError::Outbid) } else { Ok(()) });
    world.send(hosts[1], To::Everyone, 60);
    rogue.live(&mut world, ms(100))?;
    assert_eq!(place(&world, 1, victim).map(|(member, _)| member), Some(None));
    // The lie goes with the liar.
    say_to_all(&mut world, &mut rogue, &Say::Leave);
    world.run_for(secs(1))?;
    assert_eq!(world.announce(hosts[1]), Ok(()));
    world.run_for(secs(1))?;
    let owner = Some(world.config(1).id());
    assert_eq!(place(&world, 0, victim), Some((owner, HostOrigin::Announced)));
    Ok(())
}

#[test]
fn a_flood_of_announcements_takes_a_quarter_of_the_fdb_at_most_and_is_told_of_now_and_then() -> Outcome {
    let (mut world, _, mut rogue) = infiltrated()?;
    let before = world.now();
    for batch in 0..400_u32 {
        let hosts = (0..60).map(|n| (host(60 * batch + n), 0)).collect();
        say_to_all(&mut world, &mut rogue, &Say::Hosts(hosts));
        rogue.live(&mut world, ms(50))?;
    }
    for site in 0..3 {
        let of_rogue = status(&world, site).fdb.iter().filter(|host| host.member == Some(rogue.id())).count();
        assert!((3000..=MAX_ANNOUNCED_HOSTS).contains(&of_rogue), "{of_rogue} hosts");
        assert!(count(&world, site, Counter::MacQuota) > 10_000);
        let alarm = Event::HostLimit { member: Some(rogue.id()) };
        let alarms = events(&world, site, |event| *event == alarm);
        let most = world.now().since(before).as_secs() as usize / 10 + 1;
        assert!((2..=most).contains(&alarms), "{alarms} alarms");
    }
    // Others announce as before.
    assert_eq!(world.announce_at(0, host(1 << 30)), Ok(()));
    rogue.live(&mut world, ms(100))?;
    let owner = Some(world.config(0).id());
    assert_eq!(place(&world, 2, host(1 << 30)), Some((owner, HostOrigin::Announced)));
    Ok(())
}

#[test]
fn announcements_that_do_not_exist_are_asked_for_four_times_a_second() -> Outcome {
    let (mut world, _, mut rogue) = infiltrated()?;
    rogue.live(&mut world, secs(10))?;
    let sent = |world: &World| count(world, 0, Counter::DatagramsOut);
    let before = sent(&world);
    rogue.live(&mut world, secs(10))?;
    let usual = sent(&world) - before;
    rogue.say(&mut world, 0, &Say::HostsVersion(u64::MAX));
    rogue.live(&mut world, secs(10))?;
    let more = sent(&world) - before - 2 * usual;
    assert!((30..60).contains(&more), "{more} datagrams");
    Ok(())
}

#[test]
fn a_member_that_asks_for_announcements_again_and_again_is_answered_ten_times_a_second() -> Outcome {
    let (mut world, _, mut rogue) = infiltrated()?;
    for n in 0..60 {
        assert_eq!(world.announce_at(0, host(n)), Ok(()));
    }
    rogue.live(&mut world, secs(1))?;
    let before = count(&world, 0, Counter::DatagramsOut);
    for _ in 0..200 {
        rogue.say(&mut world, 0, &Say::HostsRequest);
        rogue.live(&mut world, ms(5))?;
    }
    let more = count(&world, 0, Counter::DatagramsOut) - before;
    assert!(more < 25, "{more} datagrams");
    Ok(())
}

#[test]
fn a_stream_of_hostile_frames_makes_few_events() -> Outcome {
    const TIME: Duration = Duration::from_secs(20);
    let (mut world, hosts, mut rogue) = infiltrated()?;
    let victims: Vec<MacAddr> = hosts.iter().map(|host| world.host(*host).mac).collect();
    let before = [0, 1, 2].map(|site| world.events(site).len());
    let end = world.now() + TIME;
    let mut tag = 0;
    while world.now() < end {
        for site in 0..3 {
            // Hosts of others are claimed, hosts that nobody has made up, and all is sent to everybody.
            for n in 0..20_u32 {
                tag += 1;
                let mut frame = broadcast(1000 + tag % 10_000, tag);
                if n < 3 {
                    frame[6..12].copy_from_slice(&victims[n as usize].0);
                }
                world.expect_frame(Segment::DEFAULT, &frame);
                rogue.frame(&mut world, &[site], &frame);
            }
        }
        for host in hosts {
            world.send(host, To::Everyone, 60);
        }
        rogue.live(&mut world, ms(10))?;
    }
    for (site, before) in before.into_iter().enumerate() {
        let events = world.events(site).len() - before;
        // Of the rogue, of the local network, and of the hosts of two other members: 5 moves a second each.
        let most = 4 * (10 + 5 * TIME.as_secs() as usize) + 40;
        assert!(events <= most, "{events} events");
        assert!(count(&world, site, Counter::MacMoved) > 5000);
    }
    Ok(())
}

#[test]
fn a_member_that_floods_is_told_of_once_in_ten_seconds() -> Outcome {
    let (mut world, _, mut rogue) = infiltrated()?;
    (0..3).for_each(|site| assert_eq!(world.config(site).flood_limit, 10_000));
    let mut tag = 0;
    for _ in 0..15 {
        for _ in 0..20_000 {
            tag += 1;
            let frame = broadcast(1, tag);
            world.expect_frame(Segment::DEFAULT, &frame);
            rogue.frame(&mut world, &[0], &frame);
        }
        rogue.live(&mut world, secs(1))?;
    }
    let alarm = Event::FloodLimited { member: rogue.id() };
    assert_eq!(events(&world, 0, |event| *event == alarm), 2);
    assert_eq!(events(&world, 1, |event| *event == alarm), 0);
    Ok(())
}
