//! A minimal peer: what sections 9 to 13 ask of a node that takes part, without timers. What it repeats, and
//! when, is up to the test.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::codec::Random;
use crate::control::{Entry, Host, HostName, Message, Record};
use crate::exchange::{self, AES, Begun, Identity, Introduction};
use crate::header::{CHALLENGE, HELLO, Header, INITIATION, Prefix, RESPONSE, TRANSPORT, prefix};
use crate::seal::{self, CONTROL, Direction, FRAME, SHARED_AES, SHARED_CHACHA, Shared, Suite};

/// The flow label of all keys: a node draws one for each.
const FLOW_LABEL: u64 = 0x5eed_1abe;

/// How long others are to hold a probe, in milliseconds.
const HOLD: u16 = 1000;

/// The keys of one exchange.
pub(crate) struct Keys {
    pub(crate) seal: Direction,
    pub(crate) next_counter: u64,
    pub(crate) open: Direction,
    seen: BTreeSet<u64>,
    pub(crate) epoch_in: u8,
    pub(crate) epoch_out: u8,
}

/// What is kept for another node.
pub(crate) struct Session {
    pub(crate) id: [u8; 32],
    pub(crate) current: Option<Keys>,
    pub(crate) former: Option<Keys>,
    pub(crate) pending: Option<Keys>,
    pub(crate) address: SocketAddr,
    pub(crate) locator: SocketAddr,
    /// Version and entries of its row.
    pub(crate) row: (u64, BTreeMap<Prefix, Entry>),
    /// Version and entries of its announcements.
    pub(crate) hosts: (u64, BTreeMap<HostName, Host>),
}

struct Attempt {
    begun: Begun,
    responder: [u8; 32],
    message: Vec<u8>,
    epoch: u8,
    /// Members that relay it.
    relays: Vec<Prefix>,
    to: SocketAddr,
}

pub(crate) struct Peer {
    pub(crate) identity: Identity,
    pub(crate) record: Record,
    cipher: u8,
    random: Random,
    epoch: u8,
    sequence: u64,
    handshakes: u64,
    hellos: BTreeMap<SocketAddr, [u8; 16]>,
    attempts: BTreeMap<Prefix, Attempt>,
    pub(crate) sessions: BTreeMap<Prefix, Session>,
    pub(crate) members: BTreeMap<Prefix, Record>,
    /// Sends a join to each node that lists members.
    pub(crate) joins: bool,
    /// Datagrams to send.
    pub(crate) out: Vec<(SocketAddr, Vec<u8>)>,
    /// Frames that arrived: from whom, in which segment and kind.
    pub(crate) frames: Vec<(Prefix, u32, u8, Vec<u8>)>,
    /// Control messages that arrived.
    pub(crate) heard: Vec<(Prefix, Message)>,
    /// Datagrams relayed.
    pub(crate) relayed: usize,
    /// What it has announced and withdrawn, in order: one change for each version.
    pub(crate) announced: Vec<Host>,
}

impl Peer {
    pub(crate) fn new(name: &str, identity: Identity, cipher: u8, locator: SocketAddr) -> Self {
        let (id, segments) = (identity.id(), vec![0]);
        let record = Record { id, version: (7_000_000_000_000, 0), locator, name: name.into(), segments };
        let mut random = Random::new(id);
        let [.., a, b, c, d] = random.array::<32>();
        Peer {
            identity,
            record,
            cipher,
            random,
            epoch: 0x40,
            sequence: 0,
            handshakes: u64::from_be_bytes([a, b, c, d, 0, 0, 0, 0]),
            hellos: BTreeMap::new(),
            attempts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            members: BTreeMap::new(),
            joins: true,
            out: Vec::new(),
            frames: Vec::new(),
            heard: Vec::new(),
            relayed: 0,
            announced: Vec::new(),
        }
    }

    pub(crate) fn prefix(&self) -> Prefix {
        self.record.prefix()
    }

    fn is_unsealed(&self) -> bool {
        matches!(self.identity, Identity::None { .. })
    }

    pub(crate) fn digest(&self) -> u64 {
        self.members.values().fold(self.record.digest(), |digest, member| digest ^ member.digest())
    }

