//! The fields of an Ethernet frame that forwarding depends on (IEEE 802.3, 802.1Q).

use crate::mac::MacAddr;

/// Length of an Ethernet header without VLAN tags.
pub(crate) const ETHERNET_LEN: usize = 14;
/// Length of one VLAN tag.
pub(crate) const VLAN_TAG_LEN: usize = 4;

const TPID_8021Q: [u8; 2] = [0x81, 0x00];
const TPID_8021AD: [u8; 2] = [0x88, 0xa8];

/// Where a frame comes from and goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) destination: MacAddr,
    pub(crate) source: MacAddr,
    /// The id of the outermost VLAN tag, 0 without one.
    pub(crate) vlan: u16,
}

impl Addresses {
    /// Reads the addresses, or gives `None` if `frame` is shorter than its header.
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        let (header, payload) = frame.split_first_chunk::<ETHERNET_LEN>()?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        let vlan = match [t0, t1] {
            TPID_8021Q | TPID_8021AD => {
                let (tag, _) = payload.split_first_chunk::<VLAN_TAG_LEN>()?;
                u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff
            }
            _ => 0,
        };
        Some(Addresses {
            destination: MacAddr([d0, d1, d2, d3, d4, d5]),
            source: MacAddr([s0, s1, s2, s3, s4, s5]),
            vlan,
        })
    }
}

/// How urgent a frame is, as its sender has marked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Priority {
    /// The priority code point of the outermost VLAN tag, 0 to 7; `None` without one.
    pub(crate) pcp: Option<u8>,
    /// The DSCP of IPv4 (RFC 2474) or IPv6, 0 to 63, behind at most two VLAN tags; `None` otherwise.
    pub(crate) dscp: Option<u8>,
}

impl Priority {
    /// Reads what a frame has, which may be cut anywhere.
    pub(crate) fn of(frame: &[u8]) -> Self {
        let mut priority = Priority::default();
        let mut rest = frame.get(ETHERNET_LEN - 2..).unwrap_or_default();
        for _ in 0..2 {
            let [t0, t1, tag, _, ..] = *rest else { break };
            if ![TPID_8021Q, TPID_8021AD].contains(&[t0, t1]) {
                break;
            }
            priority.pcp.get_or_insert(tag >> 5);
            rest = rest.get(VLAN_TAG_LEN..).unwrap_or_default();
        }
        priority.dscp = match *rest {
            [0x08, 0x00, _, class, ..] => Some(class >> 2),
            [0x86, 0xdd, high, low, ..] => Some((high << 4 | low >> 4) >> 2),
            _ => None,
        };
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_priority_is_that_of_the_outermost_tag_and_of_the_ip_header() {
        let of = |types: &[u8]| {
            let frame = [&[0; 12][..], types].concat();
            let Priority { pcp, dscp } = Priority::of(&frame);
            (pcp, dscp)
        };
        assert_eq!(of(&[0x08, 0x00, 0x45, 8 << 2 | 1]), (None, Some(8)));
        assert_eq!(of(&[0x86, 0xdd, 0x6b, 0x80]), (None, Some(46)));
        assert_eq!(of(&[0x81, 0x00, 0x20, 0x05, 0x08, 0x00, 0x45, 0x20]), (Some(1), Some(8)));
        assert_eq!(
            of(&[0x88, 0xa8, 0xe0, 0x05, 0x81, 0x00, 0x20, 0x05, 0x86, 0xdd, 0x60, 0x40]),
            (Some(7), Some(1))
        );
        assert_eq!(of(&[0x08, 0x06, 0x00, 0x01]), (None, None), "ARP");
    }

    #[test]
    fn a_frame_cut_anywhere_has_a_priority_or_none() {
        let frame = [&[0; 12][..], &[0x81, 0x00, 0x20, 0x05, 0x08, 0x00, 0x45, 0x20]].concat();
        for len in 0..frame.len() {
            assert_eq!(Priority::of(&frame[..len]).dscp, None);
        }
    }

    #[test]
    fn the_vlan_is_that_of_the_outermost_tag() {
        let mut frame = [0u8; 60];
        frame[..6].copy_from_slice(&[0xff; 6]);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        assert_eq!(Addresses::of(&frame).unwrap().vlan, 0);
        frame[12..16].copy_from_slice(&[0x81, 0x00, 0xe0, 0x2a]);
        let addresses = Addresses::of(&frame).unwrap();
        assert_eq!((addresses.vlan, addresses.source), (42, MacAddr([2, 0, 0, 0, 0, 1])));
        assert!(addresses.destination.is_group());
    }

    #[test]
    fn a_frame_cut_within_its_header_has_no_addresses() {
        let mut frame = [0u8; 18];
        frame[12] = 0x81;
        assert!((0..18).all(|len| Addresses::of(&frame[..len]).is_none()));
        assert!(Addresses::of(&frame).is_some());
    }
}
