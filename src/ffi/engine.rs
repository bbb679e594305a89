//! The life of an engine in C: made, joined, timed, left, freed.

use core::ffi::c_char;
use core::ptr;
use std::sync::Arc;

use crate::HostError;
use crate::ffi::call::{Core, ENGINES, look_at_engine, with_engine, without_engine};
use crate::ffi::callbacks::{Callbacks, leon_callbacks};
use crate::ffi::config::{self, leon_config};
use crate::ffi::memory;
use crate::ffi::reserve::{RESERVE, Term};
use crate::ffi::status::{
    Error, LEON_E_ABI, LEON_E_CONFIG, LEON_E_HOST_LIMIT, LEON_E_NOMEM, LEON_E_NOT_FOUND, LEON_E_PANIC,
    LEON_E_RANGE, LEON_OK, leon_status, sentence,
};
use crate::ffi::types::{LEON_TIME_NEVER, leon_address, leon_host_key, leon_id, leon_time};

/// The number of this ABI, that of the SONAME. It changes when a program would have to be compiled anew.
pub const LEON_ABI_VERSION: u32 = 0;

/// One node of the mesh, made by `leon_engine_new`. A handle: it is not an address, and nothing can be read
/// through it.
pub struct leon_engine(());

/// Makes an engine that has not joined yet. To be called through the macro `leon_engine_new`, which fills in `abi`.
///
/// @param abi        `LEON_ABI_VERSION` of the header that the caller was compiled with
/// @param config     what the node is to be
/// @param callbacks  what leon shall call
/// @param now        the caller's clock
/// @param engine     receives the handle; unchanged if the call fails
/// @param error      NULL, or room for a sentence that says what is wrong and where, NUL-terminated, cut if it is
///                   too long; empty after success
/// @param error_size its size in bytes
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership leon copies what it is given; the caller frees the engine with `leon_engine_free`. `user_data` is to
///            outlive the engine and its forwarders
/// @errors LEON_E_ABI, LEON_E_NULL, LEON_E_SIZE, LEON_E_UNSUPPORTED, LEON_E_CALLBACK, LEON_E_CONFIG, LEON_E_RANGE,
///         LEON_E_ADDRESS, LEON_E_TEXT, LEON_E_POINTER, LEON_E_NOMEM, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_new_abi(
    abi: u32,
    config: *const leon_config,
    callbacks: *const leon_callbacks,
    now: leon_time,
    engine: *mut *mut leon_engine,
    error: *mut c_char,
    error_size: usize,
) -> leon_status {
    let mut told = Ok(());
    let status = without_engine(|| {
        // SAFETY: what the documentation asks of the caller.
        told = unsafe { make(abi, config, callbacks, now, engine) };
        Ok(())
    });
    let (status, text) = match &told {
        _ if status == LEON_E_PANIC => (LEON_E_PANIC, ""),
        Ok(()) => (LEON_OK, ""),
        Err(Error { status, text }) => (*status, &**text),
    };
    let text = if status != LEON_OK && text.is_empty() { sentence(status) } else { text };
    if !error.is_null() {
        // SAFETY: room for `error_size` bytes, by the caller's word. A sentence that is cut is still one.
        let _ = unsafe { memory::write_text(text, error, error_size, ptr::null_mut()) };
    }
    status
}

