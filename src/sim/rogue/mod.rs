//! The attacker from within: it holds a network key and a secret key of its own, shakes hands as it should, and
//! then says whatever it likes.
//!
//! A rogue is no site: it has an address, gets its mail when it asks for it and answers at once. Made of the
//! crate's own messages and keys, so that what it sends is right but for the lie that is meant.

mod forge;
mod say;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use say::Say;

use crate::node::NodePrefix;
use crate::rng::Rng;
use crate::session::noise::{Identity, Initiator};
use crate::session::seal::{OpenKey, SealKey};
use crate::session::suite::Suite;
use crate::session::{Ends, Keys as SessionKeys, OuterKey, SealedPath, SharedSeal};
use crate::sim::check::Violation;
use crate::sim::dice::Dice;
use crate::sim::world::World;
use crate::wire::handshake::{Answer, COOKIE_LEN, Challenge, Initiation, Introduction};
use crate::wire::header::{self, Fields, Header};
use crate::wire::record::{Record, RecordVersion};
use crate::wire::{KIND_CONTROL, KIND_FRAME, TYPE_CHALLENGE, TYPE_INITIATION, TYPE_RESPONSE, TYPE_TRANSPORT};
use crate::{Cipher, Keys, NetworkKey, NodeId, SecretKey, Security, Segment, Time};

/// How often [`Rogue::live`] looks into its mail.
const GLANCE: Duration = Duration::from_millis(10);

/// A handshake it has begun.
struct Try {
    initiator: Initiator,
    message: Vec<u8>,
    epoch: u8,
}

/// An attacker that holds a network key and a secret key.
pub struct Rogue {
    id: NodeId,
    identity: Identity,
    outer: OuterKey,
    address: SocketAddr,
    record: Record,
    rng: Rng,
    /// The number of its latest initiation.
    sequence: u64,
    epoch: u8,
    tries: BTreeMap<usize, Try>,
    lines: BTreeMap<usize, Arc<SessionKeys>>,
    /// The latest question for its list that each site has asked.
    questions: BTreeMap<usize, u64>,
    /// Sites that have it in their lists, by their own word.
    acknowledged: BTreeMap<usize, u64>,
    row_version: u64,
    hosts_version: u64,
    frames: Vec<Vec<u8>>,
    refusals: u64,
}

impl Rogue {
    /// An attacker that holds the key of the world's network and receives at `address`, which is no site's.
    pub fn new(world: &mut World, name: &str, address: SocketAddr) -> Self {
        let network = world.network_key();
        Rogue::of_network(world, name, address, network)
    }

    /// As [`new`](Rogue::new), with another network key.
    pub fn of_network(world: &mut World, name: &str, address: SocketAddr, network: NetworkKey) -> Self {
        let mut dice = Dice::named(world.seed(), name);
        let (mut secret, mut entropy) = ([0; 32], [0; 32]);
        dice.fill(&mut secret);
        dice.fill(&mut entropy);
        let security = Security::Sealed(Keys::new(SecretKey::from_bytes(secret), network));
        let id = SecretKey::from_bytes(secret).node_id();
        world.listen(address);
        world.claim(address);
        Rogue {
            id,
            identity: Identity::new(&security),
            outer: OuterKey::of(&security),
            address,
            record: Record {
                id,
                version: RecordVersion { incarnation: world.now().as_nanos() + 1, version: 0 },
                locator: address,
                name: name.to_owned(),
                segments: vec![Segment::DEFAULT],
            },
            rng: Rng::new(entropy),
            sequence: 0,
            epoch: 0,
            tries: BTreeMap::new(),
            lines: BTreeMap::new(),
            questions: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            row_version: 0,
            hosts_version: 0,
            frames: Vec::new(),
            refusals: 0,
        }
    }

    /// Its identity.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Where it receives.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// True if there is a session with a site.
    pub fn has_session(&self, site: usize) -> bool {
        self.lines.contains_key(&site)
    }

    /// How often a site has acknowledged its joins.
    pub fn acknowledgements(&self, site: usize) -> u64 {
        self.acknowledged.get(&site).copied().unwrap_or(0)
    }

    /// How often it was refused, by whichever site.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// The frames that were sent to it.
    pub fn frames(&self) -> &[Vec<u8>] {
        &self.frames
    }

    /// Claims another name, locator or life from now on.
    pub fn claim(&mut self, name: &str, locator: SocketAddr, incarnation: u64) {
        name.clone_into(&mut self.record.name);
        self.record.locator = locator;
        if self.record.version.incarnation == incarnation {
            self.record.version.version += 1;
        } else {
            self.record.version = RecordVersion { incarnation, version: 0 };
        }
    }

