//! Handshakes as they arrive: who is answered, with what, and when there are keys.
//!
//! Nobody is answered with more than it sent, and nothing is kept for a node before it has proven to hold its
//! secret key.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use crate::config::Cipher;
use crate::error::RejectReason;
use crate::node::{NodeId, NodePrefix};
use crate::session::limit::Admission;
use crate::session::location::SentTo;
use crate::session::noise::{self, Answerable, Identity, SplitKeys};
use crate::session::seal::{OpenKey, SealKey};
use crate::session::suite::Suite;
use crate::session::table::{ALIVE, FRESH, Keys, Node, Number, Pending, REKEY_RESPONDER, UNUSED, lifetime};
use crate::session::{Arrival, Output, Route, Sessions};
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::handshake::{Answer, COOKIE_LEN, Challenge, Hello, Initiation, Introduction};
use crate::wire::{TYPE_CHALLENGE, TYPE_HELLO, TYPE_INITIATION, TYPE_RESPONSE};

/// An own initiation goes before one of the other node with a higher identity, so that two nodes that begin
/// at the same time need one handshake; not for ever, since the own one may not get through.
const PRECEDENCE: u8 = 2;
/// An own initiation is repeated after this if meanwhile one of the other node was answered.
const CROSSED_INTERVAL: Duration = Duration::from_secs(2);

/// Whether an initiation may be a repetition of one that was made before the keys at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    /// It cannot.
    New,
    /// It may, or the clock of the node's host went back: with a proof of its address it is taken. Whoever holds
    /// the network key can have such a proof for the initiation of another.
    Unclear,
    /// It must be, since the node lives and has numbered a later one.
    Old,
}

impl Sessions {
    /// Takes a datagram of a handshake. An error is the reason for which it is dropped.
    pub(crate) fn handle(&mut self, arrival: &Arrival<'_>, now: Time) -> Result<(), Counter> {
        match arrival.kind {
            TYPE_HELLO => self.handle_hello(arrival, now),
            TYPE_CHALLENGE => self.handle_challenge(arrival, now),
            TYPE_INITIATION => self.handle_initiation(arrival, now),
            TYPE_RESPONSE => self.handle_response(arrival, now),
            _ => Err(Counter::DatagramType),
        }
    }

    /// Somebody asks who is here.
    fn handle_hello(&mut self, arrival: &Arrival<'_>, now: Time) -> Result<(), Counter> {
        let Hello { nonce } = Hello::read(arrival.inner).map_err(|_| Counter::HandshakeMalformed)?;
        if !arrival.relays.is_empty() {
            return Err(Counter::HandshakeUnexpected);
        }
        if !self.gate.may_challenge(now) {
            return Err(Counter::HandshakeLimit);
        }
        self.challenge(nonce, Route::Address(arrival.from), arrival, now);
        Ok(())
    }

    /// Sends who is here, and a cookie.
    fn challenge(&mut self, echo: [u8; 16], route: Route, arrival: &Arrival<'_>, now: Time) {
        let cookie = self.gate.cookie(arrival.from, arrival.source, now);
        let inner = Challenge { echo, id: self.own, cookie }.to_bytes();
        self.outputs.push(Output::Send { route, kind: TYPE_CHALLENGE, inner });
    }

    /// A node says who it is, or wants to see that its answers arrive here.
    fn handle_challenge(&mut self, arrival: &Arrival<'_>, now: Time) -> Result<(), Counter> {
        let Challenge { echo, id, cookie } =
            Challenge::read(arrival.inner).map_err(|_| Counter::HandshakeMalformed)?;
        let prefix = id.prefix();
        if prefix != arrival.source {
            return Err(Counter::HandshakeMalformed);
        }
        if self.greetings.get(&arrival.from).is_some_and(|greeting| greeting.nonce == echo) {
            self.greetings.remove(&arrival.from);
            return self.meet(id, cookie, arrival, now);
        }
        let attempt = self.nodes.get_mut(&prefix).and_then(|node| node.attempt.as_mut());
        match attempt.filter(|attempt| attempt.message.starts_with(&echo) && attempt.cookie != cookie) {
            Some(attempt) => {
                attempt.cookie = cookie;
                // The cookie is good for the way it came by.
                let route = way_back(arrival, attempt.locator);
                self.initiate(prefix, route, now);
                self.reschedule(prefix);
                Ok(())
            }
            None => Err(Counter::HandshakeUnexpected),
        }
    }

