//! Where the virtual world's randomness comes from, and the digest of what happened in it.
//!
//! Each engine and each direction of a link rolls dice of its own, named after it, so that one more node
//! does not change what the others roll. Nothing here knows what the dice decide.

use core::hash::Hasher;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use siphasher::sip::{SipHasher13, SipHasher24};

/// A stream of random numbers that follows from a seed and a name.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream called `name` under `seed`.
    pub fn named(seed: u64, name: &str) -> Self {
        let hash = SipHasher24::new_with_keys(seed, 0).hash(name.as_bytes());
        Dice(ChaCha8Rng::seed_from_u64(hash))
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Any number below `limit`, which is not zero. Biased by less than `limit` in 2^64.
    pub fn below(&mut self, limit: u64) -> u64 {
        let scaled = u128::from(self.bits()) * u128::from(limit);
        (scaled >> 64) as u64
    }

    /// Any number from 0.0 to below 1.0.
    pub fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability, 0.0 to 1.0.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.share() < probability
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

/// A running hash over everything that happens at a site: two with one history have one digest.
#[derive(Clone)]
pub(super) struct TraceDigest(SipHasher13);

impl TraceDigest {
    pub(super) fn new() -> Self {
        TraceDigest(SipHasher13::new())
    }

    /// Adds one happening: when (in nanoseconds), of which kind, and its bytes.
    pub(super) fn add(&mut self, at_ns: u64, kind: u8, bytes: &[u8]) {
        self.0.write_u64(at_ns);
        self.0.write_u8(kind);
        self.0.write_u64(bytes.len() as u64);
        self.0.write(bytes);
    }

    /// Adds all that another digest is of.
    pub(super) fn add_other(&mut self, other: &TraceDigest) {
        self.0.write_u64(other.value());
    }

    pub(super) fn value(&self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_follows_from_seed_and_name_alone() {
        let roll = |seed, name| Dice::named(seed, name).bits();
        assert_eq!(roll(7, "link a-b"), roll(7, "link a-b"));
        assert_ne!(roll(7, "link a-b"), roll(7, "link b-a"));
        assert_ne!(roll(7, "link a-b"), roll(8, "link a-b"));
    }

    #[test]
    fn shares_and_limits_are_kept() {
        let mut dice = Dice::named(1, "test");
        for _ in 0..1000 {
            assert!(dice.below(3) < 3);
            assert!((0.0..1.0).contains(&dice.share()));
        }
        assert!(!dice.chance(0.0));
        assert!(dice.chance(1.0));
        let hits = (0..10_000).filter(|_| dice.chance(0.3)).count();
        assert!((2800..3200).contains(&hits), "{hits}");
    }
}
