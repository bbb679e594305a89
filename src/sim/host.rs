//! The hosts behind the sites, and the ledger of what they sent and what was delivered.
//!
//! Knows Ethernet, not the overlay: a frame enters the overlay at its host's site and must come out, byte
//! for byte, elsewhere.

use std::collections::BTreeMap;

use crate::mac::MacAddr;
use crate::node::Segment;
use crate::sim::check::Rule;
use crate::time::Time;

/// Ethertype of the tagged frames: IEEE 802 local experimental 1.
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];
/// Ethertype of an IEEE 802.1Q tag.
const VLAN_TAG: [u8; 2] = [0x81, 0x00];

/// A host behind a site.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its address.
    pub mac: MacAddr,
    /// The segment its local network belongs to.
    pub segment: Segment,
    /// The VLAN it tags its frames with.
    pub vlan: Option<u16>,
    /// The site it is at.
    pub site: usize,
    /// The frames its network card accepted, in order, by their index in the ledger.
    pub received: Vec<usize>,
}

impl Host {
    /// What engines call it.
    pub fn name(&self) -> crate::Host {
        crate::Host { segment: self.segment, vlan: self.vlan.unwrap_or(0), mac: self.mac }
    }

    /// True if this host's network card accepts `frame`.
    pub(super) fn accepts(&self, frame: &[u8]) -> bool {
        let vlan = frame.get(12..16).filter(|tag| tag[..2] == VLAN_TAG);
        let vlan = vlan.map(|tag| u16::from_be_bytes([tag[2], tag[3]]) & 0x0fff);
        let to = frame.first_chunk().copied().map(MacAddr);
        vlan == self.vlan && to.is_some_and(|to| to == self.mac || to.is_group())
    }

    /// A frame of `len` bytes (30 or 34 with a VLAN tag at least) from this host that no other frame
    /// equals: its payload is `tag` and a pattern that follows from it.
    pub(super) fn frame(&self, to: MacAddr, tag: u64, len: usize) -> Vec<u8> {
        let mut frame = Vec::with_capacity(len);
        frame.extend(to.0);
        frame.extend(self.mac.0);
        if let Some(vlan) = self.vlan {
            frame.extend(VLAN_TAG);
            frame.extend(vlan.to_be_bytes());
        }
        frame.extend(ETHERTYPE);
        frame.extend(tag.to_be_bytes());
        let padding = len.saturating_sub(frame.len()).max(8) as u64;
        frame.extend((0..padding).map(|n| tag.wrapping_mul(31).wrapping_add(n) as u8));
        frame
    }
}

/// Whom a host sends a frame to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The host of this index.
    Host(usize),
    /// Every host: broadcast.
    Everyone,
    /// Whoever has this address.
    Mac(MacAddr),
}

/// A frame that was handed to a site's engine.
#[derive(Clone, Debug)]
pub struct SentFrame {
    /// The sites it entered the overlay at: one for each time it was sent.
    pub origins: Vec<usize>,
    /// Where it came out, in order.
    pub deliveries: Vec<Delivery>,
}

impl SentFrame {
    /// The sites it came out at, ascending, with repeats if there were any.
    pub fn sites(&self) -> Vec<usize> {
        let mut sites: Vec<usize> = self.deliveries.iter().map(|delivery| delivery.site).collect();
        sites.sort_unstable();
        sites
    }
}

/// One frame that one engine delivered to its local network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// At which site.
    pub site: usize,
    /// In which of the site's lives.
    pub life: u64,
    /// When.
    pub at: Time,
}

/// All frames that were sent, found again by their content.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) frames: Vec<SentFrame>,
    by_content: BTreeMap<(Segment, Vec<u8>), usize>,
}

