//! What a call puts out, collected: datagrams in trains that the kernel can send at once (UDP GSO), and frames.
//!
//! A batch points into memory that others own, and copies nothing; who fills one sees to it that it is handed over
//! before that memory changes.

use crate::ffi::types::{leon_address, leon_datagram_out, leon_frame_out, leon_iov};
use crate::{Datagram, Frame};

/// Most datagrams and most frames of a batch: as many datagrams as Linux takes in one train (`UDP_MAX_SEGMENTS`
/// before 6.9; later kernels take more).
const ROOM: usize = 64;
/// Most bytes of a train: the longest UDP payload over IPv4, which is shorter than that over IPv6.
const MAX_TRAIN: usize = 65535 - 20 - 8;

/// Datagrams and frames to hand over. None of its vectors ever grows: each has room for `ROOM` datagrams or frames.
pub(super) struct Batch {
    /// Most datagrams of one train, at least 1.
    max_segments: usize,
    trains: Vec<leon_datagram_out>,
    frames: Vec<leon_frame_out>,
    iov: Vec<leon_iov>,
    /// How many there are in all trains.
    datagrams: usize,
}

// SAFETY: the pointers in a batch lead into its own vectors, or into memory that is only used within the call that
// put them there, on one thread.
unsafe impl Send for Batch {}
// SAFETY: there is nothing to be done with a shared batch.
unsafe impl Sync for Batch {}

impl Batch {
    /// Bytes that a batch takes at most.
    pub(super) const DEMAND: usize = 16 * 1024;

    /// An empty batch. Allocates all it will ever need.
    pub(super) fn new(max_segments: usize) -> Self {
        Batch {
            max_segments: max_segments.max(1),
            trains: Vec::with_capacity(ROOM),
            frames: Vec::with_capacity(ROOM),
            iov: Vec::with_capacity(3 * ROOM),
            datagrams: 0,
        }
    }

    /// True if there is no room for another datagram.
    #[inline]
    pub(super) fn is_full_of_datagrams(&self) -> bool {
        self.datagrams == ROOM
    }

    /// True if there is no room for another frame.
    #[inline]
    pub(super) fn is_full_of_frames(&self) -> bool {
        self.frames.len() == ROOM
    }

    /// Adds a datagram.
    ///
    /// # Safety
    ///
    /// There is room for it.
    #[inline(always)]
    pub(super) unsafe fn push_datagram(&mut self, datagram: &Datagram<'_>) {
        debug_assert!(!self.is_full_of_datagrams(), "whoever adds makes room first");
        self.datagrams += 1;
        let first = self.iov.len();
        for part in datagram.parts {
            if !part.is_empty() {
                // SAFETY: there are at most three for each datagram.
                unsafe { append(&mut self.iov, leon_iov { data: part.as_ptr(), len: part.len() }) };
            }
        }
        let (len, count) = (datagram.len(), self.iov.len() - first);
        let to = leon_address::from(datagram.to);
        if self.max_segments > 1
            && let Some(train) = self.trains.last_mut()
            && train.to == to
            && extend(train, len, self.max_segments)
        {
            train.iov_count += count;
            return;
        }
        let train = leon_datagram_out {
            // Not from a slice: the train may grow.
            iov: self.iov.as_ptr().wrapping_add(first),
            iov_count: count,
            len,
            to,
            segment_size: 0,
            segments: 1,
            reserved: 0,
        };
        // SAFETY: there are no more trains than datagrams.
        unsafe { append(&mut self.trains, train) };
    }

    /// Adds a frame.
    ///
    /// # Safety
    ///
    /// There is room for it.
    #[inline]
    pub(super) unsafe fn push_frame(&mut self, frame: &Frame<'_>) {
        let Frame { segment, bytes } = frame;
        let frame =
            leon_frame_out { data: bytes.as_ptr(), len: bytes.len(), segment: segment.id(), reserved: 0 };
        // SAFETY: the caller's word.
        unsafe { append(&mut self.frames, frame) };
    }

    /// The datagrams, in trains.
    pub(super) fn datagrams(&self) -> &[leon_datagram_out] {
        &self.trains
    }

    /// The frames.
    pub(super) fn frames(&self) -> &[leon_frame_out] {
        &self.frames
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.trains.clear();
        self.frames.clear();
        self.iov.clear();
        self.datagrams = 0;
    }
}

/// Appends to a vector, without looking whether it has to grow.
///
/// # Safety
///
/// It has not: its capacity is larger than its length.
#[inline(always)]
unsafe fn append<T: Copy>(to: &mut Vec<T>, item: T) {
    debug_assert!(to.len() < to.capacity(), "a batch does not grow");
    // SAFETY: the caller's word.
    unsafe {
        to.as_mut_ptr().add(to.len()).write(item);
        to.set_len(to.len() + 1);
    }
}

