//! The ways to protect a datagram between two nodes, and the keys they take.
//!
//! The AEAD covers the header as the source wrote it, the prefix and the content. The mask of the prefix
//! follows from a sample of the 16 bytes behind it, as in QUIC (RFC 9001 §5.4), so that an onlooker does not
//! learn what is sent. Which counters are used is unknown here.

use ring::aead::quic::{self, HeaderProtectionKey};
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::config::Cipher;
use crate::key;
use crate::session::hop::HopKey;
use crate::stats::Counter;
use crate::wire::{SEALED_PREFIX_LEN, TAG_LEN, header};

/// Length of what the mask follows from. Those bytes are known before the tag is, so that the mask does not
/// wait for it.
pub(super) const SAMPLE_LEN: usize = 16;

/// How a pair of nodes protects its datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// AES-256-GCM, and AES-256 for the mask.
    Aes256Gcm,
    /// ChaCha20-Poly1305, and ChaCha20 for the mask.
    ChaCha20Poly1305,
    /// Nothing is encrypted; a token that only the pair knows ends each datagram, so that those of former
    /// lives and of strangers who guess are told from true ones.
    None,
}

impl Suite {
    /// The suite of a pair of which one prefers `one` and the other `other`.
    pub(crate) fn of_pair(one: Cipher, other: Cipher) -> Self {
        match (one, other) {
            (Cipher::Aes256Gcm, Cipher::Aes256Gcm) => Suite::Aes256Gcm,
            _ => Suite::ChaCha20Poly1305,
        }
    }
}

/// The keys of one direction, without that of its hop tags.
#[expect(clippy::large_enum_variant, reason = "nearly all keys are of the large variant")]
pub(super) enum Protection {
    Aead { aead: LessSafeKey, mask: HeaderProtectionKey },
    Token(Zeroizing<[u8; TAG_LEN]>),
}

impl Protection {
    /// Encrypts `content` and gives the tag. The counter in the header at the front of `head` must be one
    /// that was not used with these keys.
    pub(super) fn seal(&self, head: &[u8], content: &mut [u8]) -> [u8; TAG_LEN] {
        let aead = match self {
            Protection::Aead { aead, .. } => aead,
            Protection::Token(token) => return **token,
        };
        let tag = aead.seal_in_place_separate_tag(nonce(head), Aad::from(head), content);
        let tag = tag.expect("a datagram is shorter than the 64 GiB that an AEAD takes");
        tag.as_ref().try_into().expect("a tag has 16 bytes")
    }

    /// Masks the prefix at the end of `head`, or takes the mask off, given the 16 bytes that follow it.
    pub(super) fn toggle_mask(&self, head: &mut [u8], sample: &[u8; SAMPLE_LEN]) {
        if let Protection::Aead { mask, .. } = self
            && let Some(prefix) = head.last_chunk_mut::<SEALED_PREFIX_LEN>()
        {
            let [m0, m1, m2, m3, _] = mask.new_mask(sample).expect("a sample has 16 bytes");
            *prefix = (u32::from_ne_bytes(*prefix) ^ u32::from_ne_bytes([m0, m1, m2, m3])).to_ne_bytes();
        }
    }

    /// Decrypts `content` in place if `tag` is right for it and for `head`, whose prefix is unmasked.
    pub(super) fn open(&self, head: &[u8], content: &mut [u8], tag: &[u8; TAG_LEN]) -> Result<(), Counter> {
        match self {
            Protection::Aead { aead, .. } => aead
                .open_in_place_separate_tag(nonce(head), Aad::from(head), aead::Tag::from(*tag), content, 0..)
                .map(drop)
                .map_err(|_| Counter::Tag),
            // As numbers, so that the time it takes does not tell how much of the token is right.
            Protection::Token(token) if u128::from_ne_bytes(**token) == u128::from_ne_bytes(*tag) => Ok(()),
            Protection::Token(_) => Err(Counter::Tag),
        }
    }
}

/// The keys that follow from the key which a handshake gave for a direction.
pub(super) fn derive(split: &[u8; 32], suite: Suite) -> (Protection, HopKey) {
    let split = key::derivable(split);
    let aead = |algorithm, mask_algorithm| {
        let data = key::expand::<32>(&split, &[b"leon 1 data"]);
        let mask = key::expand::<32>(&split, &[b"leon 1 mask"]);
        let aead = LessSafeKey::new(UnboundKey::new(algorithm, &*data).expect("its keys have 32 bytes"));
        let mask = HeaderProtectionKey::new(mask_algorithm, &*mask).expect("its keys have 32 bytes");
        Protection::Aead { aead, mask }
    };
    let protection = match suite {
        Suite::Aes256Gcm => aead(&aead::AES_256_GCM, &quic::AES_256),
        Suite::ChaCha20Poly1305 => aead(&aead::CHACHA20_POLY1305, &quic::CHACHA20),
        Suite::None => Protection::Token(key::expand(&split, &[b"leon 1 token"])),
    };
    (protection, HopKey::new(&key::expand(&split, &[b"leon 1 hop"])))
}

/// The nonce of the datagram that begins with a header: no two under one key have the same counter.
fn nonce(header: &[u8]) -> Nonce {
    let mut nonce = [0; aead::NONCE_LEN];
    nonce[4..].copy_from_slice(&header::counter(header).to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// The first 16 bytes behind a prefix that encrypted `content` and its tag follow.
pub(super) fn sample(content: &[u8], tag: &[u8; TAG_LEN]) -> [u8; SAMPLE_LEN] {
    if let Some(sample) = content.first_chunk() {
        return *sample;
    }
    let mut sample = [0; SAMPLE_LEN];
    let (front, back) = sample.split_at_mut(content.len());
    front.copy_from_slice(content);
    back.copy_from_slice(&tag[..back.len()]);
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_uses_aes_only_if_both_prefer_it() {
        use Cipher::{Aes256Gcm, ChaCha20Poly1305};
        assert_eq!(Suite::of_pair(Aes256Gcm, Aes256Gcm), Suite::Aes256Gcm);
        for (one, other) in [
            (Aes256Gcm, ChaCha20Poly1305),
            (ChaCha20Poly1305, Aes256Gcm),
            (ChaCha20Poly1305, ChaCha20Poly1305),
        ] {
            assert_eq!(Suite::of_pair(one, other), Suite::ChaCha20Poly1305);
        }
    }
}
