//! The engine: the one place where the components meet.
//!
//! Two planes. *Control* (membership, latency, route, announced hosts) sits behind one lock and publishes an immutable
//! snapshot; *data* (frames in, relay, deliver) reads the snapshot from any number of threads, each through
//! a [`Forwarder`] of its own.

mod alarm;
mod bulk;
mod control;
mod demand;
mod dependents;
mod dispatch;
mod event;
mod explain;
mod explanation;
mod forwarder;
mod hosts;
mod lent;
mod meter;
mod monitor;
mod outbox;
mod paths;
mod persistent;
mod publish;
mod receive;
mod report;
mod send;
mod sink;
mod slots;
mod snapshot;
mod status;

use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock};
use zeroize::Zeroize;

pub use event::Event;
pub use explanation::{Candidate, Explanation, LinkState, PastChange, PathLink, Probe, Verdict};
pub use forwarder::Forwarder;
pub use sink::{Datagram, Frame, Sink};
pub use status::{HostStatus, LinkStatus, MemberStatus, Status};

use crate::config::{Cipher, Config, Policy, Security, validate_seeds};
use crate::error::{ConfigError, HostError};
use crate::forward::fdb::Fdb;
use crate::forward::limit::RateLimit;
use crate::forward::passage::Passage;
use crate::hash::KeyedHash;
use crate::host::Host;
use crate::node::{NodeId, NodePrefix, Segment};
use crate::rng::Rng;
use crate::session::OuterKey;
use crate::stats::CounterSet;
use crate::time::Time;
use crate::wire;
use alarm::Alarms;
use bulk::BulkMarks;
use control::Control;
use lent::Lent;
use meter::RelayMeter;
use send::Sending;
use snapshot::Snapshot;

/// People are told of nodes with another security no more often than this.
const MISMATCH_INTERVAL_NS: u64 = 10_000_000_000;

/// A frame from the local network.
#[derive(Debug)]
pub struct FrameIn<'a> {
    /// The segment the local network belongs to.
    pub segment: Segment,
    /// The Ethernet frame, from its destination address on, without the frame check sequence. Its content
    /// is unspecified after the call: it may be sealed in place.
    pub bytes: &'a mut [u8],
}

/// A datagram from the socket.
#[derive(Debug)]
pub struct DatagramIn<'a> {
    /// Where it came from.
    pub from: SocketAddr,
    /// When it arrived, as near to the wire as the caller can tell; not after `now`.
    pub received_at: Time,
    /// The payload. Its content is unspecified after the call: it may be opened or advanced in place.
    pub bytes: &'a mut [u8],
}

/// One node of the mesh, without any I/O of its own.
///
/// The caller owns the socket, the local network and the clock. It hands in what arrives, through
/// [`Forwarder`]s, calls [`timer`](Engine::timer) at the [`deadline`](Engine::deadline), and carries out
/// what the engine gives to the [`Sink`] lent with each call. The same calls with the same arguments give
/// the same output, bit for bit.
///
/// All methods may be called from any thread; a forwarder belongs to one thread at a time. Time is the
/// caller's: the instants given must not go back by more than the calls of different threads overlap.
///
/// Bad configuration is an error; hostile input is dropped and counted; a panic is a bug.
pub struct Engine {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    own: NodePrefix,
    is_unsealed: bool,
    cipher: Cipher,
    outer: OuterKey,
    /// That of nodes with security none.
    unsealed: OuterKey,
    passage: Passage,
    bulk: BulkMarks,
    meter: Arc<RelayMeter>,
    mismatch_limit: RateLimit,
    /// What people are told of the hosts of the local network.
    alarms: Arc<Alarms>,
    underlay_mtu: u16,
    mtu: u16,
    control: Mutex<Control>,
    published: RwLock<Arc<Snapshot>>,
    /// Moves with every snapshot, so that a forwarder usually reads this alone.
    generation: AtomicU64,
    fdb: Arc<Fdb>,
    deadline: AtomicU64,
    /// Bytes that the next call of the control plane may allocate.
    demand: AtomicUsize,
    /// The first is the control plane's, the second holds what forwarders that are gone have counted.
    counter_sets: Mutex<Vec<Arc<CounterSet>>>,
}

