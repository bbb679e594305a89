//! The agent for hosts with virtual machines (examples-c/kvm-agent.c), with VMs of the test's own that speak what
//! hypervisors speak, and with real guests of QEMU:
//!
//! ```text
//!     guest 1           guest 2           guest 2, moved         192.168.77.1, .2
//!       | stream          | dgram           | stream             Unix sockets
//!     kvm-agent         kvm-agent         kvm-agent
//!       | veth            | veth            | veth               10.99.0.1, .2, .3
//!     [host 1]----------[host 2]----------[host 3]               a bridge
//! ```
//!
//! It builds the agent itself, with sanitizers, for which it needs make, a C compiler and its libasan. The guests need
//! root and what `.ci/qemu` gets:
//!
//! ```text
//! cargo test --test kvm                 VMs of the test's own
//! .ci/qemu                              real guests; about a minute
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "this test talks to real processes in real time: it reads the clock and polls with a deadline"
)]

// By path, so that cargo takes none of them for a test of its own.
#[path = "kvm/agent.rs"]
mod agent;
#[path = "common/build.rs"]
mod build;
#[path = "kvm/guest.rs"]
mod guest;
#[allow(dead_code, reason = "the network test needs more of it")]
#[path = "netns/namespace.rs"]
mod namespace;
#[path = "kvm/nic.rs"]
mod nic;

use std::time::Duration;

use agent::{Agent, Mesh};
use namespace::eventually;
use nic::{Nic, frame};

/// How long agents may take to find each other.
const FOUND: Duration = Duration::from_secs(15);
/// What takes no time of the protocol's, on a machine that may be small.
const AT_ONCE: Duration = Duration::from_secs(5);

const BROADCAST: u8 = 0xff;

#[test]
fn vms_of_a_segment_get_each_frame_once_and_others_get_none() {
    let mesh = Mesh::new();
    let [one, two] = ["one", "two"].map(|name| mesh.agent(name, &["--segment=7", "--segment=8"]));
    one.finds("two");
    let mut a = one.add_stream("a", "segment=7");
    let mut b = one.add_stream("b", "segment=7");
    let mut c = two.add_datagram("c", "segment=7");
    let mut other = one.add_stream("other", "segment=8");

    a.send(&frame(BROADCAST, 1, 100));
    assert_eq!(b.receive(), frame(BROADCAST, 1, 100));
    assert_eq!(c.receive(), frame(BROADCAST, 1, 100));
    // What is for a VM of this host does not leave it, and reaches nobody else.
    b.send(&frame(1, 2, 200));
    assert_eq!(a.receive(), frame(1, 2, 200));
    c.send(&frame(1, 3, 300));
    assert_eq!(a.receive(), frame(1, 3, 300));
    a.send(&frame(3, 1, 400));
    assert_eq!(c.receive(), frame(3, 1, 400));
    // A last frame shows that nothing else came: neither one of those nor one's own.
    other.send(&frame(BROADCAST, 9, 60));
    a.send(&frame(BROADCAST, 1, 500));
    for nic in [&mut b, &mut c] {
        assert_eq!(nic.receive(), frame(BROADCAST, 1, 500));
    }
    b.send(&frame(BROADCAST, 2, 600));
    assert_eq!(a.receive(), frame(BROADCAST, 2, 600));
    a.send(&frame(BROADCAST, 1, 60));
    drop(a);
    eventually("the agent sees that the VM is gone", AT_ONCE, || one.lists("a.sock segment 7 absent"));
    assert!(other.is_quiet(), "it is in another segment");
    one.leave();
    two.leave();
}

