//! The frame port: a descriptor that carries one Ethernet frame per read and write, and the buffers that
//! frames are read into. Knows nothing of paths or datagrams.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use rustix::io::{Errno, retry_on_intr};

use crate::driver::tap::Tap;
use crate::engine::FrameIn;
use crate::node::Segment;

/// Most frames taken from the port in one go. A batch shares one clock reading and one flush; more would
/// let a busy port delay the datagrams of others.
const BATCH: usize = 64;

/// Room for one frame, in bytes: the largest MTU of a TAP device, an Ethernet header and two VLAN tags.
const FRAME_ROOM: usize = 65521 + 14 + 8;

/// Where the frames of one segment enter and leave: a TAP device or one end of a datagram socket pair.
#[derive(Debug)]
pub struct Port {
    fd: OwnedFd,
    segment: Segment,
}

impl Port {
    /// The frames of a TAP device, as those of `segment`.
    pub fn from_tap(tap: Tap, segment: Segment) -> Port {
        Port { fd: tap.into_fd(), segment }
    }

    /// The frames that arrive at a connected Unix datagram socket, one per datagram, as those of
    /// `segment`. What is at the other end may be a virtual machine, a test, or a host in user space.
    ///
    /// # Errors
    ///
    /// Fails if the socket cannot be made non-blocking.
    pub fn from_unix_datagram(socket: UnixDatagram, segment: Segment) -> io::Result<Port> {
        socket.set_nonblocking(true)?;
        Ok(Port { fd: socket.into(), segment })
    }

    /// The segment of all frames of this port.
    pub fn segment(&self) -> Segment {
        self.segment
    }

    /// Hands one frame to the local network, without waiting.
    pub(super) fn write(&self, frame: &[u8]) -> io::Result<()> {
        rustix::io::write(&self.fd, frame)?;
        Ok(())
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Buffers for one batch of frames, allocated once. Only the pages that frames touch become resident.
pub(super) struct FrameBuffers {
    bytes: Vec<u8>,
    lengths: Vec<usize>,
}

impl FrameBuffers {
    pub(super) fn new() -> Self {
        FrameBuffers { bytes: vec![0; BATCH * FRAME_ROOM], lengths: Vec::with_capacity(BATCH) }
    }

    /// Replaces the batch by the frames that wait at `port`, [`BATCH`] at most.
    ///
    /// # Errors
    ///
    /// The port is of no further use, because its device is gone.
    pub(super) fn fill(&mut self, port: &Port) -> io::Result<()> {
        self.lengths.clear();
        for buffer in self.bytes.chunks_exact_mut(FRAME_ROOM) {
            match retry_on_intr(|| rustix::io::read(&port.fd, &mut *buffer)) {
                Ok(length) => self.lengths.push(length),
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// The batch, in the order in which the frames were read.
    pub(super) fn frames(&mut self, segment: Segment) -> impl Iterator<Item = FrameIn<'_>> {
        let buffers = self.bytes.chunks_exact_mut(FRAME_ROOM);
        buffers
            .zip(&self.lengths)
            .map(move |(buffer, &length)| FrameIn { segment, bytes: &mut buffer[..length] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_in_order_and_a_batch_is_bounded() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let segment = Segment::new(7).unwrap();
        let port = Port::from_unix_datagram(ours, segment).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let sent = (0u8..=200).take_while(|&n| theirs.send(&[n; 60]).is_ok()).count();
        let mut buffers = FrameBuffers::new();
        let mut seen = Vec::new();
        while seen.len() < sent {
            buffers.fill(&port).unwrap();
            let before = seen.len();
            for frame in buffers.frames(segment) {
                assert_eq!((frame.segment, frame.bytes.len()), (segment, 60));
                seen.push(usize::from(frame.bytes[0]));
            }
            assert!((1..=BATCH).contains(&(seen.len() - before)));
        }
        assert!(seen.into_iter().eq(0..sent));
    }
}