    /// Goes on with the node that answered a greeting.
    fn meet(
        &mut self,
        id: NodeId,
        cookie: [u8; COOKIE_LEN],
        arrival: &Arrival<'_>,
        now: Time,
    ) -> Result<(), Counter> {
        let prefix = id.prefix();
        if id == self.own {
            return Err(Counter::SourceSelf);
        }
        if !self.is_allowed(&id) {
            return Err(Counter::NotAllowed);
        }
        match self.nodes.get_mut(&prefix).map(|node| &mut **node) {
            Some(node) if node.id != id => Err(Counter::MemberConflict),
            Some(node) if node.is_heard(FRESH, now) => {
                self.outputs.push(Output::Met(prefix));
                Ok(())
            }
            Some(Node { attempt: Some(attempt), .. }) if attempt.locator == arrival.from => Ok(()),
            // One that does not answer elsewhere, where it used to be, is tried here.
            Some(Node { attempt: Some(attempt), .. }) if attempt.sent <= 1 => {
                attempt.greeted_at = Some((arrival.from, cookie));
                Ok(())
            }
            _ => {
                if !self.make_room(id, arrival.from, now) {
                    return Err(Counter::MemberLimit);
                }
                self.begin(prefix, arrival.from, None, cookie, now);
                Ok(())
            }
        }
    }

    /// A node begins a handshake.
    fn handle_initiation(&mut self, arrival: &Arrival<'_>, now: Time) -> Result<(), Counter> {
        let initiation = Initiation::read(arrival.inner).map_err(|_| Counter::HandshakeMalformed)?;
        let Initiation { cookie, message } = initiation;
        if self.repeats(arrival, &initiation)? {
            return Ok(());
        }
        let has_proof = self.gate.is_proof(&cookie, arrival.from, arrival.source, now);
        let is_relayed = !arrival.relays.is_empty();
        match (self.gate.admit(arrival.from.ip(), is_relayed, has_proof, now), self.locator(arrival.source)) {
            (Admission::Granted, _) => {}
            (Admission::Challenge, locator) if !is_relayed || locator.is_some() => {
                let route = way_back(arrival, locator.unwrap_or(arrival.from));
                self.challenge(initiation.echo(), route, arrival, now);
                return Err(Counter::HandshakeChallenged);
            }
            _ => return Err(Counter::HandshakeLimit),
        }
        if self.goes_before(arrival.source) {
            return Err(Counter::HandshakeCrossed);
        }
        let answerable =
            noise::respond(&self.identity, message, &mut self.rng).ok_or(Counter::HandshakeFailed)?;
        let introduction =
            Introduction::read(&answerable.payload).map_err(|_| Counter::HandshakeMalformed)?;
        let id = answerable.initiator;
        if id.prefix() != arrival.source || id == self.own {
            return Err(Counter::HandshakeFailed);
        }
        if !self.is_allowed(&id) {
            return Err(Counter::NotAllowed);
        }
        let route = way_back(arrival, introduction.locator);
        match self.freshness(arrival.source, number(&introduction), now) {
            Freshness::New => {}
            Freshness::Unclear if has_proof => {}
            Freshness::Unclear => {
                self.challenge(initiation.echo(), route, arrival, now);
                return Err(Counter::HandshakeChallenged);
            }
            Freshness::Old => return Err(Counter::Replayed),
        }
        if self.is_elsewhere(id, &introduction, now) {
            let (inner, _) = answerable.answer(&Answer::IdentityInUse.to_bytes());
            self.outputs.push(Output::Send { route, kind: TYPE_RESPONSE, inner });
            return Err(Counter::MemberConflict);
        }
        if !self.make_room(id, introduction.locator, now) {
            return Err(Counter::MemberLimit);
        }
        self.answer(answerable, &introduction, message, route, now);
        Ok(())
    }

    /// True if an initiation is the one that was answered last: it then gets the same answer. An error if that
    /// has led to keys.
    fn repeats(&mut self, arrival: &Arrival<'_>, initiation: &Initiation<'_>) -> Result<bool, Counter> {
        let Some(node) = self.nodes.get_mut(&arrival.source) else { return Ok(false) };
        if node.latest == initiation.message {
            return Err(Counter::Replayed);
        }
        let Some(pending) = &mut node.pending else { return Ok(false) };
        if pending.message != initiation.message {
            return Ok(false);
        }
        let (route, inner) = (way_back(arrival, pending.locator), pending.response.clone());
        pending.sent_to.add(&route);
        self.outputs.push(Output::Send { route, kind: TYPE_RESPONSE, inner });
        Ok(true)
    }

