//! The driver on real sockets of the loopback interface, with Unix datagram sockets in place of TAP devices:
//! no privileges needed.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/node.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod node;

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use leon::driver::{Driver, Port, Underlay, clock};
use leon::{Config, ConfigError, Engine, Event, MemberState, NodeId, PathCause, Policy, Security, Segment};

use node::{BROADCAST, Node, frame, host, secret_key, stop, wait_for_members};

#[test]
fn three_drivers_exchange_frames_between_their_local_networks() {
    let a = Node::on_ipv4(1, &[]);
    let b = Node::on_ipv4(2, &[a.locator]);
    let c = Node::on_ipv4(3, &[a.locator]);
    wait_for_members(&[&a, &b, &c]);

    let question = frame(BROADCAST, host(1), b"who is there?");
    a.network.send(&question).unwrap();
    assert_eq!(b.receive(), question);
    assert_eq!(c.receive(), question);
    let answer = frame(host(1), host(2), &[7; 1300]);
    b.network.send(&answer).unwrap();
    assert_eq!(a.receive(), answer);
    c.network.set_nonblocking(true).unwrap();
    assert!(c.network.recv(&mut [0; 2048]).is_err(), "unicast to a known host goes to one site");

    assert_eq!(a.io.iter().map(|(_, value)| value).sum::<u64>(), 0);
    stop([a, b, c]);
}

#[test]
fn frames_keep_their_order_in_a_burst() {
    let a = Node::on_ipv4(1, &[]);
    let b = Node::on_ipv4(2, &[a.locator]);
    wait_for_members(&[&a, &b]);
    for number in 0..=255u8 {
        let sent = frame(BROADCAST, host(1), &[number; 1000]);
        a.network.send(&sent).unwrap();
        // No more on the way than the queue of a Unix datagram socket holds.
        if number % 4 == 3 {
            (number - 3..=number).for_each(|number| assert_eq!(b.receive()[14], number));
        }
    }
    stop([a, b]);
}

#[test]
fn ipv6_carries_frames_and_a_dual_stack_socket_speaks_to_both() {
    let v6 = Node::start(1, "[::1]:0", "::1", &[]);
    let dual = Node::start(2, "[::]:0", "::1", &[v6.locator]);
    wait_for_members(&[&v6, &dual]);
    let sent = frame(BROADCAST, host(1), b"over IPv6");
    v6.network.send(&sent).unwrap();
    assert_eq!(dual.receive(), sent);
    stop([v6, dual]);

    let v4 = Node::on_ipv4(3, &[]);
    let dual = Node::start(4, "[::]:0", "127.0.0.1", &[v4.locator]);
    wait_for_members(&[&v4, &dual]);
    let sent = frame(BROADCAST, host(4), b"over IPv4");
    dual.network.send(&sent).unwrap();
    assert_eq!(v4.receive(), sent);
    let counters = v4.engine.status(clock::now()).counters;
    assert!(counters.iter().all(|(counter, value)| value == 0 || !counter.name().starts_with("drop_")));
    stop([v4, dual]);
}

#[test]
fn stop_leaves_the_mesh_before_run_returns() {
    let a = Node::on_ipv4(1, &[]);
    let b = Node::on_ipv4(2, &[a.locator]);
    wait_for_members(&[&a, &b]);
    stop([b]);
    let left = a.wait_for(|event| matches!(event, Event::MemberLeft { .. } | Event::MemberFailed { .. }));
    assert!(matches!(left, Event::MemberLeft { ref name, .. } if name == "node 2"), "{left:?}");
    let members = a.engine.status(clock::now()).members;
    assert!(members.iter().all(|member| member.state == MemberState::Left));
    stop([a]);
}

#[test]
fn a_driver_that_is_stopped_before_it_runs_returns_at_once() {
    let underlay = Underlay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let security = Security::None { id: NodeId([1; 32]) };
    let config = Config::new("alone", underlay.local_addr(), security, clock::entropy().unwrap());
    let engine = Arc::new(Engine::new(config, clock::now()).unwrap());
    let (port, _network) = UnixDatagram::pair().unwrap();
    let port = Port::from_unix_datagram(port, Segment::DEFAULT).unwrap();
    let driver = Driver::new(engine, underlay, port).unwrap();
    driver.handle().stop();
    driver.run(|_| {}).unwrap();
}

#[test]
fn a_running_driver_takes_a_new_allow_list() {
    let a = Node::sealed(1, &[]);
    let b = Node::sealed(2, &[a.locator]);
    let c = Node::sealed(3, &[a.locator]);
    wait_for_members(&[&a, &b, &c]);
    let id = |number| secret_key(number).node_id();

    a.handle.set_allowed(Some([id(1), id(2)].into()));
    let removed =
        a.wait_for(|event| matches!(event, Event::MemberRemoved { .. } | Event::MemberFailed { .. }));
    assert_eq!(removed, Event::MemberRemoved { id: id(3), name: "node 3".to_owned() });
    let sent = frame(BROADCAST, host(3), b"to b alone");
    c.network.send(&sent).unwrap();
    assert_eq!(b.receive(), sent);
    let answer = frame(BROADCAST, host(2), b"to both");
    b.network.send(&answer).unwrap();
    assert_eq!((a.receive(), c.receive()), (answer.clone(), answer));

    a.handle.set_allowed(None);
    let back = a.wait_for(|event| matches!(event, Event::MemberJoined { .. }));
    assert!(matches!(back, Event::MemberJoined { id: joined, .. } if joined == id(3)), "{back:?}");
    stop([a, b, c]);
}

#[test]
fn a_running_driver_takes_a_new_policy_and_refuses_a_wrong_one() {
    let a = Node::on_ipv4(1, &[]);
    let b = Node::on_ipv4(2, &[a.locator]);
    let c = Node::on_ipv4(3, &[a.locator]);
    wait_for_members(&[&a, &b, &c]);
    let [to, relay] = [2, 3].map(|number| NodeId([number; 32]));
    let pinned = |relays: &[NodeId]| Policy { pins: [(to, relays.to_vec())].into(), ..Policy::default() };

    assert_eq!(a.handle.set_policy(pinned(&[to])), Err(ConfigError::Pin));
    assert_eq!(a.handle.set_policy(pinned(&[relay])), Ok(()));
    let path = vec![relay, to];
    let change = Event::PathChanged { to, path, cause: PathCause::Pinned };
    a.wait_for(|event| *event == change);
    stop([a, b, c]);
}

#[test]
fn a_taken_port_is_named_in_the_error() {
    let taken = Underlay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = Underlay::bind(taken.local_addr()).unwrap_err().to_string();
    assert!(error.contains(&format!("another process listens on UDP {}", taken.local_addr())), "{error}");
}