    /// A header of this peer for a path through members that it has sessions with; `last` is the hop key of
    /// the destination, if its tag is not zero.
    fn header(
        &self,
        (kind, epoch, counter): (u8, u8, u64),
        relays: &[Prefix],
        to: SocketAddr,
        last: Option<[u8; 16]>,
    ) -> Header {
        let relays: Vec<&Session> = relays.iter().map(|relay| &self.sessions[relay]).collect();
        let mut keys: Vec<[u8; 16]> =
            relays.iter().map(|relay| relay.current.as_ref().unwrap().seal.hop).collect();
        keys.extend(last);
        let path = relays.iter().map(|relay| relay.locator).chain([to]).collect();
        let (source, is_unsealed) = (self.prefix(), self.is_unsealed());
        Header { kind, is_unsealed, epoch, source, counter, path, index: 0, tags: Vec::new() }.tagged(&keys)
    }

    /// Sends a datagram of a handshake to `to`, through `relays`.
    fn send_handshake(&mut self, kind: u8, relays: &[Prefix], to: SocketAddr, inner: &[u8]) {
        self.handshakes += 1;
        let header = self.header((kind, 0, self.handshakes), relays, to, None);
        let nonce = self.random.array();
        let key = seal::outer_key(&self.identity.network());
        let next = relays.first().map_or(to, |relay| self.sessions[relay].address);
        self.out.push((next, seal::outer_seal(&key, &header.bytes(), nonce, inner)));
    }

    /// Asks who is at an address (9.2).
    pub(crate) fn hello(&mut self, address: SocketAddr) {
        let nonce = self.random.array();
        self.hellos.insert(address, nonce);
        self.send_handshake(HELLO, &[], address, &[&nonce[..], &[0; 48]].concat());
    }

    fn introduction(&mut self, sequence: u64) -> Introduction {
        self.epoch = self.epoch.wrapping_add(1);
        Introduction {
            incarnation: self.record.version.0,
            sequence,
            epoch: self.epoch,
            cipher: self.cipher,
            locator: self.record.locator,
        }
    }

    /// Begins a handshake with a node at a locator, through `relays`.
    pub(crate) fn initiate(
        &mut self,
        responder: [u8; 32],
        relays: &[Prefix],
        to: SocketAddr,
        cookie: [u8; 16],
    ) {
        self.sequence += 1;
        let introduction = self.introduction(self.sequence);
        let random = self.random.array();
        let (begun, message) = exchange::begin(&self.identity, &responder, random, &introduction.bytes());
        let (epoch, relays) = (introduction.epoch, relays.to_vec());
        let attempt = Attempt { begun, responder, message, epoch, relays, to };
        self.attempts.insert(prefix(&responder), attempt);
        self.repeat(prefix(&responder), cookie);
    }

    /// Sends the initiation of an attempt (once more).
    pub(crate) fn repeat(&mut self, responder: Prefix, cookie: [u8; 16]) {
        let Attempt { message, relays, to, .. } = &self.attempts[&responder];
        let (inner, relays, to) = ([&cookie[..], message].concat(), relays.clone(), *to);
        self.send_handshake(INITIATION, &relays, to, &inner);
    }

    /// Takes a datagram; `now` is the time in nanoseconds. False if it is dropped.
    pub(crate) fn receive(&mut self, now: u64, from: SocketAddr, datagram: &[u8]) -> bool {
        let Some((header, len)) = Header::read(datagram) else { return false };
        let is_here = header.path.len() == 1 || header.path[header.index] == self.record.locator;
        if header.is_unsealed != self.is_unsealed() || header.source == self.prefix() || !is_here {
            return false;
        }
        if header.index + 1 < header.path.len() {
            return self.relay(&header, datagram).is_some();
        }
        if header.kind == TRANSPORT {
            return self.transport(now, from, &header, datagram, len).is_some();
        }
        let key = seal::outer_key(&self.identity.network());
        let Some(inner) = seal::outer_open(&key, datagram, len) else { return false };
        match header.kind {
            HELLO => self.on_hello(from, &inner),
            CHALLENGE => self.on_challenge(from, &inner),
            INITIATION => self.on_initiation(from, &header, &inner),
            _ => self.on_response(from, &header, &inner),
        }
        .is_some()
    }

