//! Events as C sees them: one flat struct, and a line of text.

use core::ffi::{CStr, c_char};
use core::fmt::{self, Write};
use core::ptr;
use std::ffi::CString;

use arrayvec::ArrayString;

use crate::ffi::callbacks::{LEON_LOG_ERROR, LEON_LOG_INFO, LEON_LOG_WARN};
use crate::ffi::types::{leon_address, leon_host_key, leon_id};
use crate::{Event, NodeId, PathCause, RejectReason};

/// A seed has answered: this node holds the member list and is announcing itself. `address`: the member that sent
/// the list.
pub const LEON_EVENT_LIST_FETCHED: u32 = 1;
/// This node is a member now. `member`: the first to say so.
pub const LEON_EVENT_JOINED: u32 = 2;
/// A node became a member, or a failed one came back. `member`, `name`, `address`: its locator.
pub const LEON_EVENT_MEMBER_JOINED: u32 = 3;
/// A member has left and said so. `member`, `name`.
pub const LEON_EVENT_MEMBER_LEFT: u32 = 4;
/// No member reaches this one any more; it is remembered and probed. `member`, `name`.
pub const LEON_EVENT_MEMBER_FAILED: u32 = 5;
/// A member's key is not on the allow-list any more. `member`, `name`.
pub const LEON_EVENT_MEMBER_REMOVED: u32 = 6;
/// No seed has answered for a while: none runs, UDP does not get through, the network key is another, this node's
/// key is not on their allow-lists, or one side alone has `LEON_SECURITY_NONE`. `addresses`: the seeds. Repeated
/// every half a minute.
pub const LEON_EVENT_SEEDS_SILENT: u32 = 7;
/// A node at `address`, not authenticated, has `LEON_SECURITY_NONE` and this one has not (`reason` 1), or the other
/// way round (`reason` 0). At most one in ten seconds.
pub const LEON_EVENT_SECURITY_MISMATCH: u32 = 8;
/// A member refuses this node. `address`: who; `reason`: why, one of `LEON_REJECT_*`.
pub const LEON_EVENT_JOIN_REJECTED: u32 = 9;
/// Probes of the link to `member` are answered.
pub const LEON_EVENT_LINK_UP: u32 = 10;
/// Several probes of the link to `member` went unanswered; frames for it go through others where possible.
pub const LEON_EVENT_LINK_DOWN: u32 = 11;
/// Frames for `member` take another path from now on. `path`: relays in order, the destination last; `reason`: why,
/// one of `LEON_CAUSE_*`.
pub const LEON_EVENT_PATH_CHANGED: u32 = 12;

/// `host` is behind `member` now, and was behind `from`; an identity of zeros is the local network. At most some a
/// second: a hint, while `leon_engine_hosts` tells all.
pub const LEON_EVENT_HOST_MOVED: u32 = 13;
/// `host` has moved five times within three minutes, last from `from` to `member`: there is a loop in the networks
/// that are joined, or two hosts have one address, or somebody claims the address of another.
pub const LEON_EVENT_HOST_FLAPPING: u32 = 14;
/// `member` sends more frames to all hosts of this site than `flood_limit` allows; the excess is dropped.
pub const LEON_EVENT_FLOOD_LIMITED: u32 = 15;
/// There is no room in the FDB for a host behind `member`, or on the local network if that is zeros: all is full,
/// or the member has used up its share. Frames for that host go to all members.
pub const LEON_EVENT_HOST_LIMIT: u32 = 16;

/// The first path to a new member.
pub const LEON_CAUSE_NEW: u32 = 1;
/// The new path is better by more than the hysteresis, on the fast and on the slow estimate.
pub const LEON_CAUSE_BETTER: u32 = 2;
/// The direct path is as good as the relayed one again.
pub const LEON_CAUSE_DIRECT_AS_GOOD: u32 = 3;
/// The former path has a link that is down or not measured, or a relay that is gone.
pub const LEON_CAUSE_DEAD: u32 = 4;
/// A link or a relay of the former path was lost, or the path is in doubt: the backup took over at once.
pub const LEON_CAUSE_FAILOVER: u32 = 5;
/// The operator has pinned the new path.
pub const LEON_CAUSE_PINNED: u32 = 6;
/// The former path was found to be worse, end to end, than its links and relays say.
pub const LEON_CAUSE_GUARD: u32 = 7;

