//! Announced hosts: nodes that know which hosts are behind them say so, and all members know the same.
//!
//! Each node's announcements are a log with versions, as rows of latencies are: messages carry what changed
//! between two versions, probes carry the version, and who lacks something asks for it. Of several nodes that
//! announce one host the highest sequence number wins, as in EVPN (RFC 7432 §7.7 and §15).
//!
//! Knows nodes by prefix only and sends nothing itself. What frames say of hosts, and where they are
//! forwarded, is others' business.

mod table;

use core::time::Duration;
use std::collections::BTreeSet;

use crate::config::MAX_ANNOUNCED_HOSTS;
use crate::error::HostError;
use crate::host::Host;
use crate::node::{NodePrefix, Segment};
use crate::node_map::NodeMap;
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::hosts::{Announcement, HostEntry, HostState, Hosts as Part};
use table::{Table, Word};

/// A change is told after this, so that hosts that start together are told together: at most 100 messages in a
/// second go to a member, however many hosts there are, and 62 hosts in each.
const TELL_DELAY: Duration = Duration::from_millis(10);
/// A part of a member's announcements is asked for no more often than this: above the round-trip time of most
/// links.
const REQUEST_INTERVAL: Duration = Duration::from_millis(250);
/// A member is sent what it asks for no more often than this.
const ANSWER_INTERVAL: Duration = Duration::from_millis(100);

/// What announcements want done or made known.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send this part of the own announcements to a member.
    Hosts(NodePrefix, Part),
    /// Send this part of the own announcements to all members.
    HostsToAll(Part),
    /// Ask a member for what changed in its announcements after this version.
    Request(NodePrefix, u64),
    /// By the latest word the host is at this node.
    Placed(Host, NodePrefix),
    /// By the latest word the host is no more at this node, and at no other.
    Withdrawn(Host, NodePrefix),
    /// There was no room for an announcement of this member, for this reason.
    Refused(NodePrefix, Counter),
    /// An answer came that nothing was asked for.
    Unexpected,
}

#[derive(Debug)]
struct Peer {
    /// The version up to which its announcements are known.
    version: u64,
    /// The highest version that was heard of.
    newest_version: u64,
    /// The version up to which it has forgotten withdrawals. What it sent before is of no use any more.
    forgotten: u64,
    /// The version before the first announcement for which there was no room.
    refused_after: Option<u64>,
    next_request_at: Time,
    /// Before then it is not sent what it asks for.
    next_answer_at: Time,
}

impl Peer {
    /// When to ask for what has got lost or is still on its way.
    fn deadline(&self) -> Time {
        if self.version < self.newest_version { self.next_request_at } else { Time::NEVER }
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// Hosts of one member, and as many withdrawals.
    pub(crate) of_member: usize,
    /// Announcements and withdrawals of all members.
    pub(crate) of_all: usize,
}

/// The announcements of all members, the own node included.
#[derive(Debug)]
pub(crate) struct Hosts {
    own: NodePrefix,
    segments: BTreeSet<Segment>,
    capacity: Capacity,
    peers: NodeMap<Peer>,
    table: Table,
    /// Version of the own log that all have been told.
    told_version: u64,
    tell_at: Time,
    wake_at: Time,
    outputs: Vec<Output>,
}

impl Hosts {
    /// For the node `own`, which serves `segments`: what others announce in other segments is not kept.
    pub(crate) fn new(own: NodePrefix, segments: &[Segment], capacity: Capacity) -> Self {
        Hosts {
            own,
            segments: segments.iter().copied().collect(),
            capacity,
            peers: NodeMap::new(),
            table: Table::default(),
            told_version: 0,
            tell_at: Time::NEVER,
            wake_at: Time::NEVER,
            outputs: Vec::new(),
        }
    }

    /// What has come up since the last call, in order.
    pub(crate) fn take_outputs(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.outputs)
    }

    /// When [`timer`](Self::timer) wants to be called.
    pub(crate) fn deadline(&self) -> Time {
        self.wake_at
    }

