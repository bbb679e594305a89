//! The node's randomness: one generator, seeded from the configuration's entropy.
//!
//! It spreads instants and makes tokens hard to guess; it makes no keys.

use core::time::Duration;

use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::time::nanos;

/// A seeded generator.
#[derive(Debug)]
pub(crate) struct Rng(Xoshiro256PlusPlus);

impl Rng {
    pub(crate) fn new(entropy: [u8; 32]) -> Self {
        Rng(Xoshiro256PlusPlus::from_seed(entropy))
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A generator of its own for a component, so that what one draws does not change what others get.
    pub(crate) fn fork(&mut self) -> Rng {
        let mut entropy = [0; 32];
        self.0.fill_bytes(&mut entropy);
        Rng::new(entropy)
    }

    /// A duration within a tenth of `interval` around it, so that nodes do not fall into step.
    pub(crate) fn around(&mut self, interval: Duration) -> Duration {
        let nanos = nanos(interval);
        let spread = nanos / 5;
        let offset = if spread == 0 { 0 } else { self.u64() % spread };
        Duration::from_nanos(nanos - spread / 2 + offset)
    }
}
