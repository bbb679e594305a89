//! Reading and writing the caller's memory: structs that may grow, arrays, texts.
//!
//! The one place that turns a pointer of the caller into something Rust may look at. What the bytes mean is not
//! known here.

use core::ffi::{CStr, c_char};
use core::mem::size_of;
use core::ptr;
use std::io::{self, Write as _};

use crate::ffi::status::{
    Error, LEON_E_POINTER, LEON_E_SIZE, LEON_E_SPACE, LEON_E_TEXT, LEON_E_UNSUPPORTED, leon_status,
};

/// No struct of this ABI comes near; a larger `struct_size` is garbage.
const MAX_STRUCT: usize = 4096;

/// A struct that begins with `uint32_t struct_size` and may grow at its end.
///
/// # Safety
///
/// All bit patterns are values of the type, zero stands for what an older caller does not know of, and the first
/// four bytes are the size.
pub(super) unsafe trait Extensible: Copy {
    /// What the struct is called in messages.
    const NAME: &'static str;
    /// Its size in the first version that had it.
    const FIRST: usize;
}

/// Reads a struct of the caller: what an older caller does not have is zero; what a newer one has beyond must be.
///
/// # Safety
///
/// `from` is NULL, or points to as many readable bytes as its `struct_size` says.
pub(super) unsafe fn read_sized<T: Extensible>(from: *const T) -> Result<T, Error> {
    if from.is_null() {
        return Err(Error::null(T::NAME));
    }
    // SAFETY: the caller of a function of the ABI gives at least the size.
    let size = unsafe { from.cast::<u32>().read_unaligned() } as usize;
    check_size::<T>(size)?;
    // SAFETY: `size` bytes are readable, as the size is the caller's own word.
    let bytes = unsafe { core::slice::from_raw_parts(from.cast::<u8>(), size) };
    if bytes.iter().skip(size_of::<T>()).any(|byte| *byte != 0) {
        let text = format!("{} has a field set that this version of leon does not know", T::NAME);
        return Err(Error { status: LEON_E_UNSUPPORTED, text });
    }
    // SAFETY: all zeros are a value of the type; the copy stays within both.
    unsafe {
        let mut value: T = core::mem::zeroed();
        ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut value).cast(), size.min(size_of::<T>()));
        Ok(value)
    }
}

/// Writes a struct for the caller, as much of it as the caller knows; what the caller has beyond becomes zero. The
/// size in it is afterwards that of the version the library fills in.
///
/// # Safety
///
/// `to` is NULL, or points to as many writable bytes as its `struct_size` says.
pub(super) unsafe fn write_sized<T: Extensible>(to: *mut T, value: T) -> Result<(), Error> {
    if to.is_null() {
        return Err(Error::null(T::NAME));
    }
    // SAFETY: the caller of a function of the ABI gives at least the size.
    let size = unsafe { to.cast::<u32>().read_unaligned() } as usize;
    check_size::<T>(size)?;
    let known = size.min(size_of::<T>());
    // SAFETY: `size` bytes are writable, as the size is the caller's own word.
    unsafe {
        ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), to.cast::<u8>(), known);
        to.cast::<u8>().add(known).write_bytes(0, size - known);
        to.cast::<u32>().write_unaligned(known as u32);
    }
    Ok(())
}

fn check_size<T: Extensible>(size: usize) -> Result<(), Error> {
    if size < T::FIRST || size > MAX_STRUCT {
        let text = format!("struct_size of {} is {size}, not {}", T::NAME, size_of::<T>());
        return Err(Error { status: LEON_E_SIZE, text });
    }
    Ok(())
}

/// Checks that `count` elements from `first` on can be an array.
fn check_array<T>(first: *const T, count: usize) -> Result<(), leon_status> {
    if first.is_null() || !first.is_aligned() || count > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(if first.is_null() { super::status::LEON_E_NULL } else { LEON_E_POINTER });
    }
    Ok(())
}

/// An array of the caller. NULL is an array of nothing.
///
/// # Safety
///
/// `first` is NULL with a `count` of 0, or points to `count` elements that nobody writes to for `'a`.
pub(super) unsafe fn array<'a, T>(first: *const T, count: usize) -> Result<&'a [T], leon_status> {
    if count == 0 {
        return Ok(&[]);
    }
    check_array(first, count)?;
    // SAFETY: not NULL, aligned, not too large, and what it points to is there by the caller's word.
    Ok(unsafe { core::slice::from_raw_parts(first, count) })
}

