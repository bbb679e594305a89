//! Keys, identities and addresses as text.

use core::ffi::c_char;
use core::net::SocketAddr;
use core::ptr;

use crate::ffi::call::{with_memory, without_engine};
use crate::ffi::memory;
use crate::ffi::status::{Error, LEON_E_SPACE, LEON_E_TEXT, leon_status};
use crate::ffi::types::{LEON_KEY_TEXT_SIZE, leon_address, leon_id, leon_key};
use crate::{NodeId, SecretKey};

/// Derives a node's identity, its public key, from its secret key. Any 32 random bytes are a secret key.
///
/// @param secret the secret key
/// @param id     receives the identity
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_NOMEM, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_id_from_key(secret: *const leon_key, id: *mut leon_id) -> leon_status {
    with_memory(|| {
        // SAFETY: the caller's word.
        let secret = unsafe { memory::read(secret, "secret")? };
        let value = SecretKey::from_bytes(secret.bytes).node_id();
        // SAFETY: the caller's word.
        unsafe { memory::write(id, value.into(), "id") }
    })
}

/// Reads a key, secret or of the network, from 44 characters of base64, as `leond keygen` and `wg genkey` write
/// them.
///
/// @param text a NUL-terminated text; white space at its end is ignored
/// @param key  receives the key
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_TEXT, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_key_from_text(text: *const c_char, key: *mut leon_key) -> leon_status {
    without_engine(|| {
        // SAFETY: the caller's word.
        let text = unsafe { memory::text(text, "text")? };
        let bytes = crate::base64::decode(text.trim_end()).map_err(|_| Error::from(LEON_E_TEXT))?;
        // SAFETY: the caller's word.
        unsafe { memory::write(key, leon_key { bytes: *bytes }, "key") }
    })
}

/// Writes a key in 44 characters of base64.
///
/// @param key      the key
/// @param text     room for the text, NUL-terminated; nothing is written if it is too small
/// @param capacity its size in bytes; `LEON_KEY_TEXT_SIZE` is enough
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_POINTER, LEON_E_SPACE, LEON_E_NOMEM, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_key_to_text(
    key: *const leon_key,
    text: *mut c_char,
    capacity: usize,
) -> leon_status {
    with_memory(|| {
        // SAFETY: the caller's word.
        let key = unsafe { memory::read(key, "key")? };
        memory::check_room(text, capacity)?;
        if capacity < LEON_KEY_TEXT_SIZE {
            // A part of a secret would be left where nobody wipes it.
            return Err(LEON_E_SPACE.into());
        }
        let encoded = SecretKey::from_bytes(key.bytes).to_base64();
        // SAFETY: the caller's word.
        unsafe { memory::write_text(&encoded, text, capacity, ptr::null_mut()) }
    })
}

/// Reads an identity from 44 characters of base64, as `leond pubkey` writes them.
///
/// @param text a NUL-terminated text; white space at its end is ignored
/// @param id   receives the identity
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_TEXT, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_id_from_text(text: *const c_char, id: *mut leon_id) -> leon_status {
    without_engine(|| {
        // SAFETY: the caller's word.
        let text = unsafe { memory::text(text, "text")? };
        let value = NodeId::from_base64(text.trim_end()).map_err(|_| Error::from(LEON_E_TEXT))?;
        // SAFETY: the caller's word.
        unsafe { memory::write(id, value.into(), "id") }
    })
}

/// Writes an identity in 44 characters of base64.
///
/// @param id       the identity
/// @param text     room for the text, NUL-terminated
/// @param capacity its size in bytes; `LEON_KEY_TEXT_SIZE` is enough
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_POINTER, LEON_E_SPACE, LEON_E_NOMEM, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_id_to_text(
    id: *const leon_id,
    text: *mut c_char,
    capacity: usize,
) -> leon_status {
    with_memory(|| {
        // SAFETY: the caller's word.
        let id = unsafe { memory::read(id, "id")? };
        // SAFETY: the caller's word.
        unsafe { memory::write_text(&id.to_rust().to_base64(), text, capacity, ptr::null_mut()) }
    })
}

/// Reads an address and a port, as in `192.0.2.1:4789` and `[2001:db8::1]:4789`.
///
/// @param text    a NUL-terminated text
/// @param address receives the address
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_TEXT, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_address_from_text(
    text: *const c_char,
    address: *mut leon_address,
) -> leon_status {
    without_engine(|| {
        // SAFETY: the caller's word.
        let text = unsafe { memory::text(text, "text")? };
        let value: SocketAddr = text.parse().map_err(|_| Error::from(LEON_E_TEXT))?;
        // SAFETY: the caller's word.
        unsafe { memory::write(address, value.into(), "address") }
    })
}

/// Writes an address and its port, as `leon_address_from_text` reads them.
///
/// @param address  the address
/// @param text     room for the text, NUL-terminated
/// @param capacity its size in bytes; `LEON_ADDRESS_TEXT_SIZE` is enough
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_ADDRESS, LEON_E_POINTER, LEON_E_SPACE, LEON_E_NOMEM, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_address_to_text(
    address: *const leon_address,
    text: *mut c_char,
    capacity: usize,
) -> leon_status {
    with_memory(|| {
        // SAFETY: the caller's word.
        let address = unsafe { memory::read(address, "address")? }.to_rust()?;
        // SAFETY: the caller's word.
        unsafe { memory::write_text(&address.to_string(), text, capacity, ptr::null_mut()) }
    })
}
