//! What an engine's handle and those of its forwarders share, and the frame of every call: the checks before, the
//! net under it, the note of what went wrong.

use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ffi::batch::Batch;
use crate::ffi::callbacks::{CallSink, Callbacks};
use crate::ffi::config::{Choice, OF_ALLOWED, OF_SEED};
use crate::ffi::fork::ForkMark;
use crate::ffi::forwarder::LocalForwarder;
use crate::ffi::handle::{Access, Table};
use crate::ffi::reserve::{Claim, RESERVE, Tenant, Term};
use crate::ffi::status::{
    Error, LEON_E_CLOSED, LEON_E_CONFIG, LEON_E_FORKED, LEON_E_HANDLE, LEON_E_PANIC, LEON_E_POISONED,
    LEON_E_RANGE, LEON_OK, leon_status,
};
use crate::ffi::types::leon_time;
use crate::{Config, Engine, Security, Time};

/// The live engines; all that is global here. A handle finds its engine in it, and nothing else is shared.
pub(super) static ENGINES: Table<Arc<Core>> = Table::new(1, Access::Shared);
/// The live forwarders.
pub(super) static FORWARDERS: Table<LocalForwarder> = Table::new(2, Access::Exclusive);

/// An engine with what belongs to it in C.
pub(super) struct Core {
    pub(super) engine: Engine,
    pub(super) callbacks: Callbacks,
    pub(super) max_segments: usize,
    pub(super) underlay_mtu: u16,
    /// A call has panicked: nobody knows what state the engine is in.
    is_poisoned: AtomicBool,
    /// The engine's handle has been freed.
    is_closed: AtomicBool,
    /// The latest time of the calls with the engine's handle.
    clock: AtomicU64,
    /// How often time went back.
    pub(super) times_back: AtomicU64,
    last_error: Mutex<String>,
    /// A batch for the next call with the engine's handle.
    spare: Mutex<Option<Box<Batch>>>,
    fork: ForkMark,
    /// The last, as all before it may be in the reserve.
    _tenant: Tenant,
}

/// Bytes that an engine takes at most, apart from what grows with its configuration.
const FIXED: usize = 4 << 20;
/// Two atomic words.
const OF_FDB_ENTRY: usize = 16;
/// What is allocated for each member that there may be, whether or not there is: its count in the FDB.
const OF_MEMBER: usize = 64;

impl Core {
    /// Bytes that an engine takes at most while it is made.
    pub(super) fn demand(choice: &Choice) -> usize {
        let Config { seeds, security, fdb_capacity, max_members, .. } = &choice.config;
        let allowed = match security {
            Security::Sealed(keys) => keys.allowed.as_ref().map_or(0, BTreeSet::len),
            Security::None { .. } => 0,
        };
        FIXED
            + fdb_capacity.saturating_mul(OF_FDB_ENTRY)
            + max_members.saturating_mul(OF_MEMBER)
            + seeds.len() * OF_SEED
            + allowed * OF_ALLOWED
    }

    pub(super) fn new(choice: Choice, callbacks: Callbacks, now: leon_time) -> Result<Self, Error> {
        let Choice { config, max_segments } = choice;
        let now = check_time(now)?;
        let underlay_mtu = config.underlay_mtu;
        let engine = Engine::new(config, now).map_err(|error| Error::new(LEON_E_CONFIG, error))?;
        let tenant = RESERVE.move_in()?;
        drop(RESERVE.claim(engine.demand(), Term::Standing)?);
        Ok(Core {
            engine,
            callbacks,
            max_segments,
            underlay_mtu,
            is_poisoned: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            clock: AtomicU64::new(now.as_nanos()),
            times_back: AtomicU64::new(0),
            last_error: Mutex::new(String::new()),
            spare: Mutex::new(Some(Box::new(Batch::new(max_segments)))),
            fork: ForkMark::new()?,
            _tenant: tenant,
        })
    }

