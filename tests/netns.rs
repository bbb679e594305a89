//! The network test: real kernels' ARP, ping and TCP across three sites that run the real daemon.
//!
//! ```text
//!     host1                  host2                  host3           192.168.77.1, .2, .3
//!       | veth                 | veth                 | veth
//!      br0                    br0                    br0
//!       | TAP leon0            | TAP leon0            | TAP leon0
//!     leond                  leond                  leond
//!       | TUN wan0             | TUN wan0             | TUN wan0    10.99.0.1, .2, .3; fd99::1, ::2, ::3
//!   [fujisawa]---- 4 ms ----[inagi]---- 17 ms -----[seoul]
//!       `------------------- 32 ms -------------------'             emulated by wan.rs
//! ```
//!
//! Each site and each host is a network namespace. The sites have keys from `leond keygen`. The round trip times
//! are the paper's (Fig. 2). It needs root, `/dev/net/tun`, iproute2, ping from iputils and libuv, takes about a
//! minute, and builds `leond` itself:
//!
//! ```text
//! cargo test --test netns -- --ignored                 all of it
//! cargo test --test netns -- --ignored --nocapture     with the times that things took
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "this test talks to a real kernel in real time: it reads the clock and polls with a deadline"
)]

// By path, so that cargo takes none of them for a test of its own.
#[path = "netns/admission.rs"]
mod admission;
#[path = "common/build.rs"]
mod build;
#[path = "netns/c_agent.rs"]
mod c_agent;
#[path = "netns/daemon.rs"]
mod daemon;
#[path = "netns/host.rs"]
mod host;
#[path = "netns/namespace.rs"]
mod namespace;
#[path = "netns/nat.rs"]
mod nat;
#[path = "netns/site.rs"]
mod site;
#[path = "netns/transfer.rs"]
mod transfer;
#[path = "netns/wan.rs"]
mod wan;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use daemon::Member;
use host::Host;
use namespace::{Namespace, PING_INTERVAL, eventually};
use site::{FUJISAWA, INAGI, PORT, SEOUL, World, turn};
use wan::{Wan, v4, v6};

