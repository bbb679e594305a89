//! What the demo plays on: the WAN, the sites, progress messages, and waiting for things to happen.

use std::fmt::Display;
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use anyhow::{Context, bail};
use leon::driver::clock;
use leon::{Event, MemberStatus, Time};

use super::site::Site;
use super::wan::{SiteNo, Wan};

/// Longest wait for anything that the engines must do by themselves.
const LIMIT: Duration = Duration::from_secs(15);
/// How often a condition is looked at while nothing happens.
const LOOK: Duration = Duration::from_millis(10);

/// The scene of the demo.
pub(super) struct Stage {
    pub(super) wan: Wan,
    names: &'static [&'static str],
    /// By number; `None` for one that has not started or has been killed.
    sites: Vec<Option<Site>>,
    began: Time,
    /// Wakes whoever waits; what the events say is asked from the engines.
    events: Receiver<(SiteNo, Event)>,
    sender: Sender<(SiteNo, Event)>,
}

impl Stage {
    /// A stage for sites of these names, which start later.
    pub(super) fn new(
        names: &'static [&'static str],
        round_trip: fn(SiteNo, SiteNo) -> Duration,
    ) -> anyhow::Result<Stage> {
        let (sender, events) = mpsc::channel();
        let sites = names.iter().map(|_| None).collect();
        Ok(Stage { wan: Wan::new(round_trip)?, names, sites, began: clock::now(), events, sender })
    }

    /// Tells people how the demo gets on.
    pub(super) fn say(&self, what: impl Display) {
        eprintln!("{:5.1} s  {what}", clock::now().since(self.began).as_secs_f64());
    }

    /// Starts a site that joins through `seed`. Returns the Ethernet socket for the host behind it.
    pub(super) fn start_site(
        &mut self,
        number: SiteNo,
        seed: Option<SiteNo>,
    ) -> anyhow::Result<UnixDatagram> {
        let name = self.names[number];
        let seed_site = seed.and_then(|seed| self.sites[seed].as_ref());
        let seed_locator = seed_site.map(|site| site.locator);
        let (site, card) = Site::start(number, name, seed_locator, &self.wan, self.sender.clone())
            .with_context(|| format!("{name} does not start"))?;
        match seed {
            None => self.say(format!("{name} starts, at {}", site.locator)),
            Some(seed) => self.say(format!("{name} joins through {}, at {}", self.names[seed], site.locator)),
        }
        self.sites[number] = Some(site);
        Ok(card)
    }

    /// What `site` knows of `other`, if both live.
    pub(super) fn member(&self, site: SiteNo, other: SiteNo) -> Option<MemberStatus> {
        self.sites[site].as_ref()?.member(other)
    }

    /// What `site` has measured as the round-trip time of its link to `other`, if the link is up.
    pub(super) fn direct_cost(&self, site: SiteNo, other: SiteNo) -> Option<Duration> {
        self.member(site, other)?.direct_cost
    }

    /// The sites that frames from `site` to `other` pass, `other` included; empty if there is no path.
    pub(super) fn path(&self, site: SiteNo, other: SiteNo) -> Vec<SiteNo> {
        self.sites[site].as_ref().map(|site| site.path(other)).unwrap_or_default()
    }

    /// Waits for `condition`; `what` says what it is.
    pub(super) fn wait_until(&self, what: &str, condition: impl Fn(&Stage) -> bool) -> anyhow::Result<()> {
        let limit = clock::now() + LIMIT;
        while !condition(self) {
            if clock::now() >= limit {
                bail!("waited {} s in vain until: {what}", LIMIT.as_secs());
            }
            // An event may make the condition true; without one, look again after a while.
            let _ = self.events.recv_timeout(LOOK);
        }
        self.say(what);
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
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        self.sites.iter_mut().filter_map(Option::take).try_for_each(Site::stop)
    }
}
