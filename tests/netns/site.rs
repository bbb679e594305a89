//! A site of the overlay, and the fixture that joins several of them by the emulated WAN.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::c_agent::CAgent;
use crate::daemon::{Daemon, Member, Status, keygen};
use crate::host::Host;
use crate::namespace::{Namespace, eventually};
use crate::wan::{Wan, v4, v6};

pub(crate) const FUJISAWA: usize = 0;
pub(crate) const INAGI: usize = 1;
pub(crate) const SEOUL: usize = 2;
const NAMES: [&str; 3] = ["fujisawa", "inagi", "seoul"];
/// What the file of the network's key is called.
const NETWORK: &str = "network";
/// The UDP port of every site.
pub(crate) const PORT: u16 = 4789;

/// One test at a time: the machine may be small, and the tests measure time. One that failed blocks no other.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A site: a bridge with the daemon's TAP and one host.
pub(crate) struct Site {
    pub(crate) name: &'static str,
    ns: Namespace,
    /// Plugged in when the daemon first runs, since the daemon decides the MTU.
    pub(crate) host: Host,
    /// As `leond keygen` printed it.
    pub(crate) public_key: String,
    /// `None` for security none.
    sealing: Option<Sealing>,
    /// The configuration file, if there is one.
    config: Option<PathBuf>,
    daemon: Option<Daemon>,
}

/// The files with the keys of a site.
struct Sealing {
    key: PathBuf,
    network_key: PathBuf,
    allow_file: Option<PathBuf>,
}

/// The three sites of the paper's Fig. 2 and the network between them.
pub(crate) struct World {
    // The order matters: fields are dropped from the top.
    pub(crate) sites: [Site; 3],
    pub(crate) wan: Wan,
    underlay: fn(usize) -> IpAddr,
    directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Site {
    /// A site with a key of its own, made in `directory`, and the network's key, which is there.
    fn new(index: usize, directory: &Path) -> Self {
        let ns = Namespace::new(NAMES[index]);
        // Snooping would hold multicast back until the bridge has heard who wants it.
        ns.ip("link add br0 type bridge stp_state 0 mcast_snooping 0");
        ns.ip("tuntap add dev leon0 mode tap");
        ns.ip("link set leon0 master br0 up");
        ns.ip("link set br0 up");
        let number = u8::try_from(index + 1).expect("three sites");
        let [key, network_key] = [NAMES[index], NETWORK].map(|name| directory.join(format!("{name}.key")));
        let public_key = keygen(&[&key]);
        let sealing = Some(Sealing { key, network_key, allow_file: None });
        let host = Host::new(number);
        Self { name: NAMES[index], ns, host, public_key, sealing, config: None, daemon: None }
    }

    pub(crate) fn plug_in(&self, host: &Host) {
        host.plug_in(&self.ns, self.mtu());
    }

    /// The MTU that the daemon gave its TAP.
    fn mtu(&self) -> u64 {
        let links: Value =
            serde_json::from_str(&self.ns.ip("-j link show leon0")).expect("ip -j prints JSON");
        links[0]["mtu"].as_u64().expect("every link has an MTU")
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it runs")
    }

    /// Fails while the daemon does not answer, with the reason.
    pub(crate) fn status(&self) -> Result<Status, String> {
        self.daemon().status()
    }

    /// See [`Daemon::says`].
    pub(crate) fn says(&self, words: &[&str]) -> Result<(), String> {
        self.daemon().says(words)
    }

    /// Deletes the TAP device, whoever has it open.
    pub(crate) fn delete_tap(&self) {
        self.ns.ip("link del leon0");
    }

    /// See [`Namespace::inside`].
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.ns.inside(work)
    }

    /// See [`Daemon::hang_up`].
    pub(crate) fn hang_up(&self) {
        self.daemon().hang_up();
    }

    /// What this site knows of another, if that is alive.
    pub(crate) fn member(&self, other: &str) -> Result<Member, String> {
        let mut status = self.status()?;
        let found =
            status.members.iter().position(|member| member.name == other && status.alive(other).is_some());
        found.map(|at| status.members.swap_remove(at)).ok_or_else(|| format!("{}: {status:?}", self.name))
    }