impl Ledger {
    /// Forgets all frames.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.by_content.clear();
    }

    /// Notes that `bytes` enter the overlay at `site`.
    pub(super) fn sent(&mut self, site: usize, segment: Segment, bytes: &[u8]) -> usize {
        let next = self.frames.len();
        let index = *self.by_content.entry((segment, bytes.to_vec())).or_insert(next);
        if index == next {
            self.frames.push(SentFrame { origins: Vec::new(), deliveries: Vec::new() });
        }
        self.frames[index].origins.push(site);
        index
    }

    /// Notes that `bytes` came out of the overlay; says which rule that breaks. A site may see a frame as
    /// often as it was sent at other sites.
    pub(super) fn delivered(
        &mut self,
        delivery: Delivery,
        segment: Segment,
        bytes: &[u8],
    ) -> Result<usize, Rule> {
        let Some(&index) = self.by_content.get(&(segment, bytes.to_vec())) else {
            return Err(Rule::OnlyWhatWasSent);
        };
        let Delivery { site, life, .. } = delivery;
        let frame = &mut self.frames[index];
        let sent_elsewhere = frame.origins.iter().filter(|&&origin| origin != site).count();
        let before = frame.deliveries.iter().filter(|past| past.site == site && past.life == life).count();
        frame.deliveries.push(delivery);
        match sent_elsewhere {
            0 => Err(Rule::NeverBack),
            sent if before >= sent => Err(Rule::AtMostOnce),
            _ => Ok(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(vlan: Option<u16>) -> Host {
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        Host { mac, segment: Segment::DEFAULT, vlan, site: 0, received: Vec::new() }
    }

    fn delivery(site: usize) -> Delivery {
        Delivery { site, life: 1, at: Time::ZERO }
    }

    #[test]
    fn frames_have_the_asked_length_and_differ() {
        let (plain, tagged) = (host(None), host(Some(7)));
        assert_eq!(plain.frame(MacAddr::BROADCAST, 1, 100).len(), 100);
        assert_eq!(plain.frame(MacAddr::BROADCAST, 1, 0).len(), 30);
        assert_eq!(tagged.frame(MacAddr::BROADCAST, 1, 0).len(), 34);
        assert_ne!(plain.frame(MacAddr::BROADCAST, 1, 60), plain.frame(MacAddr::BROADCAST, 2, 60));
    }

    #[test]
    fn a_network_card_takes_its_own_address_groups_and_vlan_only() {
        let (plain, tagged) = (host(None), host(Some(7)));
        let stranger = MacAddr([2, 0, 0, 0, 0, 9]);
        assert!(plain.accepts(&plain.frame(plain.mac, 1, 60)));
        assert!(plain.accepts(&plain.frame(MacAddr::BROADCAST, 1, 60)));
        assert!(!plain.accepts(&plain.frame(stranger, 1, 60)));
        assert!(!plain.accepts(&tagged.frame(plain.mac, 1, 60)));
        assert!(tagged.accepts(&tagged.frame(plain.mac, 1, 60)));
        assert!(!plain.accepts(&[]));
    }

    #[test]
    fn the_ledger_tells_strange_returned_and_repeated_frames() {
        let mut ledger = Ledger::default();
        let frame = ledger.sent(0, Segment::DEFAULT, b"frame");
        let other = Segment::new(1).unwrap();
        assert_eq!(ledger.delivered(delivery(1), Segment::DEFAULT, b"strange"), Err(Rule::OnlyWhatWasSent));
        assert_eq!(ledger.delivered(delivery(1), other, b"frame"), Err(Rule::OnlyWhatWasSent));
        assert_eq!(ledger.delivered(delivery(0), Segment::DEFAULT, b"frame"), Err(Rule::NeverBack));
        assert_eq!(ledger.delivered(delivery(1), Segment::DEFAULT, b"frame"), Ok(frame));
        assert_eq!(ledger.delivered(delivery(2), Segment::DEFAULT, b"frame"), Ok(frame));
        assert_eq!(ledger.delivered(delivery(1), Segment::DEFAULT, b"frame"), Err(Rule::AtMostOnce));
        assert_eq!(ledger.sent(3, Segment::DEFAULT, b"frame"), frame);
        assert_eq!(ledger.delivered(delivery(2), Segment::DEFAULT, b"frame"), Ok(frame));
    }
}
