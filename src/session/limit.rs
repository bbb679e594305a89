//! What keeps handshakes from being a burden: limits by address, and cookies that prove an address.
//!
//! Whoever gets here holds the network key, or repeats a datagram of someone who does, from whatever address it
//! likes to write into it. So what comes without a proof of its address uses up nothing that those with one need.
//! The tables of limits have a fixed size; addresses that share a place share a limit.

use core::fmt;
use core::hash::{BuildHasher, Hasher};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use siphasher::sip128::SipHasher24;
use zeroize::Zeroizing;

use crate::hash::KeyedHash;
use crate::node::NodePrefix;
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::handshake::COOKIE_LEN;

/// A cookie is good for one to two of these (WireGuard's is for 2 minutes).
const COOKIE_INTERVAL: Duration = Duration::from_secs(60);
/// Handshakes per second that one IP address may begin, on average and at once: a mesh of 200 that starts all
/// at once behind one address gets through in seconds. One limit with a proof of the address, one without.
const ADDRESS: Rate = Rate { per_second: 50, burst: 256 };
/// Handshakes per second that begin without a proof, from all addresses together: at a quarter of a millisecond
/// each, a twentieth of a core.
const UNPROVEN: Rate = Rate { per_second: 200, burst: 1024 };
/// Challenges per second to whomever: at a few microseconds each, a twentieth of a core. No limit by address, which
/// is not proven: one who repeats a hello under the address of another would keep that one out.
const CHALLENGES: Rate = Rate { per_second: 10_000, burst: 1000 };
/// Places in each table of addresses.
const PLACES: usize = 1024;

/// So many things per second on average, and so many at once.
#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: u32,
    burst: u32,
}

/// What is left of a rate.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When the bucket was, or will be, full again less its burst (the theoretical arrival time of GCRA).
    full_at: Time,
}

impl Bucket {
    const EMPTY: Bucket = Bucket { full_at: Time::ZERO };

    fn take(&mut self, rate: Rate, now: Time) -> bool {
        let interval = Duration::from_secs(1) / rate.per_second;
        let full_at = self.full_at.max(now) + interval;
        let is_within = full_at.since(now) <= interval * rate.burst;
        if is_within {
            self.full_at = full_at;
        }
        is_within
    }
}

/// What may be done with a handshake that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Go on.
    Granted,
    /// Ask for a proof of its address first.
    Challenge,
    /// Do nothing.
    Denied,
}

/// Limits and cookies.
pub(super) struct Gate {
    proven: Vec<Bucket>,
    unproven: Vec<Bucket>,
    all_unproven: Bucket,
    challenges: Bucket,
    hash: KeyedHash,
    /// Keys of the present and the former cookies.
    cookie_keys: [Zeroizing<[u8; 16]>; 2],
    renew_at: Time,
    rng: Rng,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate(..)")
    }
}

impl Gate {
    pub(super) fn new(mut rng: Rng) -> Self {
        Gate {
            proven: vec![Bucket::EMPTY; PLACES],
            unproven: vec![Bucket::EMPTY; PLACES],
            all_unproven: Bucket::EMPTY,
            challenges: Bucket::EMPTY,
            hash: KeyedHash::new(rng.u64(), rng.u64()),
            cookie_keys: [rng.array(), rng.array()].map(Zeroizing::new),
            renew_at: Time::ZERO,
            rng,
        }
    }

    /// Decides on an initiation. `has_proof` if it has a valid cookie. What a member relays does not count against
    /// what it sends itself.
    pub(super) fn admit(&mut self, from: IpAddr, is_relayed: bool, has_proof: bool, now: Time) -> Admission {
        let mut hasher = self.hash.build_hasher();
        hasher.write_u8(u8::from(is_relayed));
        match from {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            // One subscriber has a whole /64 (RFC 6177 §2).
            IpAddr::V6(v6) => hasher.write(&v6.octets()[..8]),
        }
        let place = hasher.finish() as usize % PLACES;
        let is_granted = if has_proof {
            self.proven[place].take(ADDRESS, now)
        } else {
            self.unproven[place].take(ADDRESS, now) && self.all_unproven.take(UNPROVEN, now)
        };
        match (is_granted, has_proof) {
            (true, _) => Admission::Granted,
            (false, false) if self.may_challenge(now) => Admission::Challenge,
            (false, _) => Admission::Denied,
        }
    }

    /// Whether there may be another challenge.
    pub(super) fn may_challenge(&mut self, now: Time) -> bool {
        self.challenges.take(CHALLENGES, now)
    }

    /// The cookie with which `node` proves that it receives what is sent to `address`.
    pub(super) fn cookie(&mut self, address: SocketAddr, node: NodePrefix, now: Time) -> [u8; COOKIE_LEN] {
        self.renew(now);
        cookie(&self.cookie_keys[0], address, node)
    }

