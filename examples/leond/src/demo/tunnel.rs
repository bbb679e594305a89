//! A plain point-to-point Ethernet tunnel, as a site without leon would use: what goes in at one end comes
//! out at the other, over the direct link. The yardstick for the overlay: same hosts, same sockets, same WAN.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};

use super::wan::{SiteNo, Wan};

/// Digs a tunnel between two sites and returns the Ethernet sockets at its ends. It lasts as long as the
/// process.
pub(super) fn dig(wan: &Wan, a: SiteNo, b: SiteNo) -> io::Result<(UnixDatagram, UnixDatagram)> {
    let (underlay_a, underlay_b) = (bind()?, bind()?);
    let public_a = wan.attach(a, underlay_a.local_addr()?)?;
    let public_b = wan.attach(b, underlay_b.local_addr()?)?;
    Ok((start_end(underlay_a, public_b)?, start_end(underlay_b, public_a)?))
}

fn bind() -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
}

fn start_end(underlay: UdpSocket, peer: SocketAddr) -> io::Result<UnixDatagram> {
    let (port, card) = UnixDatagram::pair()?;
    thread::Builder::new().name("tunnel".to_owned()).spawn(move || carry(&underlay, peer, &port))?;
    Ok(card)
}

fn carry(underlay: &UdpSocket, peer: SocketAddr, port: &UnixDatagram) {
    let mut buffer = [0; 1 << 16];
    loop {
        let mut ready = [PollFd::new(underlay, PollFlags::IN), PollFd::new(port, PollFlags::IN)];
        if poll(&mut ready, None).is_err() {
            continue;
        }
        let [from_peer, from_host] = ready.map(|fd| fd.revents().contains(PollFlags::IN));
        // A tunnel loses what does not fit a queue, and does not stop for it.
        if from_peer && let Ok((length, _)) = underlay.recv_from(&mut buffer) {
            let _ = port.send(&buffer[..length]);
        }
        if from_host && let Ok(length) = port.recv(&mut buffer) {
            let _ = underlay.send_to(&buffer[..length], peer);
        }
    }
}
