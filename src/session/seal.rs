//! The keys of one direction of a session: numbering and sealing datagrams, opening each once.
//!
//! ```text
//! header | prefix 32, masked | content, encrypted | tag 128
//! header | prefix 32, masked | shared frame | its tag 128 | what opens it 384, encrypted | tag 128
//! ```
//!
//! The prefix is kind and segment. Where datagrams go and whether a session exists is unknown here.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::node::Segment;
use crate::session::hop::HopKey;
use crate::session::replay::ReplayWindow;
use crate::session::shared::{self, SharedSeal, WRAPPED_LEN};
use crate::session::suite::{self, Protection, Suite};
use crate::stats::Counter;
use crate::wire::{
    KIND_FRAME, KIND_SHARED_AES_256_GCM, KIND_SHARED_CHACHA20_POLY1305, SEALED_PREFIX_LEN, TAG_LEN, header,
};

/// Datagrams after which a key should be replaced.
pub(crate) const REKEY_AFTER: u64 = 1 << 26;
/// Most datagrams that one key seals. With packets of up to 2^11 bytes an attacker then tells AES-GCM from an
/// ideal cipher with a probability of at most 2^-57 (RFC 9001 appendix B.1.1); longer ones take the same
/// limit.
pub(crate) const SEAL_LIMIT: u64 = 1 << 28;

/// Length of what follows the frame in a datagram with a shared frame.
pub(crate) const SHARED_TAIL_LEN: usize = TAG_LEN + WRAPPED_LEN + TAG_LEN;

/// The keys of datagrams from this node to a peer. Any number of threads may seal.
pub(crate) struct SealKey {
    protection: Protection,
    hop: HopKey,
    /// The flow label in the upper half, the next number in the lower.
    next_counter: AtomicU64,
}

/// The keys of datagrams from a peer to this node, and which of them have come. Any number of threads may
/// open.
pub(crate) struct OpenKey {
    protection: Protection,
    hop: HopKey,
    window: ReplayWindow,
}

/// What a datagram held.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    /// What the content is; that of a shared frame is [`KIND_FRAME`].
    pub(crate) kind: u8,
    pub(crate) segment: Segment,
    pub(crate) content: &'a mut [u8],
}

impl SealKey {
    /// The keys that follow from the key which a handshake gave for this direction. `flow_label` is random: relays
    /// tell by it what these keys seal from what others did.
    pub(crate) fn new(split: &[u8; 32], suite: Suite, flow_label: u32) -> Self {
        let (protection, hop) = suite::derive(split, suite);
        SealKey { protection, hop, next_counter: AtomicU64::new(u64::from(flow_label) << 32 | 1) }
    }

    /// The key of the hop tags that the peer checks.
    pub(crate) fn hop(&self) -> &HopKey {
        &self.hop
    }

    /// The counter for another datagram; `None` if the key has sealed as many as it may.
    pub(crate) fn next_counter(&self) -> Option<u64> {
        let counter = self.next_counter.fetch_add(1, Ordering::Relaxed);
        (number(counter) <= SEAL_LIMIT).then_some(counter)
    }

    /// How many counters were given.
    pub(crate) fn sealed(&self) -> u64 {
        number(self.next_counter.load(Ordering::Relaxed)).min(SEAL_LIMIT + 1) - 1
    }

    /// As if it had sealed so many.
    #[cfg(test)]
    pub(super) fn skip_to(&self, sealed: u64) {
        self.next_counter.fetch_add(sealed - self.sealed(), Ordering::Relaxed);
    }

    /// Encrypts `content`, masks the prefix, and gives the tag to end the datagram with.
    ///
    /// `head` is the header, complete with a counter of this key that no other datagram has, hop tags and
    /// index zero, and the prefix.
    pub(crate) fn seal(&self, head: &mut [u8], content: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = self.protection.seal(head, content);
        self.protection.toggle_mask(head, &suite::sample(content, &tag));
        tag
    }

