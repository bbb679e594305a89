//! Setting a world up and changing it: sites, underlay, hosts.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::sim::dice::Dice;
use crate::sim::host::Host;
use crate::sim::link::Link;
use crate::sim::site::Site;
use crate::sim::world::World;
use crate::{Cipher, Config, Keys, MacAddr, NetworkKey, SecretKey, Security, Segment, Time};

/// Port of all sites.
const PORT: u16 = 4747;

/// Building the world: sites, links, hosts.
impl World {
    /// A world with one site per row of links, all with site 0 as their seed, none started.
    pub fn with_links(seed: u64, sites: usize, links: &[(usize, usize, Link)]) -> Self {
        let mut world = World::new(seed);
        for _ in 0..sites {
            world.add_site();
        }
        for &(from, to, link) in links {
            world.set_link(from, to, link);
        }
        world
    }

    /// Adds a site with the default configuration and site 0 as its seed; returns its index.
    pub fn add_site(&mut self) -> usize {
        let index = self.sites.len();
        let mut dice = Dice::named(self.seed, &format!("site {index}"));
        let mut secret = [0; 32];
        dice.fill(&mut secret);
        let name = format!("site{index}");
        let security = Security::Sealed(Keys::new(SecretKey::from_bytes(secret), self.network_key()));
        let mut config = Config::new(name, address(index), security, [0; 32]);
        // Not what this machine does fast: a seed means the same everywhere.
        config.cipher = Cipher::ChaCha20Poly1305;
        config.seeds = vec![address(0)];
        self.bound.insert(config.locator, index);
        self.sites.push(Site::new(config, dice));
        self.chosen.add_site();
        self.agenda.add_site();
        index
    }

    /// Gives a site another secret key from its next start on, as if its host were installed anew.
    pub fn reinstall(&mut self, site: usize) {
        let mut secret = [0; 32];
        self.dice.fill(&mut secret);
        let keys = Keys::new(SecretKey::from_bytes(secret), self.network_key());
        self.sites[site].config.security = Security::Sealed(keys);
    }

    /// The key of the world's network.
    pub fn network_key(&self) -> NetworkKey {
        let mut key = [0; 32];
        Dice::named(self.seed, "network").fill(&mut key);
        NetworkKey::from_bytes(key)
    }

    /// The configuration the site is started with next time.
    pub fn config_mut(&mut self, site: usize) -> &mut Config {
        &mut self.sites[site].config
    }

    /// The address the site's socket is bound to.
    pub fn address(&self, site: usize) -> SocketAddr {
        self.sites[site].address
    }

    /// Binds the site's socket to another address, which nobody else has, and makes that its locator from
    /// its next start on.
    pub fn readdress(&mut self, site: usize, address: SocketAddr) {
        self.bound.remove(&self.sites[site].address);
        self.bound.insert(address, site);
        self.locators.insert(address);
        self.sites[site].address = address;
        self.sites[site].config.locator = address;
    }

    /// Replaces the underlay from one site to another; a datagram on its way still arrives.
    pub fn set_link(&mut self, from: usize, to: usize, link: Link) {
        self.underlay.set(from, to, link);
    }

    /// Replaces the underlay between two sites, in both directions.
    pub fn connect(&mut self, one: usize, other: usize, link: Link) {
        self.set_link(one, other, link);
        self.set_link(other, one, link);
    }

    /// The underlay from one site to another, if there is one.
    pub fn link(&self, from: usize, to: usize) -> Option<Link> {
        self.underlay.get(from, to).map(|pipe| pipe.link)
    }

    /// When the last of all datagrams on their way arrives.
    pub(in crate::sim) fn last_arrival(&self) -> Time {
        self.underlay.last_arrival()
    }

    /// Nothing passes from one site to the other any more. In one direction only.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.set_up(from, to, false);
    }

    /// Ends a [`cut`](World::cut).
    pub fn mend(&mut self, from: usize, to: usize) {
        self.set_up(from, to, true);
    }

    fn set_up(&mut self, from: usize, to: usize, up: bool) {
        if let Some(pipe) = self.underlay.get_mut(from, to) {
            pipe.link.up = up;
        }
    }

    /// Nothing passes between sites of different groups; `groups` holds each site's, in order.
    pub fn partition(&mut self, groups: &[usize]) {
        for (site, &group) in self.sites.iter_mut().zip(groups) {
            site.group = group;
        }
    }

    /// Ends the partition and all cuts.
    pub fn heal(&mut self) {
        for site in &mut self.sites {
            site.group = 0;
        }
        for pipe in self.underlay.all_mut() {
            pipe.link.up = true;
        }
    }

    /// Ends jitter, loss, duplication, reordering and corruption; delays, MTUs, cuts and partitions stay.
    pub fn calm(&mut self) {
        for pipe in self.underlay.all_mut() {
            pipe.link = Link { up: pipe.link.up, ..pipe.link.without_faults() };
        }
    }

    /// Adds a host of the default segment at a site; returns its index.
    pub fn add_host(&mut self, site: usize) -> usize {
        self.add_host_in(site, Segment::DEFAULT, None)
    }

    /// Adds a host of this segment and VLAN at a site; returns its index.
    pub fn add_host_in(&mut self, site: usize, segment: Segment, vlan: Option<u16>) -> usize {
        let index = self.hosts.len();
        let [.., a, b, c, d] = (index as u32).to_be_bytes();
        let mac = MacAddr([0x02, 0x1e, a, b, c, d]);
        self.hosts.push(Host { mac, segment, vlan, site, received: Vec::new() });
        index
    }

    /// The host appears at another site; it says nothing until it sends.
    pub fn move_host(&mut self, host: usize, site: usize) {
        self.hosts[host].site = site;
    }
}

/// The address a site has from the start: in 10.0.0.0/16, by index.
fn address(site: usize) -> SocketAddr {
    let [.., high, low] = (site as u32 + 1).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, high, low)), PORT)
}
