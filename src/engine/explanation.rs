//! What an engine says about the paths to one member when asked: which one frames take, and why no other.

use core::fmt;
use core::time::Duration;

use crate::node::{MemberState, NodeId};
use crate::route::{Estimate, PathCause};

/// Why frames for a member take the path they take, by the latencies of this moment.
///
/// Paths are chosen at most a quarter of a second after a latency has changed; a path that will be chosen
/// then is [`Verdict::Due`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Explanation {
    /// This node.
    pub from: NodeId,
    /// The member.
    pub to: NodeId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: MemberState,
    /// The chosen path, its backup, the direct one, the best path of the last selection, and up to eight of the best
    /// ones through a single relay. The lowest in the order of path selection comes first, those with a link
    /// that is not up come last.
    pub candidates: Vec<Candidate>,
    /// The last eight changes of the path, the latest first; empty before the first is chosen, and unless the member
    /// is alive.
    pub changes: Vec<PastChange>,
}

impl Explanation {
    /// The path that frames take; `None` unless the member is alive.
    pub fn chosen(&self) -> Option<&Candidate> {
        let is_chosen =
            |candidate: &&Candidate| matches!(candidate.verdict, Verdict::Chosen | Verdict::LastResort);
        self.candidates.iter().find(is_chosen)
    }

    /// The explanation as one JSON object on one line, by the schema in `docs/snapshot.md`.
    #[cfg(feature = "text")]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("all keys are text and no value can fail to be written")
    }
}

/// A path that frames take or could take.
///
/// Its cost on an estimate is the sum over its links of round-trip time, charge for loss and skew, on the fast one also
/// for jitter, the charge for its relays, and the operator's price; zero at least. Paths are ordered by the worse
/// estimate of each link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Candidate {
    /// The relays in order, the member last.
    pub path: Vec<NodeId>,
    /// Why frames take it, or why not.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub verdict: Verdict,
    /// The cost on the fast estimate; `None` if a link is not up.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "fast_cost_ns", serialize_with = "crate::time::ns::option")
    )]
    pub fast_cost: Option<Duration>,
    /// The cost on the slow estimate; `None` if a link is not up.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "slow_cost_ns", serialize_with = "crate::time::ns::option")
    )]
    pub slow_cost: Option<Duration>,
    /// What all its relays are charged with, part of both costs.
    #[cfg_attr(feature = "serde", serde(rename = "relay_charge_ns", serialize_with = "crate::time::ns::of"))]
    pub relay_charge: Duration,
    /// What the operator adds for its relays and links, part of both costs; a relay or a link to be avoided counts
    /// as 1000 s.
    #[cfg_attr(feature = "serde", serde(rename = "price_ns", serialize_with = "crate::time::ns::of"))]
    pub price: Duration,
    /// What is held against it for having done badly lately. It counts on top of both costs, and fades.
    #[cfg_attr(feature = "serde", serde(rename = "penalty_ns", serialize_with = "crate::time::ns::of"))]
    pub penalty: Duration,
    /// What would change the choice: how much less it would have to cost on both estimates, or how much more the
    /// chosen path, for frames to take it. `None` if they do or will, or if a link is not up.
    #[cfg_attr(feature = "serde", serde(rename = "gap_ns", serialize_with = "crate::time::ns::option"))]
    pub gap: Option<Duration>,
    /// Whether frames take it at once when the chosen path fails.
    pub is_backup: bool,
    /// Its links from this node on.
    pub links: Vec<PathLink>,
}

/// One link of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PathLink {
    /// Who measures it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// Whether paths may use it.
    pub state: LinkState,
    /// Round-trip time averaged over about 3 s, as the latency database has it; `None` unless up.
    #[cfg_attr(feature = "serde", serde(rename = "fast_ns", serialize_with = "crate::time::ns::option"))]
    pub fast: Option<Duration>,
    /// Round-trip time averaged over about 30 s, as the latency database has it; `None` unless up.
    #[cfg_attr(feature = "serde", serde(rename = "slow_ns", serialize_with = "crate::time::ns::option"))]
    pub slow: Option<Duration>,
    /// What the loss of its probes adds to the cost; zero unless up.
    #[cfg_attr(feature = "serde", serde(rename = "loss_charge_ns", serialize_with = "crate::time::ns::of"))]
    pub loss_charge: Duration,
    /// What its jitter adds to the cost on the fast estimate; zero unless up.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "jitter_charge_ns", serialize_with = "crate::time::ns::of")
    )]
    pub jitter_charge: Duration,
    /// What makes the cost that of its direction, in nanoseconds: what frames take longer this way than half of the
    /// round trip, twice, as seen on the clocks of this node's own links. 0 where nothing is known.
    pub skew_ns: i64,
    /// What this node's own probes tell; `None` for links between others.
    pub probe: Option<Probe>,
}

