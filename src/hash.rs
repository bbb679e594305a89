//! Keyed hashing for tables whose keys others choose (MAC addresses, locators, node ids), so that nobody
//! can make them collide on purpose.

use core::fmt;
use core::hash::BuildHasher;

use siphasher::sip::SipHasher13;

/// SipHash-1-3 under a key of the engine.
#[derive(Clone, Copy)]
pub(crate) struct KeyedHash {
    k0: u64,
    k1: u64,
}

impl KeyedHash {
    pub(crate) fn new(k0: u64, k1: u64) -> Self {
        KeyedHash { k0, k1 }
    }

    /// Another function, for each tweak.
    pub(crate) fn tweaked(self, tweak: u32) -> Self {
        KeyedHash { k0: self.k0 ^ u64::from(tweak), ..self }
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash(..)")
    }
}

impl BuildHasher for KeyedHash {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.k0, self.k1)
    }
}
