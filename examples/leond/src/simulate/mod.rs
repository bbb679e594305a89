//! `leond simulate`: what leon would save among somebody's sites, before they install anything.
//!
//! The real engines run in virtual time over an underlay with the delays of a file. What is reported comes from
//! outside of them: from the paths they chose and from delays that they did not see.

mod csv;
mod fault;
mod matrix;
mod measure;
mod plot;
mod report;
mod run;
mod summary;
mod trace;
mod traffic;
mod truth;
mod underlay;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use leon::driver::clock;
use parking_lot::Mutex;

use self::csv::Table;
use self::report::Report;
use self::run::{Outcome, Settings, simulate};
use self::summary::Summary;
use self::underlay::Underlay;
use crate::Failure;
use crate::cli::SimulateArgs;

/// How long paths on a matrix are measured.
const DEFAULT_SECONDS: f64 = 120.0;

/// Runs the simulation. A file or flag that makes no sense is an error of usage.
pub(crate) fn run(arguments: &SimulateArgs) -> Result<(), Failure> {
    let underlay = read(arguments).map_err(Failure::Usage)?;
    let frames = underlay.frames.len();
    let frame = Duration::from_secs_f64(arguments.frame_seconds);
    let default = if arguments.trace.is_some() {
        frame.saturating_mul(u32::try_from(frames).unwrap_or(u32::MAX))
    } else {
        Duration::from_secs_f64(DEFAULT_SECONDS)
    };
    let settings = Settings {
        measured: arguments.seconds.map_or(default, Duration::from_secs_f64),
        frame,
        loss: arguments.loss,
        jitter_ns: (arguments.jitter_ms * 1e6) as u64,
        fault: arguments.fault,
        traffic: arguments.traffic,
    };
    let nodes = arguments.nodes.map_or(underlay.names.len(), usize::from);
    let draw = |nth: u64| underlay.draw(nodes, arguments.draw_seed.wrapping_add(nth));
    let draws: anyhow::Result<Vec<Underlay>> = (0..arguments.draws.into()).map(draw).collect();
    let draws = draws.map_err(Failure::Usage)?;

    let began = clock::now();
    let outcomes = simulate_all(&draws, &settings, arguments.seed)?;
    let summary = match outcomes.as_slice() {
        [only] => Summary::of(only),
        all => Summary::of_all(all, clock::now().since(began)),
    };
    if let Some(file) = &arguments.plot {
        let svg = plot::draw(&draws[0], &outcomes[0]);
        std::fs::write(file, svg).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let seeds = (arguments.draw_seed, arguments.seed);
    let report = Report::new(&outcomes, summary, arguments.fault.is_some(), arguments.trace.is_some(), seeds);
    if arguments.json {
        report.print_json()?
    } else {
        report.print_tables()?
    }
    Ok(())
}

fn read(arguments: &SimulateArgs) -> anyhow::Result<Underlay> {
    match (&arguments.matrix, &arguments.trace) {
        (Some(file), _) => matrix::read(&Table::read(file)?),
        (None, Some(file)) => trace::read(&Table::read(file)?),
        (None, None) => anyhow::bail!("neither a matrix nor a trace is given"),
    }
}

/// Simulates all draws, as many at a time as there are cores; the seed counts up.
fn simulate_all(draws: &[Underlay], settings: &Settings, seed: u64) -> anyhow::Result<Vec<Outcome>> {
    let ms = |duration: Duration| duration.as_millis() as u64;
    let bar = ProgressBar::new(ms(settings.measured) * draws.len() as u64);
    let style = ProgressStyle::with_template("{bar:40} {percent} %, {eta} to go")?;
    bar.set_style(style);
    let progress = |passed: Duration| bar.inc(ms(passed));
    let outcomes = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(nth) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|nth| *nth < draws.len()) {
            let outcome = simulate(&draws[nth], settings, seed.wrapping_add(nth as u64), &progress);
            outcomes.lock().push((nth, outcome));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores.min(draws.len())).for_each(|_| drop(scope.spawn(work))));
    bar.finish_and_clear();
    let mut outcomes = outcomes.into_inner();
    outcomes.sort_unstable_by_key(|(nth, _)| *nth);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}