/// Adds a datagram of `len` bytes to a train, if it may have more: all are as long as the first, but the last,
/// which may be shorter.
#[inline]
fn extend(train: &mut leon_datagram_out, len: usize, max_segments: usize) -> bool {
    let size = if train.segments == 1 { train.len } else { usize::from(train.segment_size) };
    let is_even = train.len == size * usize::from(train.segments);
    let is_short = usize::from(train.segments) < max_segments && train.len + len <= MAX_TRAIN;
    if !is_even || !is_short || len > size {
        return false;
    }
    train.segment_size = size as u16;
    train.segments += 1;
    train.len += len;
    true
}

/// A place for the frames that cannot be sealed where they are: in pieces, or in memory that is only read.
pub(super) struct Copies {
    bytes: Vec<u8>,
    max_frame: usize,
}

impl Copies {
    /// Room for some frames that fit the underlay, whose packets have at most `underlay_mtu` bytes.
    pub(super) fn new(underlay_mtu: u16) -> Self {
        // One byte more, so that a frame that is cut is still too long.
        let max_frame = usize::from(underlay_mtu) + 1;
        Copies { bytes: Vec::with_capacity(ROOM / 2 * max_frame), max_frame }
    }

    /// Bytes that the place takes at most.
    pub(super) fn demand(underlay_mtu: u16) -> usize {
        ROOM * (usize::from(underlay_mtu) + 1)
    }

    /// True if a frame more may not fit: what was copied must be done with, then [`clear`](Self::clear)ed.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.capacity() - self.bytes.len() < self.max_frame
    }

    /// Forgets all copies.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Puts a frame together of its pieces. One that is longer than any underlay carries is cut.
    pub(super) fn gather<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> &mut [u8] {
        debug_assert!(!self.is_full(), "whoever copies makes room first");
        let start = self.bytes.len();
        for piece in pieces {
            let room = self.max_frame - (self.bytes.len() - start);
            self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        let len = self.bytes.len() - start;
        // SAFETY: within the vector, which has not been moved, as there was room; what was gathered before, and
        // others may point to, is not borrowed.
        unsafe { core::slice::from_raw_parts_mut(self.bytes.as_mut_ptr().add(start), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segment;
    use core::net::SocketAddr;

    fn trains(max_segments: usize, datagrams: &[(u8, usize)]) -> Vec<(usize, u16, u16, usize)> {
        let mut batch = Batch::new(max_segments);
        let bytes = [7; 2000];
        for (to, len) in datagrams {
            let to = SocketAddr::from(([192, 0, 2, *to], 4789));
            let parts = [&bytes[..20], &bytes[..*len - 36], &bytes[..16]];
            // SAFETY: they are few.
            unsafe { batch.push_datagram(&Datagram { to, parts }) };
        }
        let view =
            |train: &leon_datagram_out| (train.len, train.segment_size, train.segments, train.iov_count);
        batch.datagrams().iter().map(view).collect()
    }

    #[test]
    fn datagrams_of_one_length_to_one_address_make_a_train_that_a_shorter_one_ends() {
        let datagrams = [(1, 1000), (1, 1000), (1, 900), (1, 900), (1, 950), (2, 950), (2, 36)];
        let expected = [(2900, 1000, 3, 9), (900, 0, 1, 3), (950, 0, 1, 3), (986, 950, 2, 5)];
        assert_eq!(trains(64, &datagrams), expected);
    }

    #[test]
    fn a_train_has_no_more_datagrams_or_bytes_than_it_may() {
        assert_eq!(trains(2, &[(1, 100); 3]), [(200, 100, 2, 6), (100, 0, 1, 3)]);
        let long = trains(64, &[(1, 1472); 60]);
        assert_eq!(long[0], (44 * 1472, 1472, 44, 132));
        assert_eq!(long.len(), 2);
    }

    #[test]
    fn nobody_gets_trains_who_did_not_ask() {
        assert_eq!(trains(0, &[(1, 100); 2]), [(100, 0, 1, 3); 2]);
    }

    #[test]
    fn a_batch_is_full_until_it_is_cleared() {
        let mut batch = Batch::new(1);
        let datagram = Datagram { to: SocketAddr::from(([192, 0, 2, 1], 1)), parts: [&[1], &[2], &[3]] };
        let frame = Frame { segment: Segment::DEFAULT, bytes: &[4; 14] };
        for _ in 0..2 {
            for _ in 0..ROOM {
                assert!(!batch.is_full_of_datagrams() && !batch.is_full_of_frames());
                // SAFETY: there is room.
                unsafe {
                    batch.push_datagram(&datagram);
                    batch.push_frame(&frame);
                }
            }
            assert!(batch.is_full_of_datagrams() && batch.is_full_of_frames());
            assert_eq!((batch.datagrams().len(), batch.frames().len()), (ROOM, ROOM));
            batch.clear();
        }
    }

    #[test]
    fn a_frame_in_pieces_is_put_together_and_one_too_long_is_cut() {
        let mut copies = Copies::new(1500);
        assert_eq!(copies.gather([&[1, 2][..], &[], &[3]].into_iter()), [1, 2, 3]);
        assert_eq!(copies.gather([&[0; 1000][..], &[0; 1000]].into_iter()).len(), 1501);
        while !copies.is_full() {
            copies.gather([&[0; 1500][..]].into_iter());
        }
        copies.clear();
        assert!(!copies.is_full());
    }
}