    /// Begins a handshake with a site; gives the datagram, which is to be injected.
    pub fn initiation(&mut self, world: &World, site: usize) -> Vec<u8> {
        self.initiation_with(world, site, [0; COOKIE_LEN])
    }

    fn initiation_with(&mut self, world: &World, site: usize, cookie: [u8; COOKIE_LEN]) -> Vec<u8> {
        self.sequence = world.now().as_nanos().max(self.sequence + 1);
        self.epoch = self.epoch.wrapping_add(1);
        let payload = self.introduction(self.epoch).to_bytes();
        let config = world.config(site);
        let (initiator, message) = Initiator::start(&self.identity, config.id(), &payload, &mut self.rng);
        let inner = Initiation { cookie, message: &message }.to_bytes();
        self.tries.insert(site, Try { initiator, message, epoch: self.epoch });
        let path = [config.locator];
        self.handshake(TYPE_INITIATION, self.id.prefix(), &path, &inner)
    }

    fn introduction(&self, epoch: u8) -> Introduction {
        Introduction {
            incarnation: self.record.version.incarnation,
            sequence: self.sequence,
            epoch,
            cipher: Cipher::ChaCha20Poly1305,
            locator: self.record.locator,
        }
    }

    /// A datagram of a handshake, under the network key.
    fn handshake(&mut self, kind: u8, source: NodePrefix, path: &[SocketAddr], inner: &[u8]) -> Vec<u8> {
        let header = header::build(Fields { kind, is_unsealed: false, source, epoch: 0 }, path);
        let mut bytes = header.to_vec();
        self.outer.seal(self.rng.array(), &header, inner, &mut bytes);
        bytes
    }

    /// Gets a session with a site; false if it did not come to one.
    ///
    /// # Errors
    ///
    /// A rule that was broken meanwhile.
    pub fn shake_hands(&mut self, world: &mut World, site: usize) -> Result<bool, Violation> {
        self.lines.remove(&site);
        let initiation = self.initiation(world, site);
        world.inject(site, self.address, initiation);
        // Once more after a challenge.
        for _ in 0..3 {
            world.run_for(Duration::from_millis(1))?;
            self.attend(world);
        }
        if self.has_session(site) {
            self.say(world, site, &Say::Confirm);
            world.run_for(Duration::from_millis(1))?;
        }
        Ok(self.has_session(site))
    }

    /// Becomes a member at a site; false if the site did not acknowledge it.
    ///
    /// # Errors
    ///
    /// A rule that was broken meanwhile.
    pub fn join(&mut self, world: &mut World, site: usize) -> Result<bool, Violation> {
        if !self.has_session(site) && !self.shake_hands(world, site)? {
            return Ok(false);
        }
        let before = self.acknowledgements(site);
        self.say(world, site, &Say::Join);
        for _ in 0..2 {
            world.run_for(Duration::from_millis(1))?;
            self.attend(world);
        }
        Ok(self.acknowledgements(site) > before)
    }

    /// Lets the world go on while it answers what it is asked, as a good member would.
    ///
    /// # Errors
    ///
    /// The first rule that was broken, now or before.
    pub fn live(&mut self, world: &mut World, duration: Duration) -> Result<(), Violation> {
        let end = world.now() + duration;
        while world.now() < end {
            world.run_for(GLANCE.min(end.since(world.now())))?;
            self.attend(world);
        }
        Ok(())
    }

    /// Says something to a site.
    pub fn say(&mut self, world: &mut World, site: usize, say: &Say) {
        self.say_from(world, site, self.address, say);
    }

    /// As [`say`](Rogue::say), from an address that may be another's.
    pub fn say_from(&mut self, world: &mut World, site: usize, from: SocketAddr, say: &Say) {
        let mut content = self.put(site, say);
        if let Some(bytes) = self.seal(world, &[site], KIND_CONTROL, &mut content) {
            world.inject(site, from, bytes);
        }
    }

    /// Sends a frame to the last of these sites, through the others; false without a session with each of them.
    pub fn frame(&mut self, world: &mut World, sites: &[usize], frame: &[u8]) -> bool {
        let sealed = self.seal(world, sites, KIND_FRAME, &mut frame.to_vec());
        if let Some(bytes) = &sealed {
            world.inject(sites[0], self.address, bytes.clone());
        }
        sealed.is_some()
    }

    /// A datagram with a frame on a path of its own choice, of entries and sites: the hop tag of each entry is
    /// made with the keys of the session with the site beside it. `None` without a session with each of them.
    pub fn frame_along(&mut self, path: &[(usize, SocketAddr)], frame: &[u8]) -> Option<Vec<u8>> {
        self.seal_along(path, KIND_FRAME, &mut frame.to_vec())
    }

