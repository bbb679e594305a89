//! What an operator wants of paths, whatever the latencies: pins, and relays and links to avoid or to charge for.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::MAX_HOPS;
use crate::error::ConfigError;
use crate::node::NodeId;

/// Most pins, avoided relays and links, and prices: so many entries of each.
pub const MAX_POLICY_ENTRIES: usize = 1024;
/// Highest price: beyond it a path is only taken if there is no other.
pub const MAX_PRICE: Duration = Duration::from_secs(10);

/// The marks of frames for which throughput counts more than latency. They take paths of their own: direct, unless
/// another path promises half as much again by its loss, its round-trip time and the load of its relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bulk {
    /// Code points of differentiated services in IPv4 and IPv6, 0 to 63: CS1 is 8 (RFC 3662), LE 1 (RFC 8622).
    pub dscp: BTreeSet<u8>,
    /// Priority code points of the outermost VLAN tag, 0 to 7: background is 1 (IEEE 802.1Q).
    pub pcp: BTreeSet<u8>,
}

impl Bulk {
    pub(crate) fn is_empty(&self) -> bool {
        self.dscp.is_empty() && self.pcp.is_empty()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let most = |field, marks: &BTreeSet<u8>, high| match marks.last() {
            Some(&last) if last > high => {
                Err(ConfigError::Range { field, value: last.into(), low: 0, high: high.into() })
            }
            _ => Ok(()),
        };
        most("bulk_dscp", &self.dscp, 63)?;
        most("bulk_pcp", &self.pcp, 7)
    }
}

/// A part of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathPart {
    /// Passing through this node. Its own frames, and those for it, do not pass through it.
    Relay(NodeId),
    /// The link between two nodes, in both directions.
    Link(NodeId, NodeId),
}

/// What an operator wants of the paths of one node. Others know nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// For a member, the relays on the path that frames for it take as long as its links are up, in order: none for
    /// the direct path, three at most, without repeats.
    pub pins: BTreeMap<NodeId, Vec<NodeId>>,
    /// What no path has if there is another.
    pub avoid: BTreeSet<PathPart>,
    /// What is added to the cost of each path that has this, in round-trip time; up to [`MAX_PRICE`].
    pub prices: BTreeMap<PathPart, Duration>,
}

impl Policy {
    /// Checks every range the fields document.
    ///
    /// # Errors
    ///
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let is_path = |(to, relays): (&NodeId, &Vec<NodeId>)| {
            let nodes: BTreeSet<_> = relays.iter().chain([to]).collect();
            relays.len() < MAX_HOPS && nodes.len() == relays.len() + 1
        };
        let ends_differ = |part: &PathPart| !matches!(part, PathPart::Link(one, other) if one == other);
        let entries = self.pins.len().max(self.avoid.len()).max(self.prices.len());
        if entries > MAX_POLICY_ENTRIES {
            return Err(ConfigError::PolicyEntries(entries));
        }
        if !self.pins.iter().all(is_path) {
            return Err(ConfigError::Pin);
        }
        if !self.avoid.iter().chain(self.prices.keys()).all(ends_differ) {
            return Err(ConfigError::Link);
        }
        if self.prices.values().any(|price| *price > MAX_PRICE) {
            return Err(ConfigError::Price);
        }
        Ok(())
    }
}
