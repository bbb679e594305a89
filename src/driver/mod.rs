//! The Linux driver (feature `driver`): runs an engine on a UDP socket and a frame port, in one thread.
//!
//! Here live the event loop and everything that touches the operating system: sockets, TAP devices, clocks
//! and entropy. What a frame or a datagram means is the engine's business alone.
//!
//! ```no_run
//! use std::sync::Arc;
//! use leon::driver::{Driver, Port, Tap, Underlay, clock};
//! use leon::{Config, Engine, NodeId, Security, Segment};
//!
//! let underlay = Underlay::bind("192.0.2.1:4789".parse()?)?;
//! let port = Port::from_tap(Tap::open("leon0", 1358)?, Segment::DEFAULT);
//! let security = Security::None { id: NodeId([1; 32]) };
//! let mut config = Config::new("fujisawa", underlay.local_addr(), security, clock::entropy()?);
//! config.incarnation = clock::incarnation();
//! config.seeds.push("198.51.100.1:4789".parse()?);
//! let engine = Arc::new(Engine::new(config, clock::now())?);
//! let driver = Driver::new(engine, underlay, port)?;
//! let handle = driver.handle(); // give it to whoever ends the program
//! driver.run(|event| println!("{event:?}"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod clock;
mod counters;
mod handle;
mod output;
mod port;
mod sys;
mod tap;
mod udp;

use core::ops::ControlFlow;
use core::time::Duration;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;

pub use counters::IoCounters;
pub use handle::Handle;
pub use port::Port;
pub use tap::{Tap, TapError};
pub use udp::{BindError, Underlay};

use crate::driver::handle::Request;
use crate::driver::output::Output;
use crate::driver::port::FrameBuffers;
use crate::driver::udp::ReceiveBuffers;
use crate::engine::{Engine, Event, Forwarder};
use crate::time::Time;

const UNDERLAY: u64 = 0;
const PORT: u64 = 1;
const HANDLE: u64 = 2;

/// How long the engine may take to tell the mesh that it leaves.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);

/// An engine with its socket, its frame port and its event loop.
///
/// [`run`](Driver::run) keeps one thread busy. The engine is shared: its status can be asked from any other
/// thread meanwhile.
pub struct Driver {
    engine: Arc<Engine>,
    underlay: Underlay,
    port: Port,
    epoll: OwnedFd,
    handle: Handle,
    counters: Arc<IoCounters>,
}

impl Driver {
    /// Puts an engine that has not joined yet on `underlay` and `port`. The engine's times must come from
    /// [`clock::now`], and its locator must be an address at which `underlay` can be reached.
    ///
    /// # Errors
    ///
    /// Fails if the kernel grants no more descriptors.
    pub fn new(engine: Arc<Engine>, underlay: Underlay, port: Port) -> io::Result<Driver> {
        let handle = Handle::new()?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let input = epoll::EventFlags::IN;
        epoll::add(&epoll, &underlay, epoll::EventData::new_u64(UNDERLAY), input)?;
        epoll::add(&epoll, &port, epoll::EventData::new_u64(PORT), input)?;
        epoll::add(&epoll, &handle, epoll::EventData::new_u64(HANDLE), input)?;
        Ok(Driver { engine, underlay, port, epoll, handle, counters: Arc::default() })
    }

    /// A handle that ends [`run`](Driver::run), and more.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The counters of input and output errors; they stay readable while the driver runs.
    pub fn io_counters(&self) -> Arc<IoCounters> {
        Arc::clone(&self.counters)
    }

    /// Joins the mesh, forwards frames until [`Handle::stop`] is called, then leaves, which takes a
    /// fraction of a second.
    ///
    /// `on_event` is told of every event, on this thread, while no lock is held; frames wait until it
    /// returns. Datagrams and frames the kernel refuses are counted in [`IoCounters`] and stop nothing.
    ///
    /// # Errors
    ///
    /// Fails if the port's device disappears or the event loop itself cannot go on. The mesh has been told
    /// that this node leaves.
    pub fn run(self, on_event: impl FnMut(Event)) -> io::Result<()> {
        let mut running = Loop {
            forwarder: self.engine.forwarder(),
            received: ReceiveBuffers::new(),
            frames: FrameBuffers::new(),
            output: Output::new(self.underlay, self.port, self.counters, on_event),
            engine: self.engine,
            handle: self.handle,
        };
        let now = clock::now();
        running.engine.join(now, &mut running.output);
        running.output.flush(now);
        let result = running.until_stopped(&self.epoll);
        running.leave();
        result
    }
}

