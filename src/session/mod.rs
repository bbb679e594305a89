//! What two members share: counters, the replay window, and the seal between them.
//!
//! With [`Security::None`](crate::Security::None) sealing writes a tag of zeros and opening checks that it
//! is zero; counters, epochs and the replay window work as they will under keys. A session knows its peer
//! only as two epochs: not its address, not its paths.

#[allow(dead_code, reason = "used when the session table arrives")]
pub(crate) mod hop;
#[allow(dead_code, reason = "used when the session table arrives")]
pub(crate) mod noise;
#[allow(dead_code, reason = "used when the session table arrives")]
pub(crate) mod outer;
mod replay;
#[allow(dead_code, reason = "used when the session table arrives")]
pub(crate) mod seal;
#[allow(dead_code, reason = "used when the session table arrives")]
pub(crate) mod shared;
#[allow(dead_code, reason = "used when the session table arrives")]
pub(crate) mod suite;

use core::sync::atomic::{AtomicU64, Ordering};

use crate::stats::Counter;
use crate::time::Time;
use crate::wire::TAG_LEN;
use crate::wire::header::{self, Header};
use replay::ReplayWindow;

/// The tag of an unsealed datagram.
const NO_TAG: [u8; TAG_LEN] = [0; TAG_LEN];

/// The state shared with one peer, from its appearance to the end of its life or ours.
#[derive(Debug)]
pub(crate) struct Session {
    /// The epoch of datagrams to the peer.
    epoch_out: u8,
    /// The epoch of datagrams from the peer.
    epoch_in: u8,
    next_counter: AtomicU64,
    window: ReplayWindow,
}

impl Session {
    /// A session between this life of the node and that of a peer, both told by their incarnations.
    ///
    /// The numbers start at `now` in units of about a millisecond: a node that gave its peer up and took it
    /// back begins a new session while the peer may still be in the former one, where lower numbers are
    /// repeats.
    pub(crate) fn new(own_incarnation: u64, peer_incarnation: u64, now: Time) -> Self {
        Session {
            epoch_out: epoch(own_incarnation),
            epoch_in: epoch(peer_incarnation),
            next_counter: AtomicU64::new((now.as_nanos() >> 20).max(1)),
            window: ReplayWindow::new(),
        }
    }

    /// The epoch that headers to the peer carry.
    pub(crate) fn epoch_out(&self) -> u8 {
        self.epoch_out
    }

    /// True if `header` belongs to the life of the peer that this session is with.
    pub(crate) fn is_current(&self, header: &Header) -> bool {
        header.epoch == self.epoch_in
    }

    /// Numbers the datagram that begins with `header` and gives the tag to end it with.
    pub(crate) fn seal(&self, header: &mut [u8]) -> [u8; TAG_LEN] {
        header::set_counter(header, self.next_counter.fetch_add(1, Ordering::Relaxed));
        NO_TAG
    }

    /// Checks the tag at the end of `sealed` and that the datagram is new, and gives the content: kind,
    /// segment and what follows.
    pub(crate) fn open<'a>(&self, header: &Header, sealed: &'a mut [u8]) -> Result<&'a mut [u8], Counter> {
        if !self.is_current(header) {
            return Err(Counter::SourceEpoch);
        }
        let content = open_unnumbered(sealed)?;
        if !self.window.accept(header.counter) {
            return Err(Counter::Replayed);
        }
        Ok(content)
    }
}

/// Gives the tag that ends a datagram to or from a node that there is no session with.
pub(crate) fn seal_unnumbered() -> [u8; TAG_LEN] {
    NO_TAG
}

/// Opens a datagram of a node that there is no session with: its tag is checked, its counter is not.
pub(crate) fn open_unnumbered(sealed: &mut [u8]) -> Result<&mut [u8], Counter> {
    let (content, tag) = sealed.split_last_chunk_mut::<TAG_LEN>().ok_or(Counter::DatagramTruncated)?;
    if *tag == NO_TAG { Ok(content) } else { Err(Counter::Tag) }
}

/// Checks the hop tag that a relay or the destination finds in its entry of the path.
pub(crate) fn verify_hop_tag(header: &Header) -> Result<(), Counter> {
    if header.hop_tag == 0 { Ok(()) } else { Err(Counter::Tag) }
}

/// Folds an incarnation into the eight bits a header has for it.
pub(crate) fn epoch(incarnation: u64) -> u8 {
    incarnation.to_be_bytes().into_iter().fold(0, |folded, byte| folded.rotate_left(1) ^ byte)
}
