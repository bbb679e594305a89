//! What must hold once nothing changes any more: one list, one database, paths as good as the oracle's,
//! announced hosts at one place, every frame where it belongs.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::MAX_HOPS;
use crate::sim::check::{Rule, Violation};
use crate::sim::host::To;
use crate::sim::oracle::{Costs, lowest_costs, path_cost};
use crate::sim::site::SiteState;
use crate::sim::world::World;
use crate::{Host, HostOrigin, LinkStatus, MemberState, NodeId, Segment, Status};

impl World {
    /// What the engines disagree about, or what their common list differs from: `None` once all running
    /// engines have one member list, that of the running ones, and one latency database, with an entry for
    /// each two of them.
    pub fn disagreement(&self) -> Option<Violation> {
        let sites = self.running();
        let first = self.status(*sites.first()?)?;
        let mut lists = Vec::new();
        let mut expected = BTreeMap::new();
        let mut databases = None;
        for &site in &sites {
            let status = self.status(site)?;
            expected.insert(status.id, status.incarnation);
            if status.latency != first.latency && databases.is_none() {
                let detail = difference(&status.latency, &first.latency);
                databases = Some(self.violation_at(site, Rule::DatabasesAgree, detail));
            }
            lists.push((site, status.list_digest, list_of(&status)));
        }
        for (site, digest, list) in lists {
            if list != expected {
                let detail = format!("holds {list:?}, running are {expected:?}");
                return Some(self.violation_at(site, Rule::ListsAgree, detail));
            }
            if digest != first.list_digest {
                let detail = format!("digest {digest:x}, elsewhere {:x}", first.list_digest);
                return Some(self.violation_at(site, Rule::ListsAgree, detail));
            }
        }
        if databases.is_none() && first.latency.len() < sites.len() * (sites.len() - 1) {
            let detail = format!("all databases have {} entries only", first.latency.len());
            return Some(self.violation_at(sites[0], Rule::DatabasesAgree, detail));
        }
        databases
    }

    /// An announced host that two engines have at different places, or that one has at none. Where frames have moved
    /// it meanwhile nothing is said.
    pub fn lost_host(&self) -> Option<Violation> {
        let mut announced: BTreeMap<Host, NodeId> = BTreeMap::new();
        let mut all = Vec::new();
        for site in self.running() {
            let status = self.status(site)?;
            let mut known = BTreeSet::new();
            for found in &status.fdb {
                let host = Host { segment: found.segment, vlan: found.vlan, mac: found.mac };
                let place = found.member.unwrap_or(status.id);
                known.insert(host);
                if found.origin == HostOrigin::Announced && *announced.entry(host).or_insert(place) != place {
                    let detail = format!("{host:?} is at {place}, elsewhere at {}", announced[&host]);
                    return Some(self.violation_at(site, Rule::HostsAgree, detail));
                }
            }
            all.push((site, known));
        }
        for (site, known) in all {
            let segments = &self.config(site).segments;
            let served =
                announced.keys().find(|host| segments.contains(&host.segment) && !known.contains(host));
            if let Some(host) = served {
                return Some(self.violation_at(site, Rule::HostsAgree, format!("{host:?} is not known")));
            }
        }
        None
    }

    /// A link that is up in the first engine's database and does not carry, or the other way round. Where
    /// datagrams are lost, a link that carries may be down for seconds.
    pub fn wrong_link(&self) -> Option<Violation> {
        let sites = self.running();
        let status = self.status(*sites.first()?)?;
        let up = |link: &LinkStatus| link.fast.is_some().then_some((link.from, link.to));
        let up: BTreeSet<(NodeId, NodeId)> = status.latency.iter().filter_map(up).collect();
        let pairs = sites.iter().flat_map(|&from| sites.iter().map(move |&to| (from, to)));
        let is_wrong = |&(from, to): &(usize, usize)| {
            let carries = self.carries(from, to) && self.carries(to, from);
            from != to && carries != up.contains(&(self.config(from).id(), self.config(to).id()))
        };
        let (from, to) = pairs.into_iter().find(is_wrong)?;
        let is_up = self.carries(from, to) && self.carries(to, from);
        let detail = format!("the link from {from} to {to} is {}", if is_up { "up" } else { "down" });
        Some(self.violation_at(from, Rule::LinksKnown, detail))
    }

