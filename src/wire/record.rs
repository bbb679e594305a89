//! A member's record: what the member list holds of each node, and its bytes.

use core::net::SocketAddr;

use crate::config::{MAX_NAME, MAX_SEGMENTS};
use crate::node::{NodeId, Segment};
use crate::wire::codec::{Malformed, Reader, put_address};

/// Which of two records of a node is newer: the higher life, then the higher version in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct RecordVersion {
    pub(crate) incarnation: u64,
    pub(crate) version: u32,
}

impl RecordVersion {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(RecordVersion { incarnation: reader.u64()?, version: reader.u32()? })
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.incarnation.to_be_bytes());
        out.extend_from_slice(&self.version.to_be_bytes());
    }
}

/// What a node says about itself; only the node itself makes a newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: NodeId,
    pub(crate) version: RecordVersion,
    pub(crate) locator: SocketAddr,
    pub(crate) name: String,
    pub(crate) segments: Vec<Segment>,
}

impl Record {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = NodeId(reader.array()?);
        let version = RecordVersion::read(reader)?;
        let locator = reader.locator()?;
        let len = usize::from(reader.u8()?);
        let name = core::str::from_utf8(reader.bytes(len)?).map_err(|_| Malformed)?;
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(Malformed);
        }
        let count = usize::from(reader.u8()?);
        if count == 0 || count > MAX_SEGMENTS {
            return Err(Malformed);
        }
        let segments = (0..count)
            .map(|_| reader.u24().and_then(|id| Segment::new(id).ok_or(Malformed)))
            .collect::<Result<Vec<_>, _>>()?;
        // Each mention is another copy of each flooded frame.
        if (1..count).any(|at| segments[..at].contains(&segments[at])) {
            return Err(Malformed);
        }
        Ok(Record { id, version, locator, name: name.to_owned(), segments })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        self.version.write(out);
        put_address(out, self.locator);
        out.push(self.name.len() as u8);
        out.extend_from_slice(self.name.as_bytes());
        out.push(self.segments.len() as u8);
        for segment in &self.segments {
            out.extend_from_slice(&segment.id().to_be_bytes()[1..]);
        }
    }
}