/// What one run needs.
struct Loop<H> {
    engine: Arc<Engine>,
    handle: Handle,
    forwarder: Forwarder,
    received: ReceiveBuffers,
    frames: FrameBuffers,
    output: Output<H>,
}

impl<H: FnMut(Event)> Loop<H> {
    fn until_stopped(&mut self, epoll: &OwnedFd) -> io::Result<()> {
        let mut ready = Vec::with_capacity(3);
        loop {
            let timeout = timeout_until(self.engine.deadline());
            match epoll::wait(epoll, rustix::buffer::spare_capacity(&mut ready), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            for event in ready.drain(..) {
                match event.data.u64() {
                    UNDERLAY => self.take_datagrams(),
                    PORT => self.take_frames()?,
                    _ => {
                        if self.do_what_is_asked() == ControlFlow::Break(()) {
                            return Ok(());
                        }
                    }
                }
            }
            let now = clock::now();
            if now >= self.engine.deadline() {
                self.engine.timer(now, &mut self.output);
                self.output.flush(now);
            }
        }
    }

    /// Carries out what the handle was asked for; breaks if that is to stop.
    fn do_what_is_asked(&mut self) -> ControlFlow<()> {
        for request in self.handle.take() {
            match request {
                Request::Stop => return ControlFlow::Break(()),
                Request::SetSeeds(seeds) => {
                    let now = clock::now();
                    // The handle has refused what the engine would.
                    let _ = self.engine.set_seeds(&seeds, now, &mut self.output);
                    self.output.flush(now);
                }
                Request::SetAllowed(allowed) => {
                    let now = clock::now();
                    self.engine.set_allowed(allowed, now, &mut self.output);
                    self.output.flush(now);
                }
                Request::SetPolicy(policy) => {
                    let now = clock::now();
                    // As with seeds.
                    let _ = self.engine.set_policy(&policy, now, &mut self.output);
                    self.output.flush(now);
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Leaves, and repeats that as often as the engine wants. Datagrams on their way through this node are
    /// relayed meanwhile; frames of the local network stay where they are.
    fn leave(&mut self) {
        let mut now = clock::now();
        let limit = now + LEAVE_LIMIT;
        self.engine.leave(now, &mut self.output);
        self.output.flush(now);
        while self.engine.deadline() < limit && now < limit {
            let timeout = timeout_until(self.engine.deadline());
            let mut ready = [PollFd::new(self.output.underlay(), PollFlags::IN)];
            // If waiting fails, the node leaves without waiting.
            let _ = poll(&mut ready, timeout.as_ref());
            self.take_datagrams();
            now = clock::now();
            self.engine.timer(now, &mut self.output);
            self.output.flush(now);
        }
    }

    fn take_datagrams(&mut self) {
        if let Err(error) = self.received.fill(self.output.underlay()) {
            log::debug!("receiving datagrams: {error}");
            self.output.counters().receive_error();
            return;
        }
        let received_at = clock::now();
        let datagrams = self.received.datagrams(received_at);
        let now = clock::now();
        self.forwarder.datagrams_in(now, datagrams, &mut self.output);
        self.output.flush(now);
    }

    fn take_frames(&mut self) -> io::Result<()> {
        let gone =
            |error: io::Error| io::Error::new(error.kind(), format!("the frame port is gone: {error}"));
        self.frames.fill(self.output.port()).map_err(gone)?;
        let now = clock::now();
        let frames = self.frames.frames(self.output.port().segment());
        self.forwarder.frames_in(now, frames, &mut self.output);
        self.output.flush(now);
        Ok(())
    }
}

/// How long to wait for `deadline`; `None` is for ever. The kernel rounds up to what its timers resolve, so
/// that the deadline has passed when the wait ends.
fn timeout_until(deadline: Time) -> Option<Timespec> {
    (deadline != Time::NEVER).then(|| {
        let left = deadline.since(clock::now());
        Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        }
    })
}
