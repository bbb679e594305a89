//! Keys: a node's secret, the network's key, and how other keys are derived from keys.
//!
//! What is secret is wiped from memory when dropped and never shown. What keys are used for is known
//! elsewhere.

use core::fmt;

use ring::hkdf::{HKDF_SHA256, KeyType, Prk};
use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use zeroize::Zeroizing;

use crate::base64::{KeyError, decode, encode};
use crate::node::NodeId;

/// The secret that makes a node the owner of its [`NodeId`]; it never leaves the node.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

/// The key that all members of a mesh share: who does not hold it gets no answer from any of them.
#[derive(Clone)]
pub struct NetworkKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// The key made of these bytes, which must come from a random source. Any 32 bytes are a key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        SecretKey(Zeroizing::new(bytes))
    }

    /// Reads 44 characters of base64.
    ///
    /// # Errors
    ///
    /// If `text` has another length or other characters.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        decode(text).map(SecretKey)
    }

    /// The key in 44 characters of base64.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(encode(&self.0))
    }

    /// The identity that belongs to this key: its public key. Costs a multiplication on the curve, some tens
    /// of microseconds.
    pub fn node_id(&self) -> NodeId {
        let mut curve = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("X25519 is compiled in");
        curve.set(self.as_bytes());
        let mut id = [0; 32];
        id.copy_from_slice(curve.pubkey());
        NodeId(id)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl NetworkKey {
    /// The key made of these bytes, which must come from a random source.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        NetworkKey(Zeroizing::new(bytes))
    }

    /// Reads 44 characters of base64.
    ///
    /// # Errors
    ///
    /// If `text` has another length or other characters.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        decode(text).map(NetworkKey)
    }

    /// The key in 44 characters of base64.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(encode(&self.0))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NetworkKey(..)")
    }
}

/// Derives `N` bytes for the purpose that `info` names, its parts one after the other (HKDF-Expand of
/// RFC 5869 with SHA-256).
pub(crate) fn expand<const N: usize>(secret: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    struct Len<const N: usize>;
    impl<const N: usize> KeyType for Len<N> {
        fn len(&self) -> usize {
            N
        }
    }
    let mut derived = Zeroizing::new([0; N]);
    let filled = secret.expand(info, Len::<N>).and_then(|output| output.fill(&mut *derived));
    filled.expect("a key is shorter than the 8160 bytes that can be derived");
    derived
}

/// Takes a uniformly random key as what [`expand`] derives from.
pub(crate) fn derivable(key: &[u8; 32]) -> Prk {
    Prk::new_less_safe(HKDF_SHA256, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7748 §6.1: Alice's key pair.
    const SECRET: [u8; 32] = [
        0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf,
        0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
    ];
    const PUBLIC: [u8; 32] = [
        0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a, 0x0d,
        0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a,
    ];

    #[test]
    fn the_identity_of_a_secret_key_is_its_public_key() {
        assert_eq!(SecretKey::from_bytes(SECRET).node_id().0, PUBLIC);
    }

    #[test]
    fn keys_and_identities_are_read_back_from_their_base64() {
        let secret = SecretKey::from_bytes(SECRET);
        assert_eq!(*secret.to_base64(), "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=");
        assert_eq!(SecretKey::from_base64(&secret.to_base64()).unwrap().as_bytes(), &SECRET);
        let network = NetworkKey::from_bytes([0xff; 32]);
        assert_eq!(NetworkKey::from_base64(&network.to_base64()).unwrap().as_bytes(), &[0xff; 32]);
        let id = NodeId(PUBLIC);
        assert_eq!(id.to_base64(), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
        assert_eq!(NodeId::from_base64(&id.to_base64()), Ok(id));
    }

    #[test]
    fn keys_are_never_shown() {
        assert_eq!(format!("{:?}", SecretKey::from_bytes(SECRET)), "SecretKey(..)");
        assert_eq!(format!("{:?}", NetworkKey::from_bytes(SECRET)), "NetworkKey(..)");
    }

    #[test]
    fn derived_keys_are_those_of_rfc_5869() {
        // Test case 1 of appendix A: the pseudorandom key and the first 32 bytes of the output.
        let key = [
            0x07, 0x77, 0x09, 0x36, 0x2c, 0x2e, 0x32, 0xdf, 0x0d, 0xdc, 0x3f, 0x0d, 0xc4, 0x7b, 0xba, 0x63,
            0x90, 0xb6, 0xc7, 0x3b, 0xb5, 0x0f, 0x9c, 0x31, 0x22, 0xec, 0x84, 0x4a, 0xd7, 0xc2, 0xb3, 0xe5,
        ];
        let info = [0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9];
        let derived = expand::<32>(&derivable(&key), &[&info[..3], &info[3..]]);
        assert_eq!(derived[..8], [0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a]);
        assert_eq!(derived[24..], [0x5d, 0xb0, 0x2d, 0x56, 0xec, 0xc4, 0xc5, 0xbf]);
    }
}
