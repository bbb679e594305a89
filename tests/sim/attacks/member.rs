//! The malicious member: it speaks for itself only, and what it can take of others is limited.

use core::net::SocketAddr;
use core::time::Duration;

use leon::sim::{Dice, Rogue, Say, To, Violation, World};
use leon::{Counter, Event, MacAddr, MemberState, NodeId, Segment, Status, Time};

use crate::attacks::{COMMON, ENTRY, drops_since, status, triangle};
use crate::support::{Outcome, count, formed, lists, mesh, ms, secs, seed};

fn rogues() -> SocketAddr {
    "192.0.2.77:4747".parse().expect("an address")
}

/// Somebody who has no part in it.
fn victim() -> SocketAddr {
    "192.0.2.66:4747".parse().expect("an address")
}

/// The triangle with a host at each site, and a rogue that is a member everywhere and has been for a minute.
pub(super) fn infiltrated() -> Result<(World, [usize; 3], Rogue), Violation> {
    let (mut world, hosts) = triangle(seed())?;
    let mut rogue = Rogue::new(&mut world, "rogue", rogues());
    for site in 0..3 {
        assert!(rogue.join(&mut world, site)?);
    }
    rogue.live(&mut world, secs(60))?;
    assert!((0..3).all(|site| is_listed(&world, site, rogue.id())));
    Ok((world, hosts, rogue))
}

fn is_listed(world: &World, site: usize, id: NodeId) -> bool {
    status(world, site).members.iter().any(|member| member.id == id && member.state == MemberState::Alive)
}

/// What the sites know of each other and of their hosts: all that concerns the rogue is left out.
fn of_others(world: &World, rogue: NodeId) -> [String; 3] {
    [0, 1, 2].map(|site| {
        let Status { members, latency, fdb, .. } = status(world, site);
        let members: Vec<String> = members
            .iter()
            .filter(|member| member.id != rogue)
            .map(|member| {
                format!("{} {} {} {:?}", member.name, member.locator, member.incarnation, member.state)
            })
            .collect();
        let links: Vec<_> = latency
            .iter()
            .filter(|link| ![link.from, link.to].contains(&rogue))
            .map(|link| (link.from, link.to))
            .collect();
        let mut hosts: Vec<_> = fdb.iter().map(|host| (host.mac, host.member)).collect();
        hosts.sort();
        format!("{members:?} {links:?} {hosts:?}")
    })
}

/// Frames between all hosts arrive, at their destinations and nowhere else.
fn frames_arrive(world: &mut World, rogue: &mut Rogue, hosts: [usize; 3]) -> Outcome {
    let pairs = [(0, 1), (1, 2), (2, 0), (0, 2), (2, 1), (1, 0)];
    let sent = pairs.map(|(from, to)| (to, world.send(hosts[from], To::Host(hosts[to]), 100)));
    rogue.live(world, secs(1))?;
    for (to, frame) in sent {
        assert_eq!(world.frame(frame).sites(), [to]);
    }
    Ok(())
}

/// How often anything happened to a member other than the rogue, since a number of events at each site.
fn disturbances(world: &World, rogue: NodeId, since: [usize; 3]) -> usize {
    let is_other = |event: &&(Time, Event)| match &event.1 {
        Event::MemberJoined { id, .. }
        | Event::MemberLeft { id, .. }
        | Event::MemberFailed { id, .. }
        | Event::MemberRemoved { id, .. }
        | Event::LinkDown { id } => *id != rogue,
        _ => false,
    };
    (0..3).map(|site| world.events(site)[since[site]..].iter().filter(is_other).count()).sum()
}

fn event_counts(world: &World) -> [usize; 3] {
    [0, 1, 2].map(|site| world.events(site).len())
}

