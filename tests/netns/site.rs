//! A site of the overlay, and the fixture that joins several of them by the emulated WAN.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

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
    /// Arguments of the daemon about security; at first a key of its own and the world's network key.
    pub(crate) security: Vec<String>,
    daemon: Option<Daemon>,
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
    /// A site whose key is made in `directory`, where the network's key is.
    fn new(index: usize, directory: &Path) -> Self {
        let ns = Namespace::new(NAMES[index]);
        // Snooping would hold multicast back until the bridge has heard who wants it.
        ns.ip("link add br0 type bridge stp_state 0 mcast_snooping 0");
        ns.ip("tuntap add dev leon0 mode tap");
        ns.ip("link set leon0 master br0 up");
        ns.ip("link set br0 up");
        let number = u8::try_from(index + 1).expect("three sites");
        let [key, network] = [NAMES[index], NETWORK].map(|name| directory.join(format!("{name}.key")));
        keygen(&[&key]);
        let security = [Path::new("--key"), &key, Path::new("--network-key"), &network];
        let security = security.map(|argument| argument.display().to_string()).into();
        Self { name: NAMES[index], ns, host: Host::new(number), security, daemon: None }
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

    /// Fails while the daemon does not answer, with the reason.
    pub(crate) fn status(&self) -> Result<Status, String> {
        self.daemon.as_ref().ok_or("not started")?.status()
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

    fn start(&mut self, site: usize, seeds: &[usize]) {
        let address = |site| SocketAddr::new((self.underlay)(site), 4789).to_string();
        let mut arguments = vec!["--listen".to_owned(), address(site)];
        for &seed in seeds {
            arguments.extend(["--seed".to_owned(), address(seed)]);
        }
        arguments.extend(["--tap", "leon0"].map(str::to_owned));
        let site = &mut self.sites[site];
        arguments.extend_from_slice(&site.security);
        site.daemon = Some(Daemon::start(&site.ns, site.name, self.directory.path(), &arguments));
    }
}
