//! Watches whole paths, end to end: one that may be dead is probed together with its backup, and one through relays is
//! compared with the direct one.
//!
//! Links are measured one by one, and what is known of those far away comes late; frames that go unanswered say at
//! once that something is wrong, but not what. Knows members by prefix only, and neither paths nor keys: what a path
//! is, and how a probe gets onto it, is others' business.

mod doubt;
mod guard;

use core::time::Duration;
use std::collections::BTreeMap;

use crate::node::NodePrefix;
use crate::rng::Rng;
use crate::time::Time;
use crate::wire::path_probe::{PathAnswer, PathProbe};
use doubt::{Doubt, Step};
use guard::Comparison;

/// A doubt about one path is followed up no more often than this, whoever has it.
const DOUBT_INTERVAL: Duration = Duration::from_millis(500);
/// Answers may come so late; then they are unexpected.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Which path to a member a probe takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The one that frames take.
    Chosen,
    /// The one that they take when that fails.
    Backup,
    /// The one without relays.
    Direct,
}

/// One thing for each of the two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfWays<T> {
    pub(crate) chosen: T,
    pub(crate) backup: T,
}

/// What the monitor wants done or made known.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send this probe to a member.
    Probe(NodePrefix, Way, PathProbe),
    /// The chosen path to this member does not carry, and its backup does.
    Failed(NodePrefix),
    /// What is sent to this member along the chosen path has for some time arrived so many nanoseconds later than what
    /// is sent along the direct one.
    Worse(NodePrefix, i64),
    /// An answer came that nothing was asked for.
    Unexpected,
}

/// The paths that are being watched.
#[derive(Debug)]
pub(crate) struct Monitor {
    doubts: BTreeMap<NodePrefix, Doubt>,
    comparisons: BTreeMap<NodePrefix, Comparison>,
    wake_at: Time,
    rng: Rng,
    outputs: Vec<Output>,
}

impl Monitor {
    pub(crate) fn new(rng: Rng) -> Self {
        Monitor {
            doubts: BTreeMap::new(),
            comparisons: BTreeMap::new(),
            wake_at: Time::NEVER,
            rng,
            outputs: Vec::new(),
        }
    }

    /// What has come up since the last call, in order.
    pub(crate) fn take_outputs(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.outputs)
    }

    /// When [`timer`](Self::timer) wants to be called.
    pub(crate) fn deadline(&self) -> Time {
        self.wake_at
    }

    /// The chosen path to a member may be dead: it is probed, and so is its backup. An answer may take so long on
    /// each. `is_own` says that the doubt is this node's, not one that the member told.
    pub(crate) fn doubt(&mut self, to: NodePrefix, timeouts: OfWays<Duration>, is_own: bool, now: Time) {
        let is_recent = |doubt: &Doubt| now.since(doubt.began_at()) < DOUBT_INTERVAL || !doubt.is_over();
        if self.doubts.get(&to).is_some_and(is_recent) {
            return;
        }
        let tokens = OfWays { chosen: self.rng.u64(), backup: self.rng.u64() };
        self.doubts.insert(to, Doubt::new(tokens, timeouts, is_own, now));
        self.wake_at = now;
    }

    /// A member that hears nothing of this node says so, along the reverse of this path to it.
    pub(crate) fn share_doubt(&mut self, from: NodePrefix, way: Way, now: Time) {
        if let Some(doubt) = self.doubts.get_mut(&from) {
            doubt.shared(way, now);
            self.wake_at = self.wake_at.min(doubt.deadline());
        }
    }

    /// Compares the chosen paths to these members, which have relays, with the direct ones, once more; those to all
    /// others not any longer.
    pub(crate) fn compare(&mut self, members: &[NodePrefix]) {
        self.comparisons.retain(|member, _| members.contains(member));
        for to in members {
            let tokens = [self.rng.u64(), self.rng.u64()];
            let comparison = self.comparisons.entry(*to).and_modify(|comparison| comparison.go_on(tokens));
            comparison.or_insert_with(|| Comparison::new(tokens));
            for (way, token) in [Way::Chosen, Way::Direct].into_iter().zip(tokens) {
                self.outputs.push(Output::Probe(*to, way, PathProbe { token, is_doubt: false }));
            }
        }
    }

    /// Frames to a member take another path now, or none: what was to be found out about the former one does not
    /// matter any more.
    pub(crate) fn dismiss(&mut self, to: NodePrefix) {
        if let Some(doubt) = self.doubts.get_mut(&to) {
            doubt.end();
        }
        self.comparisons.remove(&to);
    }

    /// A member answers a probe. The chosen path to it is too bad if what is sent along it arrives more than `bar`
    /// nanoseconds later than along the direct one.
    pub(crate) fn handle_answer(&mut self, from: NodePrefix, answer: PathAnswer, bar: i64, now: Time) {
        let comparison = self.comparisons.get_mut(&from);
        if let Some(comparison) = comparison.filter(|comparison| comparison.has(answer.token)) {
            let worse = comparison.arrived(answer.token, answer.received_at, bar, now);
            self.outputs.extend(worse.map(|delay| Output::Worse(from, delay)));
            return;
        }
        let way = self.doubts.get_mut(&from).and_then(|doubt| Some((doubt.way(answer.token)?, doubt)));
        match way {
            Some((way, doubt)) => {
                if doubt.answered(way) == Step::Fail {
                    self.outputs.push(Output::Failed(from));
                }
                self.wake_at = self.wake_at.min(now);
            }
            None => self.outputs.push(Output::Unexpected),
        }
    }

    /// Does what is due.
    pub(crate) fn timer(&mut self, now: Time) {
        if now < self.wake_at {
            return;
        }
        self.doubts.retain(|_, doubt| !doubt.is_over() || now.since(doubt.began_at()) < REMEMBERED);
        for (to, doubt) in &mut self.doubts {
            loop {
                match doubt.step(now) {
                    Step::Wait => break,
                    Step::Probe(way, probe) => self.outputs.push(Output::Probe(*to, way, probe)),
                    Step::Fail => self.outputs.push(Output::Failed(*to)),
                }
            }
        }
        self.wake_at = self.doubts.values().map(Doubt::deadline).min().unwrap_or(Time::NEVER);
    }
}
