//! Settings of `leond run`: where they come from, and what they mean for the node.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use clap::ValueEnum;
use leon::{NodeId, Security, Segment};
use serde::Deserialize;
use siphasher::sip128::SipHasher24;

/// Where daemon and `leond status` meet unless told otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/leond.sock";

/// Settings as given in one place, the file or the command line. All are optional there; together they must
/// be complete.
#[derive(clap::Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(rustdoc::broken_intra_doc_links, reason = "clap shows these comments as they are, brackets and all")]
pub(crate) struct Settings {
    /// Name of this site, unique in the mesh
    #[arg(long)]
    name: Option<String>,
    /// Address and UDP port to listen on; [::]:PORT and 0.0.0.0:PORT mean all addresses
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Address and UDP port at which the other sites reach this one [default: the one it listens on]
    #[arg(long, value_name = "ADDR:PORT")]
    advertise: Option<SocketAddr>,
    /// A member to join the mesh through; may be repeated. The first site needs none
    #[arg(long = "seed", value_name = "HOST:PORT")]
    #[serde(default)]
    seeds: Vec<String>,
    /// TAP device that carries this site's frames; created unless it exists. Put it into a bridge
    #[arg(long, value_name = "DEVICE")]
    tap: Option<String>,
    /// Protection of the traffic between sites; must be chosen
    #[arg(long)]
    security: Option<SecurityMode>,
    /// Virtual network id of the TAP device's network, 0 to 16777215 [default: 0]
    #[arg(long, value_name = "NUMBER")]
    segment: Option<u32>,
    /// MTU of the TAP device in bytes [default: what fits the underlay]
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u16>,
    /// Largest IP packet all paths between the sites carry, in bytes [default: 1500]
    #[arg(long, value_name = "BYTES")]
    underlay_mtu: Option<u16>,
    /// Control socket for `leond status` [default: /run/leond.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// How the traffic between sites is protected.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SecurityMode {
    /// Not at all: whoever can send UDP to a site can join, read and inject. For trusted networks only
    None,
}

/// Complete settings.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) listen: SocketAddr,
    pub(crate) advertise: Option<SocketAddr>,
    pub(crate) seeds: Vec<String>,
    pub(crate) tap: String,
    pub(crate) segment: Segment,
    pub(crate) mtu: Option<u16>,
    pub(crate) underlay_mtu: u16,
    pub(crate) socket: PathBuf,
}

impl Settings {
    /// Reads a TOML file. An error shows the line.
    pub(crate) fn from_file(path: &Path) -> anyhow::Result<Settings> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read configuration file {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("configuration file {} is wrong", path.display()))
    }

    /// These settings, and those of `other` where these say nothing.
    pub(crate) fn or(self, other: Settings) -> Settings {
        Settings {
            name: self.name.or(other.name),
            listen: self.listen.or(other.listen),
            advertise: self.advertise.or(other.advertise),
            seeds: if self.seeds.is_empty() { other.seeds } else { self.seeds },
            tap: self.tap.or(other.tap),
            security: self.security.or(other.security),
            segment: self.segment.or(other.segment),
            mtu: self.mtu.or(other.mtu),
            underlay_mtu: self.underlay_mtu.or(other.underlay_mtu),
            socket: self.socket.or(other.socket),
        }
    }

    /// Fills in the defaults and says what is missing.
    pub(crate) fn complete(self) -> anyhow::Result<Plan> {
        let missing =
            |key: &str| anyhow!("`{key}` is not set: give --{key}, or set it in the file for --config");
        let listen = self.listen.ok_or_else(|| missing("listen"))?;
        ensure!(
            !listen.ip().is_unspecified() || self.advertise.is_some(),
            "`advertise` is not set: {listen} listens on all addresses, so say with --advertise ADDR:PORT at which \
             one the other sites reach this one"
        );
        let SecurityMode::None = self.security.ok_or_else(|| {
            anyhow!("`security` is not set: this version protects nothing, accept that with --security none")
        })?;
        let segment = self.segment.unwrap_or_default();
        Ok(Plan {
            name: self.name.ok_or_else(|| missing("name"))?,
            listen,
            advertise: self.advertise,
            seeds: self.seeds,
            tap: self.tap.ok_or_else(|| missing("tap"))?,
            segment: Segment::new(segment)
                .ok_or_else(|| anyhow!("`segment` must be 0 to 16777215, {segment} is not"))?,
            mtu: self.mtu,
            underlay_mtu: self.underlay_mtu.unwrap_or(1500),
            socket: self.socket.unwrap_or_else(|| DEFAULT_SOCKET.into()),
        })
    }
}

