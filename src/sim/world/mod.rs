//! The virtual world: engines, underlay and hosts on one clock.
//!
//! Time advances from event to event; an engine is woken by a datagram, a frame or exactly at its deadline.
//! Everything follows from the seed. Knows no rule about what engines should do; those stand in `check`
//! and `rest`.

mod build;
mod command;
mod view;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::sim::check::{Header, Rule, Violation, status_breach};
use crate::sim::chosen::Chosen;
use crate::sim::dice::{Dice, TraceDigest};
use crate::sim::host::{Delivery, Host, Ledger};
use crate::sim::link::Pipe;
use crate::sim::middle::{Caught, Middle};
use crate::sim::site::{DeadlineVerdict, Outbox, Site, SiteState};
use crate::{DatagramIn, Engine, Forwarder, Segment, Time};

/// How many datagrams are remembered for replays.
const REMEMBERED: usize = 256;
/// How often [`World::run_until`] looks at its condition.
const GLANCE: Duration = Duration::from_millis(10);
/// After so many events for each site the status of the engine at hand is checked: asking for it takes time
/// that grows with the number of sites squared.
const STATUS_CHECK_EVENTS: u64 = 128;

/// N engines, the underlay between them and the hosts behind them, in virtual time.
///
/// Sites are named by the index [`add_site`](World::add_site) gave, hosts by that of
/// [`add_host`](World::add_host). Indices that were not given panic.
pub struct World {
    seed: u64,
    now: Time,
    queue: BTreeMap<(Time, u64), Happening>,
    sequence: u64,
    /// How many have happened.
    events: u64,
    sites: Vec<Site>,
    chosen: Chosen,
    /// Which site's socket is bound to an address.
    bound: BTreeMap<SocketAddr, usize>,
    /// Every locator that any site was ever started with.
    locators: BTreeSet<SocketAddr>,
    pipes: BTreeMap<(usize, usize), Pipe>,
    pub(in crate::sim) middles: BTreeMap<(usize, usize), Middle>,
    hosts: Vec<Host>,
    ledger: Ledger,
    /// The latest datagrams on their way: receiver, sender's address, bytes.
    remembered: VecDeque<(usize, SocketAddr, Vec<u8>)>,
    /// Datagrams and bytes sent to addresses that are no site's.
    strays: BTreeMap<SocketAddr, (u64, u64)>,
    /// What was sent to addresses that somebody outside listens at: sender's address, bytes.
    mail: BTreeMap<SocketAddr, Vec<(SocketAddr, Vec<u8>)>>,
    dice: Dice,
    digest: TraceDigest,
    violation: Option<Violation>,
    forgeries: Forgeries,
}

/// Whether who knows no key can pass for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forgeries {
    Impossible,
    /// Nothing is authenticated, and nobody can tell what was sent.
    Expected,
}