    /// Fails while this site lists `other` as alive.
    pub(crate) fn lacks(&self, other: &str) -> Result<(), String> {
        let status = self.status()?;
        if status.alive(other).is_some() { Err(format!("{}: {status:?}", self.name)) } else { Ok(()) }
    }

    /// Fails while the frames from this site to the last of `path` take another path.
    pub(crate) fn takes(&self, path: &[&str]) -> Result<Member, String> {
        let member = self.member(path.last().expect("a path has a destination"))?;
        if member.path == path { Ok(member) } else { Err(format!("{}: {member:?}", self.name)) }
    }

    /// Has the daemon leave; its exit code.
    pub(crate) fn leave(&mut self) -> Option<i32> {
        self.daemon.take().expect("it runs").leave().code()
    }

    /// Kills the daemon, which is what dropping it does.
    pub(crate) fn kill(&mut self) {
        drop(self.daemon.take().expect("it runs"));
    }
}

impl Sealing {
    /// The settings that tell the daemon of it, each with its value.
    fn settings(sealing: Option<&Self>) -> Vec<(&'static str, String)> {
        let Some(Self { key, network_key, allow_file }) = sealing else {
            return vec![("security", "none".to_owned())];
        };
        let files =
            [("key", Some(key)), ("network_key", Some(network_key)), ("allow_file", allow_file.as_ref())];
        let setting = |(name, file): (_, Option<&PathBuf>)| Some((name, file?.display().to_string()));
        files.into_iter().filter_map(setting).collect()
    }
}

impl World {
    /// The sites, not started yet, with the paper's round trip times; `underlay` gives their addresses.
    pub(crate) fn new(underlay: fn(usize) -> IpAddr) -> Self {
        let turn = turn();
        let directory =
            tempfile::Builder::new().prefix("leon-").tempdir().expect("a writable temporary directory");
        keygen(&[Path::new("--network"), &directory.path().join(format!("{NETWORK}.key"))]);
        let sites = [FUJISAWA, INAGI, SEOUL].map(|site| Site::new(site, directory.path()));
        let wan = Wan::new(&sites.each_ref().map(|site| &site.ns));
        wan.set_rtt(FUJISAWA, SEOUL, 32.0);
        wan.set_rtt(FUJISAWA, INAGI, 4.0);
        wan.set_rtt(INAGI, SEOUL, 17.0);
        Self { sites, wan, underlay, directory, _turn: turn }
    }

    /// All sites over IPv4, joined through Fujisawa, with their hosts plugged in.
    pub(crate) fn joined() -> Self {
        let mut world = Self::new(v4);
        world.join(&[(FUJISAWA, &[]), (INAGI, &[FUJISAWA]), (SEOUL, &[FUJISAWA])]);
        world
    }

    /// As [`joined`](Self::joined), over IPv6.
    pub(crate) fn joined_over_ipv6() -> Self {
        let mut world = Self::new(v6);
        world.join(&[(FUJISAWA, &[]), (INAGI, &[FUJISAWA]), (SEOUL, &[INAGI])]);
        world
    }

    /// Starts sites at the same moment, each with its seeds, waits till all know all, and plugs in the hosts.
    pub(crate) fn join(&mut self, sites: &[(usize, &[usize])]) {
        for (site, seeds) in sites {
            self.start(*site, seeds);
        }
        let found = || {
            for (site, _) in sites {
                for (other, _) in sites.iter().filter(|(other, _)| other != site) {
                    self.sites[*site].member(NAMES[*other])?;
                }
            }
            Ok(())
        };
        eventually("all know all", Duration::from_secs(15), found);
        for (site, _) in sites {
            let site = &self.sites[*site];
            site.plug_in(&site.host);
        }
    }

    /// Takes the keys of a site away, and all security with them.
    pub(crate) fn unseal(&mut self, site: usize) {
        self.sites[site].sealing = None;
    }

