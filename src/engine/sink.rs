//! Where an engine's outputs go: a sink that the caller lends for the length of one call.

use core::net::SocketAddr;

use crate::engine::event::Event;
use crate::node::Segment;
use crate::time::Time;

/// Takes what a call to the engine puts out, at once and in order.
///
/// The methods are called on the calling thread, with no lock of the engine held. What they are lent is
/// valid until they return.
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
}

/// A datagram to send from the node's one UDP socket.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The address to send to.
    pub to: SocketAddr,
    /// The payload in pieces, to be sent one after the other: header, body, tag. Some may be empty.
    pub parts: [&'a [u8]; 3],
}

impl Datagram<'_> {
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
