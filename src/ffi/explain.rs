//! Why frames for a member take the path they take, and the whole state of an engine as JSON.

use core::ffi::c_char;
use core::mem::offset_of;

use crate::ffi::call::with_report;
use crate::ffi::engine::leon_engine;
use crate::ffi::event::cause;
use crate::ffi::memory::{self, Extensible};
use crate::ffi::report::{LEON_UNKNOWN, nanos, state};
use crate::ffi::status::{Error, LEON_E_NOT_FOUND, leon_status};
use crate::ffi::types::{LEON_PATH_MAX, leon_id, leon_time};
use crate::{Candidate, Estimate, Explanation, LinkState, NodeId, PathLink, Verdict};

/// Frames take it.
pub const LEON_VERDICT_CHOSEN: u32 = 1;
/// Frames take it although one of its links is not up, since no measured path leads to the member.
pub const LEON_VERDICT_LAST_RESORT: u32 = 2;
/// Frames take it from the next choice of paths on: within a quarter of a second, or half a minute if that leaves an
/// overloaded relay.
pub const LEON_VERDICT_DUE: u32 = 3;
/// It costs as much as the chosen path, or more, on `estimate`.
pub const LEON_VERDICT_COSTS_MORE: u32 = 4;
/// It costs less than the chosen path, but on `estimate` not by more than the hysteresis.
pub const LEON_VERDICT_WITHIN_HYSTERESIS: u32 = 5;
/// It would be better than the chosen path, but comes after another one when each link counts with the worse of
/// its estimates.
pub const LEON_VERDICT_NOT_LOWEST: u32 = 6;
/// Its first link that is not up is down.
pub const LEON_VERDICT_LINK_DOWN: u32 = 7;
/// Its first link that is not up is new: it carries no transit yet.
pub const LEON_VERDICT_LINK_NEW: u32 = 8;
/// Its first link that is not up is not measured.
pub const LEON_VERDICT_LINK_UNMEASURED: u32 = 9;
/// The member has failed or left: no frames are sent to it.
pub const LEON_VERDICT_UNREACHABLE: u32 = 10;
/// The operator has pinned another path.
pub const LEON_VERDICT_NOT_PINNED: u32 = 11;
/// It would be better, but one of its relays is so busy that no path takes it anew.
pub const LEON_VERDICT_RELAY_FULL: u32 = 12;
/// One of its relays carries no transit.
pub const LEON_VERDICT_NO_TRANSIT: u32 = 13;

/// The average over about 3 s.
pub const LEON_ESTIMATE_FAST: u32 = 1;
/// The average over about 30 s.
pub const LEON_ESTIMATE_SLOW: u32 = 2;
/// Both of them.
pub const LEON_ESTIMATE_BOTH: u32 = 3;

/// Probes are answered, and the latency database has the link.
pub const LEON_LINK_UP: u32 = 1;
/// A link of this node that has not had three answers since it began or came back.
pub const LEON_LINK_NEW: u32 = 2;
/// Probes go unanswered.
pub const LEON_LINK_DOWN: u32 = 3;
/// The latency database knows nothing of the link.
pub const LEON_LINK_UNMEASURED: u32 = 4;

/// What there is to say about the paths to a member as a whole.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_explanation {
    /// `sizeof(leon_explanation)`, set by the caller.
    pub struct_size: u32,
    /// The member's state, one of `LEON_MEMBER_*`.
    pub state: u32,
    /// Why the path was last changed, one of `LEON_CAUSE_*`; 0 if none was chosen yet.
    pub cause: u32,
    /// Number of entries of `former`; 0 if there was none.
    pub former_len: u32,
    /// How long ago the path was last changed, in nanoseconds; `LEON_UNKNOWN` if none was chosen yet.
    pub age_ns: u64,
    /// The path before: relays in order, the member last.
    pub former: [leon_id; LEON_PATH_MAX],
}

// SAFETY: integers; the size first.
unsafe impl Extensible for leon_explanation {
    const NAME: &'static str = "explanation";
    const FIRST: usize = offset_of!(leon_explanation, former) + size_of::<[leon_id; LEON_PATH_MAX]>();
}

/// One link of a candidate.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_path_link {
    /// Round-trip time averaged over about 3 s in nanoseconds; `LEON_UNKNOWN` unless up.
    pub fast_ns: u64,
    /// Round-trip time averaged over about 30 s in nanoseconds; `LEON_UNKNOWN` unless up.
    pub slow_ns: u64,
    /// What the loss of its probes adds to the cost, in nanoseconds.
    pub loss_charge_ns: u64,
    /// What its jitter adds to the cost on the fast estimate, in nanoseconds.
    pub jitter_charge_ns: u64,
    /// What makes the cost that of its direction, in nanoseconds; may be negative.
    pub skew_ns: i64,
    /// How long ago this node's own last probe was answered, in nanoseconds; `LEON_UNKNOWN` if none was, and for
    /// links between others.
    pub age_ns: u64,
    /// How many of this node's own probes were answered since the link last came up; 0 for links between others.
    pub samples: u32,
    /// One of `LEON_LINK_*`.
    pub state: u32,
}

