//! Keys, the outer seal, transport and shared frames (sections 2, 5, 6, 7).

use ring::aead::quic::{self, HeaderProtectionKey};
use ring::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::digest;
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};

use crate::header::{Header, UNSEALED};

pub(crate) const FRAME: u8 = 1;
pub(crate) const CONTROL: u8 = 2;
pub(crate) const SHARED_AES: u8 = 3;
pub(crate) const SHARED_CHACHA: u8 = 4;

/// How a session protects its datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    Aes,
    ChaCha,
    None,
}

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

pub(crate) fn expand<const N: usize>(key: &[u8], info: &str) -> [u8; N] {
    expand_prk(&Prk::new_less_safe(HKDF_SHA256, key), info)
}

pub(crate) fn expand_prk<const N: usize>(prk: &Prk, info: &str) -> [u8; N] {
    let mut key = [0; N];
    prk.expand(&[info.as_bytes()], Len(N)).unwrap().fill(&mut key).unwrap();
    key
}

pub(crate) fn outer_key(network: &[u8; 32]) -> [u8; 32] {
    expand(network, "leon 1 handshake")
}

fn aead_seal(algorithm: &'static Algorithm, key: &[u8], nonce: [u8; 12], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
    let mut sealed = text.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut sealed).unwrap();
    sealed
}

fn aead_open(
    algorithm: &'static Algorithm,
    key: &[u8],
    nonce: [u8; 12],
    aad: &[u8],
    sealed: &[u8],
) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
    let mut text = sealed.to_vec();
    let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut text);
    opened.ok().map(|text| text.to_vec())
}

fn outer_aad(header: &[u8]) -> Vec<u8> {
    [&[header[0], header[2] & UNSEALED], &header[4..12]].concat()
}

/// A handshake datagram: header, nonce, sealed inner.
pub(crate) fn outer_seal(key: &[u8; 32], header: &[u8], nonce: [u8; 12], inner: &[u8]) -> Vec<u8> {
    let sealed = aead_seal(&CHACHA20_POLY1305, key, nonce, &outer_aad(header), inner);
    [header, &nonce, &sealed].concat()
}

pub(crate) fn outer_open(key: &[u8; 32], datagram: &[u8], header_len: usize) -> Option<Vec<u8>> {
    let (nonce, sealed) = datagram[header_len..].split_first_chunk::<12>()?;
    aead_open(&CHACHA20_POLY1305, key, *nonce, &outer_aad(datagram), sealed)
}

/// The keys of one direction of a session.
#[derive(Clone, Debug)]
pub(crate) struct Direction {
    pub(crate) suite: Suite,
    pub(crate) data: [u8; 32],
    pub(crate) mask: [u8; 32],
    pub(crate) hop: [u8; 16],
    pub(crate) token: [u8; 16],
}

impl Direction {
    pub(crate) fn new(split: &[u8; 32], suite: Suite) -> Self {
        Direction {
            suite,
            data: expand(split, "leon 1 data"),
            mask: expand(split, "leon 1 mask"),
            hop: expand(split, "leon 1 hop"),
            token: expand(split, "leon 1 token"),
        }
    }

