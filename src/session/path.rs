//! A path with all that it takes to seal onto it: header, hop tags, keys (§4.3).

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::node::Segment;
use crate::session::hop::{HopKey, HopStates};
use crate::session::seal::SHARED_TAIL_LEN;
use crate::session::shared::SharedSeal;
use crate::session::table::Keys;
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::SEALED_PREFIX_LEN;
use crate::wire::header::{self, HeaderBytes, MAX_HEADER_LEN};

/// What stands before and behind the sealed content of a datagram.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// The header, and kind and segment.
    pub(crate) head: ArrayVec<u8, { MAX_HEADER_LEN + SEALED_PREFIX_LEN }>,
    /// The tag, and before it what opens a shared frame.
    pub(crate) tail: ArrayVec<u8, SHARED_TAIL_LEN>,
}

/// A path to a node that there is a session with. Made when the path or the keys change; a datagram then costs
/// one seal and eight bytes of MAC per hop.
#[derive(Debug)]
pub(crate) struct SealedPath {
    /// The header, with neither counter nor tags.
    header: HeaderBytes,
    /// Where datagrams are sent first.
    pub(crate) next: SocketAddr,
    /// The address on the path with the longest IP header: what fits the underlay on the way there fits it on all
    /// links.
    pub(crate) widest: IpAddr,
    tags: HopStates,
    keys: Arc<Keys>,
}

impl SealedPath {
    /// The path whose header is `header`, with these `entries`, first to `next`; `relays` are the keys of its
    /// relays in order, `keys` those of its destination.
    pub(crate) fn new<'a>(
        header: HeaderBytes,
        entries: &[SocketAddr],
        next: SocketAddr,
        relays: impl IntoIterator<Item = &'a HopKey>,
        keys: Arc<Keys>,
    ) -> Self {
        let mut tags = HopStates::new(&header, relays);
        tags.push(&header, keys.seal.hop());
        let widest = entries.iter().find(|entry| entry.is_ipv6()).unwrap_or(&next).ip();
        SealedPath { header, next, widest, tags, keys }
    }

    /// Length of the header, in bytes.
    pub(crate) fn header_len(&self) -> usize {
        self.header.len()
    }

    /// Seals `content` in place, and puts into `ends` what stands before and behind it.
    #[inline]
    pub(crate) fn seal(
        &self,
        ends: &mut Ends,
        (kind, segment): (u8, Segment),
        content: &mut [u8],
        now: Time,
    ) -> Result<(), Counter> {
        self.begin(ends, kind, segment, now)?;
        let _ = ends.tail.try_extend_from_slice(&self.keys.seal.seal(&mut ends.head, content));
        Ok(())
    }

    /// Seals what it takes to open a frame that is encrypted for many, and puts into `ends` what stands before and
    /// behind the frame.
    pub(crate) fn seal_shared(
        &self,
        ends: &mut Ends,
        frame: &SharedSeal,
        segment: Segment,
        now: Time,
    ) -> Result<(), Counter> {
        self.begin(ends, frame.kind(), segment, now)?;
        let _ = ends.tail.try_extend_from_slice(&self.keys.seal.seal_shared(&mut ends.head, frame));
        Ok(())
    }

    fn begin(&self, ends: &mut Ends, kind: u8, segment: Segment, now: Time) -> Result<(), Counter> {
        let Ends { head, tail } = ends;
        if now >= self.keys.expires_at {
            return Err(Counter::KeysExpired);
        }
        let counter = self.keys.seal.next_counter().ok_or(Counter::KeysExpired)?;
        head.clear();
        tail.clear();
        // What is put into them fits: their capacity is that of the longest.
        let _ = head.try_extend_from_slice(&self.header);
        header::set_counter(head, counter);
        self.tags.write(head);
        let [_, s0, s1, s2] = segment.id().to_be_bytes();
        let _ = head.try_extend_from_slice(&[kind, s0, s1, s2]);
        Ok(())
    }
}

/// Writes counter and hop tags into the header of a datagram of a handshake, whose destination has no key yet.
pub(crate) fn tag_relays<'a>(
    header: &mut HeaderBytes,
    relays: impl IntoIterator<Item = &'a HopKey>,
    counter: u64,
) {
    let tags = HopStates::new(header, relays);
    header::set_counter(header, counter);
    tags.write(header);
}
