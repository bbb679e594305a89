//! The numbers of the counters in C.

use core::ffi::c_char;
use core::ptr;

use crate::Counter;

/// No counter: what an item of a batch says that was not dropped.
pub const LEON_COUNTER_NONE: u32 = 0;
/// Calls whose time was before that of an earlier one; the earlier time counted instead.
pub const LEON_COUNTER_TIME_BACK: u32 = 1;
/// Frames taken from the local network.
pub const LEON_COUNTER_FRAMES_IN: u32 = 2;
/// Frames delivered to the local network.
pub const LEON_COUNTER_FRAMES_OUT: u32 = 3;
/// Datagrams received.
pub const LEON_COUNTER_DATAGRAMS_IN: u32 = 4;
/// Datagrams handed to the socket: own frames, control messages and relayed ones.
pub const LEON_COUNTER_DATAGRAMS_OUT: u32 = 5;
/// Datagrams passed on for other members.
pub const LEON_COUNTER_RELAYED: u32 = 6;
/// Frames sent to all members: broadcast, multicast and unknown unicast.
pub const LEON_COUNTER_FLOODED: u32 = 7;
/// Hosts newly learned by the FDB.
pub const LEON_COUNTER_MAC_LEARNED: u32 = 8;
/// Hosts that moved from one place to another.
pub const LEON_COUNTER_MAC_MOVED: u32 = 9;
/// Frame dropped: shorter than an Ethernet header.
pub const LEON_COUNTER_DROP_FRAME_TOO_SHORT: u32 = 10;
/// Frame dropped, here or by this node as a relay: does not fit the underlay together with its header.
pub const LEON_COUNTER_DROP_FRAME_TOO_LONG: u32 = 11;
/// Frame dropped: its source is a group address.
pub const LEON_COUNTER_DROP_FRAME_GROUP_SOURCE: u32 = 12;
/// Frame dropped: its destination is local, the local network has delivered it.
pub const LEON_COUNTER_DROP_FRAME_LOCAL_DESTINATION: u32 = 13;
/// Frame dropped: this node does not serve its segment.
pub const LEON_COUNTER_DROP_FRAME_SEGMENT: u32 = 14;
/// Frame not sent: no member to send it to.
pub const LEON_COUNTER_DROP_FRAME_NO_MEMBER: u32 = 15;
/// Datagram dropped: ends before its header or its tag does, or has bytes left over.
pub const LEON_COUNTER_DROP_DATAGRAM_TRUNCATED: u32 = 16;
/// Datagram dropped: an unknown version.
pub const LEON_COUNTER_DROP_DATAGRAM_VERSION: u32 = 17;
/// Datagram dropped: an unknown type or kind, or a reserved bit is set.
pub const LEON_COUNTER_DROP_DATAGRAM_TYPE: u32 = 18;
/// Datagram dropped: no hops, too many, or an index past the end.
pub const LEON_COUNTER_DROP_PATH_LENGTH: u32 = 19;
/// Datagram dropped: its path names an address twice.
pub const LEON_COUNTER_DROP_PATH_REPEAT: u32 = 20;
/// Datagram dropped: the path's current entry is not this node.
pub const LEON_COUNTER_DROP_PATH_NOT_HERE: u32 = 21;
/// Datagram dropped instead of relayed: the next entry is not a member, or one that has not proven where it is.
pub const LEON_COUNTER_DROP_PATH_STRANGER: u32 = 22;
/// Datagram dropped: there is no session with its source, or what it wants is for members only.
pub const LEON_COUNTER_DROP_SOURCE_STRANGER: u32 = 23;
/// Datagram dropped: it claims to come from this node, or from its locator.
pub const LEON_COUNTER_DROP_SOURCE_SELF: u32 = 24;
/// Datagram dropped: its keys are not, or no longer, those of the session with its source.
pub const LEON_COUNTER_DROP_SOURCE_EPOCH: u32 = 25;
/// Frame or datagram dropped: the session's keys have expired and could not be renewed.
pub const LEON_COUNTER_DROP_KEYS_EXPIRED: u32 = 26;
/// Datagram dropped: received before, or older than the replay window.
pub const LEON_COUNTER_DROP_REPLAYED: u32 = 27;
/// Datagram dropped: a tag is wrong.
pub const LEON_COUNTER_DROP_TAG: u32 = 28;
/// Datagram not relayed: more than its source may have relayed.
pub const LEON_COUNTER_DROP_RELAY_LIMIT: u32 = 29;
/// Frame dropped: its member sends more to all hosts than it may.
pub const LEON_COUNTER_DROP_FLOOD_LIMIT: u32 = 30;
/// Control message dropped: its node sends more of them than it may.
pub const LEON_COUNTER_DROP_CONTROL_LIMIT: u32 = 31;
/// Handshake dropped: it is not sealed with the key of this network.
pub const LEON_COUNTER_DROP_HANDSHAKE_STRANGER: u32 = 32;
/// Datagram dropped: its sender has security none and this node has not, or the other way round.
pub const LEON_COUNTER_DROP_SECURITY_MISMATCH: u32 = 33;
/// Handshake dropped: malformed.
pub const LEON_COUNTER_DROP_HANDSHAKE_MALFORMED: u32 = 34;
/// Handshake dropped: the node did not prove who it is.
pub const LEON_COUNTER_DROP_HANDSHAKE_FAILED: u32 = 35;
/// Handshake dropped: an answer to nothing that was asked, or a late one.
pub const LEON_COUNTER_DROP_HANDSHAKE_UNEXPECTED: u32 = 36;
/// Handshake dropped: both nodes began one, and the other goes on.
pub const LEON_COUNTER_DROP_HANDSHAKE_CROSSED: u32 = 37;
/// Handshake dropped: its address begins more of them than it may.
pub const LEON_COUNTER_DROP_HANDSHAKE_LIMIT: u32 = 38;
/// Handshake not begun yet: the node has to prove its address, or that this is no repetition.
pub const LEON_COUNTER_DROP_HANDSHAKE_CHALLENGED: u32 = 39;
/// Handshake dropped: the node is not on the allow-list.
pub const LEON_COUNTER_DROP_NOT_ALLOWED: u32 = 40;
/// Control message dropped: malformed.
pub const LEON_COUNTER_DROP_CONTROL_MALFORMED: u32 = 41;
/// Control message dropped: an answer to nothing that was asked.
pub const LEON_COUNTER_DROP_CONTROL_UNEXPECTED: u32 = 42;
/// Control message dropped: a record of another node than its sender.
pub const LEON_COUNTER_DROP_RECORD_FORGED: u32 = 43;
/// Member refused: its name, identity or locator belongs to another.
pub const LEON_COUNTER_DROP_MEMBER_CONFLICT: u32 = 44;
/// Member refused: the list is full.
pub const LEON_COUNTER_DROP_MEMBER_LIMIT: u32 = 45;
/// Host not learned: the FDB has no room for it.
pub const LEON_COUNTER_DROP_MAC_TABLE_FULL: u32 = 46;
/// Host not learned: its member has used up its share of the FDB.
pub const LEON_COUNTER_DROP_MAC_QUOTA: u32 = 47;
/// Frames whose host had been announced elsewhere within the last 2 s, and was left there.
pub const LEON_COUNTER_MAC_HELD: u32 = 48;
/// Control message or handshake dropped: there is no memory for what it may lead to.
pub const LEON_COUNTER_DROP_NO_MEMORY: u32 = 49;
/// One more than the largest number of a counter in this version.
pub const LEON_COUNTER_COUNT: usize = 50;

