//! What an engine says about itself: members, links, hosts, counters.
//!
//! Lists are asked for with room for so many elements; the count tells how many there are, and `LEON_E_SPACE` that
//! there was not room for all.

use core::ffi::c_char;
use core::mem::offset_of;
use core::time::Duration;

use crate::ffi::call::{Core, with_report};
use crate::ffi::counter::{LEON_COUNTER_COUNT, LEON_COUNTER_TIME_BACK, counter_of};
use crate::ffi::engine::leon_engine;
use crate::ffi::memory::{self, Extensible};
use crate::ffi::status::leon_status;
use crate::ffi::types::{
    LEON_NAME_SIZE, LEON_PATH_MAX, LEON_TIME_NEVER, characters, leon_address, leon_host_key, leon_id,
    leon_time,
};
use crate::{Host, HostOrigin, HostStatus, LinkStatus, MemberState, MemberStatus, Status};

/// In the list; frames are sent to it.
pub const LEON_MEMBER_ALIVE: u32 = 1;
/// No member reaches it; it is remembered and probed now and then.
pub const LEON_MEMBER_FAILED: u32 = 2;
/// It said that it leaves.
pub const LEON_MEMBER_LEFT: u32 = 3;

/// What stands for a duration that is not known, as that of a link that is down, in nanoseconds.
pub const LEON_UNKNOWN: u64 = LEON_TIME_NEVER;

/// An engine as a whole.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_info {
    /// `sizeof(leon_info)`, set by the caller.
    pub struct_size: u32,
    /// The largest MTU of hosts in bytes, as `leon_engine_mtu` says.
    pub mtu: u32,
    /// The node's own identity.
    pub id: leon_id,
    /// Its locator.
    pub locator: leon_address,
    /// Its incarnation, as configured.
    pub incarnation: u64,
    /// Hash of the live part of the member list: equal lists have equal digests.
    pub list_digest: u64,
    /// Other members that are remembered: alive, failed and left.
    pub members: u64,
    /// Nodes that there is a session with or an attempt at one.
    pub sessions: u64,
    /// Hosts in the FDB.
    pub hosts: u64,
    /// Its name, NUL-terminated.
    pub name: [c_char; LEON_NAME_SIZE],
}

// SAFETY: integers; the size first.
unsafe impl Extensible for leon_info {
    const NAME: &'static str = "info";
    const FIRST: usize = offset_of!(leon_info, name) + LEON_NAME_SIZE;
}

/// What a node knows of another member, an element of an array.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_member {
    /// Its identity.
    pub id: leon_id,
    /// Its name, NUL-terminated.
    pub name: [c_char; LEON_NAME_SIZE],
    /// Its locator.
    pub locator: leon_address,
    /// Its incarnation.
    pub incarnation: u64,
    /// Smoothed round-trip time of the direct link in nanoseconds; `LEON_UNKNOWN` if the link is down.
    pub rtt_ns: u64,
    /// Mean deviation of it in nanoseconds; `LEON_UNKNOWN` if the link is down.
    pub jitter_ns: u64,
    /// Expected round-trip time over the path that frames take in nanoseconds, relay charges included;
    /// `LEON_UNKNOWN` if a link of it is not measured.
    pub path_cost_ns: u64,
    /// Expected round-trip time of the direct path in nanoseconds; `LEON_UNKNOWN` if the link is down.
    pub direct_cost_ns: u64,
    /// One of `LEON_MEMBER_*`.
    pub state: u32,
    /// Share of recent probes that went unanswered, in millionths.
    pub loss_ppm: u32,
    /// The path that frames take: relays in order, the member itself last.
    pub path: [leon_id; LEON_PATH_MAX],
    /// Number of its entries; 0 unless the member is alive.
    pub path_len: u32,
    /// Zero.
    pub reserved: u32,
}