/// The rogue says something to all sites, again and again for half a minute: nothing of others changes, frames
/// arrive, and each is dropped for `reason`, or for none.
fn is_in_vain(mut sayings: impl FnMut(&World, usize) -> Vec<Say>, reason: Option<Counter>) -> Outcome {
    let (mut world, hosts, mut rogue) = infiltrated()?;
    let before = (0..3).map(|site| status(&world, site)).collect::<Vec<_>>();
    let (known, events) = (of_others(&world, rogue.id()), event_counts(&world));
    let mut said = [0; 3];
    for _ in 0..150 {
        for (site, said) in said.iter_mut().enumerate() {
            for say in sayings(&world, site) {
                rogue.say(&mut world, site, &say);
                *said += 1;
            }
        }
        rogue.live(&mut world, ms(200))?;
    }
    frames_arrive(&mut world, &mut rogue, hosts)?;
    assert_eq!(of_others(&world, rogue.id()), known);
    assert_eq!(disturbances(&world, rogue.id(), events), 0);
    for site in 0..3 {
        let drops = drops_since(&before[site], &status(&world, site));
        let expected: Vec<_> = reason.map(|reason| (reason, said[site])).into_iter().collect();
        assert_eq!(drops.into_iter().collect::<Vec<_>>(), expected, "site {site}");
    }
    Ok(())
}

/// The next site after one.
fn next(site: usize) -> usize {
    (site + 1) % 3
}

#[test]
fn a_member_changes_no_record_of_another() -> Outcome {
    let forged = |world: &World, site| {
        let config = world.config(next(site));
        let later = config.incarnation + 1;
        vec![
            Say::JoinOf(config.id(), "mine".into(), victim(), later),
            Say::JoinOf(config.id(), config.name.clone(), rogues(), config.incarnation),
            Say::JoinOf(NodeId([7; 32]), "nobody".into(), victim(), 1),
        ]
    };
    is_in_vain(forged, Some(Counter::RecordForged))
}

#[test]
fn a_member_expels_nobody_by_refusing_it() -> Outcome {
    let refusal = |world: &World, site| vec![Say::JoinReject(world.config(site).incarnation)];
    is_in_vain(refusal, Some(Counter::ControlUnexpected))
}

#[test]
fn lists_that_nobody_asked_for_are_not_believed() -> Outcome {
    let list = |world: &World, site| {
        let config = world.config(next(site));
        vec![Say::List(vec![(config.id(), config.incarnation + 9, victim()), (NodeId([7; 32]), 1, victim())])]
    };
    is_in_vain(list, Some(Counter::ControlUnexpected))
}

#[test]
fn what_is_no_message_is_dropped() -> Outcome {
    let mut dice = Dice::named(seed(), "no messages");
    let noise = move |_: &World, _| {
        let mut bytes = vec![0; dice.below(300) as usize];
        dice.fill(&mut bytes);
        // No type of a message.
        if let Some(first) = bytes.first_mut() {
            *first |= 0x80;
        }
        vec![Say::Raw(bytes)]
    };
    is_in_vain(noise, Some(Counter::ControlMalformed))
}

#[test]
fn a_member_makes_up_latencies_of_its_own_links_only() -> Outcome {
    let (mut world, hosts, mut rogue) = infiltrated()?;
    let (id, no_one) = (rogue.id(), NodeId([7; 32]));
    let truth = |world: &World| {
        let links = status(world, 0).latency.into_iter();
        links.filter(|link| ![link.from, link.to].contains(&id)).collect::<Vec<_>>()
    };
    let before = truth(&world);
    for _ in 0..50 {
        // Near to all, and nearest to itself and to nobody.
        let everyone: Vec<_> = (0..3)
            .map(|site| (world.config(site).id(), world.config(site).incarnation, Some(Duration::ZERO)))
            .chain([(id, 1, Some(Duration::ZERO)), (no_one, 1, Some(Duration::ZERO))])
            .collect();
        for site in 0..3 {
            rogue.say(&mut world, site, &Say::Row(everyone.clone()));
        }
        rogue.live(&mut world, ms(500))?;
    }
    let after = truth(&world);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.from, before.to), (after.from, after.to));
        let (one, other) = (before.slow.expect("it is up"), after.slow.expect("it is up"));
        assert!(one.abs_diff(other) < ms(1), "{before:?} {after:?}");
    }
    assert!(status(&world, 0).latency.iter().all(|link| link.to != no_one && link.from != link.to));
    // It attracts paths, which is all it gets: it cannot read what it is to relay.
    let to_seoul = status(&world, 0).members.into_iter().find(|member| member.name == "site2");
    assert_eq!(to_seoul.expect("it is listed").path[0], rogue.id());
    for _ in 0..10 {
        world.send(hosts[0], To::Host(hosts[2]), 100);
        rogue.live(&mut world, ms(10))?;
    }
    assert!(rogue.frames().is_empty());
    // Paths come back when it goes.
    for site in 0..3 {
        rogue.say(&mut world, site, &Say::Leave);
    }
    world.run_for(secs(1))?;
    world.settle(secs(5))?;
    world.check_at_rest()
}

