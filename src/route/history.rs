//! The last changes of the path to one member, and their causes.

use core::fmt;

use arrayvec::ArrayVec;

use crate::route::Path;
use crate::time::Time;

/// So many changes are remembered: those of a bad quarter of an hour, at most one in two minutes being usual.
const MAX_CHANGES: usize = 8;

/// Why a path was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PathCause {
    /// The first path to a new member.
    New,
    /// The new path is better by more than the hysteresis, on the fast and on the slow estimate.
    Better,
    /// The direct path is as good as the relayed one again.
    DirectAsGood,
    /// The former path has a link that is down or unmeasured, or a relay that is gone, and there was no backup.
    Dead,
    /// A link or a relay of the former path was lost, or the path is in doubt: the backup took over at once.
    Failover,
    /// The operator has pinned the new path.
    Pinned,
    /// The former path was found to be worse, end to end, than its links and relays say.
    Guard,
}

impl fmt::Display for PathCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathCause::New => "the first one",
            PathCause::Better => "which is better",
            PathCause::DirectAsGood => "as direct is as good again",
            PathCause::Dead => "as the former one is dead",
            PathCause::Pinned => "which is pinned",
            PathCause::Guard => "as the former one is worse than it seemed",
            PathCause::Failover => "the backup, as the former one has failed",
        })
    }
}

/// When and why the path to a member became what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PastChange {
    pub(crate) at: Time,
    pub(crate) cause: PathCause,
    /// The path before; `None` if there was none.
    pub(crate) former: Option<Path>,
}

/// The last changes, the latest first.
#[derive(Debug, Default)]
pub(crate) struct History(ArrayVec<PastChange, MAX_CHANGES>);

impl History {
    pub(super) fn push(&mut self, change: PastChange) {
        if self.0.is_full() {
            self.0.pop();
        }
        self.0.insert(0, change);
    }

    pub(crate) fn changes(&self) -> &[PastChange] {
        &self.0
    }
}
