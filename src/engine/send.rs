//! Frame in -> FDB -> path -> seal -> datagrams (§4.3).

use crate::config::Cipher;
use crate::engine::forwarder::View;
use crate::engine::lent::{Lent, Pool};
use crate::engine::snapshot::Member;
use crate::engine::{Datagram, FrameIn, Sink};
use crate::forward::fdb::{Place, Slot};
use crate::host::Host;
use crate::rng::Rng;
use crate::session::{Ends, SHARED_TAIL_LEN, SealedPath, SharedSeal};
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::ethernet::{Addresses, Priority};
use crate::wire::{KIND_FRAME, SEALED_PREFIX_LEN, TAG_LEN, max_payload};

/// A frame of at least so many bytes that goes to at least so many members is sealed once for all; else it costs
/// less to seal it for each: sealing once takes a digest besides (`cargo bench --bench engine`).
const SHARED_MIN_LEN: usize = 512;
const SHARED_MIN_MEMBERS: usize = 6;

/// What sending needs of one forwarder: keys to use once, and memory for what is put out.
pub(super) struct Sending {
    pub(super) rng: Rng,
    pub(super) cipher: Cipher,
    pub(super) lent: Lent,
}

impl View {
    /// Sends a frame of the local network to the member its destination sits behind, or to all.
    pub(super) fn send(
        &self,
        now: Time,
        frame: &mut FrameIn<'_>,
        sending: &mut Sending,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let addresses = Addresses::of(frame.bytes).ok_or(Counter::FrameTooShort)?;
        let slots = self.snapshot.serving(frame.segment).ok_or(Counter::FrameSegment)?;
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
                        self.send_to(member, now, frame, &mut sending.lent.ends, sink)?;
                        if member.activity.sent(now) {
                            self.doubt(member, now, sink);
                        }
                        return Ok(());
                    }
                }
                None => {}
            }
        }
        if slots.is_empty() {
            return Err(Counter::FrameNoMember);
        }
        self.counters.bump(Counter::Flooded);
        if let [slot] = slots
            && let Some(member) = self.snapshot.in_slot(*slot)
        {
            self.send_to(member, now, frame, &mut sending.lent.ends, sink)
        } else if self.can_share(slots, frame.bytes.len()) {
            self.flood_shared(slots, now, frame, sending, sink)
        } else {
            self.flood_each(slots, now, frame, &mut sending.lent, sink)
        }
    }

    /// Lets the control plane know that frames to a member go unanswered, unless another thread has it: then the next
    /// frame tries again.
    #[cold]
    fn doubt(&self, member: &Member, now: Time, sink: &mut impl Sink) {
        if self.admit(sink).is_ok() {
            self.shared.try_control(now, sink, |control| control.doubt(member.id.prefix(), now));
        }
    }

    fn send_to(
        &self,
        member: &Member,
        now: Time,
        frame: &mut FrameIn<'_>,
        ends: &mut Pool<Box<Ends>>,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let is_bulk = |_: &&SealedPath| self.shared.bulk.has(Priority::of(frame.bytes));
        let path = member.bulk_path.as_ref().filter(is_bulk).or(member.path.as_ref());
        let path = path.ok_or(Counter::KeysExpired)?;
        let len = path.header_len() + SEALED_PREFIX_LEN + frame.bytes.len() + TAG_LEN;
        if len > max_payload(self.shared.underlay_mtu, path.widest) {
            return Err(Counter::FrameTooLong);
        }
        let ends = ends.next(sink);
        path.seal(ends, (KIND_FRAME, frame.segment), frame.bytes, now)?;
        sink.datagram(Datagram { to: path.next, parts: [&ends.head, frame.bytes, &ends.tail] });
        self.counters.bump(Counter::DatagramsOut);
        Ok(())
    }

    /// Seals a frame for each of several members.
    fn flood_each(
        &self,
        slots: &[Slot],
        now: Time,
        frame: &mut FrameIn<'_>,
        lent: &mut Lent,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let segment = frame.segment;
        if frame.bytes.len() > usize::from(self.shared.underlay_mtu) {
            return Err(Counter::FrameTooLong);
        }
        // A frame too long for one path may fit the others.
        let mut result = Ok(());
        for member in self.snapshot.in_slots(slots) {
            let copy = lent.copies.next(sink);
            copy.clear();
            copy.extend_from_slice(frame.bytes);
            let mut copy = FrameIn { segment, bytes: copy };
            result = result.and(self.send_to(member, now, &mut copy, &mut lent.ends, sink));
        }
        result
    }

    /// Whether a frame is worth sealing once for all members, and fits all their paths so.
    fn can_share(&self, slots: &[Slot], len: usize) -> bool {
        let fits = |member: &Member| {
            member.path.as_ref().is_some_and(|path| {
                let len = path.header_len() + SEALED_PREFIX_LEN + len + SHARED_TAIL_LEN;
                len <= max_payload(self.shared.underlay_mtu, path.widest)
            })
        };
        len >= SHARED_MIN_LEN && slots.len() >= SHARED_MIN_MEMBERS && self.snapshot.in_slots(slots).all(fits)
    }

    /// Seals a frame once, with a key of its own, and that key for each member.
    fn flood_shared(
        &self,
        slots: &[Slot],
        now: Time,
        frame: &mut FrameIn<'_>,
        Sending { rng, cipher, lent }: &mut Sending,
        sink: &mut impl Sink,
    ) -> Result<(), Counter> {
        let shared = SharedSeal::new(*cipher, &rng.secret(), frame.bytes);
        let mut result = Ok(());
        for path in self.snapshot.in_slots(slots).filter_map(|member| member.path.as_ref()) {
            let ends = lent.ends.next(sink);
            match path.seal_shared(ends, &shared, frame.segment, now) {
                Ok(()) => {
                    sink.datagram(Datagram { to: path.next, parts: [&ends.head, frame.bytes, &ends.tail] });
                    self.counters.bump(Counter::DatagramsOut);
                }
                Err(reason) => result = Err(reason),
            }
        }
        result
    }
}
