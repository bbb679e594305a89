//! What people are told of hosts and floods, and how seldom: a stream of hostile frames makes few events.

use crate::engine::event::Event;
use crate::forward::fdb::Learned;
use crate::forward::limit::RateLimit;
use crate::host::Host;
use crate::node::NodeId;
use crate::time::Time;

/// Moves of hosts to one place that are told in a second, and nanoseconds of burst: ten at once.
const MOVES: u32 = 5;
const MOVES_BURST_NS: u64 = 2_000_000_000;
/// Flapping hosts of one place that are told in a second, and nanoseconds of burst: five at once.
const FLAPS: u32 = 1;
const FLAPS_BURST_NS: u64 = 5_000_000_000;
/// That a limit is reached is told once in so many nanoseconds.
const LIMIT_INTERVAL_NS: u64 = 10_000_000_000;

/// What may still be told of one member, or of the local network.
#[derive(Debug)]
pub(crate) struct Alarms {
    moves: RateLimit,
    flaps: RateLimit,
    hosts: RateLimit,
    flood: RateLimit,
}

impl Alarms {
    pub(crate) fn new() -> Self {
        Alarms {
            moves: RateLimit::new(MOVES, MOVES_BURST_NS),
            flaps: RateLimit::new(FLAPS, FLAPS_BURST_NS),
            hosts: RateLimit::every(LIMIT_INTERVAL_NS),
            flood: RateLimit::every(LIMIT_INTERVAL_NS),
        }
    }

    /// What is told of a host that a frame or an announcement shows at `to`, of which these are the alarms;
    /// `from` is where it was if it has moved. `None` as a place is the local network.
    pub(crate) fn of_host(
        &self,
        learned: Learned,
        host: Host,
        (from, to): (Option<NodeId>, Option<NodeId>),
        now: Time,
    ) -> Option<Event> {
        match learned {
            Learned::Known | Learned::New | Learned::Held => None,
            Learned::Moved(_) => self.moves.take(now).then_some(Event::HostMoved { host, from, to }),
            Learned::Flapping(_) => self.flaps.take(now).then_some(Event::HostFlapping { host, from, to }),
            Learned::Full | Learned::Quota => self.host_limit(to, now),
        }
    }

    /// There is no room for a host of this member.
    pub(crate) fn host_limit(&self, member: Option<NodeId>, now: Time) -> Option<Event> {
        self.hosts.take(now).then_some(Event::HostLimit { member })
    }

    /// This member has sent more to all hosts than it may.
    pub(crate) fn flood_limit(&self, member: NodeId, now: Time) -> Option<Event> {
        self.flood.take(now).then_some(Event::FloodLimited { member })
    }
}