impl Engine {
    /// An engine that has not joined yet.
    ///
    /// # Errors
    ///
    /// If a field of `config` is out of the range it documents.
    pub fn new(mut config: Config, now: Time) -> Result<Engine, ConfigError> {
        config.validate()?;
        let mut rng = Rng::of_life(&config.entropy, config.id(), config.incarnation);
        // Every key of this life follows from it.
        config.entropy.zeroize();
        let mut hash = || KeyedHash::new(rng.u64(), rng.u64());
        let (fdb_hash, snapshot_hash) = (hash(), hash());
        let slots = 2 * config.max_members;
        let fdb = Arc::new(Fdb::new(config.fdb_capacity, slots, config.fdb_ageing.as_secs(), fdb_hash));
        let control = Control::new(&config, Arc::clone(&fdb), snapshot_hash, rng, now);
        Ok(Engine {
            shared: Arc::new(Shared {
                own: config.id().prefix(),
                is_unsealed: matches!(config.security, Security::None { .. }),
                cipher: config.cipher,
                outer: OuterKey::of(&config.security),
                unsealed: OuterKey::unsealed(),
                passage: Passage::new(),
                bulk: BulkMarks::new(&config.bulk),
                meter: Arc::clone(&control.meter),
                mismatch_limit: RateLimit::every(MISMATCH_INTERVAL_NS),
                alarms: Arc::clone(&control.alarms),
                underlay_mtu: config.underlay_mtu,
                mtu: wire::max_ethernet_payload(config.underlay_mtu, config.locator.ip()) as u16,
                demand: AtomicUsize::new(control.demand()),
                counter_sets: Mutex::new(vec![Arc::clone(&control.counters), Arc::new(CounterSet::new())]),
                published: RwLock::new(Arc::new(control.snapshot.clone())),
                control: Mutex::new(control),
                generation: AtomicU64::new(1),
                fdb,
                deadline: AtomicU64::new(Time::NEVER.as_nanos()),
            }),
        })
    }

    /// A handle through which one thread hands in frames and datagrams.
    pub fn forwarder(&self) -> Forwarder {
        let rng = self.shared.control.lock().fork_rng();
        let lent = Lent::new(usize::from(self.shared.underlay_mtu));
        Forwarder::new(Arc::clone(&self.shared), Sending { rng, cipher: self.shared.cipher, lent })
    }

    /// Starts to join (§4.1): fetches the list from a seed, then tells every member. Does nothing after the
    /// first time.
    pub fn join(&self, now: Time, sink: &mut impl Sink) {
        self.shared.with_control(now, sink, |control| control.join(now));
    }

    /// Leaves: says so to every member, a few times while [`timer`](Self::timer) is still called until the
    /// deadline is [`Time::NEVER`]. So long the node also relays what is on its way; then no frame moves any
    /// more.
    pub fn leave(&self, now: Time, sink: &mut impl Sink) {
        self.shared.with_control(now, sink, |control| control.leave(now));
    }

    /// Replaces the addresses of members to fetch the list from, as after their names were resolved anew. If they
    /// differ from the former ones they are asked at once; members stay members. A node that had none and has met
    /// nobody begins to join.
    ///
    /// # Errors
    ///
    /// If one has no address or no port; then nothing changes.
    pub fn set_seeds(
        &self,
        seeds: &[SocketAddr],
        now: Time,
        sink: &mut impl Sink,
    ) -> Result<(), ConfigError> {
        validate_seeds(seeds)?;
        self.shared.with_control(now, sink, |control| control.set_seeds(seeds, now));
        Ok(())
    }

    /// Replaces the list of nodes that may be members; `None` lets every holder of the network key in. The
    /// sessions with members that are not on it end at once. Does nothing with
    /// [`Security::None`].
    pub fn set_allowed(&self, allowed: Option<BTreeSet<NodeId>>, now: Time, sink: &mut impl Sink) {
        if !self.shared.is_unsealed {
            self.shared.with_control(now, sink, |control| control.set_allowed(allowed, now));
        }
    }

    /// Replaces what this node's paths are to be, whatever the latencies; it counts at once.
    ///
    /// # Errors
    ///
    /// If a field of `policy` is out of the range it documents; then the former one stays.
    pub fn set_policy(&self, policy: &Policy, now: Time, sink: &mut impl Sink) -> Result<(), ConfigError> {
        policy.validate()?;
        self.shared.with_control(now, sink, |control| control.set_policy(policy, now));
        Ok(())
    }