#[test]
fn a_member_that_makes_links_fail_loses_them_only_for_itself() -> Outcome {
    let row = |world: &World, _| {
        let down = |site: usize| (world.config(site).id(), world.config(site).incarnation, None);
        vec![Say::Row((0..3).map(down).collect())]
    };
    is_in_vain(row, None)
}

#[test]
fn a_member_takes_neither_name_nor_locator_of_another() -> Outcome {
    for takes_name in [true, false] {
        let (mut world, hosts, mut rogue) = infiltrated()?;
        let before = of_others(&world, rogue.id());
        let events = event_counts(&world);
        let refused = rogue.refusals();
        // In the life it has, and in one that claims to be older than all.
        for incarnation in [world.now().as_nanos(), 0, 0, u64::MAX] {
            let config = world.config(2);
            let name = if takes_name { config.name.clone() } else { "rogue".into() };
            let locator = if takes_name { rogues() } else { config.locator };
            rogue.claim(&name, locator, incarnation);
            for site in 0..3 {
                rogue.say(&mut world, site, &Say::Join);
            }
            rogue.live(&mut world, secs(12))?;
        }
        assert!(rogue.refusals() >= refused + 9);
        assert_eq!(of_others(&world, rogue.id()), before);
        assert_eq!(disturbances(&world, rogue.id(), events), 0);
        assert!((0..3).all(|site| count(&world, site, Counter::MemberConflict) > 0));
        frames_arrive(&mut world, &mut rogue, hosts)?;
    }
    Ok(())
}

#[test]
fn nodes_that_a_member_makes_up_are_asked_for_a_few_times_only() -> Outcome {
    let (mut world, hosts, mut rogue) = infiltrated()?;
    let mut next_id = 0_u32;
    let mut listed = 0;
    for _ in 0..200 {
        for site in 0..3 {
            // Another list than theirs makes them ask.
            rogue.say(&mut world, site, &Say::Probe(next_id));
        }
        rogue.live(&mut world, ms(100))?;
        for site in 0..3 {
            let made_up = |_| {
                next_id += 1;
                let mut id = [0x5a; 32];
                id[..4].copy_from_slice(&next_id.to_be_bytes());
                (NodeId(id), 1, victim())
            };
            if rogue.is_asked(site) {
                let nodes: Vec<_> = (0..20).map(made_up).collect();
                listed += nodes.len();
                rogue.say(&mut world, site, &Say::List(nodes));
            }
        }
    }
    assert!(listed > 500, "{listed} nodes were made up");
    // 16 at a time for each of three sites, 6 datagrams each in 7 s, for 20 s and what had begun.
    let (datagrams, bytes) = world.strays(victim());
    assert!((1..=16 * 3 * 6 * 4).contains(&datagrams), "{datagrams} datagrams, {bytes} bytes");
    assert!((0..3).all(|site| status(&world, site).members.len() == 3));
    let sent_later = world.strays(victim()).0;
    rogue.live(&mut world, secs(60))?;
    let rest = world.strays(victim()).0 - sent_later;
    assert!(rest <= 2 * listed as u64 * 6, "{rest}");
    frames_arrive(&mut world, &mut rogue, hosts)
}