/// # Safety
///
/// As the documentation of [`leon_engine_new_abi`] says.
unsafe fn make(
    abi: u32,
    config: *const leon_config,
    callbacks: *const leon_callbacks,
    now: leon_time,
    engine: *mut *mut leon_engine,
) -> Result<(), Error> {
    if abi != LEON_ABI_VERSION {
        let text = format_args!(
            "the program was compiled for ABI {abi} of leon, the library has ABI {LEON_ABI_VERSION}: compile the program anew"
        );
        return Err(Error::new(LEON_E_ABI, text));
    }
    if engine.is_null() {
        return Err(Error::null("engine"));
    }
    // SAFETY: the caller's word.
    let reading = RESERVE.claim(unsafe { config::demand(config)? }, Term::Single)?;
    // SAFETY: the caller's word.
    let (choice, callbacks) = unsafe { (config::read(config)?, Callbacks::read(callbacks)?) };
    choice.config.validate().map_err(|error| Error::new(LEON_E_CONFIG, error))?;
    let making = RESERVE.claim(Core::demand(&choice), Term::Single)?;
    let core = Box::new(Arc::new(Core::new(choice, callbacks, now)?));
    // What frames go through is not to be in the reserve.
    if reading.was_needed() || making.was_needed() {
        return Err(LEON_E_NOMEM.into());
    }
    let handle = ENGINES.insert(core)?;
    // SAFETY: room for a handle, by the caller's word.
    unsafe { memory::write(engine, ptr::without_provenance_mut(handle), "engine") }
}

/// Frees an engine. Tells the mesh nothing: see `leon_engine_leave`. A call that is under way on another thread or
/// further down this one's stack ends as usual, and the engine is gone after it. Its forwarders are to be freed
/// too; all else with them returns `LEON_E_CLOSED`.
///
/// @param engine the engine; NULL does nothing
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback; takes effect when the calls under way end
/// @ownership the handle is not to be used any more, and returns `LEON_E_HANDLE` if it is
/// @errors LEON_E_HANDLE, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_free(engine: *mut leon_engine) -> leon_status {
    if engine.is_null() {
        return LEON_OK;
    }
    without_engine(|| {
        ENGINES.enter(engine.addr())?.shared().close();
        Ok(ENGINES.remove(engine.addr())?)
    })
}

/// Starts to join: fetches the list from a seed, then tells every member. Does nothing after the first time.
///
/// @param engine the engine
/// @param now    the caller's clock
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback; runs callbacks
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_join(engine: *mut leon_engine, now: leon_time) -> leon_status {
    with_engine(engine.addr(), |core| {
        let now = core.now(now)?;
        core.with_sink(|engine, sink| engine.join(now, sink));
        Ok(())
    })
}

/// Leaves: says so to every member, a few times while `leon_engine_timer` is still called until the deadline is
/// `LEON_TIME_NEVER`, which takes a fraction of a second.
///
/// @param engine the engine
/// @param now    the caller's clock
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback; runs callbacks
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_leave(engine: *mut leon_engine, now: leon_time) -> leon_status {
    with_engine(engine.addr(), |core| {
        let now = core.now(now)?;
        core.with_sink(|engine, sink| engine.leave(now, sink));
        Ok(())
    })
}

/// Does what is due. To be called at or soon after the deadline; calls before it do no harm.
///
/// @param engine the engine
/// @param now    the caller's clock
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback; runs callbacks
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_timer(engine: *mut leon_engine, now: leon_time) -> leon_status {
    with_engine(engine.addr(), |core| {
        let now = core.now(now)?;
        core.with_sink(|engine, sink| engine.timer(now, sink));
        Ok(())
    })
}

/// When `leon_engine_timer` is to be called next.
///
/// @param engine the engine
/// @return the instant on the caller's clock; `LEON_TIME_NEVER` if there is none, or if the handle is wrong
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors none
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_deadline(engine: *const leon_engine) -> leon_time {
    let mut deadline = LEON_TIME_NEVER;
    look_at_engine(engine.addr(), |core| {
        deadline = core.engine.deadline().as_nanos();
        Ok(())
    });
    deadline
}

