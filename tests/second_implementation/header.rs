//! The header and hop tags (sections 3 and 4).

use std::hash::Hasher;
use std::net::SocketAddr;

use siphasher::sip::SipHasher24;

use crate::codec::{Reader, ip_bytes};

pub(crate) const TRANSPORT: u8 = 1;
pub(crate) const HELLO: u8 = 2;
pub(crate) const CHALLENGE: u8 = 3;
pub(crate) const INITIATION: u8 = 4;
pub(crate) const RESPONSE: u8 = 5;

pub(crate) const UNSEALED: u8 = 0x80;

/// What names a node in headers.
pub(crate) type Prefix = [u8; 8];

pub(crate) fn prefix(id: &[u8; 32]) -> Prefix {
    id[..8].try_into().unwrap()
}

/// A header, read or to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) is_unsealed: bool,
    pub(crate) epoch: u8,
    pub(crate) source: Prefix,
    /// Flow label and counter.
    pub(crate) counter: u64,
    pub(crate) path: Vec<SocketAddr>,
    pub(crate) index: usize,
    /// One for each entry.
    pub(crate) tags: Vec<[u8; 8]>,
}

impl Header {
    /// Reads the header in front of a datagram, and gives its length.
    pub(crate) fn read(datagram: &[u8]) -> Option<(Header, usize)> {
        let mut reader = Reader(datagram);
        let [version_type, hops_index, flags] = reader.array()?;
        let (hops, index) = (usize::from(hops_index >> 4), usize::from(hops_index & 15));
        let is_right = version_type >> 4 == 1
            && (TRANSPORT..=RESPONSE).contains(&(version_type & 15))
            && (1..=4).contains(&hops)
            && index < hops
            && u32::from(flags & !UNSEALED) < 1 << hops;
        let mut header = Header {
            kind: version_type & 15,
            is_unsealed: flags & UNSEALED != 0,
            epoch: reader.u8()?,
            source: reader.array()?,
            counter: reader.u64()?,
            path: Vec::new(),
            index,
            tags: Vec::new(),
        };
        for hop in 0..hops {
            let entry = SocketAddr::new(reader.ip(flags >> hop & 1 == 1)?, reader.u16()?);
            if header.path.contains(&entry) {
                return None;
            }
            header.path.push(entry);
            header.tags.push(reader.array()?);
        }
        is_right.then_some((header, datagram.len() - reader.0.len()))
    }

    fn common(&self, index: usize) -> Vec<u8> {
        let entries = self.path.iter().enumerate();
        let flags = entries.fold(0, |flags, (hop, entry)| flags | u8::from(entry.is_ipv6()) << hop);
        let unsealed = if self.is_unsealed { UNSEALED } else { 0 };
        let mut bytes =
            vec![1 << 4 | self.kind, (self.path.len() << 4 | index) as u8, flags | unsealed, self.epoch];
        bytes.extend(self.source);
        bytes
    }

    /// What the hop tags are made over.
    pub(crate) fn tag_input(&self) -> Vec<u8> {
        let mut input = self.common(0);
        for entry in &self.path {
            input.extend(ip_bytes(entry.ip()));
            input.extend(entry.port().to_be_bytes());
        }
        input.extend(self.counter.to_be_bytes());
        input
    }

    /// The hop tag for a node.
    pub(crate) fn tag(&self, hop_key: &[u8; 16]) -> [u8; 8] {
        let mut hasher = SipHasher24::new_with_key(hop_key);
        hasher.write(&self.tag_input());
        hasher.finish().to_be_bytes()
    }

    /// Fills in the tags: one key for each entry that has a tag.
    pub(crate) fn tagged(mut self, hop_keys: &[[u8; 16]]) -> Header {
        self.tags = vec![[0; 8]; self.path.len()];
        for (hop, key) in hop_keys.iter().enumerate() {
            self.tags[hop] = self.tag(key);
        }
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.common(self.index);
        bytes.extend(self.counter.to_be_bytes());
        for (entry, tag) in self.path.iter().zip(&self.tags) {
            bytes.extend(ip_bytes(entry.ip()));
            bytes.extend(entry.port().to_be_bytes());
            bytes.extend(tag);
        }
        bytes
    }

    /// The header as its source wrote it.
    pub(crate) fn immutable(&self) -> Vec<u8> {
        Header { index: 0, ..self.clone() }.bytes()
    }
}