    /// Answers an initiation, and keeps the keys until the initiator uses them.
    fn answer(
        &mut self,
        answerable: Answerable,
        introduction: &Introduction,
        message: &[u8],
        route: Route,
        now: Time,
    ) {
        let prefix = answerable.initiator.prefix();
        let Some(epoch) = self.nodes.get_mut(&prefix).map(|node| node.take_epoch(now)) else { return };
        // A number, so that none of the initiations that this node began before is taken for a new one.
        self.sequence = now.as_nanos().max(self.sequence + 1);
        let own = Introduction { epoch, ..self.introduction(self.sequence) };
        let (response, split) = answerable.answer(&Answer::Accepted(own).to_bytes());
        let suite = self.suite(introduction.cipher);
        let keys = Arc::new(Keys {
            seal: SealKey::new(&split.to_initiator, suite, self.rng.u64() as u32),
            open: OpenKey::new(&split.to_responder, suite),
            epoch_in: epoch,
            epoch_out: introduction.epoch,
            expires_at: now + lifetime(self.nodes.len()),
        });
        let mut sent_to = SentTo::default();
        sent_to.add(&route);
        let pending = Pending {
            keys,
            number: number(introduction),
            incarnation: introduction.incarnation,
            locator: introduction.locator,
            route: route.clone(),
            sent_to,
            message: message.to_vec(),
            response: response.clone(),
            expires_at: Pending::expires_at(now),
        };
        if let Some(node) = self.nodes.get_mut(&prefix) {
            node.pending = Some(pending);
            // What the own initiation is answered still counts: both nodes may have begun, and each have answered.
            if let Some(attempt) = &mut node.attempt {
                attempt.next_at = attempt.next_at.max(now + CROSSED_INTERVAL);
            }
        }
        self.outputs.push(Output::Send { route, kind: TYPE_RESPONSE, inner: response });
        self.outputs.push(Output::Changed(prefix));
        self.reschedule(prefix);
    }

    /// A node answers an own initiation.
    fn handle_response(&mut self, arrival: &Arrival<'_>, now: Time) -> Result<(), Counter> {
        let prefix = arrival.source;
        let node = self.nodes.get_mut(&prefix).ok_or(Counter::HandshakeUnexpected)?;
        let attempt = node.attempt.as_mut().ok_or(Counter::HandshakeUnexpected)?;
        let (payload, split) = attempt.initiator.finish(arrival.inner).ok_or(Counter::HandshakeFailed)?;
        match Answer::read(&payload).map_err(|_| Counter::HandshakeMalformed)? {
            Answer::Accepted(introduction) => {
                let epoch_in = attempt.epoch;
                let route = way_back(arrival, introduction.locator);
                // Who answers has the initiation, and it went there alone.
                let is_there = |address: &SocketAddr| route == Route::Address(*address);
                let proven = attempt.sent_to.only().filter(is_there);
                self.establish(prefix, &introduction, &split, epoch_in, now);
                self.locate(prefix, route, proven);
            }
            Answer::IdentityInUse => {
                node.attempt = None;
                self.outputs.push(Output::Refused(prefix, RejectReason::IdTaken));
            }
        }
        Ok(())
    }

    /// Takes the keys of an own handshake into use: the responder has them already.
    fn establish(
        &mut self,
        prefix: NodePrefix,
        introduction: &Introduction,
        split: &SplitKeys,
        epoch_in: u8,
        now: Time,
    ) {
        let (suite, flow_label) = (self.suite(introduction.cipher), self.rng.u64() as u32);
        let expires_at = now + lifetime(self.nodes.len());
        let Some(node) = self.nodes.get_mut(&prefix) else { return };
        let keys = Arc::new(Keys {
            seal: SealKey::new(&split.to_responder, suite, flow_label),
            open: OpenKey::new(&split.to_initiator, suite),
            epoch_in,
            epoch_out: introduction.epoch,
            expires_at,
        });
        let is_news = node.is_news(introduction.incarnation);
        node.install(keys, introduction.incarnation, introduction.locator, now);
        node.newest = number(introduction);
        (node.is_used, node.rekey_at) = (false, now + UNUSED);
        self.use_keys(prefix, is_news);
    }