    fn seal(&self, world: &World, sites: &[usize], kind: u8, content: &mut [u8]) -> Option<Vec<u8>> {
        let path: Vec<_> = sites.iter().map(|&site| (site, world.config(site).locator)).collect();
        self.seal_along(&path, kind, content)
    }

    fn seal_along(&self, path: &[(usize, SocketAddr)], kind: u8, content: &mut [u8]) -> Option<Vec<u8>> {
        let sealed = self.path(path)?;
        let mut ends = Ends::default();
        sealed.seal(&mut ends, (kind, Segment::DEFAULT), content, Time::ZERO).ok()?;
        Some([&ends.head[..], content, &ends.tail].concat())
    }

    /// The same frame for several sites, sealed once.
    pub fn shared_frame(&mut self, world: &World, sites: &[usize], frame: &[u8]) -> Vec<Vec<u8>> {
        let mut body = frame.to_vec();
        let shared = SharedSeal::new(Cipher::ChaCha20Poly1305, &self.rng.array(), &mut body);
        let of_site = |&site: &usize| {
            let path = self.path(&[(site, world.config(site).locator)])?;
            let mut ends = Ends::default();
            path.seal_shared(&mut ends, &shared, Segment::DEFAULT, Time::ZERO).ok()?;
            Some([&ends.head[..], &body, &ends.tail].concat())
        };
        sites.iter().filter_map(of_site).collect()
    }

    fn path(&self, path: &[(usize, SocketAddr)]) -> Option<SealedPath> {
        let (last, relays) = path.split_last()?;
        let keys = self.lines.get(&last.0)?;
        let relays: Vec<_> = relays.iter().map(|(site, _)| self.lines.get(site)).collect::<Option<_>>()?;
        let entries: Vec<_> = path.iter().map(|(_, locator)| *locator).collect();
        let source = self.id.prefix();
        let fields = Fields { kind: TYPE_TRANSPORT, is_unsealed: false, source, epoch: keys.epoch_out };
        let header = header::build(fields, &entries);
        let hops = relays.iter().map(|keys| keys.seal.hop());
        Some(SealedPath::new(header, &entries, entries[0], hops, keys.clone()))
    }

    /// Reads its mail, and answers: challenges, questions, probes and joins.
    pub fn attend(&mut self, world: &mut World) {
        for (_, mut bytes) in world.take_mail(self.address) {
            let Ok(header) = Header::parse(&bytes) else { continue };
            let sites = 0..world.sites();
            let of_source = |site: &usize| world.config(*site).id().prefix() == header.source;
            let Some(site) = sites.into_iter().find(of_source) else { continue };
            match header.kind {
                TYPE_TRANSPORT => self.open(world, site, &header, &mut bytes),
                TYPE_CHALLENGE | TYPE_RESPONSE => {
                    let (head, body) = bytes.split_at_mut(header.len);
                    let Some(inner) = self.outer.open(head, body).map(<[u8]>::to_vec) else { continue };
                    if header.kind == TYPE_RESPONSE {
                        self.finish(site, &inner);
                    } else {
                        self.prove(world, site, &inner);
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes the keys of a handshake.
    fn finish(&mut self, site: usize, message: &[u8]) {
        let Some(attempt) = self.tries.get_mut(&site) else { return };
        let Some((payload, split)) = attempt.initiator.finish(message) else { return };
        let Ok(Answer::Accepted(theirs)) = Answer::read(&payload) else { return };
        let suite = Suite::of_pair(Cipher::ChaCha20Poly1305, theirs.cipher);
        let keys = SessionKeys {
            seal: SealKey::new(&split.to_responder, suite, self.rng.u64() as u32),
            open: OpenKey::new(&split.to_initiator, suite),
            epoch_in: attempt.epoch,
            epoch_out: theirs.epoch,
            expires_at: Time::NEVER,
        };
        self.lines.insert(site, Arc::new(keys));
        self.tries.remove(&site);
    }

    /// Repeats an initiation with the cookie of a challenge.
    fn prove(&mut self, world: &mut World, site: usize, inner: &[u8]) {
        let Ok(Challenge { echo, cookie, .. }) = Challenge::read(inner) else { return };
        let Some(attempt) = self.tries.get(&site).filter(|attempt| attempt.message.starts_with(&echo)) else {
            return;
        };
        let inner = Initiation { cookie, message: &attempt.message }.to_bytes();
        let path = [world.config(site).locator];
        let bytes = self.handshake(TYPE_INITIATION, self.id.prefix(), &path, &inner);
        world.inject(site, self.address, bytes);
    }
}
