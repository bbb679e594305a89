//! What simulations found out: tables for people, JSON for scripts.

use std::io::Write;

use serde::Serialize;

use super::measure::Pair;
use super::run::Outcome;
use super::summary::{FaultSummary, Summary, rounded};
use crate::table::render;

/// Everything found out. The field names are what scripts rely on.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) summary: Summary,
    /// Only with faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) faults: Option<FaultSummary>,
    /// What the oracle's paths are the best for: the delays of the very moment.
    oracle: &'static str,
    draws: Vec<Draw>,
}

/// One simulation.
#[derive(Serialize)]
struct Draw {
    draw_seed: u64,
    seed: u64,
    sites: Vec<String>,
    summary: Summary,
    rtts: Vec<PairReport>,
}

/// The round trips between two sites.
#[derive(Serialize)]
struct PairReport {
    from: String,
    to: String,
    direct_ms: Option<f64>,
    leon_ms: Option<f64>,
    oracle_ms: Option<f64>,
    cut_pct: Option<f64>,
    /// The chosen path at the end: names of the relays in order, then the other site's; and the way back.
    path: Vec<String>,
    path_back: Vec<String>,
}

impl Report {
    /// What these simulations found out, whose seeds count up from these.
    pub(super) fn new(
        outcomes: &[Outcome],
        summary: Summary,
        has_faults: bool,
        is_trace: bool,
        (draw_seed, seed): (u64, u64),
    ) -> Report {
        let draw = |(outcome, nth): (&Outcome, u64)| Draw {
            draw_seed: draw_seed.wrapping_add(nth),
            seed: seed.wrapping_add(nth),
            sites: outcome.names.clone(),
            summary: Summary::of(outcome),
            rtts: outcome.pairs.iter().map(|pair| PairReport::new(pair, outcome)).collect(),
        };
        Report {
            summary,
            faults: has_faults.then(|| FaultSummary::of(outcomes)),
            oracle: if is_trace { "knows the present frame" } else { "knows the true mean delays" },
            draws: outcomes.iter().zip(0..).map(draw).collect(),
        }
    }

    pub(super) fn print_json(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, self)?;
        writeln!(out)?;
        Ok(())
    }

    /// The pairs of the only draw, or a line for each of several; then the summary.
    pub(super) fn print_tables(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match self.draws.as_slice() {
            [draw] => writeln!(out, "{}\n", draw.table())?,
            draws => writeln!(out, "{}\n", draws_table(draws))?,
        }
        let is_measured = |row: &[String; 3]| row[1] != number(None);
        let faults = self.faults.as_ref().map(fault_rows).into_iter().flatten().filter(is_measured);
        let rows = summary_rows(&self.summary).into_iter().chain(faults);
        writeln!(out, "{}", render(["SUMMARY", ">", ""], rows))?;
        writeln!(out, "\nThe oracle {}.", self.oracle)?;
        Ok(())
    }
}

impl Draw {
    /// The pairs, those that gain most first.
    fn table(&self) -> String {
        let mut pairs: Vec<&PairReport> = self.rtts.iter().collect();
        let saved = |pair: &PairReport| pair.direct_ms.zip(pair.leon_ms).map(|(direct, leon)| direct - leon);
        pairs.sort_by(|a, b| saved(b).unwrap_or(f64::MAX).total_cmp(&saved(a).unwrap_or(f64::MAX)));
        let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        let rows = pairs.into_iter().map(|pair| {
            [
                format!("{} - {}", pair.from, pair.to),
                ms(pair.direct_ms),
                ms(pair.leon_ms),
                ms(pair.oracle_ms),
                pair.cut_pct.map_or_else(|| "-".to_owned(), |cut| format!("{} %", cut.round() as i64)),
                pair.describe_path(),
            ]
        });
        render(["ROUND TRIP", ">DIRECT ms", ">LEON ms", ">ORACLE ms", ">SAVED", "PATH"], rows)
    }
}

impl PairReport {
    fn new(pair: &Pair, outcome: &Outcome) -> PairReport {
        let (from, to) = pair.sites;
        let name = |site: &usize| outcome.names[*site].clone();
        let path = |from: usize, to: usize| outcome.paths[from][to].iter().map(name).collect();
        PairReport {
            from: name(&from),
            to: name(&to),
            direct_ms: pair.direct_ms().map(rounded),
            leon_ms: pair.leon_ms().map(rounded),
            oracle_ms: pair.oracle_ms().map(rounded),
            cut_pct: pair.cut_pct().map(rounded),
            path: path(from, to),
            path_back: path(to, from),
        }
    }

