//! Announcements of hosts in control messages: changes of what one node has announced.

use crate::host::Host;
use crate::mac::MacAddr;
use crate::node::Segment;
use crate::wire::codec::{Malformed, Reader};
use crate::wire::control::MAX_CONTROL_LEN;

/// Changes of the hosts that the sender announces, from (without) one version to (with) another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hosts {
    /// The version up to which the sender has forgotten withdrawals: who knows less of it than that begins anew.
    pub(crate) forgotten: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) entries: Vec<HostEntry>,
}

/// What the sender says of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostEntry {
    pub(crate) host: Host,
    pub(crate) announcement: Announcement,
}

/// Where the latest of several announcements of a host, by whomever, is that with the highest sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) sequence: u32,
    pub(crate) state: HostState,
}

/// Whether the host is at the node that speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostState {
    /// It is.
    Present = 1,
    /// It was, and is no more.
    Withdrawn = 2,
}

impl HostEntry {
    /// Length of an entry, in bytes.
    const LEN: usize = 16;

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let segment = Segment::new(reader.u24()?).ok_or(Malformed)?;
        let host = Host { segment, vlan: reader.u16()?, mac: MacAddr(reader.array()?) };
        host.check().map_err(|_| Malformed)?;
        let sequence = reader.u32()?;
        let state = match reader.u8()? {
            1 => HostState::Present,
            2 => HostState::Withdrawn,
            _ => return Err(Malformed),
        };
        Ok(HostEntry { host, announcement: Announcement { sequence, state } })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let HostEntry { host, announcement } = self;
        out.extend_from_slice(&host.segment.id().to_be_bytes()[1..]);
        out.extend_from_slice(&host.vlan.to_be_bytes());
        out.extend_from_slice(&host.mac.0);
        out.extend_from_slice(&announcement.sequence.to_be_bytes());
        out.push(announcement.state as u8);
    }
}

impl Hosts {
    /// Most entries of one message.
    pub(crate) const MAX_ENTRIES: usize = (MAX_CONTROL_LEN - 25) / HostEntry::LEN;

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (forgotten, from, to) = (reader.u64()?, reader.u64()?, reader.u64()?);
        if from > to {
            return Err(Malformed);
        }
        let mut entries = Vec::new();
        while !reader.is_empty() {
            entries.push(HostEntry::read(reader)?);
        }
        Ok(Hosts { forgotten, from, to, entries })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for version in [self.forgotten, self.from, self.to] {
            out.extend_from_slice(&version.to_be_bytes());
        }
        self.entries.iter().for_each(|entry| entry.write(out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> HostEntry {
        let segment = Segment::new(0xabcdef).expect("fits 24 bits");
        let host = Host { segment, vlan: 4094, mac: MacAddr([2, 0, 0, 0, 0, 1]) };
        HostEntry { host, announcement: Announcement { sequence: u32::MAX, state: HostState::Withdrawn } }
    }

    fn written(hosts: &Hosts) -> Vec<u8> {
        let mut bytes = Vec::new();
        hosts.write(&mut bytes);
        bytes
    }

    #[test]
    fn the_longest_message_fits() {
        let hosts = Hosts { forgotten: 0, from: 1, to: 2, entries: vec![entry(); Hosts::MAX_ENTRIES] };
        let bytes = written(&hosts);
        assert!((MAX_CONTROL_LEN - HostEntry::LEN..MAX_CONTROL_LEN).contains(&bytes.len()));
        assert_eq!(Hosts::read(&mut Reader::new(&bytes)), Ok(hosts));
    }

    #[test]
    fn hosts_that_nobody_may_announce_are_malformed() {
        let reads = |entry: HostEntry| {
            let bytes = written(&Hosts { forgotten: 0, from: 1, to: 2, entries: vec![entry] });
            Hosts::read(&mut Reader::new(&bytes)).is_ok()
        };
        let of = |host: Host| HostEntry { host, ..entry() };
        assert!(reads(entry()));
        assert!(!reads(of(Host { vlan: 4095, ..entry().host })));
        assert!(!reads(of(Host { mac: MacAddr::BROADCAST, ..entry().host })));
        let mut bytes = written(&Hosts { forgotten: 0, from: 1, to: 2, entries: vec![entry()] });
        for state in [0, 3] {
            *bytes.last_mut().expect("there are bytes") = state;
            assert!(Hosts::read(&mut Reader::new(&bytes)).is_err());
        }
        let backwards = Hosts { forgotten: 0, from: 3, to: 2, entries: vec![] };
        assert!(Hosts::read(&mut Reader::new(&written(&backwards))).is_err());
    }
}
