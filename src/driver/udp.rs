//! The UDP socket to the underlay, through `quinn-udp`: batches in both directions, offloads where the
//! kernel has them, and never an IP fragment. Knows nothing of what is in a datagram.
//!
//! Addresses are what the wire and the member list use: an IPv4 peer of a dual-stack socket shows up, and
//! is sent to, under its IPv4 address, never as `::ffff:a.b.c.d`.

use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use core::ops::Range;
use core::time::Duration;
use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::driver::counters::IoCounters;
use crate::engine::{Datagram, DatagramIn};
use crate::time::Time;

/// Size asked for as the socket's buffers, in bytes each: about 25 ms of datagrams at 1 Gbit/s. The kernel
/// may grant less.
const SOCKET_BUFFER: usize = 4 << 20;

/// Room for what one receive buffer may get, in bytes: a coalesced run of datagrams is as long as the
/// longest IP packet at most.
const RECEIVE_ROOM: usize = 1 << 16;

/// A batch is sent when it has grown to this many bytes, even if the loop's turn is not over.
const BATCH_BYTES: usize = 256 << 10;

/// Longest run that is sent as one: the payload of the longest IPv4 packet.
const RUN_BYTES: usize = 65507;

/// `quinn-udp` gives up offloads for good at the first error that may come from them, even if an odd
/// address was the cause. They are tried again after this time.
const OFFLOAD_RETRY: Duration = Duration::from_secs(60);

/// Why the UDP socket cannot be opened. Each message is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address has an owner.
    #[error("another process listens on UDP {0}: stop that process, or choose another port")]
    InUse(SocketAddr),
    /// The address is not one of this machine's.
    #[error("no interface of this machine has the address {0}: listen on one that is configured")]
    NotLocal(IpAddr),
    /// A low port needs a privilege.
    #[error("listening on UDP port {0} needs CAP_NET_BIND_SERVICE: run as root, or choose a port above 1023")]
    Permission(u16),
    /// Any other refusal of the kernel.
    #[error("cannot listen on UDP {address}: {error}")]
    Other {
        /// The address asked for.
        address: SocketAddr,
        /// The kernel's answer.
        error: io::Error,
    },
}

/// The node's one UDP socket.
#[derive(Debug)]
pub struct Underlay {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    offloads_tried: Time,
}

impl Underlay {
    /// Opens a socket on `address`; port 0 lets the kernel choose one. `[::]` also receives and sends IPv4.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn bind(address: SocketAddr) -> Result<Underlay, BindError> {
        open(address).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            io::ErrorKind::AddrNotAvailable => BindError::NotLocal(address.ip()),
            io::ErrorKind::PermissionDenied => BindError::Permission(address.port()),
            _ => BindError::Other { address, error },
        })
    }

    /// The address the socket is bound to, with the port in use.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sends `bytes` as one datagram, or as several of `segment_size` bytes of which the last may be shorter.
    fn send(&self, to: SocketAddr, bytes: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        let destination = match to {
            SocketAddr::V4(v4) if self.local.is_ipv6() => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            other => other,
        };
        let transmit = Transmit { destination, ecn: None, contents: bytes, segment_size, src_ip: None };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    fn retry_offloads(&mut self, now: Time) {
        if self.state.max_gso_segments() > 1 || now.since(self.offloads_tried) < OFFLOAD_RETRY {
            return;
        }
        self.offloads_tried = now;
        if let Ok(state) = UdpSocketState::new(UdpSockRef::from(&self.socket)) {
            self.state = state;
        }
    }
}

impl AsFd for Underlay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(address: SocketAddr) -> io::Result<Underlay> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let fd = rustix::net::socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, false)?;
    }
    // Root may exceed the system's limit; without root, or in a container, the limit is what there is.
    if sockopt::set_socket_recv_buffer_size_force(&fd, SOCKET_BUFFER).is_err() {
        sockopt::set_socket_recv_buffer_size(&fd, SOCKET_BUFFER)?;
    }
    if sockopt::set_socket_send_buffer_size_force(&fd, SOCKET_BUFFER).is_err() {
        sockopt::set_socket_send_buffer_size(&fd, SOCKET_BUFFER)?;
    }
    rustix::net::bind(&fd, &address)?;
    let socket = UdpSocket::from(fd);
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    Ok(Underlay { local: socket.local_addr()?, socket, state, offloads_tried: Time::ZERO })
}

/// The address under which the mesh knows a sender.
fn peer(from: SocketAddr) -> SocketAddr {
    match from {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            // The flow label varies from packet to packet and must not make two peers of one.
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
        v4 => v4,
    }
}