    /// 10.2
    fn relay(&mut self, header: &Header, datagram: &[u8]) -> Option<()> {
        let source = self.sessions.get(&header.source)?;
        let keys = [&source.current, &source.pending, &source.former];
        let tag = header.tags[header.index];
        keys.into_iter().flatten().find(|keys| header.tag(&keys.open.hop) == tag)?;
        self.members.get(&header.source)?;
        let next = header.path[header.index + 1];
        let member = self.members.values().find(|member| member.locator == next)?;
        let to = self.sessions.get(&member.prefix())?.address;
        let mut bytes = datagram.to_vec();
        bytes[1] += 1;
        self.relayed += 1;
        self.out.push((to, bytes));
        Some(())
    }

    fn on_hello(&mut self, from: SocketAddr, inner: &[u8]) -> Option<()> {
        let (nonce, padding) = inner.split_first_chunk::<16>()?;
        (padding == [0; 48]).then_some(())?;
        let challenge = [&nonce[..], &self.record.id, &[0xcc; 16]].concat();
        self.send_handshake(CHALLENGE, &[], from, &challenge);
        Some(())
    }

    fn on_challenge(&mut self, from: SocketAddr, inner: &[u8]) -> Option<()> {
        let inner: &[u8; 64] = inner.try_into().ok()?;
        let (echo, id, cookie) = (&inner[..16], inner[16..48].try_into().ok()?, inner[48..].try_into().ok()?);
        if self.hellos.get(&from).is_some_and(|nonce| nonce == echo) {
            self.hellos.remove(&from);
            self.initiate(id, &[], from, cookie);
            return Some(());
        }
        self.attempts.get(&prefix(&id)).filter(|attempt| attempt.message.starts_with(echo))?;
        self.repeat(prefix(&id), cookie);
        Some(())
    }

    /// 9.3, without limits: this peer has one visitor at a time.
    fn on_initiation(&mut self, from: SocketAddr, header: &Header, inner: &[u8]) -> Option<()> {
        let (_, message) = inner.split_first_chunk::<16>()?;
        // 9.6: this peer never gives up an attempt, so its own goes first as long as it is out.
        let goes_before = |attempt: &Attempt| self.record.id < attempt.responder;
        if self.attempts.get(&header.source).is_some_and(goes_before) {
            return None;
        }
        let random = self.random.array();
        let asked = exchange::respond(&self.identity, random, message)?;
        let theirs = Introduction::read(&asked.payload)?;
        let id = asked.initiator;
        (prefix(&id) == header.source).then_some(())?;
        self.sequence += 1;
        let own = self.introduction(self.sequence);
        let (message, (to_responder, to_initiator)) =
            exchange::answer(asked, &[&[1][..], &own.bytes()].concat());
        let keys = self.keys(&theirs, own.epoch, &to_initiator, &to_responder);
        let relays = self.relays(header);
        let to = if relays.is_empty() { from } else { theirs.locator };
        let session = self.sessions.entry(header.source).or_insert(Session {
            id,
            current: None,
            former: None,
            pending: None,
            address: from,
            locator: theirs.locator,
            row: Default::default(),
            hosts: Default::default(),
        });
        session.pending = Some(keys);
        self.attempts.remove(&header.source);
        self.send_handshake(RESPONSE, &relays, to, &message);
        Some(())
    }

    /// The relays of an arrived datagram, in reverse order.
    fn relays(&self, header: &Header) -> Vec<Prefix> {
        let member_at =
            |at: &SocketAddr| self.members.values().find(|member| member.locator == *at).unwrap().prefix();
        header.path[..header.index].iter().rev().map(member_at).collect()
    }

    fn keys(&self, theirs: &Introduction, epoch_in: u8, seal: &[u8; 32], open: &[u8; 32]) -> Keys {
        let suite = match (self.is_unsealed(), self.cipher, theirs.cipher) {
            (true, ..) => Suite::None,
            (false, AES, AES) => Suite::Aes,
            _ => Suite::ChaCha,
        };
        Keys {
            seal: Direction::new(seal, suite),
            next_counter: FLOW_LABEL << 32 | 1,
            open: Direction::new(open, suite),
            seen: BTreeSet::new(),
            epoch_in,
            epoch_out: theirs.epoch,
        }
    }