enum Happening {
    Datagram { site: usize, from: SocketAddr, bytes: Vec<u8> },
    Deadline { site: usize },
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        World {
            seed,
            now: Time::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            events: 0,
            sites: Vec::new(),
            chosen: Chosen::default(),
            bound: BTreeMap::new(),
            locators: BTreeSet::new(),
            pipes: BTreeMap::new(),
            middles: BTreeMap::new(),
            hosts: Vec::new(),
            ledger: Ledger::default(),
            remembered: VecDeque::new(),
            strays: BTreeMap::new(),
            mail: BTreeMap::new(),
            dice: Dice::named(seed, "world"),
            digest: TraceDigest::new(),
            violation: None,
            forgeries: Forgeries::Impossible,
        }
    }

    /// Lets the world go on for so long.
    ///
    /// # Errors
    ///
    /// The first rule that was broken, now or before.
    pub fn run_for(&mut self, duration: Duration) -> Result<(), Violation> {
        let until = self.now + duration;
        while self.violation.is_none() {
            let Some(next) = self.queue.first_entry().filter(|next| next.key().0 <= until) else { break };
            let ((at, _), happening) = next.remove_entry();
            self.now = at;
            let site = self.happen(happening, at);
            self.events += 1;
            if self.events.is_multiple_of(STATUS_CHECK_EVENTS * self.sites.len() as u64) {
                self.check_status(site);
            }
        }
        self.now = until;
        self.violation.clone().map_or(Ok(()), Err)
    }

    /// Lets the world go on until `condition` holds, for `limit` at most; says how long that took, to 10 ms,
    /// or `None` if it never held.
    ///
    /// # Errors
    ///
    /// The first rule that was broken, now or before.
    pub fn run_until(
        &mut self,
        limit: Duration,
        mut condition: impl FnMut(&World) -> bool,
    ) -> Result<Option<Duration>, Violation> {
        let start = self.now;
        loop {
            let passed = self.now.since(start);
            if condition(self) {
                return Ok(Some(passed));
            }
            if passed >= limit {
                return Ok(None);
            }
            self.run_for(GLANCE)?;
        }
    }

    /// Lets one thing happen; says at which site.
    fn happen(&mut self, happening: Happening, at: Time) -> usize {
        match happening {
            Happening::Datagram { site, from, bytes } => {
                if self.sites[site].state != SiteState::Down {
                    let traffic = &mut self.sites[site].traffic;
                    traffic.received += 1;
                    traffic.received_bytes += packet_len(from, bytes.len()) as u64;
                }
                if self.sites[site].state == SiteState::Asleep {
                    self.sites[site].keep(from, bytes);
                } else {
                    self.wake_if_due(site);
                    self.receive(site, from, bytes);
                }
                site
            }
            Happening::Deadline { site } => {
                // An alarm that an earlier one has replaced is not looked at: nor would it ever end.
                if self.sites[site].alarm == at {
                    self.sites[site].alarm = Time::NEVER;
                    self.wake_if_due(site);
                    self.set_alarm(site);
                }
                site
            }
        }
    }

    fn receive(&mut self, site: usize, from: SocketAddr, mut bytes: Vec<u8>) {
        self.digest.add(self.now.as_nanos(), site, 0, &bytes);
        let was_ahead = self.sites[site].deadline > self.now;
        let mut output = self.sites[site].call(self.now, |_, forwarder, now, outbox| {
            let datagram = DatagramIn { from, received_at: now, bytes: &mut bytes };
            forwarder.datagram_in(now, datagram, outbox);
        });
        // What is due stays due while frames are forwarded.
        if let Some((_, verdict @ DeadlineVerdict::Passed)) = &mut output
            && !was_ahead
        {
            *verdict = DeadlineVerdict::Ahead;
        }
        self.take(site, output);
    }

    fn wake_if_due(&mut self, site: usize) {
        if self.sites[site].deadline <= self.now {
            self.digest.add(self.now.as_nanos(), site, 1, &[]);
            let output = self.sites[site].call(self.now, |engine, _, now, outbox| engine.timer(now, outbox));
            self.take(site, output);
        }
    }

    /// One call into a site's engine. An engine whose deadline has come is woken first.
    fn call(&mut self, site: usize, act: impl FnOnce(&Engine, &mut Forwarder, Time, &mut Outbox)) {
        self.wake_if_due(site);
        let output = self.sites[site].call(self.now, act);
        self.take(site, output);
    }

    fn take(&mut self, site: usize, output: Option<(Outbox, DeadlineVerdict)>) {
        let Some((outbox, verdict)) = output else { return };
        match verdict {
            DeadlineVerdict::Ahead => {}
            DeadlineVerdict::Passed => self.break_rule(site, Rule::DeadlineAhead, String::new()),
            DeadlineVerdict::NotTold => self.break_rule(site, Rule::DeadlineTold, String::new()),
        }
        self.set_alarm(site);
        for event in outbox.events {
            self.chosen.told(site, &event);
            self.digest.add(self.now.as_nanos(), site, 2, format!("{event:?}").as_bytes());
            self.sites[site].events.push((self.now, event));
        }
        for (to, bytes) in outbox.datagrams {
            self.carry(site, to, bytes);
        }
        for (segment, bytes) in outbox.frames {
            self.deliver(site, segment, &bytes);
        }
    }

    /// Makes sure that the world looks at a site's deadline when it has come. Who is asleep is looked at on waking.
    fn set_alarm(&mut self, site: usize) {
        let Site { deadline, alarm, state, .. } = &mut self.sites[site];
        let at = (*deadline).max(self.now);
        if *deadline != Time::NEVER && *state != SiteState::Asleep && at < *alarm {
            *alarm = at;
            self.push(at, Happening::Deadline { site });
        }
    }

    fn push(&mut self, at: Time, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
    }

    /// The underlay takes a datagram.
    fn carry(&mut self, site: usize, to: SocketAddr, bytes: Vec<u8>) {
        self.digest.add(self.now.as_nanos(), site, 3, &bytes);
        self.check_datagram(site, to, &bytes);
        let traffic = &mut self.sites[site].traffic;
        traffic.sent += 1;
        traffic.sent_bytes += packet_len(to, bytes.len()) as u64;
        let Some(&receiver) = self.bound.get(&to) else {
            let stray = self.strays.entry(to).or_default();
            *stray = (stray.0 + 1, stray.1 + bytes.len() as u64);
            if let Some(mail) = self.mail.get_mut(&to) {
                mail.push((self.sites[site].address, bytes));
            }
            return;
        };
        if !self.carries(site, receiver) {
            return;
        }
        let Some(pipe) = self.pipes.get_mut(&(site, receiver)) else { return };
        let from = self.sites[site].address;
        for arrival in pipe.transmit(packet_len(to, bytes.len()), self.now) {
            let mut copy = bytes.clone();
            if arrival.corrupted {
                pipe.corrupt(&mut copy);
            }
            let Some(middle) = self.middles.get_mut(&(site, receiver)) else {
                self.sequence += 1;
                let happening = Happening::Datagram { site: receiver, from, bytes: copy };
                self.queue.insert((arrival.at, self.sequence), happening);
                continue;
            };
            let after = arrival.at.since(self.now);
            for Caught { from, site, after, bytes } in
                middle(Caught { from, site: receiver, after, bytes: copy })
            {
                self.sequence += 1;
                let happening = Happening::Datagram { site, from, bytes };
                self.queue.insert((self.now + after, self.sequence), happening);
            }
        }
        self.remembered.push_back((receiver, from, bytes));
        if self.remembered.len() > REMEMBERED {
            self.remembered.pop_front();
        }
    }

    /// A site's engine delivers a frame to its local network.
    fn deliver(&mut self, site: usize, segment: Segment, bytes: &[u8]) {
        self.digest.add(self.now.as_nanos(), site, 4, bytes);
        let delivery = Delivery { site, life: self.sites[site].lives, at: self.now };
        match self.ledger.delivered(delivery, segment, bytes) {
            Ok(frame) => {
                let local = |host: &&mut Host| host.site == site && host.segment == segment;
                for host in self.hosts.iter_mut().filter(local).filter(|host| host.accepts(bytes)) {
                    host.received.push(frame);
                }
            }
            Err(_) if self.forgeries == Forgeries::Expected => {}
            Err(rule) => self.break_rule(site, rule, format!("{bytes:02x?} in {segment:?}")),
        }
    }
}

