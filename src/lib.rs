//! leon extends one Layer 2 network over many locations on the Internet and forwards every Ethernet frame
//! along the path with the lowest latency, through another location where that is faster.
//!
//! There is no central server: each node keeps the member list, all measure and share latencies, each runs
//! Dijkstra's algorithm over them, and the sender writes the path, address and port of each relay, into
//! the frame's header. The idea is that of *Implementation and Evaluation of Latency Efficient Overlay
//! Network (LEON)* by Yamagishi, Horiba, Uehara and Murai; § numbers in this crate are its sections.
//!
//! # The engine
//!
//! [`Engine`] is one node without any I/O: no clock, socket, thread or file. The caller hands in what
//! arrives and carries out what comes out; every call lends a [`Sink`] for that. The run loop of a node:
//!
//! 1. [`Engine::new`], [`Engine::join`], and one [`Forwarder`] for each thread;
//! 2. a datagram from the socket: [`Forwarder::datagram_in`], or a batch: [`Forwarder::datagrams_in`];
//! 3. a frame from the local network: [`Forwarder::frame_in`] or [`Forwarder::frames_in`];
//! 4. at [`Engine::deadline`]: [`Engine::timer`];
//! 5. at the end: [`Engine::leave`], then 4 until the deadline is [`Time::NEVER`].
//!
//! Two nodes in one thread, on a clock of our own:
//!
//! ```
//! use leon::{Config, Datagram, DatagramIn, Engine, Event, Forwarder, Frame, FrameIn, NodeId, Security, Segment};
//! use leon::{Sink, Time};
//! use std::net::SocketAddr;
//!
//! #[derive(Default)]
//! struct Outputs {
//!     datagrams: Vec<(SocketAddr, Vec<u8>)>,
//!     frames: Vec<Vec<u8>>,
//! }
//!
//! impl Sink for Outputs {
//!     fn datagram(&mut self, datagram: Datagram<'_>) {
//!         self.datagrams.push((datagram.to, datagram.parts.concat()));
//!     }
//!     fn frame(&mut self, frame: Frame<'_>) {
//!         self.frames.push(frame.bytes.to_vec());
//!     }
//!     fn event(&mut self, _: Event) {}
//!     fn deadline(&mut self, _: Time) {}
//! }
//!
//! let locators: [SocketAddr; 2] = ["192.0.2.1:4789".parse()?, "192.0.2.2:4789".parse()?];
//! let node = |n: usize| {
//!     let id = NodeId([n as u8 + 1; 32]);
//!     let security = Security::None { id };
//!     let mut config = Config::new(format!("site{n}"), locators[n], security, [n as u8; 32]);
//!     config.seeds = vec![locators[0]];
//!     Engine::new(config, Time::ZERO)
//! };
//! let engines = [node(0)?, node(1)?];
//! let mut forwarders: Vec<Forwarder> = engines.iter().map(Engine::forwarder).collect();
//! let mut outputs = [Outputs::default(), Outputs::default()];
//! let mut now = Time::ZERO;
//! for (engine, outputs) in engines.iter().zip(&mut outputs) {
//!     engine.join(now, outputs);
//! }
//! while now.as_secs() < 2 {
//!     for from in [0, 1] {
//!         for (_, mut bytes) in std::mem::take(&mut outputs[from].datagrams) {
//!             let to = 1 - from;
//!             let datagram = DatagramIn { from: locators[from], received_at: now, bytes: &mut bytes };
//!             forwarders[to].datagram_in(now, datagram, &mut outputs[to]);
//!         }
//!         engines[from].timer(now, &mut outputs[from]);
//!     }
//!     now = now + std::time::Duration::from_millis(1);
//! }
//! let mut broadcast = [0xff; 60];
//! broadcast[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
//! forwarders[0].frame_in(now, FrameIn { segment: Segment::DEFAULT, bytes: &mut broadcast }, &mut outputs[0]);
//! let (to, mut bytes) = outputs[0].datagrams.pop().expect("a datagram carries the frame");
//! assert_eq!(to, locators[1]);
//! let datagram = DatagramIn { from: locators[0], received_at: now, bytes: &mut bytes };
//! forwarders[1].datagram_in(now, datagram, &mut outputs[1]);
//! assert_eq!(outputs[1].frames, [broadcast.to_vec()]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! * `driver`: the Linux event loop: TAP, UDP, timers. The only part that reads a clock.
//! * `serde`: `Serialize` for [`Status`], [`Explanation`] and what they hold; `docs/snapshot.md` has the schema.
//! * `sim`: the simulator: many engines in virtual time, with the rules they must keep.
//! * `text`: [`Config`] from TOML and JSON, described in `docs/config.md`; [`Status`] and [`Explanation`] to JSON. Implies
//!   `serde`.
//!
//! # Errors
//!
//! A caller's mistake is an error of the call. What a peer or the network does wrong is dropped and counted
//! by reason, see [`Counter`]. A panic is a bug.

mod base64;
pub mod config;
mod deadlines;
mod engine;
mod error;
#[cfg(leon_fault)]
mod fault;
mod forward;
mod hash;
mod host;
mod hosts;
mod key;
mod latency;
mod mac;
mod membership;
mod monitor;
mod node;
mod node_map;
mod rng;
mod route;
mod session;
mod stats;
mod time;
mod wire;

#[cfg(feature = "driver")]
pub mod driver;
#[cfg(feature = "ffi")]
#[allow(unsafe_code, reason = "C knows no other")]
pub mod ffi;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "sim")]
pub mod sim;

pub use base64::KeyError;
#[cfg(feature = "text")]
pub use config::TextError;
pub use config::{Bulk, Cipher, Config, Keys, PathPart, Policy, Security};
pub use engine::{
    Candidate, Datagram, DatagramIn, Engine, Event, Explanation, Forwarder, Frame, FrameIn, HostStatus,
    LinkState, LinkStatus, MemberStatus, PastChange, PathLink, Probe, Sink, Status, Verdict,
};
pub use error::{ConfigError, HostError, RejectReason};
pub use host::{Host, HostOrigin};
pub use key::{NetworkKey, SecretKey};
pub use mac::{MacAddr, ParseMacError};
pub use node::{MemberState, NodeId, Segment};
pub use route::{Estimate, PathCause};
pub use stats::{Counter, Counters};
pub use time::Time;