    /// As [`seal`](Self::seal), for a frame that is already encrypted for many; gives all that follows it in
    /// the datagram.
    pub(crate) fn seal_shared(&self, head: &mut [u8], frame: &SharedSeal) -> [u8; SHARED_TAIL_LEN] {
        let mut tail = [0; SHARED_TAIL_LEN];
        let (frame_tag, sealed) = tail.split_at_mut(TAG_LEN);
        let (wrapped, tag) = sealed.split_at_mut(WRAPPED_LEN);
        frame_tag.copy_from_slice(frame.frame_tag());
        wrapped.copy_from_slice(frame.wrapped());
        tag.copy_from_slice(&self.protection.seal(head, wrapped));
        self.protection.toggle_mask(head, frame.sample());
        tail
    }
}

impl OpenKey {
    /// The keys that follow from the key which a handshake gave for this direction.
    pub(crate) fn new(split: &[u8; 32], suite: Suite) -> Self {
        let (protection, hop) = suite::derive(split, suite);
        OpenKey { protection, hop, window: ReplayWindow::new() }
    }

    /// The key of the hop tags that this node checks.
    pub(crate) fn hop(&self) -> &HopKey {
        &self.hop
    }

    /// Opens a datagram that begins with a well-formed header of `header_len` bytes, and accepts it once.
    ///
    /// Whatever comes of it, the bytes of the datagram are not what they were.
    pub(crate) fn open<'a>(&self, datagram: &'a mut [u8], header_len: usize) -> Result<Opened<'a>, Counter> {
        header::clear_index(datagram);
        let counter = header::counter(datagram);
        let (head, sealed) = datagram
            .split_at_mut_checked(header_len + SEALED_PREFIX_LEN)
            .ok_or(Counter::DatagramTruncated)?;
        let sample = sealed.first_chunk().ok_or(Counter::DatagramTruncated)?;
        self.protection.toggle_mask(head, sample);
        let (sealed, tag) = sealed.split_last_chunk_mut().ok_or(Counter::DatagramTruncated)?;
        let (kind, segment) = prefix(head);
        let opened = match kind {
            KIND_SHARED_AES_256_GCM | KIND_SHARED_CHACHA20_POLY1305 => {
                let (body, wrapped) =
                    sealed.split_last_chunk_mut::<WRAPPED_LEN>().ok_or(Counter::DatagramTruncated)?;
                self.protection.open(head, wrapped, tag)?;
                Opened { kind: KIND_FRAME, segment, content: shared::open(kind, wrapped, body)? }
            }
            _ => {
                self.protection.open(head, sealed, tag)?;
                Opened { kind, segment, content: sealed }
            }
        };
        // Last, so that a forged datagram cannot use up the counter of a true one.
        if self.window.accept(number(counter) as u32) { Ok(opened) } else { Err(Counter::Replayed) }
    }
}

/// A counter without its flow label.
fn number(counter: u64) -> u64 {
    counter & u64::from(u32::MAX)
}

/// Kind and segment at the end of `head`.
fn prefix(head: &[u8]) -> (u8, Segment) {
    let [kind, s0, s1, s2] = head.last_chunk().copied().unwrap_or_default();
    (kind, Segment::new(u32::from_be_bytes([0, s0, s1, s2])).unwrap_or_default())
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({} sealed)", self.sealed())
    }
}