    /// Tells all members that a host is on the local network, for an embedder that knows: a virtual machine has
    /// started here, or has come from elsewhere. Frames for the host then come here without one having been
    /// heard of it, and it is not forgotten when it is silent.
    ///
    /// The host stays announced until it is [withdrawn](Self::withdraw_host) or this node leaves; where several
    /// nodes announce it the latest announcement counts. Frames that show the host elsewhere move it after 2 s,
    /// as they move any host; to announce it again brings it back. So does time: the announcement counts again
    /// when those frames are too old.
    ///
    /// # Errors
    ///
    /// If no host can be such, this node does not serve its segment,
    /// [`MAX_ANNOUNCED_HOSTS`](crate::config::MAX_ANNOUNCED_HOSTS) are announced here, or another member has
    /// used the last sequence number for it.
    pub fn announce_host(&self, host: Host, now: Time, sink: &mut impl Sink) -> Result<(), HostError> {
        self.shared.with_control(now, sink, |control| control.announce_host(host, now))
    }

    /// Takes back what [`announce_host`](Self::announce_host) said: the host has stopped, or has gone elsewhere.
    /// Members that still have it here forget it. Does nothing if it is not announced here.
    pub fn withdraw_host(&self, host: Host, now: Time, sink: &mut impl Sink) {
        self.shared.with_control(now, sink, |control| control.withdraw_host(host, now));
    }

    /// Does what is due. To be called at or soon after the deadline; calls before it do no harm.
    pub fn timer(&self, now: Time, sink: &mut impl Sink) {
        self.shared.with_control(now, sink, |control| control.timer(now));
    }

    /// When [`timer`](Self::timer) is to be called next; [`Time::NEVER`] if not at all.
    pub fn deadline(&self) -> Time {
        Time::from_nanos(self.shared.deadline.load(Ordering::Acquire))
    }

    /// The largest MTU, in bytes, that the hosts of the local network may have so that each of their frames
    /// fits the underlay, whatever path it takes: up to four hops to locators of this node's address family,
    /// and one VLAN tag.
    pub fn mtu(&self) -> u16 {
        self.shared.mtu
    }

    /// Bytes that a call of the control plane may allocate at most, as things are.
    #[cfg(feature = "ffi")]
    pub(crate) fn demand(&self) -> usize {
        self.shared.demand.load(Ordering::Relaxed)
    }

    /// Bytes that a forwarder may take at most.
    #[cfg(feature = "ffi")]
    pub(crate) fn forwarder_demand(&self) -> usize {
        Lent::demand(self.shared.underlay_mtu.into()) + 2 * size_of::<CounterSet>()
    }

    /// Bytes that a report, [`status`](Self::status) or [`explain`](Self::explain), may take at most.
    #[cfg(feature = "ffi")]
    pub(crate) fn report_demand(&self) -> usize {
        self.demand() + demand::of_hosts(self.shared.fdb.capacity())
    }

    /// The state of the engine.
    pub fn status(&self, now: Time) -> Status {
        let sets = self.shared.counter_sets.lock().clone();
        self.shared.control.lock().status(now, &sets)
    }

    /// Why frames for a member take the path they take; `None` if it is not on the member list. Changes nothing.
    /// The work grows as N log N with the number of members.
    pub fn explain(&self, to: NodeId, now: Time) -> Option<Explanation> {
        self.shared.control.lock().explain(to, now)
    }
}

impl Shared {
    /// Lets `act` change the control plane, publishes what comes of it, and then, with the lock released,
    /// gives the outputs to `sink`. Gives what `act` gave.
    fn with_control<T>(&self, now: Time, sink: &mut impl Sink, act: impl FnOnce(&mut Control) -> T) -> T {
        self.carry_out(self.control.lock(), now, sink, act)
    }

    /// As [`with_control`](Self::with_control) if no other thread has the control plane; else nothing happens, without
    /// a wait.
    fn try_control<T>(
        &self,
        now: Time,
        sink: &mut impl Sink,
        act: impl FnOnce(&mut Control) -> T,
    ) -> Option<T> {
        Some(self.carry_out(self.control.try_lock()?, now, sink, act))
    }

    fn carry_out<T>(
        &self,
        mut control: MutexGuard<'_, Control>,
        now: Time,
        sink: &mut impl Sink,
        act: impl FnOnce(&mut Control) -> T,
    ) -> T {
        let result = act(&mut control);
        #[cfg(leon_fault)]
        crate::fault::point();
        if let Some(snapshot) = control.settle(now) {
            *self.published.write() = Arc::new(snapshot);
            self.generation.fetch_add(1, Ordering::Release);
        }
        let outbox = core::mem::take(&mut control.outbox);
        let deadline = control.deadline();
        self.demand.store(control.demand(), Ordering::Relaxed);
        let former = self.deadline.swap(deadline.as_nanos(), Ordering::AcqRel);
        drop(control);
        outbox.flush(sink);
        if former != deadline.as_nanos() {
            sink.deadline(deadline);
        }
        result
    }
}
