//! The test of `examples-c/ovs-agent.c`: two sites, each with a real Open vSwitch of its own, whose VLANs meet in
//! the segments of a mesh.
//!
//! ```text
//!   red      blue                red      blue         hosts: 192.168.77.1 at fujisawa, .2 at seoul
//!    | VLAN 10 | VLAN 20          | VLAN 30 | VLAN 20  access ports
//!    `--- br0 -'                  `--- br0 -'          ovs-vswitchd, userspace datapath
//!          | leon0                      | leon0        trunk port, a TAP device
//!      ovs-agent                    ovs-agent          segments 1010 and 1020
//!     [fujisawa]------- veth -------[seoul]            10.99.0.1 and .2
//! ```
//!
//! Red and blue hosts have the same addresses, which works only if they never hear of each other. Each site and each
//! host is a network namespace. It needs root, `/dev/net/tun`, Open vSwitch, jansson, a C compiler, iproute2, ping
//! and ethtool; `.ci/ovs` installs them and runs it:
//!
//! ```text
//! cargo test --test ovs -- --ignored
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "this test talks to a real kernel in real time: it reads the clock and polls with a deadline"
)]

// By path, so that cargo takes none of them for a test of its own.
#[path = "ovs/agent.rs"]
mod agent;
#[path = "common/build.rs"]
mod build;
#[path = "netns/namespace.rs"]
#[allow(dead_code, reason = "shared with tests/netns.rs, which uses the rest of it")]
mod namespace;
#[path = "ovs/site.rs"]
mod site;
#[path = "ovs/switch.rs"]
mod switch;
#[path = "ovs/traffic.rs"]
mod traffic;

use std::time::Duration;

use namespace::eventually;
use site::{Site, World};
use traffic::{Plug, broadcasts, tcp};

/// How long two agents may take to find each other and to measure their link, on a machine that may be small.
const JOINED: Duration = Duration::from_secs(15);
/// What takes no time of the protocol's.
const AT_ONCE: Duration = Duration::from_secs(5);

const FUJISAWA: &[&str] = &["10=1010", "20=1020"];
const SEOUL: &[&str] = &["30=1010", "20=1020"];

#[test]
#[ignore = "needs root and Open vSwitch"]
fn hosts_reach_those_of_their_segment_whatever_the_vlan_and_no_others() {
    let world = World::joined(FUJISAWA, SEOUL);
    let [fujisawa, seoul] = &world.sites;
    let [red, blue] = [fujisawa.host(10, 1), fujisawa.host(20, 1)];
    let [far_red, far_blue] = [seoul.host(30, 2), seoul.host(20, 2)];
    for (near, far) in [(&red, &far_red), (&blue, &far_blue)] {
        eventually("the hosts of a segment reach each other", JOINED, || near.reaches(far));
        eventually("and back", AT_ONCE, || far.reaches(near));
        // Both far hosts have the address that was pinged.
        assert_eq!(near.neighbour(far), Some(far.mac.clone()));
        assert_eq!(far.neighbour(near), Some(near.mac.clone()));
    }
    broadcasts(&[[&red, &far_red], [&blue, &far_blue]]);
    // Frames of full length, with a tag on top, fit the devices on both sides.
    tcp(&red, &far_red, 1_000_000);
    tcp(&far_blue, &blue, 1_000_000);
}

#[test]
#[ignore = "needs root and Open vSwitch"]
fn the_port_is_on_the_bridge_as_long_as_the_agent_runs() {
    let mut world = World::joined(FUJISAWA, SEOUL);
    let [fujisawa, seoul] = &mut world.sites;
    let show = fujisawa.switch.vsctl("show");
    assert!(show.contains("Port leon0\n            trunks: [10, 20]"), "{show}");
    fujisawa.agent().terminate();
    assert_eq!(fujisawa.end(), Some(0), "that is in order");
    let show = fujisawa.switch.vsctl("show");
    assert!(!show.contains("leon0"), "{show}");
    assert_eq!(fujisawa.switch.vsctl("--columns=name find interface name=leon0"), "");
    let told = || seoul.agent().says(&["fujisawa", "left"]);
    eventually("the other site is told", AT_ONCE, told);

    // Nothing is in the way of the next one, which loses its device.
    fujisawa.start(&[]);
    fujisawa.ns.ip("link del leon0");
    assert_eq!(fujisawa.end(), Some(1), "that is a failure");
    assert_eq!(fujisawa.switch.vsctl("list-ports br0"), "");
}