/// Buffers for one batch of datagrams, allocated once. Only the pages that datagrams touch become resident.
pub(super) struct ReceiveBuffers {
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
    filled: usize,
}

impl ReceiveBuffers {
    pub(super) fn new() -> Self {
        ReceiveBuffers {
            bytes: vec![0; BATCH_SIZE * RECEIVE_ROOM],
            meta: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
        }
    }

    /// Replaces the batch by datagrams that wait at the socket; none if none waits.
    ///
    /// # Errors
    ///
    /// The kernel's; a later attempt may well succeed.
    pub(super) fn fill(&mut self, underlay: &Underlay) -> io::Result<()> {
        self.filled = 0;
        let mut rest = self.bytes.chunks_exact_mut(RECEIVE_ROOM);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            core::array::from_fn(|_| IoSliceMut::new(rest.next().unwrap_or_default()));
        match underlay.state.recv(UdpSockRef::from(&underlay.socket), &mut buffers, &mut self.meta) {
            Ok(filled) => self.filled = filled,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The batch, in order of arrival; runs that the kernel coalesced are cut up again.
    pub(super) fn datagrams(&mut self, received_at: Time) -> impl Iterator<Item = DatagramIn<'_>> {
        let buffers = self.bytes.chunks_exact_mut(RECEIVE_ROOM);
        buffers.zip(&self.meta[..self.filled]).flat_map(move |(buffer, meta)| {
            let from = peer(meta.addr);
            // A stride of zero belongs to an empty datagram, which has nothing to cut up.
            let datagrams = buffer[..meta.len].chunks_mut(meta.stride.max(1));
            datagrams.map(move |bytes| DatagramIn { from, received_at, bytes })
        })
    }
}

/// Datagrams collected back to back, so that runs of equal size to one address leave in one system call.
pub(super) struct SendBatch {
    bytes: Vec<u8>,
    datagrams: Vec<(SocketAddr, Range<usize>)>,
}

impl SendBatch {
    pub(super) fn new() -> Self {
        SendBatch { bytes: Vec::with_capacity(BATCH_BYTES + RECEIVE_ROOM), datagrams: Vec::new() }
    }

    /// Appends a copy of `datagram`.
    pub(super) fn push(&mut self, datagram: &Datagram<'_>) {
        let start = self.bytes.len();
        datagram.append_to(&mut self.bytes);
        self.datagrams.push((datagram.to, start..self.bytes.len()));
    }

    /// True if the batch should be sent before more is appended.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }

    /// Sends everything, in order, and empties the batch. What the kernel refuses is counted and dropped, as
    /// a full queue of a network card would do.
    pub(super) fn flush(&mut self, underlay: &mut Underlay, counters: &IoCounters, now: Time) {
        underlay.retry_offloads(now);
        let mut rest = self.datagrams.as_slice();
        while !rest.is_empty() {
            let (run, others) = rest.split_at(run_length(rest, underlay.state.max_gso_segments()));
            self.send_run(run, underlay, counters);
            rest = others;
        }
        self.datagrams.clear();
        self.bytes.clear();
    }

    fn send_run(&self, run: &[(SocketAddr, Range<usize>)], underlay: &Underlay, counters: &IoCounters) {
        if let [(to, first), .., (_, last)] = run {
            let sent = underlay.send(*to, &self.bytes[first.start..last.end], Some(first.len()));
            // Anything but a full buffer may be due to the offload: the datagrams are then tried singly.
            match sent {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    run.iter().for_each(|_| counters.send_error(&error));
                    return;
                }
                Err(_) => {}
            }
        }
        for (to, range) in run {
            if let Err(error) = underlay.send(*to, &self.bytes[range.clone()], None) {
                counters.send_error(&error);
            }
        }
    }
}

