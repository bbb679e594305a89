//! A site with its switch and its agent, the hosts at its bridge, and two sites joined by a cable.

use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::namespace::{Namespace, Ping, eventually, succeed};
use crate::switch::{Switch, TRUNK};
use crate::{AT_ONCE, JOINED};

/// 32 bytes each of 1, 2 and 3 in base64.
const KEYS: [&str; 2] =
    ["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="];
const NETWORK_KEY: &str = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";

/// A site. Fields are dropped from the top.
pub(crate) struct Site {
    agent: Option<Agent>,
    pub(crate) switch: Switch,
    pub(crate) ns: Namespace,
    name: &'static str,
    number: u8,
    vlans: &'static [&'static str],
    directory: TempDir,
}

/// A host at the bridge of a site: a namespace with one Ethernet device.
pub(crate) struct Host {
    pub(crate) ns: Namespace,
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: String,
}

/// Two sites and the cable between them.
pub(crate) struct World {
    pub(crate) sites: [Site; 2],
}

impl World {
    /// Fujisawa and Seoul with agents that know each other, each with its VLANs and their segments.
    pub(crate) fn joined(fujisawa: &'static [&'static str], seoul: &'static [&'static str]) -> Self {
        let mut sites = [Site::new("fujisawa", 1, fujisawa), Site::new("seoul", 2, seoul)];
        let [near, far] = &mut sites;
        near.ns.ip(&format!("link add wan0 type veth peer wan0 netns {}", far.ns.name()));
        for site in [&near, &far] {
            site.ns.ip(&format!("address add {}/24 dev wan0", site.address()));
            site.ns.ip("link set wan0 up");
        }
        near.start(&[]);
        far.start(&["--seed", "10.99.0.1:4789"]);
        let known = || near.agent().says(&["seoul"]).and_then(|()| far.agent().says(&["fujisawa"]));
        eventually("the agents know each other", JOINED, known);
        World { sites }
    }
}