/// The rules of every step.
impl World {
    fn check_datagram(&mut self, site: usize, to: SocketAddr, bytes: &[u8]) {
        let config = &self.sites[site].config;
        let header = Header::read(bytes);
        let is_genuine = self.forgeries == Forgeries::Impossible;
        let own = header.is_some_and(|header| config.id().0.starts_with(&header.source));
        let rule = if to == self.sites[site].address && is_genuine {
            Rule::NotToItself
        } else if !header.is_some_and(Header::is_bounded) {
            Rule::HopsBounded
        } else if packet_len(to, bytes.len()) > usize::from(config.underlay_mtu) {
            Rule::FitsTheUnderlay
        } else if !own && is_genuine && !self.locators.contains(&to) {
            Rule::RelayToMembers
        } else {
            return;
        };
        self.break_rule(site, rule, format!("{} bytes to {to}: {bytes:02x?}", bytes.len()));
    }

    fn check_status(&mut self, site: usize) {
        let Some(status) = self.status(site) else { return };
        let up_for = self.now.since(Time::ZERO);
        if let Some((rule, detail)) = status_breach(&status, &self.sites[site].config, up_for) {
            self.break_rule(site, rule, detail);
        }
        if let Some(detail) = self.chosen.mismatch(site, &status) {
            self.break_rule(site, Rule::PathsTold, detail);
        }
    }

    /// Checks what all engines say about themselves.
    ///
    /// # Errors
    ///
    /// The first rule that was broken, now or before.
    pub fn check_tables(&mut self) -> Result<(), Violation> {
        (0..self.sites.len()).for_each(|site| self.check_status(site));
        self.violation.clone().map_or(Ok(()), Err)
    }

    /// Notes the first broken rule; later ones may only follow from it.
    fn break_rule(&mut self, site: usize, rule: Rule, detail: String) {
        let violation = Violation { seed: self.seed, at: self.now, site: Some(site), rule, detail };
        self.violation.get_or_insert(violation);
    }
}

/// Length of the IP packet that carries `payload` bytes of UDP to an address.
fn packet_len(to: SocketAddr, payload: usize) -> usize {
    let ip = if to.is_ipv4() { 20 } else { 40 };
    ip + 8 + payload
}
