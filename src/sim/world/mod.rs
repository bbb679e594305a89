//! The virtual world: engines, underlay and hosts on one clock.
//!
//! Time advances from event to event; an engine is woken by a datagram, a frame or exactly at its deadline.
//! Everything follows from the seed. Knows no rule about what engines should do; those stand in `check`
//! and `rest`.

mod advance;
mod build;
mod command;
mod view;

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::sim::agenda::Agenda;
use crate::sim::check::{Header, Rule, Violation, status_breach};
use crate::sim::chosen::Chosen;
use crate::sim::dice::Dice;
use crate::sim::host::{Delivery, Host, Ledger};
use crate::sim::middle::{Caught, Middle};
use crate::sim::site::{DeadlineVerdict, Outbox, Site, SiteState, Step, packet_len};
use crate::sim::underlay::Underlay;
use crate::{Engine, Forwarder, Segment, Time};
use advance::Pace;

/// How many datagrams are remembered for replays.
const REMEMBERED: usize = 256;

/// N engines, the underlay between them and the hosts behind them, in virtual time.
///
/// Sites are named by the index [`add_site`](World::add_site) gave, hosts by that of
/// [`add_host`](World::add_host). Indices that were not given panic.
pub struct World {
    seed: u64,
    now: Time,
    agenda: Agenda,
    /// How often a site has gone on.
    turns: u64,
    pace: Pace,
    sites: Vec<Site>,
    chosen: Chosen,
    /// Which site's socket is bound to an address.
    bound: BTreeMap<SocketAddr, usize>,
    /// Every locator that any site was ever started with.
    locators: BTreeSet<SocketAddr>,
    underlay: Underlay,
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

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        World {
            seed,
            now: Time::ZERO,
            agenda: Agenda::default(),
            turns: 0,
            pace: Pace::Serial,
            sites: Vec::new(),
            chosen: Chosen::default(),
            bound: BTreeMap::new(),
            locators: BTreeSet::new(),
            underlay: Underlay::new(seed),
            middles: BTreeMap::new(),
            hosts: Vec::new(),
            ledger: Ledger::default(),
            remembered: VecDeque::new(),
            strays: BTreeMap::new(),
            mail: BTreeMap::new(),
            dice: Dice::named(seed, "world"),
            violation: None,
            forgeries: Forgeries::Impossible,
        }
    }

    /// One call into a site's engine. An engine whose deadline has come is woken first.
    fn call(&mut self, site: usize, act: impl FnOnce(&Engine, &mut Forwarder, Time, &mut Outbox)) {
        let woken = self.sites[site].wake_if_due(self.now);
        let called = self.sites[site].call(self.now, act);
        woken.into_iter().chain(called).for_each(|step| self.take(site, step));
        self.set_alarm(site);
    }

    /// Takes what a site has put out now.
    fn take(&mut self, site: usize, step: Step) {
        let Step { outbox, verdict, .. } = step;
        match verdict {
            DeadlineVerdict::Ahead => {}
            DeadlineVerdict::Passed => self.break_rule(site, Rule::DeadlineAhead, String::new()),
            DeadlineVerdict::NotTold => self.break_rule(site, Rule::DeadlineTold, String::new()),
        }
        for event in outbox.events {
            self.chosen.told(site, &event);
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
        let Site { deadline, state, .. } = self.sites[site];
        self.agenda.set_deadline(site, if state == SiteState::Asleep { Time::NEVER } else { deadline });
    }

    /// The underlay takes a datagram.
    fn carry(&mut self, site: usize, to: SocketAddr, bytes: Vec<u8>) {
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
        let Some(pipe) = self.underlay.get_mut(site, receiver) else { return };
        let from = self.sites[site].address;
        for arrival in pipe.transmit(packet_len(to, bytes.len()), self.now) {
            let mut copy = bytes.clone();
            if arrival.corrupted {
                pipe.corrupt(&mut copy);
            }
            let Some(middle) = self.middles.get_mut(&(site, receiver)) else {
                self.agenda.add(receiver, arrival.at, from, copy);
                continue;
            };
            let after = arrival.at.since(self.now);
            for Caught { from, site, after, bytes } in
                middle(Caught { from, site: receiver, after, bytes: copy })
            {
                self.agenda.add(site, self.now + after, from, bytes);
            }
        }
        self.remembered.push_back((receiver, from, bytes));
        if self.remembered.len() > REMEMBERED {
            self.remembered.pop_front();
        }
    }

    /// A site's engine delivers a frame to its local network.
    fn deliver(&mut self, site: usize, segment: Segment, bytes: &[u8]) {
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
