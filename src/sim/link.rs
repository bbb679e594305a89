//! One direction of the underlay between two sites: delay, jitter, loss, duplication, reordering,
//! corruption, MTU.
//!
//! Knows lengths and times, not what the datagrams say.

use arrayvec::ArrayVec;

use crate::sim::dice::Dice;
use crate::time::Time;

/// One direction of the underlay between two sites, as plain data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// One-way delay, in nanoseconds.
    pub delay_ns: u64,
    /// Each datagram takes up to this much longer, in nanoseconds, evenly spread. Order is kept.
    pub jitter_ns: u64,
    /// Share of datagrams that are lost, 0.0 to 1.0.
    pub loss: f64,
    /// Share of datagrams that arrive twice, 0.0 to 1.0.
    pub duplication: f64,
    /// Share of datagrams that later ones may overtake, 0.0 to 1.0.
    pub reorder: f64,
    /// Share of datagrams that arrive with a few bits flipped, 0.0 to 1.0.
    pub corruption: f64,
    /// Largest IP packet that passes, in bytes; larger ones are lost.
    pub mtu: u16,
    /// False if nothing passes.
    pub up: bool,
}

impl Link {
    /// A link without faults whose delay is half of this round-trip time, in milliseconds.
    pub fn rtt_ms(rtt_ms: f64) -> Self {
        Link {
            delay_ns: (rtt_ms * 500_000.0) as u64,
            jitter_ns: 0,
            loss: 0.0,
            duplication: 0.0,
            reorder: 0.0,
            corruption: 0.0,
            mtu: 1500,
            up: true,
        }
    }

    /// The same delay and MTU, up and without faults.
    pub fn without_faults(self) -> Self {
        Link { delay_ns: self.delay_ns, mtu: self.mtu, ..Link::rtt_ms(0.0) }
    }

    /// When copies of an IP packet of `len` bytes, sent at `now`, arrive if nothing before them holds them
    /// up. None if it is lost.
    pub fn transmit(&self, len: usize, now: Time, dice: &mut Dice) -> ArrayVec<Arrival, 2> {
        let mut arrivals = ArrayVec::new();
        if !self.up || len > usize::from(self.mtu) || dice.chance(self.loss) {
            return arrivals;
        }
        let copies = if dice.chance(self.duplication) { 2 } else { 1 };
        for _ in 0..copies {
            let jitter_ns = if self.jitter_ns == 0 { 0 } else { dice.below(self.jitter_ns + 1) };
            let overtaken = dice.chance(self.reorder);
            let held_ns = if overtaken { dice.below(self.delay_ns / 2 + 2_000_000) } else { 0 };
            arrivals.push(Arrival {
                at: Time::from_nanos(now.as_nanos() + self.delay_ns + jitter_ns + held_ns),
                overtaken,
                corrupted: dice.chance(self.corruption),
            });
        }
        arrivals
    }
}

/// One copy of a datagram at the far end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it arrives.
    pub at: Time,
    /// True if datagrams sent later may arrive before it.
    pub overtaken: bool,
    /// True if some of its bits are to be flipped.
    pub corrupted: bool,
}

/// A link with its dice and the one thing it remembers: when its last datagram arrives.
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    pub(super) link: Link,
    dice: Dice,
    last_at: Time,
}

impl Pipe {
    pub(super) fn new(link: Link, dice: Dice) -> Self {
        Pipe { link, dice, last_at: Time::ZERO }
    }

    /// As [`Link::transmit`], behind what was sent before.
    pub(super) fn transmit(&mut self, len: usize, now: Time) -> ArrayVec<Arrival, 2> {
        let mut arrivals = self.link.transmit(len, now, &mut self.dice);
        for arrival in arrivals.iter_mut().filter(|arrival| !arrival.overtaken) {
            arrival.at = arrival.at.max(self.last_at);
            self.last_at = arrival.at;
        }
        arrivals
    }

    /// When the last datagram on its way arrives; nothing sent now arrives before it.
    pub(super) fn last_at(&self) -> Time {
        self.last_at
    }

    /// Flips one to four bits of `bytes`.
    pub(super) fn corrupt(&mut self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        for _ in 0..=self.dice.below(4) {
            let bit = self.dice.below(bytes.len() as u64 * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(link: Link) -> Pipe {
        Pipe::new(link, Dice::named(3, "link"))
    }

    #[test]
    fn half_the_round_trip_time_passes() {
        let arrivals = pipe(Link::rtt_ms(20.0)).transmit(100, Time::from_nanos(5));
        assert_eq!(arrivals.len(), 1);
        assert_eq!(arrivals[0].at, Time::from_nanos(10_000_005));
    }

    #[test]
    fn a_packet_larger_than_the_mtu_is_lost() {
        let mut pipe = pipe(Link::rtt_ms(1.0));
        assert_eq!(pipe.transmit(1500, Time::ZERO).len(), 1);
        assert!(pipe.transmit(1501, Time::ZERO).is_empty());
    }

    #[test]
    fn a_cut_link_carries_nothing() {
        assert!(pipe(Link { up: false, ..Link::rtt_ms(1.0) }).transmit(10, Time::ZERO).is_empty());
    }

    #[test]
    fn loss_and_duplication_have_their_shares() {
        let mut pipe = pipe(Link { loss: 0.2, duplication: 0.5, ..Link::rtt_ms(1.0) });
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[pipe.transmit(10, Time::ZERO).len()] += 1;
        }
        assert!((1800..2200).contains(&counts[0]), "{counts:?}");
        assert!((3800..4200).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let ordered = |link| {
            let mut pipe = pipe(link);
            let times: Vec<Time> =
                (0..500).map(|n| pipe.transmit(10, Time::from_nanos(n * 1000))[0].at).collect();
            times.is_sorted()
        };
        assert!(ordered(Link { jitter_ns: 5_000_000, ..Link::rtt_ms(10.0) }));
        assert!(!ordered(Link { reorder: 0.1, ..Link::rtt_ms(10.0) }));
    }

    #[test]
    fn corruption_changes_bytes() {
        let mut pipe = pipe(Link { corruption: 1.0, ..Link::rtt_ms(1.0) });
        assert!(pipe.transmit(10, Time::ZERO)[0].corrupted);
        let mut bytes = [0; 64];
        pipe.corrupt(&mut bytes);
        let flipped: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        assert!((1..=4).contains(&flipped), "{flipped}");
    }
}
