//! Frames and datagrams in, from C.
//!
//! Nothing here allocates for a frame once a forwarder is made, and no forwarder waits for another.

use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr;
use core::sync::atomic::Ordering;
use std::sync::Arc;

use crate::ffi::batch::{Batch, Copies};
use crate::ffi::call::{Core, FORWARDERS, check_time, look_at_engine, without_engine};
use crate::ffi::callbacks::{CallSink, Callbacks};
use crate::ffi::counter::{LEON_COUNTER_NONE, number_of};
use crate::ffi::engine::leon_engine;
use crate::ffi::memory;
use crate::ffi::status::{Error, LEON_E_NOMEM, LEON_E_UNSUPPORTED, LEON_OK, leon_status};
use crate::ffi::types::{
    LEON_FRAME_KEEP, leon_datagram_in, leon_frame_in, leon_iov, leon_time, segment as segment_of, source,
};
use crate::{Counter, DatagramIn, Forwarder, FrameIn, Time};

/// Moves the frames and datagrams of one thread, made by `leon_forwarder_new`. A handle: it is not an address, and
/// nothing can be read through it.
pub struct leon_forwarder(());

/// A forwarder with what belongs to it in C.
pub(super) struct LocalForwarder {
    core: Arc<Core>,
    moving: Moving,
    batch: Batch,
    callbacks: Callbacks,
    /// The latest time of its calls.
    clock: u64,
}

impl Drop for LocalForwarder {
    /// A forwarder that goes takes a lock, which in a child of the process a thread may hold that does not exist
    /// there: it stays.
    fn drop(&mut self) {
        if self.core.check_fork().is_ok() {
            // SAFETY: not used any more, as this is dropped.
            unsafe { ManuallyDrop::drop(&mut self.moving.forwarder) };
        }
    }
}

/// What moves frames and datagrams, apart from where they go.
struct Moving {
    /// Dropped with the [`LocalForwarder`].
    forwarder: ManuallyDrop<Forwarder>,
    copies: Copies,
}

/// Makes a forwarder: the way for one thread to hand in frames and datagrams. Threads with a forwarder each do not
/// wait for each other. Frames of one flow stay in order if they go through one forwarder.
///
/// @param engine    the engine
/// @param user_data the first argument of the callbacks that calls with this forwarder make
/// @param forwarder receives the handle; unchanged if the call fails
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership the caller frees the forwarder with `leon_forwarder_free`. `user_data` is to outlive it
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_forwarder_new(
    engine: *mut leon_engine,
    user_data: *mut c_void,
    forwarder: *mut *mut leon_forwarder,
) -> leon_status {
    look_at_engine(engine.addr(), |core| {
        if forwarder.is_null() {
            return Err(Error::null("forwarder"));
        }
        let memory = core.claim(demand(core))?;
        let local = Box::new(LocalForwarder {
            moving: Moving {
                forwarder: ManuallyDrop::new(core.engine.forwarder()),
                copies: Copies::new(core.underlay_mtu),
            },
            batch: Batch::new(core.max_segments),
            callbacks: core.callbacks.with_user_data(user_data),
            clock: 0,
            core: Arc::clone(core),
        });
        // What frames go through is not to be in the reserve.
        if memory.was_needed() {
            return Err(LEON_E_NOMEM.into());
        }
        let handle = FORWARDERS.insert(local)?;
        // SAFETY: room for a handle, by the caller's word.
        unsafe { memory::write(forwarder, ptr::without_provenance_mut(handle), "forwarder") }
    })
}

/// Bytes that a forwarder takes at most.
fn demand(core: &Core) -> usize {
    Batch::DEMAND + Copies::demand(core.underlay_mtu) + core.engine.forwarder_demand()
}

/// Frees a forwarder. If a call with it is under way, on another thread or further down this one's stack, it ends
/// as usual, and the forwarder is gone after it. What it has counted stays counted.
///
/// @param forwarder the forwarder; NULL does nothing
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback; takes effect when the call under way ends
/// @ownership the handle is not to be used any more, and returns `LEON_E_HANDLE` if it is
/// @errors LEON_E_HANDLE, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_forwarder_free(forwarder: *mut leon_forwarder) -> leon_status {
    if forwarder.is_null() {
        return LEON_OK;
    }
    without_engine(|| Ok(FORWARDERS.remove(forwarder.addr())?))
}

/// Takes one frame from the local network and puts out the datagrams that carry it. Costs less per frame in
/// batches: see `leon_forwarder_frames_in`.
///
/// @param forwarder the forwarder
/// @param now       the caller's clock
/// @param frame     the frame; `dropped` is written
/// @return `LEON_OK` if the frame was looked at, dropped or not; or the error
/// @thread one thread at a time for each forwarder; another gets LEON_E_BUSY
/// @reentrancy not from inside a callback of the same forwarder: LEON_E_REENTRANT; runs callbacks
/// @ownership the frame's memory is the caller's again when the call returns
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_RANGE, LEON_E_UNSUPPORTED, LEON_E_BUSY,
///         LEON_E_REENTRANT, LEON_E_CLOSED, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_forwarder_frame_in(
    forwarder: *mut leon_forwarder,
    now: leon_time,
    frame: *mut leon_frame_in,
) -> leon_status {
    let mut done = 0;
    // SAFETY: an array of one, by the caller's word.
    unsafe { leon_forwarder_frames_in(forwarder, now, frame, 1, &raw mut done) }
}