    /// Takes the keys of a node's handshake into use: it has used them.
    pub(super) fn promote(&mut self, prefix: NodePrefix, now: Time) {
        let Some(node) = self.nodes.get_mut(&prefix) else { return };
        let Some(pending) = node.pending.take() else { return };
        let rekey_at = now + self.rng.around(pending.keys.part_left(REKEY_RESPONDER, now));
        let is_news = node.is_news(pending.incarnation);
        node.newest = pending.number;
        node.latest = pending.message;
        node.install(pending.keys, pending.incarnation, pending.locator, now);
        (node.is_used, node.rekey_at) = (true, rekey_at);
        // Who uses the keys has the response, and it went there alone.
        self.locate(prefix, pending.route, pending.sent_to.only());
        self.use_keys(prefix, is_news);
    }

    /// Has something sent under new keys, by which the other end learns that they are in use: whoever has met a node asks for
    /// its list, or sends it the own record.
    fn use_keys(&mut self, prefix: NodePrefix, is_news: bool) {
        let first = if is_news { Output::Met(prefix) } else { Output::Confirm(prefix) };
        self.outputs.extend([Output::Changed(prefix), first]);
        self.reschedule(prefix);
    }

    /// A handshake with the node came by this way, and has shown that it is at `proven`, if at any address.
    fn locate(&mut self, prefix: NodePrefix, route: Route, proven: Option<SocketAddr>) {
        let Some(node) = self.nodes.get_mut(&prefix) else { return };
        node.route = Some(route);
        if proven.is_some_and(|address| node.location.show(address)) {
            self.outputs.push(Output::Proven(prefix));
        }
    }

    /// True if an own handshake with the node is under way that the node will answer.
    fn goes_before(&self, prefix: NodePrefix) -> bool {
        self.nodes.get(&prefix).is_some_and(|node| {
            self.own < node.id && node.attempt.as_ref().is_some_and(|attempt| attempt.sent <= PRECEDENCE)
        })
    }

    /// What the number of an initiation says of when it was made.
    fn freshness(&self, prefix: NodePrefix, number: Number, now: Time) -> Freshness {
        let Some(node) = self.nodes.get(&prefix) else { return Freshness::New };
        let is_after_pending = node.pending.as_ref().is_none_or(|pending| number > pending.number);
        if is_after_pending && number > node.newest {
            Freshness::New
        } else if is_after_pending && !node.is_heard(FRESH, now) {
            Freshness::Unclear
        } else {
            Freshness::Old
        }
    }

    /// True if another life of the node, or another node that would go by the same name in headers, is alive
    /// elsewhere.
    fn is_elsewhere(&self, id: NodeId, introduction: &Introduction, now: Time) -> bool {
        self.nodes.get(&id.prefix()).is_some_and(|node| {
            let is_same_place =
                node.incarnation == introduction.incarnation || node.locator == introduction.locator;
            node.id != id || (!is_same_place && node.is_heard(ALIVE, now))
        })
    }

    /// What the own node says of itself in a handshake; the epoch is filled in by the caller.
    pub(super) fn introduction(&self, sequence: u64) -> Introduction {
        Introduction {
            incarnation: self.incarnation,
            sequence,
            epoch: 0,
            cipher: self.cipher,
            locator: self.locator,
        }
    }

    fn suite(&self, theirs: Cipher) -> Suite {
        match &self.identity {
            Identity::Unsealed { .. } => Suite::None,
            Identity::Sealed { .. } => Suite::of_pair(self.cipher, theirs),
        }
    }
}

impl Node {
    /// True if keys with this incarnation of the node are more than a renewal.
    fn is_news(&self, incarnation: u64) -> bool {
        self.current.is_none() || self.incarnation != incarnation || !self.is_member
    }
}

fn number(introduction: &Introduction) -> Number {
    (introduction.incarnation, introduction.sequence)
}

/// The way an arrival came, the other way round.
fn way_back(arrival: &Arrival<'_>, locator: SocketAddr) -> Route {
    if arrival.relays.is_empty() {
        return Route::Address(arrival.from);
    }
    Route::Relays(arrival.relays.iter().rev().copied().chain([locator]).collect())
}
