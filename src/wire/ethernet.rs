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

#[cfg(test)]
mod tests {
    use super::*;

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
