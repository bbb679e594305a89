//! The few packets a host needs to be pinged: ARP and ICMP echo over Ethernet. Bytes and values only.

use std::net::Ipv4Addr;

use etherparse::{
    ArpEthIpv4Packet, ArpOperation, Icmpv4Type, LinkSlice, NetSlice, PacketBuilder, SlicedPacket,
    TransportSlice,
};

/// What `ping` sends by default, in bytes.
const ECHO_PAYLOAD: [u8; 56] = [0x5a; 56];
/// The identifier of all echoes: a host has one `ping` at a time.
const ECHO_ID: u16 = 1;
const TTL: u8 = 64;
const BROADCAST: [u8; 6] = [0xff; 6];

/// Where a host is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) mac: [u8; 6],
    pub(super) ip: Ipv4Addr,
}

/// A packet, and the host it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) from: Address,
    /// The IPv4 address it is meant for.
    pub(super) to: Ipv4Addr,
    pub(super) kind: Kind,
}

/// What a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ArpRequest,
    ArpReply,
    EchoRequest { sequence: u16 },
    EchoReply { sequence: u16 },
}

impl Packet {
    /// The packet as an Ethernet frame for `mac`; a request for an address goes to everybody instead.
    pub(super) fn to_frame(self, mac: [u8; 6]) -> Vec<u8> {
        let Packet { from, to, kind } = self;
        let ip = || PacketBuilder::ethernet2(from.mac, mac).ipv4(from.ip.octets(), to.octets(), TTL);
        let mut frame = Vec::with_capacity(128);
        let written = match kind {
            Kind::ArpRequest => arp(self, ArpOperation::REQUEST, BROADCAST).write(&mut frame),
            Kind::ArpReply => arp(self, ArpOperation::REPLY, mac).write(&mut frame),
            Kind::EchoRequest { sequence } => {
                ip().icmpv4_echo_request(ECHO_ID, sequence).write(&mut frame, &ECHO_PAYLOAD)
            }
            Kind::EchoReply { sequence } => {
                ip().icmpv4_echo_reply(ECHO_ID, sequence).write(&mut frame, &ECHO_PAYLOAD)
            }
        };
        written.expect("a vector takes all that is written and the payload has a fixed, legal length");
        frame
    }

    /// The packet in an Ethernet frame, if it is one of those a host understands.
    pub(super) fn from_frame(frame: &[u8]) -> Option<Packet> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link else { return None };
        match packet.net? {
            NetSlice::Arp(arp) => {
                let arp = arp.to_packet().try_eth_ipv4().ok()?;
                let from = Address { mac: arp.sender_mac, ip: arp.sender_ipv4_addr() };
                let kind = match arp.operation {
                    ArpOperation::REQUEST => Kind::ArpRequest,
                    ArpOperation::REPLY => Kind::ArpReply,
                    _ => return None,
                };
                Some(Packet { from, to: arp.target_ipv4_addr(), kind })
            }
            NetSlice::Ipv4(ip) => {
                let from = Address { mac: ethernet.source(), ip: ip.header().source_addr() };
                let Some(TransportSlice::Icmpv4(icmp)) = packet.transport else { return None };
                let kind = match icmp.icmp_type() {
                    Icmpv4Type::EchoRequest(echo) => Kind::EchoRequest { sequence: echo.seq },
                    Icmpv4Type::EchoReply(echo) => Kind::EchoReply { sequence: echo.seq },
                    _ => return None,
                };
                Some(Packet { from, to: ip.header().destination_addr(), kind })
            }
            NetSlice::Ipv6(_) => None,
        }
    }
}

fn arp(
    packet: Packet,
    operation: ArpOperation,
    mac: [u8; 6],
) -> etherparse::PacketBuilderStep<etherparse::ArpPacket> {
    let arp = ArpEthIpv4Packet {
        operation,
        sender_mac: packet.from.mac,
        sender_ipv4: packet.from.ip.octets(),
        target_mac: if operation == ArpOperation::REQUEST { [0; 6] } else { mac },
        target_ipv4: packet.to.octets(),
    };
    PacketBuilder::ethernet2(packet.from.mac, mac).arp(arp.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Address = Address { mac: [2, 0, 0, 0, 0, 1], ip: Ipv4Addr::new(10, 0, 0, 1) };
    const TO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    #[test]
    fn frames_give_their_packets_back() {
        let kinds = [
            Kind::ArpRequest,
            Kind::ArpReply,
            Kind::EchoRequest { sequence: 7 },
            Kind::EchoReply { sequence: 65535 },
        ];
        for kind in kinds {
            let packet = Packet { from: FROM, to: TO, kind };
            assert_eq!(Packet::from_frame(&packet.to_frame([2, 0, 0, 0, 0, 2])), Some(packet));
        }
        assert_eq!(Packet::from_frame(&[0; 20]), None);
    }

    #[test]
    fn checksums_add_up() {
        let frame = Packet { from: FROM, to: TO, kind: Kind::EchoRequest { sequence: 7 } }
            .to_frame([2, 0, 0, 0, 0, 2]);
        let sum = |bytes: &[u8]| {
            let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
            let sum: u32 = words.sum();
            (sum & 0xffff) + (sum >> 16)
        };
        assert_eq!(sum(&frame[14..34]), 0xffff, "IPv4 header");
        assert_eq!(sum(&frame[34..]), 0xffff, "ICMP");
    }
}
