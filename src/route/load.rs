//! How paths are spread over relays that many nodes want: by hysteresis between a share of load from which on a relay
//! is taken by no new path and one from which on paths leave it, each at a moment of its own.

use core::time::Duration;

use crate::node::NodePrefix;
use crate::route::{Database, Path};

/// A relay takes no new path from this load on, in 1/255: three fifths.
const FULL: u8 = 153;
/// Paths leave a relay from this load on, if another path is better: nine tenths. Wide apart from the other, so that
/// those that leave are not followed by those that come.
const OVERLOADED: u8 = 230;
/// Each path leaves an overloaded relay at a random moment within this time, so that few do between two reports of its
/// load, and the rest find it relieved.
pub(super) const LEAVE_WITHIN: Duration = Duration::from_secs(30);

/// What taking a relay that is full counts for, in nanoseconds: more than any path without one.
pub(super) const FULL_CHARGE: i64 = 100_000_000_000;

pub(super) fn is_full(load: u8) -> bool {
    load >= FULL
}

/// True if a path should take no relay anew that it has.
pub(super) fn has_full_relay(path: &Path, database: &impl Database) -> bool {
    has_relay(path, database, FULL)
}

/// True if a path should leave one of its relays when it can.
pub(super) fn has_overloaded_relay(path: &Path, database: &impl Database) -> bool {
    has_relay(path, database, OVERLOADED)
}

fn has_relay(path: &Path, database: &impl Database, least: u8) -> bool {
    let load = |relay: &NodePrefix| database.transit(*relay).map_or(0, |transit| transit.load);
    path.relays().iter().any(|relay| load(relay) >= least)
}
