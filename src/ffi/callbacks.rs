//! The caller's functions, and the sink that calls them.
//!
//! Datagrams and frames are handed over in batches: as many as one call of the engine puts out, up to the room of
//! a batch. Nothing of them is copied.

use core::ffi::{c_char, c_void};
use core::mem::offset_of;

use crate::ffi::batch::Batch;
use crate::ffi::event::{EventText, leon_event};
use crate::ffi::memory::{self, Extensible};
use crate::ffi::reserve::{Claim, RESERVE, Term};
use crate::ffi::status::{Error, LEON_E_CALLBACK, LEON_E_UNSUPPORTED};
use crate::ffi::types::{leon_datagram_out, leon_frame_out, leon_time};
use crate::{Datagram, Event, Frame, Sink, Time};

/// Something went wrong in this node; it may not work as configured.
pub const LEON_LOG_ERROR: u32 = 1;
/// Something in the mesh is wrong, and people may want to look at it.
pub const LEON_LOG_WARN: u32 = 2;
/// What people follow.
pub const LEON_LOG_INFO: u32 = 3;

/// What leon calls. Filled in by the caller, copied by `leon_engine_new`.
///
/// All of them are called on the thread that called leon, before that call returns, with no lock of leon held;
/// never at any other time. They must return: no longjmp, no exception. What they are given is valid until they
/// return. From inside a callback every function may be called but those that use the same forwarder, which return
/// `LEON_E_REENTRANT`; freeing the engine or the forwarder that is at work takes effect when the call ends.
///
/// A callback may be called by several threads at once if several threads call leon at once.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_callbacks {
    /// `sizeof(leon_callbacks)`.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The first argument of each callback; leon does not look at it. Calls with a forwarder use that of the
    /// forwarder instead.
    pub user_data: *mut c_void,
    /// Send these datagrams, 1 or more, in this order. What cannot be sent now is best dropped: leon expects of
    /// the underlay what IP gives. Required.
    pub datagrams_out: Option<
        unsafe extern "C" fn(user_data: *mut c_void, datagrams: *const leon_datagram_out, count: usize),
    >,
    /// Deliver these frames, 1 or more, to the local network, in this order. Required.
    pub frames_out:
        Option<unsafe extern "C" fn(user_data: *mut c_void, frames: *const leon_frame_out, count: usize)>,
    /// Call `leon_engine_timer` at `deadline` from now on, or not at all if it is `LEON_TIME_NEVER`: set the timer
    /// anew. May be NULL for those who ask `leon_engine_deadline` each turn. Where several threads call, two such
    /// callbacks can overtake each other: then ask `leon_engine_deadline` in it.
    pub deadline_changed: Option<unsafe extern "C" fn(user_data: *mut c_void, deadline: leon_time)>,
    /// Something happened. May be NULL.
    pub event: Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const leon_event)>,
    /// One line for the log of this engine, NUL-terminated, of `len` bytes: `level` is one of `LEON_LOG_*`; `id` is
    /// the `LEON_EVENT_*` it tells of, and stays the same when the words change. May be NULL; then no text is made.
    pub log: Option<
        unsafe extern "C" fn(user_data: *mut c_void, level: u32, id: u32, message: *const c_char, len: usize),
    >,
}

// SAFETY: integers, a pointer and functions that may be absent; zero is none of them; the size first.
unsafe impl Extensible for leon_callbacks {
    const NAME: &'static str = "callbacks";
    const FIRST: usize = offset_of!(leon_callbacks, log) + size_of::<usize>();
}

/// What may be in [`leon_callbacks`], checked.
#[derive(Clone, Copy)]
pub(super) struct Callbacks {
    user_data: *mut c_void,
    datagrams_out: unsafe extern "C" fn(*mut c_void, *const leon_datagram_out, usize),
    frames_out: unsafe extern "C" fn(*mut c_void, *const leon_frame_out, usize),
    deadline_changed: Option<unsafe extern "C" fn(*mut c_void, leon_time)>,
    event: Option<unsafe extern "C" fn(*mut c_void, *const leon_event)>,
    log: Option<unsafe extern "C" fn(*mut c_void, u32, u32, *const c_char, usize)>,
}

// SAFETY: the documentation of the struct says that the callbacks are called on whatever thread calls leon, and by
// several at once; `user_data` is only handed on.
unsafe impl Send for Callbacks {}
// SAFETY: as above.
unsafe impl Sync for Callbacks {}

