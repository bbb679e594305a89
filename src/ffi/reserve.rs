//! Memory for when there is none.
//!
//! Who is refused memory in Rust ends the process, and no stable means lets the call fail instead. So a call that
//! may take memory first *claims* as much as it can need at most: a chunk that stands by until the call ends. What
//! the allocator refuses during the call is served from there; what was served and outlives the call keeps its place
//! until it is freed. A call that gets no chunk has done nothing yet, and returns `LEON_E_NOMEM`. Chunks are kept for
//! the next call, so that an engine goes on for a while when there is no memory at all. Nothing of a chunk is
//! touched, and so resident, unless the allocator refuses something.
//!
//! How much a call can need is not known here.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::alloc::System;

use crate::ffi::handle::this_thread;
use crate::ffi::status::{LEON_E_NOMEM, leon_status};

/// The reserve of the process. It governs what this library allocates where it is the C library; a Rust program
/// chooses its own allocator, and its claims are idle.
#[cfg_attr(any(leon_c_library, cargo_c), global_allocator)]
pub(super) static RESERVE: Reserve = Reserve::new();

/// What becomes of a chunk that is not in use any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Term {
    /// It is kept for the next call while there is an engine.
    Standing,
    /// It was for a call that needs more than others.
    Single,
}

/// What a chunk begins with. Its bytes are given out from the front; when the last piece is back, from the beginning.
#[repr(align(16))]
struct Chunk {
    next: *mut Chunk,
    /// Length with this head, in bytes.
    size: usize,
    /// Offset of the first byte that is free, and so are all after it.
    used: usize,
    /// Pieces that have not been given back.
    lent: usize,
    /// Pieces that the present claim was served, given back or not.
    served: usize,
    /// The thread whose call has claimed the chunk; 0 if there is none.
    thread: usize,
    term: Term,
}

const HEAD: usize = size_of::<Chunk>();

impl Chunk {
    fn room(&self) -> usize {
        self.size - self.used
    }

    fn layout(size: usize) -> Option<Layout> {
        Layout::from_size_align(size, align_of::<Chunk>()).ok()
    }
}

/// What the lock guards.
struct Pool {
    /// The chunk that was claimed last comes first.
    first: *mut Chunk,
    /// How many engines there are.
    engines: usize,
    is_fork_heard: bool,
}

/// Chunks, and an allocator that takes from them what [`System`] refuses.
pub(super) struct Reserve {
    /// Not one of Rust, which cannot be held over a fork; it takes no memory.
    lock: UnsafeCell<libc::pthread_mutex_t>,
    pool: UnsafeCell<Pool>,
    /// Pieces of all chunks that have not been given back: while there are none, freeing costs one look here.
    lent: AtomicUsize,
}

// SAFETY: the pool, and the chunks it leads to, are used under the lock only.
unsafe impl Sync for Reserve {}

impl Reserve {
    const fn new() -> Self {
        Reserve {
            lock: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            pool: UnsafeCell::new(Pool { first: ptr::null_mut(), engines: 0, is_fork_heard: false }),
            lent: AtomicUsize::new(0),
        }
    }

    /// `act` must neither allocate through this allocator nor panic.
    fn locked<R>(&self, act: impl FnOnce(&mut Pool) -> R) -> R {
        // SAFETY: a mutex that is never moved, unlocked by the thread that locked it; the pool is borrowed while
        // the lock is held, by this alone.
        unsafe {
            libc::pthread_mutex_lock(self.lock.get());
            let result = act(&mut *self.pool.get());
            libc::pthread_mutex_unlock(self.lock.get());
            result
        }
    }

    /// Sets `bytes` aside for what this thread does until the claim is dropped.
    pub(super) fn claim(&'static self, bytes: usize, term: Term) -> Result<Claim, leon_status> {
        let chunk = self.locked(|pool| {
            let chunk = pool.take_idle(bytes).or_else(|| pool.make(bytes, term))?;
            // SAFETY: a chunk in no list and no call's use: this thread's alone.
            unsafe {
                (*chunk).thread = this_thread();
                (*chunk).served = 0;
                (*chunk).next = pool.first;
            }
            pool.first = chunk;
            Some(chunk)
        });
        let chunk = chunk.ok_or(LEON_E_NOMEM)?;
        Ok(Claim { reserve: self, chunk, thread: PhantomData })
    }