impl Plan {
    /// The engine's configuration. `local` is the address of the open socket.
    pub(crate) fn engine_config(
        &self,
        local: SocketAddr,
        seeds: Vec<SocketAddr>,
    ) -> anyhow::Result<leon::Config> {
        let entropy = leon::driver::clock::entropy().context("the kernel gives no random bytes")?;
        let locator = self.advertise.unwrap_or(local);
        let security = Security::None { id: node_id(&self.name) };
        let mut config = leon::Config::new(&self.name, locator, security, entropy);
        config.incarnation = leon::driver::clock::incarnation();
        config.seeds = seeds;
        config.segments = vec![self.segment];
        config.underlay_mtu = self.underlay_mtu;
        Ok(config)
    }

    /// The addresses of the seeds that the socket can send to. Names that do not resolve are logged; it is
    /// an error if that leaves none.
    pub(crate) fn resolve_seeds(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let mut addresses = Vec::new();
        for seed in &self.seeds {
            match resolve(seed, self.listen.ip()) {
                Ok(found) => addresses.extend(found),
                Err(error) => log::warn!("{error:#}"),
            }
        }
        if addresses.is_empty() && !self.seeds.is_empty() {
            bail!("none of the seeds can be used: {}", self.seeds.join(", "));
        }
        Ok(addresses)
    }
}

fn resolve(seed: &str, listen: IpAddr) -> anyhow::Result<Vec<SocketAddr>> {
    let all = seed.to_socket_addrs().with_context(|| format!("cannot resolve seed {seed}"))?;
    let usable: Vec<_> = all.filter(|address| can_reach(listen, address.ip())).collect();
    ensure!(!usable.is_empty(), "seed {seed} has no address that a socket on {listen} can send to");
    Ok(usable)
}

/// True if a socket bound to `listen` can send to `address`, as far as IP versions go.
fn can_reach(listen: IpAddr, address: IpAddr) -> bool {
    listen.is_ipv6() && listen.is_unspecified() || listen.is_ipv4() == address.is_ipv4()
}

/// The identity of a node whose identity nobody checks: it follows from the name alone, so that it is the
/// same after every restart and no state must be kept.
fn node_id(name: &str) -> NodeId {
    let mut id = [0; 32];
    for (half, key) in id.chunks_exact_mut(16).zip(0..) {
        let hash = SipHasher24::new_with_keys(0x006c_656f_6e64_2069, key).hash(name.as_bytes());
        half.copy_from_slice(&hash.as_bytes());
    }
    NodeId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(toml: &str) -> Settings {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = settings("name = 'file'\nlisten = '127.0.0.1:1'\ntap = 'leon0'\nseeds = ['a:1', 'b:2']");
        let flags = settings("name = 'flag'\nseeds = ['c:3']\nsecurity = 'none'\nsegment = 9");
        let plan = flags.or(file).complete().unwrap();
        assert_eq!((plan.name.as_str(), plan.tap.as_str()), ("flag", "leon0"));
        assert_eq!(plan.seeds, ["c:3"]);
        assert_eq!(plan.segment.id(), 9);
        assert_eq!(plan.socket, Path::new(DEFAULT_SOCKET));
    }

    #[test]
    fn the_identity_follows_from_the_name_alone() {
        assert_eq!(node_id("seoul"), node_id("seoul"));
        assert_ne!(node_id("seoul"), node_id("inagi"));
        assert_ne!(node_id("seoul").0[..16], node_id("seoul").0[16..]);
        // Pinned: another value would make every node of a mesh a stranger after an upgrade.
        assert_eq!(node_id("seoul").to_string(), "937e3b73df925206");
    }

    #[test]
    fn a_seed_must_have_an_address_of_an_ip_version_the_socket_speaks() {
        let [v4, v6, any]: [IpAddr; 3] = ["127.0.0.1", "::1", "::"].map(|text| text.parse().unwrap());
        assert!(resolve("127.0.0.1:9", v4).is_ok() && resolve("127.0.0.1:9", any).is_ok());
        assert!(resolve("127.0.0.1:9", v6).is_err());
        assert!(resolve("no port", v4).unwrap_err().to_string().contains("no port"));
    }
}