    fn on_response(&mut self, from: SocketAddr, header: &Header, message: &[u8]) -> Option<()> {
        let attempt = self.attempts.get_mut(&header.source)?;
        let (payload, (to_responder, to_initiator)) = exchange::finish(&mut attempt.begun, message)?;
        let theirs = match payload.split_first()? {
            (1, introduction) => Introduction::read(introduction)?,
            (2, []) => return self.attempts.remove(&header.source).map(drop),
            _ => return None,
        };
        let attempt = self.attempts.remove(&header.source)?;
        let keys = self.keys(&theirs, attempt.epoch, &to_responder, &to_initiator);
        let (former, row, hosts) = match self.sessions.remove(&header.source) {
            Some(session) => (session.current, session.row, session.hosts),
            None => Default::default(),
        };
        let session = Session {
            id: attempt.responder,
            current: Some(keys),
            former,
            pending: None,
            address: from,
            locator: theirs.locator,
            row,
            hosts,
        };
        self.sessions.insert(header.source, session);
        self.send_control(header.source, &attempt.relays, &Message::Confirm);
        Some(())
    }

    /// 10.3
    fn transport(
        &mut self,
        now: u64,
        from: SocketAddr,
        header: &Header,
        datagram: &[u8],
        len: usize,
    ) -> Option<()> {
        let session = self.sessions.get_mut(&header.source)?;
        let all = [&mut session.current, &mut session.pending, &mut session.former];
        let keys = all.into_iter().flatten().find(|keys| keys.epoch_in == header.epoch)?;
        (header.tag(&keys.open.hop) == header.tags[header.index]).then_some(())?;
        let (kind, segment, content) = keys.open.open(header, datagram, len)?;
        keys.seen.insert(header.counter).then_some(())?;
        if kind == CONTROL {
            let message = Message::read(&content)?;
            if session.pending.as_ref().is_some_and(|keys| keys.epoch_in == header.epoch) {
                session.former = session.current.take();
                session.current = session.pending.take();
            }
            if header.path.len() == 1 {
                session.address = from;
            }
            self.heard.push((header.source, message.clone()));
            let back = self.relays(header);
            return self.on_control(now, header.source, &back, message);
        }
        let is_ours = header.path[header.index] == self.record.locator
            && [FRAME, SHARED_AES, SHARED_CHACHA].contains(&kind)
            && self.members.contains_key(&header.source);
        is_ours.then(|| self.frames.push((header.source, segment, kind, content)))
    }

    /// Takes a control message, whose way back has these relays.
    fn on_control(&mut self, now: u64, from: Prefix, back: &[Prefix], message: Message) -> Option<()> {
        let id = self.sessions[&from].id;
        match message {
            Message::ListRequest { token } => {
                let entries = std::iter::once(&self.record).chain(self.members.values());
                let entries = entries.map(Record::listed).collect();
                self.send_control(from, &[], &Message::List { token, entries });
            }
            Message::List { .. } if self.joins => {
                let known = self.members.get(&from).map_or((0, 0), |member| member.version);
                let record = self.record.clone();
                self.send_control(from, &[], &Message::Join { known, record });
            }
            Message::Join { record, .. } if record.id == id => {
                let known = record.version;
                self.members.insert(from, record);
                let record = self.record.clone();
                self.send_control(from, &[], &Message::JoinAck { known, record });
            }
            Message::JoinAck { record, .. } if record.id == id => drop(self.members.insert(from, record)),
            Message::Join { .. } | Message::JoinAck { .. } => return None,
            Message::Leave { .. } => drop(self.members.remove(&from)),
            Message::Probe { sent, row, hosts, .. } if self.members.contains_key(&from) => {
                self.send_probe(now, from, HOLD, Some((sent as u32, 0)));
                self.ask_for_row(from, row);
                self.ask_for_hosts(from, hosts);
            }
            Message::Hosts { from: since, to, entries, .. } => {
                let hosts = &mut self.sessions.get_mut(&from)?.hosts;
                if to > hosts.0 && since <= hosts.0 {
                    hosts.0 = to;
                    hosts.1.extend(entries.into_iter().map(|host| (host.name, host)));
                }
                self.ask_for_hosts(from, to);
            }
            Message::HostsRequest { from: since } => {
                let (to, since) = (self.announced.len() as u64, since as usize);
                let entries = self.announced.get(since..).unwrap_or_default().to_vec();
                let hosts = Message::Hosts { forgotten: 0, from: since as u64, to, entries };
                self.send_control(from, &[], &hosts);
            }
            Message::AddressChallenge { token } => {
                self.send_control(from, &[], &Message::AddressResponse { token });
            }
            Message::PathProbe { token, .. } if self.members.contains_key(&from) => {
                self.send_control(from, back, &Message::PathAnswer { token, received_at: now });
            }
            Message::Row { from: since, to, entries, .. } => {
                let row = &mut self.sessions.get_mut(&from)?.row;
                if to > row.0 && since <= row.0 {
                    row.0 = to;
                    row.1.extend(entries.into_iter().map(|entry| (entry.target, entry)));
                }
                self.ask_for_row(from, to);
            }
            _ => {}
        }
        Some(())
    }

