//! `leond demo`: the LEON paper's three sites in one process. Hosts at two of them reach each other faster
//! through the third; then things break.
//!
//! All sockets are real and on the loopback interface; [`wan`] puts the latency of the Internet between
//! them. Neither the engines nor their drivers know that.

mod host;
mod measure;
mod mesh;
mod packet;
mod report;
mod site;
mod wan;

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use leon::Time;
use leon::driver::clock;

use self::host::Host;
use self::measure::{EchoStream, Pinger, round_trips};
use self::mesh::Mesh;
use self::report::{Fault, Pair, Report};
use self::wan::{SiteNo, Wan};
use crate::cli::DemoArgs;

const FUJISAWA: SiteNo = 0;
const INAGI: SiteNo = 1;
const SEOUL: SiteNo = 2;
const NAMES: [&str; 3] = ["Fujisawa", "Inagi", "Seoul"];
/// The pairs of sites, in the order of the table.
const PAIRS: [(SiteNo, SiteNo); 3] = [(FUJISAWA, SEOUL), (FUJISAWA, INAGI), (INAGI, SEOUL)];

/// Round-trip times of the paper (Fig. 2).
fn round_trip(a: SiteNo, b: SiteNo) -> Duration {
    Duration::from_millis(match (a.min(b), a.max(b)) {
        (FUJISAWA, SEOUL) => 32,
        (INAGI, SEOUL) => 17,
        (FUJISAWA, INAGI) => 4,
        _ => 0,
    })
}

/// Runs the demo. An error means that the overlay did not do its job.
pub(crate) fn run(arguments: &DemoArgs) -> anyhow::Result<()> {
    // The engines warn of every fault, and faults are what the demo is about.
    crate::start_log(log::LevelFilter::Error);
    let mut demo = Demo::start()?;
    demo.wait_for_relay()?;
    let pairs = demo.measure_pairs()?;
    if !arguments.json {
        report::print_pairs(&pairs)?;
    }
    let faults = vec![demo.cut_direct_link()?, demo.kill_relay()?];
    demo.mesh.stop()?;
    let report = Report { pairs, faults };
    if arguments.json {
        report.print_json()?;
    } else {
        report::print_faults(&report.faults)?;
    }
    report.check()
}

/// The sites, a host at each, and the network between them.
struct Demo {
    began: Time,
    wan: Wan,
    mesh: Mesh,
    hosts: Vec<Arc<Host>>,
}

impl Demo {
    /// Starts the sites, each with a host behind it, and waits until each knows the others.
    fn start() -> anyhow::Result<Demo> {
        let wan = Wan::new(round_trip)?;
        let mut demo = Demo { began: clock::now(), mesh: Mesh::new(&wan)?, wan, hosts: Vec::new() };
        demo.say("three sites with new keys, which seal all that they send, on UDP sockets of the loopback");
        demo.say("interface; round trips between them take");
        for (a, b) in PAIRS {
            demo.say(&format!("  {:>2} ms  {} - {}", round_trip(a, b).as_millis(), NAMES[a], NAMES[b]));
        }
        for (site, seed) in [(FUJISAWA, None), (INAGI, Some(FUJISAWA)), (SEOUL, Some(INAGI))] {
            demo.say(&match seed {
                None => format!("{} starts", NAMES[site]),
                Some(seed) => format!("{} joins through {}", NAMES[site], NAMES[seed]),
            });
            let card = demo.mesh.start_site(site, seed)?;
            demo.hosts.push(Arc::new(Host::start(card, site)?));
        }
        demo.wait_until("every site knows the two others", |mesh| {
            PAIRS.iter().all(|&(a, b)| mesh.member(a, b).is_some() && mesh.member(b, a).is_some())
        })?;
        Ok(demo)
    }

    /// Waits until the engines have measured the links and send by the path with the lowest latency.
    fn wait_for_relay(&self) -> anyhow::Result<()> {
        self.wait_until("every link is measured", |mesh| PAIRS.iter().all(|&(a, b)| mesh.is_link_up(a, b)))?;
        self.wait_until("Fujisawa and Seoul reach each other through Inagi", is_relayed)
    }

