//! Memory of a forwarder that sinks are lent: what stands before and behind the bodies of datagrams, and the copies of
//! a frame that goes to several members. What is written there, and where it goes, is nothing this file knows.

use crate::engine::Sink;
use crate::session::Ends;

/// Datagrams whose ends are lent at a time: as many as Linux takes at once (`UDP_MAX_SEGMENTS` before 6.9).
const ENDS: usize = 64;
/// Copies that are lent at a time: enough for a broadcast to the other members of a mesh of a dozen sites.
const COPIES: usize = 16;

/// All that a forwarder lends.
pub(super) struct Lent {
    pub(super) ends: Pool<Box<Ends>>,
    pub(super) copies: Pool<Vec<u8>>,
}

/// Pieces of memory to lend one after the other. Each is an allocation of its own, so that to write to one leaves
/// those alone that a sink still has pointers to.
pub(super) struct Pool<T> {
    pieces: Box<[T]>,
    used: usize,
}

impl Lent {
    /// Room for frames of up to `max_frame` bytes. Allocates all it will ever need.
    pub(super) fn new(max_frame: usize) -> Self {
        Lent {
            ends: Pool { pieces: (0..ENDS).map(|_| Box::default()).collect(), used: 0 },
            copies: Pool { pieces: (0..COPIES).map(|_| Vec::with_capacity(max_frame)).collect(), used: 0 },
        }
    }

    /// Bytes that this takes at most, those of the allocator's own included.
    #[cfg(feature = "ffi")]
    pub(super) const fn demand(max_frame: usize) -> usize {
        2 * (ENDS * size_of::<Ends>() + COPIES * max_frame)
    }

    /// A new call begins: what was lent in former ones is free.
    pub(super) fn take_back(&mut self) {
        (self.ends.used, self.copies.used) = (0, 0);
    }
}

impl<T> Pool<T> {
    /// A piece that is not lent. Reclaims all from the sink if there is none.
    #[inline]
    pub(super) fn next(&mut self, sink: &mut impl Sink) -> &mut T {
        if self.used == self.pieces.len() {
            sink.reclaim();
            self.used = 0;
        }
        self.used += 1;
        &mut self.pieces[self.used - 1]
    }
}