/// Another live member has the name.
pub const LEON_REJECT_NAME_TAKEN: u32 = 1;
/// Another live member has the identity, or one with the same first eight bytes.
pub const LEON_REJECT_ID_TAKEN: u32 = 2;
/// Another live member has the locator.
pub const LEON_REJECT_LOCATOR_TAKEN: u32 = 3;
/// The member list is full.
pub const LEON_REJECT_LIST_FULL: u32 = 4;

/// Something that happened. What a kind does not speak of is zero. Valid until the callback returns, with all it
/// points to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_event {
    /// The size of this struct in the library that fills it in: a later library may have more fields.
    pub struct_size: u32,
    /// One of `LEON_EVENT_*`. Later versions may add more: ignore those you do not know.
    pub kind: u32,
    /// The member it is about.
    pub member: leon_id,
    /// Its name, NUL-terminated UTF-8; NULL if the kind has none.
    pub name: *const c_char,
    /// An address it is about.
    pub address: leon_address,
    /// Several addresses.
    pub addresses: *const leon_address,
    /// Number of addresses.
    pub address_count: usize,
    /// A path: relays in order, the destination last.
    pub path: *const leon_id,
    /// Number of entries of the path, up to `LEON_PATH_MAX`.
    pub path_len: usize,
    /// Why; of what kind of reason the event's kind says.
    pub reason: u32,
    /// A host.
    pub host: leon_host_key,
    /// The member that it was behind.
    pub from: leon_id,
}

impl leon_event {
    /// Lends `event` to `take` as C sees it.
    pub(super) fn with(event: &Event, take: impl FnOnce(&leon_event)) {
        let name = name_of(event).map(|name| CString::new(name).unwrap_or_default());
        let path: Vec<leon_id> = match event {
            Event::PathChanged { path, .. } => path.iter().map(|id| leon_id::from(*id)).collect(),
            _ => Vec::new(),
        };
        let addresses: Vec<leon_address> = match event {
            Event::SeedsSilent { seeds } => seeds.iter().map(|seed| leon_address::from(*seed)).collect(),
            _ => Vec::new(),
        };
        let mut out = leon_event {
            struct_size: size_of::<leon_event>() as u32,
            kind: kind_of(event),
            member: leon_id::ZERO,
            name: name.as_ref().map_or(ptr::null(), |name| name.as_ptr()),
            address: leon_address::NONE,
            addresses: pointer(&addresses),
            address_count: addresses.len(),
            path: pointer(&path),
            path_len: path.len(),
            reason: 0,
            host: leon_host_key::NONE,
            from: leon_id::ZERO,
        };
        match event {
            Event::ListFetched { from } => out.address = (*from).into(),
            Event::MemberJoined { id, locator, .. } => {
                out.member = (*id).into();
                out.address = (*locator).into();
            }
            Event::Joined { by: id }
            | Event::MemberLeft { id, .. }
            | Event::MemberFailed { id, .. }
            | Event::MemberRemoved { id, .. }
            | Event::LinkUp { id }
            | Event::LinkDown { id } => out.member = (*id).into(),
            Event::HostMoved { host, from, to } | Event::HostFlapping { host, from, to } => {
                out.host = (*host).into();
                out.member = place(*to);
                out.from = place(*from);
            }
            Event::FloodLimited { member } => out.member = (*member).into(),
            Event::HostLimit { member } => out.member = place(*member),
            Event::SeedsSilent { .. } => {}
            Event::SecurityMismatch { from, is_theirs_none } => {
                out.address = (*from).into();
                out.reason = u32::from(*is_theirs_none);
            }
            Event::JoinRejected { by, reason } => {
                out.address = (*by).into();
                out.reason = reject(*reason);
            }
            Event::PathChanged { to, cause: why, .. } => {
                out.member = (*to).into();
                out.reason = cause(*why);
            }
        }
        take(&out);
    }
}

/// A member, or the local network.
fn place(member: Option<NodeId>) -> leon_id {
    member.map_or(leon_id::ZERO, leon_id::from)
}

fn pointer<T>(items: &[T]) -> *const T {
    if items.is_empty() { ptr::null() } else { items.as_ptr() }
}

fn name_of(event: &Event) -> Option<&str> {
    match event {
        Event::MemberJoined { name, .. }
        | Event::MemberLeft { name, .. }
        | Event::MemberFailed { name, .. }
        | Event::MemberRemoved { name, .. } => Some(name),
        _ => None,
    }
}