    fn algorithm(&self) -> Option<&'static Algorithm> {
        match self.suite {
            Suite::Aes => Some(&AES_256_GCM),
            Suite::ChaCha => Some(&CHACHA20_POLY1305),
            Suite::None => None,
        }
    }

    /// The prefix, masked or unmasked.
    fn masked(&self, prefix: [u8; 4], sample: &[u8]) -> [u8; 4] {
        let algorithm = match self.suite {
            Suite::Aes => &quic::AES_256,
            Suite::ChaCha => &quic::CHACHA20,
            Suite::None => return prefix,
        };
        let mask = HeaderProtectionKey::new(algorithm, &self.mask).unwrap().new_mask(sample).unwrap();
        std::array::from_fn(|at| prefix[at] ^ mask[at])
    }

    fn aad(header: &Header, prefix: [u8; 4]) -> Vec<u8> {
        [&header.immutable()[..], &prefix].concat()
    }

    fn nonce(header: &Header) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&header.counter.to_be_bytes());
        nonce
    }

    /// Content and tag.
    fn seal_content(&self, header: &Header, prefix: [u8; 4], content: &[u8]) -> Vec<u8> {
        match self.algorithm() {
            Some(algorithm) => {
                aead_seal(algorithm, &self.data, Self::nonce(header), &Self::aad(header, prefix), content)
            }
            None => [content, &self.token].concat(),
        }
    }

    fn open_content(&self, header: &Header, prefix: [u8; 4], sealed: &[u8]) -> Option<Vec<u8>> {
        match self.algorithm() {
            Some(algorithm) => {
                aead_open(algorithm, &self.data, Self::nonce(header), &Self::aad(header, prefix), sealed)
            }
            None => sealed.strip_suffix(&self.token).map(<[u8]>::to_vec),
        }
    }

    /// A transport datagram.
    pub(crate) fn seal(&self, header: &Header, kind: u8, segment: u32, content: &[u8]) -> Vec<u8> {
        let prefix = (u32::from(kind) << 24 | segment).to_be_bytes();
        let sealed = self.seal_content(header, prefix, content);
        let masked = self.masked(prefix, &sealed[..16]);
        [&header.bytes()[..], &masked, &sealed].concat()
    }

    /// A transport datagram with a shared frame.
    pub(crate) fn seal_shared(&self, header: &Header, segment: u32, shared: &Shared) -> Vec<u8> {
        let prefix = (u32::from(shared.kind) << 24 | segment).to_be_bytes();
        let sealed = self.seal_content(header, prefix, &shared.wrapped);
        let masked = self.masked(prefix, &shared.body[..16]);
        [&header.bytes()[..], &masked, &shared.body, &sealed].concat()
    }

    /// Kind, segment and content of a transport datagram; of a shared frame the frame.
    pub(crate) fn open(
        &self,
        header: &Header,
        datagram: &[u8],
        header_len: usize,
    ) -> Option<(u8, u32, Vec<u8>)> {
        let (prefix, sealed) = datagram[header_len..].split_first_chunk::<4>()?;
        let (sample, _) = sealed.split_first_chunk::<16>()?;
        let prefix = self.masked(*prefix, sample);
        let [kind, ..] = prefix;
        let segment = u32::from_be_bytes(prefix) & 0xff_ffff;
        if kind != SHARED_AES && kind != SHARED_CHACHA {
            return Some((kind, segment, self.open_content(header, prefix, sealed)?));
        }
        let (body, sealed) = sealed.split_at_checked(sealed.len().checked_sub(48 + 16)?)?;
        let wrapped = self.open_content(header, prefix, sealed)?.try_into().ok()?;
        let shared = Shared { kind, wrapped, body: body.to_vec() };
        Some((kind, segment, shared.open()?))
    }
}

/// A frame that is encrypted once for many receivers.
pub(crate) struct Shared {
    kind: u8,
    wrapped: [u8; 48],
    /// With its tag.
    body: Vec<u8>,
}

fn shared_algorithm(kind: u8) -> &'static Algorithm {
    if kind == SHARED_AES { &AES_256_GCM } else { &CHACHA20_POLY1305 }
}

fn body_digest(body: &[u8]) -> [u8; 16] {
    digest::digest(&digest::SHA256, body).as_ref()[..16].try_into().unwrap()
}

impl Shared {
    pub(crate) fn new(kind: u8, one_time_key: [u8; 32], frame: &[u8]) -> Self {
        let body = aead_seal(shared_algorithm(kind), &one_time_key, [0; 12], &[], frame);
        let wrapped = [&one_time_key[..], &body_digest(&body)].concat().try_into().unwrap();
        Shared { kind, wrapped, body }
    }

    fn open(&self) -> Option<Vec<u8>> {
        let (key, digest) = self.wrapped.split_at(32);
        if digest != body_digest(&self.body) {
            return None;
        }
        aead_open(shared_algorithm(self.kind), key, [0; 12], &[], &self.body)
    }
}
