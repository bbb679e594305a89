//! The node's randomness: one generator, seeded from the configuration's entropy.
//!
//! It makes keys, so its output cannot be guessed from other output, nor what it has given as a secret from
//! what it holds afterwards.

use core::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use crate::key;
use crate::node::NodeId;
use crate::time::nanos;

/// A seeded generator.
#[derive(Debug)]
pub(crate) struct Rng(ChaCha20Rng);

impl Rng {
    /// The generator of one life of one node. Another node, or another life, gets other numbers even if its
    /// host repeats the entropy.
    pub(crate) fn of_life(entropy: &[u8; 32], id: NodeId, incarnation: u64) -> Self {
        let entropy = Salt::new(HKDF_SHA256, b"leon 1 random").extract(entropy);
        Rng::new(*key::expand(&entropy, &[&id.0, &incarnation.to_be_bytes()]))
    }

    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Rng(ChaCha20Rng::from_seed(seed))
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// 32 bytes for a key. The generator goes on from another seed, so that nobody who reads its memory later
    /// can tell what it gave.
    pub(crate) fn secret(&mut self) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        let mut seed = Zeroizing::new([0; 32]);
        self.0.fill_bytes(&mut *secret);
        self.0.fill_bytes(&mut *seed);
        *self = Rng::new(*seed);
        secret
    }

    /// A generator of its own for a component, so that what one draws does not change what others get.
    pub(crate) fn fork(&mut self) -> Rng {
        Rng::new(*self.secret())
    }

    /// A duration within a tenth of `interval` around it, so that nodes do not fall into step.
    pub(crate) fn around(&mut self, interval: Duration) -> Duration {
        self.within(interval, 10)
    }

    /// A duration below `limit`.
    pub(crate) fn below(&mut self, limit: Duration) -> Duration {
        Duration::from_nanos(self.u64() % nanos(limit).max(1))
    }

    /// A duration that differs from `interval` by less than its `part`th part.
    pub(crate) fn within(&mut self, interval: Duration, part: u64) -> Duration {
        let nanos = nanos(interval);
        let spread = nanos / part * 2;
        let offset = if spread == 0 { 0 } else { self.u64() % spread };
        Duration::from_nanos(nanos - spread / 2 + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_node_or_another_life_gets_other_numbers_from_the_same_entropy() {
        let first = |id, incarnation| Rng::of_life(&[7; 32], NodeId([id; 32]), incarnation).u64();
        assert_eq!(first(1, 1), first(1, 1));
        assert_ne!(first(1, 1), first(1, 2));
        assert_ne!(first(1, 1), first(2, 1));
    }

    #[test]
    fn no_secret_is_given_twice() {
        let mut rng = Rng::new([1; 32]);
        let secrets = [rng.secret(), rng.fork().secret(), rng.secret(), Rng::new([2; 32]).secret()];
        for (n, secret) in secrets.iter().enumerate() {
            assert!(secrets[..n].iter().all(|other| **other != **secret));
        }
    }

    #[test]
    fn the_state_is_never_shown() {
        let seed = [0xab; 32];
        let shown = format!("{:?}", Rng::new(seed));
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("ab, ab"), "{shown}");
    }
}