/// A broadcast of someone at no site.
pub(super) fn broadcast(source: u32, tag: u32) -> Vec<u8> {
    let [a, b, c, d] = source.to_be_bytes();
    [&MacAddr::BROADCAST.0[..], &[0x02, 0xbb, a, b, c, d], &[0x88, 0xb5], &tag.to_be_bytes(), &[0; 50]]
        .concat()
}

#[test]
fn a_member_that_floods_is_held_to_its_share_and_others_keep_theirs() -> Outcome {
    let mut world = mesh(3, 20.0);
    (0..3).for_each(|site| world.config_mut(site).flood_limit = 50);
    let mut world = formed(world)?;
    let hosts = [0, 1, 2].map(|site| world.add_host(site));
    let mut rogue = Rogue::new(&mut world, "rogue", rogues());
    for site in 0..3 {
        assert!(rogue.join(&mut world, site)?);
    }
    let before = status(&world, 1);
    let mut broadcasts = Vec::new();
    for n in 0..2000_u32 {
        world.expect_frame(Segment::DEFAULT, &broadcast(0, n));
        rogue.frame(&mut world, &[1], &broadcast(0, n));
        if n % 200 == 0 {
            broadcasts.push(world.send(hosts[0], To::Everyone, 100));
        }
        rogue.live(&mut world, ms(1))?;
    }
    rogue.live(&mut world, secs(1))?;
    let drops = drops_since(&before, &status(&world, 1));
    // Two seconds of 50 and the burst of one arrive.
    let refused = drops.get(&Counter::FloodLimit).copied().unwrap_or(0);
    assert!(drops.len() == 1 && (1840..=1950).contains(&refused), "{drops:?}");
    assert!(broadcasts.iter().all(|&frame| world.frame(frame).sites() == [1, 2]));
    Ok(())
}

#[test]
fn a_member_that_talks_too_much_is_held_to_its_share_and_others_keep_theirs() -> Outcome {
    let (mut world, hosts, mut rogue) = infiltrated()?;
    let before = status(&world, 1);
    let events = event_counts(&world);
    for _ in 0..5000 {
        for _ in 0..4 {
            rogue.say(&mut world, 1, &Say::RowRequest);
        }
        rogue.live(&mut world, ms(1))?;
    }
    let after = status(&world, 1);
    let drops = drops_since(&before, &after);
    // Of 20 000 in 5 s, 500 in each and the burst of 2000.
    let refused = drops.get(&Counter::ControlLimit).copied().unwrap_or(0);
    assert!(drops.len() == 1 && (15_000..=15_600).contains(&refused), "{drops:?}");
    // A row each 100 ms, and what a mesh at rest sends.
    let sent = after.counters.value(Counter::DatagramsOut) - before.counters.value(Counter::DatagramsOut);
    assert!(sent < 200, "{sent} datagrams");
    assert_eq!(disturbances(&world, rogue.id(), events), 0);
    frames_arrive(&mut world, &mut rogue, hosts)
}

#[test]
fn nothing_is_sent_where_a_member_only_seems_to_be_but_the_question_whether_it_is() -> Outcome {
    let (mut world, hosts, mut rogue) = infiltrated()?;
    let seconds = 10;
    for _ in 0..seconds * 100 {
        for say in [Say::ListRequest, Say::RowRequest, Say::Probe(0), Say::Join] {
            rogue.say_from(&mut world, 0, victim(), &say);
        }
        // What is said at its true address meanwhile is said by nobody.
        world.take_mail(rogue.address());
        world.run_for(ms(10))?;
    }
    let (datagrams, bytes) = world.strays(victim());
    assert!((1..=seconds * 10 / 4 + 1).contains(&datagrams), "{datagrams} datagrams, {bytes} bytes");
    frames_arrive(&mut world, &mut rogue, hosts)
}

