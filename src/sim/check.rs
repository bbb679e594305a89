//! What must hold after every single step, whatever the underlay and strangers do.
//!
//! Looks at what engines put out and at what they say about themselves; at rest more holds, see `rest`.

use core::fmt;
use core::time::Duration;

use crate::config::MAX_HOPS;
use crate::{Config, MemberState, Status, Time};

/// A rule that engines keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// Every delivered frame equals, byte for byte, one that was sent in the same segment.
    OnlyWhatWasSent,
    /// No site is delivered a frame twice.
    AtMostOnce,
    /// No frame comes out where it went in.
    NeverBack,
    /// A datagram's header names at most four hops and an index within them.
    HopsBounded,
    /// A relay sends to locators of members only.
    RelayToMembers,
    /// No engine sends datagrams to itself.
    NotToItself,
    /// No datagram is larger than the underlay's configured MTU allows.
    FitsTheUnderlay,
    /// After each call the deadline lies ahead.
    DeadlineAhead,
    /// The sink is told every change of the deadline.
    DeadlineTold,
    /// Member list, sessions, latency database and FDB stay within their configured sizes.
    TablesBounded,
    /// What the status says is possible at all.
    StatusSane,
    /// The paths in the status are those that events told.
    PathsTold,
    /// At rest all engines have one member list: that of the running ones.
    ListsAgree,
    /// At rest all engines have one latency database.
    DatabasesAgree,
    /// At rest all engines that have a host by announcement have it at one place, and none lacks it.
    HostsAgree,
    /// At rest those links are up in the database that carry.
    LinksKnown,
    /// At rest paths cost at most what the oracle says, and the hysteresis.
    PathsNearOptimal,
    /// At rest a broadcast reaches every other site of its segment once.
    BroadcastReachesAll,
    /// At rest a frame to a known host reaches its site and no other.
    UnicastReachesOne,
}

/// A rule that was broken: where, when and by which seed it can be seen again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Violation {
    /// The seed of the world.
    pub seed: u64,
    /// When, on the world's clock.
    pub at: Time,
    /// At which site, if at one.
    pub site: Option<usize>,
    /// Which rule.
    pub rule: Rule,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, at {:?}", self.seed, self.at)?;
        if let Some(site) = self.site {
            write!(f, ", site {site}")?;
        }
        write!(f, ": {:?} is broken: {}", self.rule, self.detail)
    }
}

/// The fields of a datagram's header that the rules are about, read apart from the engine's own parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) hops: usize,
    pub(super) index: usize,
    /// The first eight bytes of the source's identity.
    pub(super) source: [u8; 8],
}

impl Header {
    /// Reads the header of a datagram an engine put out; `None` if it is too short to have one.
    pub(super) fn read(datagram: &[u8]) -> Option<Self> {
        let [_, path, _, _, source @ ..] = datagram.first_chunk::<12>()?;
        Some(Header { hops: usize::from(path >> 4), index: usize::from(path & 0xf), source: *source })
    }

    pub(super) fn is_bounded(self) -> bool {
        (1..=MAX_HOPS).contains(&self.hops) && self.index < self.hops
    }
}

/// Which rule `status` breaks, and how. `up_for` bounds all ages.
pub(super) fn status_breach(status: &Status, config: &Config, up_for: Duration) -> Option<(Rule, String)> {
    let alive = status.members.iter().filter(|member| member.state == MemberState::Alive).count();
    let breach = |rule, detail: String| Some((rule, detail));
    if alive >= config.max_members {
        return breach(Rule::TablesBounded, format!("{alive} live members beside this node"));
    }
    if status.latency.len() > (alive + 1) * alive {
        return breach(
            Rule::TablesBounded,
            format!("{} links between {} members", status.latency.len(), alive + 1),
        );
    }
    if status.fdb.len() > config.fdb_capacity {
        return breach(Rule::TablesBounded, format!("{} hosts in the FDB", status.fdb.len()));
    }
    if status.sessions > 2 * config.max_members {
        return breach(Rule::TablesBounded, format!("sessions with {} nodes", status.sessions));
    }
    // Ages are told in whole seconds of a clock whose seconds do not begin with the world.
    if let Some(host) = status.fdb.iter().find(|host| host.age > up_for + Duration::from_secs(1)) {
        return breach(Rule::StatusSane, format!("{host:?} is older than the engine, {up_for:?}"));
    }
    for member in &status.members {
        let loss = (0.0..=1.0).contains(&member.loss);
        let time = member.rtt.is_none_or(|rtt| rtt < Duration::from_secs(60));
        let path = member.path.is_empty() || member.path.last() == Some(&member.id);
        let repeats = (1..member.path.len()).any(|n| member.path[n..].contains(&member.path[n - 1]));
        let through_self = member.path.contains(&status.id) || member.id == status.id;
        if !(loss && time && path) || repeats || through_self || member.path.len() > MAX_HOPS {
            return breach(Rule::StatusSane, format!("{member:?}"));
        }
    }
    if !status.latency.is_sorted_by_key(|link| (link.from, link.to)) {
        return breach(Rule::StatusSane, "the latency database is not in order".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_where_the_design_puts_it() {
        let mut datagram = [0_u8; 20];
        datagram[1] = 0x31;
        datagram[4..12].copy_from_slice(&[7; 8]);
        let header = Header::read(&datagram).unwrap();
        assert_eq!(header, Header { hops: 3, index: 1, source: [7; 8] });
        assert!(header.is_bounded());
        assert!(!Header { hops: 5, ..header }.is_bounded());
        assert!(!Header { index: 3, ..header }.is_bounded());
        assert_eq!(Header::read(&datagram[..11]), None);
    }
}