/// Every counter of the engine, in the order of its number, with its name in C. Later ones are appended.
const COUNTERS: &[(Counter, &core::ffi::CStr)] = &[
    (Counter::FramesIn, c"frames_in"),
    (Counter::FramesOut, c"frames_out"),
    (Counter::DatagramsIn, c"datagrams_in"),
    (Counter::DatagramsOut, c"datagrams_out"),
    (Counter::Relayed, c"relayed"),
    (Counter::Flooded, c"flooded"),
    (Counter::MacLearned, c"mac_learned"),
    (Counter::MacMoved, c"mac_moved"),
    (Counter::FrameTooShort, c"drop_frame_too_short"),
    (Counter::FrameTooLong, c"drop_frame_too_long"),
    (Counter::FrameGroupSource, c"drop_frame_group_source"),
    (Counter::FrameLocalDestination, c"drop_frame_local_destination"),
    (Counter::FrameSegment, c"drop_frame_segment"),
    (Counter::FrameNoMember, c"drop_frame_no_member"),
    (Counter::DatagramTruncated, c"drop_datagram_truncated"),
    (Counter::DatagramVersion, c"drop_datagram_version"),
    (Counter::DatagramType, c"drop_datagram_type"),
    (Counter::PathLength, c"drop_path_length"),
    (Counter::PathRepeat, c"drop_path_repeat"),
    (Counter::PathNotHere, c"drop_path_not_here"),
    (Counter::PathStranger, c"drop_path_stranger"),
    (Counter::SourceStranger, c"drop_source_stranger"),
    (Counter::SourceSelf, c"drop_source_self"),
    (Counter::SourceEpoch, c"drop_source_epoch"),
    (Counter::KeysExpired, c"drop_keys_expired"),
    (Counter::Replayed, c"drop_replayed"),
    (Counter::Tag, c"drop_tag"),
    (Counter::RelayLimit, c"drop_relay_limit"),
    (Counter::FloodLimit, c"drop_flood_limit"),
    (Counter::ControlLimit, c"drop_control_limit"),
    (Counter::HandshakeStranger, c"drop_handshake_stranger"),
    (Counter::SecurityMismatch, c"drop_security_mismatch"),
    (Counter::HandshakeMalformed, c"drop_handshake_malformed"),
    (Counter::HandshakeFailed, c"drop_handshake_failed"),
    (Counter::HandshakeUnexpected, c"drop_handshake_unexpected"),
    (Counter::HandshakeCrossed, c"drop_handshake_crossed"),
    (Counter::HandshakeLimit, c"drop_handshake_limit"),
    (Counter::HandshakeChallenged, c"drop_handshake_challenged"),
    (Counter::NotAllowed, c"drop_not_allowed"),
    (Counter::ControlMalformed, c"drop_control_malformed"),
    (Counter::ControlUnexpected, c"drop_control_unexpected"),
    (Counter::RecordForged, c"drop_record_forged"),
    (Counter::MemberConflict, c"drop_member_conflict"),
    (Counter::MemberLimit, c"drop_member_limit"),
    (Counter::MacTableFull, c"drop_mac_table_full"),
    (Counter::MacQuota, c"drop_mac_quota"),
    (Counter::MacHeld, c"mac_held"),
    (Counter::NoMemory, c"drop_no_memory"),
];

