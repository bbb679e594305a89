//! Handshakes between the session tables of a few nodes, over a network that is the fuzzer's: it loses, holds back,
//! repeats and changes what is sent, and knows the key of the network.
//!
//! Nobody is answered with more than it sent, tables stay small and know proven identities only, a node is believed
//! to be only where it is, and when the network behaves again every two nodes come to a session that carries both ways.

use core::net::SocketAddr;
use core::time::Duration;

use crate::config::{Config, MAX_HOPS};
use crate::fuzzing::feed::Feed;
use crate::fuzzing::mesh::{self, Protection};
use crate::node::{NodePrefix, Segment};
use crate::rng::Rng;
use crate::session::{Arrival, Ends, Output, Route, SealedPath, Sessions};
use crate::time::Time;
use crate::wire::header::{self, Fields, Header};
use crate::wire::{KIND_CONTROL, TYPE_CHALLENGE, TYPE_HELLO, TYPE_INITIATION, TYPE_RESPONSE, TYPE_TRANSPORT};

const KINDS: [u8; 4] = [TYPE_HELLO, TYPE_CHALLENGE, TYPE_INITIATION, TYPE_RESPONSE];
/// Nodes that get sessions with each other.
const NODES: usize = 3;
/// These, and a copy of the first at another locator.
const PARTIES: usize = NODES + 1;
/// Most steps of one run, so that each is short.
const MAX_STEPS: usize = 48;
/// Letters that are kept; older ones are lost.
const MAX_LETTERS: usize = 64;
/// How long a letter takes when the network behaves.
const DELAY: Duration = Duration::from_millis(20);
/// A round of getting sessions: longer than an attempt.
const ROUND: Duration = Duration::from_secs(7);
/// Rounds until all must have sessions: until the oldest keys have expired, and one more.
const ROUNDS: usize = 30;

/// Any bytes as a history of handshakes.
pub fn handshake(bytes: &[u8]) {
    let mut feed = Feed::new(bytes);
    let protection = if feed.u8().is_multiple_of(2) { Protection::Sealed } else { Protection::None };
    let mut network = Network::new(protection);
    for _ in 0..MAX_STEPS {
        if feed.is_empty() {
            break;
        }
        network.step(&mut feed);
        network.check();
    }
    network.come_to_rest();
}

/// Something on its way, or long arrived.
#[derive(Clone)]
struct Letter {
    from: usize,
    /// The address that it seems to come from, unless that is the sender's.
    forged: Option<SocketAddr>,
    to: SocketAddr,
    relays: Vec<SocketAddr>,
    content: Content,
    arrives_at: Time,
}

#[derive(Clone)]
enum Content {
    /// A type and what is inside the seal under the network key.
    Handshake(u8, Vec<u8>),
    /// A datagram of a session.
    Sealed(Vec<u8>),
}

struct Party {
    config: Config,
    sessions: Sessions,
}

struct Network {
    protection: Protection,
    parties: Vec<Party>,
    letters: Vec<Letter>,
    now: Time,
}

impl Network {
    fn new(protection: Protection) -> Self {
        let configs = (0..PARTIES).map(|party| mesh::config(party % NODES, party, protection));
        let parties = configs.map(Party::new).collect();
        Network { protection, parties, letters: Vec::new(), now: Time::from_nanos(1_000_000_000) }
    }

    fn step(&mut self, feed: &mut Feed<'_>) {
        let choice = feed.below(14);
        let party = feed.below(PARTIES);
        match choice {
            0 | 1 => {
                let other = feed.below(PARTIES);
                self.contact(party, other, feed);
            }
            2 => {
                let address = self.locator(feed.below(PARTIES));
                self.parties[party].sessions.greet(address, self.now);
            }
            3..=6 => {
                if let Some(letter) = self.take(feed) {
                    self.deliver(&letter);
                }
            }
            7 | 8 => {
                if let Some(mut letter) = self.take(feed) {
                    change(&mut letter, feed);
                    letter.from = if feed.u8() == 0 { party } else { letter.from };
                    let forged = self.parties.get(feed.below(4 * PARTIES));
                    letter.forged = forged.map(|party| party.config.locator).or(letter.forged);
                    self.deliver(&letter);
                }
            }
            9 => drop(self.take(feed)),
            10 => self.pass(Duration::from_millis(u64::from(feed.u8()) * 20)),
            11 => self.pass(Duration::from_secs(feed.u8().into())),
            12 => {
                let prefix = self.prefix(feed.below(NODES));
                let sessions = &mut self.parties[party].sessions;
                let is_member = !feed.u8().is_multiple_of(4) && sessions.keys(prefix).is_some();
                sessions.set_member(prefix, is_member);
            }
            _ => self.restart(party, feed.u8()),
        }
        self.collect(party);
    }

    fn contact(&mut self, party: usize, other: usize, feed: &mut Feed<'_>) {
        let via = feed.below(PARTIES + 1);
        let via = (via < PARTIES).then(|| self.prefix(via));
        let (id, locator) = (self.parties[other].config.id(), self.locator(other));
        self.parties[party].sessions.contact(id, locator, via, self.now);
    }