/// Replaces the addresses of members to fetch the list from, as after their names were resolved anew. If they differ
/// from the former ones they are asked at once; members stay members. A node that had none and has met nobody begins
/// to join.
///
/// @param engine the engine
/// @param seeds  the addresses; the node's own among them is ignored
/// @param count  how many; may be 0
/// @param now    the caller's clock
/// @return `LEON_OK`; `LEON_E_CONFIG` if one has no address or no port, and then nothing changes; or another error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback; runs callbacks
/// @ownership leon copies the list
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_ADDRESS, LEON_E_CONFIG, LEON_E_RANGE, LEON_E_NOMEM,
///         LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_set_seeds(
    engine: *mut leon_engine,
    seeds: *const leon_address,
    count: usize,
    now: leon_time,
) -> leon_status {
    look_at_engine(engine.addr(), |core| {
        // SAFETY: the caller's word.
        let seeds = unsafe { memory::array(seeds, count)? };
        let _memory = core.claim(seeds.len().saturating_mul(config::OF_SEED))?;
        let seeds = seeds.iter().map(|seed| seed.to_rust()).collect::<Result<Vec<_>, _>>()?;
        let now = core.now(now)?;
        let mut result = Ok(());
        core.with_sink(|engine, sink| result = engine.set_seeds(&seeds, now, sink));
        result.map_err(|error| Error::new(LEON_E_CONFIG, error))
    })
}

/// Replaces the list of nodes that may be members. The sessions with members that are not on it end at once.
/// Does nothing with `LEON_SECURITY_NONE`.
///
/// @param engine  the engine
/// @param allowed the identities; NULL lets every holder of the network key in
/// @param count   how many; 0 with `allowed` not NULL lets nobody in
/// @param now     the caller's clock
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback; runs callbacks
/// @ownership leon copies the list
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED,
///         LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_set_allowed(
    engine: *mut leon_engine,
    allowed: *const leon_id,
    count: usize,
    now: leon_time,
) -> leon_status {
    look_at_engine(engine.addr(), |core| {
        // SAFETY: the caller's word.
        let list = unsafe { memory::array(allowed, count)? };
        let _memory = core.claim(list.len().saturating_mul(config::OF_ALLOWED))?;
        let list = (!allowed.is_null()).then(|| list.iter().map(|id| id.to_rust()).collect());
        let now = core.now(now)?;
        core.with_sink(|engine, sink| engine.set_allowed(list, now, sink));
        Ok(())
    })
}

/// Replaces what this node's paths are to be, whatever the latencies: pins, relays and links to avoid, and prices. It
/// counts at once, and others know nothing of it; `leon_engine_explain` shows what has come of it.
///
/// @param engine the engine
/// @param format `LEON_FORMAT_TOML` or `LEON_FORMAT_JSON`
/// @param text   the fields `pins`, `avoid` and `prices_us` of docs/config.md, UTF-8; one that is not set is empty, so
///               that an empty text in TOML asks for nothing in particular
/// @param len    its length in bytes; may be 0
/// @param now    the caller's clock
/// @return `LEON_OK`; `LEON_E_CONFIG` if the text is no policy, and `leon_engine_last_error` says what is wrong and
///         where; or another error. After an error the former policy stays
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback; runs callbacks
/// @ownership leon copies the text
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_UNSUPPORTED, LEON_E_TEXT, LEON_E_CONFIG, LEON_E_RANGE,
///         LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_set_policy(
    engine: *mut leon_engine,
    format: u32,
    text: *const c_char,
    len: usize,
    now: leon_time,
) -> leon_status {
    look_at_engine(engine.addr(), |core| {
        // SAFETY: the caller's word.
        let text = unsafe { memory::array(text.cast::<u8>(), len)? };
        let _memory = core.claim(text.len().saturating_mul(config::OF_TEXT_BYTE))?;
        let policy = config::policy(format, text)?;
        let now = core.now(now)?;
        let mut result = Ok(());
        core.with_sink(|engine, sink| result = engine.set_policy(&policy, now, sink));
        result.map_err(|error| Error::new(LEON_E_CONFIG, error))
    })
}

