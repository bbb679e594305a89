//! Sites that form one mesh: starting and stopping them, asking them, and waiting for what they do by
//! themselves.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use anyhow::{Context, bail};
use leon::driver::clock;
use leon::{Event, Keys, MemberStatus, NetworkKey, NodeId, SecretKey};

use super::NAMES;
use super::site::Site;
use super::wan::{SiteNo, Wan};

/// Longest wait for anything that the engines must do by themselves.
const LIMIT: Duration = Duration::from_secs(15);
/// How often a condition is looked at while nothing happens.
const LOOK: Duration = Duration::from_millis(10);

/// A mesh on a WAN, with a network key of its own.
pub(super) struct Mesh {
    wan: Wan,
    /// By number of the site.
    keys: [Keys; NAMES.len()],
    /// By number; `None` for one that has not started or has been killed.
    sites: [Option<Site>; NAMES.len()],
    /// Wakes whoever waits; what the events say is asked from the engines.
    events: Receiver<Event>,
    sender: Sender<Event>,
}

impl Mesh {
    /// A mesh without sites, but with keys for them.
    pub(super) fn new(wan: &Wan) -> io::Result<Mesh> {
        let network = NetworkKey::from_bytes(clock::entropy()?);
        let keys = || io::Result::Ok(Keys::new(SecretKey::from_bytes(clock::entropy()?), network.clone()));
        let keys = [keys()?, keys()?, keys()?];
        let (sender, events) = mpsc::channel();
        Ok(Mesh { wan: wan.clone(), keys, sites: Default::default(), events, sender })
    }

    /// Starts a site that joins through `seed`, which has been started before it. Returns the Ethernet socket
    /// for the host behind it.
    pub(super) fn start_site(
        &mut self,
        number: SiteNo,
        seed: Option<SiteNo>,
    ) -> anyhow::Result<UnixDatagram> {
        let seed = seed.and_then(|seed| self.sites[seed].as_ref()).map(|site| site.locator);
        let keys = self.keys[number].clone();
        let (site, card) = Site::start(number, keys, seed, &self.wan, self.sender.clone())
            .with_context(|| format!("{} does not start", NAMES[number]))?;
        self.sites[number] = Some(site);
        Ok(card)
    }

    /// What `site` knows of `other`, if both live.
    pub(super) fn member(&self, site: SiteNo, other: SiteNo) -> Option<MemberStatus> {
        self.sites[site].as_ref()?.member(self.keys[other].id())
    }

    /// True if both sites have measured the link between them and find it up.
    pub(super) fn is_link_up(&self, a: SiteNo, b: SiteNo) -> bool {
        self.has_cost(a, b) && self.has_cost(b, a)
    }

    /// True if both sites find that nothing comes back over the link between them.
    pub(super) fn is_link_down(&self, a: SiteNo, b: SiteNo) -> bool {
        !self.has_cost(a, b) && !self.has_cost(b, a)
    }

    fn has_cost(&self, site: SiteNo, other: SiteNo) -> bool {
        self.member(site, other).is_some_and(|member| member.direct_cost.is_some())
    }

    /// The sites that frames from `site` to `other` pass, `other` included; empty if there is no path.
    pub(super) fn path(&self, site: SiteNo, other: SiteNo) -> Vec<SiteNo> {
        let path = self.member(site, other).map(|member| member.path).unwrap_or_default();
        let number = |id: &NodeId| self.keys.iter().position(|keys| keys.id() == *id);
        path.iter().filter_map(number).collect()
    }

    /// Waits for `condition`; `what` says what it is, should it not come true.
    pub(super) fn wait_until(&self, what: &str, condition: impl Fn(&Mesh) -> bool) -> anyhow::Result<()> {
        let limit = clock::now() + LIMIT;
        while !condition(self) {
            if clock::now() >= limit {
                bail!("waited {} s in vain: {what}", LIMIT.as_secs());
            }
            // An event may make the condition true; without one, look again after a while.
            let _ = self.events.recv_timeout(LOOK);
        }
        Ok(())
    }

    /// Lets a site vanish without a word: its links go dead first, so that no leave gets out.
    pub(super) fn kill(&mut self, number: SiteNo) -> anyhow::Result<()> {
        for other in 0..self.sites.len() {
            self.wan.cut(number, other);
        }
        self.sites[number].take().map_or(Ok(()), Site::stop)
    }

    /// Stops all sites that still live.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        self.sites.into_iter().flatten().try_for_each(Site::stop)
    }
}
