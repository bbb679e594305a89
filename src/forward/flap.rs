//! Which hosts move again and again: the sign of a loop, or of two hosts with one address.
//!
//! Knows no places, only that a host has moved and when. A table of fixed size, for its one writer.

use core::hash::BuildHasher;

use crate::hash::KeyedHash;
use crate::host::Host;

/// A host that moves so often within [`WINDOW_SECS`] is flapping (RFC 7432 §15.1, N).
const MOVES: u8 = 5;
/// In seconds (RFC 7432 §15.1, M). So long a flapping host must also stay before it is told of again.
const WINDOW_SECS: u64 = 180;

/// Hosts that are watched: the last that have moved, in buckets.
const BUCKETS: usize = 128;
const WAYS: usize = 4;

/// Whether people should be told of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// It is one of few, or they have been told.
    Calm,
    /// It is the one that makes the host a flapping one.
    Flapping,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Has moved so often since then.
    Counting { moves: u8, since_secs: u64 },
    /// Has been told of and has not been calm since.
    Told,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    host: Host,
    moved_secs: u64,
    state: State,
}

/// The hosts that have moved of late.
#[derive(Debug)]
pub(super) struct Flaps {
    watched: Box<[[Option<Watched>; WAYS]; BUCKETS]>,
    hash: KeyedHash,
}

impl Flaps {
    pub(super) fn new(hash: KeyedHash) -> Self {
        Flaps { watched: Box::new([[None; WAYS]; BUCKETS]), hash }
    }

    /// Takes note that a host has moved. Where too many move, those that moved last are watched.
    pub(super) fn moved(&mut self, host: Host, now_secs: u64) -> Pace {
        let bucket = &mut self.watched[self.hash.hash_one(host) as usize % BUCKETS];
        let known = bucket.iter().position(|watched| watched.is_some_and(|watched| watched.host == host));
        let Some(watched) = known.and_then(|at| bucket[at].as_mut()) else {
            let oldest = bucket.iter_mut().min_by_key(|watched| watched.map(|watched| watched.moved_secs));
            if let Some(oldest) = oldest {
                *oldest = Some(Watched { host, moved_secs: now_secs, state: State::first(now_secs) });
            }
            return Pace::Calm;
        };
        let calm_secs = now_secs.saturating_sub(watched.moved_secs);
        watched.moved_secs = now_secs;
        match watched.state {
            State::Told if calm_secs < WINDOW_SECS => Pace::Calm,
            State::Counting { moves, since_secs } if now_secs.saturating_sub(since_secs) < WINDOW_SECS => {
                if moves + 1 < MOVES {
                    watched.state = State::Counting { moves: moves + 1, since_secs };
                    Pace::Calm
                } else {
                    watched.state = State::Told;
                    Pace::Flapping
                }
            }
            State::Told | State::Counting { .. } => {
                watched.state = State::first(now_secs);
                Pace::Calm
            }
        }
    }
}

impl State {
    fn first(now_secs: u64) -> Self {
        State::Counting { moves: 1, since_secs: now_secs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::MacAddr;
    use crate::node::Segment;

    fn host(n: u16) -> Host {
        let [a, b] = n.to_be_bytes();
        Host { segment: Segment::DEFAULT, vlan: 0, mac: MacAddr([2, 0, 0, 0, a, b]) }
    }

    /// At which of these seconds the host is told of.
    fn told(flaps: &mut Flaps, moves: impl IntoIterator<Item = u64>) -> Vec<u64> {
        moves.into_iter().filter(|now_secs| flaps.moved(host(1), *now_secs) == Pace::Flapping).collect()
    }

    #[test]
    fn five_moves_within_three_minutes_are_told_once() {
        let mut flaps = Flaps::new(KeyedHash::new(1, 2));
        assert_eq!(told(&mut flaps, (0..1000).step_by(10)), [40]);
    }

    #[test]
    fn a_host_that_was_calm_is_told_of_again() {
        let mut flaps = Flaps::new(KeyedHash::new(1, 2));
        assert_eq!(told(&mut flaps, [1, 2, 3, 4, 5, 6, 185, 186]), [5]);
        assert_eq!(told(&mut flaps, [366, 367, 368, 369, 370, 371]), [370]);
    }

    #[test]
    fn a_host_that_moves_now_and_then_is_not_told_of() {
        let mut flaps = Flaps::new(KeyedHash::new(1, 2));
        assert!(told(&mut flaps, (0..100_000).step_by(60)).is_empty());
    }

    #[test]
    fn where_many_hosts_move_those_that_moved_last_are_watched() {
        let mut flaps = Flaps::new(KeyedHash::new(1, 2));
        for n in 0..10_000 {
            assert_eq!(flaps.moved(host(n), n.into()), Pace::Calm);
        }
        let flapping = (0..5).filter(|_| flaps.moved(host(20_000), 10_000) == Pace::Flapping).count();
        assert_eq!(flapping, 1);
    }
}
