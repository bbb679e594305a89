//! Sites that form one mesh: starting and stopping them, asking them, and waiting for what they do by
//! themselves.

use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use anyhow::{Context, bail};
use leon::driver::clock;
use leon::{Event, MemberStatus};

use super::NAMES;
use super::site::Site;
use super::wan::{SiteNo, Wan};

/// Longest wait for anything that the engines must do by themselves.
const LIMIT: Duration = Duration::from_secs(15);
/// How often a condition is looked at while nothing happens.
const LOOK: Duration = Duration::from_millis(10);

/// A mesh on a WAN.
pub(super) struct Mesh {
    wan: Wan,
    /// By number; `None` for one that has not started or has been killed.
    sites: [Option<Site>; NAMES.len()],
    /// Wakes whoever waits; what the events say is asked from the engines.
    events: Receiver<Event>,
    sender: Sender<Event>,
}

impl Mesh {
    /// A mesh without sites.
    pub(super) fn new(wan: &Wan) -> Mesh {
        let (sender, events) = mpsc::channel();
        Mesh { wan: wan.clone(), sites: Default::default(), events, sender }
    }

    /// Starts a site that joins through `seed`, which has been started before it. Returns the Ethernet socket
    /// for the host behind it.
    pub(super) fn start_site(
        &mut self,
        number: SiteNo,
        seed: Option<SiteNo>,
    ) -> anyhow::Result<UnixDatagram> {
        let seed = seed.and_then(|seed| self.sites[seed].as_ref()).map(|site| site.locator);
        let (site, card) = Site::start(number, seed, &self.wan, self.sender.clone())
            .with_context(|| format!("{} does not start", NAMES[number]))?;
        self.sites[number] = Some(site);
        Ok(card)
    }

    /// What `site` knows of `other`, if both live.
    pub(super) fn member(&self, site: SiteNo, other: SiteNo) -> Option<MemberStatus> {
        self.sites[site].as_ref()?.member(other)
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
        self.sites[site].as_ref().map(|site| site.path(other)).unwrap_or_default()
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