#[test]
fn an_address_that_appears_at_another_host_is_reached_there() {
    let mesh = Mesh::new();
    let [one, two] = ["one", "two"].map(|name| mesh.agent(name, &[]));
    one.finds("two");
    let mut caller = one.add_stream("caller", "segment=0");
    let mut here = one.add_stream("here", "mac=02:00:00:00:00:05");
    let mut there = two.add_stream("there", "segment=0");

    // The VM with an address of its own is known before it has sent anything.
    caller.send(&frame(5, 1, 100));
    assert_eq!(here.receive(), frame(5, 1, 100));
    there.send(&frame(BROADCAST, 5, 60));
    assert_eq!(caller.receive(), frame(BROADCAST, 5, 60));
    assert_eq!(here.receive(), frame(BROADCAST, 5, 60));
    caller.send(&frame(5, 1, 200));
    assert_eq!(there.receive(), frame(5, 1, 200));
    // And back.
    here.send(&frame(BROADCAST, 5, 70));
    assert_eq!(there.receive(), frame(BROADCAST, 5, 70));
    assert_eq!(caller.receive(), frame(BROADCAST, 5, 70));
    caller.send(&frame(5, 1, 300));
    assert_eq!(here.receive(), frame(5, 1, 300));
    assert!(there.is_quiet(), "it is elsewhere");
    one.leave();
    two.leave();
}

#[test]
fn a_vm_with_an_address_of_its_own_can_use_no_other() {
    let mesh = Mesh::new();
    let agent = mesh.agent("one", &[]);
    let mut honest = agent.add_stream("honest", "segment=0");
    let mut bound = agent.add_stream("bound", "mac=02:00:00:00:00:05");
    bound.send(&frame(BROADCAST, 6, 100));
    bound.send(&frame(BROADCAST, 5, 200));
    assert_eq!(honest.receive(), frame(BROADCAST, 5, 200));
    agent.lists("bound.sock segment 0 connected frames_in 2 drop_source 1").expect("it is counted");
    agent.leave();
}

#[test]
fn a_length_that_no_frame_has_closes_that_connection_alone() {
    let mesh = Mesh::new();
    let agent = mesh.agent("one", &[]);
    let mut a = agent.add_stream("a", "segment=0");
    let mut b = agent.add_stream("b", "segment=0");
    let mut c = agent.add_datagram("c", "segment=0");
    for bad in [0, 13, 65536, u32::MAX] {
        a.send(&frame(BROADCAST, 1, 60));
        a.write(&bad.to_be_bytes());
        a.write(&[0xff; 20]);
        assert!(a.is_closed(), "{bad} is no length");
        for nic in [&mut b, &mut c] {
            assert_eq!(nic.receive(), frame(BROADCAST, 1, 60), "what came before is delivered");
        }
        a = agent.connect("a");
    }
    for bad in [0, 13, 65536] {
        c.send(&vec![0xff; bad]);
    }
    c.send(&frame(BROADCAST, 3, 14));
    for nic in [&mut a, &mut b] {
        assert_eq!(nic.receive(), frame(BROADCAST, 3, 14));
    }
    agent.lists("c.sock segment 0 frames_in 1 frames_out 4 drop_length 3").expect("it is counted");
    agent.leave();
}

#[test]
fn frames_arrive_whole_however_the_stream_is_cut() {
    let mesh = Mesh::new();
    let agent = mesh.agent("one", &[]);
    let mut a = agent.add_stream("a", "segment=0");
    let mut b = agent.add_stream("b", "segment=0");
    let sizes = [14, 15, 60, 1514, 65535, 64, 9000];
    let stream: Vec<u8> = sizes.iter().flat_map(|&len| Nic::framed(&frame(BROADCAST, 1, len))).collect();
    for piece in [1_usize, 3, 7, 4096, stream.len()] {
        // Bytes by the thousand would take long; what matters is where frames begin and end.
        let start = if piece < 10 { 200 } else { stream.len() };
        stream[..start].chunks(piece).for_each(|bytes| a.write(bytes));
        a.write(&stream[start..]);
        for len in sizes {
            assert_eq!(b.receive(), frame(BROADCAST, 1, len), "in pieces of {piece}");
        }
    }
    agent.leave();
}

