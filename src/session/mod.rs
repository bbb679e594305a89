//! Sessions: what two nodes share so that nobody else can read, change or repeat what they send each other.
//!
//! A session comes of a handshake (Noise IK with the network key mixed in first), is renewed every two minutes
//! and ends when that fails. Here is the table of all sessions, which asks for datagrams to be sent and is told
//! of those that arrive; keys and seals are handed to the data plane. Knows nothing of members, paths or
//! latencies: who is a member is told to it, and so is by what way a datagram came.

mod handshake;
mod hop;
mod limit;
mod location;
pub(crate) mod noise;
mod outer;
mod path;
mod replay;
mod schedule;
pub(crate) mod seal;
mod shared;
pub(crate) mod suite;
mod table;
#[cfg(test)]
mod vectors;

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrayvec::ArrayVec;

pub(crate) use hop::HopKey;
pub(crate) use outer::OuterKey;
pub(crate) use path::{Ends, SealedPath, tag_relays};
pub(crate) use seal::SHARED_TAIL_LEN;
pub(crate) use shared::SharedSeal;
pub(crate) use table::Keys;

use crate::config::{Cipher, Config, MAX_HOPS, Security};
use crate::deadlines::Deadlines;
use crate::error::RejectReason;
use crate::node::{NodeId, NodePrefix};
use crate::node_map::NodeMap;
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::TYPE_HELLO;
use crate::wire::handshake::{COOKIE_LEN, Hello, Introduction};
use limit::Gate;
use location::SentTo;
use noise::{Identity, Initiator};
use table::{Attempt, FRESH, Node, REKEY_INITIATOR};

/// Stands in the place of a cookie when none was given out.
const NO_COOKIE: [u8; COOKIE_LEN] = [0; COOKIE_LEN];
/// Greetings that are out at a time.
const MAX_GREETINGS: usize = 64;
/// A greeting is answered within this or not at all.
const GREETING_EXPIRES: core::time::Duration = core::time::Duration::from_secs(5);

/// By what way a datagram of a handshake goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Straight to this address.
    Address(SocketAddr),
    /// Through a member that reaches this node, which has this locator; through `relay` if none is known to, and
    /// straight if there is no other way.
    Through { relay: Option<NodePrefix>, to: NodePrefix, locator: SocketAddr },
    /// On the path that frames take to this member.
    Path(NodePrefix),
    /// Through the relays with these locators, to the node whose locator is the last one.
    Relays(ArrayVec<SocketAddr, MAX_HOPS>),
}

/// What the session table wants done or made known.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send a datagram of a handshake.
    Send {
        /// By what way.
        route: Route,
        /// Its type.
        kind: u8,
        /// Its content, to be sealed under the network key.
        inner: Vec<u8>,
    },
    /// There are new keys for datagrams to this node; it does not know yet that they arrived.
    Confirm(NodePrefix),
    /// Ask this node inside the session whether it is at this address, with this token.
    Challenge {
        /// Whom.
        to: NodePrefix,
        /// Where.
        address: SocketAddr,
        /// What to be answered with.
        token: u64,
    },
    /// This node has shown that it is at another address than was known.
    Proven(NodePrefix),
    /// There is a session with this node: a new one, or the one that was asked for.
    Met(NodePrefix),
    /// There is no session with this node any more.
    Closed(NodePrefix),
    /// A node refuses a session.
    Refused(NodePrefix, RejectReason),
    /// The keys or the address of this node have changed, or are gone.
    Changed(NodePrefix),
}

/// A datagram of a handshake, opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) kind: u8,
    /// Who sent it, as the header has it.
    pub(crate) source: NodePrefix,
    /// The address it came from: the last relay's if it was relayed.
    pub(crate) from: SocketAddr,
    /// The locators of the relays it came through, in order.
    pub(crate) relays: &'a [SocketAddr],
    pub(crate) inner: &'a [u8],
}

#[derive(Debug)]
struct Greeting {
    nonce: [u8; 16],
    until: Time,
}

/// All sessions of the own node.
#[derive(Debug)]
pub(crate) struct Sessions {
    identity: Identity,
    own: NodeId,
    incarnation: u64,
    locator: SocketAddr,
    cipher: Cipher,
    allowed: Option<BTreeSet<NodeId>>,
    nodes: NodeMap<Box<Node>>,
    capacity: usize,
    greetings: BTreeMap<SocketAddr, Greeting>,
    gate: Gate,
    /// Number of the latest own initiation.
    sequence: u64,
    /// Of nodes.
    deadlines: Deadlines,
    rng: Rng,
    outputs: Vec<Output>,
}

