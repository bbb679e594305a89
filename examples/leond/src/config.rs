//! Settings of `leond run`: where they come from, and what they mean for the node.
//!
//! A configuration file takes the paths of key files, never keys: what stands in it may be shown.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use clap::ValueEnum;
use leon::{Keys, NetworkKey, NodeId, Policy, SecretKey, Security, Segment};
use serde::{Deserialize, Serialize};
use siphasher::sip128::SipHasher24;

use crate::allow::{AllowList, PublicKey, Sources};
use crate::keyfile;

/// Where daemon, `leond status` and `leond explain` meet unless told otherwise.
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
    /// A member to join the mesh through; may be repeated. The first site needs none. Names are looked up again while
    /// the site runs
    #[arg(long = "seed", value_name = "HOST:PORT")]
    #[serde(default)]
    seeds: Vec<String>,
    /// TAP device that carries this site's frames; created unless it exists. Put it into a bridge
    #[arg(long, value_name = "DEVICE")]
    tap: Option<String>,
    /// Protection of the traffic between sites [default: sealed]
    #[arg(long)]
    security: Option<SecurityMode>,
    /// File with the secret key of this site, from `leond keygen FILE`
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// File with the key that all sites share, from `leond keygen --network FILE`
    #[arg(long, value_name = "FILE")]
    network_key: Option<PathBuf>,
    /// Public key of a site that may be a member; may be repeated. Without --allow and --allow-file, whoever
    /// holds the network key may be one
    #[arg(long, value_name = "KEY")]
    allow: Option<Vec<PublicKey>>,
    /// File with the public keys of sites that may be members, one on each line, a name after it if you like
    #[arg(long, value_name = "FILE")]
    allow_file: Option<PathBuf>,
    /// Virtual network id of the TAP device's network, 0 to 16777215 [default: 0]
    #[arg(long, value_name = "NUMBER")]
    segment: Option<u32>,
    /// MTU of the TAP device in bytes [default: what fits the underlay]
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u16>,
    /// Largest IP packet all paths between the sites carry, in bytes [default: 1500]
    #[arg(long, value_name = "BYTES")]
    underlay_mtu: Option<u16>,
    /// Control socket for `leond status` and `leond explain` [default: /run/leond.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// What the paths of this site are to be, whatever the latencies; in the file alone.
    #[arg(skip)]
    policy: Option<Policy>,
}

/// How the traffic between sites is protected.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SecurityMode {
    /// Encrypted and authenticated, with the keys that `key` and `network_key` name
    #[default]
    Sealed,
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
    /// `None` to protect nothing.
    pub(crate) sealing: Option<Sealing>,
    pub(crate) segment: Segment,
    pub(crate) mtu: Option<u16>,
    pub(crate) underlay_mtu: u16,
    pub(crate) socket: PathBuf,
    pub(crate) policy: Policy,
}

/// Where the keys are.
#[derive(Debug)]
pub(crate) struct Sealing {
    key: PathBuf,
    network_key: PathBuf,
    allow: Sources,
}

impl Settings {
    /// Reads a TOML file. An error shows the line.
    pub(crate) fn from_file(path: &Path) -> anyhow::Result<Settings> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read configuration file {}", path.display()))?;
        let parsed = toml::from_str(&text).map_err(|error| presentable(&error, &text));
        parsed.with_context(|| format!("configuration file {} is wrong", path.display()))
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
            key: self.key.or(other.key),
            network_key: self.network_key.or(other.network_key),
            allow: self.allow.or(other.allow),
            allow_file: self.allow_file.or(other.allow_file),
            segment: self.segment.or(other.segment),
            mtu: self.mtu.or(other.mtu),
            underlay_mtu: self.underlay_mtu.or(other.underlay_mtu),
            socket: self.socket.or(other.socket),
            policy: self.policy.or(other.policy),
        }
    }

    /// Fills in the defaults and says what is missing.
    pub(crate) fn complete(self) -> anyhow::Result<Plan> {
        let listen = self.listen.ok_or_else(|| missing("listen", ""))?;
        ensure!(
            !listen.ip().is_unspecified() || self.advertise.is_some(),
            "`advertise` is not set: {listen} listens on all addresses, so say with --advertise ADDR:PORT at which \
             one the other sites reach this one"
        );
        let sealing = self.sealing()?;
        let segment = self.segment.unwrap_or_default();
        Ok(Plan {
            name: self.name.ok_or_else(|| missing("name", ""))?,
            listen,
            advertise: self.advertise,
            seeds: self.seeds,
            tap: self.tap.ok_or_else(|| missing("tap", ""))?,
            sealing,
            segment: Segment::new(segment)
                .ok_or_else(|| anyhow!("`segment` must be 0 to 16777215, {segment} is not"))?,
            mtu: self.mtu,
            underlay_mtu: self.underlay_mtu.unwrap_or(1500),
            socket: self.socket.unwrap_or_else(|| DEFAULT_SOCKET.into()),
            policy: self.policy.unwrap_or_default(),
        })
    }

    /// Where the keys are; `None` if nothing is to be protected, which goes with no setting about keys.
    fn sealing(&self) -> anyhow::Result<Option<Sealing>> {
        if self.security == Some(SecurityMode::None) {
            let about_keys = [
                ("key", self.key.is_some()),
                ("network_key", self.network_key.is_some()),
                ("allow", self.allow.is_some()),
                ("allow_file", self.allow_file.is_some()),
            ];
            if let Some((name, _)) = about_keys.iter().find(|(_, is_set)| *is_set) {
                bail!("`{name}` is set although `security` is none, which uses no keys: drop one of the two");
            }
            return Ok(None);
        }
        let path = |path: &Option<PathBuf>, name, how| path.clone().ok_or_else(|| missing(name, how));
        Ok(Some(Sealing {
            key: path(&self.key, "key", "make one with `leond keygen FILE`, then ")?,
            network_key: path(&self.network_key, "network_key", MAKE_NETWORK_KEY)?,
            allow: Sources { keys: self.allow.clone(), file: self.allow_file.clone() },
        }))
    }
}

