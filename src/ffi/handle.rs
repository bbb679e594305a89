//! Handles: what stands for an engine or a forwarder in C.
//!
//! A handle is not an address. It names a slot of a table that is never freed, and the generation of what is in
//! the slot; so a handle that was freed, or never was one, is told from a live one without reading memory that
//! may be gone. What a slot holds is nothing this file knows.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::ffi::status::{
    LEON_E_BUSY, LEON_E_HANDLE, LEON_E_NOMEM, LEON_E_NULL, LEON_E_REENTRANT, leon_status,
};

/// Bits of a handle that name its slot.
const INDEX_BITS: u32 = 12;
/// Most handles of one kind that are live at a time.
const SLOTS: usize = 1 << INDEX_BITS;
/// Bits of a handle that name the generation of its slot: after so many uses of one slot an old handle would pass
/// for a new one.
const GENERATION_BITS: u32 = if usize::BITS == 64 { 36 } else { 16 };
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;
/// What a handle begins with; on 64-bit machines no address does.
const TAG_SHIFT: u32 = INDEX_BITS + GENERATION_BITS;

/// State of a slot: generation 36 | open 1 | calls 27. Free at 0 but for the generation; reserved, while it is
/// being filled or emptied, with calls but not open.
const OPEN: u64 = 1 << 27;
const CALLS: u64 = OPEN - 1;
const GENERATION_SHIFT: u32 = 28;

/// How many calls may use what is in a slot at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Any number, from any threads.
    Shared,
    /// One.
    Exclusive,
}

/// A cache line of its own for each, as calls write to it.
#[repr(align(64))]
struct Slot<T> {
    state: AtomicU64,
    /// With [`Access::Exclusive`]: the thread whose call uses the slot, 0 if there is none.
    user: AtomicUsize,
    content: UnsafeCell<Option<Box<T>>>,
}

/// A table of slots for one kind of object; lives in a static.
pub(super) struct Table<T> {
    tag: usize,
    access: Access,
    /// Where the search for a free slot begins.
    next: AtomicUsize,
    slots: [Slot<T>; SLOTS],
}

// SAFETY: `content` is written only by who has reserved the slot, by a change of `state` that one thread wins, and
// read only between a change of `state` that counts a call and the one that ends it. So what is in there is shared
// between threads, and may be dropped by another than made it.
unsafe impl<T: Send + Sync> Sync for Table<T> {}

impl<T> Table<T> {
    /// An empty table. `tag` tells its handles from those of other tables; 1 to 15.
    pub(super) const fn new(tag: usize, access: Access) -> Self {
        const {
            assert!(TAG_SHIFT + 4 <= usize::BITS, "index, generation and tag fit a pointer");
            assert!(GENERATION_BITS + GENERATION_SHIFT <= 64, "generation and calls fit the state");
        }
        Table {
            tag,
            access,
            next: AtomicUsize::new(0),
            slots: [const {
                Slot { state: AtomicU64::new(0), user: AtomicUsize::new(0), content: UnsafeCell::new(None) }
            }; SLOTS],
        }
    }

