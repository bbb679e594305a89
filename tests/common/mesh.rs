//! A few engines in memory, joined and with their paths chosen, for benches and for counting allocations:
//! one engine at a time is then fed by hand.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use leon::{
    Config, Datagram, DatagramIn, Engine, Event, Forwarder, Frame, FrameIn, Keys, NetworkKey, SecretKey,
    Security, Segment, Sink, Time,
};

/// Keeps datagrams and counts frames.
#[derive(Default)]
pub(crate) struct Collector {
    /// Destination and payload of each datagram.
    pub(crate) datagrams: Vec<(SocketAddr, Vec<u8>)>,
    /// Frames delivered.
    pub(crate) frames: usize,
}

impl Sink for Collector {
    fn datagram(&mut self, datagram: Datagram<'_>) {
        let mut bytes = Vec::with_capacity(datagram.len());
        datagram.append_to(&mut bytes);
        self.datagrams.push((datagram.to, bytes));
    }

    fn frame(&mut self, _: Frame<'_>) {
        self.frames += 1;
    }

    fn event(&mut self, _: Event) {}

    fn deadline(&mut self, _: Time) {}
}

/// Counts what is put out and keeps nothing, as cheap as a sink can be.
#[derive(Default)]
pub(crate) struct Counting {
    /// Bytes of all datagrams and frames.
    pub(crate) bytes: usize,
}

impl Sink for Counting {
    fn datagram(&mut self, datagram: Datagram<'_>) {
        self.bytes += datagram.len();
    }

    fn frame(&mut self, frame: Frame<'_>) {
        self.bytes += frame.bytes.len();
    }

    fn event(&mut self, _: Event) {}

    fn deadline(&mut self, _: Time) {}
}

/// Engines 0, 1, 2, ... with the round-trip times of the paper's triangle between the first three, so that
/// frames from 0 to 2 go through 1, and of 100 ms between all others.
pub(crate) struct Mesh {
    /// The engines.
    pub(crate) engines: Vec<Engine>,
    /// One forwarder of each.
    pub(crate) forwarders: Vec<Forwarder>,
    /// The present instant.
    pub(crate) now: Time,
    in_flight: VecDeque<(Time, usize, usize, Vec<u8>)>,
}

impl Mesh {
    /// `count` engines that have measured each other.
    pub(crate) fn new(count: usize) -> Self {
        let engines: Vec<Engine> = (0..count)
            .map(|node| {
                let (secret, network) = ([node as u8 + 1; 32], [0x6b; 32]);
                let keys = Keys::new(SecretKey::from_bytes(secret), NetworkKey::from_bytes(network));
                let security = Security::Sealed(keys);
                let mut config =
                    Config::new(format!("site{node}"), locator(node), security, [node as u8; 32]);
                config.seeds = vec![locator(0)];
                // Time stands still while a benchmark measures.
                (config.relay_limit, config.flood_limit) = (1_000_000_000, 1_000_000_000);
                Engine::new(config, Time::ZERO).expect("a valid configuration")
            })
            .collect();
        let forwarders = engines.iter().map(Engine::forwarder).collect();
        let mut mesh = Mesh { engines, forwarders, now: Time::ZERO, in_flight: VecDeque::new() };
        for node in 0..count {
            mesh.act(node, |engine, _, now, sink| engine.join(now, sink));
        }
        mesh.run(Duration::from_secs(5));
        mesh
    }

    /// Lets virtual time pass.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let arrival = self.in_flight.iter().map(|(at, ..)| *at).min().unwrap_or(Time::NEVER);
            let due = self.engines.iter().map(Engine::deadline).min().unwrap_or(Time::NEVER);
            let next = arrival.min(due);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if arrival <= due {
                let at = self.in_flight.iter().position(|(at, ..)| *at == arrival).expect("it is in flight");
                let (_, from, to, mut bytes) = self.in_flight.remove(at).expect("it is in flight");
                self.act(to, |_, forwarder, now, sink| {
                    let from = locator(from);
                    forwarder.datagram_in(
                        now,
                        DatagramIn { from, received_at: now, bytes: &mut bytes },
                        sink,
                    );
                });
            } else {
                let node =
                    self.engines.iter().position(|engine| engine.deadline() == due).expect("it is due");
                self.act(node, |engine, _, now, sink| engine.timer(now, sink));
            }
        }
        self.now = end;
    }

    /// What `from` puts out for a frame.
    pub(crate) fn send(&mut self, from: usize, frame: &mut [u8]) -> Collector {
        let mut sink = Collector::default();
        let frame = FrameIn { segment: Segment::DEFAULT, bytes: frame };
        self.forwarders[from].frame_in(self.now, frame, &mut sink);
        sink
    }

    /// Hands a datagram from one node to another.
    pub(crate) fn hand(&mut self, from: usize, to: usize, bytes: &[u8]) -> Collector {
        let mut sink = Collector::default();
        let datagram = DatagramIn { from: locator(from), received_at: self.now, bytes: &mut bytes.to_vec() };
        self.forwarders[to].datagram_in(self.now, datagram, &mut sink);
        sink
    }

    /// Makes `at` know that the host `mac` sits behind `behind`, by a broadcast from it.
    pub(crate) fn introduce(&mut self, mac: [u8; 6], behind: usize, at: usize) {
        let sent = self.send(behind, &mut frame([0xff; 6], mac, 60));
        for (to, bytes) in sent.datagrams {
            let first = node_at(to);
            let relayed = self.hand(behind, first, &bytes);
            for (to, bytes) in relayed.datagrams {
                self.hand(first, node_at(to), &bytes);
            }
        }
        let known = self.engines[at].status(self.now).fdb.iter().any(|host| host.mac.0 == mac);
        assert!(known, "the host is known at the other end");
    }

    fn act(&mut self, node: usize, act: impl FnOnce(&Engine, &mut Forwarder, Time, &mut Collector)) {
        let mut sink = Collector::default();
        act(&self.engines[node], &mut self.forwarders[node], self.now, &mut sink);
        for (to, bytes) in sink.datagrams {
            let to = node_at(to);
            self.in_flight.push_back((self.now + delay(node, to), node, to, bytes));
        }
    }
}

/// The locator of a node.
pub(crate) fn locator(node: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, node as u8 + 1], 4789))
}

fn node_at(locator: SocketAddr) -> usize {
    match locator {
        SocketAddr::V4(v4) => usize::from(v4.ip().octets()[3]) - 1,
        SocketAddr::V6(_) => panic!("no node has an IPv6 locator here"),
    }
}

fn delay(a: usize, b: usize) -> Duration {
    let rtt_ms = match (a.min(b), a.max(b)) {
        (0, 1) => 4,
        (1, 2) => 17,
        (0, 2) => 32,
        _ => 100,
    };
    Duration::from_micros(rtt_ms * 500)
}

/// An Ethernet frame of `len` bytes.
pub(crate) fn frame(destination: [u8; 6], source: [u8; 6], len: usize) -> Vec<u8> {
    let mut frame = vec![0; len];
    frame[..6].copy_from_slice(&destination);
    frame[6..12].copy_from_slice(&source);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame
}