    /// A path that costs more than the oracle's on the engine's own database by more than the hysteresis, on
    /// both averages, and takes longer in its direction; or a member without any path although there is one.
    ///
    /// The oracle takes the higher average of each link, so its path costs no more on either. Engines compare
    /// directions where they know them, and round trips where they do not: either will do.
    pub fn bad_path(&self) -> Option<Violation> {
        let sites = self.running();
        let index: BTreeMap<NodeId, usize> =
            sites.iter().enumerate().map(|(index, &site)| (self.config(site).id(), index)).collect();
        let mut judge: Option<Judge> = None;
        for (own, &site) in sites.iter().enumerate() {
            let status = self.status(site)?;
            let charge_ns = nanos(self.config(site).relay_charge);
            let same =
                judge.take().filter(|judge| judge.latency == status.latency && judge.charge_ns == charge_ns);
            let Judge { fast, slow, loss, best, .. } =
                &*judge.insert(same.unwrap_or_else(|| Judge::new(&status, &index, charge_ns)));
            for member in status.members.iter().filter(|member| member.state == MemberState::Alive) {
                let Some(best_ns) = index.get(&member.id).and_then(|&to| best[own][to]) else { continue };
                let hops = member.path.iter().map(|id| index.get(id).copied());
                let path: Option<Vec<usize>> = core::iter::once(Some(own)).chain(hops).collect();
                let is_worse = |links: &Costs| {
                    let cost_ns = path.as_ref().and_then(|path| path_cost(links, charge_ns, path));
                    cost_ns.is_none_or(|cost_ns| best_ns + hysteresis_ns(cost_ns) < cost_ns)
                };
                if is_worse(fast)
                    && is_worse(slow)
                    && self.takes_longer(&sites, path.as_deref(), loss, charge_ns)
                {
                    let detail = format!("best is {best_ns} ns: {member:?}");
                    return Some(self.violation_at(site, Rule::PathsNearOptimal, detail));
                }
            }
        }
        None
    }

    /// True if a path, by places in `sites`, takes longer in its direction than the oracle's by more than the hysteresis
    /// and what engines do not tell from symmetry. What they have lost on a link counts for longer than links lose it.
    fn takes_longer(&self, sites: &[usize], path: Option<&[usize]>, loss: &Costs, charge_ns: u64) -> bool {
        let Some(path) = path else { return true };
        let delays = self.true_delays();
        // In round trips, as the charge for a relay is.
        let cost = |from: usize, to: usize| delays[to][from].and(delays[from][to]).map(|delay| 2 * delay);
        let with_loss = |(from, to): (usize, usize)| {
            Some(cost(sites[from], sites[to])? + loss[from][to].unwrap_or_default())
        };
        let costs: Costs =
            (0..sites.len()).map(|from| (0..sites.len()).map(|to| with_loss((from, to))).collect()).collect();
        let (from, to) = (path[0], path[path.len() - 1]);
        let best_ns = lowest_costs(&costs, charge_ns, MAX_HOPS)[from][to];
        let taken_ns = path_cost(&costs, charge_ns, path);
        taken_ns.zip(best_ns).is_none_or(|(taken_ns, best_ns)| {
            let slack_ns = hysteresis_ns(taken_ns) + SYMMETRY_NS * path.len() as u64;
            best_ns + slack_ns < taken_ns
        })
    }

    /// What a world at rest does not have: a disagreement, a wrong link, a bad path, or a lost host.
    fn unsettled(&self) -> Option<Violation> {
        let of_mesh = self.disagreement().or_else(|| self.wrong_link()).or_else(|| self.bad_path());
        of_mesh.or_else(|| self.lost_host())
    }