/// Takes frames from the local network, in order, and puts out the datagrams that carry them, in batches.
///
/// Stops at the first frame that is no frame at all: with a NULL, a flag or a segment that cannot be. A frame that
/// is dropped, as hosts may send what they like, stops nothing: its `dropped` says why.
///
/// @param forwarder the forwarder
/// @param now       the caller's clock
/// @param frames    the frames; `dropped` of each is written
/// @param count     how many
/// @param done      NULL, or receives how many were looked at, whatever the call returns
/// @return `LEON_OK` if all were looked at; or the error of the first that was not
/// @thread one thread at a time for each forwarder; another gets LEON_E_BUSY
/// @reentrancy not from inside a callback of the same forwarder: LEON_E_REENTRANT; runs callbacks
/// @ownership the frames' memory is the caller's again when the call returns
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_RANGE, LEON_E_UNSUPPORTED, LEON_E_BUSY,
///         LEON_E_REENTRANT, LEON_E_CLOSED, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_forwarder_frames_in(
    forwarder: *mut leon_forwarder,
    now: leon_time,
    frames: *mut leon_frame_in,
    count: usize,
    done: *mut usize,
) -> leon_status {
    let act = |moving: &mut Moving, now, frame: &mut leon_frame_in, sink: &mut CallSink<'_>| {
        // SAFETY: the frame's memory, by the caller's word.
        frame.dropped = unsafe { moving.frame_in(now, frame, sink)? };
        Ok(())
    };
    // SAFETY: the caller's word about `frames` and `done`.
    unsafe { for_each(forwarder, now, (frames, count), done, act) }
}

/// Takes one datagram from the socket, or one buffer of several: relays it, delivers the frame in it, or does what
/// the message in it asks. Costs less per datagram in batches: see `leon_forwarder_datagrams_in`.
///
/// @param forwarder the forwarder
/// @param now       the caller's clock
/// @param datagram  the datagram; `dropped` is written
/// @return `LEON_OK` if the datagram was looked at, dropped or not; or the error
/// @thread one thread at a time for each forwarder; another gets LEON_E_BUSY
/// @reentrancy not from inside a callback of the same forwarder: LEON_E_REENTRANT; runs callbacks
/// @ownership the datagram's memory is the caller's again when the call returns
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_RANGE, LEON_E_UNSUPPORTED, LEON_E_ADDRESS,
///         LEON_E_BUSY, LEON_E_REENTRANT, LEON_E_CLOSED, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_forwarder_datagram_in(
    forwarder: *mut leon_forwarder,
    now: leon_time,
    datagram: *mut leon_datagram_in,
) -> leon_status {
    let mut done = 0;
    // SAFETY: an array of one, by the caller's word.
    unsafe { leon_forwarder_datagrams_in(forwarder, now, datagram, 1, &raw mut done) }
}

/// Takes datagrams from the socket, in order. Stops at the first that is no datagram at all: with a NULL, or an
/// address that cannot be. One that is dropped, as anybody may send what they like, stops nothing: its `dropped`
/// says why.
///
/// @param forwarder the forwarder
/// @param now       the caller's clock
/// @param datagrams the datagrams, or buffers of several; `dropped` of each is written
/// @param count     how many
/// @param done      NULL, or receives how many were looked at, whatever the call returns
/// @return `LEON_OK` if all were looked at; or the error of the first that was not
/// @thread one thread at a time for each forwarder; another gets LEON_E_BUSY
/// @reentrancy not from inside a callback of the same forwarder: LEON_E_REENTRANT; runs callbacks
/// @ownership the datagrams' memory is the caller's again when the call returns
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_RANGE, LEON_E_UNSUPPORTED, LEON_E_ADDRESS,
///         LEON_E_BUSY, LEON_E_REENTRANT, LEON_E_CLOSED, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_forwarder_datagrams_in(
    forwarder: *mut leon_forwarder,
    now: leon_time,
    datagrams: *mut leon_datagram_in,
    count: usize,
    done: *mut usize,
) -> leon_status {
    let act = |moving: &mut Moving, now, datagram: &mut leon_datagram_in, sink: &mut CallSink<'_>| {
        // SAFETY: the datagram's memory, by the caller's word.
        datagram.dropped = unsafe { moving.datagrams_in(now, datagram, sink)? };
        Ok(())
    };
    // SAFETY: the caller's word about `datagrams` and `done`.
    unsafe { for_each(forwarder, now, (datagrams, count), done, act) }
}

