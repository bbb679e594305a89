//! What other threads may ask of a running driver. A request waits here until the event loop, which an eventfd
//! wakes, carries it out; what it means is the engine's business.

use core::net::SocketAddr;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};

use crate::config::{Policy, validate_seeds};
use crate::error::ConfigError;
use crate::node::NodeId;

/// Asks things of a [`Driver`](super::Driver), from any thread; copies ask the same one.
///
/// No method waits for the driver, and all may be called before [`run`](super::Driver::run), which then begins
/// with what was asked.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Mailbox>);

#[derive(Debug)]
struct Mailbox {
    wake: OwnedFd,
    requests: Mutex<Vec<Request>>,
}

/// Something to be done on the driver's thread.
#[derive(Debug)]
pub(super) enum Request {
    /// Leave the mesh and return.
    Stop,
    /// Replace the seeds.
    SetSeeds(Vec<SocketAddr>),
    /// Replace the allow list.
    SetAllowed(Option<BTreeSet<NodeId>>),
    /// Replace the policy.
    SetPolicy(Policy),
}

impl Handle {
    pub(super) fn new() -> io::Result<Handle> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Handle(Arc::new(Mailbox { wake, requests: Mutex::default() })))
    }

    /// Makes `run` leave the mesh and return. May be called more than once.
    pub fn stop(&self) {
        self.ask(Request::Stop);
    }

    /// Replaces the addresses of members to fetch the list from, as [`Engine::set_seeds`](crate::Engine::set_seeds)
    /// does.
    ///
    /// # Errors
    ///
    /// If one has no address or no port; then nothing changes.
    pub fn set_seeds(&self, seeds: Vec<SocketAddr>) -> Result<(), ConfigError> {
        validate_seeds(&seeds)?;
        self.ask(Request::SetSeeds(seeds));
        Ok(())
    }

    /// Replaces the list of nodes that may be members, as [`Engine::set_allowed`](crate::Engine::set_allowed)
    /// does; [`Event::MemberRemoved`](crate::Event::MemberRemoved) tells which members are gone by it.
    pub fn set_allowed(&self, allowed: Option<BTreeSet<NodeId>>) {
        self.ask(Request::SetAllowed(allowed));
    }

    /// Replaces what this node's paths are to be, whatever the latencies, as
    /// [`Engine::set_policy`](crate::Engine::set_policy) does.
    ///
    /// # Errors
    ///
    /// If a field of `policy` is out of the range it documents; then nothing changes.
    pub fn set_policy(&self, policy: Policy) -> Result<(), ConfigError> {
        policy.validate()?;
        self.ask(Request::SetPolicy(policy));
        Ok(())
    }

    fn ask(&self, request: Request) {
        self.0.requests.lock().push(request);
        // The only error left is a full counter, which means that the loop is about to wake.
        let _ = rustix::io::write(&self.0.wake, &1u64.to_ne_bytes());
    }

    /// What has been asked since the last call, in order.
    pub(super) fn take(&self) -> Vec<Request> {
        // First the wake-up, then the requests: one that comes between the two wakes the loop for nothing, which
        // does no harm. That there is no wake-up to take is the only error.
        let _ = rustix::io::read(&self.0.wake, &mut [0; 8]);
        core::mem::take(&mut self.0.requests.lock())
    }
}

/// Readable while there is something to take.
impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.wake.as_fd()
    }
}
