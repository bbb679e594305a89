//! Datagram in -> open -> relay or deliver (§4.3).

use core::sync::atomic::Ordering;

use crate::engine::dispatch::Source;
use crate::engine::forwarder::View;
use crate::engine::snapshot::Peer;
use crate::engine::{Datagram, DatagramIn, Event, Frame, Sink};
use crate::forward::fdb::Place;
use crate::host::Host;
use crate::node::Segment;
use crate::session::{Arrival, HopKey};
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::control::Message;
use crate::wire::ethernet::Addresses;
use crate::wire::header::{self, Header};
use crate::wire::{KIND_CONTROL, KIND_FRAME, TYPE_HELLO, TYPE_INITIATION, TYPE_TRANSPORT, max_payload};

impl View {
    pub(super) fn receive(
        &self,
        now: Time,
        datagram: DatagramIn<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let header = Header::parse(datagram.bytes)?;
        if header.is_unsealed != self.shared.is_unsealed {
            return Err(self.refuse_security(now, &header, datagram, sink));
        }
        // An answer to the own address would come back.
        if header.source == self.shared.own || datagram.from == self.snapshot.own_locator {
            return Err(Counter::SourceSelf);
        }
        // Whoever greets a seed may know it by another address than its locator, so a path of one hop is
        // taken as it comes; frames are checked below.
        if header.path.len() > 1 && header.current() != self.snapshot.own_locator {
            return Err(Counter::PathNotHere);
        }
        match (header.next(), header.kind) {
            (Some(_), _) => self.relay(now, &header, datagram, sink),
            (None, TYPE_TRANSPORT) => self.open(now, &header, datagram, sink),
            (None, _) => self.shake_hands(now, &header, datagram, sink),
        }
    }

    /// Sends a member's datagram on to the next entry of its path, which must be a member's.
    fn relay(
        &self,
        now: Time,
        header: &Header,
        datagram: DatagramIn<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let DatagramIn { received_at, bytes, .. } = datagram;
        let source = self.snapshot.peer(header.source).ok_or(Counter::SourceStranger)?;
        // The header's epoch is that of the session of source and destination, so the keys must be tried.
        let verifies = |key: &&HopKey| key.verify(bytes, header.hop_tag);
        let key = source.keys.iter().map(|keys| keys.open.hop()).find(verifies).ok_or(Counter::Tag)?;
        if source.member.is_none() {
            return Err(Counter::SourceStranger);
        }
        let next = header.next().and_then(|next| self.snapshot.at(next)).ok_or(Counter::PathStranger)?;
        let to = next.proven_address.ok_or(Counter::PathStranger)?;
        if bytes.len() > max_payload(self.shared.underlay_mtu, to.ip()) {
            return Err(Counter::FrameTooLong);
        }
        if !self.shared.passage.pass(header.flow(key.name()), header.counter as u32) {
            return Err(Counter::Replayed);
        }
        if !source.limits.relay.take(now) {
            return Err(Counter::RelayLimit);
        }
        header::advance(bytes);
        sink.datagram(Datagram { to, parts: [&[], bytes, &[]] });
        next.activity.relayed(now);
        self.shared.meter.relayed(header.counter, received_at, now);
        self.counters.bump(Counter::Relayed);
        self.counters.bump(Counter::DatagramsOut);
        Ok(())
    }