    /// Lets the world go on until its engines agree, know what carries, and have good paths; says how long
    /// that took.
    ///
    /// # Errors
    ///
    /// The first rule that was broken; after `limit`, what the engines still disagree about.
    pub fn settle(&mut self, limit: Duration) -> Result<Duration, Violation> {
        match self.run_until(limit, |world| world.unsettled().is_none())? {
            Some(passed) => Ok(passed),
            None => Err(self.unsettled().expect("run_until has just seen it")),
        }
    }

    /// Checks everything that holds at rest, on a healed and calm underlay: that engines agree, that paths
    /// are good, and, by new hosts at each running site, that frames arrive where they belong.
    ///
    /// # Errors
    ///
    /// The first rule that was broken.
    pub fn check_at_rest(&mut self) -> Result<(), Violation> {
        self.check_tables()?;
        if let Some(violation) = self.unsettled() {
            return Err(violation);
        }
        let mut segments: Vec<Segment> =
            self.running().iter().flat_map(|&site| self.config(site).segments.clone()).collect();
        segments.sort_unstable();
        segments.dedup();
        segments.into_iter().try_for_each(|segment| self.check_delivery(segment))
    }

    /// Broadcasts from each site of the segment, then unicasts between each two.
    fn check_delivery(&mut self, segment: Segment) -> Result<(), Violation> {
        let mut sites = self.running();
        sites.retain(|&site| self.config(site).segments.contains(&segment));
        let hosts: Vec<usize> = sites.iter().map(|&site| self.add_host_in(site, segment, None)).collect();
        let wait = self.longest_way();

        let broadcasts: Vec<usize> = hosts.iter().map(|&host| self.send(host, To::Everyone, 60)).collect();
        self.run_for(wait)?;
        for (&site, &frame) in sites.iter().zip(&broadcasts) {
            let others: Vec<usize> = sites.iter().copied().filter(|&other| other != site).collect();
            let reached = self.frame(frame).sites();
            if reached != others {
                let detail = format!("reached {reached:?}, not {others:?} in {segment:?}");
                return Err(self.violation_at(site, Rule::BroadcastReachesAll, detail));
            }
        }

        let mut unicasts = Vec::new();
        for (&site, &host) in sites.iter().zip(&hosts) {
            for (&other, &to) in sites.iter().zip(&hosts).filter(|&(&other, _)| other != site) {
                unicasts.push((site, other, self.send(host, To::Host(to), 60)));
            }
        }
        self.run_for(wait)?;
        for (site, other, frame) in unicasts {
            let reached = self.frame(frame).sites();
            if reached != [other] {
                let detail = format!("reached {reached:?}, not {other} in {segment:?}");
                return Err(self.violation_at(site, Rule::UnicastReachesOne, detail));
            }
        }
        Ok(())
    }

    /// How long the longest path may take, behind what is still on its way at the links' former delays.
    fn longest_way(&self) -> Duration {
        let sites = self.running();
        let pairs = sites.iter().flat_map(|&from| sites.iter().map(move |&to| (from, to)));
        let links = pairs.filter_map(|(from, to)| self.link(from, to));
        let slowest_ns = links.map(|link| link.delay_ns + link.jitter_ns).max().unwrap_or(0);
        let queue = self.last_arrival().since(self.now());
        queue + Duration::from_nanos(slowest_ns * MAX_HOPS as u64) + Duration::from_millis(10)
    }

    /// The true round-trip times of the underlay between all sites, in nanoseconds, jitter at its mean.
    pub fn true_costs(&self) -> Costs {
        let delays = self.true_delays();
        let round_trip = |from: usize, to: usize| Some(delays[from][to]? + delays[to][from]?);
        let sites = self.sites();
        (0..sites).map(|from| (0..sites).map(|to| round_trip(from, to)).collect()).collect()
    }

    /// The true one-way delays of the underlay between all sites, in nanoseconds, jitter at its mean. A link that is
    /// cut, leads out of its partition, or ends at a site that is down has none.
    pub fn true_delays(&self) -> Costs {
        let is_down: Vec<bool> = (0..self.sites()).map(|site| self.state(site) == SiteState::Down).collect();
        let delay = |from: usize, to: usize| {
            let link = self.link(from, to).filter(|_| !is_down[from] && !is_down[to])?;
            self.carries(from, to).then_some(link.delay_ns + link.jitter_ns / 2)
        };
        (0..self.sites()).map(|from| (0..self.sites()).map(|to| delay(from, to)).collect()).collect()
    }

