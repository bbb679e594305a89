//! What each node has announced, and which announcement of a host is the latest.
//!
//! A node's announcements are a log: each change of one is a new version, and what changed between two versions
//! can be read off. Of another node's log the versions are those of the order in which its changes came, which
//! is the same order. Withdrawals stay in the log, as the latest word on their hosts, but only so many.

use std::collections::BTreeMap;

use crate::host::Host;
use crate::node::NodePrefix;
use crate::wire::hosts::{Announcement, HostEntry, HostState, Hosts};

/// What one node says of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) by: NodePrefix,
    pub(super) announcement: Announcement,
    version: u64,
}

impl Word {
    /// Which of two is later: all nodes agree, in whatever order they hear them.
    fn rank(&self) -> (u32, NodePrefix) {
        (self.announcement.sequence, self.by)
    }
}

/// The hosts that a node has spoken of, by the version of its latest word.
#[derive(Debug, Default)]
struct Log {
    version: u64,
    /// Version of the latest withdrawal that has been forgotten.
    forgotten: u64,
    present: BTreeMap<u64, Host>,
    withdrawn: BTreeMap<u64, Host>,
}

impl Log {
    fn of_state(&mut self, state: HostState) -> &mut BTreeMap<u64, Host> {
        match state {
            HostState::Present => &mut self.present,
            HostState::Withdrawn => &mut self.withdrawn,
        }
    }
}

/// The announcements of all members.
#[derive(Debug, Default)]
pub(super) struct Table {
    hosts: BTreeMap<Host, Vec<Word>>,
    logs: BTreeMap<NodePrefix, Log>,
    len: usize,
}

impl Table {
    /// How many announcements and withdrawals there are, of all nodes together.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many hosts a node announces.
    pub(super) fn count(&self, by: NodePrefix) -> usize {
        self.logs.get(&by).map_or(0, |log| log.present.len())
    }

    /// The latest word on a host.
    pub(super) fn latest(&self, host: Host) -> Option<Word> {
        self.hosts.get(&host)?.iter().max_by_key(|word| word.rank()).copied()
    }

    /// What a node says of a host.
    pub(super) fn get(&self, by: NodePrefix, host: Host) -> Option<Announcement> {
        let word = self.hosts.get(&host)?.iter().find(|word| word.by == by);
        word.map(|word| word.announcement)
    }

    /// The hosts of which the latest word is that they are at a node, with that node.
    pub(super) fn places(&self) -> impl Iterator<Item = (Host, NodePrefix)> + '_ {
        self.hosts.keys().filter_map(|host| {
            let word = self.latest(*host)?;
            (word.announcement.state == HostState::Present).then_some((*host, word.by))
        })
    }

    /// Takes what a node says now. Of its withdrawals the latest `max_withdrawn` are kept.
    pub(super) fn set(&mut self, by: NodePrefix, entry: HostEntry, max_withdrawn: usize) {
        let HostEntry { host, announcement } = entry;
        self.remove(by, host);
        let log = self.logs.entry(by).or_default();
        log.version += 1;
        let version = log.version;
        log.of_state(announcement.state).insert(version, host);
        let oldest = log.withdrawn.first_key_value().map(|(version, host)| (*version, *host));
        let excess = oldest.filter(|_| log.withdrawn.len() > max_withdrawn);
        if let Some((version, _)) = excess {
            log.forgotten = version;
        }
        self.hosts.entry(host).or_default().push(Word { by, announcement, version });
        self.len += 1;
        if let Some((_, host)) = excess {
            self.remove(by, host);
        }
    }

    /// Forgets what a node has said of a host.
    pub(super) fn remove(&mut self, by: NodePrefix, host: Host) {
        let Some(words) = self.hosts.get_mut(&host) else { return };
        let Some(at) = words.iter().position(|word| word.by == by) else { return };
        let Word { announcement, version, .. } = words.swap_remove(at);
        if words.is_empty() {
            self.hosts.remove(&host);
        }
        self.len -= 1;
        if let Some(log) = self.logs.get_mut(&by) {
            log.of_state(announcement.state).remove(&version);
        }
    }

    /// The hosts that a node has spoken of.
    pub(super) fn hosts_of(&self, by: NodePrefix) -> Vec<Host> {
        let log = self.logs.get(&by).into_iter();
        log.flat_map(|log| log.present.values().chain(log.withdrawn.values())).copied().collect()
    }

    /// Ends the log of a node, whose words have all been removed.
    pub(super) fn end(&mut self, by: NodePrefix) {
        self.logs.remove(&by);
    }

    /// Version of a node's log; 0 if it is empty.
    pub(super) fn version(&self, by: NodePrefix) -> u64 {
        self.logs.get(&by).map_or(0, |log| log.version)
    }

    /// Messages that take a reader of a node's log from version `from` to the present one; none if it is there.
    pub(super) fn since(&self, by: NodePrefix, from: u64) -> Vec<Hosts> {
        let Some(log) = self.logs.get(&by).filter(|log| from < log.version) else { return Vec::new() };
        let forgotten = log.forgotten;
        let later = |hosts: &BTreeMap<u64, Host>| -> Vec<(u64, Host)> {
            hosts.range(from + 1..).map(|(version, host)| (*version, *host)).collect()
        };
        let mut changed = [later(&log.present), later(&log.withdrawn)].concat();
        changed.sort_unstable();
        let entry = |(_, host): &(u64, Host)| {
            self.get(by, *host).map(|announcement| HostEntry { host: *host, announcement })
        };
        let mut parts: Vec<Hosts> = Vec::new();
        for part in changed.chunks(Hosts::MAX_ENTRIES) {
            let from = parts.last().map_or(from, |part| part.to);
            let to = part.last().map_or(from, |(version, _)| *version);
            parts.push(Hosts { forgotten, from, to, entries: part.iter().filter_map(entry).collect() });
        }
        // Versions whose hosts were spoken of again, or are forgotten, end the log too.
        match parts.last_mut() {
            Some(last) => last.to = log.version,
            None => parts.push(Hosts { forgotten, from, to: log.version, entries: Vec::new() }),
        }
        parts
    }
}
