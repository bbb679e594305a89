//! `leond run`: opens everything, runs the driver until a signal, and closes everything.

use std::sync::Arc;
use std::thread;

use anyhow::{Context, anyhow};
use leon::driver::{Driver, Port, StopHandle, Tap, TapError, Underlay, clock};
use leon::{Engine, Event, MemberState};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Failure;
use crate::cli::RunArgs;
use crate::config::{Plan, Settings};
use crate::control::ControlSocket;
use crate::status::Report;

/// Runs a node until SIGINT or SIGTERM.
pub(crate) fn run(arguments: RunArgs) -> Result<(), Failure> {
    crate::start_log(log::LevelFilter::Info);
    let plan = plan(arguments).map_err(Failure::Usage)?;
    // From here on the signals wait for the thread that handles them, so that what is opened gets closed.
    let signals = Signals::new([SIGINT, SIGTERM]).context("cannot handle signals")?;
    let underlay = Underlay::bind(plan.listen).map_err(anyhow::Error::new)?;
    let config = plan.engine_config(underlay.local_addr(), plan.resolve_seeds()?)?;
    let engine = Engine::new(config, clock::now()).map_err(|error| Failure::Usage(error.into()))?;
    let engine = Arc::new(engine);
    let control = ControlSocket::bind(&plan.socket)?;
    let tap = open_tap(&plan, engine.mtu())?;
    let driver = Driver::new(Arc::clone(&engine), underlay, Port::from_tap(tap, plan.segment))
        .context("cannot start the driver")?;

    let (reported, io) = (Arc::clone(&engine), driver.io_counters());
    control.serve(move || Report::new(&reported.status(clock::now()), &io))?;
    stop_on_signal(signals, driver.stop_handle())?;
    let status = engine.status(clock::now());
    log::warn!("security is none: whoever can send UDP to this node can join, read and inject");
    log::info!(
        "{} ({}) runs on UDP {}, reachable at {}",
        status.name,
        status.id,
        plan.listen,
        status.locator
    );
    let mut observer = Observer { stop: driver.stop_handle(), engine, refused: None };
    driver.run(|event| observer.notice(&event)).context("the driver stopped")?;
    match observer.refused {
        Some(reason) => Err(Failure::Runtime(anyhow!(reason))),
        None => {
            log::info!("left the mesh");
            Ok(())
        }
    }
}

fn plan(arguments: RunArgs) -> anyhow::Result<Plan> {
    let file = arguments.config.as_deref().map(Settings::from_file).transpose()?;
    arguments.settings.or(file.unwrap_or_default()).complete()
}

/// Opens the TAP device, with the largest MTU that `fits` the underlay unless another is asked for.
fn open_tap(plan: &Plan, fits: u16) -> Result<Tap, Failure> {
    let mtu = plan.mtu.unwrap_or(fits);
    let tap = Tap::open(&plan.tap, mtu).map_err(|error| match error {
        TapError::Name(_) | TapError::Mtu { .. } => Failure::Usage(error.into()),
        other => Failure::Runtime(other.into()),
    })?;
    log::info!(
        "TAP device {} is up with an MTU of {mtu} bytes; {fits} bytes fit an underlay MTU of {} over {} hops: give \
         the hosts behind it no larger one",
        tap.name(),
        plan.underlay_mtu,
        leon::config::MAX_HOPS
    );
    if mtu > fits {
        log::warn!("frames above {fits} bytes will not fit long paths and be dropped");
    }
    Ok(tap)
}

fn stop_on_signal(mut signals: Signals, stop: StopHandle) -> anyhow::Result<()> {
    let wait = move || {
        for signal in signals.forever() {
            log::info!("signal {signal}: leaving the mesh");
            stop.stop();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).context("cannot start a thread")?;
    Ok(())
}

/// Watches whether the mesh takes this node. The engine logs everything else that people may want to know.
struct Observer {
    engine: Arc<Engine>,
    stop: StopHandle,
    /// Why the mesh does not take this node.
    refused: Option<String>,
}

impl Observer {
    /// A node that no member knows gives up when it is refused, so that whoever started it sees why. One that
    /// is in the mesh goes on: a single member's refusal takes it from nobody else.
    fn notice(&mut self, event: &Event) {
        let Event::JoinRejected { by, reason } = event else { return };
        let members = self.engine.status(clock::now()).members;
        if !members.iter().any(|member| member.state == MemberState::Alive) {
            self.refused = Some(format!("{by} does not let this node join: {reason}"));
            self.stop.stop();
        }
    }
}