    /// Opens a datagram of a session with this node.
    fn open(
        &self,
        now: Time,
        header: &Header,
        datagram: DatagramIn<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let peer = self.snapshot.peer(header.source).ok_or(Counter::SourceStranger)?;
        let keys = peer.keys.iter().find(|keys| keys.epoch_in == header.epoch).ok_or(Counter::SourceEpoch)?;
        if now >= keys.expires_at {
            return Err(Counter::KeysExpired);
        }
        if !keys.open.hop().verify(datagram.bytes, header.hop_tag) {
            return Err(Counter::Tag);
        }
        let opened = keys.open.open(datagram.bytes, header.len)?;
        match opened.kind {
            KIND_CONTROL => {
                if !peer.limits.control.take(now) {
                    return Err(Counter::ControlLimit);
                }
                self.admit(sink)?;
                let message = Message::read(opened.content).map_err(|_| Counter::ControlMalformed)?;
                let (_, relays) = header.path.split_last().ok_or(Counter::PathLength)?;
                let source = Source {
                    prefix: header.source,
                    epoch: header.epoch,
                    address: relays.is_empty().then_some(datagram.from),
                    relays: relays.iter().copied().collect(),
                };
                let received_at = datagram.received_at.min(now);
                self.shared.with_control(now, sink, |control| {
                    control.handle(source, message, received_at, now);
                });
                Ok(())
            }
            _ if header.current() != self.snapshot.own_locator => Err(Counter::PathNotHere),
            KIND_FRAME => self.deliver(now, peer, opened.segment, opened.content, sink),
            _ => Err(Counter::DatagramType),
        }
    }

    /// Lets a datagram into the control plane if there is memory for what it may lead to.
    pub(super) fn admit(&self, sink: &mut impl Sink) -> Result<(), Counter> {
        if sink.admit(self.shared.demand.load(Ordering::Relaxed)) { Ok(()) } else { Err(Counter::NoMemory) }
    }

    /// Delivers a member's frame to the local network, and learns where its sender is.
    fn deliver(
        &self,
        now: Time,
        peer: &Peer,
        segment: Segment,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let member = peer.member.as_ref().ok_or(Counter::SourceStranger)?;
        member.activity.heard(now);
        self.snapshot.serving(segment).ok_or(Counter::FrameSegment)?;
        let addresses = Addresses::of(bytes).ok_or(Counter::FrameTooShort)?;
        if addresses.source.is_group() {
            return Err(Counter::FrameGroupSource);
        }
        let host = |mac| Host { segment, vlan: addresses.vlan, mac };
        let is_for_all = addresses.destination.is_group()
            || self.shared.fdb.lookup(host(addresses.destination), now.as_secs()).is_none();
        if is_for_all && !peer.limits.flood.take(now) {
            if let Some(event) = peer.limits.alarms.flood_limit(member.id, now) {
                sink.event(event);
            }
            return Err(Counter::FloodLimit);
        }
        let place = Place::Member(member.slot);
        self.learn(host(addresses.source), place, &peer.limits.alarms, now, sink);
        sink.frame(Frame { segment, bytes });
        self.counters.bump(Counter::FramesOut);
        Ok(())
    }

    /// Gives a datagram of a handshake to the control plane, if its sender holds the network key. What
    /// strangers send ends here, without a lock.
    fn shake_hands(
        &self,
        now: Time,
        header: &Header,
        datagram: DatagramIn<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let (head, body) = datagram.bytes.split_at_mut(header.len);
        let inner = self.shared.outer.open(head, body).ok_or(Counter::HandshakeStranger)?;
        self.admit(sink)?;
        let arrival = Arrival {
            kind: header.kind,
            source: header.source,
            from: datagram.from,
            relays: &header.path[..header.index],
            inner,
        };
        self.shared.with_control(now, sink, |control| control.shake_hands(&arrival, now));
        Ok(())
    }

    /// Drops a datagram of a node with another security. If it would begin a handshake, people are told, now and
    /// then.
    fn refuse_security(
        &self,
        now: Time,
        header: &Header,
        datagram: DatagramIn<'_>,
        sink: &mut impl Sink,
    ) -> Counter {
        let is_theirs_none = header.is_unsealed;
        let begins = matches!(header.kind, TYPE_HELLO | TYPE_INITIATION);
        // Without security the key is known to all, and noise is told from a node by it.
        let (head, body) = datagram.bytes.split_at_mut(header.len);
        let is_genuine = begins && (!is_theirs_none || self.shared.unsealed.open(head, body).is_some());
        if is_genuine && self.shared.mismatch_limit.take(now) {
            sink.event(Event::SecurityMismatch { from: datagram.from, is_theirs_none });
        }
        Counter::SecurityMismatch
    }
}