#[test]
#[ignore = "needs root and Open vSwitch"]
fn frames_without_a_tag_are_a_segment_that_no_tag_of_a_host_leads_out_of() {
    let world = World::joined(&["40=1040", "20=1020"], &["0=1040", "20=1020"]);
    let [fujisawa, seoul] = &world.sites;
    // The tags of a host pass this port inside that of VLAN 40.
    let tunnel = "tag=40 vlan_mode=dot1q-tunnel other_config:qinq-ethtype=802.1q";
    let [tunnel, blue] = [Plug::new(fujisawa, 1, tunnel), Plug::new(fujisawa, 2, "tag=20 vlan_mode=access")];
    let access = ["tag=0 vlan_mode=access", "tag=20 vlan_mode=access"];
    let [untagged, far_blue] = [Plug::new(seoul, 3, access[0]), Plug::new(seoul, 4, access[1])];
    for (near, far) in [(&tunnel, &untagged), (&blue, &far_blue)] {
        eventually("a segment is one network", JOINED, || near.reaches(far));
        eventually("both ways", AT_ONCE, || far.reaches(near));
    }

    tunnel.send(&[0x81, 0x00, 0, 20], "behind a tag of IEEE 802.1Q");
    tunnel.send(&[0x88, 0xa8, 0, 20], "behind a tag of IEEE 802.1ad");
    let dropped = || seoul.agent().reports("drop_frame_hidden_vlan 2");
    eventually("the far agent drops what would end up in VLAN 20", AT_ONCE, dropped);
    blue.send(&[], "what is sent later");
    let mut texts = Vec::new();
    let arrives = || {
        texts.extend(far_blue.texts());
        if texts.iter().any(|text| text == "what is sent later") { Ok(()) } else { Err(format!("{texts:?}")) }
    };
    eventually("what is sent later arrives", AT_ONCE, arrives);
    assert!(!texts.iter().any(|text| text.contains("behind")), "{texts:?}");
}

#[test]
#[ignore = "needs root and Open vSwitch"]
fn what_is_wrong_is_told_in_one_sentence_and_leaves_nothing_behind() {
    let mut site = Site::new("fujisawa", 1, FUJISAWA);
    for (arguments, code, words) in [
        (&["--bridge", "br9"][..], 1, &["no bridge br9", "ovs-vsctl add-br"][..]),
        (&["--db", "/nonexistent/db.sock"], 1, &["/nonexistent/db.sock", "No such file", "ovsdb-server"]),
        (&["--port", "to-nowhere-at-all"], 1, &["to-nowhere-at-all", "15 bytes"]),
        (&["--port", "lo"], 1, &["network device lo already"]),
        (&["--vlan", "4095=1"], 2, &["4095=1", "4094"]),
        (&["--vlan", "10=2000"], 2, &["10=2000", "10=1010", "in common"]),
        (&["--vlan", "11=1010"], 2, &["11=1010", "10=1010", "in common"]),
        (&["--vlan", "eleven"], 2, &["eleven", "10=1010"]),
        (&["--segment", "7"], 2, &["--vlan"]),
    ] {
        site.refuses(arguments, code, words);
    }

    // As an agent leaves it that is killed: the device is gone, the port is not.
    site.switch.vsctl("add-port br0 leon0");
    site.refuses(&[], 1, &["port leon0 already", "ovs-vsctl del-port leon0"]);
    site.switch.vsctl("del-port leon0");

    site.switch.stop_vswitchd();
    site.refuses(&[], 1, &["ovs-vswitchd has not taken the port leon0", "whether it runs"]);
    assert_eq!(site.switch.vsctl("--no-wait list-ports br0"), "");
    site.switch.stop_database();
    site.refuses(&[], 1, &["cannot reach the Open vSwitch database", "start ovsdb-server"]);
}
