//! Counters: what was forwarded, and what was dropped, by reason.
//!
//! Each [`Forwarder`](crate::Forwarder) counts into a set of its own, so that no two threads share a cache
//! line; the engine adds the sets up when asked.

use core::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// One thing that is counted. Every datagram and frame that is not forwarded bumps one of the drop
        /// counters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Counter { $($(#[doc = $doc])+ $variant,)+ }

        impl Counter {
            /// Every counter, in the order of their declaration.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)+];

            /// The name under which tools show this counter: lower case with underscores.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)+ }
            }
        }
    };
}

counters! {
    /// Frames taken from the local network.
    FramesIn = "frames_in",
    /// Frames delivered to the local network.
    FramesOut = "frames_out",
    /// Datagrams received.
    DatagramsIn = "datagrams_in",
    /// Datagrams handed to the socket: own frames, control messages and relayed ones.
    DatagramsOut = "datagrams_out",
    /// Datagrams passed on for other members.
    Relayed = "relayed",
    /// Frames sent to all members: broadcast, multicast and unknown unicast.
    Flooded = "flooded",
    /// Hosts newly learned by the FDB.
    MacLearned = "mac_learned",
    /// Hosts that moved from one place to another.
    MacMoved = "mac_moved",
    /// Frames whose host had been announced elsewhere within the last 2 s, and was left there.
    MacHeld = "mac_held",
    /// Frame dropped: shorter than an Ethernet header.
    FrameTooShort = "drop_frame_too_short",
    /// Frame dropped, here or by this node as a relay: does not fit the underlay together with its header.
    FrameTooLong = "drop_frame_too_long",
    /// Frame dropped: its source is a group address.
    FrameGroupSource = "drop_frame_group_source",
    /// Frame dropped: its destination is local, the local network has delivered it.
    FrameLocalDestination = "drop_frame_local_destination",
    /// Frame dropped: this node does not serve its segment.
    FrameSegment = "drop_frame_segment",
    /// Frame not sent: no member to send it to.
    FrameNoMember = "drop_frame_no_member",
    /// Datagram dropped: ends before its header or its tag does, or has bytes left over.
    DatagramTruncated = "drop_datagram_truncated",
    /// Datagram dropped: an unknown version.
    DatagramVersion = "drop_datagram_version",
    /// Datagram dropped: an unknown type or kind, or a reserved bit is set.
    DatagramType = "drop_datagram_type",
    /// Datagram dropped: no hops, too many, or an index past the end.
    PathLength = "drop_path_length",
    /// Datagram dropped: its path names an address twice.
    PathRepeat = "drop_path_repeat",
    /// Datagram dropped: the path's current entry is not this node.
    PathNotHere = "drop_path_not_here",
    /// Datagram dropped instead of relayed: the next entry is not a member, or one that has not proven where it is.
    PathStranger = "drop_path_stranger",
    /// Datagram dropped: there is no session with its source, or what it wants is for members only.
    SourceStranger = "drop_source_stranger",
    /// Datagram dropped: it claims to come from this node, or from its locator.
    SourceSelf = "drop_source_self",
    /// Datagram dropped: its keys are not, or no longer, those of the session with its source.
    SourceEpoch = "drop_source_epoch",
    /// Frame or datagram dropped: the session's keys have expired and could not be renewed.
    KeysExpired = "drop_keys_expired",
    /// Datagram dropped: received before, or older than the replay window.
    Replayed = "drop_replayed",
    /// Datagram dropped: a tag is wrong.
    Tag = "drop_tag",
    /// Datagram not relayed: more than its source may have relayed.
    RelayLimit = "drop_relay_limit",
    /// Frame dropped: its member sends more to all hosts than it may.
    FloodLimit = "drop_flood_limit",
    /// Control message dropped: its node sends more of them than it may.
    ControlLimit = "drop_control_limit",
    /// Control message or handshake dropped: there is no memory for what it may lead to.
    NoMemory = "drop_no_memory",
    /// Handshake dropped: it is not sealed with the key of this network.
    HandshakeStranger = "drop_handshake_stranger",
    /// Datagram dropped: its sender has security none and this node has not, or the other way round.
    SecurityMismatch = "drop_security_mismatch",
    /// Handshake dropped: malformed.
    HandshakeMalformed = "drop_handshake_malformed",
    /// Handshake dropped: the node did not prove who it is.
    HandshakeFailed = "drop_handshake_failed",
    /// Handshake dropped: an answer to nothing that was asked, or a late one.
    HandshakeUnexpected = "drop_handshake_unexpected",
    /// Handshake dropped: both nodes began one, and the other goes on.
    HandshakeCrossed = "drop_handshake_crossed",
    /// Handshake dropped: its address begins more of them than it may.
    HandshakeLimit = "drop_handshake_limit",
    /// Handshake not begun yet: the node has to prove its address, or that this is no repetition.
    HandshakeChallenged = "drop_handshake_challenged",
    /// Handshake dropped: the node is not on the allow-list.
    NotAllowed = "drop_not_allowed",
    /// Control message dropped: malformed.
    ControlMalformed = "drop_control_malformed",
    /// Control message dropped: an answer to nothing that was asked.
    ControlUnexpected = "drop_control_unexpected",
    /// Control message dropped: a record of another node than its sender.
    RecordForged = "drop_record_forged",
    /// Member refused: its name, identity or locator belongs to another.
    MemberConflict = "drop_member_conflict",
    /// Member refused: the list is full.
    MemberLimit = "drop_member_limit",
    /// Host not learned, or its announcement not taken: the FDB has no room for it.
    MacTableFull = "drop_mac_table_full",
    /// Host not learned, or its announcement not taken: its member has used up its share of the FDB.
    MacQuota = "drop_mac_quota",
}

/// One set of counters. Only its owner adds to it; anyone may read it.
#[derive(Debug)]
pub(crate) struct CounterSet([AtomicU64; Counter::ALL.len()]);

impl CounterSet {
    pub(crate) fn new() -> Self {
        CounterSet(core::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Adds one to `counter`. To be called by one thread at a time: a plain load and store, no locked
    /// instruction.
    pub(crate) fn bump(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds `n` to `counter`, under the rule of [`bump`](Self::bump).
    pub(crate) fn add(&self, counter: Counter, n: u64) {
        let value = &self.0[counter as usize];
        value.store(value.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Adds what another set has counted.
    pub(crate) fn absorb(&self, other: &CounterSet) {
        for &counter in Counter::ALL {
            self.0[counter as usize].fetch_add(other.value(counter), Ordering::Relaxed);
        }
    }

    pub(crate) fn value(&self, counter: Counter) -> u64 {
        self.0[counter as usize].load(Ordering::Relaxed)
    }
}

/// The values of all counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Counters {
    pub(crate) fn sum<'a>(sets: impl Iterator<Item = &'a CounterSet>) -> Self {
        let mut total = Counters([0; Counter::ALL.len()]);
        for set in sets {
            for &counter in Counter::ALL {
                total.0[counter as usize] += set.value(counter);
            }
        }
        total
    }

    /// The value of one counter.
    pub fn value(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// All counters with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().map(|&counter| (counter, self.value(counter)))
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Counters {
    /// An object with the value of each counter under its name.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(counter, value)| (counter.name(), value)))
    }
}
