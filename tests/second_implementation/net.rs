//! One engine and some peers in memory. A datagram takes a millisecond.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use leon::{
    Cipher, Config, Counter, Datagram, DatagramIn, Engine, Event, Forwarder, Frame, FrameIn, Keys,
    NetworkKey, NodeId, SecretKey, Security, Segment, Sink, Time,
};

use crate::control::Message;
use crate::exchange::{AES, CHACHA, Identity};
use crate::header::{Prefix, prefix};
use crate::peer::Peer;

pub(crate) const ENGINE: SocketAddr = address(1);
const NETWORK: [u8; 32] = [0x4e; 32];
const ENGINE_SECRET: [u8; 32] = [0xe0; 32];

const fn address(n: u8) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, n)), 4789)
}

/// Locators of peers 0, 1, ...; those of odd ones are IPv6.
pub(crate) fn locator(peer: usize) -> SocketAddr {
    if peer.is_multiple_of(2) {
        address(10 + peer as u8)
    } else {
        format!("[2001:db8::{peer}]:4790").parse().unwrap()
    }
}

/// Security and ciphers of a net.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Aes,
    ChaCha,
    /// The engine prefers AES-256-GCM, the peers do not.
    Mixed,
    None,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Aes, Kind::ChaCha, Kind::Mixed, Kind::None];

#[derive(Default)]
struct Outputs {
    datagrams: Vec<(SocketAddr, Vec<u8>)>,
    frames: Vec<Vec<u8>>,
    events: Vec<Event>,
}

impl Sink for Outputs {
    fn datagram(&mut self, datagram: Datagram<'_>) {
        self.datagrams.push((datagram.to, datagram.parts.concat()));
    }

    fn frame(&mut self, frame: Frame<'_>) {
        self.frames.push(frame.bytes.to_vec());
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn deadline(&mut self, _: Time) {}
}

pub(crate) struct Net {
    pub(crate) engine: Engine,
    forwarder: Forwarder,
    pub(crate) engine_id: [u8; 32],
    pub(crate) now: Time,
    pub(crate) peers: Vec<Peer>,
    /// Links that pass nothing.
    pub(crate) cut: Vec<(SocketAddr, SocketAddr)>,
    in_flight: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// All datagrams that passed: from, to, bytes.
    pub(crate) log: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// Frames that the engine delivered.
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) events: Vec<Event>,
}

fn identity(kind: Kind, seed: u8) -> Identity {
    match kind {
        Kind::None => Identity::None { id: [seed; 32] },
        _ => Identity::Sealed { secret: [seed; 32], network: NETWORK },
    }
}

impl Net {
    /// An engine that has not joined, and `peers` peers that know nothing.
    pub(crate) fn new(kind: Kind, peers: usize, seeds: &[SocketAddr]) -> Self {
        let engine_id = identity(kind, ENGINE_SECRET[0]).id();
        let security = match kind {
            Kind::None => Security::None { id: NodeId(engine_id) },
            _ => Security::Sealed(Keys::new(
                SecretKey::from_bytes(ENGINE_SECRET),
                NetworkKey::from_bytes(NETWORK),
            )),
        };
        let mut config = Config::new("engine", ENGINE, security, [9; 32]);
        config.cipher = if kind == Kind::ChaCha { Cipher::ChaCha20Poly1305 } else { Cipher::Aes256Gcm };
        config.incarnation = 5_000_000_000_000;
        config.seeds = seeds.to_vec();
        let now = Time::from_nanos(1 << 40);
        let engine = Engine::new(config, now).unwrap();
        let cipher = if kind == Kind::Aes { AES } else { CHACHA };
        let peer = |n| Peer::new(&format!("peer{n}"), identity(kind, 0x30 + n as u8), cipher, locator(n));
        let mut net = Net {
            forwarder: engine.forwarder(),
            engine,
            engine_id,
            now,
            peers: (0..peers).map(peer).collect(),
            cut: Vec::new(),
            in_flight: Vec::new(),
            log: Vec::new(),
            frames: Vec::new(),
            events: Vec::new(),
        };
        net.on_engine(|engine, _, now, sink| engine.join(now, sink));
        net
    }

    /// The engine's prefix.
    pub(crate) fn engine_prefix(&self) -> Prefix {
        prefix(&self.engine_id)
    }