/// How long the mesh may take to measure its links and to settle on paths: new links start pessimistic.
const SETTLED: Duration = Duration::from_secs(30);
/// §4.1 drops a node that misses several pings.
const FAILED: Duration = Duration::from_secs(5);
/// A site whose address changed is heard at the next pings that it sends, which are half a second apart.
const ROAMED: Duration = Duration::from_secs(2);
/// What takes no time of the protocol's, on a machine that may be small.
const AT_ONCE: Duration = Duration::from_secs(2);
/// What a daemon takes to start and to join; a ping that gets no answer meanwhile waits for a second.
const RESTARTED: Duration = Duration::from_secs(2);

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn the_emulated_wan_has_the_delays_that_were_set() {
    let _turn = turn();
    let sites = ["fujisawa", "inagi", "seoul"].map(Namespace::new);
    let wan = Wan::new(&sites.each_ref());
    for (a, b, ms) in [(FUJISAWA, SEOUL, 32.0), (FUJISAWA, INAGI, 4.0), (INAGI, SEOUL, 17.0)] {
        wan.set_rtt(a, b, ms);
        for to in [v4(b), v6(b)] {
            let ping = sites[a].ping(to, 5);
            assert_eq!(ping.received, ping.sent, "{ping:?}");
            assert!((ms..ms + 1.0).contains(&ping.min_ms), "{ms} ms were set: {ping:?}");
            assert!(ping.avg_ms < ms + 5.0, "{ms} ms were set: {ping:?}");
        }
    }

    wan.cut(SEOUL, FUJISAWA);
    assert_eq!(sites[FUJISAWA].ping(v4(SEOUL), 3).received, 0, "the direction of the answers is cut");
    assert_eq!(sites[INAGI].ping(v4(SEOUL), 3).received, 3, "other pairs are not");
    wan.mend(SEOUL, FUJISAWA);
    assert_eq!(sites[FUJISAWA].ping(v4(SEOUL), 3).received, 3);

    wan.set_loss(FUJISAWA, INAGI, 0.5);
    let lossy = sites[FUJISAWA].ping(v4(INAGI), 40);
    assert!((8..=32).contains(&lossy.received), "half were to be lost: {lossy:?}");
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn hosts_resolve_and_ping_each_other_along_the_relayed_path() {
    let world = World::joined();
    let [fujisawa, inagi, seoul] = &world.sites;
    settle_on_the_relay(&world);
    let pays = || match fujisawa.takes(&["inagi", "seoul"])? {
        Member { path_ms: Some(path), direct_ms: Some(direct), .. }
            if path >= 21.0 && direct >= 32.0 && path < direct =>
        {
            Ok(())
        }
        other => Err(format!("{other:?}")),
    };
    eventually("relaying is known to pay", SETTLED, pays);

    let ping = fujisawa.host.ping(&seoul.host, 20);
    eprintln!("fujisawa to seoul: {ping:?}");
    assert_eq!(ping.received, ping.sent, "{ping:?}");
    assert!((21.0..26.0).contains(&ping.min_ms), "4 and 17 ms via Inagi: {ping:?}");
    assert!(ping.avg_ms < 32.0, "relaying pays: {ping:?}");
    assert_eq!(fujisawa.host.neighbour(&seoul.host), Some(seoul.host.mac.clone()));

    let ping = inagi.host.ping(&seoul.host, 5);
    assert_eq!(ping.received, ping.sent, "{ping:?}");
    assert!((17.0..21.0).contains(&ping.min_ms), "the short way stays direct: {ping:?}");
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_tcp_transfer_arrives_whole() {
    let world = World::joined();
    let [fujisawa, _, seoul] = &world.sites;
    transfer::tcp(&fujisawa.host, &seoul.host, 20_000_000);
    transfer::tcp(&seoul.host, &fujisawa.host, 1_000_000);
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_broadcast_reaches_every_other_site_once() {
    let world = World::joined();
    let [fujisawa, inagi, seoul] = &world.sites;
    transfer::broadcast(&fujisawa.host, &[&inagi.host, &seoul.host]);
    transfer::broadcast(&seoul.host, &[&inagi.host, &fujisawa.host]);
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_host_that_moves_to_another_site_is_reached_after_its_first_frame() {
    let world = World::joined();
    let [fujisawa, inagi, seoul] = &world.sites;
    // The hosts of the sites stay, so that somebody at each site looks for the one that moves.
    let mover = Host::new(100);
    fujisawa.plug_in(&mover);
    assert_eq!(seoul.host.ping(&mover, 2).received, 2);
    assert_eq!(inagi.host.ping(&mover, 2).received, 2);
    assert_eq!(fujisawa.host.ping(&mover, 2).received, 2);

    mover.unplug();
    assert_eq!(seoul.host.ping(&mover, 1).received, 0, "it is unplugged");
    inagi.plug_in(&mover);
    // Its first frame is the broadcast of its ARP request.
    assert_eq!(mover.ping(&seoul.host, 1).received, 1);
    for host in [&seoul.host, &inagi.host, &fujisawa.host] {
        assert_eq!(host.ping(&mover, 2).received, 2, "{}", host.address);
    }
    let behind_inagi =
        |entry: &daemon::FdbEntry| entry.mac == mover.mac && entry.member.as_deref() == Some("inagi");
    for site in [fujisawa, seoul] {
        let status = site.status().expect("it runs");
        assert!(status.fdb.iter().any(behind_inagi), "{}: {:?}", site.name, status.fdb);
    }
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_site_that_leaves_is_dropped_at_once() {
    let mut world = World::joined();
    settle_on_the_relay(&world);
    let start = Instant::now();
    assert_eq!(world.sites[INAGI].leave(), Some(0));
    let [fujisawa, _, seoul] = &world.sites;
    let within = Duration::from_secs(2).saturating_sub(start.elapsed());
    eventually("the leaver is dropped", within, || {
        fujisawa.lacks("inagi").and_then(|()| seoul.lacks("inagi"))
    });
    let ping = fujisawa.host.ping(&seoul.host, 5);
    assert_eq!(ping.received, 5, "the others go on without it: {ping:?}");
    assert!(ping.min_ms >= 32.0, "the direct way is left: {ping:?}");
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_relay_that_dies_is_dropped_and_the_direct_path_takes_over() {
    let mut world = World::joined();
    settle_on_the_relay(&world);
    world.sites[INAGI].kill();
    let start = Instant::now();
    let [fujisawa, _, seoul] = &world.sites;
    let (ping, _) = eventually("ping resumes", FAILED, || fujisawa.host.reaches(&seoul.host));
    assert!(ping.min_ms >= 32.0, "the direct way is left: {ping:?}");
    let within = FAILED.saturating_sub(start.elapsed());
    eventually("the dead relay is dropped", within, || {
        fujisawa.lacks("inagi").and_then(|()| seoul.lacks("inagi"))
    });
    let ping = fujisawa.host.ping(&seoul.host, 5);
    assert_eq!(ping.received, 5, "{ping:?}");
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_cut_between_two_sites_is_routed_around_and_neither_is_dropped() {
    let mut world = World::new(v4);
    // The direct path is the best one until it is cut.
    world.wan.set_rtt(FUJISAWA, SEOUL, 10.0);
    world.join(&[(FUJISAWA, &[]), (INAGI, &[FUJISAWA]), (SEOUL, &[FUJISAWA])]);
    let [fujisawa, _, seoul] = &world.sites;
    let direct = || fujisawa.takes(&["seoul"]).and_then(|_| seoul.takes(&["fujisawa"]));
    eventually("the direct path is measured", SETTLED, || match direct()?.path_ms {
        Some(ms) if ms < 17.0 => Ok(()),
        other => Err(format!("{other:?} ms")),
    });

    world.wan.cut(FUJISAWA, SEOUL);
    world.wan.cut(SEOUL, FUJISAWA);
    let around = || fujisawa.takes(&["inagi", "seoul"]).and_then(|_| seoul.takes(&["inagi", "fujisawa"]));
    eventually("the cut is routed around", FAILED, around);
    let ping = fujisawa.host.ping(&seoul.host, 100);
    assert_eq!(ping.received, ping.sent, "{ping:?}");
    assert!(ping.min_ms >= 21.0, "4 and 17 ms via Inagi: {ping:?}");
    // The pings took longer than it takes to drop a node that nobody reaches.
    around().expect("a dead link is not a dead node");

    world.wan.mend(FUJISAWA, SEOUL);
    world.wan.mend(SEOUL, FUJISAWA);
    eventually("the mended link is used again", 2 * SETTLED, direct);
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_site_whose_address_changes_under_it_is_reached_again_within_two_seconds() {
    let seen = |host, port| SocketAddrV4::new(Ipv4Addr::new(10, 99, 0, host), port);
    let mut world = World::new(v4);
    world.wan.translate(SEOUL, PORT, seen(100, 40_000));
    world.join(&[(FUJISAWA, &[]), (INAGI, &[FUJISAWA]), (SEOUL, &[FUJISAWA])]);
    settle_on_the_relay(&world);
    let [fujisawa, inagi, seoul] = &world.sites;
    for from in [fujisawa, inagi] {
        assert_eq!(from.host.ping(&seoul.host, 2).received, 2, "{}", from.name);
    }

    // Seoul does not know of the change, and is heard only because it measures its links.
    let mut lost = 0;
    for (from, now_seen) in [(fujisawa, seen(100, 40_001)), (inagi, seen(200, 40_001))] {
        world.wan.translate(SEOUL, PORT, now_seen);
        let ping = from.host.ping(&seoul.host, 40);
        lost += ping.sent - ping.received;
        let silence = PING_INTERVAL * (ping.sent - ping.received);
        eprintln!("{} to seoul, which is at {now_seen} now: silence for {silence:?}", from.name);
        assert!(silence < ROAMED, "{ping:?}");
    }
    assert!(lost > 0, "nobody was told where Seoul is now");
    // Frames went unanswered meanwhile, so the path was left; that is held against it for ten seconds.
    settle_on_the_relay(&world);
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_site_that_is_killed_and_starts_again_with_its_key_is_reached_at_once() {
    let mut world = World::joined();
    assert_eq!(world.sites[FUJISAWA].host.ping(&world.sites[SEOUL].host, 1).received, 1);
    world.sites[SEOUL].kill();
    world.start(SEOUL, &[FUJISAWA]);
    let [fujisawa, inagi, seoul] = &world.sites;
    for from in [fujisawa, inagi] {
        let reaches = || from.host.reaches(&seoul.host);
        eventually(&format!("{} reaches seoul again", from.name), RESTARTED, reaches);
    }
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn sites_that_start_at_the_same_moment_find_each_other() {
    let mut world = World::new(v4);
    world.join(&[(FUJISAWA, &[INAGI]), (INAGI, &[FUJISAWA]), (SEOUL, &[INAGI])]);
    let [fujisawa, inagi, seoul] = &world.sites;
    for (from, to) in [(fujisawa, inagi), (inagi, seoul), (seoul, fujisawa)] {
        assert_eq!(from.host.ping(&to.host, 2).received, 2, "{} to {}", from.name, to.name);
    }
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn the_underlay_may_be_ipv6() {
    let world = World::joined_over_ipv6();
    settle_on_the_relay(&world);
    let [fujisawa, _, seoul] = &world.sites;
    let ping = fujisawa.host.ping(&seoul.host, 10);
    assert_eq!(ping.received, ping.sent, "{ping:?}");
    assert!((21.0..26.0).contains(&ping.min_ms), "4 and 17 ms via Inagi: {ping:?}");
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_policy_counts_when_it_is_read_again_and_a_wrong_one_changes_nothing() {
    let mut world = World::new(v4);
    world.write_config(FUJISAWA, "");
    world.join(&[(FUJISAWA, &[]), (INAGI, &[FUJISAWA]), (SEOUL, &[FUJISAWA])]);
    settle_on_the_relay(&world);
    let relay = world.sites[INAGI].public_key.clone();
    let read_again = |world: &mut World, text: &str, words: &[&str]| {
        world.write_config(FUJISAWA, text);
        world.sites[FUJISAWA].hang_up();
        eventually(&format!("the log has {words:?}"), AT_ONCE, || world.sites[FUJISAWA].says(words));
    };

    let avoid = format!("[policy]\navoid = ['{relay}']\n");
    read_again(&mut world, &avoid, &["the policy has changed", "avoided relays and links 1"]);
    eventually("the relay is avoided", AT_ONCE, || world.sites[FUJISAWA].takes(&["seoul"]));
    let [fujisawa, _, seoul] = &world.sites;
    seoul.takes(&["inagi", "fujisawa"]).expect("others know nothing of it");
    let ping = fujisawa.host.ping(&seoul.host, 5);
    assert_eq!(ping.received, ping.sent, "{ping:?}");

    let wrong = format!("[policy]\navoid = ['{relay} and more']\n");
    read_again(&mut world, &wrong, &["the allow list and the policy stay as they were", "line 4"]);
    world.sites[FUJISAWA].takes(&["seoul"]).expect("the former policy holds");
    read_again(&mut world, &avoid, &["the policy has not changed"]);
    read_again(&mut world, "", &["the policy has changed", "avoided relays and links 0"]);
    settle_on_the_relay(&world);

    world.unseal(FUJISAWA);
    read_again(&mut world, &avoid, &["stay as they were", "`security` has changed"]);
    world.sites[FUJISAWA].takes(&["inagi", "seoul"]).expect("nothing changes at all");
}

#[test]
#[ignore = "needs root: creates network namespaces, TAPs and bridges"]
fn a_site_without_security_reads_its_policy_again_too() {
    let mut world = World::new(v4);
    let relay = world.sites[INAGI].public_key.clone();
    world.unseal(FUJISAWA);
    world.write_config(FUJISAWA, "");
    world.start(FUJISAWA, &[]);
    let runs = || world.sites[FUJISAWA].says(&["the identity of this node"]);
    eventually("it runs", AT_ONCE, runs);
    world.write_config(FUJISAWA, &format!("[policy]\nprices_us = ['{relay} 500']\n"));
    world.sites[FUJISAWA].hang_up();
    let changed = || world.sites[FUJISAWA].says(&["the policy has changed", "prices 1"]);
    eventually("the log says so", AT_ONCE, changed);
}

/// Waits until both ends of the long way send via Inagi.
fn settle_on_the_relay(world: &World) {
    let [fujisawa, _, seoul] = &world.sites;
    let relayed = || {
        seoul.takes(&["inagi", "fujisawa"])?;
        fujisawa.takes(&["inagi", "seoul"])
    };
    eventually("both ends relay via inagi", SETTLED, relayed);
}