fn kind_of(event: &Event) -> u32 {
    match event {
        Event::ListFetched { .. } => LEON_EVENT_LIST_FETCHED,
        Event::Joined { .. } => LEON_EVENT_JOINED,
        Event::MemberJoined { .. } => LEON_EVENT_MEMBER_JOINED,
        Event::MemberLeft { .. } => LEON_EVENT_MEMBER_LEFT,
        Event::MemberFailed { .. } => LEON_EVENT_MEMBER_FAILED,
        Event::MemberRemoved { .. } => LEON_EVENT_MEMBER_REMOVED,
        Event::SeedsSilent { .. } => LEON_EVENT_SEEDS_SILENT,
        Event::SecurityMismatch { .. } => LEON_EVENT_SECURITY_MISMATCH,
        Event::JoinRejected { .. } => LEON_EVENT_JOIN_REJECTED,
        Event::LinkUp { .. } => LEON_EVENT_LINK_UP,
        Event::LinkDown { .. } => LEON_EVENT_LINK_DOWN,
        Event::PathChanged { .. } => LEON_EVENT_PATH_CHANGED,
        Event::HostMoved { .. } => LEON_EVENT_HOST_MOVED,
        Event::HostFlapping { .. } => LEON_EVENT_HOST_FLAPPING,
        Event::FloodLimited { .. } => LEON_EVENT_FLOOD_LIMITED,
        Event::HostLimit { .. } => LEON_EVENT_HOST_LIMIT,
    }
}

/// The number of a cause.
pub(super) fn cause(cause: PathCause) -> u32 {
    match cause {
        PathCause::New => LEON_CAUSE_NEW,
        PathCause::Better => LEON_CAUSE_BETTER,
        PathCause::DirectAsGood => LEON_CAUSE_DIRECT_AS_GOOD,
        PathCause::Dead => LEON_CAUSE_DEAD,
        PathCause::Failover => LEON_CAUSE_FAILOVER,
        PathCause::Pinned => LEON_CAUSE_PINNED,
        PathCause::Guard => LEON_CAUSE_GUARD,
    }
}

fn reject(reason: RejectReason) -> u32 {
    match reason {
        RejectReason::NameTaken => LEON_REJECT_NAME_TAKEN,
        RejectReason::IdTaken => LEON_REJECT_ID_TAKEN,
        RejectReason::LocatorTaken => LEON_REJECT_LOCATOR_TAKEN,
        RejectReason::ListFull => LEON_REJECT_LIST_FULL,
    }
}

/// Longest line of a log, in bytes. What does not fit is cut.
const MAX_LINE: usize = 1023;

/// An event as a line of a log, made without the allocator: events come with frames too.
pub(super) struct EventText {
    pub(super) level: u32,
    pub(super) id: u32,
    /// Ends in a NUL.
    line: ArrayString<{ MAX_LINE + 1 }>,
}

impl EventText {
    pub(super) fn of(event: &Event) -> Self {
        let level = match event {
            Event::JoinRejected { .. } => LEON_LOG_ERROR,
            Event::MemberFailed { .. }
            | Event::SeedsSilent { .. }
            | Event::SecurityMismatch { .. }
            | Event::LinkDown { .. }
            | Event::HostFlapping { .. }
            | Event::FloodLimited { .. }
            | Event::HostLimit { .. } => LEON_LOG_WARN,
            _ => LEON_LOG_INFO,
        };
        let mut text = EventText { level, id: kind_of(event), line: ArrayString::new() };
        // Cutting is no error.
        let _ = write!(text, "{event}");
        text.line.push('\0');
        text
    }

    pub(super) fn line(&self) -> &CStr {
        CStr::from_bytes_until_nul(self.line.as_bytes()).unwrap_or_default()
    }
}

impl Write for EventText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = text.floor_char_boundary(MAX_LINE - self.line.len());
        self.line.push_str(&text[..room]);
        if room < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;

    #[test]
    fn a_line_too_long_for_a_log_is_cut_between_characters() {
        let seeds = vec![SocketAddr::from(([192, 0, 2, 1], 4789)); 100];
        assert_eq!(EventText::of(&Event::SeedsSilent { seeds }).line().count_bytes(), MAX_LINE);
        let name = "é".repeat(MAX_LINE);
        let event = Event::MemberLeft { id: NodeId([7; 32]), name };
        assert!(EventText::of(&event).line().to_str().is_ok_and(|line| line.len() >= MAX_LINE - 1));
    }
}
