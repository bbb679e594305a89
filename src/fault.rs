//! Panics on demand: for the test that no panic crosses the C ABI. Only in builds with `--cfg leon_fault`, which no
//! feature turns on.

#![allow(unsafe_code, reason = "C arms it")]

use core::sync::atomic::{AtomicU32, Ordering};

static LEFT: AtomicU32 = AtomicU32::new(0);

/// The point of this number, counted from now, panics: 1 for the next, 0 for none. In no header.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn leon__fault_arm(number: u32) {
    LEFT.store(number, Ordering::Relaxed);
}

/// A place where a panic may be asked for.
pub(crate) fn point() {
    let counted = LEFT.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    assert_ne!(counted, Ok(1), "a test has asked for this panic");
}