/// An array of the caller, to write to. NULL is an array of nothing.
///
/// # Safety
///
/// `first` is NULL with a `count` of 0, or points to `count` elements that nobody else reads or writes for `'a`.
pub(super) unsafe fn array_mut<'a, T>(first: *mut T, count: usize) -> Result<&'a mut [T], leon_status> {
    if count == 0 {
        return Ok(&mut []);
    }
    check_array(first, count)?;
    // SAFETY: as for `array`, and nobody else uses it by the caller's word.
    Ok(unsafe { core::slice::from_raw_parts_mut(first, count) })
}

/// One object of the caller, to read.
///
/// # Safety
///
/// `from` is NULL or points to a value.
pub(super) unsafe fn read<T: Copy>(from: *const T, what: &str) -> Result<T, Error> {
    if from.is_null() {
        return Err(Error::null(what));
    }
    // SAFETY: not NULL, and what it points to is there by the caller's word.
    Ok(unsafe { from.read_unaligned() })
}

/// One object of the caller, to write.
///
/// # Safety
///
/// `to` is NULL or points to room for a value.
pub(super) unsafe fn write<T>(to: *mut T, value: T, what: &str) -> Result<(), Error> {
    if to.is_null() {
        return Err(Error::null(what));
    }
    // SAFETY: not NULL, and the room is there by the caller's word.
    unsafe { to.write_unaligned(value) };
    Ok(())
}

/// A NUL-terminated text in UTF-8.
///
/// # Safety
///
/// `text` is NULL, or points to a NUL-terminated string that nobody writes to for `'a`.
pub(super) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Error> {
    if text.is_null() {
        return Err(Error::null(what));
    }
    // SAFETY: not NULL, and terminated by the caller's word.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Error::new(LEON_E_TEXT, format_args!("{what} is not UTF-8")))
}

/// Checks that the caller gives room for an answer, before anything is done to find it.
pub(super) fn check_room<T>(to: *mut T, capacity: usize) -> Result<(), Error> {
    if capacity > 0 { Ok(check_array(to, capacity)?) } else { Ok(()) }
}

/// Copies as many of `items` as there is room for, and tells how many there are.
///
/// # Safety
///
/// `to` is NULL with a `capacity` of 0, or points to room for `capacity` items; `count` is NULL or points to a
/// count.
pub(super) unsafe fn write_list<T: Copy>(
    items: impl ExactSizeIterator<Item = T>,
    to: *mut T,
    capacity: usize,
    count: *mut usize,
) -> Result<(), Error> {
    let len = items.len();
    // SAFETY: the caller's word about `count`.
    unsafe { write(count, len, "count")? };
    // All of it, also if the list happens to be empty: what is wrong is wrong every time.
    check_room(to, capacity)?;
    for (at, item) in items.take(capacity).enumerate() {
        // SAFETY: there is room by the caller's word.
        unsafe { to.add(at).write(item) };
    }
    if capacity < len { Err(LEON_E_SPACE.into()) } else { Ok(()) }
}