impl Site {
    /// A site whose agent does not run yet.
    pub(crate) fn new(name: &'static str, number: u8, vlans: &'static [&'static str]) -> Self {
        check_tools();
        let directory =
            tempfile::Builder::new().prefix("leon-ovs-").tempdir().expect("a temporary directory");
        let ns = Namespace::new(name);
        let switch = Switch::start(&ns, directory.path().join("switch"));
        write_key(&directory.path().join("key"), KEYS[usize::from(number) - 1]);
        write_key(&directory.path().join("network-key"), NETWORK_KEY);
        Self { agent: None, switch, ns, name, number, vlans, directory }
    }

    /// Its address on the cable.
    fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, 0, self.number)
    }

    pub(crate) fn agent(&self) -> &Agent {
        self.agent.as_ref().expect("it runs")
    }

    /// What the agent is told, before `more`, which overrides it.
    fn arguments(&self, listen: Ipv4Addr, more: &[&str]) -> Vec<String> {
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let mut arguments = Vec::new();
        for (option, value) in [
            ("--name", self.name.to_owned()),
            ("--listen", format!("{listen}:4789")),
            ("--key", file("key")),
            ("--network-key", file("network-key")),
            ("--bridge", "br0".to_owned()),
            ("--db", self.switch.db().display().to_string()),
        ] {
            arguments.extend([option.to_owned(), value]);
        }
        arguments.extend(self.vlans.iter().flat_map(|vlan| ["--vlan".to_owned(), (*vlan).to_owned()]));
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        arguments
    }

    /// Starts the agent and waits until its port is on the bridge.
    pub(crate) fn start(&mut self, more: &[&str]) {
        let arguments = self.arguments(self.address(), more);
        self.agent = Some(Agent::start(&self.ns, self.directory.path(), &arguments));
        eventually("the port is on the bridge", AT_ONCE, || {
            self.agent().says(&["port leon0 is on bridge br0"])
        });
        let ports = self.switch.vsctl("list-ports br0");
        assert!(ports.lines().any(|port| port == TRUNK), "{ports}");
    }

    /// Waits until the agent has ended; its exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        self.agent.take().expect("it runs").end()
    }

    /// Runs an agent that is to end by itself, with this code and one line that has these words.
    pub(crate) fn refuses(&self, more: &[&str], code: i32, words: &[&str]) {
        let output = Agent::run(&self.ns, &self.arguments(Ipv4Addr::LOCALHOST, more));
        let says = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {says}");
        assert_eq!(says.lines().count(), 1, "{more:?}: {says}");
        assert!(words.iter().all(|word| says.contains(word)), "{more:?}: {words:?} are not in: {says}");
    }

    /// A host in a VLAN, on an access port, with the MTU of the trunk; `number` ends its IP address.
    pub(crate) fn host(&self, vlan: u16, number: u8) -> Host {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let host = Host {
            ns: Namespace::new(&format!("{}-vlan{vlan}", self.name)),
            address: Ipv4Addr::new(192, 168, 77, number),
            mac: format!("02:77:00:00:00:{unique:02x}"),
        };
        let Host { ns, address, mac } = &host;
        let port = format!("vm{unique}");
        let mtu = self.ns.mtu(TRUNK);
        let peer = format!("peer eth0 address {mac} mtu {mtu} netns {}", ns.name());
        self.ns.ip(&format!("link add {port} mtu {mtu} type veth {peer}"));
        self.ns.ip(&format!("link set {port} up"));
        // A veth leaves checksums to the device that puts a packet on a wire. There is none here: ovs-vswitchd takes
        // the frames off the veth by a packet socket, and sends them on with the checksum half made.
        ns.inside(|| succeed(Command::new("ethtool").args(["-K", "eth0", "tx", "off"])));
        ns.ip(&format!("address add {address}/24 broadcast + dev eth0"));
        ns.ip("link set eth0 up");
        self.switch.vsctl(&format!("add-port br0 {port} tag={vlan} vlan_mode=access"));
        host
    }
}

impl Host {
    /// Fails unless one ping is answered; with what came of it.
    pub(crate) fn reaches(&self, to: &Host) -> Result<Ping, String> {
        let ping = self.ns.ping(to.address, 1);
        if ping.received == 1 { Ok(ping) } else { Err(format!("{ping:?}")) }
    }

    /// The MAC address that ARP found for another host.
    pub(crate) fn neighbour(&self, other: &Host) -> Option<String> {
        let entries = self.ns.ip(&format!("-j neigh show to {} dev eth0", other.address));
        let entries: Value = serde_json::from_str(&entries).expect("ip -j prints JSON");
        Some(entries[0]["lladdr"].as_str()?.to_owned())
    }
}

impl Namespace {
    fn mtu(&self, device: &str) -> u64 {
        let links = self.ip(&format!("-j link show {device}"));
        let links: Value = serde_json::from_str(&links).expect("ip -j prints JSON");
        links[0]["mtu"].as_u64().expect("every link has an MTU")
    }
}

/// Writes a key as `leond keygen` does: no one else may read it.
fn write_key(path: &Path, key: &str) {
    let mut file = std::fs::File::options();
    let mut file = file.write(true).create_new(true).mode(0o600).open(path).expect("a fresh directory");
    writeln!(file, "{key}").expect("room for a key");
}

/// Says what is missing before anything else fails for want of it.
fn check_tools() {
    assert!(rustix::process::geteuid().is_root(), "this test makes network namespaces: run it as root");
    for (tool, package) in [("ovs-vswitchd", "openvswitch-switch"), ("ethtool", "ethtool"), ("make", "make")]
    {
        let runs = Command::new(tool).arg("--version").output().is_ok();
        assert!(runs, "there is no {tool}: install it with apt-get install {package}, or run .ci/ovs");
    }
}