impl Sessions {
    pub(crate) fn new(config: &Config, mut rng: Rng) -> Self {
        let allowed = match &config.security {
            Security::Sealed(keys) => keys.allowed.clone(),
            Security::None { .. } => None,
        };
        Sessions {
            identity: Identity::new(&config.security),
            own: config.id(),
            incarnation: config.incarnation,
            locator: config.locator,
            cipher: config.cipher,
            allowed,
            nodes: NodeMap::new(),
            capacity: 2 * config.max_members,
            greetings: BTreeMap::new(),
            gate: Gate::new(rng.fork()),
            sequence: 0,
            deadlines: Deadlines::default(),
            rng,
            outputs: Vec::new(),
        }
    }

    /// What has come up since the last call, in order.
    pub(crate) fn take_outputs(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.outputs)
    }

    /// When [`timer`](Self::timer) wants to be called.
    pub(crate) fn deadline(&self) -> Time {
        let greetings = self.greetings.values().map(|greeting| greeting.until);
        greetings.fold(self.deadlines.next(), Time::min)
    }

    /// Twelve random bytes for the seal of a handshake.
    pub(crate) fn nonce(&mut self) -> [u8; 12] {
        self.rng.array()
    }

    /// How many nodes there is a session with or an attempt at one.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Every node there is a session with.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodePrefix> {
        self.nodes.iter().filter(|(_, node)| !node.open_keys().is_empty()).map(|(prefix, _)| *prefix)
    }

    /// The identity of a node that there is a session with, or an attempt at one.
    pub(crate) fn id(&self, prefix: NodePrefix) -> Option<NodeId> {
        self.nodes.get(&prefix).map(|node| node.id)
    }

    /// The keys that datagrams to a node are sealed with.
    pub(crate) fn keys(&self, prefix: NodePrefix) -> Option<&Arc<Keys>> {
        self.nodes.get(&prefix)?.current.as_ref()
    }

    /// The keys that datagrams of a node may be sealed with.
    pub(crate) fn open_keys(&self, prefix: NodePrefix) -> ArrayVec<Arc<Keys>, { Keys::MAX_OPEN }> {
        self.nodes.get(&prefix).map(|node| node.open_keys()).unwrap_or_default()
    }

    /// The address that a node has proven: what others want sent to it goes nowhere else.
    pub(crate) fn proven_address(&self, prefix: NodePrefix) -> Option<SocketAddr> {
        self.nodes.get(&prefix)?.location.proven()
    }

    /// The address that a node has proven, or, before that, the one its handshake came from without a relay.
    pub(crate) fn address(&self, prefix: NodePrefix) -> Option<SocketAddr> {
        self.nodes.get(&prefix)?.address()
    }

    /// The way to a node: where it is, or by which its handshake came.
    pub(crate) fn route(&self, prefix: NodePrefix) -> Option<Route> {
        let node = self.nodes.get(&prefix)?;
        node.address().map(Route::Address).or_else(|| node.route.clone())
    }

    /// The locator that a node gave in its handshake.
    pub(crate) fn locator(&self, prefix: NodePrefix) -> Option<SocketAddr> {
        self.nodes.get(&prefix).map(|node| node.locator)
    }

    /// Whether a session's keys are to be renewed.
    pub(crate) fn set_member(&mut self, prefix: NodePrefix, is_member: bool) {
        if let Some(node) = self.nodes.get_mut(&prefix) {
            node.is_member = is_member;
            self.reschedule(prefix);
            self.forget_if_idle(prefix);
        }
    }

    /// Replaces the list of nodes that may be members, and gives those that may not any more: their sessions
    /// have ended.
    pub(crate) fn set_allowed(&mut self, allowed: Option<BTreeSet<NodeId>>) -> Vec<NodePrefix> {
        self.allowed = allowed;
        let is_allowed = |id: &NodeId| self.allowed.as_ref().is_none_or(|allowed| allowed.contains(id));
        let removed: Vec<NodePrefix> =
            self.nodes.iter().filter(|(_, node)| !is_allowed(&node.id)).map(|(prefix, _)| *prefix).collect();
        for prefix in &removed {
            self.nodes.remove(prefix);
        }
        removed
    }

    /// Ends all sessions: the node has left.
    pub(crate) fn stop(&mut self) {
        self.nodes.clear();
        self.greetings.clear();
        self.deadlines.clear();
    }

    fn is_allowed(&self, id: &NodeId) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(id))
    }

    /// Gets a session with whoever is at an address. Each call sends one greeting.
    pub(crate) fn greet(&mut self, address: SocketAddr, now: Time) {
        let at = |node: &Node| node.address() == Some(address) || node.locator == address;
        let known = self.nodes.iter().find(|(_, node)| at(node) && node.is_heard(FRESH, now));
        if let Some((prefix, _)) = known {
            self.outputs.push(Output::Met(*prefix));
            return;
        }
        let is_tried = |node: &Node| node.attempt.as_ref().is_some_and(|attempt| attempt.locator == address);
        if self.nodes.values().any(|node| is_tried(node)) {
            return;
        }
        if self.greetings.len() >= MAX_GREETINGS && !self.greetings.contains_key(&address) {
            return;
        }
        let until = now + GREETING_EXPIRES;
        let nonce = self.rng.array();
        let greeting = self.greetings.entry(address).or_insert(Greeting { nonce, until });
        greeting.until = until;
        let inner = Hello { nonce: greeting.nonce }.to_bytes();
        self.outputs.push(Output::Send { route: Route::Address(address), kind: TYPE_HELLO, inner });
    }

    /// Gets a session with a node, at its locator or through a member that reaches it.
    pub(crate) fn contact(&mut self, id: NodeId, locator: SocketAddr, via: Option<NodePrefix>, now: Time) {
        let prefix = id.prefix();
        if id == self.own || !self.is_allowed(&id) {
            return;
        }
        match self.nodes.get_mut(&prefix).map(|node| &mut **node) {
            Some(node) if node.id != id => {}
            Some(node) if node.is_heard(FRESH, now) => self.outputs.push(Output::Met(prefix)),
            Some(Node { attempt: Some(attempt), .. }) => attempt.via = attempt.via.or(via),
            _ => {
                if self.make_room(id, locator, now) {
                    self.begin(prefix, locator, via, NO_COOKIE, now);
                }
            }
        }
    }

    /// Makes an entry for a node unless there is one; false if there is no room.
    fn make_room(&mut self, id: NodeId, locator: SocketAddr, now: Time) -> bool {
        let prefix = id.prefix();
        if self.nodes.contains_key(&prefix) {
            return true;
        }
        if self.nodes.len() >= self.capacity {
            let strangers = self.nodes.iter().filter(|(_, node)| !node.is_member);
            let oldest = strangers.min_by_key(|(_, node)| node.heard_at).map(|(prefix, _)| *prefix);
            let Some(oldest) = oldest else { return false };
            self.nodes.remove(&oldest);
            self.outputs.extend([Output::Closed(oldest), Output::Changed(oldest)]);
        }
        self.nodes.insert(prefix, Box::new(Node::new(id, locator, now)));
        true
    }

    /// Begins a handshake with a node that has an entry.
    fn begin(
        &mut self,
        prefix: NodePrefix,
        locator: SocketAddr,
        via: Option<NodePrefix>,
        cookie: [u8; COOKIE_LEN],
        now: Time,
    ) {
        self.sequence = now.as_nanos().max(self.sequence + 1);
        let introduction = self.introduction(self.sequence);
        let Some(node) = self.nodes.get_mut(&prefix) else { return };
        let (id, epoch) = (node.id, node.take_epoch(now));
        let payload = Introduction { epoch, ..introduction }.to_bytes();
        let (initiator, message) = Initiator::start(&self.identity, id, &payload, &mut self.rng);
        let attempt = Attempt {
            initiator,
            message,
            cookie,
            epoch,
            locator,
            via,
            sent: 0,
            sent_to: SentTo::default(),
            greeted_at: None,
            next_at: now,
        };
        if let Some(node) = self.nodes.get_mut(&prefix) {
            node.attempt = Some(attempt);
        }
        self.retry(prefix, now);
        self.reschedule(prefix);
    }

    /// A datagram of a node arrived that its session's keys opened: which keys, by their epoch. `address` is where
    /// it came from if no relay passed it on.
    pub(crate) fn heard(&mut self, from: NodePrefix, epoch: u8, address: Option<SocketAddr>, now: Time) {
        if self.nodes.get(&from).is_some_and(|node| node.is_pending(epoch)) {
            self.promote(from, now);
        }
        let Some(node) = self.nodes.get_mut(&from) else { return };
        node.heard_at = now;
        if let Some(address) = address
            && let Some(token) = node.location.heard(address, self.rng.u64(), now)
        {
            self.outputs.push(Output::Challenge { to: from, address, token });
        }
        let Some(keys) = node.current.as_ref().filter(|keys| keys.epoch_in == epoch) else { return };
        let has_sealed_much = keys.seal.sealed() >= seal::REKEY_AFTER;
        if node.is_used && !has_sealed_much {
            return;
        }
        if !node.is_used {
            (node.is_used, node.rekey_at) =
                (true, now + self.rng.around(keys.part_left(REKEY_INITIATOR, now)));
        }
        if has_sealed_much {
            node.rekey_at = now;
        }
        self.reschedule(from);
    }

    /// A node answers a challenge; false if there was none.
    pub(crate) fn prove(&mut self, from: NodePrefix, token: u64) -> bool {
        let is_proof = self.nodes.get_mut(&from).is_some_and(|node| node.location.prove(token));
        if is_proof {
            self.outputs.extend([Output::Changed(from), Output::Proven(from)]);
        }
        is_proof
    }

    fn reschedule(&mut self, prefix: NodePrefix) {
        self.deadlines.set(prefix, self.nodes.get(&prefix).map_or(Time::NEVER, |node| node.deadline()));
    }
}
