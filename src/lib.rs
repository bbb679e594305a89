//! leon extends one Layer 2 network over many locations and forwards every Ethernet frame along the path
//! with the lowest latency.

pub mod config;
mod engine;
mod error;
mod mac;
mod node;
mod stats;
mod time;

#[cfg(feature = "driver")]
pub mod driver;
#[cfg(feature = "sim")]
pub mod sim;

pub use config::{Config, Security};
pub use engine::{
    Datagram, DatagramIn, Engine, Event, Forwarder, Frame, FrameIn, HostStatus, LinkStatus, MemberState,
    MemberStatus, PathCause, RejectReason, Sink, Status,
};
pub use error::ConfigError;
pub use mac::{MacAddr, ParseMacError};
pub use node::{NodeId, Segment};
pub use stats::{Counter, Counters};
pub use time::Time;