impl fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cipher;
    use crate::node::NodePrefix;
    use crate::session::hop::HopStates;
    use crate::wire::TYPE_TRANSPORT;
    use crate::wire::header::{Fields, Header};
    use crate::wire::{KIND_CONTROL, header};
    use core::net::SocketAddr;

    const FIELDS: Fields = Fields {
        kind: TYPE_TRANSPORT,
        is_unsealed: false,
        source: NodePrefix(0x1122_3344_5566_7788),
        epoch: 0xab,
    };

    const SUITES: [Suite; 3] = [Suite::Aes256Gcm, Suite::ChaCha20Poly1305, Suite::None];
    const FRAME: &[u8] = b"a frame";

    fn pair(suite: Suite) -> (SealKey, OpenKey) {
        (SealKey::new(&[7; 32], suite, 0), OpenKey::new(&[7; 32], suite))
    }

    fn segment() -> Segment {
        Segment::new(0xab_cdef).unwrap()
    }

    /// Header and prefix of a datagram over `hops` - 1 relays, which share the receiver's hop key.
    fn head(key: &SealKey, hops: usize, counter: u64, kind: u8) -> Vec<u8> {
        let path: Vec<SocketAddr> = (1..=hops).map(|hop| ([192, 0, 2, hop as u8], 4789).into()).collect();
        let mut header = header::build(FIELDS, &path);
        let states = HopStates::new(&header, core::iter::repeat_n(key.hop(), hops));
        header::set_counter(&mut header, counter);
        states.write(&mut header);
        [&header[..], &[kind, 0xab, 0xcd, 0xef]].concat()
    }

    fn sealed(key: &SealKey, hops: usize, counter: u64) -> Vec<u8> {
        let (mut head, mut content) = (head(key, hops, counter, KIND_FRAME), FRAME.to_vec());
        let tag = key.seal(&mut head, &mut content);
        [&head[..], &content, &tag].concat()
    }

    fn shared(key: &SealKey, cipher: Cipher, counter: u64) -> Vec<u8> {
        let mut frame = FRAME.to_vec();
        let shared = SharedSeal::new(cipher, &[9; 32], &mut frame);
        let mut head = head(key, 1, counter, shared.kind());
        let tail = key.seal_shared(&mut head, &shared);
        [&head[..], &frame, &tail].concat()
    }

    /// Opens a copy of a datagram, in which the header has the length it had when it was sealed.
    fn open(key: &OpenKey, hops: usize, datagram: &[u8]) -> Result<(u8, Segment, Vec<u8>), Counter> {
        let mut datagram = datagram.to_vec();
        let opened = key.open(&mut datagram, 20 + hops * 14)?;
        Ok((opened.kind, opened.segment, opened.content.to_vec()))
    }

    #[test]
    fn what_is_sealed_is_opened_as_it_was_under_every_suite() {
        for suite in SUITES {
            let (seal, open_key) = pair(suite);
            for hops in 1..=4 {
                let counter = seal.next_counter().unwrap();
                let datagram = sealed(&seal, hops, counter);
                let is_readable = datagram.windows(FRAME.len()).any(|window| window == FRAME);
                assert_eq!(is_readable, suite == Suite::None);
                assert_eq!(open(&open_key, hops, &datagram), Ok((KIND_FRAME, segment(), FRAME.to_vec())));
            }
            let (mut head, mut empty) = (head(&seal, 1, 9, KIND_CONTROL), []);
            let tag = seal.seal(&mut head, &mut empty);
            let control = open(&open_key, 1, &[&head[..], &tag].concat());
            assert_eq!(control, Ok((KIND_CONTROL, segment(), vec![])));
        }
    }

    #[test]
    fn a_frame_sealed_once_is_opened_by_each_receiver_under_every_suite() {
        for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
            let mut frame = FRAME.to_vec();
            let shared = SharedSeal::new(cipher, &[9; 32], &mut frame);
            for (suite, split) in [(Suite::Aes256Gcm, [1; 32]), (Suite::ChaCha20Poly1305, [2; 32])] {
                let (seal, open_key) =
                    (SealKey::new(&split, suite, 0x0f10_71ab), OpenKey::new(&split, suite));
                let mut head = head(&seal, 1, 1, shared.kind());
                let tail = seal.seal_shared(&mut head, &shared);
                let datagram = [&head[..], &frame, &tail].concat();
                assert_eq!(open(&open_key, 1, &datagram), Ok((KIND_FRAME, segment(), FRAME.to_vec())));
            }
        }
    }

    #[test]
    fn any_flipped_bit_but_those_of_the_index_is_refused() {
        for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
            let (seal, open_key) = pair(suite);
            for datagram in [sealed(&seal, 1, 1), shared(&seal, Cipher::Aes256Gcm, 1)] {
                for (at, bit) in (0..datagram.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                    let mut flipped = datagram.clone();
                    flipped[at] ^= 1 << bit;
                    if at == 1 && bit < 4 {
                        continue;
                    }
                    let refused = open(&open_key, 1, &flipped);
                    assert!(
                        matches!(refused, Err(Counter::Tag | Counter::DatagramTruncated)),
                        "bit {bit} of byte {at}: {refused:?}"
                    );
                }
            }
            assert!(open(&open_key, 1, &sealed(&seal, 1, 1)).is_ok(), "no forgery has used up its counter");
        }
    }

    #[test]
    fn a_datagram_opens_wherever_on_the_path_its_index_is() {
        for suite in SUITES {
            let (seal, open_key) = pair(suite);
            let mut datagram = sealed(&seal, 3, 1);
            header::advance(&mut datagram);
            header::advance(&mut datagram);
            let header = Header::parse(&datagram).unwrap();
            assert!(header.next().is_none() && open_key.hop().verify(&datagram, header.hop_tag));
            assert!(open(&open_key, 3, &datagram).is_ok());
        }
    }

    #[test]
    fn a_datagram_is_opened_once() {
        for suite in SUITES {
            let (seal, open_key) = pair(suite);
            for datagram in [sealed(&seal, 1, 1), shared(&seal, Cipher::Aes256Gcm, 2)] {
                assert!(open(&open_key, 1, &datagram).is_ok());
                assert_eq!(open(&open_key, 1, &datagram), Err(Counter::Replayed));
            }
            assert_eq!(open(&open_key, 1, &sealed(&seal, 1, 0)), Err(Counter::Replayed), "0 numbers nothing");
        }
    }

    #[test]
    fn a_datagram_that_was_cut_is_refused() {
        for suite in SUITES {
            let (seal, open_key) = pair(suite);
            for datagram in [sealed(&seal, 1, 1), shared(&seal, Cipher::Aes256Gcm, 1)] {
                for len in 20..datagram.len() {
                    assert!(open(&open_key, 1, &datagram[..len]).is_err(), "{len} bytes");
                }
            }
        }
    }

    #[test]
    fn nothing_opens_under_another_key_or_another_suite() {
        for suite in SUITES {
            let datagram = sealed(&pair(suite).0, 1, 1);
            assert_eq!(open(&OpenKey::new(&[8; 32], suite), 1, &datagram), Err(Counter::Tag));
            for other in SUITES.into_iter().filter(|other| *other != suite) {
                assert!(open(&pair(other).1, 1, &datagram).is_err());
            }
        }
    }

    #[test]
    fn no_receiver_of_a_shared_frame_can_make_another_of_it() {
        let (seal, open_key) = pair(Suite::Aes256Gcm);
        let datagram = shared(&seal, Cipher::Aes256Gcm, 1);
        // A relay that is a receiver too: it has the frame's key, and seals another frame under it.
        let mut forged = b"another".to_vec();
        let forgery = SharedSeal::new(Cipher::Aes256Gcm, &[9; 32], &mut forged);
        let body_at = 20 + 14 + SEALED_PREFIX_LEN;
        let rest_at = body_at + FRAME.len() + TAG_LEN;
        let forged = [&datagram[..body_at], &forged, forgery.frame_tag(), &datagram[rest_at..]].concat();
        assert_eq!(forged.len(), datagram.len());
        assert_eq!(open(&open_key, 1, &forged), Err(Counter::Tag));
        assert!(open(&open_key, 1, &datagram).is_ok(), "the forgery has not used up its counter");
    }

    #[test]
    fn a_key_seals_no_more_than_its_limit() {
        let label = 0xfedc_ba98_u64 << 32;
        let seal = SealKey::new(&[7; 32], Suite::Aes256Gcm, 0xfedc_ba98);
        assert_eq!((seal.sealed(), seal.next_counter(), seal.sealed()), (0, Some(label | 1), 1));
        seal.next_counter.store(label | SEAL_LIMIT, Ordering::Relaxed);
        assert_eq!(
            (seal.next_counter(), seal.next_counter(), seal.next_counter()),
            (Some(label | 1 << 28), None, None)
        );
        assert_eq!(seal.sealed(), 1 << 28);
    }

    #[test]
    fn the_bytes_of_datagrams_are_those_of_the_format() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let head = "111000ab11223344556677880000000000000005c000020112b5";
        let cases = [
            (
                hex(&sealed(&pair(Suite::Aes256Gcm).0, 1, 5)),
                "fec659e4c55459b4814f45197cbb9751d47d0025069ed6c83208d8a618c38875000061",
            ),
            (
                hex(&sealed(&pair(Suite::ChaCha20Poly1305).0, 1, 5)),
                "fec659e4c55459b41987cedf0644090746ea139c581e54d2a873e5e2668887ad43bbc1",
            ),
            (
                hex(&sealed(&pair(Suite::None).0, 1, 5)),
                "fec659e4c55459b401abcdef61206672616d65aa9b4171b759cb41323ef46bd9802fa1",
            ),
            (
                hex(&shared(&pair(Suite::Aes256Gcm).0, Cipher::Aes256Gcm, 5)),
                "fec659e4c55459b4572cf8d487e3035646525e4f79c8635aa42035f5bae4b6499ee9e91492f82abc196c5a32840685e0\
                 aaa379e2238e05473e17bffac433f9bafe482f045f116197ad086887a0276b8bb33ed70689c3f2abc9f9b2bfaeb9acf8\
                 6fd154",
            ),
            (
                hex(&shared(&pair(Suite::ChaCha20Poly1305).0, Cipher::ChaCha20Poly1305, 5)),
                "fec659e4c55459b46792f7b3ff24d88af2b7311a4416c380a9854d7258165820780fdd6e6d667c2e8e7f8d4994977e10\
                 cbda97df33e4cb2cfd752414fe52b6080231c5db7916b5a4fc7aec91c7afceb24d11724e382224fddf742cd03f688f45\
                 12df5f",
            ),
        ];
        for (datagram, expected) in cases {
            assert_eq!(datagram, format!("{head}{expected}"));
        }
    }

    #[test]
    fn sealing_and_opening_do_not_allocate() {
        for suite in SUITES {
            let (seal, open_key) = pair(suite);
            let mut head = head(&seal, 2, 1, KIND_FRAME);
            let states = HopStates::new(&head, [seal.hop(), seal.hop()]);
            let (mut content, mut datagram) = ([0; 1400], shared(&seal, Cipher::Aes256Gcm, 1));
            let tag = Header::parse(&datagram).unwrap().hop_tag;
            let allocations = allocation_counter::measure(|| {
                states.write(&mut head);
                seal.seal(&mut head, &mut content);
                let shared = SharedSeal::new(Cipher::Aes256Gcm, &[9; 32], &mut content);
                seal.seal_shared(&mut head, &shared);
                assert!(open_key.hop().verify(&datagram, tag));
                assert!(open_key.open(&mut datagram, 34).is_ok());
            });
            assert_eq!(allocations.count_total, 0, "{suite:?}");
        }
    }

    #[test]
    fn keys_are_never_shown() {
        let (seal, open_key) = pair(Suite::None);
        assert_eq!(format!("{seal:?} {open_key:?}"), "SealKey(0 sealed) OpenKey(..)");
    }
}