    /// Takes note of an engine: while there are any, chunks are kept.
    pub(super) fn move_in(&'static self) -> Result<Tenant, leon_status> {
        self.locked(|pool| {
            if !pool.is_fork_heard {
                // SAFETY: functions that do nothing but lock and unlock.
                let status = unsafe { pthread_atfork(hold, let_go, let_go) };
                if status != 0 {
                    return Err(LEON_E_NOMEM);
                }
                pool.is_fork_heard = true;
            }
            pool.engines += 1;
            Ok(Tenant(self))
        })
    }

    /// Memory from the chunk that this thread has claimed last; NULL if it has none, or that is not enough.
    #[cold]
    fn serve(&self, layout: Layout) -> *mut u8 {
        self.locked(|pool| {
            let served = pool.serve(layout);
            if !served.is_null() {
                self.lent.fetch_add(1, Ordering::Relaxed);
            }
            served
        })
    }

    /// True if a piece is from a chunk. Who holds one sees that pieces are lent: its own.
    fn is_lender(&self, piece: *mut u8) -> bool {
        self.lent.load(Ordering::Relaxed) != 0 && self.locked(|pool| !pool.chunk_of(piece).is_null())
    }
}

impl Pool {
    /// All chunks.
    fn chunks(&self) -> impl Iterator<Item = *mut Chunk> {
        let first = (!self.first.is_null()).then_some(self.first);
        // SAFETY: chunks in the list are there, and the lock is held.
        core::iter::successors(first, |chunk| Some(unsafe { (**chunk).next }).filter(|next| !next.is_null()))
    }

    /// Takes a chunk with so much room, which no call has claimed, out of the list.
    fn take_idle(&mut self, bytes: usize) -> Option<*mut Chunk> {
        // SAFETY: as in `chunks`.
        let found =
            self.chunks().find(|chunk| unsafe { (**chunk).thread == 0 && (**chunk).room() >= bytes })?;
        self.unlink(found);
        Some(found)
    }

    /// Makes a chunk. If it is to be kept, one that was too small goes.
    fn make(&mut self, bytes: usize, term: Term) -> Option<*mut Chunk> {
        // What changes little in size is to fit the next time.
        let size = bytes.checked_add(bytes / 8)?.checked_add(HEAD)?.checked_next_multiple_of(4096)?;
        // SAFETY: the size is not zero.
        let chunk = unsafe { System.alloc(Chunk::layout(size)?) }.cast::<Chunk>();
        if chunk.is_null() {
            return None;
        }
        let head = Chunk { next: ptr::null_mut(), size, used: HEAD, lent: 0, served: 0, thread: 0, term };
        // SAFETY: room for a head, and more.
        unsafe { chunk.write(head) };
        if term == Term::Standing
            && let Some(small) = self.idle()
        {
            self.free(small);
        }
        Some(chunk)
    }

    /// A chunk that no call has claimed and of which nothing is lent.
    fn idle(&self) -> Option<*mut Chunk> {
        // SAFETY: as in `chunks`.
        self.chunks().find(|chunk| unsafe { (**chunk).thread == 0 && (**chunk).lent == 0 })
    }

    fn unlink(&mut self, chunk: *mut Chunk) {
        let before = self.chunks().find(|at| {
            // SAFETY: as in `chunks`.
            unsafe { (**at).next == chunk }
        });
        // SAFETY: as in `chunks`.
        unsafe {
            match before {
                Some(before) => (*before).next = (*chunk).next,
                None => self.first = (*chunk).next,
            }
        }
    }

    fn free(&mut self, chunk: *mut Chunk) {
        self.unlink(chunk);
        // SAFETY: from `make`, with this layout; in no list any more, and nothing in it is lent.
        unsafe {
            let layout = Chunk::layout((*chunk).size).expect("a chunk that was made has a layout");
            System.dealloc(chunk.cast(), layout);
        }
    }

    /// What is to be done with a chunk from which a piece, or which itself, was given back.
    fn tidy(&mut self, chunk: *mut Chunk) {
        // SAFETY: as in `chunks`.
        let (lent, thread, term) = unsafe { ((*chunk).lent, (*chunk).thread, (*chunk).term) };
        if lent > 0 {
            return;
        }
        // SAFETY: as in `chunks`.
        unsafe { (*chunk).used = HEAD };
        if thread == 0 && (term == Term::Single || self.engines == 0) {
            self.free(chunk);
        }
    }

    /// The chunk that a piece is from; NULL if it is from none.
    fn chunk_of(&self, piece: *mut u8) -> *mut Chunk {
        let is_in = |chunk: &*mut Chunk| {
            // SAFETY: as in `chunks`.
            let size = unsafe { (**chunk).size };
            (chunk.addr()..chunk.addr() + size).contains(&piece.addr())
        };
        self.chunks().find(is_in).unwrap_or(ptr::null_mut())
    }

