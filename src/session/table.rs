//! The session with one node: its keys of now, before and soon, and where the node is.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::node::{NodeId, NodePrefix};
use crate::session::Route;
use crate::session::location::{Location, SentTo};
use crate::session::noise::Initiator;
use crate::session::seal::{OpenKey, SealKey};
use crate::time::Time;
use crate::wire::handshake::COOKIE_LEN;

/// Keys are not used after this (WireGuard's REJECT_AFTER_TIME).
const KEYS_EXPIRE: Duration = Duration::from_secs(180);
/// Where there are more nodes than this, keys last longer in proportion, but not more than so many times: what handshakes
/// cost a node does not grow with their number, and keys last for three quarters of an hour at most.
const FEW: u32 = 32;
const LONGER: u32 = 15;
/// The initiator renews the keys after this part of their time, spread by a tenth: of 180 s after 120 s (WireGuard's
/// REKEY_AFTER_TIME).
pub(super) const REKEY_INITIATOR: (u32, u32) = (2, 3);
/// The responder does if the initiator has not: late enough that seldom both do, even with the spread.
pub(super) const REKEY_RESPONDER: (u32, u32) = (5, 6);
/// The initiator does if the responder has not used the keys within this: it may not have them any more. As long
/// as most round trips, and a few probes.
pub(super) const UNUSED: Duration = Duration::from_secs(5);
/// A node that asks for a session again within this since it was last heard has the one that is there.
pub(super) const FRESH: Duration = Duration::from_secs(3);
/// A node heard within this lives: its identity cannot begin another life elsewhere.
pub(super) const ALIVE: Duration = Duration::from_secs(5);
/// An epoch comes round again after 256 times this, in seconds: long after the keys it belonged to have expired, where
/// these do not last longer. One that is in use is left out.
const EPOCH_SECS: u64 = 2;
/// Keys that were replaced and are kept.
const MAX_FORMER: usize = 2;
/// The response to a handshake is repeated for so long; then the initiator has long given up.
const PENDING_EXPIRES: Duration = Duration::from_secs(10);

/// How long keys last where there are so many nodes.
pub(super) fn lifetime(nodes: usize) -> Duration {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    KEYS_EXPIRE * nodes.clamp(FEW, FEW * LONGER) / FEW
}

/// The keys that came of one handshake, for both directions.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) seal: SealKey,
    pub(crate) open: OpenKey,
    /// The epoch of datagrams to this node, by its own choice.
    pub(crate) epoch_in: u8,
    /// The epoch of datagrams to the peer, by the peer's choice.
    pub(crate) epoch_out: u8,
    pub(crate) expires_at: Time,
}

impl Keys {
    /// Most keys of one session that a datagram may be sealed with.
    pub(crate) const MAX_OPEN: usize = 2 + MAX_FORMER;

    /// This part of the time that they are still good for.
    pub(super) fn part_left(&self, (part, of): (u32, u32), now: Time) -> Duration {
        self.expires_at.since(now) * part / of
    }
}

/// What an initiation is known by: a later one of the same node has a higher number, unless its host's clock
/// went back. (incarnation, sequence)
pub(super) type Number = (u64, u64);

/// A handshake that was answered; the initiator has not yet used the keys.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) keys: Arc<Keys>,
    pub(super) number: Number,
    pub(super) incarnation: u64,
    pub(super) locator: SocketAddr,
    /// The way back.
    pub(super) route: Route,
    /// By which ways the response was sent.
    pub(super) sent_to: SentTo,
    /// Noise message 1, by which a repetition is known.
    pub(super) message: Vec<u8>,
    /// What was answered, and is answered to a repetition.
    pub(super) response: Vec<u8>,
    pub(super) expires_at: Time,
}

impl Pending {
    pub(super) fn expires_at(now: Time) -> Time {
        now + PENDING_EXPIRES
    }
}

/// A handshake that this node began.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) initiator: Initiator,
    pub(super) message: Vec<u8>,
    pub(super) cookie: [u8; COOKIE_LEN],
    pub(super) epoch: u8,
    /// Where the node is said to be, and a member that reaches it.
    pub(super) locator: SocketAddr,
    pub(super) via: Option<NodePrefix>,
    pub(super) sent: u8,
    /// By which ways.
    pub(super) sent_to: SentTo,
    /// Where it has answered a greeting meanwhile, with a cookie: that is where it is tried next.
    pub(super) greeted_at: Option<(SocketAddr, [u8; COOKIE_LEN])>,
    pub(super) next_at: Time,
}

