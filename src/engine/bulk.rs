//! Which frames are bulk traffic, by the marks of those who sent them.

use crate::config::Bulk;
use crate::wire::ethernet::Priority;

/// The marks of bulk traffic, a bit for each.
#[derive(Debug)]
pub(super) struct BulkMarks {
    dscp: u64,
    pcp: u8,
}

impl BulkMarks {
    /// The marks of a valid configuration.
    pub(super) fn new(bulk: &Bulk) -> Self {
        let dscp = bulk.dscp.iter().fold(0, |bits, dscp| bits | 1 << dscp);
        BulkMarks { dscp, pcp: bulk.pcp.iter().fold(0, |bits, pcp| bits | 1 << pcp) }
    }

    /// True if a frame with this priority is bulk traffic.
    pub(super) fn has(&self, priority: Priority) -> bool {
        let dscp = priority.dscp.is_some_and(|dscp| self.dscp >> dscp & 1 == 1);
        dscp || priority.pcp.is_some_and(|pcp| self.pcp >> pcp & 1 == 1)
    }
}