    fn serve(&mut self, layout: Layout) -> *mut u8 {
        let thread = this_thread();
        for chunk in self.chunks() {
            // SAFETY: as in `chunks`; of this thread's chunks nobody else takes a piece.
            let chunk_ref = unsafe { &mut *chunk };
            if chunk_ref.thread != thread {
                continue;
            }
            let start = (chunk.addr() + chunk_ref.used).next_multiple_of(layout.align()) - chunk.addr();
            let end = start.checked_add(layout.size()).filter(|end| *end <= chunk_ref.size);
            if let Some(end) = end {
                chunk_ref.used = end;
                chunk_ref.lent += 1;
                chunk_ref.served += 1;
                return chunk.cast::<u8>().wrapping_add(start);
            }
        }
        ptr::null_mut()
    }

    /// Makes a piece longer or shorter where it is; false if it is not the last of its chunk, or there is no room,
    /// or the room is another call's.
    fn resize(&mut self, piece: *mut u8, old: usize, new: usize) -> bool {
        let chunk = self.chunk_of(piece);
        // SAFETY: as in `chunks`.
        let chunk = unsafe { &mut *chunk };
        let start = piece.addr() - (&raw const *chunk).addr();
        let is_last = start + old == chunk.used;
        if is_last && (new <= old || chunk.thread == this_thread()) && new <= chunk.size - start {
            chunk.used = start + new;
            return true;
        }
        new <= old
    }

    fn take_back(&mut self, piece: *mut u8, size: usize) {
        let chunk = self.chunk_of(piece);
        // SAFETY: as in `chunks`.
        unsafe {
            if piece.addr() + size == chunk.addr() + (*chunk).used {
                (*chunk).used = piece.addr() - chunk.addr();
            }
            (*chunk).lent -= 1;
        }
        self.tidy(chunk);
    }
}

// SAFETY: what System gives is given back to System, with the same layout; a piece of a chunk is as long and aligned
// as was asked for, and is no other's until it is given back. Nothing here unwinds.
unsafe impl GlobalAlloc for Reserve {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's word.
        let memory = unsafe { System.alloc(layout) };
        if memory.is_null() { self.serve(layout) } else { memory }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's word.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if !memory.is_null() {
            return memory;
        }
        let served = self.serve(layout);
        if !served.is_null() {
            // SAFETY: so many bytes were served.
            unsafe { served.write_bytes(0, layout.size()) };
        }
        served
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if self.is_lender(piece) {
            self.lent.fetch_sub(1, Ordering::Relaxed);
            self.locked(|pool| pool.take_back(piece, layout.size()));
        } else {
            // SAFETY: of no chunk, so System's; the caller's word.
            unsafe { System.dealloc(piece, layout) };
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !self.is_lender(piece) {
            // SAFETY: of no chunk, so System's; the caller's word.
            let memory = unsafe { System.realloc(piece, layout, new_size) };
            if !memory.is_null() {
                return memory;
            }
        } else if self.locked(|pool| pool.resize(piece, layout.size(), new_size)) {
            return piece;
        }
        // SAFETY: the caller's word: the size fits the alignment, and is not zero.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(piece, moved, layout.size().min(new_size));
                self.dealloc(piece, layout);
            }
            moved
        }
    }
}

/// A chunk that stands by for the thread that made this.
pub(super) struct Claim {
    reserve: &'static Reserve,
    chunk: *mut Chunk,
    thread: PhantomData<*mut ()>,
}

impl Claim {
    /// True if the allocator has refused something since, and it came from here.
    pub(super) fn was_needed(&self) -> bool {
        // SAFETY: the chunk is there while it is claimed, and only this thread writes the field.
        unsafe { (*self.chunk).served > 0 }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.reserve.locked(|pool| {
            // SAFETY: the chunk is there while it is claimed, and the lock is held.
            unsafe { (*self.chunk).thread = 0 };
            pool.tidy(self.chunk);
        });
    }
}

