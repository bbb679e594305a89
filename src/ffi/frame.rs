//! What C programs need besides an engine: framing of Ethernet over streams, and a look into a frame.

use core::mem::offset_of;

use crate::ffi::call::without_engine;
use crate::ffi::memory::{self, Extensible};
use crate::ffi::status::{Error, LEON_E_AGAIN, LEON_E_RANGE, leon_status};
use crate::ffi::types::leon_mac;

/// Length of what stands before each frame of a stream, in bytes.
pub const LEON_STREAM_HEADER: usize = 4;
/// Longest frame of a stream, in bytes.
pub const LEON_STREAM_MAX: usize = 65535;
/// Shortest frame, in bytes: two addresses and a type.
pub const LEON_FRAME_MIN: usize = 14;

/// Writes what stands before a frame in a stream: its length in four bytes, the highest first, as `-netdev stream`
/// of QEMU, passt and libkrun speak.
///
/// @param frame_len length of the frame in bytes, `LEON_FRAME_MIN` to `LEON_STREAM_MAX`
/// @param header    receives `LEON_STREAM_HEADER` bytes
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_RANGE, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_stream_encode(frame_len: usize, header: *mut u8) -> leon_status {
    without_engine(|| {
        check_len(frame_len)?;
        let bytes = (frame_len as u32).to_be_bytes();
        // SAFETY: room for four bytes, by the caller's word.
        unsafe { memory::write(header.cast(), bytes, "header") }
    })
}

/// Finds the first frame of what was read from a stream. It begins `LEON_STREAM_HEADER` bytes after `data`, the next
/// one `frame_len` bytes later.
///
/// @param data      what was read and not used yet
/// @param len       its length in bytes
/// @param frame_len receives the length of the frame; with `LEON_E_AGAIN`, how many bytes of `data` it takes to go
///                  on
/// @return `LEON_OK` if the frame is there, `LEON_E_AGAIN` if more must be read, `LEON_E_RANGE` if the length cannot
///         be: then the stream is of no use any more; or another error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_AGAIN, LEON_E_RANGE, LEON_E_NULL, LEON_E_POINTER, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_stream_decode(
    data: *const u8,
    len: usize,
    frame_len: *mut usize,
) -> leon_status {
    without_engine(|| {
        // SAFETY: the caller's word.
        let data = unsafe { memory::array(data, len)? };
        let (found, result) = match data.split_first_chunk() {
            None => (LEON_STREAM_HEADER, Err(LEON_E_AGAIN.into())),
            Some((header, rest)) => {
                let frame = u32::from_be_bytes(*header) as usize;
                check_len(frame)?;
                if rest.len() < frame {
                    (LEON_STREAM_HEADER + frame, Err(LEON_E_AGAIN.into()))
                } else {
                    (frame, Ok(()))
                }
            }
        };
        // SAFETY: the caller's word.
        unsafe { memory::write(frame_len, found, "frame_len")? };
        result
    })
}

fn check_len(len: usize) -> Result<(), Error> {
    if (LEON_FRAME_MIN..=LEON_STREAM_MAX).contains(&len) { Ok(()) } else { Err(LEON_E_RANGE.into()) }
}

/// The beginning of an Ethernet frame.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_frame_info {
    /// `sizeof(leon_frame_info)`, set by the caller.
    pub struct_size: u32,
    /// Where the payload begins, in bytes.
    pub payload: u32,
    /// The destination.
    pub destination: leon_mac,
    /// The source.
    pub source: leon_mac,
    /// Id of the outermost VLAN tag (IEEE 802.1Q or 802.1ad), 1 to 4094; 0 if there is none.
    pub vlan: u16,
    /// The type of what follows the addresses and tags, or the length of an IEEE 802.3 frame.
    pub ethertype: u16,
}

// SAFETY: integers; the size first.
unsafe impl Extensible for leon_frame_info {
    const NAME: &'static str = "info";
    const FIRST: usize = offset_of!(leon_frame_info, ethertype) + size_of::<u16>();
}

