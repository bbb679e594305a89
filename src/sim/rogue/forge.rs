//! What the network key alone is good for: handshakes in the name of others, recorded ones sealed anew.

use core::net::SocketAddr;

use crate::NodeId;
use crate::session::noise::Initiator;
use crate::sim::rogue::Rogue;
use crate::sim::world::World;
use crate::wire::handshake::{COOKIE_LEN, Challenge, Hello, Initiation};
use crate::wire::header::Header;
use crate::wire::{TYPE_CHALLENGE, TYPE_HELLO, TYPE_INITIATION, TYPE_RESPONSE};

impl Rogue {
    /// A hello in the name of any node.
    pub fn hello_of(&mut self, world: &World, site: usize, source: NodeId) -> Vec<u8> {
        let inner = Hello { nonce: self.rng.array() }.to_bytes();
        self.handshake(TYPE_HELLO, source.prefix(), &[world.config(site).locator], &inner)
    }

    /// An initiation in the name of another node, whose secret key it does not have.
    pub fn initiation_of(&mut self, world: &World, site: usize, source: NodeId) -> Vec<u8> {
        let payload = self.introduction(1).to_bytes();
        let config = world.config(site);
        let (_, message) = Initiator::start(&self.identity, config.id(), &payload, &mut self.rng);
        let inner = Initiation { cookie: [0; COOKIE_LEN], message: &message }.to_bytes();
        self.handshake(TYPE_INITIATION, source.prefix(), &[config.locator], &inner)
    }

    /// An initiation of random bytes in the name of any node.
    pub fn random_initiation_of(&mut self, world: &World, site: usize, source: NodeId) -> Vec<u8> {
        let inner: [u8; 160] = self.rng.array();
        self.handshake(TYPE_INITIATION, source.prefix(), &[world.config(site).locator], &inner)
    }

    /// A response of random bytes in the name of any node.
    pub fn response_of(&mut self, world: &World, site: usize, source: NodeId) -> Vec<u8> {
        let inner: [u8; 96] = self.rng.array();
        self.handshake(TYPE_RESPONSE, source.prefix(), &[world.config(site).locator], &inner)
    }

    /// Reads the cookie out of a challenge, and whom it is for.
    pub fn cookie_in(&self, challenge: &[u8]) -> Option<[u8; COOKIE_LEN]> {
        let (header, inner) = self.unwrap(challenge)?;
        let challenge = (header.kind == TYPE_CHALLENGE).then(|| Challenge::read(&inner).ok())?;
        challenge.map(|challenge| challenge.cookie)
    }

    /// A recorded initiation with another cookie in it, under a fresh outer seal.
    pub fn reseal(&mut self, initiation: &[u8], cookie: [u8; COOKIE_LEN]) -> Option<Vec<u8>> {
        let (header, inner) = self.unwrap(initiation)?;
        let Initiation { message, .. } = Initiation::read(&inner).ok()?;
        let inner = Initiation { cookie, message }.to_bytes();
        let path: Vec<SocketAddr> = header.path.to_vec();
        Some(self.handshake(header.kind, header.source, &path, &inner))
    }

    /// Opens a handshake datagram's outer seal.
    fn unwrap(&self, datagram: &[u8]) -> Option<(Header, Vec<u8>)> {
        let header = Header::parse(datagram).ok()?;
        let mut datagram = datagram.to_vec();
        let (head, body) = datagram.split_at_mut(header.len);
        let inner = self.outer.open(head, body)?.to_vec();
        Some((header, inner))
    }
}
