//! A small host: an Ethernet card, ARP, and ICMP echo in both roles.

use std::io;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use leon::Time;
use leon::driver::clock;
use parking_lot::Mutex;

use super::packet::{Address, Kind, Packet};
use super::wan::SiteNo;

/// A host in 10.0.0.0/24. It answers for as long as the process lives.
pub(super) struct Host {
    card: UnixDatagram,
    address: Address,
    replies: Mutex<Receiver<Reply>>,
}

/// An answer to something this host asked.
struct Reply {
    packet: Packet,
    at: Time,
}

impl Host {
    /// Starts the host of site `site`, whose Ethernet card is `card`. Sites count from 0, addresses from 1.
    pub(super) fn start(card: UnixDatagram, site: SiteNo) -> io::Result<Host> {
        let number = u8::try_from(site + 1).unwrap_or(u8::MAX);
        let address = Address { mac: [2, 0, 0, 0, 0, number], ip: Ipv4Addr::new(10, 0, 0, number) };
        let (sender, replies) = mpsc::channel();
        let answering = card.try_clone()?;
        let answer = move || answer(&answering, address, &sender);
        thread::Builder::new().name(format!("host {number}")).spawn(answer)?;
        Ok(Host { card, address, replies: Mutex::new(replies) })
    }

    /// The host's IPv4 address.
    pub(super) fn ip(&self) -> Ipv4Addr {
        self.address.ip
    }

    /// Finds the neighbour that has `ip`.
    pub(super) fn resolve(&self, ip: Ipv4Addr) -> anyhow::Result<Address> {
        for _attempt in 0..5 {
            self.send(Kind::ArpRequest, ip, [0; 6])?;
            let reply = self.reply_until(clock::now() + Duration::from_secs(1), |packet| {
                packet.kind == Kind::ArpReply && packet.from.ip == ip
            });
            if let Some(reply) = reply {
                return Ok(reply.packet.from);
            }
        }
        anyhow::bail!("nobody answers to ARP requests for {ip}")
    }

    /// Sends one echo request.
    pub(super) fn send_echo(&self, to: Address, sequence: u16) -> anyhow::Result<()> {
        self.send(Kind::EchoRequest { sequence }, to.ip, to.mac)
    }

    /// Waits until `deadline` for the reply to any echo request: its sequence number and when it came.
    pub(super) fn echo_reply(&self, deadline: Time) -> Option<(u16, Time)> {
        let reply = self.reply_until(deadline, |packet| matches!(packet.kind, Kind::EchoReply { .. }))?;
        match reply.packet.kind {
            Kind::EchoReply { sequence } => Some((sequence, reply.at)),
            _ => None,
        }
    }

    /// The round-trip time of one echo, if it is answered within a second.
    pub(super) fn ping(&self, to: Address, sequence: u16) -> anyhow::Result<Option<Duration>> {
        let sent = clock::now();
        self.send_echo(to, sequence)?;
        while let Some((answered, at)) = self.echo_reply(sent + Duration::from_secs(1)) {
            if answered == sequence {
                return Ok(Some(at.since(sent)));
            }
        }
        Ok(None)
    }

    fn send(&self, kind: Kind, to: Ipv4Addr, mac: [u8; 6]) -> anyhow::Result<()> {
        let packet = Packet { from: self.address, to, kind };
        self.card.send(&packet.to_frame(mac)).context("a host cannot send")?;
        Ok(())
    }

    fn reply_until(&self, deadline: Time, wanted: impl Fn(&Packet) -> bool) -> Option<Reply> {
        let replies = self.replies.lock();
        loop {
            match replies.recv_timeout(deadline.since(clock::now())) {
                Ok(reply) if wanted(&reply.packet) => return Some(reply),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }
}

/// Answers requests for `own` and hands on replies to it.
fn answer(card: &UnixDatagram, own: Address, replies: &Sender<Reply>) {
    let mut frame = [0; 2048];
    // The card goes when the demo ends.
    while let Ok(length) = card.recv(&mut frame) {
        let at = clock::now();
        let Some(packet) = Packet::from_frame(&frame[..length]).filter(|packet| packet.to == own.ip) else {
            continue;
        };
        let kind = match packet.kind {
            Kind::ArpRequest => Kind::ArpReply,
            Kind::EchoRequest { sequence } => Kind::EchoReply { sequence },
            Kind::ArpReply | Kind::EchoReply { .. } => {
                // Nobody waits for replies once the host's owner has gone.
                let _ = replies.send(Reply { packet, at });
                continue;
            }
        };
        let reply = Packet { from: own, to: packet.from.ip, kind };
        // A full queue loses frames, as everywhere on the way.
        let _ = card.send(&reply.to_frame(packet.from.mac));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_on_one_wire_find_and_ping_each_other() {
        let (a, b) = UnixDatagram::pair().unwrap();
        let (a, b) = (Host::start(a, 1).unwrap(), Host::start(b, 2).unwrap());
        let neighbour = a.resolve(b.ip()).unwrap();
        assert_eq!(neighbour, b.address);
        assert!(a.ping(neighbour, 1).unwrap().is_some());
    }
}
