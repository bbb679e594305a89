//! The man in the middle: what passes from one site to another goes through a function that sees it, and may
//! drop, change, delay, repeat or redirect it.
//!
//! Knows addresses and bytes, not what they mean.

use core::net::SocketAddr;
use core::time::Duration;

use crate::sim::world::World;

/// A datagram on its way, as who sits in the middle holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// The address that the receiver will see it come from.
    pub from: SocketAddr,
    /// The site that it will reach.
    pub site: usize,
    /// After what time.
    pub after: Duration,
    /// Its payload.
    pub bytes: Vec<u8>,
}

/// What someone in the middle does with each datagram: gives what is to arrive instead of it.
pub(super) type Middle = Box<dyn FnMut(Caught) -> Vec<Caught>>;

/// The man in the middle.
impl World {
    /// From now on `act` decides what becomes of each datagram that the underlay takes from one site to another,
    /// in this direction: what it gives arrives, and nothing else. `|caught| vec![caught]` changes nothing.
    pub fn intercept(&mut self, from: usize, to: usize, act: impl FnMut(Caught) -> Vec<Caught> + 'static) {
        self.middles.insert((from, to), Box::new(act));
    }

    /// Ends an [`intercept`](World::intercept).
    pub fn stop_intercepting(&mut self, from: usize, to: usize) {
        self.middles.remove(&(from, to));
    }
}
