//! What the functions of the C ABI return.

use core::ffi::c_char;
use core::fmt;

/// What a function returns: `LEON_OK`, or one of the errors, which are negative. Never a count. Numbers are never
/// given another meaning; later versions may add more.
#[allow(non_camel_case_types, reason = "its name in C")]
pub type leon_status = i32;

/// Done.
pub const LEON_OK: leon_status = 0;
/// A pointer is NULL that must not be.
pub const LEON_E_NULL: leon_status = -1;
/// A pointer is not aligned for what it points to, or a count is larger than any memory.
pub const LEON_E_POINTER: leon_status = -2;
/// A handle is no handle of this kind, or has been freed.
pub const LEON_E_HANDLE: leon_status = -3;
/// Another thread is using this forwarder.
pub const LEON_E_BUSY: leon_status = -4;
/// The call was made from inside a callback of the same forwarder, which is still at work.
pub const LEON_E_REENTRANT: leon_status = -5;
/// The engine has been freed; its forwarder can only be freed too.
pub const LEON_E_CLOSED: leon_status = -6;
/// A panic has stopped this call: a bug in leon, please report it. From now on all calls with this engine return
/// `LEON_E_POISONED`.
pub const LEON_E_PANIC: leon_status = -7;
/// An earlier call with this engine has returned `LEON_E_PANIC`: it can only be freed.
pub const LEON_E_POISONED: leon_status = -8;
/// The header this program was compiled with has another ABI number than the library.
pub const LEON_E_ABI: leon_status = -9;
/// A `struct_size` is smaller than that of the first version of the struct, or absurdly large.
pub const LEON_E_SIZE: leon_status = -10;
/// The caller asks for something this version of the library does not know: a field beyond its own struct is not
/// zero, a reserved field is not zero, or a flag or a constant is unknown.
pub const LEON_E_UNSUPPORTED: leon_status = -11;
/// The configuration is wrong; the text says what and where.
pub const LEON_E_CONFIG: leon_status = -12;
/// An address is neither IPv4 nor IPv6.
pub const LEON_E_ADDRESS: leon_status = -13;
/// A text is not UTF-8, or is not what it should be: a key, an address, a number.
pub const LEON_E_TEXT: leon_status = -14;
/// The caller's memory is too small for the answer, and holds the beginning of it. The count says how much is needed.
pub const LEON_E_SPACE: leon_status = -15;
/// No such member, or no such segment at this node.
pub const LEON_E_NOT_FOUND: leon_status = -16;
/// A value is out of its range; the text says which.
pub const LEON_E_RANGE: leon_status = -17;
/// A callback that leon cannot do without is NULL.
pub const LEON_E_CALLBACK: leon_status = -18;
/// No memory, or no more handles: at most 4096 engines and 4096 forwarders in one process. The call has changed
/// nothing; the same call can be made again, and succeeds when there is memory. What frames and datagrams need is
/// allocated when engine and forwarder are made.
pub const LEON_E_NOMEM: leon_status = -19;
/// More bytes are needed before there is an answer.
pub const LEON_E_AGAIN: leon_status = -20;
/// The process has forked since the engine was made: to go on in the child would use nonces twice. The child
/// can only free it.
pub const LEON_E_FORKED: leon_status = -21;
/// The host cannot be announced: this node announces as many as it may, or another member has used the last
/// sequence number for it; the text says which.
pub const LEON_E_HOST_LIMIT: leon_status = -22;

/// Every status with its sentence.
const SENTENCES: &[(leon_status, &core::ffi::CStr)] = &[
    (LEON_OK, c"done"),
    (LEON_E_NULL, c"a pointer is NULL that must not be"),
    (LEON_E_POINTER, c"a pointer is not aligned, or a count is larger than any memory"),
    (LEON_E_HANDLE, c"not a handle of this kind, or freed"),
    (LEON_E_BUSY, c"another thread is using this forwarder"),
    (LEON_E_REENTRANT, c"called from inside a callback of the same forwarder"),
    (LEON_E_CLOSED, c"the engine has been freed"),
    (LEON_E_PANIC, c"a bug in leon has stopped the call; the engine can only be freed"),
    (LEON_E_POISONED, c"an earlier call has met a bug in leon; the engine can only be freed"),
    (LEON_E_ABI, c"the program was compiled with a header of another ABI"),
    (LEON_E_SIZE, c"a struct_size is too small or too large"),
    (LEON_E_UNSUPPORTED, c"a field, flag or constant that this version of leon does not know"),
    (LEON_E_CONFIG, c"the configuration is wrong"),
    (LEON_E_ADDRESS, c"an address is neither IPv4 nor IPv6"),
    (LEON_E_TEXT, c"a text is malformed"),
    (LEON_E_SPACE, c"the memory for the answer is too small"),
    (LEON_E_NOT_FOUND, c"no such member, or no such segment at this node"),
    (LEON_E_RANGE, c"a value is out of its range"),
    (LEON_E_CALLBACK, c"a callback that leon cannot do without is NULL"),
    (LEON_E_NOMEM, c"no more memory, or no more handles"),
    (LEON_E_AGAIN, c"more bytes are needed"),
    (LEON_E_FORKED, c"the process has forked since the engine was made; the child can only free it"),
    (LEON_E_HOST_LIMIT, c"the host cannot be announced"),
];

/// Why a call failed: the status, and a sentence about this very case where there is more to say.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) status: leon_status,
    pub(super) text: String,
}

impl Error {
    /// An error with a sentence, which is left out when there is no memory for it.
    pub(super) fn new(status: leon_status, text: impl fmt::Display) -> Self {
        let mut sentence = Sentence(String::new());
        let is_whole = fmt::write(&mut sentence, format_args!("{text}")).is_ok();
        Error { status, text: if is_whole { sentence.0 } else { String::new() } }
    }

    /// A NULL, where `what` must be given.
    pub(super) fn null(what: &str) -> Self {
        Error::new(LEON_E_NULL, format_args!("{what} is NULL"))
    }
}

/// A text that may fail to grow.
struct Sentence(String);

impl fmt::Write for Sentence {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.0.try_reserve(more.len()).map_err(|_| fmt::Error)?;
        self.0.push_str(more);
        Ok(())
    }
}

impl From<leon_status> for Error {
    /// An error about which there is no more to say: no memory is taken.
    fn from(status: leon_status) -> Self {
        Error { status, text: String::new() }
    }
}

/// The sentence of a status.
pub(super) fn sentence(status: leon_status) -> &'static str {
    sentence_in_c(status).to_str().unwrap_or_default()
}

fn sentence_in_c(status: leon_status) -> &'static core::ffi::CStr {
    let known = SENTENCES.iter().find(|(known, _)| *known == status);
    known.map_or(c"an unknown status", |(_, sentence)| sentence)
}

/// A short sentence in English for a status; never NULL.
///
/// @param status any number; an unknown one has a sentence too
/// @return a NUL-terminated string that is valid as long as the library is loaded; not to be freed
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership the library keeps the string
/// @errors none
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn leon_strerror(status: leon_status) -> *const c_char {
    sentence_in_c(status).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_number_and_a_sentence_of_its_own() {
        for (at, (status, sentence)) in SENTENCES.iter().enumerate() {
            assert_eq!(*status, -(at as i32), "numbers are never given another meaning");
            assert!(SENTENCES.iter().filter(|(_, other)| other == sentence).count() == 1);
        }
        assert_eq!(sentence(1), "an unknown status");
    }
}