/// One directed entry of the latency database, an element of an array.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_link {
    /// Who measured.
    pub from: leon_id,
    /// To whom.
    pub to: leon_id,
    /// Round-trip time averaged over about 3 s in nanoseconds; `LEON_UNKNOWN` if the link is down.
    pub fast_ns: u64,
    /// Round-trip time averaged over about 30 s in nanoseconds; `LEON_UNKNOWN` if the link is down.
    pub slow_ns: u64,
    /// Share of probes lost, in millionths, to 1/255.
    pub loss_ppm: u32,
    /// Zero.
    pub reserved: u32,
}

/// The host is on the local network.
pub const LEON_HOST_LOCAL: u32 = 1;
/// The host is behind a member.
pub const LEON_HOST_REMOTE: u32 = 2;

/// From a frame that the host has sent. Forgotten when the host is silent for too long.
pub const LEON_ORIGIN_LEARNED: u32 = 1;
/// From the word of the node it is at. Stays until that is withdrawn, or the node is gone.
pub const LEON_ORIGIN_ANNOUNCED: u32 = 2;

/// One host in the FDB, an element of an array.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_host {
    /// The member it sits behind, with `LEON_HOST_REMOTE`.
    pub member: leon_id,
    /// How long ago it last sent a frame if it was learned, or was announced, in nanoseconds, to the second.
    pub age_ns: u64,
    /// Which host.
    pub key: leon_host_key,
    /// One of `LEON_HOST_*`.
    pub place: u32,
    /// How the node came to know that: one of `LEON_ORIGIN_*`.
    pub origin: u32,
    /// Zero.
    pub reserved: u32,
}

/// Tells about an engine as a whole.
///
/// @param engine the engine
/// @param now    the caller's clock
/// @param info   receives the answer; its `struct_size` must be set
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_SIZE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED,
///         LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_info(
    engine: *const leon_engine,
    now: leon_time,
    info: *mut leon_info,
) -> leon_status {
    with_report(engine.addr(), |core| {
        let status = core.engine.status(core.now(now)?);
        let value = leon_info {
            struct_size: 0,
            mtu: core.engine.mtu().into(),
            id: status.id.into(),
            locator: status.locator.into(),
            incarnation: status.incarnation,
            list_digest: status.list_digest,
            members: status.members.len() as u64,
            sessions: status.sessions as u64,
            hosts: status.fdb.len() as u64,
            name: characters(&status.name),
        };
        // SAFETY: the caller's word.
        unsafe { memory::write_sized(info, value) }
    })
}

/// Lists the other members, by identity: live, failed, and left until they are forgotten.
///
/// @param engine   the engine
/// @param now      the caller's clock
/// @param members  room for the answer; NULL with a capacity of 0 to ask for the count
/// @param capacity for how many members there is room
/// @param count    receives how many there are
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED,
///         LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_members(
    engine: *const leon_engine,
    now: leon_time,
    members: *mut leon_member,
    capacity: usize,
    count: *mut usize,
) -> leon_status {
    with_report(engine.addr(), |core| {
        let status = core.engine.status(core.now(now)?);
        // SAFETY: the caller's word.
        unsafe { memory::write_list(status.members.iter().map(member), members, capacity, count) }
    })
}

/// Lists the latency database: an entry for each link between live members that somebody measures, by `from` and
/// `to`.
///
/// @param engine   the engine
/// @param now      the caller's clock
/// @param links    room for the answer; NULL with a capacity of 0 to ask for the count
/// @param capacity for how many links there is room
/// @param count    receives how many there are
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED,
///         LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_links(
    engine: *const leon_engine,
    now: leon_time,
    links: *mut leon_link,
    capacity: usize,
    count: *mut usize,
) -> leon_status {
    with_report(engine.addr(), |core| {
        let status = core.engine.status(core.now(now)?);
        // SAFETY: the caller's word.
        unsafe { memory::write_list(status.latency.iter().map(link), links, capacity, count) }
    })
}