    /// Puts an object into the table and gives its handle.
    pub(super) fn insert(&self, object: Box<T>) -> Result<usize, leon_status> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        for index in (0..SLOTS).map(|offset| (start + offset) % SLOTS) {
            let slot = &self.slots[index];
            let state = slot.state.load(Ordering::Relaxed);
            if state & (OPEN | CALLS) != 0
                || slot
                    .state
                    .compare_exchange(state, state + 1, Ordering::Acquire, Ordering::Relaxed)
                    .is_err()
            {
                continue;
            }
            // SAFETY: the change from free to reserved was this thread's, so the slot is its alone.
            unsafe { *slot.content.get() = Some(object) };
            slot.state.store(state | OPEN, Ordering::Release);
            return Ok(self.handle(index, state >> GENERATION_SHIFT));
        }
        Err(LEON_E_NOMEM)
    }

    /// Begins a call with the object of a handle.
    pub(super) fn enter(&'static self, handle: usize) -> Result<Entered<T>, leon_status> {
        let (slot, generation) = self.find(handle)?;
        let mut state = slot.state.load(Ordering::Relaxed);
        loop {
            if state >> GENERATION_SHIFT != generation || state & OPEN == 0 {
                return Err(LEON_E_HANDLE);
            }
            if self.access == Access::Exclusive && state & CALLS != 0 {
                // A thread that is using the slot already can only get here from inside a callback.
                let is_own = slot.user.load(Ordering::Relaxed) == this_thread();
                return Err(if is_own { LEON_E_REENTRANT } else { LEON_E_BUSY });
            }
            match slot.state.compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(found) => state = found,
            }
        }
        if self.access == Access::Exclusive {
            slot.user.store(this_thread(), Ordering::Relaxed);
        }
        Ok(Entered { table: self, slot, thread: PhantomData })
    }

    /// Takes a handle out of use. Its object is dropped now, or at the end of the last call that uses it.
    pub(super) fn remove(&'static self, handle: usize) -> Result<(), leon_status> {
        let (slot, generation) = self.find(handle)?;
        let mut state = slot.state.load(Ordering::Relaxed);
        loop {
            if state >> GENERATION_SHIFT != generation || state & OPEN == 0 {
                return Err(LEON_E_HANDLE);
            }
            // Counts as a call, so that the last to leave empties the slot.
            let closing = (state & !OPEN) + 1;
            match slot.state.compare_exchange_weak(state, closing, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(found) => state = found,
            }
        }
        leave(slot);
        Ok(())
    }

    fn handle(&self, index: usize, generation: u64) -> usize {
        self.tag << TAG_SHIFT | ((generation & GENERATION_MASK) as usize) << INDEX_BITS | index
    }

    fn find(&self, handle: usize) -> Result<(&Slot<T>, u64), leon_status> {
        if handle == 0 {
            return Err(LEON_E_NULL);
        }
        if handle >> TAG_SHIFT != self.tag {
            return Err(LEON_E_HANDLE);
        }
        let generation = (handle >> INDEX_BITS) as u64 & GENERATION_MASK;
        Ok((&self.slots[handle % SLOTS], generation))
    }
}

/// Ends a call; the last one in a slot that is not open any more empties it.
fn leave<T>(slot: &Slot<T>) {
    let mut state = slot.state.load(Ordering::Relaxed);
    loop {
        if state & (OPEN | CALLS) == 1 {
            break;
        }
        match slot.state.compare_exchange_weak(state, state - 1, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(found) => state = found,
        }
    }
    // Pairs with the release of all who left before. No fence, which ThreadSanitizer does not know.
    slot.state.load(Ordering::Acquire);
    // SAFETY: the slot is not open, so nobody can enter it, and the one call left in it is this.
    let object = unsafe { (*slot.content.get()).take() };
    drop(object);
    let generation = ((state >> GENERATION_SHIFT) + 1) & GENERATION_MASK;
    slot.state.store(generation << GENERATION_SHIFT, Ordering::Release);
}

/// What tells this thread from all others that run: no thread-local storage, which may take memory.
pub(super) fn this_thread() -> usize {
    // SAFETY: asks for a number, and can do nothing else.
    unsafe { libc::pthread_self() as usize }
}

/// A call with an object, which stays until this is dropped. Of the thread that made it.
pub(super) struct Entered<T: 'static> {
    table: &'static Table<T>,
    slot: &'static Slot<T>,
    thread: PhantomData<*mut ()>,
}

impl<T> Entered<T> {
    /// The object.
    pub(super) fn shared(&self) -> &T {
        // SAFETY: while a call is counted, nobody changes the content, unless through `exclusive`, whose borrow
        // of the only call excludes this one.
        let content = unsafe { &*self.slot.content.get() };
        content.as_deref().expect("a slot that can be entered is filled")
    }

    /// The object, of a table with [`Access::Exclusive`].
    pub(super) fn exclusive(&mut self) -> &mut T {
        assert!(self.table.access == Access::Exclusive, "others may be using this object");
        // SAFETY: the table lets in one call at a time, which is this, and it is borrowed as a whole.
        let content = unsafe { &mut *self.slot.content.get() };
        content.as_deref_mut().expect("a slot that can be entered is filled")
    }
}