/// Tells all members that a host is on the local network, for those who know: a virtual machine has started here, or
/// has come from elsewhere. Frames for the host then come here without one having been heard of it, and it is not
/// forgotten when it is silent. It stays announced until it is withdrawn or this node leaves; where several nodes
/// announce it, the latest announcement counts.
///
/// @param engine the engine
/// @param host   the host
/// @param now    the caller's clock
/// @return `LEON_OK`; `LEON_E_RANGE` if no host can be such; `LEON_E_NOT_FOUND` if this node does not serve its segment;
///         or another error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback; runs callbacks
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_RANGE, LEON_E_NOT_FOUND, LEON_E_HOST_LIMIT, LEON_E_NOMEM,
///         LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_announce_host(
    engine: *mut leon_engine,
    host: *const leon_host_key,
    now: leon_time,
) -> leon_status {
    with_engine(engine.addr(), |core| {
        // SAFETY: the caller's word.
        let host = unsafe { memory::read(host, "host")? }.to_rust()?;
        let now = core.now(now)?;
        let mut result = Ok(());
        core.with_sink(|engine, sink| result = engine.announce_host(host, now, sink));
        result.map_err(|error| Error::new(status_of(error), error))
    })
}

fn status_of(error: HostError) -> leon_status {
    match error {
        HostError::Vlan(_) | HostError::GroupAddress(_) => LEON_E_RANGE,
        HostError::Segment(_) => LEON_E_NOT_FOUND,
        HostError::TooMany | HostError::Outbid => LEON_E_HOST_LIMIT,
    }
}

/// Takes back what `leon_engine_announce_host` said: the host has stopped, or has gone elsewhere. Members that still
/// have it here forget it. Does nothing if it is not announced here.
///
/// @param engine the engine
/// @param host   the host
/// @param now    the caller's clock
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback; runs callbacks
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_withdraw_host(
    engine: *mut leon_engine,
    host: *const leon_host_key,
    now: leon_time,
) -> leon_status {
    with_engine(engine.addr(), |core| {
        // SAFETY: the caller's word.
        let host = unsafe { memory::read(host, "host")? }.to_rust()?;
        let now = core.now(now)?;
        core.with_sink(|engine, sink| engine.withdraw_host(host, now, sink));
        Ok(())
    })
}

/// The largest MTU that the hosts of the local network may have so that each of their frames fits the underlay,
/// whatever path it takes: up to four hops to locators of this node's version of IP, and one VLAN tag.
///
/// @param engine the engine
/// @return the MTU in bytes; 0 if the handle is wrong
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors none
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_mtu(engine: *const leon_engine) -> u32 {
    let mut mtu = 0;
    look_at_engine(engine.addr(), |core| {
        mtu = core.engine.mtu().into();
        Ok(())
    });
    mtu
}

/// The sentence about the last error of a call with this engine, or with a forwarder of it, where the status does
/// not say all. Threads that share an engine share it.
///
/// @param engine   the engine
/// @param text     room for the sentence, NUL-terminated, cut if it is too long
/// @param capacity its size in bytes
/// @param len      NULL, or receives the length of the whole sentence without the NUL
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_FORKED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_last_error(
    engine: *const leon_engine,
    text: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> leon_status {
    without_engine(|| {
        // Not as other calls: it has no effect on what it tells of, and a poisoned engine can be asked.
        let entered = ENGINES.enter(engine.addr())?;
        // In a child, a thread that it does not have may hold the lock.
        entered.shared().check_fork()?;
        // SAFETY: the caller's word.
        entered
            .shared()
            .with_last_error(|sentence| unsafe { memory::write_text(sentence, text, capacity, len) })
    })
}

/// The version of the library.
///
/// @return a NUL-terminated string as in "0.1.0"; valid as long as the library is loaded; not to be freed
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership the library keeps the string
/// @errors none
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn leon_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The ABI number of the library; compare it with `LEON_ABI_VERSION`.
///
/// @return the number
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors none
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn leon_abi_version() -> u32 {
    LEON_ABI_VERSION
}