/// Copies a text with a NUL at its end, cut to the room there is, and tells how long it is without the NUL.
///
/// # Safety
///
/// `to` is NULL with a `capacity` of 0, or points to room for `capacity` bytes; `len` is NULL or points to a
/// length.
pub(super) unsafe fn write_text(
    text: &str,
    to: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> Result<(), Error> {
    // SAFETY: the caller's word.
    unsafe { Room::new(to, capacity)?.fill(len, |room| room.write_all(text.as_bytes())) }
}

/// Writes a value as JSON where [`write_text`] would copy a text: however long it is, it takes no memory.
///
/// # Safety
///
/// As for [`write_text`].
pub(super) unsafe fn write_json(
    value: &impl serde::Serialize,
    to: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> Result<(), Error> {
    // SAFETY: the caller's word.
    unsafe { Room::new(to, capacity)?.fill(len, |room| Ok(serde_json::to_writer(room, value)?)) }
}

/// The caller's room for a text. What does not fit is only counted.
struct Room {
    to: *mut u8,
    capacity: usize,
    len: usize,
}

impl Room {
    fn new(to: *mut c_char, capacity: usize) -> Result<Self, Error> {
        check_room(to, capacity)?;
        Ok(Room { to: to.cast(), capacity, len: 0 })
    }

    /// Lets `write` fill the room with a text, and ends that with a NUL, after a whole character.
    ///
    /// # Safety
    ///
    /// As for [`write_text`].
    unsafe fn fill(
        mut self,
        len: *mut usize,
        write: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> Result<(), Error> {
        write(&mut self).expect("room never refuses, and no value can fail to be written");
        if !len.is_null() {
            // SAFETY: the caller's word about `len`.
            unsafe { len.write_unaligned(self.len) };
        }
        if self.capacity == 0 {
            return Err(LEON_E_SPACE.into());
        }
        let written = self.len.min(self.capacity - 1);
        // SAFETY: so many bytes have been written, and there is room for one more.
        unsafe {
            let text = core::slice::from_raw_parts(self.to, written);
            let end = str::from_utf8(text).map_or_else(|cut| cut.valid_up_to(), str::len);
            self.to.add(end).write(0);
        }
        if written < self.len { Err(LEON_E_SPACE.into()) } else { Ok(()) }
    }
}

impl io::Write for Room {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let room = self.capacity.saturating_sub(1).saturating_sub(self.len);
        // SAFETY: there is room for `capacity` bytes by the word of who made this; what is copied is the library's.
        unsafe {
            ptr::copy_nonoverlapping(more.as_ptr(), self.to.wrapping_add(self.len), more.len().min(room))
        };
        self.len += more.len();
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    struct Growing {
        struct_size: u32,
        old: u32,
        new: u64,
    }

    // SAFETY: nothing but integers, the size first.
    unsafe impl Extensible for Growing {
        const NAME: &'static str = "growing";
        const FIRST: usize = 8;
    }

    #[repr(C, align(8))]
    struct Bytes([u8; 64]);

    #[test]
    fn a_struct_of_any_size_is_read_as_far_as_both_sides_know_it() {
        for size in 0..=64_usize {
            let mut bytes = Bytes([0; 64]);
            bytes.0[..4].copy_from_slice(&(size as u32).to_ne_bytes());
            bytes.0[4..16].fill(0x11);
            // SAFETY: 64 bytes are there, whatever the size says up to that.
            let read = unsafe { read_sized(bytes.0.as_ptr().cast::<Growing>()) };
            if size < 8 {
                assert_eq!(read.unwrap_err().status, LEON_E_SIZE, "{size}");
                continue;
            }
            let read = read.unwrap();
            assert_eq!(read.old, 0x1111_1111);
            let known = (size.saturating_sub(8)).min(8);
            assert_eq!(read.new, (0..known).fold(0, |new, byte| new | 0x11 << (8 * byte)), "{size}");
        }
    }

    #[test]
    fn a_field_of_a_later_version_is_refused_if_it_is_set() {
        for at in 16..64_usize {
            let mut bytes = Bytes([0; 64]);
            bytes.0[..4].copy_from_slice(&64_u32.to_ne_bytes());
            bytes.0[at] = 1;
            // SAFETY: 64 bytes are there.
            let read = unsafe { read_sized(bytes.0.as_ptr().cast::<Growing>()) };
            assert_eq!(read.unwrap_err().status, LEON_E_UNSUPPORTED, "{at}");
        }
    }

    #[test]
    fn a_struct_is_written_as_far_as_the_caller_knows_it() {
        let value = Growing { struct_size: 0, old: 7, new: u64::MAX };
        for size in 8..=64_usize {
            let mut bytes = Bytes([0xaa; 64]);
            bytes.0[..4].copy_from_slice(&(size as u32).to_ne_bytes());
            // SAFETY: 64 bytes are there.
            unsafe { write_sized(bytes.0.as_mut_ptr().cast::<Growing>(), value).unwrap() };
            assert_eq!(bytes.0[..4], (size.min(16) as u32).to_ne_bytes());
            assert_eq!(bytes.0[4..8], 7_u32.to_ne_bytes());
            assert!(bytes.0[8..size.min(16)].iter().all(|byte| *byte == 0xff), "{size}");
            assert!(bytes.0[size.min(16)..size].iter().all(|byte| *byte == 0), "{size}");
            assert!(bytes.0[size..].iter().all(|byte| *byte == 0xaa), "{size}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters_and_its_length_told() {
        let mut room = [1; 4];
        let mut len = 0;
        // SAFETY: the room is there.
        let cut = unsafe { write_text("aéé", room.as_mut_ptr(), room.len(), &raw mut len) };
        assert_eq!((cut.unwrap_err().status, len), (LEON_E_SPACE, 5));
        assert_eq!(room, [b'a'.cast_signed(), 0xc3_u8.cast_signed(), 0xa9_u8.cast_signed(), 0]);
    }
}