    /// True if a cookie given out one or two minutes ago at most came back from where it was sent.
    pub(super) fn is_proof(
        &mut self,
        candidate: &[u8; COOKIE_LEN],
        address: SocketAddr,
        node: NodePrefix,
        now: Time,
    ) -> bool {
        self.renew(now);
        let candidate = u128::from_ne_bytes(*candidate);
        self.cookie_keys.iter().any(|key| u128::from_ne_bytes(cookie(key, address, node)) == candidate)
    }

    fn renew(&mut self, now: Time) {
        if now < self.renew_at {
            return;
        }
        // After a long silence both are too old.
        if now >= self.renew_at + COOKIE_INTERVAL {
            self.cookie_keys[0] = Zeroizing::new(self.rng.array());
        }
        self.cookie_keys.swap(0, 1);
        self.cookie_keys[0] = Zeroizing::new(self.rng.array());
        self.renew_at = now + COOKIE_INTERVAL;
    }
}

fn cookie(key: &[u8; 16], address: SocketAddr, node: NodePrefix) -> [u8; COOKIE_LEN] {
    let mut bytes = [0; 26];
    match address.ip() {
        IpAddr::V4(v4) => bytes[..16].copy_from_slice(&v4.to_ipv6_mapped().octets()),
        IpAddr::V6(v6) => bytes[..16].copy_from_slice(&v6.octets()),
    }
    bytes[16..18].copy_from_slice(&address.port().to_be_bytes());
    bytes[18..].copy_from_slice(&node.0.to_be_bytes());
    SipHasher24::new_with_key(key).hash(&bytes).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(Rng::new([1; 32]))
    }

    const NODE: NodePrefix = NodePrefix(7);

    fn count(admissions: impl Iterator<Item = Admission>, of: Admission) -> usize {
        admissions.filter(|admission| *admission == of).count()
    }

    #[test]
    fn one_address_cannot_use_up_what_others_may_do() {
        let mut gate = gate();
        let now = Time::from_nanos(1 << 40);
        let [flooder, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let proven = (0..100_000).map(|_| gate.admit(flooder, false, true, now));
        assert_eq!(count(proven, Admission::Granted), ADDRESS.burst as usize);
        assert_eq!(gate.admit(flooder, false, true, now), Admission::Denied);
        assert_eq!(gate.admit(other, false, true, now), Admission::Granted);
        assert_eq!(gate.admit(flooder, true, true, now), Admission::Granted, "it relays for others, too");
        assert_eq!(gate.admit(flooder, false, true, now + Duration::from_secs(1)), Admission::Granted);
    }

    #[test]
    fn what_comes_under_the_address_of_another_does_not_keep_it_out() {
        let mut gate = gate();
        let now = Time::from_nanos(1 << 40);
        let victim: IpAddr = "192.0.2.1".parse().unwrap();
        let repeated = (0..100_000).map(|_| gate.admit(victim, false, false, now));
        assert_eq!(count(repeated, Admission::Granted), ADDRESS.burst as usize);
        let later = now + Duration::from_millis(1);
        assert_eq!(gate.admit(victim, false, false, later), Admission::Challenge, "it gets a cookie");
        assert_eq!(gate.admit(victim, false, true, later), Admission::Granted, "and comes in with it");
    }

    #[test]
    fn a_flood_from_everywhere_must_prove_its_addresses() {
        let mut gate = gate();
        let now = Time::from_nanos(1 << 40);
        let from = |n: u32| IpAddr::from(n.wrapping_mul(65_537).to_be_bytes());
        let granted = count((0..100_000).map(|n| gate.admit(from(n), false, false, now)), Admission::Granted);
        assert_eq!(granted, UNPROVEN.burst as usize);
        assert_eq!(gate.admit("192.0.2.1".parse().unwrap(), false, true, now), Admission::Granted);
    }

    #[test]
    fn a_cookie_is_good_for_its_address_port_and_node_and_for_a_minute_or_two() {
        let mut gate = gate();
        let now = Time::from_nanos(1 << 40);
        let address: SocketAddr = "192.0.2.1:4789".parse().unwrap();
        let cookie = gate.cookie(address, NODE, now);
        assert!(gate.is_proof(&cookie, address, NODE, now));
        assert!(!gate.is_proof(&cookie, "192.0.2.1:4790".parse().unwrap(), NODE, now));
        assert!(!gate.is_proof(&cookie, "192.0.2.2:4789".parse().unwrap(), NODE, now));
        assert!(!gate.is_proof(&cookie, address, NodePrefix(8), now));
        assert!(gate.is_proof(&cookie, address, NODE, now + COOKIE_INTERVAL));
        assert!(!gate.is_proof(&cookie, address, NODE, now + 3 * COOKIE_INTERVAL));
    }
}
