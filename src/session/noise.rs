//! The key exchange: two messages after which two nodes share a key for each direction, and know each other.
//!
//! With keys it is the Noise protocol (revision 34) IK with the network key as pre-shared key, so that only
//! holders of both a node's secret and the network key can take part. Without, identities are taken on trust,
//! and keys follow from two nonces in the clear:
//!
//! ```text
//! message 1   initiator's id 256 | responder's id 256 | nonce 256 | payload
//! message 2   initiator's nonce 256 | responder's nonce 256 | payload
//! ```
//!
//! What payloads say, how messages travel, and who may be a member is unknown here. ring and snow do not wipe
//! what they hold of keys when a handshake ends; all that is held here is wiped.

use core::fmt;

use ring::hkdf::{HKDF_SHA256, Salt};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use zeroize::{Zeroize, Zeroizing};

use crate::config::Security;
use crate::key::{self, NetworkKey, SecretKey};
use crate::node::NodeId;
use crate::rng::Rng;
use crate::wire::codec::Reader;

const PROTOCOL: &str = "Noise_IKpsk0_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"leon 1";
/// Length by which a Noise message is longer than its payload: at most an ephemeral key, an encrypted static
/// key and a tag.
const NOISE_OVERHEAD: usize = 32 + 48 + 16;
const NONCE_LEN: usize = 32;

/// What a node is in key exchanges.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    Sealed { secret: SecretKey, network: NetworkKey },
    Unsealed { id: NodeId },
}

/// The keys of a session, before what is used is derived from them.
pub(crate) struct SplitKeys {
    /// For datagrams from the initiator to the responder.
    pub(crate) to_responder: Zeroizing<[u8; 32]>,
    /// For datagrams from the responder to the initiator.
    pub(crate) to_initiator: Zeroizing<[u8; 32]>,
}

/// An exchange this node has begun.
pub(crate) struct Initiator(Initiating);

enum Initiating {
    Noise(Box<HandshakeState>),
    Plain { nonce: [u8; NONCE_LEN] },
}

/// Message 1 of another node, which it has proved to be from itself, and which may be answered.
pub(crate) struct Answerable {
    /// Who began the exchange.
    pub(crate) initiator: NodeId,
    /// What message 1 carried.
    pub(crate) payload: Vec<u8>,
    responding: Responding,
}

enum Responding {
    Noise(Box<HandshakeState>),
    Plain { initiator_nonce: [u8; NONCE_LEN], nonce: [u8; NONCE_LEN] },
}

impl Identity {
    pub(crate) fn new(security: &Security) -> Self {
        match security {
            Security::Sealed(keys) => {
                Identity::Sealed { secret: keys.secret().clone(), network: keys.network().clone() }
            }
            Security::None { id } => Identity::Unsealed { id: *id },
        }
    }
}

impl Initiator {
    /// Begins an exchange with `responder`; gives message 1, too.
    pub(crate) fn start(
        identity: &Identity,
        responder: NodeId,
        payload: &[u8],
        rng: &mut Rng,
    ) -> (Initiator, Vec<u8>) {
        match identity {
            Identity::Sealed { secret, network } => {
                let mut noise = noise(secret, network, Some(responder), rng);
                let message = write(&mut noise, payload);
                (Initiator(Initiating::Noise(noise)), message)
            }
            Identity::Unsealed { id } => {
                let nonce = *rng.secret();
                let message = [&id.0, &responder.0, &nonce, payload].concat();
                (Initiator(Initiating::Plain { nonce }), message)
            }
        }
    }

    /// Ends the exchange: gives the payload of message 2 and the keys. `None` if `message` is not the
    /// responder's answer to this exchange's message 1; the true one may still come.
    pub(crate) fn finish(&mut self, message: &[u8]) -> Option<(Vec<u8>, SplitKeys)> {
        match &mut self.0 {
            Initiating::Noise(noise) => Some((read(noise, message)?, split(noise))),
            Initiating::Plain { nonce } => {
                let mut reader = Reader::new(message);
                let is_ours = reader.array().ok()? == *nonce;
                let keys = plain_split(nonce, &reader.array().ok()?);
                is_ours.then(|| (reader.rest().to_vec(), keys))
            }
        }
    }
}

