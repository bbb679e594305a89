//! What an embedder chooses about a node, with the default of each choice and its source.

mod policy;
#[cfg(feature = "text")]
mod text;
#[cfg(feature = "text")]
mod value;

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use crate::error::ConfigError;
use crate::key::{NetworkKey, SecretKey};
use crate::node::{NodeId, Segment};
use crate::time::nanos;
pub use policy::{Bulk, MAX_POLICY_ENTRIES, MAX_PRICE, PathPart, Policy};
#[cfg(feature = "text")]
pub use text::TextError;

/// Longest name of a member, in bytes of UTF-8.
pub const MAX_NAME: usize = 63;
/// Most segments one member may serve.
pub const MAX_SEGMENTS: usize = 64;
/// Most hosts one node may announce: what a member may hold of an FDB of the default size.
pub const MAX_ANNOUNCED_HOSTS: usize = 4096;
/// Most links of a path: three relays and the destination. One relay is nearly as good as any number
/// (Andersen et al., RON, SOSP 2001; Gummadi et al., OSDI 2004), so the limit costs no gain and keeps the
/// header short.
pub const MAX_HOPS: usize = 4;

/// How datagrams are protected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Security {
    /// Every datagram is encrypted and authenticated between its source and its destination, and
    /// authenticated towards each relay. Only holders of the network key get an answer.
    Sealed(Keys),
    /// Nothing is authenticated or encrypted: for underlays that are trusted end to end. Whoever can send
    /// UDP to a node can join, read and inject.
    None {
        /// The identity of this node, which nobody checks.
        id: NodeId,
    },
}

/// The keys of a node.
#[derive(Clone, Debug)]
pub struct Keys {
    secret: SecretKey,
    network: NetworkKey,
    id: NodeId,
    /// The nodes that may be members; `None` for every holder of the network key. Default `None`.
    pub allowed: Option<BTreeSet<NodeId>>,
}

impl Keys {
    /// The keys of the node that `secret` identifies, in the mesh of `network`.
    pub fn new(secret: SecretKey, network: NetworkKey) -> Self {
        let id = secret.node_id();
        Keys { secret, network, id, allowed: None }
    }

    /// The identity that belongs to the secret key.
    pub fn id(&self) -> NodeId {
        self.id
    }

    pub(crate) fn secret(&self) -> &SecretKey {
        &self.secret
    }

    pub(crate) fn network(&self) -> &NetworkKey {
        &self.network
    }
}

/// An authenticated cipher for frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cipher {
    /// AES-256-GCM (NIST SP 800-38D): the faster one where the CPU has instructions for AES.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439): the faster one elsewhere.
    ChaCha20Poly1305,
}

impl Cipher {
    /// The one that this machine does faster.
    pub fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        let has_aes = std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq");
        #[cfg(target_arch = "aarch64")]
        let has_aes = std::arch::is_aarch64_feature_detected!("aes");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let has_aes = false;
        if has_aes { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 }
    }
}

