//! One site: an engine with its clock, its socket's address and its outputs, over as many lives as it is
//! started.
//!
//! Knows neither the other sites nor the underlay.

use core::net::SocketAddr;
use core::time::Duration;

use crate::sim::clock::Clock;
use crate::sim::dice::Dice;
use crate::{Config, Datagram, Engine, Event, Forwarder, Frame, Segment, Sink, Time};

/// Datagrams that a socket holds: Linux's default receive buffer (`net.core.rmem_default`) has 212992 bytes, and a
/// small datagram takes 768 of them.
const INBOX: usize = 212_992 / 768;

/// What a site's host was told to do with its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteState {
    /// There is no engine: not started yet, or crashed.
    Down,
    /// The engine was told to join.
    Running,
    /// The engine was told to join, and then its host stopped calling it.
    Asleep,
    /// The engine was told to leave; its socket stays open.
    Leaving,
}

/// What a site's socket sent, be it lost later, and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent.
    pub sent: u64,
    /// Their bytes, with the headers of IP and UDP.
    pub sent_bytes: u64,
    /// Datagrams received.
    pub received: u64,
    /// Their bytes, with the headers of IP and UDP.
    pub received_bytes: u64,
}

pub(super) struct Site {
    pub(super) config: Config,
    /// Where the socket is bound; the locator in the configuration may lie about it.
    pub(super) address: SocketAddr,
    pub(super) state: SiteState,
    /// How often the site was started.
    pub(super) lives: u64,
    /// What the engine said happened, over all lives, in the world's time.
    pub(super) events: Vec<(Time, Event)>,
    /// When the engine wants its timer called, in the world's time.
    pub(super) deadline: Time,
    /// When the world will look at the deadline next.
    pub(super) alarm: Time,
    /// What its socket sent and received, over all lives.
    pub(super) traffic: Traffic,
    /// Sites of different groups cannot reach each other.
    pub(super) group: usize,
    /// By how much the clocks of its machines are faster than the world's, in parts of a billion.
    drift_ppb: i64,
    /// What the socket holds for an engine that is asleep.
    inbox: Vec<(SocketAddr, Vec<u8>)>,
    machine: Option<Machine>,
    dice: Dice,
}

/// What runs during one life.
struct Machine {
    engine: Engine,
    forwarder: Forwarder,
    clock: Clock,
}

/// What one call put out.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) datagrams: Vec<(SocketAddr, Vec<u8>)>,
    pub(super) frames: Vec<(Segment, Vec<u8>)>,
    pub(super) events: Vec<Event>,
    deadline: Option<Time>,
}

impl Sink for Outbox {
    fn datagram(&mut self, datagram: Datagram<'_>) {
        let mut bytes = Vec::with_capacity(datagram.len());
        datagram.append_to(&mut bytes);
        self.datagrams.push((datagram.to, bytes));
    }

    fn frame(&mut self, frame: Frame<'_>) {
        self.frames.push((frame.segment, frame.bytes.to_vec()));
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn deadline(&mut self, at: Time) {
        self.deadline = Some(at);
    }
}

/// How a call left the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeadlineVerdict {
    /// Ahead of now, and the sink was told.
    Ahead,
    /// Not after now.
    Passed,
    /// Moved without a word to the sink, or not where the sink was told.
    NotTold,
}

impl Site {
    pub(super) fn new(config: Config, dice: Dice) -> Self {
        Site {
            address: config.locator,
            config,
            state: SiteState::Down,
            lives: 0,
            events: Vec::new(),
            deadline: Time::NEVER,
            alarm: Time::NEVER,
            traffic: Traffic::default(),
            group: 0,
            drift_ppb: 0,
            inbox: Vec::new(),
            machine: None,
            dice,
        }
    }

    /// Begins another life at `now`: fresh entropy, another clock, a higher incarnation.
    pub(super) fn power_on(&mut self, now: Time) {
        self.dice.fill(&mut self.config.entropy);
        self.power_on_as(now, now.as_nanos() + self.lives + 1);
    }

    /// Begins another life at `now`, with this incarnation and the entropy of the former one.
    pub(super) fn power_on_as(&mut self, now: Time, incarnation: u64) {
        self.lives += 1;
        self.config.incarnation = incarnation;
        let local_now = Time::from_nanos(now.as_nanos() + self.dice.below(1 << 50));
        let engine = Engine::new(self.config.clone(), local_now).expect("the site's configuration is valid");
        self.machine = Some(Machine {
            forwarder: engine.forwarder(),
            engine,
            clock: Clock::new(now, local_now, self.drift_ppb),
        });
        self.state = SiteState::Running;
    }

    /// Ends the life without a word.
    pub(super) fn power_off(&mut self) {
        self.machine = None;
        self.state = SiteState::Down;
        self.inbox.clear();
        self.deadline = Time::NEVER;
    }

    /// The socket keeps a datagram until the host wakes, if it has room.
    pub(super) fn keep(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        if self.inbox.len() < INBOX {
            self.inbox.push((from, bytes));
        }
    }

    /// Wakes a site that is asleep; gives what came meanwhile.
    pub(super) fn wake(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.state = SiteState::Running;
        core::mem::take(&mut self.inbox)
    }

    pub(super) fn engine(&self) -> Option<&Engine> {
        self.machine.as_ref().map(|machine| &machine.engine)
    }

    /// The instant `now` of the world on the engine's clock.
    pub(super) fn local(&self, now: Time) -> Time {
        self.machine.as_ref().map_or(now, |machine| machine.clock.local(now))
    }

    /// From now on the clocks of its machines are faster than the world's by so many parts of a billion.
    pub(super) fn drift_clock(&mut self, now: Time, drift_ppb: i64) {
        self.drift_ppb = drift_ppb;
        self.change_clock(|clock| clock.drift(now, drift_ppb));
    }

    /// The clock of its machine is set forward.
    pub(super) fn step_clock(&mut self, now: Time, by: Duration) {
        self.change_clock(|clock| clock.step(now, by));
    }

    fn change_clock(&mut self, change: impl FnOnce(&mut Clock)) {
        if let Some(machine) = &mut self.machine {
            change(&mut machine.clock);
            self.deadline = machine.clock.world(machine.engine.deadline());
        }
    }

    /// Makes one call into the engine. `None` if the site is down or asleep.
    pub(super) fn call(
        &mut self,
        now: Time,
        act: impl FnOnce(&Engine, &mut Forwarder, Time, &mut Outbox),
    ) -> Option<(Outbox, DeadlineVerdict)> {
        let local_now = self.local(now);
        let machine = self.machine.as_mut().filter(|_| self.state != SiteState::Asleep)?;
        let before = machine.engine.deadline();
        let mut outbox = Outbox::default();
        act(&machine.engine, &mut machine.forwarder, local_now, &mut outbox);
        let after = machine.engine.deadline();
        let verdict = if outbox.deadline.unwrap_or(before) != after {
            DeadlineVerdict::NotTold
        } else if after <= local_now {
            DeadlineVerdict::Passed
        } else {
            DeadlineVerdict::Ahead
        };
        self.deadline = machine.clock.world(after);
        Some((outbox, verdict))
    }
}
