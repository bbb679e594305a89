//! What the control plane puts out, kept until its lock is released.

use core::net::SocketAddr;

use crate::engine::event::Event;
use crate::engine::sink::{Datagram, Sink};

/// Datagrams and events of one call, in order of each kind.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) datagrams: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) events: Vec<Event>,
}

impl Outbox {
    pub(crate) fn flush(self, sink: &mut impl Sink) {
        for (to, bytes) in &self.datagrams {
            sink.datagram(Datagram { to: *to, parts: [&[], bytes, &[]] });
        }
        if !self.datagrams.is_empty() {
            sink.reclaim();
        }
        for event in self.events {
            sink.event(event);
        }
    }
}
