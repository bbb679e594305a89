//! The key exchange (section 8).

use std::net::SocketAddr;

use ring::hkdf::{HKDF_SHA256, Salt};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};

use crate::codec::{Reader, locator_bytes};
use crate::seal::expand_prk;

/// Who takes part.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    Sealed { secret: [u8; 32], network: [u8; 32] },
    None { id: [u8; 32] },
}

impl Identity {
    pub(crate) fn id(&self) -> [u8; 32] {
        match self {
            Identity::Sealed { secret, .. } => {
                let mut curve = DefaultResolver.resolve_dh(&DHChoice::Curve25519).unwrap();
                curve.set(secret);
                curve.pubkey().try_into().unwrap()
            }
            Identity::None { id } => *id,
        }
    }

    pub(crate) fn network(&self) -> [u8; 32] {
        match self {
            Identity::Sealed { network, .. } => *network,
            Identity::None { .. } => [0; 32],
        }
    }
}

/// Split keys: towards the responder, towards the initiator.
pub(crate) type Split = ([u8; 32], [u8; 32]);

/// An exchange that was begun.
pub(crate) enum Begun {
    Noise(Box<HandshakeState>),
    Plain([u8; 32]),
}

/// Begins an exchange with the node `responder`; `random` is the ephemeral secret key, or the nonce.
pub(crate) fn begin(
    identity: &Identity,
    responder: &[u8; 32],
    random: [u8; 32],
    payload: &[u8],
) -> (Begun, Vec<u8>) {
    match identity {
        Identity::Sealed { secret, network } => {
            let builder = builder(secret, network, random);
            let mut noise = builder.remote_public_key(responder).unwrap().build_initiator().unwrap();
            let message = write(&mut noise, payload);
            (Begun::Noise(Box::new(noise)), message)
        }
        Identity::None { id } => (Begun::Plain(random), [&id[..], responder, &random, payload].concat()),
    }
}

/// Ends an exchange that was begun, with message 2.
pub(crate) fn finish(begun: &mut Begun, message: &[u8]) -> Option<(Vec<u8>, Split)> {
    match begun {
        Begun::Noise(noise) => {
            let payload = read(noise, message)?;
            Some((payload, noise.dangerously_get_raw_split()))
        }
        Begun::Plain(nonce) => {
            let mut reader = Reader(message);
            let echoed: [u8; 32] = reader.array()?;
            let theirs = reader.array()?;
            (echoed == *nonce).then(|| (reader.0.to_vec(), plain_split(nonce, &theirs)))
        }
    }
}

/// Message 1 of another node: who it is, its payload, and what makes message 2 and the keys.
pub(crate) struct Asked {
    pub(crate) initiator: [u8; 32],
    pub(crate) payload: Vec<u8>,
    state: Answering,
}

enum Answering {
    Noise(Box<HandshakeState>),
    Plain { theirs: [u8; 32], random: [u8; 32] },
}

pub(crate) fn respond(identity: &Identity, random: [u8; 32], message: &[u8]) -> Option<Asked> {
    match identity {
        Identity::Sealed { secret, network } => {
            let mut noise = builder(secret, network, random).build_responder().unwrap();
            let payload = read(&mut noise, message)?;
            let initiator = noise.get_remote_static()?.try_into().ok()?;
            Some(Asked { initiator, payload, state: Answering::Noise(Box::new(noise)) })
        }
        Identity::None { id } => {
            let mut reader = Reader(message);
            let initiator = reader.array()?;
            let responder: [u8; 32] = reader.array()?;
            let theirs = reader.array()?;
            let state = Answering::Plain { theirs, random };
            (responder == *id).then(|| Asked { initiator, payload: reader.0.to_vec(), state })
        }
    }
}

pub(crate) fn answer(asked: Asked, payload: &[u8]) -> (Vec<u8>, Split) {
    match asked.state {
        Answering::Noise(mut noise) => {
            let message = write(&mut noise, payload);
            (message, noise.dangerously_get_raw_split())
        }
        Answering::Plain { theirs, random } => {
            ([&theirs[..], &random, payload].concat(), plain_split(&theirs, &random))
        }
    }
}

fn plain_split(initiators: &[u8; 32], responders: &[u8; 32]) -> Split {
    let key = Salt::new(HKDF_SHA256, b"leon 1 none").extract(&[*initiators, *responders].concat());
    (expand_prk(&key, "i2r"), expand_prk(&key, "r2i"))
}

fn builder<'a>(secret: &'a [u8; 32], network: &'a [u8; 32], ephemeral: [u8; 32]) -> Builder<'a> {
    let protocol = "Noise_IKpsk0_25519_ChaChaPoly_BLAKE2s".parse().unwrap();
    let builder = Builder::with_resolver(protocol, Box::new(Resolver(ephemeral)));
    let builder = builder.local_private_key(secret).unwrap().psk(0, network).unwrap();
    builder.prologue(b"leon 1").unwrap()
}

fn write(noise: &mut HandshakeState, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0; payload.len() + 96];
    let len = noise.write_message(payload, &mut message).unwrap();
    message.truncate(len);
    message
}

fn read(noise: &mut HandshakeState, message: &[u8]) -> Option<Vec<u8>> {
    let mut payload = vec![0; message.len()];
    let len = noise.read_message(message, &mut payload).ok()?;
    payload.truncate(len);
    Some(payload)
}

/// snow's primitives with a given ephemeral key.
struct Resolver([u8; 32]);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Given(self.0)))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct Given([u8; 32]);

impl Random for Given {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        dest.copy_from_slice(&self.0);
        Ok(())
    }
}

/// What a node says of itself in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    pub(crate) incarnation: u64,
    pub(crate) sequence: u64,
    pub(crate) epoch: u8,
    pub(crate) cipher: u8,
    pub(crate) locator: SocketAddr,
}

pub(crate) const AES: u8 = 1;
pub(crate) const CHACHA: u8 = 2;

impl Introduction {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let numbers = [self.incarnation.to_be_bytes(), self.sequence.to_be_bytes()].concat();
        [&numbers[..], &[self.epoch, self.cipher], &locator_bytes(self.locator)].concat()
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let introduction = Introduction {
            incarnation: reader.u64()?,
            sequence: reader.u64()?,
            epoch: reader.u8()?,
            cipher: reader.u8()?,
            locator: reader.locator()?,
        };
        (reader.is_empty() && [AES, CHACHA].contains(&introduction.cipher)).then_some(introduction)
    }
}