impl Callbacks {
    /// Reads the caller's struct.
    ///
    /// # Safety
    ///
    /// `from` is NULL, or points to as many readable bytes as its `struct_size` says.
    pub(super) unsafe fn read(from: *const leon_callbacks) -> Result<Self, Error> {
        // SAFETY: the caller's word.
        let given = unsafe { memory::read_sized(from)? };
        if given.reserved != 0 {
            return Err(Error::new(LEON_E_UNSUPPORTED, "callbacks.reserved is not 0"));
        }
        let missing = |name| Error::new(LEON_E_CALLBACK, format_args!("callbacks.{name} is NULL"));
        Ok(Callbacks {
            user_data: given.user_data,
            datagrams_out: given.datagrams_out.ok_or_else(|| missing("datagrams_out"))?,
            frames_out: given.frames_out.ok_or_else(|| missing("frames_out"))?,
            deadline_changed: given.deadline_changed,
            event: given.event,
            log: given.log,
        })
    }

    /// The same functions, with another first argument.
    pub(super) fn with_user_data(self, user_data: *mut c_void) -> Self {
        Callbacks { user_data, ..self }
    }
}

/// The sink of one call.
pub(super) struct CallSink<'a> {
    pub(super) callbacks: &'a Callbacks,
    pub(super) batch: &'a mut Batch,
    /// What stands by for a datagram for the control plane.
    pub(super) claim: Option<Claim>,
}

impl CallSink<'_> {
    /// Hands over what has been collected. To be called before the call of the engine's user ends.
    pub(super) fn flush(&mut self) {
        let datagrams = self.batch.datagrams();
        if !datagrams.is_empty() {
            // SAFETY: a function of the caller's, with what the header says.
            unsafe {
                (self.callbacks.datagrams_out)(self.callbacks.user_data, datagrams.as_ptr(), datagrams.len());
            }
        }
        let frames = self.batch.frames();
        if !frames.is_empty() {
            // SAFETY: a function of the caller's, with what the header says.
            unsafe { (self.callbacks.frames_out)(self.callbacks.user_data, frames.as_ptr(), frames.len()) };
        }
        self.batch.clear();
    }

    #[cold]
    fn make_room(&mut self) {
        self.flush();
    }

    #[cold]
    fn tell(&mut self, event: &Event) {
        // What happened before is told before.
        self.flush();
        self.log(event);
        if let Some(callback) = self.callbacks.event {
            leon_event::with(event, |event| {
                // SAFETY: a function of the caller's, with what the header says.
                unsafe { callback(self.callbacks.user_data, event) };
            });
        }
    }

    fn log(&self, event: &Event) {
        let Some(log) = self.callbacks.log else { return };
        let text = EventText::of(event);
        let line = text.line();
        // SAFETY: a function of the caller's, with what the header says.
        unsafe { log(self.callbacks.user_data, text.level, text.id, line.as_ptr(), line.count_bytes()) };
    }
}

impl Sink for CallSink<'_> {
    // Where the engine calls this, it knows most lengths.
    #[inline(always)]
    fn datagram(&mut self, datagram: Datagram<'_>) {
        if self.batch.is_full_of_datagrams() {
            self.make_room();
        }
        // SAFETY: now there is room.
        unsafe { self.batch.push_datagram(&datagram) };
    }

    #[inline]
    fn frame(&mut self, frame: Frame<'_>) {
        if self.batch.is_full_of_frames() {
            self.make_room();
        }
        // SAFETY: now there is room.
        unsafe { self.batch.push_frame(&frame) };
    }

    fn event(&mut self, event: Event) {
        self.tell(&event);
    }

    fn deadline(&mut self, at: Time) {
        if let Some(deadline_changed) = self.callbacks.deadline_changed {
            // SAFETY: a function of the caller's, with what the header says.
            unsafe { deadline_changed(self.callbacks.user_data, at.as_nanos()) };
        }
    }

    fn reclaim(&mut self) {
        self.flush();
    }

    #[cold]
    fn admit(&mut self, bytes: usize) -> bool {
        // What the former datagram has left over goes back first.
        self.claim = None;
        self.claim = RESERVE.claim(bytes, Term::Standing).ok();
        self.claim.is_some()
    }
}
