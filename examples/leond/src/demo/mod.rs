//! `leond demo`: the LEON paper's three sites in one process. Hosts at two of them reach each other faster
//! through the third; then things break.
//!
//! All sockets are real and on the loopback interface; [`wan`] puts the latency of the Internet between
//! them. Neither the engines nor their drivers know that.

mod host;
mod measure;
mod packet;
mod report;
mod site;
mod stage;
mod tunnel;
mod wan;

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;

use self::host::Host;
use self::measure::{EchoStream, Pinger, round_trips};
use self::report::{Fault, Pair, Report};
use self::stage::Stage;
use self::wan::SiteNo;
use crate::cli::DemoArgs;
use crate::status::millis;

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
    crate::start_log(log::LevelFilter::Warn);
    let mut stage = Stage::new(&NAMES, round_trip)?;
    let hosts = start_sites(&mut stage)?;
    wait_for_relay(&stage)?;
    let pairs = measure_pairs(&stage, &hosts)?;
    if !arguments.json {
        report::print_pairs(&pairs)?;
    }
    let stream = Pinger::new(Arc::clone(&hosts[FUJISAWA]), hosts[SEOUL].ip())?;
    let faults = vec![cut_direct_link(&stage, &stream)?, kill_relay(&mut stage, &stream)?];
    stage.stop()?;
    let report = Report { pairs, faults };
    if arguments.json {
        report.print_json()?;
    } else {
        report::print_faults(&report.faults)?;
    }
    report.check()
}

/// Starts the sites, each with a host behind it, and waits until each knows the others.
fn start_sites(stage: &mut Stage) -> anyhow::Result<Vec<Arc<Host>>> {
    stage.say("three sites, on UDP sockets of the loopback interface; round trips between them take");
    for (a, b) in PAIRS {
        stage.say(format!("  {:>2} ms {} - {}", round_trip(a, b).as_millis(), NAMES[a], NAMES[b]));
    }
    let mut hosts = Vec::new();
    for (site, seed, number) in [(FUJISAWA, None, 1), (INAGI, Some(FUJISAWA), 2), (SEOUL, Some(INAGI), 3)] {
        let card = stage.start_site(site, seed)?;
        hosts.push(Arc::new(Host::start(card, number)?));
    }
    stage.wait_until("every site knows the two others", |stage| {
        PAIRS.iter().all(|&(a, b)| stage.member(a, b).is_some() && stage.member(b, a).is_some())
    })?;
    Ok(hosts)
}

/// Waits until the engines have measured the links and send by the path with the lowest latency.
fn wait_for_relay(stage: &Stage) -> anyhow::Result<()> {
    stage.wait_until("every link is measured", |stage| {
        PAIRS.iter().all(|&(a, b)| stage.direct_cost(a, b).is_some() && stage.direct_cost(b, a).is_some())
    })?;
    stage.wait_until("Fujisawa and Seoul relay through Inagi", |stage| {
        stage.path(FUJISAWA, SEOUL) == [INAGI, SEOUL] && stage.path(SEOUL, FUJISAWA) == [INAGI, FUJISAWA]
    })
}

/// Lets the hosts ping each other, over leon and over a plain tunnel along the direct link.
fn measure_pairs(stage: &Stage, hosts: &[Arc<Host>]) -> anyhow::Result<Vec<Pair>> {
    stage.say("hosts ping each other, over leon and, for comparison, over a plain tunnel on the direct link");
    let mut pairs = Vec::new();
    for (from, to) in PAIRS {
        let overlay = Pinger::new(Arc::clone(&hosts[from]), hosts[to].ip())?;
        let (card_from, card_to) = tunnel::dig(&stage.wan, from, to)?;
        let (host_from, host_to) = (Host::start(card_from, 4)?, Host::start(card_to, 5)?);
        let direct = Pinger::new(Arc::new(host_from), host_to.ip())?;
        let (direct, overlay) = round_trips(&direct, &overlay)?;
        let path = stage.path(from, to).into_iter().map(|site| NAMES[site].to_owned()).collect();
        pairs.push(Pair {
            from: NAMES[from].to_owned(),
            to: NAMES[to].to_owned(),
            direct_ms: millis(direct),
            overlay_ms: millis(overlay),
            path,
        });
    }
    Ok(pairs)
}

/// Cuts the direct link while frames are relayed, and mends it again.
fn cut_direct_link(stage: &Stage, pinger: &Pinger) -> anyhow::Result<Fault> {
    stage.say("Fujisawa pings Seoul every 5 ms through Inagi; the direct link between them is cut: ...");
    let stream = EchoStream::start(pinger.clone())?;
    stage.wait_until("frames flow", |_| stream.flows())?;
    stage.wan.cut(FUJISAWA, SEOUL);
    stage.wait_until("both ends notice that the link is down", |stage| {
        stage.direct_cost(FUJISAWA, SEOUL).is_none() && stage.direct_cost(SEOUL, FUJISAWA).is_none()
    })?;
    stage.wait_until("frames flow", |_| stream.flows())?;
    let outage = stream.finish()?;
    stage.say(format!("... frames stopped for {} ms: none was on that link", outage.as_millis()));
    stage.wan.mend(FUJISAWA, SEOUL);
    stage.wait_until("the link is mended and measured again", |stage| {
        stage.direct_cost(FUJISAWA, SEOUL).is_some() && stage.direct_cost(SEOUL, FUJISAWA).is_some()
    })?;
    Ok(Fault { fault: "direct link Fujisawa - Seoul cut".to_owned(), outage_ms: millis(outage) })
}

/// Kills the relay, which takes every frame between Fujisawa and Seoul with it.
fn kill_relay(stage: &mut Stage, pinger: &Pinger) -> anyhow::Result<Fault> {
    ensure!(stage.path(FUJISAWA, SEOUL) == [INAGI, SEOUL], "Fujisawa does not relay through Inagi any more");
    stage.say("Fujisawa pings Seoul every 5 ms through Inagi; Inagi loses its power: ...");
    let stream = EchoStream::start(pinger.clone())?;
    stage.wait_until("frames flow", |_| stream.flows())?;
    stage.kill(INAGI)?;
    stage.wait_until("Fujisawa and Seoul use the direct link", |stage| {
        stage.path(FUJISAWA, SEOUL) == [SEOUL] && stage.path(SEOUL, FUJISAWA) == [FUJISAWA]
    })?;
    stage.wait_until("frames flow again", |_| stream.flows())?;
    let outage = stream.finish()?;
    stage.say(format!("... frames stopped for {} ms: until Inagi's silence was noticed", outage.as_millis()));
    Ok(Fault { fault: "relay Inagi killed".to_owned(), outage_ms: millis(outage) })
}
