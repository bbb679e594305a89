//! The outer seal of handshakes: only holders of the network key can make or read one.
//!
//! ```text
//! header | nonce 96 | message, encrypted | tag 128
//! ```
//!
//! A datagram of a stranger fails here, in the thread that received it, before anything is looked up, locked
//! or answered. What the messages are is unknown here.

use core::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::config::Security;
use crate::key::{self, NetworkKey};
use crate::wire::header;

/// The key of the outer seal. Any number of threads may seal and open.
pub(crate) struct OuterKey(LessSafeKey);

impl OuterKey {
    /// The key of a node's handshakes.
    pub(crate) fn of(security: &Security) -> Self {
        match security {
            Security::Sealed(keys) => OuterKey::new(keys.network()),
            Security::None { .. } => OuterKey::unsealed(),
        }
    }

    /// The key of nodes with security none, which everybody knows: noise does not open under it.
    pub(crate) fn unsealed() -> Self {
        OuterKey::new(&NetworkKey::from_bytes([0; 32]))
    }

    /// The key that follows from the network's.
    fn new(network: &NetworkKey) -> Self {
        let key = key::expand::<32>(&key::derivable(network.as_bytes()), &[b"leon 1 handshake"]);
        OuterKey(LessSafeKey::new(
            UnboundKey::new(&CHACHA20_POLY1305, &*key).expect("its keys have 32 bytes"),
        ))
    }

    /// Appends to `out` what follows `header` in the datagram that carries `message`. The nonce must be
    /// random.
    pub(crate) fn seal(&self, nonce: [u8; NONCE_LEN], header: &[u8], message: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&nonce);
        let message_at = out.len();
        out.extend_from_slice(message);
        let aad = Aad::from(header::handshake_identity(header));
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, aad, &mut out[message_at..]);
        out.extend_from_slice(
            tag.expect("a handshake is shorter than the 256 GiB that an AEAD takes").as_ref(),
        );
    }

    /// Decrypts `body`, which follows a well-formed header in a datagram, in place; gives the message, or
    /// `None` if none of the network's nodes has sealed it.
    pub(crate) fn open<'a>(&self, header: &[u8], body: &'a mut [u8]) -> Option<&'a [u8]> {
        let (nonce, sealed) = body.split_first_chunk_mut()?;
        let aad = Aad::from(header::handshake_identity(header));
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.0.open_in_place(nonce, aad, sealed).ok().map(|message| &*message)
    }
}

impl fmt::Debug for OuterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OuterKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Keys;
    use crate::key::SecretKey;
    use crate::node::NodeId;
    use crate::node::NodePrefix;
    use crate::wire::TYPE_TRANSPORT;
    use crate::wire::header::{Fields, HeaderBytes};

    const FIELDS: Fields = Fields {
        kind: TYPE_TRANSPORT,
        is_unsealed: false,
        source: NodePrefix(0x1122_3344_5566_7788),
        epoch: 0xab,
    };

    const NONCE: [u8; NONCE_LEN] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

    fn key() -> OuterKey {
        OuterKey::new(&NetworkKey::from_bytes([5; 32]))
    }

    /// The header of a hello that goes straight to its destination.
    fn hello() -> HeaderBytes {
        let path = [([192, 0, 2, 1], 4789).into()];
        let mut header = header::build(FIELDS, &path);
        header[0] = 0x12;
        header
    }

    fn sealed() -> Vec<u8> {
        let mut body = Vec::new();
        key().seal(NONCE, &hello(), b"hello", &mut body);
        body
    }

    #[test]
    fn a_message_is_opened_as_it_was_sealed() {
        assert_eq!(key().open(&hello(), &mut sealed()), Some(&b"hello"[..]));
    }

    #[test]
    fn the_body_is_appended_to_what_is_there() {
        let mut datagram = hello().to_vec();
        key().seal(NONCE, &hello(), b"hello", &mut datagram);
        assert_eq!(datagram, [&hello()[..], &sealed()].concat());
    }

    #[test]
    fn any_flipped_bit_or_missing_byte_is_refused() {
        for bit in 0..8 * sealed().len() {
            let mut flipped = sealed();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key().open(&hello(), &mut flipped), None);
        }
        for len in 0..sealed().len() {
            assert_eq!(key().open(&hello(), &mut sealed()[..len]), None);
        }
    }

    #[test]
    fn the_seal_holds_for_one_type_one_source_and_one_kind_of_security() {
        for at in [0, 4, 11] {
            let mut header = hello();
            header[at] ^= 1;
            assert_eq!(key().open(&header, &mut sealed()), None);
        }
        let mut unsealed = hello();
        unsealed[2] |= 0x80;
        assert_eq!(key().open(&unsealed, &mut sealed()), None);
    }

    #[test]
    fn the_seal_holds_whatever_relays_do_to_the_header_and_whatever_the_path() {
        let mut header = hello();
        header::set_counter(&mut header, 7);
        header::set_hop_tag(&mut header, 0, 9);
        header[1] = 0x21;
        header[3] ^= 1;
        assert!(key().open(&header, &mut sealed()).is_some());
    }

    #[test]
    fn another_network_s_nodes_are_strangers() {
        let other = OuterKey::new(&NetworkKey::from_bytes([6; 32]));
        assert_eq!(other.open(&hello(), &mut sealed()), None);
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let hex: String = sealed().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "000102030405060708090a0b45883faea9ac75a1e9c02d3ae0e962c189bf321324");
    }

    #[test]
    fn the_key_is_never_shown() {
        assert_eq!(format!("{:?}", key()), "OuterKey(..)");
    }

    #[test]
    fn nodes_with_and_without_security_do_not_understand_each_other() {
        let keys = Keys::new(SecretKey::from_bytes([1; 32]), NetworkKey::from_bytes([9; 32]));
        let sealed = OuterKey::of(&Security::Sealed(keys));
        let unsealed = OuterKey::of(&Security::None { id: NodeId([1; 32]) });
        let mut body = Vec::new();
        unsealed.seal(NONCE, &hello(), b"hello", &mut body);
        assert!(sealed.open(&hello(), &mut body.clone()).is_none());
        assert_eq!(OuterKey::unsealed().open(&hello(), &mut body), Some(&b"hello"[..]));
    }
}
