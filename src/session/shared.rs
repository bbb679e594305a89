//! Shared frames: a frame that goes to many members is encrypted once, under a key of its own.
//!
//! ```text
//! header | prefix | frame, encrypted | its tag 128 | key 256 and digest 128, sealed for the pair | tag 128
//! ```
//!
//! The digest, the first half of SHA-256 over the encrypted frame and its tag, ties the frame to its sender:
//! though every receiver learns the key, none can make another frame of it for another. Who the receivers
//! are, and how key and digest are sealed for them, is unknown here.

use core::fmt;

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest;
use zeroize::Zeroizing;

use crate::config::Cipher;
use crate::session::suite::{self, SAMPLE_LEN};
use crate::stats::Counter;
use crate::wire::{KIND_SHARED_AES_256_GCM, KIND_SHARED_CHACHA20_POLY1305, TAG_LEN};

const KEY_LEN: usize = 32;
const DIGEST_LEN: usize = 16;
/// Length of the key and the digest, which each receiver gets sealed.
pub(crate) const WRAPPED_LEN: usize = KEY_LEN + DIGEST_LEN;

/// What it takes to open a frame that was sealed for many.
pub(crate) struct SharedSeal {
    kind: u8,
    frame_tag: [u8; TAG_LEN],
    sample: [u8; SAMPLE_LEN],
    wrapped: Zeroizing<[u8; WRAPPED_LEN]>,
}

impl SharedSeal {
    /// Encrypts `frame` in place, under a random key that was and will be used for nothing else.
    pub(crate) fn new(cipher: Cipher, key: &[u8; KEY_LEN], frame: &mut [u8]) -> Self {
        let kind = match cipher {
            Cipher::Aes256Gcm => KIND_SHARED_AES_256_GCM,
            Cipher::ChaCha20Poly1305 => KIND_SHARED_CHACHA20_POLY1305,
        };
        let tag = aead(kind, key).seal_in_place_separate_tag(nonce(), Aad::empty(), frame);
        let tag = tag.expect("a frame is shorter than the 64 GiB that an AEAD takes");
        let frame_tag: [u8; TAG_LEN] = tag.as_ref().try_into().expect("a tag has 16 bytes");
        let mut wrapped = Zeroizing::new([0; WRAPPED_LEN]);
        wrapped[..KEY_LEN].copy_from_slice(key);
        wrapped[KEY_LEN..].copy_from_slice(&digest_of(&[frame, &frame_tag]));
        SharedSeal { kind, sample: suite::sample(frame, &frame_tag), frame_tag, wrapped }
    }

    /// The kind that belongs into the prefix.
    pub(crate) fn kind(&self) -> u8 {
        self.kind
    }

    /// The tag that follows the encrypted frame.
    pub(crate) fn frame_tag(&self) -> &[u8; TAG_LEN] {
        &self.frame_tag
    }

    /// What the mask of the prefix in front of the frame follows from.
    pub(super) fn sample(&self) -> &[u8; SAMPLE_LEN] {
        &self.sample
    }

    /// What each receiver needs to know; to be sealed for it.
    pub(crate) fn wrapped(&self) -> &[u8; WRAPPED_LEN] {
        &self.wrapped
    }
}

/// Decrypts `body`, the frame and its tag, with what its sender has wrapped for this node; gives the frame.
/// `kind` is one of the two of shared frames.
pub(crate) fn open<'a>(
    kind: u8,
    wrapped: &[u8; WRAPPED_LEN],
    body: &'a mut [u8],
) -> Result<&'a mut [u8], Counter> {
    let (key, digest) = wrapped.split_first_chunk::<KEY_LEN>().ok_or(Counter::DatagramTruncated)?;
    // Both are known to every receiver: how long the comparison takes tells nobody anything.
    if digest_of(&[body]) != digest {
        return Err(Counter::Tag);
    }
    aead(kind, key).open_in_place(nonce(), Aad::empty(), body).map_err(|_| Counter::Tag)
}

fn aead(kind: u8, key: &[u8; KEY_LEN]) -> LessSafeKey {
    let algorithm =
        if kind == KIND_SHARED_AES_256_GCM { &aead::AES_256_GCM } else { &aead::CHACHA20_POLY1305 };
    LessSafeKey::new(UnboundKey::new(algorithm, key).expect("its keys have 32 bytes"))
}

/// Zero, as the key is used once.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

fn digest_of(parts: &[&[u8]]) -> [u8; DIGEST_LEN] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = [0; DIGEST_LEN];
    digest.copy_from_slice(&context.finish().as_ref()[..DIGEST_LEN]);
    digest
}

impl fmt::Debug for SharedSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSeal(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIPHERS: [Cipher; 2] = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

    /// A sealed frame, its tag behind it, and what opens it.
    fn sealed(cipher: Cipher) -> (Vec<u8>, SharedSeal) {
        let mut frame = b"a frame".to_vec();
        let shared = SharedSeal::new(cipher, &[9; 32], &mut frame);
        frame.extend_from_slice(shared.frame_tag());
        (frame, shared)
    }

    #[test]
    fn a_frame_is_opened_as_it_was_sealed() {
        for cipher in CIPHERS {
            let (mut body, shared) = sealed(cipher);
            assert_eq!(open(shared.kind(), shared.wrapped(), &mut body).unwrap(), b"a frame");
        }
    }

    #[test]
    fn any_flipped_bit_of_the_frame_or_of_what_opens_it_is_refused() {
        for cipher in CIPHERS {
            let (body, shared) = sealed(cipher);
            for bit in 0..8 * body.len() {
                let mut flipped = body.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(shared.kind(), shared.wrapped(), &mut flipped), Err(Counter::Tag));
            }
            for bit in 0..8 * WRAPPED_LEN {
                let mut wrapped = *shared.wrapped();
                wrapped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(shared.kind(), &wrapped, &mut body.clone()), Err(Counter::Tag));
            }
        }
    }

    #[test]
    fn a_frame_does_not_open_with_the_other_cipher_or_shorter_than_its_tag() {
        let (body, shared) = sealed(Cipher::Aes256Gcm);
        let other = KIND_SHARED_CHACHA20_POLY1305;
        assert_eq!(open(other, shared.wrapped(), &mut body.clone()), Err(Counter::Tag));
        assert_eq!(open(shared.kind(), shared.wrapped(), &mut []), Err(Counter::Tag));
    }

    #[test]
    fn what_opens_a_frame_is_never_shown() {
        assert_eq!(format!("{:?}", sealed(Cipher::Aes256Gcm).1), "SharedSeal(..)");
    }
}