    fn on_engine(&mut self, act: impl FnOnce(&Engine, &mut Forwarder, Time, &mut Outputs)) {
        let mut outputs = Outputs::default();
        act(&self.engine, &mut self.forwarder, self.now, &mut outputs);
        self.in_flight.extend(outputs.datagrams.into_iter().map(|(to, bytes)| (ENGINE, to, bytes)));
        self.frames.extend(outputs.frames);
        self.events.extend(outputs.events);
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            for (peer, out) in self.peers.iter_mut().map(|peer| (peer.record.locator, &mut peer.out)) {
                self.in_flight.extend(out.drain(..).map(|(to, bytes)| (peer, to, bytes)));
            }
            self.now = self.now + Duration::from_millis(1);
            for (from, to, bytes) in std::mem::take(&mut self.in_flight) {
                if !self.cut.contains(&(from, to)) {
                    self.log.push((from, to, bytes.clone()));
                    self.deliver(from, to, bytes);
                }
            }
            if self.engine.deadline() <= self.now {
                self.on_engine(|engine, _, now, sink| engine.timer(now, sink));
            }
        }
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        if to == ENGINE {
            self.hand(from, bytes);
        } else if let Some(peer) = self.peers.iter_mut().find(|peer| peer.record.locator == to) {
            peer.receive(self.now.as_nanos(), from, &bytes);
        }
    }

    /// Gives the engine a datagram.
    pub(crate) fn hand(&mut self, from: SocketAddr, mut bytes: Vec<u8>) {
        self.on_engine(|_, forwarder, now, sink| {
            forwarder.datagram_in(now, DatagramIn { from, received_at: now, bytes: &mut bytes }, sink);
        });
    }

    /// Gives the engine a frame of its local network.
    pub(crate) fn frame_in(&mut self, mut frame: Vec<u8>) {
        self.on_engine(|_, forwarder, now, sink| {
            forwarder.frame_in(now, FrameIn { segment: Segment::DEFAULT, bytes: &mut frame }, sink);
        });
    }

    /// Tells the engine that a host is on its local network.
    pub(crate) fn announce(&mut self, host: leon::Host) {
        self.on_engine(|engine, _, now, sink| engine.announce_host(host, now, sink).unwrap());
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.engine.status(self.now).counters.value(counter)
    }

    /// Names of the counters of what the engine has dropped.
    pub(crate) fn drops(&self) -> BTreeMap<&'static str, u64> {
        let counters = self.engine.status(self.now).counters;
        let dropped = counters.iter().filter(|(counter, n)| *n > 0 && counter.name().starts_with("drop_"));
        dropped.map(|(counter, n)| (counter.name(), n)).collect()
    }

    /// Messages that a peer has had from the engine.
    pub(crate) fn heard(&self, peer: usize) -> impl Iterator<Item = &Message> {
        let from = self.engine_prefix();
        self.peers[peer].heard.iter().filter(move |(source, _)| *source == from).map(|(_, message)| message)
    }

    /// All peers become members of the engine and of each other, each by its own hello.
    pub(crate) fn joined(kind: Kind, peers: usize) -> Net {
        let mut net = Net::new(kind, peers, &[]);
        for peer in 0..peers {
            net.peers[peer].hello(ENGINE);
            for other in 0..peer {
                net.peers[peer].hello(locator(other));
            }
            net.run(100);
            net.ask_for_lists(peer);
            net.run(100);
        }
        net.run(2500);
        for peer in &net.peers {
            assert_eq!(peer.members.len(), peers, "{kind:?}: {} has all members", peer.record.name);
        }
        assert_eq!(net.engine.status(net.now).members.len(), peers);
        net
    }

    /// A peer asks all nodes that it has a session with for their lists, and so joins them.
    pub(crate) fn ask_for_lists(&mut self, peer: usize) {
        let peer = &mut self.peers[peer];
        let known: Vec<Prefix> = peer.sessions.keys().copied().collect();
        for node in known {
            peer.send_control(node, &[], &Message::ListRequest { token: 0x70 });
        }
    }
}

/// A frame of `len` bytes.
pub(crate) fn frame(destination: [u8; 6], source: [u8; 6], len: usize) -> Vec<u8> {
    let mut frame = vec![0x5a; len];
    frame[..6].copy_from_slice(&destination);
    frame[6..12].copy_from_slice(&source);
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame
}

pub(crate) const ALL: [u8; 6] = [0xff; 6];

/// The host behind a peer; 9 is the one behind the engine.
pub(crate) fn host(n: usize) -> [u8; 6] {
    [2, 0, 0, 0, 0, n as u8]
}