/// The number of the first of them.
const FIRST: usize = 2;

/// The number of a counter.
#[inline]
pub(super) fn number_of(counter: Counter) -> u32 {
    NUMBERS[counter as usize]
}

/// The numbers, by the counter.
static NUMBERS: [u32; Counter::ALL.len()] = {
    let mut numbers = [LEON_COUNTER_NONE; Counter::ALL.len()];
    let mut at = 0;
    while at < COUNTERS.len() {
        numbers[COUNTERS[at].0 as usize] = (at + FIRST) as u32;
        at += 1;
    }
    numbers
};

/// The counter of a number, if it is one of the engine's.
pub(super) fn counter_of(number: usize) -> Option<Counter> {
    COUNTERS.get(number.checked_sub(FIRST)?).map(|(counter, _)| *counter)
}

/// The name under which tools show a counter: lower case with underscores; those of what was dropped begin with
/// "drop_".
///
/// @param counter the number, one of `LEON_COUNTER_*`
/// @return a NUL-terminated string that is valid as long as the library is loaded; NULL if there is no such counter
/// @thread any thread, at any time
/// @reentrancy may be called from inside a callback
/// @ownership the library keeps the string
/// @errors none
/// @since 0.1
#[unsafe(no_mangle)]
pub extern "C" fn leon_counter_name(counter: u32) -> *const c_char {
    if counter == LEON_COUNTER_TIME_BACK {
        return c"time_back".as_ptr();
    }
    let known = (counter as usize).checked_sub(FIRST).and_then(|at| COUNTERS.get(at));
    known.map_or(ptr::null(), |(_, name)| name.as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_of_the_engine_has_a_number_and_its_name() {
        assert_eq!(COUNTERS.len(), Counter::ALL.len());
        assert_eq!(COUNTERS.len() + FIRST, LEON_COUNTER_COUNT);
        for &counter in Counter::ALL {
            let number = number_of(counter);
            assert_eq!(counter_of(number as usize), Some(counter));
            let (_, name) = COUNTERS[number as usize - FIRST];
            assert_eq!(name.to_str(), Ok(counter.name()));
        }
    }
}