    fn violation_at(&self, site: usize, rule: Rule, detail: String) -> Violation {
        Violation { seed: self.seed(), at: self.now(), site: Some(site), rule, detail }
    }
}

/// Ways there and back that differ by less than this, at each end of a link, are as good as the same to engines.
const SYMMETRY_NS: u64 = 1_000_000;

/// What follows from one latency database; at rest all engines have the same.
struct Judge {
    latency: Vec<LinkStatus>,
    charge_ns: u64,
    fast: Costs,
    slow: Costs,
    /// What the loss of each link costs.
    loss: Costs,
    /// The oracle's, by the higher average of each link.
    best: Costs,
}

impl Judge {
    fn new(status: &Status, index: &BTreeMap<NodeId, usize>, charge_ns: u64) -> Self {
        let fast = |link: &LinkStatus| Some(link.fast? + link.jitter?);
        let higher = costs(status, index, |link| fast(link).max(link.slow));
        Judge {
            latency: status.latency.clone(),
            charge_ns,
            fast: costs(status, index, fast),
            slow: costs(status, index, |link| link.slow),
            loss: costs(status, index, |_| Some(Duration::ZERO)),
            best: lowest_costs(&higher, charge_ns, MAX_HOPS),
        }
    }
}

/// The live members an engine lists, itself included, with their incarnations.
fn list_of(status: &Status) -> BTreeMap<NodeId, u64> {
    let alive = status.members.iter().filter(|member| member.state == MemberState::Alive);
    let others = alive.map(|member| (member.id, member.incarnation));
    others.chain([(status.id, status.incarnation)]).collect()
}

/// The entries in which two databases differ.
fn difference(here: &[LinkStatus], elsewhere: &[LinkStatus]) -> String {
    let only_here: Vec<_> = here.iter().filter(|link| !elsewhere.contains(link)).collect();
    let only_elsewhere: Vec<_> = elsewhere.iter().filter(|link| !here.contains(link)).collect();
    format!("only here {only_here:?}, only elsewhere {only_elsewhere:?}")
}

/// The latency database of an engine as the oracle takes it: a time, and what the loss costs.
fn costs(
    status: &Status,
    index: &BTreeMap<NodeId, usize>,
    rtt: impl Fn(&LinkStatus) -> Option<Duration>,
) -> Costs {
    let mut costs = vec![vec![None; index.len()]; index.len()];
    for link in &status.latency {
        let Some((&from, &to)) = index.get(&link.from).zip(index.get(&link.to)) else { continue };
        let other_end = status.latency.iter().find(|other| (other.from, other.to) == (link.to, link.from));
        let believed = believed(*link, other_end);
        costs[from][to] = rtt(&believed).map(|rtt| nanos(rtt) + loss_ns(link.loss));
    }
    costs
}

/// A link as others take it: where its other end has measured a time that is higher by a quarter and 5 ms, that counts.
fn believed(link: LinkStatus, other_end: Option<&LinkStatus>) -> LinkStatus {
    let times = link.slow.zip(other_end.and_then(|other| other.slow));
    match (times, other_end) {
        (Some((here, there)), Some(other)) if there > here + here / 4 + Duration::from_millis(5) => {
            LinkStatus { fast: link.fast.max(other.fast), slow: Some(there), ..link }
        }
        _ => link,
    }
}

/// What the loss of a link costs: -ln(1 - p) of 200 ms, the time after which senders usually repeat, where p is what is lost
/// beyond two standard deviations of a hundred probes.
fn loss_ns(loss: u8) -> u64 {
    let share = f64::from(loss.min(254)) / 255.0;
    let lost = (share - 2.0 * (share * (1.0 - share) / 100.0).sqrt()).max(0.0);
    (-(1.0 - lost).ln() * 200e6) as u64
}

/// How much better another path must be: 0.5 ms and 5 %.
fn hysteresis_ns(cost_ns: u64) -> u64 {
    (cost_ns / 20).max(500_000)
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
