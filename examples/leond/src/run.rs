//! `leond run`: opens everything, runs the driver until a signal, and closes everything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use leon::driver::{Driver, Port, StopHandle, Tap, TapError, Underlay, clock};
use leon::{Engine, Event, NodeId, RejectReason, Time};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Failure;
use crate::cli::RunArgs;
use crate::config::{Plan, SecurityMode, Settings};
use crate::control::ControlSocket;
use crate::status::{Report, describe_path};

/// Runs a node until SIGINT or SIGTERM.
pub(crate) fn run(arguments: &RunArgs) -> Result<(), Failure> {
    crate::start_log(log::LevelFilter::Info);
    let plan = plan(arguments).map_err(Failure::Usage)?;
    let security = plan.security().map_err(Failure::Usage)?;
    // From here on the signals wait for the thread that handles them, so that what is opened gets closed.
    let signals = Signals::new([SIGINT, SIGTERM]).context("cannot handle signals")?;
    let underlay = Underlay::bind(plan.listen).map_err(anyhow::Error::new)?;
    let config = plan.engine_config(security, underlay.local_addr(), plan.resolve_seeds()?)?;
    let engine = Engine::new(config, clock::now()).map_err(|error| Failure::Usage(error.into()))?;
    let engine = Arc::new(engine);
    let control = ControlSocket::bind(&plan.socket)?;
    let tap = open_tap(&plan, engine.mtu())?;
    let driver = Driver::new(Arc::clone(&engine), underlay, Port::from_tap(tap, plan.segment))
        .context("cannot start the driver")?;

    let (reported, io) = (Arc::clone(&engine), driver.io_counters());
    let mode = plan.mode();
    control.serve(move || Report::new(&reported.status(clock::now()), &io, mode))?;
    stop_on_signal(signals, driver.stop_handle())?;
    announce(&plan, &engine);
    let stop = driver.stop_handle();
    let mut observer = Observer { engine, stop, mode, standing: Standing::Unknown };
    driver.run(|event| observer.notice(&event)).context("the driver stopped")?;
    if let Standing::GivenUp(reason) = observer.standing {
        return Err(Failure::Runtime(anyhow!(reason)));
    }
    log::info!("left the mesh");
    Ok(())
}

fn plan(arguments: &RunArgs) -> anyhow::Result<Plan> {
    let file = arguments.config.as_deref().map(Settings::from_file).transpose()?;
    arguments.settings.clone().or(file.unwrap_or_default()).complete()
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

/// A node that is refused for this long gives up: longer than its own former life, which may be what is in
/// the way, needs to fail.
const REFUSED_LIMIT: Duration = Duration::from_secs(10);

/// How the mesh takes to this node.
enum Standing {
    /// Nobody has said anything.
    Unknown,
    /// Refused, since then.
    Refused(Time),
    /// A member.
    Member,
    /// Refused for too long, for this reason.
    GivenUp(String),
}

/// Tells people what happens in the mesh, by name.
struct Observer {
    engine: Arc<Engine>,
    stop: StopHandle,
    mode: SecurityMode,
    standing: Standing,
}

impl Observer {
    fn notice(&mut self, event: &Event) {
        match event {
            Event::ListFetched { from } => log::info!("joining through {from}"),
            Event::Joined { by } => {
                log::info!("{} has taken this node into the mesh", self.name(by));
                self.standing = Standing::Member;
            }
            Event::MemberJoined { name, locator, .. } => log::info!("{name} is a member, at {locator}"),
            Event::MemberLeft { name, .. } => log::info!("{name} has left"),
            Event::MemberFailed { name, .. } => log::warn!("{name} has failed: no member reaches it"),
            Event::LinkUp { id } => log::info!("the link to {} is up", self.name(id)),
            Event::LinkDown { id } => log::warn!("the link to {} is down", self.name(id)),
            Event::PathChanged { to, path, cause } => {
                let names: Vec<_> = path.iter().map(|id| self.name(id)).collect();
                log::info!("path to {}: {} ({cause:?})", self.name(to), describe_path(&names));
            }
            Event::JoinRejected { by, reason } => self.refuse(*by, *reason),
            other => log::info!("{other:?}"),
        }
    }

    /// A node that no member takes gives up after a while, so that whoever started it sees why. One that is
    /// in the mesh goes on: a single member's refusal takes it from nobody else.
    fn refuse(&mut self, by: SocketAddr, reason: RejectReason) {
        let advice = match reason {
            RejectReason::IdTaken if self.mode == SecurityMode::Sealed => {
                "give each node a key of its own, or stop the other node"
            }
            // Without keys the identity follows from the name.
            RejectReason::NameTaken | RejectReason::IdTaken => "choose another name, or stop the other node",
            RejectReason::LocatorTaken => "check the address to advertise, or stop the other node",
            _ => "see the log of that member",
        };
        let message = format!("{by} does not let this node join: {reason}; {advice}");
        log::error!("{message}");
        match self.standing {
            Standing::Unknown => self.standing = Standing::Refused(clock::now()),
            Standing::Refused(since) if clock::now().since(since) >= REFUSED_LIMIT => {
                self.standing = Standing::GivenUp(message);
                self.stop.stop();
            }
            Standing::Refused(_) | Standing::Member | Standing::GivenUp(_) => {}
        }
    }

    fn name(&self, id: &NodeId) -> String {
        let members = self.engine.status(clock::now()).members;
        let member = members.into_iter().find(|member| member.id == *id);
        member.map_or_else(|| id.to_string(), |member| member.name)
    }
}
