//! Datagram in -> open -> relay or deliver (§4.3).

use crate::engine::dispatch::Source;
use crate::engine::snapshot::Peer;
use crate::engine::{Datagram, DatagramIn, Forwarder, Frame, Sink};
use crate::forward::fdb::{HostKey, Place};
use crate::node::Segment;
use crate::session;
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::control::Message;
use crate::wire::ethernet::Addresses;
use crate::wire::header::{self, Header};
use crate::wire::{KIND_CONTROL, KIND_FRAME, SEALED_PREFIX_LEN, max_payload};

impl Forwarder {
    pub(super) fn receive(
        &mut self,
        now: Time,
        datagram: DatagramIn<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let header = Header::parse(datagram.bytes)?;
        if header.source == self.shared.own {
            return Err(Counter::SourceSelf);
        }
        // Whoever asks a seed may know it by another address than its locator, so a path of one hop is
        // taken as it comes; frames are checked below.
        if header.path.len() > 1 && header.current() != self.snapshot.own_locator {
            return Err(Counter::PathNotHere);
        }
        session::verify_hop_tag(&header)?;
        match header.next() {
            Some(_) => self.relay(&header, datagram.bytes, sink),
            None => self.open(now, &header, datagram, sink),
        }
    }

    /// Sends a member's datagram on to the next entry of its path, which must be a member's.
    fn relay(&self, header: &Header, bytes: &mut [u8], sink: &mut impl Sink) -> Result<(), Counter> {
        self.snapshot.member(header.source).ok_or(Counter::SourceStranger)?;
        let next = header.next().and_then(|next| self.snapshot.at(next)).ok_or(Counter::PathStranger)?;
        if bytes.len() > max_payload(self.shared.underlay_mtu, next.address.ip()) {
            return Err(Counter::FrameTooLong);
        }
        header::advance(bytes);
        sink.datagram(Datagram { to: next.address, parts: [bytes, &[], &[]] });
        self.counters.bump(Counter::Relayed);
        self.counters.bump(Counter::DatagramsOut);
        Ok(())
    }

    /// Opens a datagram for this node.
    fn open(
        &self,
        now: Time,
        header: &Header,
        datagram: DatagramIn<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let sealed = &mut datagram.bytes[header.len..];
        let peer = self.snapshot.member(header.source);
        // Outside a session nothing is numbered.
        let member = peer.filter(|peer| header.counter != 0 && peer.session.is_current(header));
        let content = match member {
            Some(peer) => peer.session.open(header, sealed)?,
            None => session::open_unnumbered(sealed)?,
        };
        let (prefix, payload) =
            content.split_first_chunk::<SEALED_PREFIX_LEN>().ok_or(Counter::DatagramTruncated)?;
        let [kind, s0, s1, s2] = *prefix;
        let segment = Segment::new(u32::from_be_bytes([0, s0, s1, s2])).unwrap_or_default();
        match (kind, member) {
            (KIND_FRAME, Some(peer)) if header.current() == self.snapshot.own_locator => {
                self.deliver(now, peer, segment, payload, sink)
            }
            (KIND_FRAME, Some(_)) => Err(Counter::PathNotHere),
            (KIND_FRAME, None) if peer.is_some() => Err(Counter::SourceEpoch),
            (KIND_FRAME, None) => Err(Counter::SourceStranger),
            (KIND_CONTROL, _) => {
                let message = Message::read(payload).map_err(|_| Counter::ControlMalformed)?;
                let address = (header.path.len() == 1).then_some(datagram.from);
                let source = Source { prefix: header.source, address, is_member: member.is_some() };
                let received_at = datagram.received_at.min(now);
                self.shared.with_control(now, sink, |control| {
                    control.handle(source, message, received_at, now);
                });
                Ok(())
            }
            _ => Err(Counter::DatagramType),
        }
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
        self.snapshot.serving(segment).ok_or(Counter::FrameSegment)?;
        let addresses = Addresses::of(bytes).ok_or(Counter::FrameTooShort)?;
        if addresses.source.is_group() {
            return Err(Counter::FrameGroupSource);
        }
        let host = HostKey { segment, vlan: addresses.vlan, mac: addresses.source };
        self.learn(host, Place::Member(peer.slot), now);
        sink.frame(Frame { segment, bytes });
        self.counters.bump(Counter::FramesOut);
        Ok(())
    }
}
