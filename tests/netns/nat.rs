//! Address translation in front of a site, as a home router does it: what the site sends comes from an address
//! of the router's, and only what goes there reaches the site. UDP over IPv4 alone.

use std::net::SocketAddrV4;

const VERSION_4_AND_20_BYTES: u8 = 0x45;
const UDP: u8 = 17;
/// Bytes of the IPv4 header, which has no options here, and of both headers.
const IP_LEN: usize = 20;
const HEADERS_LEN: usize = 28;
/// Where the address and the port of the sender are, and those of the receiver.
const SOURCE: (usize, usize) = (12, 20);
const DESTINATION: (usize, usize) = (16, 22);
const IP_CHECKSUM: usize = 10;
const UDP_CHECKSUM: usize = 26;

/// True for what can be translated.
pub(crate) fn is_udp(packet: &[u8]) -> bool {
    packet.len() >= HEADERS_LEN && packet[0] == VERSION_4_AND_20_BYTES && packet[9] == UDP
}

/// Where a packet goes.
pub(crate) fn destination(packet: &[u8]) -> SocketAddrV4 {
    let (address, port) = DESTINATION;
    let address: [u8; 4] = packet[address..address + 4].try_into().expect("four bytes");
    SocketAddrV4::new(address.into(), u16::from_be_bytes([packet[port], packet[port + 1]]))
}

/// Makes a packet come from `from`.
pub(crate) fn set_source(packet: &mut [u8], from: SocketAddrV4) {
    set(packet, SOURCE, from);
}

/// Makes a packet go to `to`.
pub(crate) fn set_destination(packet: &mut [u8], to: SocketAddrV4) {
    set(packet, DESTINATION, to);
}

fn set(packet: &mut [u8], (address, port): (usize, usize), new: SocketAddrV4) {
    packet[address..address + 4].copy_from_slice(&new.ip().octets());
    packet[port..port + 2].copy_from_slice(&new.port().to_be_bytes());
    // Zero: there is none. IPv4 allows that.
    packet[UDP_CHECKSUM..UDP_CHECKSUM + 2].fill(0);
    packet[IP_CHECKSUM..IP_CHECKSUM + 2].fill(0);
    let words =
        packet[..IP_LEN].chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    packet[IP_CHECKSUM..IP_CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
}