/// How to get the network key, before what is to be done with it.
const MAKE_NETWORK_KEY: &str =
    "make one with `leond keygen --network FILE` on one site and copy it to the others, then ";

/// Says that a setting is missing, and `how` to get what it is to be set to.
fn missing(name: &str, how: &str) -> anyhow::Error {
    let flag = name.replace('_', "-");
    anyhow!("`{name}` is not set: {how}give --{flag}, or set it in the file for --config")
}

/// The error of a configuration file, without the line it is in if that holds a key.
fn presentable(error: &toml::de::Error, text: &str) -> anyhow::Error {
    let shown = error.to_string();
    if !keyfile::holds_key(&shown) {
        return anyhow!(shown);
    }
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    match error.message() {
        message if keyfile::holds_key(message) => {
            anyhow!("there is a key in line {line}, where none belongs")
        }
        message => anyhow!("line {line}: {message}"),
    }
}

impl Sealing {
    /// Reads the keys.
    fn keys(&self) -> anyhow::Result<Keys> {
        let secret = keyfile::read(&self.key, "make one with `leond keygen FILE`", SecretKey::from_base64)
            .context("`key` cannot be used")?;
        let network = keyfile::read(
            &self.network_key,
            "copy it from another site, or make the first one with `leond keygen --network FILE`",
            NetworkKey::from_base64,
        )
        .context("`network_key` cannot be used")?;
        ensure!(
            secret.to_base64() != network.to_base64(),
            "`key` and `network_key` hold the same key: the first is this site's own, the second is shared by all"
        );
        Ok(Keys::new(secret, network))
    }
}

impl SecurityMode {
    /// What it is called in settings and reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            SecurityMode::Sealed => "sealed",
            SecurityMode::None => "none",
        }
    }
}

impl Plan {
    /// How the traffic is protected.
    pub(crate) fn mode(&self) -> SecurityMode {
        if self.sealing.is_some() { SecurityMode::Sealed } else { SecurityMode::None }
    }

    /// Reads the allow list, if there is one.
    pub(crate) fn allow_list(&self) -> anyhow::Result<Option<AllowList>> {
        self.sealing.as_ref().map_or(Ok(None), |sealing| sealing.allow.read())
    }

    /// Reads whatever keys there are; nodes that are not `allowed` are kept out.
    pub(crate) fn security(&self, allowed: Option<&AllowList>) -> anyhow::Result<Security> {
        match &self.sealing {
            Some(sealing) => {
                let mut keys = sealing.keys()?;
                keys.allowed = allowed.map(AllowList::ids);
                Ok(Security::Sealed(keys))
            }
            None => Ok(Security::None { id: node_id(&self.name) }),
        }
    }

    /// The engine's configuration. `local` is the address of the open socket.
    pub(crate) fn engine_config(
        &self,
        security: Security,
        local: SocketAddr,
        seeds: Vec<SocketAddr>,
    ) -> anyhow::Result<leon::Config> {
        let entropy = leon::driver::clock::entropy().context("the kernel gives no random bytes")?;
        let locator = self.advertise.unwrap_or(local);
        let mut config = leon::Config::new(&self.name, locator, security, entropy);
        config.incarnation = leon::driver::clock::incarnation();
        config.seeds = seeds;
        config.segments = vec![self.segment];
        config.underlay_mtu = self.underlay_mtu;
        config.policy = self.policy.clone();
        Ok(config)
    }
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
    use std::time::Duration;

    use leon::PathPart;

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
    fn the_policy_is_a_table_of_the_file() {
        let relay = NodeId([1; 32]);
        let file = |price| {
            format!("name = 'a'\n[policy]\nprices_us = ['{} {price}']\navoid = []", relay.to_base64())
        };
        let policy = Settings::default().or(settings(&file(500))).policy.unwrap();
        assert_eq!(policy.prices, [(PathPart::Relay(relay), Duration::from_micros(500))].into());
        let text = file(10_000_001);
        let error = toml::from_str::<Settings>(&text).unwrap_err();
        assert!(presentable(&error, &text).to_string().contains("a price is 10 s at most"));
    }

    #[test]
    fn the_identity_follows_from_the_name_alone() {
        assert_eq!(node_id("seoul"), node_id("seoul"));
        assert_ne!(node_id("seoul"), node_id("inagi"));
        assert_ne!(node_id("seoul").0[..16], node_id("seoul").0[16..]);
        // Pinned: another value would make every node of a mesh a stranger after an upgrade.
        assert_eq!(node_id("seoul").to_string(), "937e3b73df925206");
    }
}
