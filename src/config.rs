//! What an embedder chooses about a node, with the default of each choice and its source.

use core::net::SocketAddr;
use core::time::Duration;

use crate::error::ConfigError;
use crate::node::{NodeId, Segment};

/// Longest name of a member, in bytes of UTF-8.
pub const MAX_NAME: usize = 63;
/// Most segments one member may serve.
pub const MAX_SEGMENTS: usize = 64;
/// Most links of a path: three relays and the destination. One relay is nearly as good as any number
/// (Andersen et al., RON, SOSP 2001; Gummadi et al., OSDI 2004), so the limit costs no gain and keeps the
/// header short.
pub const MAX_HOPS: usize = 4;

/// How datagrams are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Security {
    /// Nothing is authenticated or encrypted: for underlays that are trusted end to end. Whoever can send
    /// UDP to a node can join, read and inject.
    None,
}

/// Everything an [`Engine`](crate::Engine) is told at its creation.
///
/// [`Config::new`] fills in the defaults; the fields may then be changed.
#[derive(Clone, Debug)]
pub struct Config {
    /// The identity of this node.
    pub id: NodeId,
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
    /// How datagrams are protected; must be chosen by name.
    pub security: Security,
    /// Where the node's randomness comes from: keys of hash tables, tokens, jitter of intervals. The same
    /// bytes, configuration and calls give the same output. Must differ between nodes.
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
    /// How often each member is pinged. 100 ms to 60 s, default 1 s: with the quick retries after a loss, a
    /// dead link is noticed within about two.
    pub ping_interval: Duration,
    /// What passing through one relay costs, added to the round-trip time of a path. Default 100 us: twice
    /// the 50 us that receiving and sending in user space take on a busy machine.
    pub relay_charge: Duration,
}

impl Config {
    /// A configuration with the defaults, `security` chosen by name.
    ///
    /// `entropy` must come from a random source of the host.
    pub fn new(
        id: NodeId,
        name: impl Into<String>,
        locator: SocketAddr,
        security: Security,
        entropy: [u8; 32],
    ) -> Self {
        Config {
            id,
            name: name.into(),
            locator,
            incarnation: 1,
            seeds: Vec::new(),
            segments: vec![Segment::DEFAULT],
            security,
            entropy,
            underlay_mtu: 1500,
            max_members: 1024,
            fdb_capacity: 16384,
            fdb_ageing: Duration::from_secs(300),
            ping_interval: Duration::from_secs(1),
            relay_charge: Duration::from_micros(100),
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
        if let Some(seed) = self.seeds.iter().find(|seed| seed.ip().is_unspecified() || seed.port() == 0) {
            return Err(ConfigError::Seed(*seed));
        }
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
        range("relay_charge in milliseconds", millis(self.relay_charge), 0, 1000)
    }
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
            Config::new(NodeId([1; 32]), "fujisawa", locator, Security::None, [0; 32]).validate()
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
}
