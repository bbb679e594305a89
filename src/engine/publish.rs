//! What the data plane is told of each change: the nodes it concerns are read anew from the components, all others
//! stay in the snapshot as they are.

use std::sync::Arc;

use crate::engine::alarm::Alarms;
use crate::engine::control::Control;
use crate::engine::snapshot::{Limits, Member, Peer, Snapshot};
use crate::forward::limit::RateLimit;
use crate::node::NodePrefix;

/// Control messages per second that one node may send, and nanoseconds of burst: a joining mesh of 200 stays
/// below a tenth of it (`cargo test --test sim scale -- --nocapture`).
const CONTROL_LIMIT: u32 = 500;
const CONTROL_BURST_NS: u64 = 4_000_000_000;
/// Nanoseconds of burst that relaying and flooding for one member may take.
const RELAY_BURST_NS: u64 = 100_000_000;
const FLOOD_BURST_NS: u64 = 1_000_000_000;

impl Control {
    /// Something of a node has changed: its record, its session, or the paths to it.
    pub(super) fn note_change(&mut self, node: NodePrefix) {
        self.unpublished.insert(node);
    }

    /// Paths for bulk traffic have changed.
    pub(super) fn note_bulk_changes(&mut self) {
        let has_other = self
            .connections
            .iter()
            .filter(|(member, connection)| self.router.bulk_path(**member) != connection.bulk_path.as_ref());
        self.unpublished.extend(has_other.map(|(member, _)| *member));
    }

    /// The snapshot with all changes; `None` if there are none.
    pub(super) fn publish(&mut self) -> Option<Snapshot> {
        if self.unpublished.is_empty() {
            return None;
        }
        let mut changed = core::mem::take(&mut self.unpublished);
        // A path is sealed with the keys of its relays, and sent to the address of the first.
        let dependent: Vec<NodePrefix> = changed.iter().flat_map(|node| self.dependents.of(*node)).collect();
        changed.extend(dependent);
        let changes = changed.into_iter().map(|node| (node, self.peer(node))).collect();
        self.snapshot.update(changes);
        Some(self.snapshot.clone())
    }

    fn peer(&mut self, prefix: NodePrefix) -> Option<Peer> {
        let keys = self.sessions.open_keys(prefix);
        if keys.is_empty() {
            return None;
        }
        let limits = match self.snapshot.peer(prefix) {
            Some(peer) => Arc::clone(&peer.limits),
            None => Arc::new(self.limits()),
        };
        Some(Peer { keys, limits, member: self.member(prefix).map(Arc::new) })
    }

    fn limits(&self) -> Limits {
        Limits {
            relay: RateLimit::new(self.relay_limit, RELAY_BURST_NS),
            flood: RateLimit::new(self.flood_limit, FLOOD_BURST_NS),
            control: RateLimit::new(CONTROL_LIMIT, CONTROL_BURST_NS),
            alarms: Alarms::new(),
        }
    }

    fn member(&mut self, prefix: NodePrefix) -> Option<Member> {
        let connection = self.connections.get_mut(&prefix)?;
        connection.paths().for_each(|path| self.dependents.remove(prefix, path));
        connection.path = self.router.path(prefix);
        connection.bulk_path = self.router.bulk_path(prefix).cloned();
        connection.paths().for_each(|path| self.dependents.add(prefix, path));
        let connection = self.connections.get(&prefix)?;
        let record = self.membership.list().alive(prefix)?;
        Some(Member {
            id: record.id,
            slot: connection.slot,
            activity: Arc::clone(&connection.activity),
            locator: record.locator,
            proven_address: self.sessions.proven_address(prefix),
            path: self.sealed_path(prefix, &connection.path),
            bulk_path: connection.bulk_path.as_ref().and_then(|path| self.sealed_path(prefix, path)),
            segments: record.segments.clone(),
        })
    }
}