/// Everything an [`Engine`](crate::Engine) is told at its creation.
///
/// [`Config::new`] fills in the defaults; the fields may then be changed.
#[derive(Clone)]
pub struct Config {
    /// The name people know this node by: 1 to [`MAX_NAME`] bytes, unique in the mesh.
    pub name: String,
    /// The address at which the other members reach this node; it names the node in paths.
    pub locator: SocketAddr,
    /// When this life of the node began, in a unit of the host's choice that never goes back over restarts
    /// (nanoseconds of the wall clock will do). A higher one replaces the former life.
    pub incarnation: u64,
    /// Addresses of members to fetch the list from (§4.1); may be empty for the first node. The address of
    /// the node itself among them is ignored, so that all nodes may share one configuration.
    pub seeds: Vec<SocketAddr>,
    /// Segments this node serves, without repeats; at most [`MAX_SEGMENTS`].
    pub segments: Vec<Segment>,
    /// How datagrams are protected, and with it the identity of this node; must be chosen by name.
    pub security: Security,
    /// The cipher this node is fast with. Two members use AES-256-GCM between them if both prefer it, else
    /// ChaCha20-Poly1305. Default [`Cipher::fastest`].
    pub cipher: Cipher,
    /// Where the node's randomness comes from: session keys, keys of hash tables, tokens, jitter of
    /// intervals. The same bytes, configuration and calls give the same output. As secret as a key.
    pub entropy: [u8; 32],
    /// Largest IP packet the underlay carries, in bytes, 1280 to 65535. Frames that would need more are
    /// dropped and counted. Default 1500.
    pub underlay_mtu: u16,
    /// Most members, this node included, 2 to 4096. Default 1024.
    pub max_members: usize,
    /// Most hosts the FDB holds, a power of two from 64 to 2^22. Default 16384.
    pub fdb_capacity: usize,
    /// How long a host that sends nothing stays in the FDB. Default 300 s (IEEE 802.1D).
    pub fdb_ageing: Duration,
    /// How often the link to each member is probed where there are at most 14. 100 ms to 60 s, default 2 s: with the
    /// quick probes after a loss, one end or the other notices a dead link within about one and a half. Where
    /// there are more members, links that no frames take are probed more seldom, down to a fifteenth.
    pub ping_interval: Duration,
    /// What passing through one relay costs, added to the round-trip time of a path. Default 100 us: twice
    /// the 50 us that receiving and sending in user space take on a busy machine.
    pub relay_charge: Duration,
    /// What this node's paths are to be, whatever the latencies. Default: nothing in particular.
    pub policy: Policy,
    /// Which frames are bulk traffic. Default: none, all take the path with the lowest latency.
    pub bulk: Bulk,
    /// Whether this node relays for others. One that does not is on no path but its own. Default true.
    pub transit: bool,
    /// Datagrams per second that this node can relay for all members together, 1 to 10^9: as it comes near to that,
    /// others take other paths. Default 1 000 000.
    pub relay_capacity: u32,
    /// Most datagrams per second that are relayed for one member, 1 to 10^9, with bursts of a tenth of a second's
    /// worth. Default 1 000 000: 11 Gbit/s of frames of 1400 bytes.
    pub relay_limit: u32,
    /// Most frames per second that one member may send to all hosts of this site (broadcast, multicast and
    /// unknown unicast), 1 to 10^9, with bursts of a second's worth. Default 10 000.
    pub flood_limit: u32,
}

impl Config {
    /// A configuration with the defaults, `security` chosen by name.
    ///
    /// `entropy` must come from a random source of the host.
    pub fn new(name: impl Into<String>, locator: SocketAddr, security: Security, entropy: [u8; 32]) -> Self {
        Config {
            name: name.into(),
            locator,
            incarnation: 1,
            seeds: Vec::new(),
            segments: vec![Segment::DEFAULT],
            security,
            cipher: Cipher::fastest(),
            entropy,
            underlay_mtu: 1500,
            max_members: 1024,
            fdb_capacity: 16384,
            fdb_ageing: Duration::from_secs(300),
            ping_interval: Duration::from_secs(2),
            relay_charge: Duration::from_micros(100),
            policy: Policy::default(),
            bulk: Bulk::default(),
            transit: true,
            relay_capacity: 1_000_000,
            relay_limit: 1_000_000,
            flood_limit: 10_000,
        }
    }

    /// The identity of this node.
    pub fn id(&self) -> NodeId {
        match &self.security {
            Security::Sealed(keys) => keys.id(),
            Security::None { id } => *id,
        }
    }

    /// Checks every range the fields document.
    ///
    /// # Errors
    ///
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.name.is_empty() || self.name.len() > MAX_NAME || self.name.chars().any(char::is_control) {
            return Err(ConfigError::Name);
        }
        if !is_locator(self.locator) {
            return Err(ConfigError::Locator(self.locator));
        }
        validate_seeds(&self.seeds)?;
        let mut segments = self.segments.clone();
        segments.sort_unstable();
        segments.dedup();
        if segments.is_empty() || segments.len() != self.segments.len() || segments.len() > MAX_SEGMENTS {
            return Err(ConfigError::Segments);
        }
        let range = |field, value: u64, low: u64, high: u64| {
            (low..=high).contains(&value).then_some(()).ok_or(ConfigError::Range { field, value, low, high })
        };
        range("underlay_mtu", u64::from(self.underlay_mtu), 1280, 65535)?;
        range("max_members", self.max_members as u64, 2, 4096)?;
        range("fdb_capacity", self.fdb_capacity as u64, 64, 1 << 22)?;
        if !self.fdb_capacity.is_power_of_two() {
            return Err(ConfigError::FdbCapacity(self.fdb_capacity));
        }
        range("fdb_ageing in seconds", self.fdb_ageing.as_secs(), 1, 1_000_000)?;
        range("ping_interval in milliseconds", millis(self.ping_interval), 100, 60_000)?;
        range("relay_charge in nanoseconds", nanos(self.relay_charge), 0, 1_000_000_000)?;
        self.policy.validate()?;
        self.bulk.validate()?;
        range("relay_capacity", u64::from(self.relay_capacity), 1, 1_000_000_000)?;
        range("relay_limit", u64::from(self.relay_limit), 1, 1_000_000_000)?;
        range("flood_limit", u64::from(self.flood_limit), 1, 1_000_000_000)
    }
}