#[test]
fn a_member_fills_a_quarter_of_the_fdb_at_most() -> Outcome {
    let mut world = mesh(3, 20.0);
    (0..3).for_each(|site| {
        let config = world.config_mut(site);
        (config.fdb_capacity, config.flood_limit) = (64, 100_000);
    });
    let mut world = formed(world)?;
    let mut rogue = Rogue::new(&mut world, "rogue", rogues());
    for site in 0..3 {
        assert!(rogue.join(&mut world, site)?);
    }
    for source in 0..500 {
        world.expect_frame(Segment::DEFAULT, &broadcast(source, source));
        rogue.frame(&mut world, &[1], &broadcast(source, source));
    }
    rogue.live(&mut world, ms(100))?;
    let of_rogue = status(&world, 1).fdb.iter().filter(|host| host.member == Some(rogue.id())).count();
    assert!((1..=16).contains(&of_rogue), "{of_rogue} hosts");
    assert!(count(&world, 1, Counter::MacQuota) >= 400);
    // Others still find room.
    let hosts = [0, 1, 2].map(|site| world.add_host(site));
    for host in hosts {
        world.send(host, To::Everyone, 60);
    }
    rogue.live(&mut world, secs(1))?;
    let unicast = world.send(hosts[1], To::Host(hosts[2]), 60);
    rogue.live(&mut world, secs(1))?;
    assert_eq!(world.frame(unicast).sites(), [2]);
    Ok(())
}

#[test]
fn who_gets_a_broadcast_cannot_make_another_of_it() -> Outcome {
    let (mut world, _, mut rogue) = infiltrated()?;
    let frames = [1, 2].map(|tag| [&broadcast(0, tag)[..], &[0; 1000]].concat());
    let [first, second] = [0, 1].map(|n| rogue.shared_frame(&world, &[0, 1, 2], &frames[n]));
    let body_at = COMMON + ENTRY;
    let body = body_at..body_at + frames[0].len();
    for site in 0..3 {
        // What was sealed for one with the ciphertext of another, and the tail of one at another member.
        let before = status(&world, site);
        let mut spliced = first[site].clone();
        spliced[body.clone()].copy_from_slice(&second[site][body.clone()]);
        world.inject(site, rogue.address(), spliced);
        let mut passed_on = first[site].clone();
        let end = body.end;
        passed_on[end..].copy_from_slice(&first[next(site)][end..]);
        world.inject(site, rogue.address(), passed_on);
        world.run_for(Duration::ZERO)?;
        let drops = drops_since(&before, &status(&world, site));
        assert_eq!(drops.into_iter().collect::<Vec<_>>(), [(Counter::Tag, 2)]);
    }
    let index = world.expect_frame(Segment::DEFAULT, &frames[0]);
    for (site, datagram) in first.into_iter().enumerate() {
        world.inject(site, rogue.address(), datagram);
    }
    world.run_for(ms(1))?;
    assert_eq!(world.frame(index).sites(), [0, 1, 2]);
    Ok(())
}

#[test]
fn a_member_that_comes_and_goes_disturbs_nobody_else() -> Outcome {
    let (mut world, hosts, mut rogue) = infiltrated()?;
    let events = event_counts(&world);
    let known = of_others(&world, rogue.id());
    for n in 0..300 {
        for site in 0..3 {
            rogue.say(&mut world, site, &Say::Leave);
        }
        rogue.claim("rogue", rogues(), world.now().as_nanos() + n);
        for site in 0..3 {
            rogue.say(&mut world, site, &Say::Join);
        }
        rogue.live(&mut world, ms(100))?;
    }
    assert_eq!(disturbances(&world, rogue.id(), events), 0);
    assert_eq!(of_others(&world, rogue.id()), known);
    assert!((0..3).all(|site| (0..3).all(|other| site == other || lists(&world, site, other))));
    frames_arrive(&mut world, &mut rogue, hosts)
}