    /// Version of the own announcements, as told to all; what probes carry.
    pub(crate) fn version(&self) -> u64 {
        self.told_version
    }

    /// How many announcements and withdrawals there are, of all members.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many hosts this node announces.
    pub(crate) fn own_len(&self) -> usize {
        self.table.count(self.own)
    }

    /// The hosts that are announced, and where by the latest word.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Host, NodePrefix)> + '_ {
        self.table.places()
    }

    /// Starts to take a member's announcements.
    pub(crate) fn add(&mut self, peer: NodePrefix) {
        self.peers.insert(
            peer,
            Peer {
                version: 0,
                newest_version: 0,
                forgotten: 0,
                refused_after: None,
                next_request_at: Time::ZERO,
                next_answer_at: Time::ZERO,
            },
        );
    }

    /// Forgets what a member has announced.
    pub(crate) fn remove(&mut self, peer: NodePrefix) {
        self.peers.remove(&peer);
        self.clear(peer);
        self.table.end(peer);
    }

    fn clear(&mut self, by: NodePrefix) {
        for host in self.table.hosts_of(by) {
            self.change(host, |table| table.remove(by, host));
        }
    }

    /// A host is behind the own node, now and until it is withdrawn or announced elsewhere later.
    pub(crate) fn announce(&mut self, host: Host, now: Time) -> Result<(), HostError> {
        host.check()?;
        if !self.segments.contains(&host.segment) {
            return Err(HostError::Segment(host.segment));
        }
        let is_new = self.table.get(self.own, host).is_none_or(|own| own.state == HostState::Withdrawn);
        if is_new && self.table.count(self.own) >= MAX_ANNOUNCED_HOSTS {
            return Err(HostError::TooMany);
        }
        let sequence = match self.table.latest(host) {
            None => 0,
            Some(Word { announcement: Announcement { sequence: u32::MAX, .. }, by, .. }) if by > self.own => {
                return Err(HostError::Outbid);
            }
            Some(word) => word.announcement.sequence.saturating_add(1),
        };
        self.speak(host, Announcement { sequence, state: HostState::Present }, now);
        Ok(())
    }

    /// A host is not behind the own node any more. Nothing happens if it was not announced.
    pub(crate) fn withdraw(&mut self, host: Host, now: Time) {
        if let Some(own) = self.table.get(self.own, host)
            && own.state == HostState::Present
        {
            self.speak(host, Announcement { state: HostState::Withdrawn, ..own }, now);
        }
    }

    fn speak(&mut self, host: Host, announcement: Announcement, now: Time) {
        let own = self.own;
        let entry = HostEntry { host, announcement };
        self.change(host, |table| table.set(own, entry, MAX_ANNOUNCED_HOSTS));
        self.tell_at = self.tell_at.min(now + TELL_DELAY);
        self.wake_at = self.wake_at.min(self.tell_at);
    }

    /// A member says which version its announcements have. If that is newer than what is known here, the
    /// difference is asked for until it comes.
    pub(crate) fn hear_version(&mut self, from: NodePrefix, version: u64, now: Time) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.newest_version = peer.newest_version.max(version);
        let deadline = peer.deadline();
        if deadline != Time::NEVER {
            self.wake_at = self.wake_at.min(deadline.max(now));
        }
    }

    /// A part of a member's announcements.
    pub(crate) fn handle_hosts(&mut self, from: NodePrefix, part: Part, now: Time) {
        let Some(peer) = self.peers.get_mut(&from) else {
            self.outputs.push(Output::Unexpected);
            return;
        };
        if part.forgotten < peer.forgotten {
            return;
        }
        // A withdrawal that it has forgotten may be one that was missed here.
        let may_lack = part.forgotten > peer.forgotten && peer.version < part.forgotten;
        peer.forgotten = part.forgotten;
        if may_lack {
            peer.version = 0;
        }
        let known = peer.version;
        if may_lack {
            self.clear(from);
        }
        if part.to <= known {
            return;
        }
        if part.from > known {
            self.hear_version(from, part.to, now);
            return;
        }
        let mut refused = false;
        for entry in part.entries {
            if self.segments.contains(&entry.host.segment) {
                refused |= !self.take(from, entry);
            }
        }
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.version = part.to;
            peer.newest_version = peer.newest_version.max(part.to);
            if refused {
                peer.refused_after.get_or_insert(known);
            }
        }
    }

    /// Takes what a member says of one host; false if there is no room for it.
    fn take(&mut self, by: NodePrefix, entry: HostEntry) -> bool {
        let known = self.table.get(by, entry.host);
        if known == Some(entry.announcement) {
            return true;
        }
        let is_more = entry.announcement.state == HostState::Present
            && known.is_none_or(|known| known.state == HostState::Withdrawn);
        let refused = if known.is_none() && self.table.len() >= self.capacity.of_all {
            Some(Counter::MacTableFull)
        } else if is_more && self.table.count(by) >= self.capacity.of_member {
            Some(Counter::MacQuota)
        } else {
            None
        };
        if let Some(reason) = refused {
            // What is known is out of date.
            self.change(entry.host, |table| table.remove(by, entry.host));
            self.outputs.push(Output::Refused(by, reason));
            return false;
        }
        let most = self.capacity.of_member;
        self.change(entry.host, |table| table.set(by, entry, most));
        true
    }

    /// Changes what is said of a host, and says so if that changes where it is.
    fn change(&mut self, host: Host, act: impl FnOnce(&mut Table)) {
        let present =
            |table: &Table| table.latest(host).filter(|word| word.announcement.state == HostState::Present);
        let before = present(&self.table);
        act(&mut self.table);
        let after = present(&self.table);
        match (before, after) {
            (_, Some(after)) if before != Some(after) => self.outputs.push(Output::Placed(host, after.by)),
            (Some(before), None) => self.outputs.push(Output::Withdrawn(host, before.by)),
            _ => {}
        }
    }

    /// A member asks for what changed in the own announcements.
    pub(crate) fn handle_request(&mut self, from: NodePrefix, version: u64, now: Time) {
        let Some(peer) = self.peers.get_mut(&from).filter(|peer| now >= peer.next_answer_at) else { return };
        peer.next_answer_at = now + ANSWER_INTERVAL;
        let parts = self.table.since(self.own, version);
        self.outputs.extend(parts.into_iter().map(|part| Output::Hosts(from, part)));
    }

    /// Members for whose announcements there was no room are asked again if there is some now.
    pub(crate) fn retry_refused(&mut self, now: Time) {
        if self.table.len() >= self.capacity.of_all {
            return;
        }
        for (by, peer) in self.peers.iter_mut() {
            let has_room = self.table.count(*by) < self.capacity.of_member;
            if let Some(version) = peer.refused_after.filter(|_| has_room) {
                (peer.version, peer.refused_after) = (version, None);
                self.wake_at = self.wake_at.min(peer.next_request_at.max(now));
            }
        }
    }

    /// Does what is due.
    pub(crate) fn timer(&mut self, now: Time) {
        if now < self.wake_at {
            return;
        }
        for (prefix, peer) in self.peers.iter_mut() {
            if now >= peer.deadline() {
                peer.next_request_at = now + REQUEST_INTERVAL;
                self.outputs.push(Output::Request(*prefix, peer.version));
            }
        }
        if now >= self.tell_at {
            self.tell_at = Time::NEVER;
            let news = self.table.since(self.own, self.told_version);
            self.told_version = self.table.version(self.own);
            self.outputs.extend(news.into_iter().map(Output::HostsToAll));
        }
        self.wake_at = self.peers.values().map(Peer::deadline).fold(self.tell_at, Time::min);
    }

    /// Stops everything: the node leaves.
    pub(crate) fn stop(&mut self) {
        self.peers.clear();
        (self.tell_at, self.wake_at) = (Time::NEVER, Time::NEVER);
    }
}

#[cfg(test)]
mod tests;