/// Looks into an Ethernet frame.
///
/// @param data the frame, from its destination address on
/// @param len  its length in bytes
/// @param info receives what was found; its `struct_size` must be set
/// @return `LEON_OK`; `LEON_E_RANGE` if the frame ends too early; or another error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_RANGE, LEON_E_NULL, LEON_E_POINTER, LEON_E_SIZE, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_frame_parse(
    data: *const u8,
    len: usize,
    info: *mut leon_frame_info,
) -> leon_status {
    without_engine(|| {
        // SAFETY: the caller's word.
        let frame = unsafe { memory::array(data, len)? };
        let value = parse(frame).ok_or(LEON_E_RANGE)?;
        // SAFETY: the caller's word.
        unsafe { memory::write_sized(info, value) }
    })
}

fn parse(frame: &[u8]) -> Option<leon_frame_info> {
    let (destination, rest) = frame.split_first_chunk()?;
    let (source, _) = rest.split_first_chunk()?;
    let mut at = 12;
    let mut vlan = 0;
    loop {
        let ethertype = u16::from_be_bytes(*frame.get(at..)?.first_chunk()?);
        at += 2;
        if ethertype != 0x8100 && ethertype != 0x88a8 {
            return Some(leon_frame_info {
                struct_size: 0,
                payload: at as u32,
                destination: leon_mac { bytes: *destination },
                source: leon_mac { bytes: *source },
                vlan,
                ethertype,
            });
        }
        let id = u16::from_be_bytes(*frame.get(at..)?.first_chunk()?) & 0xfff;
        vlan = if vlan == 0 { id } else { vlan };
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::status::LEON_OK;

    #[test]
    fn frames_of_a_stream_are_found_one_after_the_other() {
        let mut stream = Vec::new();
        for len in [14, 60, 65535] {
            let mut header = [0; 4];
            // SAFETY: room for four bytes.
            assert_eq!(unsafe { leon_stream_encode(len, header.as_mut_ptr()) }, LEON_OK);
            stream.extend_from_slice(&header);
            stream.extend(core::iter::repeat_n(len as u8, len));
        }
        let mut rest = &stream[..];
        for len in [14, 60, 65535] {
            for there in [0, 3, 4, 4 + len - 1] {
                let mut needed = 0;
                // SAFETY: so many bytes are there.
                let status = unsafe { leon_stream_decode(rest.as_ptr(), there, &raw mut needed) };
                assert_eq!((status, needed), (LEON_E_AGAIN, if there < 4 { 4 } else { 4 + len }));
            }
            let mut found = 0;
            // SAFETY: so many bytes are there.
            assert_eq!(unsafe { leon_stream_decode(rest.as_ptr(), rest.len(), &raw mut found) }, LEON_OK);
            assert_eq!(found, len);
            rest = &rest[4 + len..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_length_that_no_frame_has_is_refused() {
        for len in [0_u32, 13, 65536, u32::MAX] {
            let (bytes, mut found) = (len.to_be_bytes(), 0);
            // SAFETY: four bytes are there, and room for a length.
            unsafe {
                assert_eq!(leon_stream_decode(bytes.as_ptr(), 4, &raw mut found), LEON_E_RANGE);
                assert_eq!(leon_stream_encode(len as usize, bytes.clone().as_mut_ptr()), LEON_E_RANGE);
            }
        }
    }

    #[test]
    fn the_outermost_tag_and_the_innermost_type_of_a_frame_are_told() {
        let mut frame = vec![1; 6];
        frame.extend([2; 6]);
        frame.extend([0x88, 0xa8, 0x20, 0x07, 0x81, 0x00, 0x00, 0x09, 0x08, 0x06, 0xff]);
        let info = parse(&frame).unwrap();
        assert_eq!((info.vlan, info.ethertype, info.payload), (7, 0x0806, 22));
        assert_eq!((info.destination.bytes, info.source.bytes), ([1; 6], [2; 6]));
        assert!((0..22).all(|len| parse(&frame[..len]).is_none()));
        // Tagged with 0, which is a priority alone.
        frame.splice(12..20, [0x81, 0x00, 0xe0, 0x00]);
        assert_eq!(parse(&frame).map(|info| (info.vlan, info.payload)), Some((0, 18)));
    }
}
