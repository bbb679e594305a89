//! What the demo found out: tables for people, JSON for scripts, and whether it is good enough.

use std::io::Write;

use anyhow::ensure;
use serde::Serialize;

use crate::table::render;

/// How much slower than the direct link the overlay may seem before the demo calls it a failure, in
/// milliseconds: what two medians differ by on a busy machine.
const NOISE_MS: f64 = 1.0;

/// Everything measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) pairs: Vec<Pair>,
    pub(super) faults: Vec<Fault>,
}

/// Round-trip times between hosts at two sites.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    pub(super) from: String,
    pub(super) to: String,
    /// Over the direct link alone, in a mesh of just these two sites.
    pub(super) direct_ms: f64,
    /// Over the mesh of all sites.
    pub(super) overlay_ms: f64,
    /// The sites frames pass over leon: relays in order, then the destination.
    pub(super) path: Vec<String>,
}

/// Something that broke.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    pub(super) fault: String,
    /// How long frames stopped.
    pub(super) outage_ms: f64,
}

impl Report {
    /// One JSON object on standard output.
    pub(super) fn print_json(&self) -> anyhow::Result<()> {
        print(&serde_json::to_string_pretty(self)?)
    }

    /// An error if the overlay did not do its job: a relayed pair must be faster than its direct link, and no
    /// pair slower.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for pair in &self.pairs {
            let margin = if pair.path.len() > 1 { 0.0 } else { NOISE_MS };
            ensure!(
                pair.overlay_ms < pair.direct_ms + margin,
                "{} - {} takes {} ms over leon and {} ms directly",
                pair.from,
                pair.to,
                pair.overlay_ms,
                pair.direct_ms
            );
        }
        Ok(())
    }
}

/// The table of round-trip times.
pub(super) fn print_pairs(pairs: &[Pair]) -> anyhow::Result<()> {
    let rows = pairs.iter().map(|pair| {
        let saved = pair.direct_ms - pair.overlay_ms;
        let relays = &pair.path[..pair.path.len().saturating_sub(1)];
        [
            format!("{} - {}", pair.from, pair.to),
            format!("{:.1}", pair.direct_ms),
            format!("{:.1}", pair.overlay_ms),
            if relays.is_empty() { "direct".to_owned() } else { format!("via {}", relays.join(", ")) },
            if relays.is_empty() { "-".to_owned() } else { format!("{saved:.1}") },
            if relays.is_empty() {
                "-".to_owned()
            } else {
                format!("{:.0} %", 100.0 * saved / pair.direct_ms)
            },
        ]
    });
    let headers = ["ROUND TRIP", ">DIRECT ms", ">LEON ms", "PATH", ">SAVED ms", ">SAVED"];
    print(&format!("\n{}\n", render(headers, rows)))
}

/// The table of faults.
pub(super) fn print_faults(faults: &[Fault]) -> anyhow::Result<()> {
    let rows = faults.iter().map(|fault| [fault.fault.clone(), format!("{:.0}", fault.outage_ms)]);
    print(&format!("\n{}", render(["FAULT", ">FRAMES STOPPED ms"], rows)))
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}