/// Reads a message 1 for this node. `None` if it is malformed, for another node, or not from who it says.
pub(crate) fn respond(identity: &Identity, message: &[u8], rng: &mut Rng) -> Option<Answerable> {
    match identity {
        Identity::Sealed { secret, network } => {
            let mut noise = noise(secret, network, None, rng);
            let payload = read(&mut noise, message)?;
            let initiator = NodeId(noise.get_remote_static()?.try_into().ok()?);
            Some(Answerable { initiator, payload, responding: Responding::Noise(noise) })
        }
        Identity::Unsealed { id } => {
            let mut reader = Reader::new(message);
            let initiator = NodeId(reader.array().ok()?);
            let is_ours = reader.array().ok()? == id.0;
            let initiator_nonce = reader.array().ok()?;
            let responding = Responding::Plain { initiator_nonce, nonce: *rng.secret() };
            is_ours.then(|| Answerable { initiator, payload: reader.rest().to_vec(), responding })
        }
    }
}

impl Answerable {
    /// Gives message 2 and the keys.
    pub(crate) fn answer(self, payload: &[u8]) -> (Vec<u8>, SplitKeys) {
        match self.responding {
            Responding::Noise(mut noise) => (write(&mut noise, payload), split(&mut noise)),
            Responding::Plain { initiator_nonce, nonce } => {
                let message = [&initiator_nonce, &nonce, payload].concat();
                (message, plain_split(&initiator_nonce, &nonce))
            }
        }
    }
}

/// The state of one exchange; the initiator knows the responder's key from the start.
fn noise(
    secret: &SecretKey,
    network: &NetworkKey,
    responder: Option<NodeId>,
    rng: &mut Rng,
) -> Box<HandshakeState> {
    let resolver = Box::new(Resolver { ephemeral: rng.secret() });
    let protocol = PROTOCOL.parse().expect("snow knows the protocol");
    let builder = Builder::with_resolver(protocol, resolver)
        .local_private_key(secret.as_bytes())
        .and_then(|builder| builder.psk(0, network.as_bytes()))
        .and_then(|builder| builder.prologue(PROLOGUE));
    let state = match responder {
        Some(NodeId(id)) => builder.and_then(|builder| builder.remote_public_key(&id)?.build_initiator()),
        None => builder.and_then(Builder::build_responder),
    };
    Box::new(state.expect("each key is set once and has the right length"))
}

fn write(noise: &mut HandshakeState, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0; payload.len() + NOISE_OVERHEAD];
    let len = noise.write_message(payload, &mut message).expect("the state is new and the payload short");
    message.truncate(len);
    message
}

/// The payload of a message; if there is none, the state is as it was before.
fn read(noise: &mut HandshakeState, message: &[u8]) -> Option<Vec<u8>> {
    let mut payload = vec![0; message.len()];
    let len = noise.read_message(message, &mut payload).ok()?;
    payload.truncate(len);
    Some(payload)
}

fn split(noise: &mut HandshakeState) -> SplitKeys {
    let (mut to_responder, mut to_initiator) = noise.dangerously_get_raw_split();
    let keys =
        SplitKeys { to_responder: Zeroizing::new(to_responder), to_initiator: Zeroizing::new(to_initiator) };
    to_responder.zeroize();
    to_initiator.zeroize();
    keys
}

fn plain_split(initiator_nonce: &[u8; NONCE_LEN], responder_nonce: &[u8; NONCE_LEN]) -> SplitKeys {
    let nonces = [*initiator_nonce, *responder_nonce].concat();
    let keys = Salt::new(HKDF_SHA256, b"leon 1 none").extract(&nonces);
    SplitKeys { to_responder: key::expand(&keys, &[b"i2r"]), to_initiator: key::expand(&keys, &[b"r2i"]) }
}

/// Gives snow its primitives, and the one thing it draws at random.
struct Resolver {
    ephemeral: Zeroizing<[u8; 32]>,
}

/// The bytes of an ephemeral key; they are given once.
struct Ephemeral(Option<Zeroizing<[u8; 32]>>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Ephemeral(Some(self.ephemeral.clone()))))
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

impl Random for Ephemeral {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        let bytes = self.0.take().ok_or(snow::Error::Rng)?;
        if dest.len() != bytes.len() {
            return Err(snow::Error::Rng);
        }
        dest.copy_from_slice(&*bytes);
        Ok(())
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initiator(..)")
    }
}

impl fmt::Debug for SplitKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SplitKeys(..)")
    }
}

