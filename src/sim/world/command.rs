//! What sites, hosts and strangers are told to do. What that sets off happens when the world runs.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use crate::sim::check::Violation;
use crate::sim::host::To;
use crate::sim::site::SiteState;
use crate::sim::world::{Forgeries, World};
use crate::{ConfigError, FrameIn, Host, HostError, MacAddr, NodeId, Policy, Segment};

/// Commands to sites, hosts and strangers. What they set off happens when the world runs.
impl World {
    /// Starts a site that is down and has it join.
    pub fn start(&mut self, site: usize) {
        if self.sites[site].state == SiteState::Down {
            self.sites[site].power_on(self.now);
            self.begin_life(site);
            self.call(site, |engine, _, now, outbox| engine.join(now, outbox));
        }
    }

    /// Starts all sites, the first one first, a millisecond apart.
    ///
    /// # Errors
    ///
    /// A rule that was broken meanwhile.
    pub fn start_all(&mut self) -> Result<(), Violation> {
        for site in 0..self.sites.len() {
            self.start(site);
            self.run_for(Duration::from_millis(1))?;
        }
        Ok(())
    }

    /// Starts a site that is down in a life of this incarnation, with the entropy that its former life had.
    pub fn start_as(&mut self, site: usize, incarnation: u64) {
        if self.sites[site].state == SiteState::Down {
            self.sites[site].power_on_as(self.now, incarnation);
            self.begin_life(site);
            self.call(site, |engine, _, now, outbox| engine.join(now, outbox));
        }
    }

    fn begin_life(&mut self, site: usize) {
        let config = &self.sites[site].config;
        self.locators.insert(config.locator);
        self.chosen.started(site, config.id());
    }

    /// The site is gone, without a word.
    pub fn crash(&mut self, site: usize) {
        self.sites[site].power_off();
        self.set_alarm(site);
        self.chosen.stopped(site);
    }

    /// [`crash`](World::crash) and [`start`](World::start).
    pub fn restart(&mut self, site: usize) {
        self.crash(site);
        self.start(site);
    }

    /// The site's host stops calling its engine, as when its machine is suspended or its process is stopped. Its
    /// socket keeps what comes as long as there is room; its hosts get no frames in.
    pub fn sleep(&mut self, site: usize) {
        if self.sites[site].state == SiteState::Running {
            self.sites[site].state = SiteState::Asleep;
            self.set_alarm(site);
        }
    }

    /// Ends a [`sleep`](World::sleep): the engine's clock has gone on. It gets what came meanwhile before its timer
    /// is called, as from an event loop that finds both due.
    pub fn wake(&mut self, site: usize) {
        if self.sites[site].state == SiteState::Asleep {
            let steps = self.sites[site].wake(self.now);
            steps.into_iter().for_each(|step| self.take(site, step));
            self.set_alarm(site);
        }
    }

    /// From now on the clock of the site's machine, and of later ones, is faster than the world's by so many parts of a
    /// billion, or slower if that is negative.
    pub fn drift_clock(&mut self, site: usize, drift_ppb: i32) {
        self.sites[site].drift_clock(self.now, drift_ppb.into());
        self.set_alarm(site);
    }

    /// The clock of the site's machine is set forward.
    pub fn step_clock(&mut self, site: usize, by: Duration) {
        self.sites[site].step_clock(self.now, by);
        self.set_alarm(site);
    }

    /// The site leaves; its socket stays open.
    pub fn leave(&mut self, site: usize) {
        if self.sites[site].state == SiteState::Running {
            self.sites[site].state = SiteState::Leaving;
            self.call(site, |engine, _, now, outbox| engine.leave(now, outbox));
        }
    }

    /// The site's host replaces the addresses to fetch the list from, now and for its next start.
    ///
    /// # Errors
    ///
    /// What the site's engine says.
    pub fn set_seeds(&mut self, site: usize, seeds: &[SocketAddr]) -> Result<(), ConfigError> {
        self.sites[site].config.seeds = seeds.to_vec();
        let mut result = Ok(());
        self.call(site, |engine, _, now, outbox| result = engine.set_seeds(seeds, now, outbox));
        result
    }

    /// The site's host replaces the list of nodes that may be members.
    pub fn set_allowed(&mut self, site: usize, allowed: Option<BTreeSet<NodeId>>) {
        self.call(site, |engine, _, now, outbox| engine.set_allowed(allowed, now, outbox));
    }

