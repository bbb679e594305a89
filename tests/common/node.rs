//! A driver on a thread with a local network of one host, for the tests on sockets of the loopback interface.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use leon::driver::{Driver, Handle, IoCounters, Port, Underlay, clock};
use leon::{Config, Counter, Engine, Event, Keys, NetworkKey, NodeId, SecretKey, Security, Segment};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];

/// A driver on a thread, and the local network at its port.
pub(crate) struct Node {
    pub(crate) engine: Arc<Engine>,
    pub(crate) locator: SocketAddr,
    /// Where its socket is; elsewhere than the locator if somebody is in the middle.
    pub(crate) listens_at: SocketAddr,
    pub(crate) network: UnixDatagram,
    pub(crate) events: Receiver<Event>,
    pub(crate) handle: Handle,
    pub(crate) io: Arc<IoCounters>,
    pub(crate) thread: JoinHandle<std::io::Result<()>>,
}

impl Node {
    /// A node without security on `listen` whose locator has the address of `reached_at`.
    pub(crate) fn start(number: u8, listen: &str, reached_at: &str, seeds: &[SocketAddr]) -> Node {
        let security = Security::None { id: NodeId([number; 32]) };
        let underlay = Underlay::bind(listen.parse().unwrap()).unwrap();
        let locator = SocketAddr::new(reached_at.parse().unwrap(), underlay.local_addr().port());
        Node::on(underlay, locator, security, number, seeds)
    }

    /// A node on an open socket that others reach at `locator`.
    fn on(
        underlay: Underlay,
        locator: SocketAddr,
        security: Security,
        number: u8,
        seeds: &[SocketAddr],
    ) -> Node {
        let listens_at = underlay.local_addr();
        let name = format!("node {number}");
        let mut config = Config::new(name, locator, security, clock::entropy().unwrap());
        config.seeds = seeds.into();
        let engine = Arc::new(Engine::new(config, clock::now()).unwrap());
        let (port, network) = UnixDatagram::pair().unwrap();
        network.set_read_timeout(Some(PATIENCE)).unwrap();
        let port = Port::from_unix_datagram(port, Segment::DEFAULT).unwrap();
        let driver = Driver::new(Arc::clone(&engine), underlay, port).unwrap();
        let (handle, io) = (driver.handle(), driver.io_counters());
        let (sender, events) = mpsc::channel();
        let thread = thread::spawn(move || driver.run(|event| sender.send(event).unwrap_or_default()));
        Node { engine, locator, listens_at, network, events, handle, io, thread }
    }

    /// A node that seals, and lets in whoever holds the network key.
    pub(crate) fn sealed(number: u8, seeds: &[SocketAddr]) -> Node {
        let underlay = Underlay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let locator = underlay.local_addr();
        Node::on(underlay, locator, sealed_as(number), number, seeds)
    }

    /// As [`sealed`](Node::sealed), behind an address at which somebody else receives.
    pub(crate) fn sealed_behind(number: u8, locator: SocketAddr, seeds: &[SocketAddr]) -> Node {
        let underlay = Underlay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Node::on(underlay, locator, sealed_as(number), number, seeds)
    }

    pub(crate) fn on_ipv4(number: u8, seeds: &[SocketAddr]) -> Node {
        Node::start(number, "127.0.0.1:0", "127.0.0.1", seeds)
    }

    /// The value of a counter.
    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.engine.status(clock::now()).counters.value(counter)
    }

    /// Waits for the first event that `wanted` accepts.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("the event comes in time");
            if wanted(&event) {
                return event;
            }
        }
    }

    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut frame = vec![0; 2048];
        let length = self.network.recv(&mut frame).expect("a frame comes in time");
        frame.truncate(length);
        frame
    }
}

fn sealed_as(number: u8) -> Security {
    Security::Sealed(Keys::new(secret_key(number), NetworkKey::from_bytes([9; 32])))
}

pub(crate) fn secret_key(number: u8) -> SecretKey {
    SecretKey::from_bytes([number; 32])
}

/// Waits until each node knows all the others.
pub(crate) fn wait_for_members(nodes: &[&Node]) {
    for node in nodes {
        for _ in 1..nodes.len() {
            node.wait_for(|event| matches!(event, Event::MemberJoined { .. }));
        }
    }
}

/// Lets the nodes leave, one after the other.
pub(crate) fn stop(nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        node.handle.stop();
        node.thread.join().unwrap().unwrap();
    }
}

pub(crate) fn frame(to: [u8; 6], from: [u8; 6], payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &[0x88, 0xb5], payload].concat()
}

pub(crate) const fn host(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, number]
}