impl fmt::Debug for Answerable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answerable").field("initiator", &self.initiator).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(secret: u8, network: u8) -> Identity {
        Identity::Sealed {
            secret: SecretKey::from_bytes([secret; 32]),
            network: NetworkKey::from_bytes([network; 32]),
        }
    }

    fn unsealed(id: u8) -> Identity {
        Identity::Unsealed { id: NodeId([id; 32]) }
    }

    fn id(identity: &Identity) -> NodeId {
        match identity {
            Identity::Sealed { secret, .. } => secret.node_id(),
            Identity::Unsealed { id } => *id,
        }
    }

    /// An initiator and a responder of one network, with and without keys.
    fn pairs() -> [[Identity; 2]; 2] {
        [[sealed(1, 9), sealed(2, 9)], [unsealed(1), unsealed(2)]]
    }

    fn start([initiator, responder]: &[Identity; 2]) -> (Initiator, Vec<u8>) {
        Initiator::start(initiator, id(responder), b"payload 1", &mut Rng::new([3; 32]))
    }

    fn receive(responder: &Identity, message: &[u8]) -> Option<Answerable> {
        respond(responder, message, &mut Rng::new([4; 32]))
    }

    fn is_same(one: &SplitKeys, other: &SplitKeys) -> bool {
        one.to_responder == other.to_responder && one.to_initiator == other.to_initiator
    }

    #[test]
    fn two_nodes_get_the_same_keys_each_other_s_payload_and_the_initiator_s_identity() {
        for pair in pairs() {
            let (mut initiator, message_1) = start(&pair);
            let answerable = receive(&pair[1], &message_1).unwrap();
            assert_eq!(
                (answerable.initiator, answerable.payload.as_slice()),
                (id(&pair[0]), &b"payload 1"[..])
            );
            let (message_2, responders) = answerable.answer(b"payload 2");
            let (payload_2, initiators) = initiator.finish(&message_2).unwrap();
            assert_eq!(payload_2, b"payload 2");
            assert!(is_same(&initiators, &responders));
            assert_ne!(initiators.to_responder, initiators.to_initiator);
        }
    }

    #[test]
    fn a_forged_answer_does_not_keep_the_true_one_from_ending_the_exchange() {
        for pair in pairs() {
            let (mut initiator, message_1) = start(&pair);
            let answerable = receive(&pair[1], &message_1).unwrap();
            let (message_2, responders) = answerable.answer(b"payload 2");
            // Without keys only the nonce of message 1 tells the answer from others.
            let is_sealed = matches!(pair[1], Identity::Sealed { .. });
            let (checked, needed) = if is_sealed { (message_2.len(), message_2.len()) } else { (32, 64) };
            for at in 0..checked {
                let mut forged = message_2.clone();
                forged[at] ^= 1 << (at % 8);
                assert!(initiator.finish(&forged).is_none(), "byte {at}");
            }
            assert!((0..needed).all(|len| initiator.finish(&message_2[..len]).is_none()));
            assert!(initiator.finish(&[7; 200]).is_none());
            let other = Initiator::start(&pair[0], id(&pair[1]), b"payload 1", &mut Rng::new([5; 32])).1;
            let (answer_to_other, _) = receive(&pair[1], &other).unwrap().answer(b"payload 2");
            assert!(initiator.finish(&answer_to_other).is_none(), "the answer to another exchange");
            let (payload_2, initiators) = initiator.finish(&message_2).unwrap();
            assert!(payload_2 == b"payload 2" && is_same(&initiators, &responders));
        }
    }

    #[test]
    fn any_changed_byte_of_message_1_is_refused_under_keys() {
        let pair = &pairs()[0];
        let message_1 = start(pair).1;
        for at in 0..message_1.len() {
            let mut changed = message_1.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(receive(&pair[1], &changed).is_none(), "byte {at}");
        }
        assert!((0..message_1.len()).all(|len| receive(&pair[1], &message_1[..len]).is_none()));
    }

    #[test]
    fn a_plain_message_1_cut_within_its_nonce_is_refused() {
        let pair = &pairs()[1];
        let message_1 = start(pair).1;
        assert!((0..96).all(|len| receive(&pair[1], &message_1[..len]).is_none()));
    }

    #[test]
    fn a_node_of_another_network_gets_no_answer() {
        let message_1 = start(&[sealed(1, 8), sealed(2, 9)]).1;
        assert!(receive(&sealed(2, 9), &message_1).is_none());
    }

    #[test]
    fn a_message_for_another_node_gets_no_answer() {
        for pair in pairs() {
            let message_1 = start(&pair).1;
            assert!(receive(&pair[0], &message_1).is_none());
        }
        let message_1 = start(&pairs()[0]).1;
        assert!(receive(&sealed(3, 9), &message_1).is_none());
    }

    #[test]
    fn no_other_member_can_answer_for_the_responder() {
        let pair = &pairs()[0];
        let (mut initiator, _) = start(pair);
        // A member that holds the network key began an exchange of its own with the same randomness.
        let theirs = start(&[pair[0].clone(), sealed(3, 9)]).1;
        let (answer, _) = receive(&sealed(3, 9), &theirs).unwrap().answer(b"payload 2");
        assert!(initiator.finish(&answer).is_none());
    }

    #[test]
    fn every_exchange_has_keys_of_its_own() {
        for pair in pairs() {
            let mut rng = Rng::new([3; 32]);
            let keys: Vec<SplitKeys> = (0..2)
                .map(|_| {
                    let message_1 = Initiator::start(&pair[0], id(&pair[1]), b"", &mut rng).1;
                    receive(&pair[1], &message_1).unwrap().answer(b"").1
                })
                .collect();
            assert_ne!(keys[0].to_responder, keys[1].to_responder);
            assert_ne!(keys[0].to_initiator, keys[1].to_initiator);
        }
    }
    #[test]
    fn the_bytes_of_messages_and_keys_are_those_of_the_format() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        const NOISE: [&str; 4] = [
            "403e5376b7e466f103572da5ac47cab01c7226109925ffb2b20e12c3f3476a5610c6a820a4d7ba6e3557c7a3\
             ca672dc6f20877d7ea0b9e23b58de531aad8cdd7494652b1930aa5873b23267ea3da4188b5983496391a55e4\
             199696558d4a6318399dd652933e095328",
            "325420fcc13cc3a0f84d673c85f59c6c2764afa49e256068c04025fb1855ef176c9c8d94d7f6e322a3206eb4\
             dcd62e65c6d6d0bdf9a3a21a9e",
            "7683a01ca619de5ca708c5577e083d93a3573db47ed7f88b9c2012baf6f1747c",
            "8f6d344cf1000b5dfd7141ece78525e99b192fab3d13d1bd40d9da8bc7ebe3ad",
        ];
        const PLAIN: [&str; 4] = [
            "0101010101010101010101010101010101010101010101010101010101010101020202020202020202020202\
             0202020202020202020202020202020202020202385553aa23a24b14d8bbc2dff606277f444e049797ae7e04\
             04e3a9ba0ecef2fb7061796c6f61642031",
            "385553aa23a24b14d8bbc2dff606277f444e049797ae7e0404e3a9ba0ecef2fb78774a186003cdaf73dfefce\
             516edeaccb6e387de1e6234aa45f4df00a8b62ad7061796c6f61642032",
            "4d0e0728f1496d67840550534571834280feea50edbf1c3985bc90e7b044556c",
            "e1f03a8db72e1cfc88a5ad377ff5c92b7bcfaf90beaa1a55585f65db0445ee7a",
        ];
        for (pair, expected) in pairs().into_iter().zip([NOISE, PLAIN]) {
            let message_1 = start(&pair).1;
            let (message_2, keys) = receive(&pair[1], &message_1).unwrap().answer(b"payload 2");
            let made = [&message_1[..], &message_2, &*keys.to_responder, &*keys.to_initiator].map(hex);
            assert_eq!(made, expected);
        }
    }

    #[test]
    fn nothing_of_an_exchange_is_shown() {
        let pair = &pairs()[0];
        let (initiator, message_1) = start(pair);
        let answerable = receive(&pair[1], &message_1).unwrap();
        assert_eq!(
            format!("{initiator:?} {answerable:?} {:?}", pair[0]),
            format!(
                "Initiator(..) Answerable {{ initiator: {}, .. }} Sealed {{ secret: SecretKey(..), network: \
             NetworkKey(..) }}",
                id(&pair[0])
            )
        );
        assert_eq!(format!("{:?}", answerable.answer(b"").1), "SplitKeys(..)");
    }
}
