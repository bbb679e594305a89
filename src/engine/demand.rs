//! How much memory one piece of control work may take: a bound by what the control plane holds, for embedders that
//! set memory aside before it is needed.
//!
//! All counts that is allocated, given back or not. In a mesh of 200 members the most that a call takes is an
//! eighth of the bound (`LEON_MEMBERS=200 oom a_mesh_outlives`, tests/c), with 4000 announced hosts a seventh.

use crate::engine::control::Control;

/// Nodes that one call may add to those there are: one that shakes hands, and those on a list, which has at most ten.
const NEWCOMERS: usize = 16;
/// What grows with nothing, in bytes.
const FIXED: usize = 256 * 1024;
/// A node in the snapshot, with its path, keys and segments; messages to it; events about it.
const OF_NODE: usize = 8 * 1024;
/// A link in the table of latencies, 40 bytes, and among the weighted ones, 8; four times that for the queues of
/// Dijkstra's algorithm; in the own row, told to all.
/// In a report 256.
const OF_PAIR: usize = 512;
/// A host that is put into the FDB or forgotten, with what is told of it, in lists that double as they grow.
const OF_HOST: usize = 512;
/// A host of this node in a message to one member.
const OF_TOLD_HOST: usize = 48;
/// A host in a report.
#[cfg(feature = "ffi")]
const OF_HOST_STATUS: usize = 160;

impl Control {
    /// Bytes that a call may allocate at most, as things are.
    pub(super) fn demand(&self) -> usize {
        let nodes = self.sessions.len().max(self.membership.list().len()) + NEWCOMERS;
        let members = self.connections.len() + NEWCOMERS;
        let hosts = self.hosts.len() * OF_HOST + self.hosts.own_len() * members * OF_TOLD_HOST;
        FIXED + nodes * OF_NODE + members * members * OF_PAIR + hosts
    }
}

/// Bytes that a list of so many hosts takes at most.
#[cfg(feature = "ffi")]
pub(super) fn of_hosts(count: usize) -> usize {
    count * OF_HOST_STATUS
}
