//! Announced hosts between the embedder, the members and the FDB.

use crate::engine::control::Control;
use crate::error::HostError;
use crate::forward::fdb::{Learned, Place};
use crate::host::Host;
use crate::hosts::Output;
use crate::node::{NodeId, NodePrefix};
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::control::Message;

impl Control {
    pub(crate) fn announce_host(&mut self, host: Host, now: Time) -> Result<(), HostError> {
        self.hosts.announce(host, now)
    }

    pub(crate) fn withdraw_host(&mut self, host: Host, now: Time) {
        self.hosts.withdraw(host, now);
    }

    pub(super) fn on_hosts(&mut self, output: Output, now: Time) {
        match output {
            Output::Hosts(to, part) => self.send_to(to, &Message::Hosts(part), now),
            Output::HostsToAll(part) => {
                let message = Message::Hosts(part);
                for to in self.live_members() {
                    self.send_to(to, &message, now);
                }
            }
            Output::Request(to, from) => self.send_to(to, &Message::HostsRequest { from }, now),
            Output::Placed(host, at) => {
                if let Some(place) = self.place_of(at) {
                    let learned = self.fdb.announce(host, place, now.as_secs());
                    self.note_host(learned, host, at, now);
                }
            }
            Output::Withdrawn(host, from) => {
                if let Some(place) = self.place_of(from) {
                    self.fdb.withdraw(host, place);
                }
            }
            Output::Refused(by, reason) => {
                self.counters.bump(reason);
                let member = self.name_of(by).map(|(id, _)| id);
                let alarms = self.snapshot.peer(by).map(|peer| &peer.limits.alarms);
                self.outbox.events.extend(alarms.and_then(|alarms| alarms.host_limit(member, now)));
            }
            Output::Unexpected => self.counters.bump(Counter::ControlUnexpected),
        }
    }

    /// Clears out hosts that have been silent for too long, and puts back those that are still announced and
    /// that frames have moved meanwhile, or for which there was no room.
    pub(super) fn sweep_hosts(&mut self, now: Time) {
        self.fdb.sweep(now.as_secs());
        self.hosts.retry_refused(now);
        let places: Vec<(Host, NodePrefix)> = self.hosts.places().collect();
        for (host, at) in places {
            if let Some(place) = self.place_of(at) {
                let learned = self.fdb.confirm(host, place, now.as_secs());
                self.note_host(learned, host, at, now);
            }
        }
    }

    /// Counts what became of an announced host, and tells people if it is worth it.
    fn note_host(&mut self, learned: Learned, host: Host, at: NodePrefix, now: Time) {
        if let Some(counter) = learned.counter() {
            self.counters.bump(counter);
        }
        let from = match learned {
            Learned::Moved(from) | Learned::Flapping(from) => self.id_at(from),
            Learned::Known | Learned::New | Learned::Held | Learned::Full | Learned::Quota => Some(None),
        };
        let to = self.place_of(at).and_then(|place| self.id_at(place));
        let (Some(from), Some(to)) = (from, to) else { return };
        let alarms = match to {
            None => Some(&*self.alarms),
            Some(_) => self.snapshot.peer(at).map(|peer| &peer.limits.alarms),
        };
        let event = alarms.and_then(|alarms| alarms.of_host(learned, host, (from, to), now));
        self.outbox.events.extend(event);
    }

    fn place_of(&self, node: NodePrefix) -> Option<Place> {
        if node == self.membership.own().id.prefix() {
            return Some(Place::Local);
        }
        self.connections.get(&node).map(|connection| Place::Member(connection.slot))
    }

    /// The member at a place, `Some(None)` for the local network; `None` if it is gone.
    pub(super) fn id_at(&self, place: Place) -> Option<Option<NodeId>> {
        let Place::Member(slot) = place else { return Some(None) };
        let (prefix, _) = self.connections.iter().find(|(_, connection)| connection.slot == slot)?;
        self.name_of(*prefix).map(|(id, _)| Some(id))
    }
}
