//! The engine: the one place where the components meet.

mod event;
mod sink;
mod status;

use core::net::SocketAddr;
use std::sync::Arc;

pub use event::{Event, PathCause, RejectReason};
pub use sink::{Datagram, Frame, Sink};
pub use status::{HostStatus, LinkStatus, MemberState, MemberStatus, Status};

use crate::config::Config;
use crate::error::ConfigError;
use crate::node::Segment;
use crate::time::Time;

/// SKELETON: signatures are fixed, bodies follow.
pub struct Engine(Arc<()>);

/// A frame from the local network.
#[derive(Debug)]
pub struct FrameIn<'a> {
    /// The segment the local network belongs to.
    pub segment: Segment,
    /// The Ethernet frame, from its destination address on, without the frame check sequence. Its content
    /// is unspecified after the call: it may be sealed in place.
    pub bytes: &'a mut [u8],
}

/// A datagram from the socket.
#[derive(Debug)]
pub struct DatagramIn<'a> {
    /// Where it came from.
    pub from: SocketAddr,
    /// When it arrived, as near to the wire as the caller can tell; not after `now`.
    pub received_at: Time,
    /// The payload. Its content is unspecified after the call: it may be opened or advanced in place.
    pub bytes: &'a mut [u8],
}

impl Engine {
    /// Creates an engine that has not joined yet.
    pub fn new(_config: Config, _now: Time) -> Result<Engine, ConfigError> {
        todo!()
    }
    /// A handle for one thread's data.
    pub fn forwarder(&self) -> Forwarder {
        todo!()
    }
    /// Starts to join (§4.1): fetches the list from a seed, then tells every member.
    pub fn join(&self, _now: Time, _sink: &mut impl Sink) {
        todo!()
    }
    /// Tells every member that this node leaves. (Sends leave to all, a few copies; the engine is then inert.)
    pub fn leave(&self, _now: Time, _sink: &mut impl Sink) {
        todo!()
    }
    /// To be called at or after the deadline; earlier calls do no harm.
    pub fn timer(&self, _now: Time, _sink: &mut impl Sink) {
        todo!()
    }
    /// When `timer` wants to be called next.
    pub fn deadline(&self) -> Time {
        todo!()
    }
    /// The state of the engine.
    pub fn status(&self, _now: Time) -> Status {
        todo!()
    }
}

/// The data plane for one thread: reads the forwarding snapshot, allocates nothing.
pub struct Forwarder(Arc<()>);

impl Forwarder {
    /// One frame from the local network.
    pub fn frame_in(&mut self, _now: Time, _frame: FrameIn<'_>, _sink: &mut impl Sink) {
        todo!()
    }
    /// Frames from the local network, in order.
    pub fn frames_in<'a>(&mut self, now: Time, frames: impl IntoIterator<Item = FrameIn<'a>>, sink: &mut impl Sink) {
        for frame in frames {
            self.frame_in(now, frame, sink);
        }
    }
    /// One datagram from the socket.
    pub fn datagram_in(&mut self, _now: Time, _datagram: DatagramIn<'_>, _sink: &mut impl Sink) {
        todo!()
    }
    /// Datagrams from the socket, in order.
    pub fn datagrams_in<'a>(&mut self, now: Time, datagrams: impl IntoIterator<Item = DatagramIn<'a>>, sink: &mut impl Sink) {
        for datagram in datagrams {
            self.datagram_in(now, datagram, sink);
        }
    }
}