    /// What keeps every call with this engine, or with a forwarder of it, from beginning.
    #[inline]
    pub(super) fn check(&self) -> Result<(), leon_status> {
        if self.is_poisoned.load(Ordering::Relaxed) {
            return Err(LEON_E_POISONED);
        }
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(LEON_E_CLOSED);
        }
        self.check_fork()
    }

    /// That this is the process that made the engine.
    #[inline]
    pub(super) fn check_fork(&self) -> Result<(), leon_status> {
        if self.fork.is_child() { Err(LEON_E_FORKED) } else { Ok(()) }
    }

    /// No call with a forwarder of this engine begins any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Carries out a call: a panic ends here, an error is kept for who asks.
    #[inline]
    pub(super) fn guard(&self, act: impl FnOnce() -> Result<(), Error>) -> leon_status {
        let act = || {
            #[cfg(leon_fault)]
            crate::fault::point();
            act()
        };
        match catch_unwind(AssertUnwindSafe(act)) {
            Ok(Ok(())) => LEON_OK,
            Ok(Err(error)) => self.note(error),
            Err(_) => {
                self.is_poisoned.store(true, Ordering::Relaxed);
                LEON_E_PANIC
            }
        }
    }

    #[cold]
    fn note(&self, error: Error) -> leon_status {
        *self.last_error.lock() = error.text;
        error.status
    }

    /// Shows the sentence about the last error that had one.
    pub(super) fn with_last_error<T>(&self, show: impl FnOnce(&str) -> T) -> T {
        show(&self.last_error.lock())
    }

    /// Sets aside what a call may allocate: `more` bytes besides what control work does.
    pub(super) fn claim(&self, more: usize) -> Result<Claim, leon_status> {
        let term = if more == 0 { Term::Standing } else { Term::Single };
        RESERVE.claim(self.engine.demand().saturating_add(more), term)
    }

    /// The time of a call with the engine's handle.
    pub(super) fn now(&self, now: leon_time) -> Result<Time, Error> {
        let now = check_time(now)?.as_nanos();
        let latest = self.clock.fetch_max(now, Ordering::Relaxed);
        if now < latest {
            self.times_back.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Time::from_nanos(now.max(latest)))
    }

    /// Lets `act` use the engine, and gives what comes of it to the engine's callbacks.
    pub(super) fn with_sink(&self, act: impl FnOnce(&Engine, &mut CallSink<'_>)) {
        let spare = self.spare.lock().take();
        let mut batch = spare.unwrap_or_else(|| Box::new(Batch::new(self.max_segments)));
        let mut sink = CallSink { callbacks: &self.callbacks, batch: &mut batch, claim: None };
        act(&self.engine, &mut sink);
        sink.flush();
        *self.spare.lock() = Some(batch);
    }
}

/// The caller's time. Those in the upper half are a negative number that was cast: taken at its word it would
/// stop the engine's clock for good.
#[inline]
pub(super) fn check_time(now: leon_time) -> Result<Time, Error> {
    if now > i64::MAX as u64 { Err(LEON_E_RANGE.into()) } else { Ok(Time::from_nanos(now)) }
}

/// Carries out a call with the engine of a handle that may change the engine, or allocate.
pub(super) fn with_engine(handle: usize, act: impl FnOnce(&Arc<Core>) -> Result<(), Error>) -> leon_status {
    enter(handle, |core| {
        let _memory = core.claim(0)?;
        Ok(core.guard(|| act(core)))
    })
}

/// Carries out a call that lists what an engine has.
pub(super) fn with_report(handle: usize, act: impl FnOnce(&Arc<Core>) -> Result<(), Error>) -> leon_status {
    enter(handle, |core| {
        let _memory = RESERVE.claim(core.engine.report_demand(), Term::Single)?;
        Ok(core.guard(|| act(core)))
    })
}

/// Carries out a call with the engine of a handle that allocates nothing.
pub(super) fn look_at_engine(
    handle: usize,
    act: impl FnOnce(&Arc<Core>) -> Result<(), Error>,
) -> leon_status {
    enter(handle, |core| Ok(core.guard(|| act(core))))
}

/// Finds the engine of a handle. What a call claims, it claims before it is guarded: to keep a note of its error may
/// take memory too.
fn enter(handle: usize, call: impl FnOnce(&Arc<Core>) -> Result<leon_status, leon_status>) -> leon_status {
    let entered = match ENGINES.enter(handle) {
        Ok(entered) => entered,
        Err(status) => return status,
    };
    let core = entered.shared();
    match core.check() {
        Ok(()) => call(core).unwrap_or_else(|status| status),
        // Freed by another thread since this call began: what is wrong is the handle.
        Err(LEON_E_CLOSED) => LEON_E_HANDLE,
        Err(status) => status,
    }
}

/// Bytes that keys and addresses take at most while they are turned into something else.
const OF_TEXT: usize = 4096;

/// Carries out a call that needs no engine, with some memory.
pub(super) fn with_memory(act: impl FnOnce() -> Result<(), Error>) -> leon_status {
    without_engine(|| {
        let _memory = RESERVE.claim(OF_TEXT, Term::Single)?;
        act()
    })
}

/// Carries out a call that needs no engine, and allocates nothing.
pub(super) fn without_engine(act: impl FnOnce() -> Result<(), Error>) -> leon_status {
    let act = || {
        #[cfg(leon_fault)]
        crate::fault::point();
        act()
    };
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(())) => LEON_OK,
        Ok(Err(error)) => error.status,
        Err(_) => LEON_E_PANIC,
    }
}
