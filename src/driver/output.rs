//! The sink of the driver's event loop: where the engine's outputs meet the socket and the port.

use std::sync::Arc;

use crate::driver::clock;
use crate::driver::counters::IoCounters;
use crate::driver::port::Port;
use crate::driver::udp::{SendBatch, Underlay};
use crate::engine::{Datagram, Event, Frame, Sink};
use crate::time::Time;

/// Collects datagrams until [`flush`](Self::flush), delivers frames at once, and passes events on.
pub(super) struct Output<H> {
    underlay: Underlay,
    port: Port,
    batch: SendBatch,
    counters: Arc<IoCounters>,
    on_event: H,
}

impl<H> Output<H> {
    pub(super) fn new(underlay: Underlay, port: Port, counters: Arc<IoCounters>, on_event: H) -> Self {
        Output { underlay, port, batch: SendBatch::new(), counters, on_event }
    }

    pub(super) fn underlay(&self) -> &Underlay {
        &self.underlay
    }

    pub(super) fn port(&self) -> &Port {
        &self.port
    }

    pub(super) fn counters(&self) -> &IoCounters {
        &self.counters
    }

    /// Sends what was collected.
    pub(super) fn flush(&mut self, now: Time) {
        self.batch.flush(&mut self.underlay, &self.counters, now);
    }
}

impl<H: FnMut(Event)> Sink for Output<H> {
    fn datagram(&mut self, datagram: Datagram<'_>) {
        self.batch.push(&datagram);
        if self.batch.is_full() {
            self.flush(clock::now());
        }
    }

    fn frame(&mut self, frame: Frame<'_>) {
        // Frames of the other segments this node serves have no port here.
        if frame.segment != self.port.segment() {
            return;
        }
        if let Err(error) = self.port.write(frame.bytes) {
            self.counters.frame_error(&error);
        }
    }

    fn event(&mut self, event: Event) {
        (self.on_event)(event);
    }

    /// The loop asks the engine each turn instead, which also tells what calls from other threads changed.
    fn deadline(&mut self, _at: Time) {}
}