    /// Somebody who is at no site has these bytes as a frame to send: they may come out once anywhere. Returns its
    /// index in the ledger.
    pub fn expect_frame(&mut self, segment: Segment, frame: &[u8]) -> usize {
        self.ledger.sent(usize::MAX, segment, frame)
    }

    /// Forgets all frames that were sent and begins their ledger anew: for worlds that run long. One that is still on
    /// its way breaks [`Rule::OnlyWhatWasSent`](crate::sim::Rule::OnlyWhatWasSent).
    pub fn forget_frames(&mut self) {
        self.ledger.clear();
        self.hosts.iter_mut().for_each(|host| host.received.clear());
    }

    /// The site's operator wants other paths from now on.
    ///
    /// # Errors
    ///
    /// What the site's engine says; nothing happens if the site does not run.
    pub fn set_policy(&mut self, site: usize, policy: &Policy) -> Result<(), ConfigError> {
        let mut result = Ok(());
        self.call(site, |engine, _, now, outbox| result = engine.set_policy(policy, now, outbox));
        result
    }

    /// The host sends a frame of `len` bytes, or the shortest that can be told apart if that is longer. Returns its
    /// index in the ledger.
    pub fn send(&mut self, host: usize, to: To, len: usize) -> usize {
        let mac = match to {
            To::Host(other) => self.hosts[other].mac,
            To::Everyone => MacAddr::BROADCAST,
            To::Mac(mac) => mac,
        };
        let tag = self.ledger.frames.len() as u64;
        let frame = self.hosts[host].frame(mac, tag, len);
        self.send_bytes(self.hosts[host].site, self.hosts[host].segment, &frame)
    }

    /// Something at the site sends these bytes as a frame. Returns its index in the ledger.
    pub fn send_bytes(&mut self, site: usize, segment: Segment, frame: &[u8]) -> usize {
        let index = self.ledger.sent(site, segment, frame);
        let mut bytes = frame.to_vec();
        self.call(site, |_, forwarder, now, outbox| {
            forwarder.frame_in(now, FrameIn { segment, bytes: &mut bytes }, outbox);
        });
        index
    }

    /// What runs the host tells the site it is at that it is there.
    ///
    /// # Errors
    ///
    /// What the site's engine says; nothing happens if the site does not run.
    pub fn announce(&mut self, host: usize) -> Result<(), HostError> {
        self.announce_at(self.hosts[host].site, self.hosts[host].name())
    }

    /// Somebody tells a site that a host is there, whatever is true.
    ///
    /// # Errors
    ///
    /// What the site's engine says; nothing happens if the site does not run.
    pub fn announce_at(&mut self, site: usize, host: Host) -> Result<(), HostError> {
        let mut result = Ok(());
        if self.sites[site].state == SiteState::Running {
            self.call(site, |engine, _, now, outbox| result = engine.announce_host(host, now, outbox));
        }
        result
    }

    /// Somebody tells a site that a host is not there any more.
    pub fn withdraw_at(&mut self, site: usize, host: Host) {
        self.call(site, |engine, _, now, outbox| engine.withdraw_host(host, now, outbox));
    }

    /// A datagram reaches the site at once, whoever sent it.
    pub fn inject(&mut self, site: usize, from: SocketAddr, bytes: Vec<u8>) {
        self.agenda.add(site, self.now, from, bytes);
    }

    /// From now on what engines send to an address that is no site's is kept.
    pub fn listen(&mut self, address: SocketAddr) {
        self.mail.entry(address).or_default();
    }

    /// What was sent to an address since the last call, with the sender's address; from the moment on when
    /// [`listen`](World::listen) was called.
    pub fn take_mail(&mut self, address: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)> {
        self.mail.get_mut(&address).map(core::mem::take).unwrap_or_default()
    }

    /// An address is somebody's locator, who may be a member: relays may send there.
    pub fn claim(&mut self, locator: SocketAddr) {
        self.locators.insert(locator);
    }

    /// Up to `count` of the latest datagrams for the site, picked at random, reach it once more.
    pub fn replay(&mut self, site: usize, count: usize) {
        let known = self.overheard(site);
        for _ in 0..count.min(known.len()) {
            let (from, bytes) = &known[self.dice.below(known.len() as u64) as usize];
            self.inject(site, *from, bytes.clone());
        }
    }

    /// From now on it is no breach of a rule to believe what nobody said: nothing is authenticated, and what will
    /// be injected is forged well enough to pass for genuine.
    pub fn expect_forgeries(&mut self) {
        self.forgeries = Forgeries::Expected;
    }
}