/// How many datagrams at the head of `datagrams` can leave as one: same address, same size but for a shorter
/// last one, at most `limit`. At least one.
fn run_length(datagrams: &[(SocketAddr, Range<usize>)], limit: usize) -> usize {
    let [(to, first), rest @ ..] = datagrams else { return 0 };
    let mut length = 1;
    for (next_to, next) in rest {
        let fits = next_to == to && next.len() <= first.len() && next.end - first.start <= RUN_BYTES;
        if length >= limit || !fits {
            break;
        }
        length += 1;
        if next.len() < first.len() {
            break;
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(underlay: &Underlay, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut buffers = ReceiveBuffers::new();
        let mut received = Vec::new();
        while received.len() < count {
            buffers.fill(underlay).unwrap();
            received.extend(buffers.datagrams(Time::ZERO).map(|d| (d.from, d.bytes.to_vec())));
            std::thread::yield_now();
        }
        received
    }

    #[test]
    fn runs_of_equal_size_to_one_address_arrive_as_they_were_sent() {
        let mut sender = Underlay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let receiver = Underlay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let payloads: Vec<Vec<u8>> =
            [900, 900, 900, 500, 900, 1, 1, 1400, 700].map(|n| vec![n as u8; n]).into();
        let (mut batch, counters) = (SendBatch::new(), IoCounters::default());
        for payload in &payloads {
            batch.push(&Datagram { to: receiver.local_addr(), parts: [&payload[..1], &payload[1..], &[]] });
        }
        batch.flush(&mut sender, &counters, Time::ZERO);
        let received = receive(&receiver, payloads.len());
        assert!(received.iter().all(|(from, _)| *from == sender.local_addr()));
        assert!(received.into_iter().map(|(_, bytes)| bytes).eq(payloads));
        assert!(counters.iter().all(|(_, value)| value == 0));
    }

    #[test]
    fn a_run_ends_at_another_address_a_longer_datagram_a_shorter_one_or_the_limit() {
        let [a, b]: [SocketAddr; 2] = ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().unwrap());
        let length = |entries: &[(SocketAddr, usize)], limit| {
            let mut start = 0;
            let place = |&(to, len): &(SocketAddr, usize)| {
                start += len;
                (to, start - len..start)
            };
            run_length(&entries.iter().map(place).collect::<Vec<_>>(), limit)
        };
        assert_eq!(length(&[(a, 9), (a, 9), (b, 9)], 64), 2);
        assert_eq!(length(&[(a, 9), (a, 10)], 64), 1);
        assert_eq!(length(&[(a, 9), (a, 8), (a, 8)], 64), 2);
        assert_eq!(length(&[(a, 9), (a, 9), (a, 9)], 2), 2);
        assert_eq!(length(&[(a, 9), (a, 9)], 1), 1);
        assert_eq!(length(&[(a, 40000), (a, 40000)], 64), 1);
    }

    #[test]
    fn a_dual_stack_socket_knows_ipv4_peers_by_their_ipv4_address() {
        let mut dual = Underlay::bind("[::]:0".parse().unwrap()).unwrap();
        let mut v4 = Underlay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let dual_v4 = SocketAddr::new(v4.local_addr().ip(), dual.local_addr().port());
        let (mut batch, counters) = (SendBatch::new(), IoCounters::default());
        batch.push(&Datagram { to: v4.local_addr(), parts: [b"to IPv4", b"", b""] });
        batch.flush(&mut dual, &counters, Time::ZERO);
        assert_eq!(receive(&v4, 1), [(dual_v4, b"to IPv4".to_vec())]);
        batch.push(&Datagram { to: dual_v4, parts: [b"from IPv4", b"", b""] });
        batch.flush(&mut v4, &counters, Time::ZERO);
        assert_eq!(receive(&dual, 1), [(v4.local_addr(), b"from IPv4".to_vec())]);
    }

    #[test]
    fn what_cannot_be_sent_is_counted_and_the_rest_leaves() {
        let mut sender = Underlay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let receiver = Underlay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (mut batch, counters) = (SendBatch::new(), IoCounters::default());
        batch.push(&Datagram { to: receiver.local_addr(), parts: [&[0; 65535], b"", b""] });
        batch.push(&Datagram { to: "[2001:db8::1]:9".parse().unwrap(), parts: [b"no IPv6 here", b"", b""] });
        batch.push(&Datagram { to: receiver.local_addr(), parts: [b"fits", b"", b""] });
        batch.flush(&mut sender, &counters, Time::ZERO);
        assert_eq!(receive(&receiver, 1)[0].1, b"fits");
        assert_eq!(
            counters.iter().find(|(name, _)| *name == "io_send_too_long"),
            Some(("io_send_too_long", 1))
        );
        assert_eq!(counters.iter().map(|(_, value)| value).sum::<u64>(), 2);
    }

    #[test]
    fn a_port_in_use_and_a_foreign_address_are_told_apart() {
        let taken = Underlay::bind("127.0.0.1:0".parse().unwrap()).unwrap().socket;
        let address = taken.local_addr().unwrap();
        let error = Underlay::bind(address).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("another process listens on UDP {address}: stop that process, or choose another port")
        );
        let error = Underlay::bind("192.0.2.77:0".parse().unwrap()).unwrap_err();
        assert!(matches!(error, BindError::NotLocal(_)), "{error}");
    }
}