/// An engine, as the reserve sees it.
pub(super) struct Tenant(&'static Reserve);

impl Drop for Tenant {
    fn drop(&mut self) {
        self.0.locked(|pool| {
            pool.engines -= 1;
            while pool.engines == 0
                && let Some(idle) = pool.idle()
            {
                pool.free(idle);
            }
        });
    }
}

unsafe extern "C" {
    /// pthread_atfork(3).
    fn pthread_atfork(
        prepare: extern "C" fn(),
        parent: extern "C" fn(),
        child: extern "C" fn(),
    ) -> core::ffi::c_int;
}

/// Before a fork: no other thread is left in the middle of something that the child needs.
extern "C" fn hold() {
    // SAFETY: a mutex that is never moved.
    unsafe { libc::pthread_mutex_lock(RESERVE.lock.get()) };
}

/// After it, in parent and child.
extern "C" fn let_go() {
    // SAFETY: locked by `hold`, on this thread or on the one whose copy this is.
    unsafe { libc::pthread_mutex_unlock(RESERVE.lock.get()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: Layout = Layout::new::<[u64; 8]>();

    fn chunks(reserve: &Reserve) -> usize {
        reserve.locked(|pool| pool.chunks().count())
    }

    fn give_back(reserve: &Reserve, piece: *mut u8) {
        // SAFETY: a piece that was served with this layout.
        unsafe { reserve.dealloc(piece, PIECE) };
    }

    #[test]
    fn a_claim_serves_its_own_thread_as_much_as_was_claimed() {
        static RESERVE: Reserve = Reserve::new();
        assert!(RESERVE.serve(PIECE).is_null(), "nothing is claimed");
        let claim = RESERVE.claim(100 * PIECE.size(), Term::Single).unwrap();
        assert!(!claim.was_needed());
        let other = std::thread::spawn(|| RESERVE.serve(PIECE).is_null());
        assert!(other.join().unwrap());
        let pieces: Vec<_> = (0..100).map(|_| RESERVE.serve(PIECE)).collect();
        assert!(pieces.iter().all(|piece| !piece.is_null()) && claim.was_needed());
        for (at, piece) in pieces.iter().enumerate() {
            // SAFETY: the piece was served, and is so long.
            unsafe { piece.write_bytes(at as u8, PIECE.size()) };
        }
        for (at, piece) in pieces.into_iter().enumerate() {
            // SAFETY: as above.
            assert!((0..PIECE.size()).all(|byte| unsafe { *piece.add(byte) } == at as u8));
            give_back(&RESERVE, piece);
        }
        drop(claim);
        assert_eq!(chunks(&RESERVE), 0);
    }

    #[test]
    fn what_outlives_its_call_stays_and_the_next_call_gets_another_chunk() {
        static RESERVE: Reserve = Reserve::new();
        let engine = RESERVE.move_in().unwrap();
        let bytes = 4096 - HEAD;
        let claim = RESERVE.claim(bytes, Term::Standing).unwrap();
        let pieces: Vec<_> =
            core::iter::repeat_with(|| RESERVE.serve(PIECE)).take_while(|piece| !piece.is_null()).collect();
        drop(claim);
        let claim = RESERVE.claim(bytes, Term::Standing).unwrap();
        assert_eq!(chunks(&RESERVE), 2);
        drop((claim, engine));
        assert_eq!(chunks(&RESERVE), 1, "nothing is kept without an engine but what is lent");
        for piece in pieces {
            give_back(&RESERVE, piece);
        }
        assert_eq!(chunks(&RESERVE), 0);
    }

    #[test]
    fn a_call_inside_of_another_one_uses_up_its_own_chunk_first() {
        static RESERVE: Reserve = Reserve::new();
        let outer = RESERVE.claim(PIECE.size(), Term::Single).unwrap();
        let inner = RESERVE.claim(PIECE.size(), Term::Single).unwrap();
        let piece = RESERVE.serve(PIECE);
        assert!(inner.was_needed() && !outer.was_needed());
        give_back(&RESERVE, piece);
    }

    #[test]
    fn the_last_piece_grows_where_it_is_and_others_move() {
        static RESERVE: Reserve = Reserve::new();
        let _claim = RESERVE.claim(4096, Term::Single).unwrap();
        let (first, last) = (RESERVE.serve(PIECE), RESERVE.serve(PIECE));
        let size = 2 * PIECE.size();
        // SAFETY: pieces that were served with this layout; each is given back with the one it then has.
        unsafe {
            first.write_bytes(7, PIECE.size());
            assert_eq!(RESERVE.realloc(last, PIECE, size), last);
            let moved = RESERVE.realloc(first, PIECE, size);
            assert!(moved != first && *moved.add(PIECE.size() - 1) == 7);
            let long = Layout::from_size_align_unchecked(size, PIECE.align());
            RESERVE.dealloc(moved, long);
            RESERVE.dealloc(last, long);
        }
        assert_eq!(RESERVE.lent.load(Ordering::Relaxed), 0);
    }
}
