//! Hop tags: what proves to each node on a path that the source wrote the header (SipHash-2-4, 64 bits).
//!
//! The source shares one key with each of them. What is behind the header is none of their business, nor of
//! this file's.

use core::fmt;
use core::hash::Hasher;

use arrayvec::ArrayVec;
use siphasher::sip::SipHasher24;

use crate::config::MAX_HOPS;
use crate::wire::header;

/// The key of the hop tags from one node to another.
pub(crate) struct HopKey {
    hasher: SipHasher24,
    name: u64,
}

/// The hash of all that datagrams on one path have in common, under one key: what a tag costs a sender is
/// then only the counter.
#[derive(Clone, Copy)]
pub(crate) struct HopState(SipHasher24);

/// The states of a whole path, in the order of its entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct HopStates(ArrayVec<HopState, MAX_HOPS>);

impl HopKey {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        let hasher = SipHasher24::new_with_key(key);
        HopKey { hasher, name: hasher.finish() }
    }

    /// A number that only who has the key can tell, and that another key has by rare chance only.
    pub(crate) fn name(&self) -> u64 {
        self.name
    }

    /// The state for the path in the bytes of a well-formed header.
    pub(crate) fn absorb(&self, header: &[u8]) -> HopState {
        let mut hasher = self.hasher;
        hasher.write(&header::hop_tag_input(header));
        HopState(hasher)
    }

    /// True if `tag` is what the source has written into the entry of this key's node, in the bytes of a
    /// well-formed header.
    pub(crate) fn verify(&self, header: &[u8], tag: u64) -> bool {
        self.absorb(header).tag(header::counter(header)) == tag
    }
}

impl HopState {
    /// The hop tag of the datagram with this counter.
    pub(crate) fn tag(&self, counter: u64) -> u64 {
        let mut hasher = self.0;
        // The hasher takes a number as the bytes that the machine has it in.
        hasher.write_u64(u64::from_ne_bytes(counter.to_be_bytes()));
        hasher.finish()
    }
}

impl HopStates {
    /// The states for the path in the bytes of a well-formed header, given the key of each entry's node.
    pub(crate) fn new<'a>(header: &[u8], keys: impl IntoIterator<Item = &'a HopKey>) -> Self {
        HopStates(keys.into_iter().take(MAX_HOPS).map(|key| key.absorb(header)).collect())
    }

    /// Adds that of the next entry.
    pub(crate) fn push(&mut self, header: &[u8], key: &HopKey) {
        // A path has no more entries than there is room for.
        let _ = self.0.try_push(key.absorb(header));
    }

    /// Writes all hop tags into the bytes of the header, whose counter is set.
    pub(crate) fn write(&self, header: &mut [u8]) {
        let counter = header::counter(header);
        for (hop, state) in self.0.iter().enumerate() {
            header::set_hop_tag(header, hop, state.tag(counter));
        }
    }
}

impl fmt::Debug for HopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HopKey(..)")
    }
}

impl fmt::Debug for HopState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HopState(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::NodePrefix;
    use crate::wire::COMMON_LEN;
    use crate::wire::TYPE_TRANSPORT;
    use crate::wire::header::{Fields, Header, HeaderBytes};
    use core::net::SocketAddr;

    const FIELDS: Fields = Fields {
        kind: TYPE_TRANSPORT,
        is_unsealed: false,
        source: NodePrefix(0x1122_3344_5566_7788),
        epoch: 0xab,
    };

    const KEYS: [[u8; 16]; 3] = [[1; 16], [2; 16], [3; 16]];

    fn keys() -> [HopKey; 3] {
        KEYS.map(|key| HopKey::new(&key))
    }

    /// The header of datagram 5 on a path of both address families, with its hop tags.
    fn tagged() -> HeaderBytes {
        let path = ["192.0.2.1:4789", "[2001:db8::2]:4790", "192.0.2.3:4791"]
            .map(|address| address.parse::<SocketAddr>().unwrap());
        let mut bytes = header::build(FIELDS, &path);
        let states = HopStates::new(&bytes, &keys());
        header::set_counter(&mut bytes, 5);
        states.write(&mut bytes);
        bytes
    }

    /// The hop tag of each entry, as the node that the entry names finds it, and the bytes it finds then.
    fn found(mut bytes: HeaderBytes) -> Vec<(u64, HeaderBytes)> {
        let mut found = Vec::new();
        loop {
            let header = Header::parse(&bytes).unwrap();
            found.push((header.hop_tag, bytes.clone()));
            if header.next().is_none() {
                return found;
            }
            header::advance(&mut bytes);
        }
    }

    #[test]
    fn every_node_on_the_path_finds_its_tag_whatever_the_index() {
        for ((tag, bytes), key) in found(tagged()).into_iter().zip(keys()) {
            assert!(key.verify(&bytes, tag));
        }
    }

    #[test]
    fn the_tag_of_one_node_is_none_to_another() {
        for (hop, (tag, bytes)) in found(tagged()).into_iter().enumerate() {
            for (other, key) in keys().into_iter().enumerate() {
                assert_eq!(key.verify(&bytes, tag), hop == other);
            }
        }
    }

    #[test]
    fn any_flipped_bit_of_the_header_but_index_and_tags_makes_the_tag_wrong() {
        let bytes = tagged();
        let entries_at = [(COMMON_LEN, 6, 8), (COMMON_LEN + 14, 18, 8), (COMMON_LEN + 40, 6, 8)];
        let is_tag = |at: usize| {
            entries_at.iter().any(|(from, len, tag)| (from + len..from + len + tag).contains(&at))
        };
        let (tag, _) = found(bytes.clone())[0];
        for at in (0..bytes.len()).filter(|at| !is_tag(*at)) {
            for bit in 0..8 {
                // Other lengths of the path do not parse: a tag is only checked for a header that does.
                if at == 1 || at == 2 && bit < 3 {
                    continue;
                }
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(!keys()[0].verify(&flipped, tag), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn tags_differ_by_counter() {
        let bytes = tagged();
        let state = keys()[0].absorb(&bytes);
        assert_eq!(state.tag(5), state.tag(5));
        let tags: std::collections::BTreeSet<u64> = (0..1000).map(|counter| state.tag(counter)).collect();
        assert_eq!(tags.len(), 1000);
    }

    #[test]
    fn the_tags_are_those_of_the_format() {
        let tags: Vec<u64> = found(tagged()).into_iter().map(|(tag, _)| tag).collect();
        assert_eq!(tags, [0xfcdb_a9bd_09c9_fdbd, 0x29ac_314b_8546_a127, 0x6bba_13ce_57b6_4cea]);
    }

    #[test]
    fn the_hash_is_that_of_its_paper() {
        // Appendix A of Aumasson and Bernstein, SipHash: key 00..0f, message 00..0e.
        let key = HopKey::new(&core::array::from_fn(|at| at as u8));
        let mut hasher = key.hasher;
        hasher.write(&core::array::from_fn::<u8, 15, _>(|at| at as u8));
        assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn keys_and_states_are_never_shown() {
        let key = HopKey::new(&KEYS[0]);
        assert_eq!(format!("{key:?} {:?}", key.absorb(&tagged())), "HopKey(..) HopState(..)");
    }
}