    /// Lets the hosts ping each other, over the three sites and, as the yardstick, over a mesh of only the two
    /// sites at hand: the same software on the same link, with nobody to relay.
    fn measure_pairs(&self) -> anyhow::Result<Vec<Pair>> {
        self.say("hosts ping each other, and again where there is nothing but the direct link");
        let measure = |&(from, to): &(SiteNo, SiteNo)| {
            let overlay = Pinger::new(Arc::clone(&self.hosts[from]), self.hosts[to].ip())?;
            let mut alone = Mesh::new(&self.wan)?;
            let host_from = Host::start(alone.start_site(from, None)?, from)?;
            let host_to = Host::start(alone.start_site(to, Some(from))?, to)?;
            alone.wait_until("two sites know each other", |alone| {
                alone.path(from, to) == [to] && alone.path(to, from) == [from]
            })?;
            let direct = Pinger::new(Arc::new(host_from), host_to.ip())?;
            let (direct, overlay) = round_trips(&direct, &overlay)?;
            alone.stop()?;
            let path = self.mesh.path(from, to).into_iter().map(|site| NAMES[site].to_owned()).collect();
            let [from, to] = [from, to].map(|site| NAMES[site].to_owned());
            Ok(Pair { from, to, direct_ms: tenths(direct), overlay_ms: tenths(overlay), path })
        };
        PAIRS.iter().map(measure).collect()
    }

    /// Cuts the direct link while frames are relayed, and mends it again.
    fn cut_direct_link(&self) -> anyhow::Result<Fault> {
        self.say("Fujisawa pings Seoul through Inagi every 5 ms; the direct link between the two is cut ...");
        let stream = self.start_stream()?;
        self.wan.cut(FUJISAWA, SEOUL);
        self.wait_until("... both notice that it is down", |mesh| mesh.is_link_down(FUJISAWA, SEOUL))?;
        let outage = self.finish_stream(stream)?;
        self.say(&format!("... frames stopped for {:.0} ms: none was on that link", outage));
        self.wan.mend(FUJISAWA, SEOUL);
        self.wait_until("the link is mended", |mesh| mesh.is_link_up(FUJISAWA, SEOUL))?;
        Ok(Fault { fault: "direct link Fujisawa - Seoul cut".to_owned(), outage_ms: outage })
    }

    /// Kills the relay, which every frame between Fujisawa and Seoul passes.
    fn kill_relay(&mut self) -> anyhow::Result<Fault> {
        ensure!(is_relayed(&self.mesh), "Fujisawa and Seoul do not reach each other through Inagi any more");
        self.say("Fujisawa pings Seoul through Inagi every 5 ms; Inagi is killed ...");
        let stream = self.start_stream()?;
        self.mesh.kill(INAGI)?;
        self.wait_until("... Fujisawa and Seoul change to the direct link", |mesh| {
            mesh.path(FUJISAWA, SEOUL) == [SEOUL] && mesh.path(SEOUL, FUJISAWA) == [FUJISAWA]
        })?;
        let outage = self.finish_stream(stream)?;
        self.say(&format!("... frames stopped for {:.0} ms: until Inagi's silence was noticed", outage));
        Ok(Fault { fault: "relay Inagi killed".to_owned(), outage_ms: outage })
    }

    /// Lets Fujisawa's host ping Seoul's until frames flow.
    fn start_stream(&self) -> anyhow::Result<EchoStream> {
        let pinger = Pinger::new(Arc::clone(&self.hosts[FUJISAWA]), self.hosts[SEOUL].ip())?;
        let stream = EchoStream::start(pinger)?;
        self.mesh.wait_until("frames flow", |_| stream.flows())?;
        Ok(stream)
    }

    /// Waits until frames flow, and says for how many milliseconds they had stopped.
    fn finish_stream(&self, stream: EchoStream) -> anyhow::Result<f64> {
        self.mesh.wait_until("frames flow again", |_| stream.flows())?;
        stream.finish().map(tenths)
    }

    /// Waits for something, then tells people that it has come.
    fn wait_until(&self, what: &str, condition: impl Fn(&Mesh) -> bool) -> anyhow::Result<()> {
        self.mesh.wait_until(what, condition)?;
        self.say(what);
        Ok(())
    }

    /// Tells people how the demo gets on.
    fn say(&self, what: &str) {
        eprintln!("{:5.1} s  {what}", clock::now().since(self.began).as_secs_f64());
    }
}

/// True if Fujisawa and Seoul use Inagi as their relay, both ways.
fn is_relayed(mesh: &Mesh) -> bool {
    mesh.path(FUJISAWA, SEOUL) == [INAGI, SEOUL] && mesh.path(SEOUL, FUJISAWA) == [INAGI, FUJISAWA]
}

/// `duration` in milliseconds, to a tenth: finer digits would be about the machine's scheduler.
fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
