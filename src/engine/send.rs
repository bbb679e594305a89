//! Frame in -> FDB -> path -> seal -> datagrams (§4.3).

use std::sync::Arc;

use crate::config::Cipher;
use crate::engine::forwarder::View;
use crate::engine::snapshot::Member;
use crate::engine::{Datagram, FrameIn, Sink};
use crate::forward::fdb::Place;
use crate::host::Host;
use crate::rng::Rng;
use crate::session::{Head, SHARED_TAIL_LEN, SharedSeal};
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::ethernet::Addresses;
use crate::wire::{KIND_FRAME, SEALED_PREFIX_LEN, TAG_LEN, max_payload};

/// A frame of at least so many bytes that goes to at least so many members is sealed once for all; else it costs
/// less to seal it for each: sealing once takes a digest besides (`cargo bench --bench engine`).
const SHARED_MIN_LEN: usize = 512;
const SHARED_MIN_MEMBERS: usize = 6;

/// What flooding needs: keys to use once, and room for the copy that is sealed for one member.
pub(super) struct Flooding {
    pub(super) rng: Rng,
    pub(super) cipher: Cipher,
    pub(super) copy: Vec<u8>,
}

impl View {
    /// Sends a frame of the local network to the member its destination sits behind, or to all.
    pub(super) fn send(
        &self,
        now: Time,
        frame: &mut FrameIn<'_>,
        flooding: &mut Flooding,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let addresses = Addresses::of(frame.bytes).ok_or(Counter::FrameTooShort)?;
        let members = self.snapshot.serving(frame.segment).ok_or(Counter::FrameSegment)?;
        if addresses.source.is_group() {
            return Err(Counter::FrameGroupSource);
        }
        let host = |mac| Host { segment: frame.segment, vlan: addresses.vlan, mac };
        self.learn(host(addresses.source), Place::Local, &self.shared.alarms, now, sink);
        if !addresses.destination.is_group() {
            match self.shared.fdb.lookup(host(addresses.destination), now.as_secs()) {
                Some(Place::Local) => return Err(Counter::FrameLocalDestination),
                Some(Place::Member(slot)) => {
                    if let Some(member) = self.snapshot.in_slot(slot) {
                        return self.send_to(member, now, frame, sink);
                    }
                }
                None => {}
            }
        }
        if members.is_empty() {
            return Err(Counter::FrameNoMember);
        }
        self.counters.bump(Counter::Flooded);
        match members {
            [member] => self.send_to(member, now, frame, sink),
            _ if self.can_share(members, frame.bytes.len()) => {
                self.flood_shared(members, now, frame, flooding, sink)
            }
            _ => self.flood_each(members, now, frame, flooding, sink),
        }
    }

    fn send_to(
        &self,
        member: &Member,
        now: Time,
        frame: &mut FrameIn<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let path = member.path.as_ref().ok_or(Counter::KeysExpired)?;
        let len = path.header_len() + SEALED_PREFIX_LEN + frame.bytes.len() + TAG_LEN;
        if len > max_payload(self.shared.underlay_mtu, path.widest) {
            return Err(Counter::FrameTooLong);
        }
        let mut head = Head::new();
        let tag = path.seal(&mut head, (KIND_FRAME, frame.segment), frame.bytes, now)?;
        sink.datagram(Datagram { to: path.next, parts: [&head, frame.bytes, &tag] });
        self.counters.bump(Counter::DatagramsOut);
        Ok(())
    }

    /// Seals a frame for each of several members.
    fn flood_each(
        &self,
        members: &[Arc<Member>],
        now: Time,
        frame: &mut FrameIn<'_>,
        flooding: &mut Flooding,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let segment = frame.segment;
        if frame.bytes.len() > flooding.copy.capacity() {
            return Err(Counter::FrameTooLong);
        }
        // A frame too long for one path may fit the others.
        let mut result = Ok(());
        for member in members {
            flooding.copy.clear();
            flooding.copy.extend_from_slice(frame.bytes);
            let mut copy = FrameIn { segment, bytes: &mut flooding.copy };
            result = result.and(self.send_to(member, now, &mut copy, sink));
            sink.reclaim();
        }
        result
    }

    /// Whether a frame is worth sealing once for all members, and fits all their paths so.
    fn can_share(&self, members: &[Arc<Member>], len: usize) -> bool {
        let fits = |member: &Arc<Member>| {
            member.path.as_ref().is_some_and(|path| {
                let len = path.header_len() + SEALED_PREFIX_LEN + len + SHARED_TAIL_LEN;
                len <= max_payload(self.shared.underlay_mtu, path.widest)
            })
        };
        len >= SHARED_MIN_LEN && members.len() >= SHARED_MIN_MEMBERS && members.iter().all(fits)
    }

    /// Seals a frame once, with a key of its own, and that key for each member.
    fn flood_shared(
        &self,
        members: &[Arc<Member>],
        now: Time,
        frame: &mut FrameIn<'_>,
        flooding: &mut Flooding,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let key = flooding.rng.secret();
        let shared = SharedSeal::new(flooding.cipher, &key, frame.bytes);
        let mut result = Ok(());
        for path in members.iter().filter_map(|member| member.path.as_ref()) {
            let mut head = Head::new();
            match path.seal_shared(&mut head, &shared, frame.segment, now) {
                Ok(tail) => {
                    sink.datagram(Datagram { to: path.next, parts: [&head, frame.bytes, &tail] });
                    self.counters.bump(Counter::DatagramsOut);
                }
                Err(reason) => result = Err(reason),
            }
        }
        result
    }
}