/// A path that frames take or could take, an element of an array.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_candidate {
    /// The relays in order, the member last.
    pub path: [leon_id; LEON_PATH_MAX],
    /// Its links from this node on, as many as the path has entries.
    pub links: [leon_path_link; LEON_PATH_MAX],
    /// The cost on the fast estimate in nanoseconds: round-trip times, charges for loss, charge for relays;
    /// `LEON_UNKNOWN` if a link is not up.
    pub fast_cost_ns: u64,
    /// The cost on the slow estimate in nanoseconds; `LEON_UNKNOWN` if a link is not up.
    pub slow_cost_ns: u64,
    /// What all its relays are charged with, part of both costs, in nanoseconds.
    pub relay_charge_ns: u64,
    /// What the operator adds for its relays and links, part of both costs, in nanoseconds.
    pub price_ns: u64,
    /// What is held against it for having done badly lately, on top of both costs, in nanoseconds.
    pub penalty_ns: u64,
    /// How much less it would have to cost on both estimates for frames to take it, in nanoseconds; `LEON_UNKNOWN` if
    /// they do or will, or a link is not up.
    pub gap_ns: u64,
    /// Number of entries of the path.
    pub path_len: u32,
    /// Why frames take it, or why not: one of `LEON_VERDICT_*`.
    pub verdict: u32,
    /// The estimate that the verdict speaks of, one of `LEON_ESTIMATE_*`; 0 if it speaks of none.
    pub estimate: u32,
    /// 1 if frames take it at once when the chosen path fails, else 0.
    pub is_backup: u32,
}

/// Tells why frames for a member take the path they take, by the latencies of this moment: the chosen path, the
/// direct one, and the best others, the lowest first. Has no effect.
///
/// @param engine      the engine
/// @param to          the member
/// @param now         the caller's clock
/// @param explanation NULL, or receives what there is to say as a whole; its `struct_size` must be set
/// @param candidates  room for the candidates; NULL with a capacity of 0 to ask for the count
/// @param capacity    for how many candidates there is room
/// @param count       receives how many there are
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SIZE, LEON_E_SPACE, LEON_E_NOT_FOUND, LEON_E_RANGE,
///         LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_explain(
    engine: *const leon_engine,
    to: *const leon_id,
    now: leon_time,
    explanation: *mut leon_explanation,
    candidates: *mut leon_candidate,
    capacity: usize,
    count: *mut usize,
) -> leon_status {
    with_report(engine.addr(), |core| {
        memory::check_room(candidates, capacity)?;
        if count.is_null() {
            return Err(Error::null("count"));
        }
        // SAFETY: the caller's word.
        let to = unsafe { memory::read(to, "to")? };
        let found = core.engine.explain(to.to_rust(), core.now(now)?).ok_or(LEON_E_NOT_FOUND)?;
        if !explanation.is_null() {
            // SAFETY: the caller's word.
            unsafe { memory::write_sized(explanation, whole(&found))? };
        }
        // SAFETY: the caller's word.
        unsafe { memory::write_list(found.candidates.iter().map(candidate), candidates, capacity, count) }
    })
}

/// Writes the same as `leon_engine_explain` tells, as one JSON object, by the schema of docs/snapshot.md.
///
/// @param engine   the engine
/// @param to       the member
/// @param now      the caller's clock
/// @param text     room for the text, NUL-terminated, cut if it is too long
/// @param capacity its size in bytes
/// @param len      NULL, or receives the length of the whole text without the NUL
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_NOT_FOUND, LEON_E_RANGE, LEON_E_NOMEM,
///         LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_explain_json(
    engine: *const leon_engine,
    to: *const leon_id,
    now: leon_time,
    text: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> leon_status {
    with_report(engine.addr(), |core| {
        memory::check_room(text, capacity)?;
        // SAFETY: the caller's word.
        let to = unsafe { memory::read(to, "to")? };
        let found = core.engine.explain(to.to_rust(), core.now(now)?).ok_or(LEON_E_NOT_FOUND)?;
        // SAFETY: the caller's word.
        unsafe { memory::write_json(&found, text, capacity, len) }
    })
}