    fn describe_path(&self) -> String {
        let there = relays(&self.path);
        let mut back = relays(&self.path_back).to_vec();
        back.reverse();
        let words = |relays: &[String]| match relays {
            [] => "direct".to_owned(),
            relays => format!("via {}", relays.join(", ")),
        };
        match there == back {
            true => words(there),
            false => format!("{}, back {}", words(there), words(relays(&self.path_back))),
        }
    }
}

fn relays(path: &[String]) -> &[String] {
    path.split_last().map_or(&[], |(_, relays)| relays)
}

fn draws_table(draws: &[Draw]) -> String {
    let rows = draws.iter().map(|draw| {
        let summary = &draw.summary;
        [
            draw.draw_seed.to_string(),
            format!("{}/{}", summary.improved_pairs, summary.pairs),
            number(summary.mean_rtt_cut_pct),
            number(summary.oracle_rtt_cut_pct),
            number(summary.realised),
            number(Some(summary.worse_than_direct_pct)),
            number(Some(summary.switches_per_pair_minute)),
            number(summary.failover_p99_s),
            number(Some(summary.control_kbps_per_node)),
        ]
    });
    let headers = [
        ">DRAW",
        ">IMPROVED",
        ">CUT %",
        ">ORACLE %",
        ">REALISED",
        ">WORSE %",
        ">SWITCHES",
        ">FAILOVER p99",
        ">kbit/s",
    ];
    render(headers, rows)
}

/// The numbers of a summary, each with its name and what it is.
fn summary_rows(summary: &Summary) -> Vec<[String; 3]> {
    let row = |name: &str, value: Option<f64>, what: &str| [name.to_owned(), number(value), what.to_owned()];
    let count = |count: usize| Some(count as f64);
    vec![
        row("pairs", count(summary.pairs), "of sites"),
        row("improved_pairs", count(summary.improved_pairs), "whose round trip is more than 5 % shorter"),
        row("mean_rtt_cut_pct", summary.mean_rtt_cut_pct, "% of a pair's direct round trip, on average"),
        row("oracle_rtt_cut_pct", summary.oracle_rtt_cut_pct, "% with the best paths there are"),
        row("realised", summary.realised, "the ratio of the two"),
        row("worse_than_direct_pct", Some(summary.worse_than_direct_pct), "% of the time, by more than 5 %"),
        row(
            "switches_per_pair_minute",
            Some(summary.switches_per_pair_minute),
            "of paths, both ways together",
        ),
        row("converge_s", Some(summary.converge_s), "s from the last start to good paths everywhere"),
        row("failover_p50_s", summary.failover_p50_s, "s from a fault until the chosen path carries again"),
        row("failover_p99_s", summary.failover_p99_s, "s"),
        row("wrong_evictions", count(summary.wrong_evictions), "of members that run and can be reached"),
        row(
            "control_kbps_per_node",
            Some(summary.control_kbps_per_node),
            "kbit/s sent and received, with IP and UDP",
        ),
        row("wall_s", Some(summary.wall_s), "s of real time"),
    ]
}

fn fault_rows(faults: &FaultSummary) -> Vec<[String; 3]> {
    let row = |name: &str, value: Option<f64>, what: &str| [name.to_owned(), number(value), what.to_owned()];
    let count = |count: usize| Some(count as f64);
    vec![
        row("faults", count(faults.faults), "in all draws"),
        row("broken_paths", count(faults.broken_paths), "which could be replaced"),
        row("unresolved_paths", count(faults.unresolved_paths), "of them, when the fault ended"),
        row("crash_known_p50_s", faults.crash_known_p50_s, "s until no site lists the crashed one"),
        row("crash_known_max_s", faults.crash_known_max_s, "s"),
        row("heal_p50_s", faults.heal_p50_s, "s until all sites have each other back"),
        row("heal_max_s", faults.heal_max_s, "s"),
        row("traffic_flows", count(faults.traffic_flows), "of frames, each way, that the faults hit"),
        row("traffic_gap_p50_s", faults.traffic_gap_p50_s, "s without a frame"),
        row("traffic_gap_p99_s", faults.traffic_gap_p99_s, "s"),
    ]
}

fn number(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}