/// Carries out a call with a forwarder for each of the caller's items, until one fails.
///
/// # Safety
///
/// `items` are NULL and 0, or an array of so many that nobody else uses; `done` is NULL or points to a count.
unsafe fn for_each<T>(
    forwarder: *mut leon_forwarder,
    now: leon_time,
    (items, count): (*mut T, usize),
    done: *mut usize,
    mut act: impl FnMut(&mut Moving, Time, &mut T, &mut CallSink<'_>) -> Result<(), Error>,
) -> leon_status {
    let mut looked_at = 0;
    let mut run = || {
        let mut entered = FORWARDERS.enter(forwarder.addr())?;
        let LocalForwarder { core, moving, batch, callbacks, clock } = entered.exclusive();
        core.check()?;
        let status = core.guard(|| {
            // SAFETY: the caller's word.
            let items = unsafe { memory::array_mut(items, count)? };
            let now = advance(clock, now, core)?;
            let mut sink = CallSink { callbacks, batch, claim: None };
            moving.forwarder.begin();
            let result = items.iter_mut().try_for_each(|item| {
                act(moving, now, item, &mut sink)?;
                looked_at += 1;
                Ok(())
            });
            sink.flush();
            moving.copies.clear();
            result
        });
        Ok(status)
    };
    let status = run().unwrap_or_else(|status: leon_status| status);
    if !done.is_null() {
        // SAFETY: the caller's word.
        unsafe { done.write_unaligned(looked_at) };
    }
    status
}

/// The time of a call with a forwarder.
#[inline]
fn advance(clock: &mut u64, now: leon_time, core: &Core) -> Result<Time, Error> {
    let now = check_time(now)?.as_nanos();
    if now < *clock {
        core.times_back.fetch_add(1, Ordering::Relaxed);
    }
    *clock = now.max(*clock);
    Ok(Time::from_nanos(*clock))
}

impl Moving {
    /// # Safety
    ///
    /// The memory of the frame is the caller's, who lends it for the call.
    #[inline]
    unsafe fn frame_in(
        &mut self,
        now: Time,
        frame: &leon_frame_in,
        sink: &mut CallSink<'_>,
    ) -> Result<u32, Error> {
        if frame.flags & !LEON_FRAME_KEEP != 0 || frame.reserved != 0 {
            return Err(Error::new(LEON_E_UNSUPPORTED, "a frame has a flag or a reserved field set"));
        }
        let segment = segment_of(frame.segment)?;
        if frame.flags == 0 && frame.rest_count == 0 {
            // SAFETY: the caller's word.
            let bytes = unsafe { memory::array_mut(frame.data, frame.len)? };
            return Ok(number(self.forwarder.next_frame(now, FrameIn { segment, bytes }, sink)));
        }
        // SAFETY: the caller's word.
        let (first, rest) = unsafe {
            let first: &[u8] = memory::array(frame.data.cast_const(), frame.len)?;
            (first, memory::array(frame.rest, frame.rest_count)?)
        };
        // SAFETY: the caller's word.
        let piece = |piece: &leon_iov| unsafe { memory::array::<u8>(piece.data, piece.len) };
        for checked in rest.iter().map(piece) {
            checked?;
        }
        if self.copies.is_full() {
            sink.flush();
            self.copies.clear();
        }
        let bytes = self.copies.gather(core::iter::once(first).chain(rest.iter().flat_map(piece)));
        Ok(number(self.forwarder.next_frame(now, FrameIn { segment, bytes }, sink)))
    }

    /// # Safety
    ///
    /// The memory of the datagram is the caller's, who lends it for the call.
    #[inline]
    unsafe fn datagrams_in(
        &mut self,
        now: Time,
        datagram: &leon_datagram_in,
        sink: &mut CallSink<'_>,
    ) -> Result<u32, Error> {
        if datagram.reserved != 0 {
            return Err(Error::new(LEON_E_UNSUPPORTED, "a datagram has a reserved field set"));
        }
        let from = source(datagram.from)?;
        // SAFETY: the caller's word.
        let buffer = unsafe { memory::array_mut(datagram.data, datagram.len)? };
        let received_at = match datagram.received_at {
            0 => now,
            at => Time::from_nanos(at).min(now),
        };
        let size = match datagram.segment_size {
            0 => buffer.len().max(1),
            size => size.into(),
        };
        if buffer.is_empty() {
            return Ok(number(self.forwarder.datagram_in(
                now,
                DatagramIn { from, received_at, bytes: buffer },
                sink,
            )));
        }
        let mut dropped = None;
        for bytes in buffer.chunks_mut(size) {
            let reason = self.forwarder.datagram_in(now, DatagramIn { from, received_at, bytes }, sink);
            dropped = reason.or(dropped);
        }
        Ok(number(dropped))
    }
}

#[inline]
fn number(dropped: Option<Counter>) -> u32 {
    dropped.map_or(LEON_COUNTER_NONE, number_of)
}
