//! Frame in -> FDB -> path -> seal -> datagrams (§4.3).

use arrayvec::ArrayVec;

use crate::engine::snapshot::Peer;
use crate::engine::{Datagram, Forwarder, FrameIn, Sink};
use crate::forward::fdb::{HostKey, Place};
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::ethernet::Addresses;
use crate::wire::header::MAX_HEADER_LEN;
use crate::wire::{KIND_FRAME, SEALED_PREFIX_LEN, TAG_LEN, max_payload};

impl Forwarder {
    /// Sends a frame of the local network to the member its destination sits behind, or to all.
    pub(super) fn send(&self, now: Time, frame: &FrameIn<'_>, sink: &mut impl Sink) -> Result<(), Counter> {
        let addresses = Addresses::of(frame.bytes).ok_or(Counter::FrameTooShort)?;
        let members = self.snapshot.serving(frame.segment).ok_or(Counter::FrameSegment)?;
        if addresses.source.is_group() {
            return Err(Counter::FrameGroupSource);
        }
        let host = |mac| HostKey { segment: frame.segment, vlan: addresses.vlan, mac };
        self.learn(host(addresses.source), Place::Local, now);
        if !addresses.destination.is_group() {
            match self.shared.fdb.lookup(host(addresses.destination), now.as_secs()) {
                Some(Place::Local) => return Err(Counter::FrameLocalDestination),
                Some(Place::Member(slot)) => {
                    if let Some(peer) = self.snapshot.in_slot(slot) {
                        return self.send_to(peer, frame, sink);
                    }
                }
                None => {}
            }
        }
        if members.is_empty() {
            return Err(Counter::FrameNoMember);
        }
        self.counters.bump(Counter::Flooded);
        // A frame too long for one path may fit the others.
        members.iter().map(|peer| self.send_to(peer, frame, sink)).fold(Ok(()), Result::and)
    }

    fn send_to(&self, peer: &Peer, frame: &FrameIn<'_>, sink: &mut impl Sink) -> Result<(), Counter> {
        let len = peer.header.len() + SEALED_PREFIX_LEN + frame.bytes.len() + TAG_LEN;
        if len > max_payload(self.shared.underlay_mtu, peer.widest) {
            return Err(Counter::FrameTooLong);
        }
        let [_, s0, s1, s2] = frame.segment.id().to_be_bytes();
        let mut header = ArrayVec::<u8, { MAX_HEADER_LEN + SEALED_PREFIX_LEN }>::new();
        // Neither can fail: the capacity is that of the longest header and the prefix.
        let _ = header.try_extend_from_slice(&peer.header);
        let tag = peer.session.seal(&mut header);
        let _ = header.try_extend_from_slice(&[KIND_FRAME, s0, s1, s2]);
        sink.datagram(Datagram { to: peer.next, parts: [&header, frame.bytes, &tag] });
        self.counters.bump(Counter::DatagramsOut);
        Ok(())
    }
}