impl fmt::Debug for Config {
    /// Every field but the entropy, from which session keys follow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("name", &self.name)
            .field("locator", &self.locator)
            .field("incarnation", &self.incarnation)
            .field("seeds", &self.seeds)
            .field("segments", &self.segments)
            .field("security", &self.security)
            .field("cipher", &self.cipher)
            .field("underlay_mtu", &self.underlay_mtu)
            .field("max_members", &self.max_members)
            .field("fdb_capacity", &self.fdb_capacity)
            .field("fdb_ageing", &self.fdb_ageing)
            .field("ping_interval", &self.ping_interval)
            .field("relay_charge", &self.relay_charge)
            .field("policy", &self.policy)
            .field("bulk", &self.bulk)
            .field("transit", &self.transit)
            .field("relay_capacity", &self.relay_capacity)
            .field("relay_limit", &self.relay_limit)
            .field("flood_limit", &self.flood_limit)
            .finish_non_exhaustive()
    }
}

/// Checks that each of `seeds` can be sent to.
pub(crate) fn validate_seeds(seeds: &[SocketAddr]) -> Result<(), ConfigError> {
    let wrong = seeds.iter().find(|seed| seed.ip().is_unspecified() || seed.port() == 0);
    wrong.map_or(Ok(()), |seed| Err(ConfigError::Seed(*seed)))
}

/// True if one node can be reached at `address` and all others write it alike: a unicast address with a port,
/// without a scope, which the wire does not carry, and not an IPv4 address written as an IPv6 one.
pub(crate) fn is_locator(address: SocketAddr) -> bool {
    let ip = address.ip();
    let is_unicast = !ip.is_unspecified() && !ip.is_multicast();
    is_unicast && address.port() != 0 && address == SocketAddr::new(ip.to_canonical(), address.port())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_is_an_address_that_one_node_can_be_reached_at_and_has_one_spelling() {
        let validate = |locator: &str| {
            let locator = locator.parse().unwrap();
            Config::new("fujisawa", locator, Security::None { id: NodeId([1; 32]) }, [0; 32]).validate()
        };
        assert!(
            ["192.0.2.1:4789", "[2001:db8::1]:4789"].into_iter().all(|locator| validate(locator).is_ok())
        );
        for locator in
            ["0.0.0.0:4789", "[ff02::1]:4789", "192.0.2.1:0", "[::ffff:192.0.2.1]:4789", "[fe80::1%2]:4789"]
        {
            assert_eq!(validate(locator), Err(ConfigError::Locator(locator.parse().unwrap())), "{locator}");
        }
    }

    #[test]
    fn no_secret_of_a_configuration_is_shown() {
        let keys = Keys::new(SecretKey::from_bytes([0xa1; 32]), NetworkKey::from_bytes([0xa2; 32]));
        let locator = SocketAddr::from(([192, 0, 2, 1], 4789));
        let config = Config::new("fujisawa", locator, Security::Sealed(keys.clone()), [0xa3; 32]);
        let shown = format!("{config:?} {config:#?}");
        for byte in [0xa1_u8, 0xa2, 0xa3] {
            let repeated = [byte, byte];
            let (decimal, hexadecimal) = (format!("{byte}, {byte}"), format!("{repeated:02x?}"));
            assert!(!shown.contains(&decimal) && !shown.contains(&hexadecimal[1..7]), "{shown}");
        }
        for secret in [keys.secret().to_base64(), keys.network().to_base64()] {
            assert!(!shown.contains(&*secret), "{shown}");
        }
        assert!(shown.contains("SecretKey(..)") && shown.contains(&config.id().to_string()), "{shown}");
    }

    #[test]
    fn the_identity_follows_from_the_security() {
        let secret = SecretKey::from_bytes([1; 32]);
        let id = secret.node_id();
        let locator = SocketAddr::from(([192, 0, 2, 1], 4789));
        let sealed = Security::Sealed(Keys::new(secret, NetworkKey::from_bytes([2; 32])));
        assert_eq!(Config::new("fujisawa", locator, sealed, [3; 32]).id(), id);
        let unsealed = Security::None { id: NodeId([4; 32]) };
        assert_eq!(Config::new("fujisawa", locator, unsealed, [3; 32]).id(), NodeId([4; 32]));
    }
}
