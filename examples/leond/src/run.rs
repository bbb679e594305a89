//! `leond run`: opens everything, runs the driver until a signal, and closes everything.

use std::sync::Arc;
use std::thread;

use anyhow::{Context, anyhow, ensure};
use leon::driver::{Driver, Handle, Port, Tap, TapError, Underlay, clock};
use leon::{Engine, Policy};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Failure;
use crate::allow::{self, AllowList};
use crate::cli::RunArgs;
use crate::config::{Plan, SecurityMode, Settings};
use crate::control::{Answer, ControlSocket, Request};
use crate::explain::{self, Explanation};
use crate::observer::Observer;
use crate::seeds::Seeds;
use crate::status::Report;

/// Runs a node until SIGINT or SIGTERM.
pub(crate) fn run(arguments: &RunArgs) -> Result<(), Failure> {
    crate::start_log(log::LevelFilter::Info);
    let plan = plan(arguments).map_err(Failure::Usage)?;
    let allowed = plan.allow_list().map_err(Failure::Usage)?;
    let security = plan.security(allowed.as_ref()).map_err(Failure::Usage)?;
    let seeds = Seeds::parse(&plan.seeds, plan.listen.ip()).map_err(Failure::Usage)?;
    // From here on the signals wait for the thread that handles them, so that what is opened gets closed.
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot handle signals")?;
    let underlay = Underlay::bind(plan.listen).map_err(anyhow::Error::new)?;
    let config = plan.engine_config(security, underlay.local_addr(), seeds.addresses())?;
    let engine = Engine::new(config, clock::now()).map_err(|error| Failure::Usage(error.into()))?;
    let engine = Arc::new(engine);
    let control = ControlSocket::bind(&plan.socket)?;
    let tap = open_tap(&plan, engine.mtu())?;
    let driver = Driver::new(Arc::clone(&engine), underlay, Port::from_tap(tap, plan.segment))
        .context("cannot start the driver")?;

    let (reported, io) = (Arc::clone(&engine), driver.io_counters());
    let mode = plan.mode();
    control.serve(move |request| match request {
        Request::Status => Answer::Status(Report::new(&reported.status(clock::now()), &io, mode)),
        Request::Explain { member } => match explanation(&reported, &member) {
            Ok(explanation) => Answer::Explain(explanation),
            Err(error) => Answer::Error(error.to_string()),
        },
    })?;
    let policy = plan.policy.clone();
    let reload = Reload { arguments: arguments.clone(), handle: driver.handle(), mode, allowed, policy };
    answer_signals(signals, reload)?;
    announce(&plan, &engine);
    let resolver = seeds.follow(driver.handle())?;
    let mut observer = Observer::new(engine, mode, driver.handle(), resolver);
    driver.run(|event| observer.notice(&event)).context("the driver stopped")?;
    if let Some(reason) = observer.into_failure() {
        return Err(Failure::Runtime(anyhow!(reason)));
    }
    log::info!("left the mesh");
    Ok(())
}

fn plan(arguments: &RunArgs) -> anyhow::Result<Plan> {
    let file = arguments.config.as_deref().map(Settings::from_file).transpose()?;
    arguments.settings.clone().or(file.unwrap_or_default()).complete()
}

/// Why frames for the member that somebody calls `wanted` take the path they take.
fn explanation(engine: &Engine, wanted: &str) -> anyhow::Result<Explanation> {
    let status = engine.status(clock::now());
    ensure!(status.name != wanted, "{wanted} is this node itself: name another member");
    let member = explain::find(&status.members, wanted)?;
    let explanation = engine.explain(member.id, clock::now());
    let explanation = explanation.with_context(|| format!("{wanted} is no member any more"))?;
    Ok(Explanation::new(&explanation, &status))
}

/// Says what runs, where, and who may join.
fn announce(plan: &Plan, engine: &Engine) {
    let status = engine.status(clock::now());
    log::info!("{} runs on UDP {}, reachable at {}", status.name, plan.listen, status.locator);
    match plan.mode() {
        SecurityMode::Sealed => {
            log::info!("traffic is sealed; the public key of this node is {}", status.id.to_base64());
        }
        SecurityMode::None => {
            log::info!("the identity of this node, for the policies of others, is {}", status.id.to_base64());
            log::warn!("security is none: whoever can send UDP to this node can join, read and inject");
        }
    }
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

/// Starts the thread that does what signals ask for.
fn answer_signals(mut signals: Signals, mut reload: Reload) -> anyhow::Result<()> {
    let wait = move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                reload.run();
            } else {
                log::info!("signal {signal}: leaving the mesh");
                reload.handle.stop();
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).context("cannot start a thread")?;
    Ok(())
}

/// Reads the allow list and the policy again, from wherever the settings have them, and hands them to the running node.
struct Reload {
    arguments: RunArgs,
    handle: Handle,
    mode: SecurityMode,
    /// As it was last read.
    allowed: Option<AllowList>,
    /// As it was last read.
    policy: Policy,
}

impl Reload {
    fn run(&mut self) {
        if let Err(error) = self.read() {
            log::error!("SIGHUP: the allow list and the policy stay as they were: {error:#}");
        }
    }

    /// What is wrong in one of the two changes nothing: the node goes on with what it has.
    fn read(&mut self) -> anyhow::Result<()> {
        let plan = plan(&self.arguments)?;
        ensure!(plan.mode() == self.mode, "`security` has changed, which takes a new start");
        let allowed = plan.allow_list()?;
        self.set_policy(plan.policy)?;
        self.set_allowed(allowed);
        Ok(())
    }

    fn set_policy(&mut self, policy: Policy) -> anyhow::Result<()> {
        if policy == self.policy {
            log::info!("SIGHUP: the policy has not changed");
            return Ok(());
        }
        self.handle.set_policy(policy.clone())?;
        let [pins, avoided, prices] = [policy.pins.len(), policy.avoid.len(), policy.prices.len()];
        log::info!(
            "SIGHUP: the policy has changed: pins {pins}, avoided relays and links {avoided}, prices {prices}"
        );
        self.policy = policy;
        Ok(())
    }

    fn set_allowed(&mut self, allowed: Option<AllowList>) {
        let changes = allow::changes(self.allowed.as_ref(), allowed.as_ref());
        if changes.is_empty() {
            log::info!("SIGHUP: the allow list has not changed");
            return;
        }
        for change in changes {
            log::info!("SIGHUP: {change}");
        }
        self.handle.set_allowed(allowed.as_ref().map(AllowList::ids));
        self.allowed = allowed;
    }
}