#[test]
fn a_vm_that_does_not_read_loses_frames_and_nobody_else_does() {
    let mesh = Mesh::new();
    let agent = mesh.agent("one", &[]);
    let mut sender = agent.add_stream("sender", "segment=0");
    let mut slow = agent.add_stream("slow", "segment=0");
    let mut slow_datagram = agent.add_datagram("slow-datagram", "segment=0");
    let mut reader = agent.add_stream("reader", "segment=0");
    for n in 0..2000 {
        let sent = frame(BROADCAST, 1, 1000 + n % 500);
        sender.send(&sent);
        assert_eq!(reader.receive(), sent);
    }
    for path in ["slow.sock segment 0 connected", "slow-datagram.sock segment 0"] {
        let listed = agent.lists(path).expect("it is there");
        let dropped = Agent::counter(&listed, path, "drop_full");
        let delivered = Agent::counter(&listed, path, "frames_out");
        assert!(dropped > 0 && dropped + delivered == 2000, "{listed}");
    }
    // What it did get is whole, and in order; then it takes part again.
    let kept: Vec<Vec<u8>> = slow.drain();
    assert!(!kept.is_empty());
    for got in &kept {
        assert_eq!(*got, frame(BROADCAST, 1, got.len()));
    }
    slow_datagram.drain();
    let again = frame(BROADCAST, 1, 777);
    let mut arrives = || {
        sender.send(&again);
        assert_eq!(reader.receive(), again);
        let got = slow.drain();
        if got.contains(&again) { Ok(()) } else { Err(format!("{} frames", got.len())) }
    };
    eventually("it gets frames again", AT_ONCE, &mut arrives);
    agent.leave();
}

#[test]
fn vms_by_the_hundred_come_and_go() {
    let mesh = Mesh::new();
    let agent = mesh.agent("one", &[]);
    for round in 0..3 {
        let names: Vec<String> = (0..100).map(|n| format!("vm{n}")).collect();
        let mut nics: Vec<Nic> = names.iter().map(|name| agent.add_stream(name, "segment=0")).collect();
        nics[round].send(&frame(BROADCAST, 1, 80));
        for (n, nic) in nics.iter_mut().enumerate().filter(|(n, _)| *n != round) {
            assert_eq!(nic.receive(), frame(BROADCAST, 1, 80), "VM {n}");
        }
        for (name, nic) in names.iter().zip(&mut nics) {
            agent.remove(name);
            assert!(nic.is_closed());
        }
        assert_eq!(agent.command("list"), "");
    }
    agent.leave();
}

#[test]
fn what_is_wrong_with_a_command_is_said() {
    let mesh = Mesh::new();
    let agent = mesh.agent("one", &["--segment=7"]);
    let _vm = agent.add_stream("a", "segment=7");
    let taken = format!("add stream={},segment=7", agent.path("a.sock").display());
    for (command, words) in [
        ("", "is none of add DESCRIPTION"),
        ("add", "stream=PATH or dgram=PATH is missing"),
        ("add stream=/nonexistent/a", "cannot make the socket /nonexistent/a: No such file"),
        ("add stream=a,segment=8", "start the agent with --segment 8"),
        ("add stream=a,segment=16777216", "segment=16777216 is no number"),
        ("add stream=a,mac=01:00:5e:00:00:01", "is no address of one host"),
        ("add stream=a,mac=02:00:00:00:00", "is no address of one host"),
        ("add stream=a,vlan=3", "vlan is none of stream=, dgram="),
        ("add stream=a,peer=b", "peer= goes with dgram= only"),
        ("add dgram=a", "needs peer=PATH"),
        (taken.as_str(), "is in use"),
        ("remove b", "there is no VM with the path b"),
    ] {
        let answer = agent.command(command);
        assert!(answer.starts_with("error: ") && answer.contains(words), "{command}: {answer}");
    }
    let path = agent.path("a.sock");
    agent.leave();
    assert!(!path.exists(), "its sockets are gone");
}

#[test]
fn a_socket_left_behind_by_an_agent_that_was_killed_is_no_obstacle() {
    let mesh = Mesh::new();
    let agent = mesh.agent("one", &[]);
    drop(agent.add_stream("a", "segment=0"));
    drop(agent);
    let agent = mesh.agent("one", &[]);
    let _vm = agent.add_stream("a", "segment=0");
    agent.leave();
}
