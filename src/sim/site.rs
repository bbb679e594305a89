//! One site: an engine with its clock, its socket's address and its outputs, over as many lives as it is
//! started.
//!
//! Knows neither the other sites nor the underlay.

use core::net::SocketAddr;
use core::time::Duration;

use crate::sim::agenda::Incoming;
use crate::sim::clock::Clock;
use crate::sim::dice::{Dice, TraceDigest};
use crate::{Config, Datagram, DatagramIn, Engine, Event, Forwarder, Frame, Segment, Sink, Time};

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
    /// Of everything that happened here.
    pub(super) digest: TraceDigest,
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

/// One call into a site's engine.
pub(super) struct Step {
    /// When it was, in the world's time.
    pub(super) at: Time,
    /// What it put out.
    pub(super) outbox: Outbox,
    pub(super) verdict: DeadlineVerdict,
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
            traffic: Traffic::default(),
            group: 0,
            drift_ppb: 0,
            inbox: Vec::new(),
            machine: None,
            dice,
            digest: TraceDigest::new(),
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

    /// Lives from `from` until `until`, that moment included: what arrives meanwhile is given in order of time, and the
    /// timer is called whenever it is due. Touches nothing but the site.
    pub(super) fn live(&mut self, arrivals: Vec<Incoming>, from: Time, until: Time) -> Vec<Step> {
        let mut steps = Vec::new();
        for arrival in arrivals {
            self.do_what_is_due(from, arrival.at, &mut steps);
            steps.extend(self.receive(arrival));
        }
        self.do_what_is_due(from, until, &mut steps);
        steps
    }

    fn do_what_is_due(&mut self, from: Time, until: Time, steps: &mut Vec<Step>) {
        while self.deadline <= until {
            let Some(step) = self.wake_if_due(self.deadline.max(from)) else { break };
            let is_ahead = step.verdict == DeadlineVerdict::Ahead;
            steps.push(step);
            // It would never end.
            if !is_ahead {
                break;
            }
        }
    }

    /// Calls the timer if it is due.
    pub(super) fn wake_if_due(&mut self, now: Time) -> Option<Step> {
        if self.deadline > now {
            return None;
        }
        self.digest.add(now.as_nanos(), 1, &[]);
        self.call(now, |engine, _, now, outbox| engine.timer(now, outbox))
    }

    /// The socket gets a datagram. That of a host which is asleep keeps it, if it has room.
    fn receive(&mut self, arrival: Incoming) -> Option<Step> {
        let Incoming { at, from, mut bytes, .. } = arrival;
        if self.state != SiteState::Down {
            self.traffic.received += 1;
            self.traffic.received_bytes += packet_len(from, bytes.len()) as u64;
        }
        if self.state == SiteState::Asleep {
            if self.inbox.len() < INBOX {
                self.inbox.push((from, bytes));
            }
            return None;
        }
        self.digest.add(at.as_nanos(), 0, &bytes);
        self.call(at, |_, forwarder, now, outbox| {
            let datagram = DatagramIn { from, received_at: now, bytes: &mut bytes };
            forwarder.datagram_in(now, datagram, outbox);
        })
    }

    /// Wakes a site that is asleep: its engine gets what came meanwhile before its timer is called, as from an event
    /// loop that finds both due.
    pub(super) fn wake(&mut self, now: Time) -> Vec<Step> {
        self.state = SiteState::Running;
        let mut steps = Vec::new();
        for (from, mut bytes) in core::mem::take(&mut self.inbox) {
            self.digest.add(now.as_nanos(), 0, &bytes);
            let was_ahead = self.deadline > now;
            let mut step = self.call(now, |_, forwarder, now, outbox| {
                let datagram = DatagramIn { from, received_at: now, bytes: &mut bytes };
                forwarder.datagram_in(now, datagram, outbox);
            });
            // What is due stays due while frames are forwarded.
            if let Some(Step { verdict: verdict @ DeadlineVerdict::Passed, .. }) = &mut step
                && !was_ahead
            {
                *verdict = DeadlineVerdict::Ahead;
            }
            steps.extend(step);
        }
        steps.extend(self.wake_if_due(now));
        steps
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
    ) -> Option<Step> {
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
        for event in &outbox.events {
            self.digest.add(now.as_nanos(), 2, format!("{event:?}").as_bytes());
        }
        for (_, bytes) in &outbox.datagrams {
            self.digest.add(now.as_nanos(), 3, bytes);
        }
        for (_, bytes) in &outbox.frames {
            self.digest.add(now.as_nanos(), 4, bytes);
        }
        Some(Step { at: now, outbox, verdict })
    }
}

/// Length of the IP packet that carries `payload` bytes of UDP to or from an address.
pub(super) fn packet_len(address: SocketAddr, payload: usize) -> usize {
    let ip = if address.is_ipv4() { 20 } else { 40 };
    ip + 8 + payload
}
