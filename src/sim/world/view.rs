//! Looking at a world.

use core::net::SocketAddr;

use crate::sim::dice::TraceDigest;
use crate::sim::host::{Host, SentFrame};
use crate::sim::site::{SiteState, Traffic};
use crate::sim::world::World;
use crate::{Config, Event, Explanation, NodeId, Status, Time};

/// Looking at the world.
impl World {
    /// The seed everything follows from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The world's clock; each engine's own is ahead by an offset of its own.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Hash of everything that happened so far at any site.
    pub fn digest(&self) -> u64 {
        let mut digest = TraceDigest::new();
        self.sites.iter().for_each(|site| digest.add_other(&site.digest));
        digest.value()
    }

    /// How many sites there are, whatever their state.
    pub fn sites(&self) -> usize {
        self.sites.len()
    }

    /// The sites whose engines were told to join and neither crashed nor left, ascending.
    pub fn running(&self) -> Vec<usize> {
        (0..self.sites.len()).filter(|&site| self.sites[site].state == SiteState::Running).collect()
    }

    /// What the site's host last told its engine.
    pub fn state(&self, site: usize) -> SiteState {
        self.sites[site].state
    }

    /// The site's configuration, with the incarnation of its present life.
    pub fn config(&self, site: usize) -> &Config {
        &self.sites[site].config
    }

    /// The status of the site's engine; `None` if it is down.
    pub fn status(&self, site: usize) -> Option<Status> {
        let engine = self.sites[site].engine()?;
        Some(engine.status(self.sites[site].local(self.now)))
    }

    /// Why frames from one site to another take the path they take; `None` if the engine is down or does not
    /// know the other site.
    pub fn explain(&self, from: usize, to: usize) -> Option<Explanation> {
        let site = &self.sites[from];
        site.engine()?.explain(self.sites[to].config.id(), site.local(self.now))
    }

    /// The site of this identity.
    pub fn site_of(&self, id: NodeId) -> Option<usize> {
        self.sites.iter().position(|site| site.config.id() == id)
    }

    /// The path frames take from one site to another, as the first one's engine told: relays in order, the
    /// destination last. Empty if there is none.
    pub fn path(&self, from: usize, to: usize) -> &[usize] {
        self.chosen.path(from, to)
    }

    /// What the site's socket sent and received so far, frames and control messages alike.
    pub fn traffic(&self, site: usize) -> Traffic {
        self.sites[site].traffic
    }

    /// True if datagrams from one site reach the other, be it with loss.
    pub fn carries(&self, from: usize, to: usize) -> bool {
        self.sites[from].group == self.sites[to].group && self.link(from, to).is_some_and(|link| link.up)
    }

    /// How often it was a site's turn to go on. On all processors, where sites go on for longer at a time, that is less often.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// What the site's engine said happened, over all its lives, oldest first.
    pub fn events(&self, site: usize) -> &[(Time, Event)] {
        &self.sites[site].events
    }

    /// A host.
    pub fn host(&self, host: usize) -> &Host {
        &self.hosts[host]
    }

    /// A frame that was sent, by its index in the ledger.
    pub fn frame(&self, frame: usize) -> &SentFrame {
        &self.ledger.frames[frame]
    }

    /// All frames that were sent.
    pub fn frames(&self) -> &[SentFrame] {
        &self.ledger.frames
    }

    /// Datagrams and bytes (of UDP payload) that engines sent to an address that is no site's.
    pub fn strays(&self, to: SocketAddr) -> (u64, u64) {
        self.strays.get(&to).copied().unwrap_or_default()
    }

    /// The datagrams on their way to the site, in the order of their arrival, with their senders' addresses.
    pub fn on_the_way(&self, site: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        self.agenda.arrivals(site).into_iter().map(|incoming| (incoming.from, incoming.bytes)).collect()
    }

    /// The latest datagrams that were sent to the site, oldest first, with their senders' addresses. What is
    /// remembered is bounded over all sites together.
    pub fn overheard(&self, site: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let to_site = self.remembered.iter().filter(|(to, ..)| *to == site);
        to_site.map(|(_, from, bytes)| (*from, bytes.clone())).collect()
    }
}