/// How well this node knows a link of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Probe {
    /// How many probes were answered since the link last came up.
    pub samples: u32,
    /// How long ago the last one was answered; `None` if none was.
    #[cfg_attr(feature = "serde", serde(rename = "age_ns", serialize_with = "crate::time::ns::option"))]
    pub age: Option<Duration>,
}

/// Whether paths may use a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LinkState {
    /// Probes are answered, and the latency database has the link.
    Up,
    /// A link of this node that has not had three answers since it began or came back: it is used by nobody
    /// yet.
    New,
    /// Probes go unanswered.
    Down,
    /// The latency database knows nothing of the link: it is new, or news of it are on their way.
    Unmeasured,
}

/// Why frames take a path, or why they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "verdict", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Verdict {
    /// Frames take it.
    Chosen,
    /// Frames take it although one of its links is not up, since no measured path of at most
    /// [`MAX_HOPS`](crate::config::MAX_HOPS) links leads to the member.
    LastResort,
    /// Frames take it from the next choice of paths on, within a quarter of a second; or, where the chosen path is to
    /// leave an overloaded relay, within half a minute.
    Due,
    /// It costs as much as the chosen path, or more.
    CostsMore {
        /// On which estimate.
        estimate: Estimate,
    },
    /// It costs less than the chosen path on both estimates, but not by more than the hysteresis: 0.5 ms, half of the
    /// jitter of both paths if that is less than a fifth of the cost, and a twentieth or, once the chosen path is 30 s old, a hundredth.
    WithinHysteresis {
        /// On which estimate it does not.
        estimate: Estimate,
    },
    /// It would be better than the chosen path, but comes after another one when each link counts with the worse
    /// of its estimates.
    NotLowest,
    /// The operator has pinned another path.
    NotPinned,
    /// It would be better, but one of its relays is so busy that no path takes it anew.
    RelayFull,
    /// One of its relays carries no transit.
    NoTransit,
    /// Its first link that is not up is [`LinkState::Down`].
    LinkDown,
    /// Its first link that is not up is [`LinkState::New`]: it carries no transit yet.
    LinkNew,
    /// Its first link that is not up is [`LinkState::Unmeasured`].
    LinkUnmeasured,
    /// The member has failed or left: no frames are sent to it.
    Unreachable,
}

impl fmt::Display for Verdict {
    /// One clause for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Chosen => f.write_str("frames take it"),
            Verdict::LastResort => f.write_str("frames take it, since no measured path leads to the member"),
            Verdict::Due => f.write_str("will be taken at the next choice of paths"),
            Verdict::CostsMore { estimate } => write!(f, "costs more on {estimate}"),
            Verdict::WithinHysteresis { estimate } => write!(f, "better, but by too little on {estimate}"),
            Verdict::NotLowest => f.write_str("better, but another path is lower by the worse estimates"),
            Verdict::NotPinned => f.write_str("another path is pinned"),
            Verdict::RelayFull => f.write_str("better, but a relay is too busy to take new paths"),
            Verdict::NoTransit => f.write_str("a relay carries no transit"),
            Verdict::LinkDown => f.write_str("a link is down"),
            Verdict::LinkNew => f.write_str("a link is new and carries no transit yet"),
            Verdict::LinkUnmeasured => f.write_str("a link is not measured"),
            Verdict::Unreachable => f.write_str("the member has failed or left"),
        }
    }
}

/// When and why the path to a member was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PastChange {
    /// How long ago that was.
    #[cfg_attr(feature = "serde", serde(rename = "age_ns", serialize_with = "crate::time::ns::of"))]
    pub age: Duration,
    /// Why.
    pub cause: PathCause,
    /// The path before: relays in order, the member last. `None` if there was none, or a relay of it is no longer
    /// remembered.
    pub former: Option<Vec<NodeId>>,
}
