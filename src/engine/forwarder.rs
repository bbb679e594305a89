//! The data plane: one forwarder for each thread that moves frames and datagrams.

use core::sync::atomic::Ordering;
use std::sync::Arc;

use crate::engine::alarm::Alarms;
use crate::engine::send::Sending;
use crate::engine::snapshot::Snapshot;
use crate::engine::{DatagramIn, FrameIn, Shared, Sink};
use crate::forward::fdb::{Learned, Place};
use crate::host::Host;
use crate::node::NodeId;
use crate::stats::{Counter, CounterSet};
use crate::time::Time;

/// Moves the frames and datagrams of one thread.
///
/// Reads the forwarding snapshot of its engine, allocates nothing on the way of a frame, and takes no lock
/// that another forwarder waits for. A caller with several threads gives each one a forwarder of its own;
/// frames of one flow stay in order if they go through one forwarder. Keys that have been replaced stay in
/// memory until every forwarder has been used once more or dropped.
pub struct Forwarder {
    view: View,
    sending: Sending,
    generation: u64,
}

/// What moving a frame or a datagram reads.
pub(super) struct View {
    pub(super) shared: Arc<Shared>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) counters: Arc<CounterSet>,
}

impl Forwarder {
    pub(super) fn new(shared: Arc<Shared>, sending: Sending) -> Self {
        let counters = Arc::new(CounterSet::new());
        shared.counter_sets.lock().push(Arc::clone(&counters));
        let snapshot = Arc::clone(&shared.published.read());
        // Behind the present generation, so that the first use looks again.
        Forwarder { view: View { shared, snapshot, counters }, sending, generation: 0 }
    }

    /// Takes one frame from the local network and puts out the datagrams that carry it. A frame that cannot
    /// be sent is dropped and counted; the reason is returned. One that goes to several members has been dropped
    /// if one of them does not get it.
    pub fn frame_in(&mut self, now: Time, frame: FrameIn<'_>, sink: &mut impl Sink) -> Option<Counter> {
        self.begin();
        self.next_frame(now, frame, sink)
    }

    /// Takes frames from the local network, in order, as [`frame_in`](Self::frame_in) does.
    pub fn frames_in<'a>(
        &mut self,
        now: Time,
        frames: impl IntoIterator<Item = FrameIn<'a>>,
        sink: &mut impl Sink,
    ) {
        self.begin();
        for frame in frames {
            self.next_frame(now, frame, sink);
        }
    }

    /// A call begins: no sink uses any more what it was lent in the last one.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.sending.lent.take_back();
    }

    /// As [`frame_in`](Self::frame_in), for one frame of many in a call: what the sink was lent for those before
    /// stays.
    pub(crate) fn next_frame(
        &mut self,
        now: Time,
        mut frame: FrameIn<'_>,
        sink: &mut impl Sink,
    ) -> Option<Counter> {
        self.refresh();
        let Forwarder { view, sending, .. } = self;
        view.counters.bump(Counter::FramesIn);
        #[cfg(leon_fault)]
        crate::fault::point();
        let dropped = view.send(now, &mut frame, sending, sink).err();
        dropped.inspect(|reason| view.counters.bump(*reason))
    }

    /// Takes one datagram from the socket: relays it, delivers the frame in it, or gives the control
    /// message in it to the control plane. A datagram that is none of these is dropped and counted; the reason is
    /// returned.
    pub fn datagram_in(
        &mut self,
        now: Time,
        datagram: DatagramIn<'_>,
        sink: &mut impl Sink,
    ) -> Option<Counter> {
        self.refresh();
        self.view.counters.bump(Counter::DatagramsIn);
        #[cfg(leon_fault)]
        crate::fault::point();
        let dropped = self.view.receive(now, datagram, sink).err();
        dropped.inspect(|reason| self.view.counters.bump(*reason))
    }

    /// Takes datagrams from the socket, in order, as [`datagram_in`](Self::datagram_in) does.
    pub fn datagrams_in<'a>(
        &mut self,
        now: Time,
        datagrams: impl IntoIterator<Item = DatagramIn<'a>>,
        sink: &mut impl Sink,
    ) {
        for datagram in datagrams {
            self.datagram_in(now, datagram, sink);
        }
    }

    /// Takes the newest snapshot, if it is not the one at hand.
    fn refresh(&mut self) {
        let generation = self.view.shared.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.view.snapshot = Arc::clone(&self.view.shared.published.read());
            self.generation = generation;
        }
    }
}

impl View {
    /// Learns from a frame that a host is at `place`, of which these are the alarms.
    #[inline]
    pub(super) fn learn(&self, host: Host, place: Place, alarms: &Alarms, now: Time, sink: &mut impl Sink) {
        let learned = self.shared.fdb.learn(host, place, now.as_secs());
        if let Some(counter) = learned.counter() {
            self.counters.bump(counter);
            self.tell(learned, (host, place), alarms, now, sink);
        }
    }

    /// Tells people what was learned, if that concerns them.
    #[cold]
    fn tell(
        &self,
        learned: Learned,
        (host, place): (Host, Place),
        alarms: &Alarms,
        now: Time,
        sink: &mut impl Sink,
    ) {
        let from = match learned {
            Learned::Moved(from) | Learned::Flapping(from) => self.id_at(from),
            Learned::Known | Learned::New | Learned::Held | Learned::Full | Learned::Quota => Some(None),
        };
        // A host of a member that has just gone has not moved.
        let (Some(from), Some(to)) = (from, self.id_at(place)) else { return };
        if let Some(event) = alarms.of_host(learned, host, (from, to), now) {
            sink.event(event);
        }
    }

    /// The member at a place, `Some(None)` for the local network; `None` if it is gone.
    fn id_at(&self, place: Place) -> Option<Option<NodeId>> {
        match place {
            Place::Local => Some(None),
            Place::Member(slot) => self.snapshot.in_slot(slot).map(|member| Some(member.id)),
        }
    }
}

impl Drop for Forwarder {
    /// What this forwarder counted stays counted.
    fn drop(&mut self) {
        let mut sets = self.view.shared.counter_sets.lock();
        if let Some(at) = sets.iter().position(|set| Arc::ptr_eq(set, &self.view.counters)) {
            let set = sets.swap_remove(at);
            sets[1].absorb(&set);
        }
    }
}