    fn ask_for_row(&mut self, of: Prefix, version: u64) {
        let known = self.sessions[&of].row.0;
        if known < version {
            self.send_control(of, &[], &Message::RowRequest { from: known });
        }
    }

    fn ask_for_hosts(&mut self, of: Prefix, version: u64) {
        let known = self.sessions[&of].hosts.0;
        if known < version {
            self.send_control(of, &[], &Message::HostsRequest { from: known });
        }
    }

    /// The next header of transport to a node, through `relays`.
    pub(crate) fn next_header(&mut self, to: Prefix, relays: &[Prefix]) -> Header {
        let session = self.sessions.get_mut(&to).unwrap();
        let locator = session.locator;
        let keys = session.current.as_mut().unwrap();
        let (epoch, counter, hop) = (keys.epoch_out, keys.next_counter, keys.seal.hop);
        keys.next_counter += 1;
        self.header((TRANSPORT, epoch, counter), relays, locator, Some(hop))
    }

    /// Seals content of a kind and sends it.
    pub(crate) fn send_kind(
        &mut self,
        to: Prefix,
        relays: &[Prefix],
        kind: u8,
        segment: u32,
        content: &[u8],
    ) {
        let header = self.next_header(to, relays);
        let session = &self.sessions[&to];
        let bytes = session.current.as_ref().unwrap().seal.seal(&header, kind, segment, content);
        let next = relays.first().map_or(session.address, |relay| self.sessions[relay].address);
        self.out.push((next, bytes));
    }

    pub(crate) fn send_control(&mut self, to: Prefix, relays: &[Prefix], message: &Message) {
        self.send_kind(to, relays, CONTROL, 0, &message.bytes());
    }

    pub(crate) fn send_frame(&mut self, to: Prefix, relays: &[Prefix], frame: &[u8]) {
        self.send_kind(to, relays, FRAME, 0, frame);
    }

    pub(crate) fn send_shared(&mut self, to: Prefix, kind: u8, frame: &[u8]) {
        let shared = Shared::new(kind, self.random.array(), frame);
        let header = self.next_header(to, &[]);
        let session = &self.sessions[&to];
        let bytes = session.current.as_ref().unwrap().seal.seal_shared(&header, 0, &shared);
        self.out.push((session.address, bytes));
    }

    /// Sends a probe that is to be answered at once; gives its stamp.
    pub(crate) fn probe(&mut self, now: u64, to: Prefix) -> u32 {
        self.send_probe(now, to, 0, None)
    }

    fn send_probe(&mut self, now: u64, to: Prefix, hold: u16, echo: Option<(u32, u32)>) -> u32 {
        let sent = now / 1000 % (1 << 48);
        let (digest, hosts) = (self.digest() as u32, self.announced.len() as u64);
        self.send_control(to, &[], &Message::Probe { hold, sent, echo, digest, row: 0, hosts });
        sent as u32
    }
}
