//! The paths that engines have chosen, as their events tell them: found without asking an engine.
//!
//! Knows events and sites, neither costs nor the underlay.

use std::collections::BTreeMap;

use arrayvec::ArrayVec;

use crate::config::MAX_HOPS;
use crate::{Event, MemberState, NodeId, Status};

/// Relays in order, the destination last; empty if there is no path.
type Hops = ArrayVec<usize, MAX_HOPS>;

/// The chosen paths of all sites.
#[derive(Default)]
pub(super) struct Chosen {
    /// The sites by the identities they have.
    sites: BTreeMap<NodeId, usize>,
    /// By source and destination.
    paths: Vec<Vec<Hops>>,
}

impl Chosen {
    /// There is one more site.
    pub(super) fn add_site(&mut self) {
        self.paths.push(Vec::new());
        let sites = self.paths.len();
        self.paths.iter_mut().for_each(|row| row.resize(sites, Hops::new()));
    }

    /// A site begins a life with this identity: it knows nobody, and nobody knows it by another one.
    pub(super) fn started(&mut self, site: usize, id: NodeId) {
        self.stopped(site);
        if self.sites.get(&id) == Some(&site) {
            return;
        }
        self.sites.retain(|_, known| *known != site);
        self.paths.iter_mut().for_each(|row| row[site].clear());
        // Of two sites with one identity the first is who others mean.
        self.sites.entry(id).or_insert(site);
    }

    /// A site's life is over.
    pub(super) fn stopped(&mut self, site: usize) {
        self.paths[site].iter_mut().for_each(Hops::clear);
    }

    /// A site's engine has told an event.
    pub(super) fn told(&mut self, site: usize, event: &Event) {
        let (to, path) = match event {
            Event::MemberJoined { id, .. } => (id, core::slice::from_ref(id)),
            Event::PathChanged { to, path, .. } => (to, path.as_slice()),
            Event::MemberLeft { id, .. }
            | Event::MemberFailed { id, .. }
            | Event::MemberRemoved { id, .. } => (id, [].as_slice()),
            _ => return,
        };
        if let Some(to) = self.sites.get(to) {
            let hops = path.iter().filter_map(|hop| self.sites.get(hop).copied()).collect();
            self.paths[site][*to] = hops;
        }
    }

    pub(super) fn path(&self, from: usize, to: usize) -> &[usize] {
        &self.paths[from][to]
    }

    /// A member whose path in a site's status is another than that site's events told.
    pub(super) fn mismatch(&self, site: usize, status: &Status) -> Option<String> {
        let untold = status.members.iter().find(|member| {
            let Some(&to) = self.sites.get(&member.id) else { return false };
            let hops: Hops = member.path.iter().filter_map(|hop| self.sites.get(hop).copied()).collect();
            let is_known = hops.len() == member.path.len() && member.state == MemberState::Alive;
            is_known && hops != self.paths[site][to]
        });
        untold.map(|member| format!("{:?} was told, it has {member:?}", self.paths[site]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PathCause;

    const IDS: [NodeId; 3] = [NodeId([0; 32]), NodeId([1; 32]), NodeId([2; 32])];

    fn chosen() -> Chosen {
        let mut chosen = Chosen::default();
        for (site, id) in IDS.into_iter().enumerate() {
            chosen.add_site();
            chosen.started(site, id);
        }
        let joined = |id| Event::MemberJoined { id, name: String::new(), locator: ([10, 0, 0, 1], 1).into() };
        chosen.told(0, &joined(IDS[2]));
        chosen
    }

    #[test]
    fn a_path_is_direct_at_first_and_then_as_it_was_told_last() {
        let mut chosen = chosen();
        assert_eq!(chosen.path(0, 2), [2]);
        let path = vec![IDS[1], IDS[2]];
        chosen.told(0, &Event::PathChanged { to: IDS[2], path, cause: PathCause::Better });
        assert_eq!(chosen.path(0, 2), [1, 2]);
        chosen.told(0, &Event::MemberFailed { id: IDS[2], name: String::new() });
        assert!(chosen.path(0, 2).is_empty());
    }

    #[test]
    fn nobody_has_a_path_to_a_site_that_became_another_node() {
        let mut chosen = chosen();
        chosen.started(2, IDS[2]);
        assert_eq!(chosen.path(0, 2), [2], "a restart changes nothing for the others");
        chosen.started(2, NodeId([3; 32]));
        assert!(chosen.path(0, 2).is_empty());
    }
}
