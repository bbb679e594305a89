//! Tells a child of fork(2) that an engine is its parent's: both would use the same nonces.

use crate::ffi::status::{Error, LEON_E_NOMEM};

/// A page that the kernel wipes in a child (`MADV_WIPEONFORK`, Linux 4.14), so that no call has to ask for the
/// process id. Where there is no such page, a fork goes unnoticed.
pub(super) struct ForkMark {
    page: *mut u8,
}

const PAGE: usize = 4096;

// SAFETY: the page is only read after its creation.
unsafe impl Send for ForkMark {}
// SAFETY: as above.
unsafe impl Sync for ForkMark {}

impl ForkMark {
    pub(super) fn new() -> Result<Self, Error> {
        // SAFETY: a new mapping, of memory that nothing else uses.
        let page = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(LEON_E_NOMEM.into());
        }
        let page = page.cast::<u8>();
        // SAFETY: the mapping made above; one that is not wiped is good for nothing, but does no harm.
        unsafe {
            page.write(1);
            libc::madvise(page.cast(), PAGE, libc::MADV_WIPEONFORK);
        }
        Ok(ForkMark { page })
    }

    /// True in a child of the process that made the mark.
    #[inline]
    pub(super) fn is_child(&self) -> bool {
        // SAFETY: the mapping is there until this is dropped.
        unsafe { self.page.read_volatile() == 0 }
    }
}

impl Drop for ForkMark {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, which nobody points to any more.
        unsafe { libc::munmap(self.page.cast(), PAGE) };
    }
}
