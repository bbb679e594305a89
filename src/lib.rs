//! leon extends one Layer 2 network over many locations and forwards every Ethernet frame along the path
//! with the lowest latency.

pub mod config;
mod engine;
mod error;
mod forward;
mod hash;
mod latency;
mod mac;
mod membership;
mod node;
mod rng;
mod route;
mod session;
mod stats;
mod time;
mod wire;

#[cfg(feature = "driver")]
pub mod driver;
#[cfg(feature = "sim")]
pub mod sim;

pub use config::{Config, Security};
pub use engine::{
    Datagram, DatagramIn, Engine, Event, Forwarder, Frame, FrameIn, HostStatus, LinkStatus, MemberStatus,
    Sink, Status,
};
pub use error::{ConfigError, RejectReason};
pub use mac::{MacAddr, ParseMacError};
pub use node::{MemberState, NodeId, Segment};
pub use route::PathCause;
pub use stats::{Counter, Counters};
pub use time::Time;