/// Lists the hosts that the FDB knows, in no particular order.
///
/// @param engine   the engine
/// @param now      the caller's clock
/// @param hosts    room for the answer; NULL with a capacity of 0 to ask for the count
/// @param capacity for how many hosts there is room
/// @param count    receives how many there are
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED,
///         LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_hosts(
    engine: *const leon_engine,
    now: leon_time,
    hosts: *mut leon_host,
    capacity: usize,
    count: *mut usize,
) -> leon_status {
    with_report(engine.addr(), |core| {
        let status = core.engine.status(core.now(now)?);
        // SAFETY: the caller's word.
        unsafe { memory::write_list(status.fdb.iter().map(host), hosts, capacity, count) }
    })
}

/// Tells what has been counted, over all forwarders: element N is the value of the counter with number N, one of
/// `LEON_COUNTER_*`; element 0 is 0.
///
/// @param engine   the engine
/// @param now      the caller's clock
/// @param values   room for the answer; NULL with a capacity of 0 to ask for the count
/// @param capacity for how many values there is room, such as `LEON_COUNTER_COUNT`
/// @param count    receives how many there are; a later library may have more than the header knows
/// @return `LEON_OK`, or the error
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership none passes
/// @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED,
///         LEON_E_POISONED, LEON_E_PANIC
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn leon_engine_counters(
    engine: *const leon_engine,
    now: leon_time,
    values: *mut u64,
    capacity: usize,
    count: *mut usize,
) -> leon_status {
    with_report(engine.addr(), |core| {
        let list = counters(core, &core.engine.status(core.now(now)?));
        // SAFETY: the caller's word.
        unsafe { memory::write_list(list.into_iter(), values, capacity, count) }
    })
}

fn counters(core: &Core, status: &Status) -> [u64; LEON_COUNTER_COUNT] {
    let mut values = [0; LEON_COUNTER_COUNT];
    for (number, value) in values.iter_mut().enumerate() {
        *value = counter_of(number).map_or(0, |counter| status.counters.value(counter));
    }
    values[LEON_COUNTER_TIME_BACK as usize] = core.times_back.load(core::sync::atomic::Ordering::Relaxed);
    values
}

fn member(member: &MemberStatus) -> leon_member {
    let mut path = [leon_id::ZERO; LEON_PATH_MAX];
    for (entry, id) in path.iter_mut().zip(&member.path) {
        *entry = (*id).into();
    }
    leon_member {
        id: member.id.into(),
        name: characters(&member.name),
        locator: member.locator.into(),
        incarnation: member.incarnation,
        rtt_ns: nanos(member.rtt),
        jitter_ns: nanos(member.jitter),
        path_cost_ns: nanos(member.path_cost),
        direct_cost_ns: nanos(member.direct_cost),
        state: state(member.state),
        loss_ppm: (member.loss * 1e6).round() as u32,
        path,
        path_len: member.path.len() as u32,
        reserved: 0,
    }
}

pub(super) fn state(state: MemberState) -> u32 {
    match state {
        MemberState::Alive => LEON_MEMBER_ALIVE,
        MemberState::Failed => LEON_MEMBER_FAILED,
        MemberState::Left => LEON_MEMBER_LEFT,
    }
}

fn link(link: &LinkStatus) -> leon_link {
    leon_link {
        from: link.from.into(),
        to: link.to.into(),
        fast_ns: nanos(link.fast),
        slow_ns: nanos(link.slow),
        loss_ppm: u32::from(link.loss) * 1_000_000 / 255,
        reserved: 0,
    }
}

fn host(host: &HostStatus) -> leon_host {
    leon_host {
        member: host.member.map_or(leon_id::ZERO, leon_id::from),
        age_ns: nanos(Some(host.age)),
        key: Host { segment: host.segment, vlan: host.vlan, mac: host.mac }.into(),
        place: if host.member.is_some() { LEON_HOST_REMOTE } else { LEON_HOST_LOCAL },
        origin: match host.origin {
            HostOrigin::Learned => LEON_ORIGIN_LEARNED,
            HostOrigin::Announced => LEON_ORIGIN_ANNOUNCED,
        },
        reserved: 0,
    }
}

pub(super) fn nanos(duration: Option<Duration>) -> u64 {
    duration.map_or(LEON_UNKNOWN, crate::time::nanos)
}