    /// Another life; its host's clock may have gone back.
    fn restart(&mut self, party: usize, by: u8) {
        let party = &mut self.parties[party];
        party.config.incarnation = party.config.incarnation.wrapping_add_signed(i64::from(by as i8));
        party.config.entropy[0] = party.config.entropy[0].wrapping_add(1);
        *party = Party::new(party.config.clone());
    }

    /// A letter of the fuzzer's choice, which may be kept to be delivered again.
    fn take(&mut self, feed: &mut Feed<'_>) -> Option<Letter> {
        if self.letters.is_empty() {
            return None;
        }
        let choice = feed.u8();
        let at = usize::from(choice >> 1) % self.letters.len();
        Some(if choice & 1 == 0 { self.letters.remove(at) } else { self.letters[at].clone() })
    }

    /// Lets time pass in which no letter arrives.
    fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
        (0..PARTIES).for_each(|party| self.wake(party));
    }

    fn wake(&mut self, party: usize) {
        // What a timer sets off may be due at once, but not for ever.
        for _ in 0..4 {
            if self.parties[party].sessions.deadline() <= self.now {
                self.parties[party].sessions.timer(self.now);
                self.collect(party);
            }
        }
        let deadline = self.parties[party].sessions.deadline();
        assert!(deadline > self.now, "party {party} is still due at {deadline:?}, now {:?}", self.now);
    }

    /// Hands a letter to whom it is for, if anybody.
    fn deliver(&mut self, letter: &Letter) {
        let Some(party) = (0..PARTIES).find(|party| self.locator(*party) == letter.to) else { return };
        let sender = letter.forged.unwrap_or_else(|| self.locator(letter.from));
        let from = letter.relays.last().copied().unwrap_or(sender);
        match &letter.content {
            Content::Handshake(kind, inner) => {
                let source = self.prefix(letter.from);
                let arrival = Arrival { kind: *kind, source, from, relays: &letter.relays, inner };
                if source != self.prefix(party) {
                    let _ = self.parties[party].sessions.handle(&arrival, self.now);
                }
                let answered = self.collect(party);
                let asks = matches!(*kind, TYPE_HELLO | TYPE_INITIATION);
                assert!(!asks || answered <= inner.len(), "{answered} bytes for {}", inner.len());
            }
            Content::Sealed(bytes) => {
                let address = letter.relays.is_empty().then_some(from);
                self.open(party, &mut bytes.clone(), address);
                self.collect(party);
            }
        }
    }

    /// Does what an engine does with a datagram of a session; true if it was opened.
    fn open(&mut self, party: usize, bytes: &mut [u8], from: Option<SocketAddr>) -> bool {
        let Ok(header) = Header::parse(bytes) else { return false };
        let sessions = &mut self.parties[party].sessions;
        let keys = sessions.open_keys(header.source);
        let keys = keys.iter().find(|keys| keys.epoch_in == header.epoch && self.now < keys.expires_at);
        let opens = keys.is_some_and(|keys| {
            keys.open.hop().verify(bytes, header.hop_tag) && keys.open.open(bytes, header.len).is_ok()
        });
        if opens {
            sessions.heard(header.source, header.epoch, from, self.now);
        }
        opens
    }

    /// A datagram of a session from one party to the node of another, if there are keys.
    fn seal(&self, party: usize, to: NodePrefix) -> Option<Vec<u8>> {
        let Party { config, sessions } = &self.parties[party];
        let (keys, locator) = (sessions.keys(to)?, sessions.locator(to)?);
        let is_unsealed = self.protection == Protection::None;
        let source = config.id().prefix();
        let fields = Fields { kind: TYPE_TRANSPORT, is_unsealed, source, epoch: keys.epoch_out };
        let path = SealedPath::new(header::build(fields, &[locator]), &[locator], locator, [], keys.clone());
        let (mut ends, mut content) = (Ends::default(), *b"content");
        path.seal(&mut ends, (KIND_CONTROL, Segment::DEFAULT), &mut content, self.now).ok()?;
        Some([&ends.head[..], &content, &ends.tail].concat())
    }

    /// Puts what a party wants sent among the letters; gives the length of all answers to handshakes.
    fn collect(&mut self, party: usize) -> usize {
        let mut len = 0;
        for output in self.parties[party].sessions.take_outputs() {
            match output {
                Output::Send { route, kind, inner } => {
                    len += inner.len();
                    self.send(party, &route, Content::Handshake(kind, inner));
                }
                // Whoever has met a node has something to say to it.
                Output::Confirm(to) | Output::Met(to) => {
                    if let Some((datagram, route)) =
                        self.seal(party, to).zip(self.parties[party].sessions.route(to))
                    {
                        self.send(party, &route, Content::Sealed(datagram));
                    }
                }
                // Who has no session is no member any more.
                Output::Closed(node) => self.parties[party].sessions.set_member(node, false),
                Output::Proven(node) => self.check_place(party, node),
                Output::Challenge { .. } | Output::Refused(..) | Output::Changed(_) => {}
            }
        }
        len
    }

    /// A node is where it has shown to be: whoever forges addresses cannot read what is sent there.
    fn check_place(&self, party: usize, node: NodePrefix) {
        let proven = self.parties[party].sessions.proven_address(node);
        let mut places = self.parties.iter().filter(|other| other.config.id().prefix() == node);
        let is_there = places.any(|other| proven == Some(other.config.locator));
        assert!(is_there || self.protection == Protection::None, "{node:?} is not at {proven:?}");
    }

    fn send(&mut self, from: usize, route: &Route, content: Content) {
        let locator_of = |prefix: &NodePrefix| {
            (0..NODES).find(|party| self.prefix(*party) == *prefix).map(|party| self.locator(party))
        };
        let (to, relays) = match route {
            Route::Address(address) => (Some(*address), vec![]),
            Route::Through { relay, locator, .. } => {
                (Some(*locator), relay.as_ref().and_then(locator_of).into_iter().collect())
            }
            Route::Path(to) => (locator_of(to), vec![]),
            Route::Relays(path) => {
                assert!((1..=MAX_HOPS).contains(&path.len()), "{path:?}");
                let (relays, to) = path.split_at(path.len() - 1);
                (to.first().copied(), relays.to_vec())
            }
        };
        let arrives_at = self.now + DELAY;
        self.letters.extend(to.map(|to| Letter { from, forged: None, to, relays, content, arrives_at }));
        if self.letters.len() > MAX_LETTERS {
            self.letters.remove(0);
        }
    }

    /// What holds after every step.
    fn check(&self) {
        for Party { config, sessions } in &self.parties {
            assert!(sessions.nodes().count() <= 2 * config.max_members);
            for prefix in sessions.nodes() {
                let is_known =
                    (0..NODES).any(|node| Some(self.parties[node].config.id()) == sessions.id(prefix));
                assert!(is_known || self.protection == Protection::None, "{prefix:?} has proven nothing");
                assert!(prefix != config.id().prefix(), "a session with itself");
            }
        }
    }

    /// The network behaves and the copy is gone: all nodes come to sessions with each other.
    fn come_to_rest(&mut self) {
        self.letters.clear();
        self.parties.truncate(NODES);
        let mut missing = Vec::new();
        for _ in 0..ROUNDS {
            let pairs = (0..NODES).flat_map(|one| (0..NODES).map(move |other| (one, other)));
            missing = pairs.filter(|(one, other)| one != other && !self.carries(*one, *other)).collect();
            if missing.is_empty() {
                return;
            }
            for &(one, other) in &missing {
                let (id, locator) = (self.parties[other].config.id(), self.locator(other));
                self.parties[one].sessions.contact(id, locator, None, self.now);
                self.collect(one);
            }
            self.behave(ROUND);
        }
        panic!("{:?}: no session between {missing:?}", self.protection);
    }

    /// Lets time pass in which all letters arrive.
    fn behave(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let arrival = self.letters.iter().map(|letter| letter.arrives_at).min().unwrap_or(Time::NEVER);
            let due = self.parties.iter().map(|party| party.sessions.deadline()).min().unwrap_or(Time::NEVER);
            let next = arrival.min(due);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if let Some(at) = self.letters.iter().position(|letter| letter.arrives_at <= self.now) {
                let letter = self.letters.remove(at);
                self.deliver(&letter);
            }
            (0..self.parties.len()).for_each(|party| self.wake(party));
            self.check();
        }
        self.now = end;
    }

    /// True if what one node seals now is opened by another.
    fn carries(&mut self, one: usize, other: usize) -> bool {
        let to = self.prefix(other);
        self.seal(one, to).is_some_and(|mut datagram| self.open(other, &mut datagram, None))
    }

    fn locator(&self, party: usize) -> SocketAddr {
        self.parties.get(party).map_or(mesh::stranger(0), |party| party.config.locator)
    }

    fn prefix(&self, party: usize) -> NodePrefix {
        self.parties[party % NODES].config.id().prefix()
    }
}

impl Party {
    fn new(config: Config) -> Self {
        let rng = Rng::of_life(&config.entropy, config.id(), config.incarnation);
        Party { sessions: Sessions::new(&config, rng), config }
    }
}

/// Changes what a letter says, or by whom it was passed on.
fn change(letter: &mut Letter, feed: &mut Feed<'_>) {
    let bytes = match &mut letter.content {
        Content::Handshake(kind, inner) => {
            if feed.u8().is_multiple_of(8) {
                *kind = KINDS[feed.below(KINDS.len())];
            }
            inner
        }
        Content::Sealed(bytes) => bytes,
    };
    let (at, end) = (feed.below(bytes.len().max(1)), bytes.len());
    match feed.below(5) {
        0 if at < end => bytes[at] ^= 1 << feed.below(8),
        1 => bytes.truncate(at),
        2 => drop(bytes.splice(at..at, feed.bytes().iter().copied())),
        3 => *bytes = feed.bytes().to_vec(),
        _ => letter.relays = (0..feed.below(MAX_HOPS)).map(|_| mesh::stranger(feed.u8())).collect(),
    }
}