/// All that is shared with one node, or about to be.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) incarnation: u64,
    pub(super) locator: SocketAddr,
    /// The way by which the latest handshake came, the other way round.
    pub(super) route: Option<Route>,
    pub(super) location: Location,
    pub(super) heard_at: Time,
    /// A member's keys are renewed; the others go when room is needed.
    pub(super) is_member: bool,
    pub(super) current: Option<Arc<Keys>>,
    /// Those before, the latest first: the peer may seal with them until it has seen that the new ones arrived.
    /// Two, since handshakes that cross leave the nodes with each other's as the latest.
    former: ArrayVec<Arc<Keys>, MAX_FORMER>,
    pub(super) pending: Option<Pending>,
    /// The number of the handshake that led to the current keys; initiations with a lower one are old.
    pub(super) newest: Number,
    /// Noise message 1 of the latest initiation that led to keys.
    pub(super) latest: Vec<u8>,
    /// Whether the node has used the current keys.
    pub(super) is_used: bool,
    pub(super) attempt: Option<Attempt>,
    pub(super) rekey_at: Time,
}

impl Node {
    pub(super) fn new(id: NodeId, locator: SocketAddr, now: Time) -> Self {
        Node {
            id,
            incarnation: 0,
            locator,
            route: None,
            location: Location::default(),
            heard_at: now,
            is_member: false,
            current: None,
            former: ArrayVec::new(),
            pending: None,
            newest: (0, 0),
            latest: Vec::new(),
            is_used: false,
            attempt: None,
            rekey_at: Time::NEVER,
        }
    }

    /// True if datagrams of this epoch are sealed with keys that the node has not used before.
    pub(super) fn is_pending(&self, epoch: u8) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.keys.epoch_in == epoch)
    }

    /// Another epoch than those in use. It follows the clock, so that what is sealed with keys that are long gone
    /// is told by it.
    pub(super) fn take_epoch(&mut self, now: Time) -> u8 {
        let in_use = |epoch: u8| {
            let keys = self.current.iter().chain(&self.former).map(|keys| keys.epoch_in);
            let pending = self.pending.iter().map(|pending| pending.keys.epoch_in);
            let attempt = self.attempt.iter().map(|attempt| attempt.epoch);
            keys.chain(pending).chain(attempt).any(|used| used == epoch)
        };
        let first = (now.as_secs() / EPOCH_SECS) as u8;
        (0..=u8::MAX).map(|step| first.wrapping_add(step)).find(|epoch| !in_use(*epoch)).unwrap_or(first)
    }

    /// The address that the node has proven, or, before that, the one its handshake came from without a relay.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.location.proven().or(match self.route {
            Some(Route::Address(address)) => Some(address),
            _ => None,
        })
    }

    /// True if the node was heard within `age`.
    pub(super) fn is_heard(&self, age: Duration, now: Time) -> bool {
        self.current.is_some() && now.since(self.heard_at) < age
    }

    /// Puts new keys in the place of the current ones. Those of another life are of no use any more.
    pub(super) fn install(&mut self, keys: Arc<Keys>, incarnation: u64, locator: SocketAddr, now: Time) {
        let is_same_life = self.incarnation == incarnation;
        let current = self.current.replace(keys);
        if !is_same_life {
            self.former.clear();
        } else if let Some(current) = current {
            if self.former.is_full() {
                self.former.pop();
            }
            self.former.insert(0, current);
        }
        (self.incarnation, self.locator, self.heard_at) = (incarnation, locator, now);
        self.attempt = None;
        if !is_same_life {
            self.location = Location::default();
        }
    }

    /// All keys that datagrams of the node may be sealed with, the likeliest first.
    pub(super) fn open_keys(&self) -> ArrayVec<Arc<Keys>, { Keys::MAX_OPEN }> {
        let pending = self.pending.as_ref().map(|pending| &pending.keys);
        self.current.iter().chain(pending).chain(&self.former).cloned().collect()
    }

    /// Drops what has expired; true if keys were among it.
    pub(super) fn expire(&mut self, now: Time) -> bool {
        let is_over = |keys: &Arc<Keys>| keys.expires_at <= now;
        let pending = self.pending.take_if(|pending| pending.expires_at <= now);
        let current = self.current.take_if(|keys| is_over(keys));
        let formers = self.former.len();
        self.former.retain(|keys| !is_over(keys));
        pending.is_some() || current.is_some() || self.former.len() < formers
    }

    /// True if nothing is shared with the node nor about to be.
    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.pending.is_none() && self.attempt.is_none()
    }

    pub(super) fn deadline(&self) -> Time {
        let keys = self.current.iter().chain(&self.former).map(|keys| keys.expires_at);
        let pending = self.pending.iter().map(|pending| pending.expires_at);
        let next = match (&self.attempt, self.is_member) {
            (Some(attempt), _) => attempt.next_at,
            (None, true) if self.current.is_some() => self.rekey_at,
            (None, _) => Time::NEVER,
        };
        keys.chain(pending).fold(next, Time::min)
    }
}
