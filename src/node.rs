//! Who a node is, and which virtual network a frame belongs to.

use core::fmt;

use crate::base64::{self, KeyError};

/// The identity of a node: 32 bytes, unique in the mesh and stable over restarts. With
/// [`Security::Sealed`](crate::Security::Sealed) it is the node's public key (X25519).
///
/// The first eight bytes travel in the header of every datagram as the source; two members whose
/// identities share them conflict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 32]);

impl NodeId {
    /// Reads 44 characters of base64.
    ///
    /// # Errors
    ///
    /// If `text` has another length or other characters.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        base64::decode(text).map(|bytes| NodeId(*bytes))
    }

    /// The identity in 44 characters of base64.
    pub fn to_base64(&self) -> String {
        base64::encode(&self.0)
    }

    /// The first eight bytes: what the header of a datagram carries.
    pub(crate) const fn prefix(&self) -> NodePrefix {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        NodePrefix(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for NodeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl fmt::Display for NodeId {
    /// The prefix, in hexadecimal: enough to tell members apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.prefix().0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A 24-bit virtual network id, so that one mesh carries the networks of many tenants (RFC 7348 §5 calls
/// it a VNI). Segment 0 is the default.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Segment(u32);

impl Segment {
    /// The segment of those who do not ask for one.
    pub const DEFAULT: Segment = Segment(0);

    /// The segment numbered `id`, or `None` if `id` does not fit 24 bits.
    pub const fn new(id: u32) -> Option<Self> {
        if id < 1 << 24 { Some(Segment(id)) } else { None }
    }

    /// The number, below 2^24.
    pub const fn id(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}", self.0)
    }
}

/// The first eight bytes of a [`NodeId`]: how nodes are named within the engine and on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodePrefix(pub(crate) u64);

impl fmt::Debug for NodePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The state of a member, as another node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum MemberState {
    /// In the list; frames are sent to it.
    Alive,
    /// No member reaches it; it is remembered and probed now and then.
    Failed,
    /// It said that it leaves.
    Left,
}

impl MemberState {
    /// Lower-case name for tools.
    pub const fn name(self) -> &'static str {
        match self {
            MemberState::Alive => "alive",
            MemberState::Failed => "failed",
            MemberState::Left => "left",
        }
    }
}