    /// Gives a site the key of another network.
    pub(crate) fn give_foreign_network_key(&mut self, site: usize) {
        let foreign = self.directory.path().join("foreign.key");
        keygen(&[Path::new("--network"), &foreign]);
        self.sites[site].sealing.as_mut().expect("it is sealed").network_key = foreign;
    }

    /// Writes down whom a site allows; the site reads it when it starts after this or is hung up.
    pub(crate) fn allow(&mut self, site: usize, allowed: &[usize]) {
        let line = |&other: &usize| format!("{} {}\n", self.sites[other].public_key, NAMES[other]);
        let list: String = allowed.iter().map(line).collect();
        self.write_allow_file(site, &list);
    }

    /// As [`allow`](Self::allow), with any text.
    pub(crate) fn write_allow_file(&mut self, site: usize, text: &str) {
        let path = self.directory.path().join(format!("{}.allowed", NAMES[site]));
        fs::write(&path, text).expect("a writable temporary directory");
        self.sites[site].sealing.as_mut().expect("it is sealed").allow_file = Some(path);
    }

    /// Writes a configuration file for a site, with what would be flags about its keys and `more`; the site reads it
    /// when it starts after this or is hung up.
    pub(crate) fn write_config(&mut self, site: usize, more: &str) {
        let path = self.directory.path().join(format!("{}.toml", NAMES[site]));
        let settings = Sealing::settings(self.sites[site].sealing.as_ref());
        let lines = settings.into_iter().map(|(name, value)| format!("{name} = '{value}'\n"));
        fs::write(&path, lines.collect::<String>() + more).expect("a writable temporary directory");
        self.sites[site].config = Some(path);
    }

    /// Starts the daemon of a site.
    pub(crate) fn start(&mut self, site: usize, seeds: &[usize]) {
        let arguments = self.arguments(site, seeds);
        let site = &mut self.sites[site];
        site.daemon = Some(Daemon::start(&site.ns, site.name, self.directory.path(), &arguments));
    }

    /// Starts the agent in C at a site, in place of the daemon.
    pub(crate) fn start_c_agent(&self, site: usize, seeds: &[usize]) -> CAgent {
        let Site { name, ns, .. } = &self.sites[site];
        let mut arguments = vec![format!("--name={name}")];
        arguments.extend(self.arguments(site, seeds));
        CAgent::start(ns, "tap-agent", name, self.directory.path(), &arguments)
    }

    /// Starts the agent on libuv at a site, in place of the daemon.
    pub(crate) fn start_uv_agent(&self, site: usize, seeds: &[usize]) -> CAgent {
        let Site { name, ns, sealing, .. } = &self.sites[site];
        let Sealing { key, network_key, .. } = sealing.as_ref().expect("it knows no other security");
        let path = |path: &Path| path.to_str().expect("paths of tests are UTF-8").to_owned();
        let mut arguments = vec![(*name).to_owned(), self.address(site), "leon0".to_owned()];
        arguments.extend([path(key), path(network_key)]);
        arguments.extend(seeds.iter().map(|&seed| self.address(seed)));
        CAgent::start(ns, "uv-agent", name, self.directory.path(), &arguments)
    }

    /// What a daemon is told, but its name.
    pub(crate) fn arguments(&self, site: usize, seeds: &[usize]) -> Vec<String> {
        let mut arguments = vec!["--listen".to_owned(), self.address(site)];
        for &seed in seeds {
            arguments.extend(["--seed".to_owned(), self.address(seed)]);
        }
        arguments.extend(["--tap", "leon0"].map(str::to_owned));
        let Site { sealing, config, .. } = &self.sites[site];
        if let Some(path) = config {
            arguments.push(format!("--config={}", path.display()));
        } else {
            let flag = |(name, value): (&str, String)| format!("--{}={value}", name.replace('_', "-"));
            arguments.extend(Sealing::settings(sealing.as_ref()).into_iter().map(flag));
        }
        arguments
    }
    /// Where a site listens.
    fn address(&self, site: usize) -> String {
        SocketAddr::new((self.underlay)(site), PORT).to_string()
    }
}
