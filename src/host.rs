//! Which host: an Ethernet address within its segment and VLAN, and how a node came to know where it is.

use core::fmt;

use crate::error::HostError;
use crate::mac::MacAddr;
use crate::node::Segment;

/// Highest VLAN id that a host may have: 4095 is reserved (IEEE 802.1Q, table 9-2).
const MAX_VLAN: u16 = 4094;

/// A host of one of the networks that leon extends. Equal addresses in two segments, or in two VLANs of one
/// segment, are two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    /// The segment it belongs to.
    pub segment: Segment,
    /// The id of the outermost VLAN tag of its frames, 0 if they have none. 0 to 4094; one that was learned
    /// from a frame may also have the reserved 4095.
    pub vlan: u16,
    /// Its address, a unicast one.
    pub mac: MacAddr,
}

impl fmt::Display for Host {
    /// The address, and what it is unique in where that is not the default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mac.fmt(f)?;
        if self.vlan != 0 {
            write!(f, " in VLAN {}", self.vlan)?;
        }
        if self.segment != Segment::DEFAULT { write!(f, " of segment {}", self.segment) } else { Ok(()) }
    }
}

impl Host {
    /// Whether a node may announce such a host.
    pub(crate) fn check(&self) -> Result<(), HostError> {
        if self.vlan > MAX_VLAN {
            return Err(HostError::Vlan(self.vlan));
        }
        if self.mac.is_group() { Err(HostError::GroupAddress(self.mac)) } else { Ok(()) }
    }
}

/// How a node came to know where a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum HostOrigin {
    /// From a frame that the host has sent. Forgotten when the host is silent for too long.
    Learned,
    /// From the word of the node it is at. Stays until that is withdrawn, or the node is gone.
    Announced,
}

impl HostOrigin {
    /// Lower-case name for tools.
    pub const fn name(self) -> &'static str {
        match self {
            HostOrigin::Learned => "learned",
            HostOrigin::Announced => "announced",
        }
    }
}