/// Writes the whole state of an engine as one JSON object, by the schema of docs/snapshot.md: members, paths,
/// latencies, FDB, counters. No keys are in it.
///
/// @param engine   the engine
/// @param now      the caller's clock
/// @param text     room for the text, NUL-terminated, cut if it is too long
/// @param capacity its size in bytes
/// @param len      NULL, or receives the length of the whole text without the NUL
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED,
///         LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_snapshot_json(
    engine: *const leon_engine,
    now: leon_time,
    text: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> leon_status {
    with_report(engine.addr(), |core| {
        let status = core.engine.status(core.now(now)?);
        // SAFETY: the caller's word.
        unsafe { memory::write_json(&status, text, capacity, len) }
    })
}

fn whole(explanation: &Explanation) -> leon_explanation {
    let change = explanation.changes.first();
    let former = change.and_then(|change| change.former.as_deref()).unwrap_or_default();
    leon_explanation {
        struct_size: 0,
        state: state(explanation.state),
        cause: change.map_or(0, |change| cause(change.cause)),
        former_len: former.len() as u32,
        age_ns: change.map_or(LEON_UNKNOWN, |change| nanos(Some(change.age))),
        former: path(former),
    }
}

fn candidate(candidate: &Candidate) -> leon_candidate {
    let (verdict, estimate) = verdict(candidate.verdict);
    let unknown = leon_path_link {
        fast_ns: LEON_UNKNOWN,
        slow_ns: LEON_UNKNOWN,
        loss_charge_ns: 0,
        jitter_charge_ns: 0,
        skew_ns: 0,
        age_ns: LEON_UNKNOWN,
        samples: 0,
        state: 0,
    };
    let mut links = [unknown; LEON_PATH_MAX];
    for (to, from) in links.iter_mut().zip(&candidate.links) {
        *to = link(from);
    }
    leon_candidate {
        path: path(&candidate.path),
        links,
        fast_cost_ns: nanos(candidate.fast_cost),
        slow_cost_ns: nanos(candidate.slow_cost),
        relay_charge_ns: nanos(Some(candidate.relay_charge)),
        price_ns: nanos(Some(candidate.price)),
        penalty_ns: nanos(Some(candidate.penalty)),
        gap_ns: nanos(candidate.gap),
        path_len: candidate.path.len() as u32,
        verdict,
        estimate,
        is_backup: u32::from(candidate.is_backup),
    }
}

fn link(link: &PathLink) -> leon_path_link {
    leon_path_link {
        fast_ns: nanos(link.fast),
        slow_ns: nanos(link.slow),
        loss_charge_ns: nanos(Some(link.loss_charge)),
        jitter_charge_ns: nanos(Some(link.jitter_charge)),
        skew_ns: link.skew_ns,
        age_ns: nanos(link.probe.and_then(|probe| probe.age)),
        samples: link.probe.map_or(0, |probe| probe.samples),
        state: match link.state {
            LinkState::Up => LEON_LINK_UP,
            LinkState::New => LEON_LINK_NEW,
            LinkState::Down => LEON_LINK_DOWN,
            LinkState::Unmeasured => LEON_LINK_UNMEASURED,
        },
    }
}

fn verdict(verdict: Verdict) -> (u32, u32) {
    match verdict {
        Verdict::Chosen => (LEON_VERDICT_CHOSEN, 0),
        Verdict::LastResort => (LEON_VERDICT_LAST_RESORT, 0),
        Verdict::Due => (LEON_VERDICT_DUE, 0),
        Verdict::CostsMore { estimate: on } => (LEON_VERDICT_COSTS_MORE, estimate(on)),
        Verdict::WithinHysteresis { estimate: on } => (LEON_VERDICT_WITHIN_HYSTERESIS, estimate(on)),
        Verdict::NotLowest => (LEON_VERDICT_NOT_LOWEST, 0),
        Verdict::NotPinned => (LEON_VERDICT_NOT_PINNED, 0),
        Verdict::RelayFull => (LEON_VERDICT_RELAY_FULL, 0),
        Verdict::NoTransit => (LEON_VERDICT_NO_TRANSIT, 0),
        Verdict::LinkDown => (LEON_VERDICT_LINK_DOWN, 0),
        Verdict::LinkNew => (LEON_VERDICT_LINK_NEW, 0),
        Verdict::LinkUnmeasured => (LEON_VERDICT_LINK_UNMEASURED, 0),
        Verdict::Unreachable => (LEON_VERDICT_UNREACHABLE, 0),
    }
}

fn estimate(estimate: Estimate) -> u32 {
    match estimate {
        Estimate::Fast => LEON_ESTIMATE_FAST,
        Estimate::Slow => LEON_ESTIMATE_SLOW,
        Estimate::Both => LEON_ESTIMATE_BOTH,
    }
}

fn path(ids: &[NodeId]) -> [leon_id; LEON_PATH_MAX] {
    let mut path = [leon_id::ZERO; LEON_PATH_MAX];
    for (entry, id) in path.iter_mut().zip(ids) {
        *entry = (*id).into();
    }
    path
}
