//! The two averages by which paths are compared.

use core::fmt;

/// One of the two averages by which paths are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Estimate {
    /// The average over about 3 s.
    Fast,
    /// The average over about 30 s.
    Slow,
    /// Both of them.
    Both,
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Estimate::Fast => "the fast estimate",
            Estimate::Slow => "the slow estimate",
            Estimate::Both => "both estimates",
        })
    }
}

impl Estimate {
    /// The averages for which something holds, if it does for any.
    pub(super) fn of(fast: bool, slow: bool) -> Option<Self> {
        match (fast, slow) {
            (true, true) => Some(Estimate::Both),
            (true, false) => Some(Estimate::Fast),
            (false, true) => Some(Estimate::Slow),
            (false, false) => None,
        }
    }
}
