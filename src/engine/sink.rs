//! Where an engine's outputs go: a sink that the caller lends for the length of one call.

use core::net::SocketAddr;

use crate::engine::event::Event;
use crate::node::Segment;
use crate::session::SHARED_TAIL_LEN;
use crate::time::Time;
use crate::wire::SEALED_PREFIX_LEN;
use crate::wire::header::MAX_HEADER_LEN;

/// Takes what a call to the engine puts out, at once and in order.
///
/// The methods are called on the calling thread, with no lock of the engine held. What they are lent is
/// valid until they return. The parts of a datagram and the bytes of a frame moreover stay where they are and as
/// they are until [`reclaim`](Self::reclaim) is called or the call of the engine returns, so that unsafe code
/// may hand many of them to the kernel at once without a copy.
pub trait Sink {
    /// Send this datagram.
    fn datagram(&mut self, datagram: Datagram<'_>);
    /// Deliver this frame to the local network.
    fn frame(&mut self, frame: Frame<'_>);
    /// Something happened that people may want to know of.
    fn event(&mut self, event: Event);
    /// The engine's deadline is now `at`: call [`Engine::timer`](crate::Engine::timer) then. Replaces all
    /// earlier deadlines; [`Time::NEVER`] if there is none.
    fn deadline(&mut self, at: Time);
    /// The parts of datagrams and the bytes of frames that were lent so far are about to change or to go. Only a
    /// sink that keeps pointers to them needs this.
    fn reclaim(&mut self) {}
    /// A datagram for the control plane is about to be dealt with, which may allocate up to so many bytes. False if
    /// they are not to be had: the datagram is then dropped and counted as
    /// [`Counter::NoMemory`](crate::Counter::NoMemory). For a sink that sets memory aside before it is needed.
    fn admit(&mut self, _bytes: usize) -> bool {
        true
    }
}

/// A datagram to send from the node's one UDP socket.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The address to send to.
    pub to: SocketAddr,
    /// The payload in pieces, to be sent one after the other: header, body, tag. Some may be empty. The header has
    /// at most [`MAX_HEADER`](Self::MAX_HEADER) bytes, the tag at most [`MAX_TAG`](Self::MAX_TAG).
    pub parts: [&'a [u8]; 3],
}

impl Datagram<'_> {
    /// Longest header of a datagram, in bytes: four hops to IPv6 locators.
    pub const MAX_HEADER: usize = MAX_HEADER_LEN + SEALED_PREFIX_LEN;
    /// Longest tag of a datagram, in bytes: that of a frame that is encrypted once for many members.
    pub const MAX_TAG: usize = SHARED_TAIL_LEN;

    /// Length of the payload, in bytes.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// True if the payload has no bytes; the engine puts out no such datagram.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the payload to `buffer`.
    pub fn append_to(&self, buffer: &mut Vec<u8>) {
        for part in self.parts {
            buffer.extend_from_slice(part);
        }
    }
}

/// A frame for the local network.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The segment it belongs to.
    pub segment: Segment,
    /// The Ethernet frame, from its destination address on, without the frame check sequence.
    pub bytes: &'a [u8],
}
