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
use crate::wire::header::{self, HeaderBytes, MAX_HEADER_LEN};
use crate::wire::{SEALED_PREFIX_LEN, TAG_LEN};

/// What stands in front of the sealed content of a datagram: the header, and kind and segment.
pub(crate) type Head = ArrayVec<u8, { MAX_HEADER_LEN + SEALED_PREFIX_LEN }>;

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

    /// Seals `content` in place; puts what stands before it into `head`, which is empty, and gives the tag that
    /// ends the datagram.
    pub(crate) fn seal(
        &self,
        head: &mut Head,
        (kind, segment): (u8, Segment),
        content: &mut [u8],
        now: Time,
    ) -> Result<[u8; TAG_LEN], Counter> {
        self.begin(head, kind, segment, now)?;
        Ok(self.keys.seal.seal(head, content))
    }

    /// Seals what it takes to open a frame that is encrypted for many; puts what stands before the frame into
    /// `head`, which is empty, and gives what follows it.
    pub(crate) fn seal_shared(
        &self,
        head: &mut Head,
        frame: &SharedSeal,
        segment: Segment,
        now: Time,
    ) -> Result<[u8; SHARED_TAIL_LEN], Counter> {
        self.begin(head, frame.kind(), segment, now)?;
        Ok(self.keys.seal.seal_shared(head, frame))
    }

    fn begin(&self, head: &mut Head, kind: u8, segment: Segment, now: Time) -> Result<(), Counter> {
        if now >= self.keys.expires_at {
            return Err(Counter::KeysExpired);
        }
        let counter = self.keys.seal.next_counter().ok_or(Counter::KeysExpired)?;
        // Neither can fail: the capacity is that of the longest header and the prefix.
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