impl<T> Drop for Entered<T> {
    fn drop(&mut self) {
        if self.table.access == Access::Exclusive {
            self.slot.user.store(0, Ordering::Relaxed);
        }
        leave(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_freed_handle_stays_wrong_although_its_slot_is_used_again() {
        static TABLE: Table<u32> = Table::new(1, Access::Shared);
        let first = TABLE.insert(Box::new(7)).unwrap();
        assert_eq!(TABLE.enter(first).map(|entered| *entered.shared()), Ok(7));
        assert_eq!(TABLE.remove(first), Ok(()));
        assert_eq!(TABLE.remove(first), Err(LEON_E_HANDLE));
        for round in 0..2 * SLOTS as u32 {
            let next = TABLE.insert(Box::new(round)).unwrap();
            assert_eq!(TABLE.enter(first).err(), Some(LEON_E_HANDLE));
            assert_eq!(TABLE.enter(next).map(|entered| *entered.shared()), Ok(round));
            assert_eq!(TABLE.remove(next), Ok(()));
        }
    }

    #[test]
    fn what_is_no_handle_of_the_table_is_refused() {
        static TABLE: Table<u32> = Table::new(1, Access::Shared);
        static OTHER: Table<u32> = Table::new(2, Access::Shared);
        let handle = OTHER.insert(Box::new(7)).unwrap();
        let local = 0;
        for wrong in [handle, &raw const local as usize, usize::MAX, 1] {
            assert_eq!(TABLE.enter(wrong).err(), Some(LEON_E_HANDLE));
            assert_eq!(TABLE.remove(wrong), Err(LEON_E_HANDLE));
        }
        assert_eq!(TABLE.enter(0).err(), Some(LEON_E_NULL));
    }

    #[test]
    fn an_exclusive_object_lets_one_call_in() {
        static TABLE: Table<u32> = Table::new(1, Access::Exclusive);
        let handle = TABLE.insert(Box::new(7)).unwrap();
        let mut entered = TABLE.enter(handle).unwrap();
        *entered.exclusive() += 1;
        assert_eq!(TABLE.enter(handle).err(), Some(LEON_E_REENTRANT));
        let other = std::thread::spawn(move || TABLE.enter(handle).err());
        assert_eq!(other.join().unwrap(), Some(LEON_E_BUSY));
        drop(entered);
        assert_eq!(TABLE.enter(handle).map(|entered| *entered.shared()), Ok(8));
    }

    #[test]
    fn an_object_removed_during_a_call_stays_until_its_end() {
        static TABLE: Table<Arc<()>> = Table::new(1, Access::Shared);
        let object = Arc::new(());
        let handle = TABLE.insert(Box::new(Arc::clone(&object))).unwrap();
        let entered = TABLE.enter(handle).unwrap();
        assert_eq!(TABLE.remove(handle), Ok(()));
        assert_eq!(TABLE.enter(handle).err(), Some(LEON_E_HANDLE));
        assert_eq!(Arc::strong_count(entered.shared()), 2);
        drop(entered);
        assert_eq!(Arc::strong_count(&object), 1);
    }

    #[test]
    fn threads_that_enter_and_remove_at_once_drop_each_object_once() {
        static TABLE: Table<Arc<()>> = Table::new(1, Access::Shared);
        let object = Arc::new(());
        for _ in 0..200 {
            let handle = TABLE.insert(Box::new(Arc::clone(&object))).unwrap();
            let removed = std::thread::scope(|scope| {
                let spawn = |_| {
                    scope.spawn(|| {
                        while let Ok(entered) = TABLE.enter(handle) {
                            assert!(Arc::strong_count(entered.shared()) >= 2);
                            if TABLE.remove(handle).is_ok() {
                                return 1;
                            }
                        }
                        0
                    })
                };
                let threads: Vec<_> = (0..4).map(spawn).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
            });
            assert_eq!((removed, Arc::strong_count(&object)), (1, 1));
        }
    }

    #[test]
    fn a_full_table_refuses_more() {
        static TABLE: Table<u32> = Table::new(1, Access::Shared);
        for n in 0..SLOTS as u32 {
            TABLE.insert(Box::new(n)).unwrap();
        }
        assert_eq!(TABLE.insert(Box::new(0)), Err(LEON_E_NOMEM));
    }
}
